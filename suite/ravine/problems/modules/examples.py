"""A user's own examples in minibatches, without replacement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, default_collate

from ravine.errors import BadValue
from ravine.problems.base import Data
from ravine.problems.networks.images import CALIBRATION, permutation

REMEDY = "give (inputs, targets) or a torch Dataset of such pairs"


@dataclass(frozen=True, eq=False, kw_only=True)
class Examples:
    """Examples held in memory, as a `Supply`.

    Every epoch is a new permutation of the training examples, cut into full batches; those
    left over at its end are not used in that epoch.  All supplies with as many examples and
    one batch size draw alike.  There is no augmentation.

    Args:
        inputs: of the training examples, `[count, *example]`.
        targets: theirs, `[count, ...]`.
        test_inputs: of examples that no batch contains; may be none.
        test_targets: theirs.
        batch_size: examples in a minibatch.
    """

    inputs: Shaped[Tensor, "count *example"]
    targets: Shaped[Tensor, "count ..."]
    test_inputs: Shaped[Tensor, "held *example"]
    test_targets: Shaped[Tensor, "held ..."]
    batch_size: int

    @property
    def example(self) -> tuple[int, ...]:
        """Shape of one example's input."""
        return tuple(self.inputs.shape[1:])

    @property
    def epoch(self) -> int:
        """Full batches in an epoch."""
        return len(self.inputs) // self.batch_size

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """`inputs` [seeds, batch, *example] and `targets` [seeds, batch, ...]."""
        epoch, part = divmod(step, self.epoch)
        chosen = slice(part * self.batch_size, (part + 1) * self.batch_size)
        index = torch.cat([permutation(len(self.inputs), seed, epoch)[chosen] for seed in seeds])
        stack = (len(seeds), self.batch_size)
        return {
            name: examples.index_select(0, index).view(*stack, *examples.shape[1:])
            for name, examples in (("inputs", self.inputs), ("targets", self.targets))
        }

    def calibration(self) -> Shaped[Tensor, "some *example"]:
        """The first training inputs, 10,000 at most."""
        return self.inputs[:CALIBRATION]

    def test(self) -> tuple[Shaped[Tensor, "held *example"], Shaped[Tensor, "held ..."]]:
        """Inputs and targets that no batch contains; none if none were given."""
        return self.test_inputs, self.test_targets


def examples(data: Any, test: Any, batch_size: int) -> Examples:
    """Check a user's data and hold it in memory.

    Args:
        data: (inputs, targets) as tensors or arrays, or a torch `Dataset` of such pairs,
            which is read once, in order.
        test: examples of the same kind that are not trained on, None for none.
        batch_size: from 1 to the number of training examples.

    Raises:
        BadValue: the data cannot be read, differ in length or shape, or are not finite.
    """
    inputs, targets = _pair("data", data)
    if type(batch_size) is not int or not 1 <= batch_size <= len(inputs):
        raise BadValue(
            f"`batch_size` must be a whole number from 1 to the {len(inputs)} training "
            f"examples, got {batch_size}; give such a one"
        )
    held = (inputs[:0], targets[:0]) if test is None else _pair("test", test)
    for name, ours, theirs in (("inputs", inputs, held[0]), ("targets", targets, held[1])):
        if ours.shape[1:] != theirs.shape[1:]:
            raise BadValue(
                f"`test` must have {name} of the training examples' shape "
                f"{list(ours.shape[1:])}, got {list(theirs.shape[1:])}; give them alike"
            )
    return Examples(
        inputs=inputs,
        targets=targets,
        test_inputs=held[0],
        test_targets=held[1],
        batch_size=batch_size,
    )


def _pair(name: str, data: Any) -> tuple[Tensor, Tensor]:
    if isinstance(data, DataLoader):
        raise BadValue(f"`{name}` is a DataLoader, whose order ravine decides; give its `.dataset`")
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, tuple | list):
        if len(data) != 2:
            raise BadValue(f"`{name}` must be a pair, got {len(data)} things; {REMEDY}")
        inputs, targets = (_tensor(name, part) for part in data)
    else:
        inputs, targets = _read(name, data)
    if not inputs.dim() or not targets.dim() or len(inputs) != len(targets):
        raise BadValue(
            f"`{name}` must have a target for every input, got shapes {list(inputs.shape)} and "
            f"{list(targets.shape)}; give them one length"
        )
    if not len(inputs):
        raise BadValue(f"`{name}` holds no examples; give one or more")
    for part, values in (("inputs", inputs), ("targets", targets)):
        if values.is_floating_point() and not bool(values.isfinite().all()):
            first = int((~values.isfinite()).nonzero()[0, 0])
            raise BadValue(
                f"`{name}` has {part} that are not finite, first in example {first}; clean or "
                f"leave out such examples"
            )
    return inputs, targets


def _tensor(name: str, values: Any) -> Tensor:
    try:
        return torch.as_tensor(values).detach().cpu()
    except Exception as error:
        raise BadValue(
            f"`{name}` holds a {type(values).__name__} that is no array of numbers; {REMEDY}"
        ) from error


def _read(name: str, data: Any) -> tuple[Tensor, Tensor]:
    """All pairs of a dataset, in order."""
    if isinstance(data, IterableDataset) or not (
        hasattr(data, "__len__") and hasattr(data, "__getitem__")
    ):
        raise BadValue(f"`{name}` must be data of known length, got {data!r}; {REMEDY}")
    if not len(data):
        raise BadValue(f"`{name}` holds no examples; give one or more")
    try:
        inputs, targets = default_collate([data[i] for i in range(len(data))])
        again, _ = default_collate([data[0]])
    except Exception as error:
        raise BadValue(
            f"`{name}` cannot be read as pairs of tensors of one shape: "
            f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}; {REMEDY}"
        ) from error
    if not (isinstance(inputs, Tensor) and isinstance(targets, Tensor)):
        raise BadValue(f"`{name}` must give pairs of tensors, got {type(inputs)}; {REMEDY}")
    if not torch.equal(again[0], inputs[0]):
        raise BadValue(
            f"`{name}` gives another input each time it is read; leave out random augmentation, "
            f"for batches are drawn from examples that are read once"
        )
    return inputs, targets
