"""A novel in letters, for networks that predict the next one.

The novel is Jane Austen's *Persuasion* (1818), which is in the public domain.  The file is the
text of the R package janeaustenr 1.0.0 (Julia Silge, MIT licence), unchanged, its lines joined by
line feeds.  Nothing is ever downloaded.
"""

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from ravine.errors import StoreError
from ravine.problems.base import Data
from ravine.problems.draws import generator

NOVEL = "persuasion.txt"
"""The bundled text."""

NOVEL_SHA256 = "8061549557aebd2fd6e353d18d9197cb707029112bd52d4d8b174583a925848a"
"""Its digest when unpacked, which does not depend on how it was compressed."""

TRAINING = 0.9
"""Share of the text, from its beginning, that is trained on; the rest is tested on."""


@lru_cache(maxsize=1)
def novel() -> tuple[Int64[Tensor, " letters"], str]:
    """The text as numbers from 0, and the letters that they stand for in alphabetical order.

    Loaded once for each process.

    Raises:
        StoreError: the file is missing, or is not the one that was published.

    Example:
        >>> numbers, letters = novel()
        >>> len(numbers), len(letters), "".join(letters[i] for i in numbers[:10])
        (466854, 75, 'Persuasion')
    """
    repair = "install ravine again with `pip install --force-reinstall --no-deps ravine`"
    path = files("ravine.problems") / "data" / "text" / f"{NOVEL}.gz"
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, OSError, zlib.error) as error:
        raise StoreError(f"bundled `{NOVEL}.gz` cannot be read ({error}); {repair}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != NOVEL_SHA256:
        raise StoreError(
            f"bundled `{NOVEL}.gz` must have SHA-256 {NOVEL_SHA256[:12]}... unpacked, got "
            f"{found[:12]}...; {repair}"
        )
    letters, numbers = np.unique(np.frombuffer(content, np.uint8), return_inverse=True)
    return torch.from_numpy(numbers.astype(np.int64)), bytes(letters).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class TextSupply:
    """Windows of the novel, each letter's target being the next letter.

    The windows of a batch begin at random places of the first nine tenths, with replacement.
    The last tenth, cut into windows side by side, is tested on.

    Args:
        context: letters in a window.
        batch_size: windows in a minibatch.
    """

    context: int
    batch_size: int

    @property
    def example(self) -> tuple[int, ...]:
        """The letters of a window."""
        return (self.context,)

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """`inputs` [seeds, batch, context] and `targets` [seeds, batch, context]."""
        training = self._parts()[0]
        high, size = len(training) - self.context, self.batch_size
        first = np.stack(
            [generator("windows", high, size, s, step).integers(0, high, size) for s in seeds]
        )
        windows = training[torch.from_numpy(first).unsqueeze(-1) + torch.arange(self.context + 1)]
        return {"inputs": windows[..., :-1], "targets": windows[..., 1:]}

    def calibration(self) -> Int64[Tensor, "count context"]:
        """The first training windows side by side, as many as there are for the test."""
        training, rest = self._parts()
        return self._windows(training[: len(rest)])[0]

    def test(self) -> tuple[Int64[Tensor, "count context"], Int64[Tensor, "count context"]]:
        """The last tenth of the text, and what follows each letter."""
        return self._windows(self._parts()[1])

    def _parts(self) -> tuple[Int64[Tensor, " training"], Int64[Tensor, " rest"]]:
        numbers, _ = novel()
        cut = int(TRAINING * len(numbers))
        return numbers[:cut], numbers[cut:]

    def _windows(
        self, text: Int64[Tensor, " letters"]
    ) -> tuple[Int64[Tensor, "count context"], Int64[Tensor, "count context"]]:
        count = (len(text) - 1) // self.context
        inputs, targets = text[: count * self.context], text[1 : count * self.context + 1]
        return inputs.view(count, self.context), targets.view(count, self.context)
