"""A network as a problem: a model, trained on a supply of examples by a criterion."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ravine.problems.base import Data, Facts, Goal, Point, Problem, Traits
from ravine.problems.networks.model import Criterion, Model, Moments, Record, Supply
from ravine.problems.networks.targets import REFERENCE_TARGETS

LIVE_FLOATS = 2**26
"""Numbers that the activations of an evaluation may take up at once: 256 MB of float32."""

SOURCE = "targets: this package's own runs of a tuned reference"


@dataclass(frozen=True, kw_only=True)
class Network(Problem):
    """The mean error of a model's outputs over a minibatch.

    Training uses the moments of the minibatch wherever a layer normalises by a batch.
    Stacked products may round differently from single ones; they agree to rounding, not to
    the bit.

    Args:
        model: the function and its initial parameters.
        supply: the examples.
        criterion: the error of an example.
        facts: targets, where a reference has been run.
        traits: what an engine must know.
        name: canonical id, filled by the registry.
        version: raised when the problem's meaning changes.
    """

    model: Model
    supply: Supply
    criterion: Criterion
    facts: Facts = field(default_factory=Facts)
    traits: Traits = field(default_factory=Traits)
    name: str = ""
    version: int = 1

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The model's parameters."""
        return self.model.shapes

    def start(self, seed: int) -> Point:
        """The model's initial parameters."""
        return self.model.start(seed)

    def instance(self, seeds: Sequence[int]) -> Data:
        """Nothing: seeds differ in their start and in the order of their minibatches."""
        del seeds
        return {}

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """`inputs` [seeds, batch, *example] and `targets` [seeds, batch, ...]."""
        return self.supply.batch(seeds, step)

    def loss(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        """Mean error of the minibatch for every stacked network.

        Args:
            point: parameters, `[*stack, *shape]`; float64 parameters see float64 inputs.
            data: `inputs` [*seeds, batch, *example] and `targets` [*seeds, batch, ...].
        """
        inputs, targets = data["inputs"], data["targets"]
        if inputs.dim() == len(self.supply.example) + 1:
            inputs, targets = inputs.unsqueeze(0), targets.unsqueeze(0)
            stack = _stack(point, self.shapes)
            return self._errors(point, inputs, targets).mean(-1).view(stack)
        stack = _stack(point, self.shapes)
        return self._errors(point, inputs, targets).mean(-1).t().reshape(stack)

    def moments(self, point: Point) -> Moments:
        """Moments of every batch-normalisation layer, recomputed over the training inputs.

        All of `supply.calibration()` is one batch, so that each layer sees inputs that are
        normalised by the very moments that are returned.

        Args:
            point: parameters, `[*stack, *shape]`.

        Returns:
            Mean and variance by layer, `[1, networks, features]` each, with the stack as one
            dimension.
        """
        inputs = self.supply.calibration()[None]
        parts: list[Record] = []
        with torch.no_grad():
            for networks in self._blocks(point, inputs.shape[1]):
                record: Record = {}
                self.model.outputs(networks, _like(inputs, networks), record=record)
                parts.append(record)
        return {
            layer: (
                torch.cat([part[layer][0] for part in parts], 1),
                torch.cat([part[layer][1] for part in parts], 1),
            )
            for layer in parts[0]
        }

    def evaluate(self, point: Point, data: Data) -> Mapping[str, Float[Tensor, "*stack"]]:
        """Mean error, and share of right answers where there are any, over the test examples.

        Batch normalisation uses moments recomputed over the training inputs.  `data` is not
        used.  Activations are held to 256 MB by taking networks and examples in parts.
        """
        del data
        moments = self.moments(point) if self.model.normalised else None
        return self.score(point, moments)

    def score(self, point: Point, moments: Moments | None) -> Mapping[str, Float[Tensor, "*stack"]]:
        """As `evaluate`, by given moments: frozen ones, or None for those of the test inputs.

        Args:
            point: parameters, `[*stack, *shape]`.
            moments: from `moments`, at this point or at another.
        """
        stack = _stack(point, self.shapes)
        inputs, targets = self.supply.test()
        networks = math.prod(stack)
        every = _seeds_first(point, self.shapes, 1)
        total = torch.zeros(networks, dtype=torch.float64)
        right = torch.zeros(networks, dtype=torch.float64)
        size = len(inputs)
        part = size
        if moments is not None or not self.model.normalised:
            part = max(1, LIVE_FLOATS // (networks * self.model.width))
        examples = 0
        with torch.no_grad():
            for first in range(0, size, part):
                some = _like(inputs[None, first : first + part], every)
                wanted = _like(targets[None, first : first + part], every)
                outputs = self.model.outputs(every, some, moments)
                total += self.criterion.errors(outputs, wanted)[0].double().sum(-1).cpu()
                examples += outputs.shape[-1]
                if self.criterion.right is not None:
                    right += self.criterion.right(outputs, wanted)[0].double().sum(-1).cpu()
        found = {"test_loss": (total / examples).view(stack)}
        if self.criterion.right is not None:
            found["accuracy"] = (right / examples).view(stack)
        return found

    def answers(
        self, point: Point, data: Data, moments: Moments | None = None
    ) -> tuple[Float[Tensor, "1 networks outputs examples"], Shaped[Tensor, "1 batch ..."]]:
        """What every stacked network answers to the same examples, and what is right.

        Args:
            point: parameters, `[*stack, *shape]`; float64 parameters see float64 inputs.
            data: `inputs` [batch, *example] and `targets` [batch, ...].
            moments: of batch normalisation, from `moments`; None for those of these examples.

        Returns:
            Outputs, and targets as the criterion takes them.
        """
        parameters = _seeds_first(point, self.shapes, 1)
        inputs, targets = (_like(data[n][None], parameters) for n in ("inputs", "targets"))
        return self.model.outputs(parameters, inputs, moments), targets

    def _errors(
        self,
        point: Point,
        inputs: Shaped[Tensor, "seeds batch *example"],
        targets: Shaped[Tensor, "seeds batch ..."],
    ) -> Float[Tensor, "seeds settings examples"]:
        parameters = _seeds_first(point, self.shapes, len(inputs))
        outputs = self.model.outputs(parameters, _like(inputs, parameters))
        return self.criterion.errors(outputs, _like(targets, parameters))

    def _blocks(self, point: Point, examples: int) -> Iterator[Point]:
        """Some networks at a time, so that all examples of a block are held at once."""
        every = _seeds_first(point, self.shapes, 1)
        networks = next(iter(every.values())).shape[1]
        size = max(1, LIVE_FLOATS // (examples * self.model.width))
        for first in range(0, networks, size):
            yield {name: p[:, first : first + size] for name, p in every.items()}


def network(model: Model, supply: Supply, criterion: Criterion, budget: int, id: str) -> Network:
    """A network under its id, held to the reference that was measured for it, if one was.

    Args:
        model: the function.
        supply: the examples.
        criterion: the error of an example.
        budget: steps that a run gets.
        id: without default arguments; names the targets.
    """
    return Network(
        model=model,
        supply=supply,
        criterion=criterion,
        facts=Facts(goal=Goal.REFERENCE, targets=REFERENCE_TARGETS.get(id, ()), source=SOURCE),
        traits=Traits(stochastic=True, noisy_value=True, smooth=model.smooth, budget=budget),
        name=id,
    )


def _stack(point: Point, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    name, shape = next(iter(shapes.items()))
    return tuple(point[name].shape[: point[name].dim() - len(shape)])


def _seeds_first(
    point: Point, shapes: Mapping[str, tuple[int, ...]], seeds: int
) -> dict[str, Tensor]:
    """Parameters `[seeds, settings, *shape]` of a stack whose last dimension is the seeds."""
    layout = {name: (-1, seeds, *shape) for name, shape in shapes.items()}
    return {
        # a view that changes nothing would still be a node for the backward pass
        name: (p if p.shape[1:] == size[1:] else p.reshape(size)).transpose(0, 1)
        for name, size in layout.items()
        for p in (point[name],)
    }


def _like(examples: Shaped[Tensor, "..."], point: Point) -> Shaped[Tensor, "..."]:
    """Examples on the device of the parameters; numbers, but not labels, in their dtype."""
    weight = next(iter(point.values()))
    return examples.to(weight) if examples.is_floating_point() else examples.to(weight.device)
