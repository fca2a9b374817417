"""The examples that a network's surface is a mean over."""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Shaped
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.surface import Part
from ravine.problems.base import Data
from ravine.problems.modules.passes import like
from ravine.problems.networks.model import Supply

Split = Literal["train", "test"]

EXAMPLES = 2048
"""Training examples of a network's surface unless told otherwise."""

PART = 2048
"""Examples in a part, where batch normalisation does not ask for minibatches."""


def parts_of(
    supply: Supply, seed: int, split: Split, examples: int | None, minibatches: bool
) -> tuple[Part, ...]:
    """The data of a network: an epoch's beginning, or the test set."""
    if split == "test":
        inputs, targets = supply.test()
        if not len(inputs):
            raise BadValue("there are no test examples; give the problem some, or take `train`")
        count = len(inputs) if examples is None else min(examples, len(inputs))
        whole = {"inputs": inputs[:count], "targets": targets[:count]}
        return tuple(_cut(whole, count, count if minibatches else PART))
    batches = list(_batches(supply, seed, examples))
    whole = {n: torch.cat([b[n] for b in batches]) for n in ("inputs", "targets")}
    count = len(whole["inputs"]) if examples is None else min(examples, len(whole["inputs"]))
    return tuple(_cut(whole, count, len(batches[0]["inputs"]) if minibatches else PART))


def _batches(supply: Supply, seed: int, examples: int | None) -> Iterator[Data]:
    """The minibatches of a seed's first epoch, until there are enough examples."""
    epoch = getattr(supply, "epoch", None)
    if epoch is None and examples is None:
        raise BadValue(
            "this problem draws its examples anew at every step; say how many by `examples`"
        )
    held = step = 0
    while (epoch is None or step < epoch) and (examples is None or held < examples):
        batch = supply.batch([seed], step)
        yield {n: batch[n][0] for n in ("inputs", "targets")}
        held, step = held + len(batch["inputs"][0]), step + 1


def _cut(whole: Data, count: int, size: int) -> Iterator[Part]:
    for first in range(0, count, size):
        last = min(first + size, count)
        yield Part({n: t[first:last] for n, t in whole.items()}, last - first)


def targets_of(data: Data, outputs: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """The targets of a part, on the device of outputs and, where they are real, in their dtype."""
    return like(data["targets"], {"outputs": outputs})
