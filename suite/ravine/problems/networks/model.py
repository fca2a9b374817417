"""What a network is made of: a model, a supply of examples, and a criterion."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Shaped
from torch import Tensor

from ravine.problems.base import Data, Point

Moments = Mapping[str, tuple[Float[Tensor, "..."], Float[Tensor, "..."]]]
"""Mean and variance of what each batch-normalisation layer sees, `[seeds, settings, features]`
each, by layer."""

Record = MutableMapping[str, tuple[Float[Tensor, "..."], Float[Tensor, "..."]]]
"""`Moments` that a forward pass fills."""


@runtime_checkable
class Model(Protocol):
    """A network as a pure function of its parameters, over a stack of networks.

    Parameters come as `[seeds, settings, *shape]`, as views of memory that has the seeds
    outermost.  All networks of a seed see the same inputs.
    """

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each parameter by name, without stack dimensions."""

    @property
    def normalised(self) -> bool:
        """Whether any layer normalises by the moments of a batch."""

    @property
    def smooth(self) -> bool:
        """Whether the outputs are twice differentiable in the parameters."""

    @property
    def width(self) -> int:
        """Numbers that one example takes up at once in a forward pass without gradients."""

    def start(self, seed: int) -> Point:
        """Initial parameters `[*shape]`, float32, a pure function of model and seed."""

    def outputs(
        self,
        point: Point,
        inputs: Shaped[Tensor, "seeds batch *example"],
        moments: Moments | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "seeds settings outputs examples"]:
        """Outputs of every network for every example.

        Args:
            point: parameters, `[seeds, settings, *shape]`.
            inputs: `[seeds, batch, *example]`.
            moments: what batch normalisation uses; None for those of this very batch.
            record: filled with the moments of this batch.

        Returns:
            `[seeds, settings, outputs, examples]`; examples are the batch, or batch times
            positions for sequences (positions fastest).
        """


@runtime_checkable
class Supply(Protocol):
    """Where examples come from."""

    @property
    def example(self) -> tuple[int, ...]:
        """Shape of one example's input."""

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """The examples of a step, a pure function of (supply, seed, step).

        Returns:
            `inputs` [seeds, batch, *example] and `targets` [seeds, batch, ...].
        """

    def calibration(self) -> Shaped[Tensor, "count *example"]:
        """Training inputs over which the moments of batch normalisation are recomputed."""

    def test(self) -> tuple[Shaped[Tensor, "count *example"], Shaped[Tensor, "count ..."]]:
        """Inputs and targets that no batch contains."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """What is minimised, per example, and what is counted beside it on test examples.

    Args:
        name: what it is called.
        errors: from outputs [seeds, settings, outputs, examples] and targets
            [seeds, batch, ...] to the error of every example, [seeds, settings, examples].
        right: from the same to 1 for an example that is answered right, else 0; None where
            nothing is right or wrong.
    """

    name: str
    errors: Callable[
        [Float[Tensor, "seeds settings outputs examples"], Shaped[Tensor, "seeds batch ..."]],
        Float[Tensor, "seeds settings examples"],
    ]
    right: (
        Callable[
            [Float[Tensor, "seeds settings outputs examples"], Shaped[Tensor, "seeds batch ..."]],
            Shaped[Tensor, "seeds settings examples"],
        ]
        | None
    ) = None
