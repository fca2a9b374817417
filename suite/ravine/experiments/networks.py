"""Many training runs of a network as one stack, with the points they went through."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe
from ravine.experiments.running import only
from ravine.problems.base import Data, Point
from ravine.problems.catalogue import problem
from ravine.problems.networks.network import Network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """Runs of several settings from several seeds.

    Args:
        steps: at which points were kept, ascending, the first and the last among them.
        points: parameters as flat vectors, in the network's order.
        losses: of every step's minibatch.
        test_losses: of the ends, on the test examples.
        accuracies: likewise, shares of right answers.
    """

    steps: tuple[int, ...]
    points: Float[Tensor, "settings seeds kept P"]
    losses: Float[np.ndarray, "settings seeds steps"]
    test_losses: Float[np.ndarray, "settings seeds"]
    accuracies: Float[np.ndarray, "settings seeds"]

    @property
    def starts(self) -> Float[Tensor, "settings seeds P"]:
        """Where they began."""
        return self.points[:, :, 0]

    @property
    def ends(self) -> Float[Tensor, "settings seeds P"]:
        """Where they ended."""
        return self.points[:, :, -1]


def classifier(id: str) -> Network:
    """A network of the catalogue."""
    built = problem(id)
    assert isinstance(built, Network)
    return built


def trained(
    net: Network,
    settings: Sequence[str],
    seeds: Sequence[int],
    steps: int,
    *,
    keep: Sequence[int] = (),
    tick: Callable[[float], None] = lambda share: None,
) -> Trained:
    """Train a network by every setting from every seed, all as one stack.

    Args:
        net: a classifier.
        settings: ids of optimizers with nothing left to tune.
        seeds: of starts and minibatches; all settings share them.
        steps: of each run.
        keep: steps after which points are kept, beside the first and the last.
        tick: told the share of steps that are done.
    """
    marks = tuple(sorted({0, steps, *keep}))
    given = {f.name: getattr(net, f.name) for f in fields(Network)}
    kept = _Kept(**given, marks=frozenset(marks))
    pairs = [(only(name), probe(only(name).method)) for name in settings]
    _, scores = run_network_grid(
        kept, pairs, list(seeds), steps, tick=lambda step: tick(step / steps)
    )
    return Trained(
        steps=marks,
        points=torch.stack(kept.points, 2),
        losses=torch.stack(kept.losses, -1).double().numpy(),
        test_losses=scores["test_loss"].double().numpy(),
        accuracies=scores["accuracy"].double().numpy(),
    )


def stretch(tick: Callable[[float], None], first: float, length: float) -> Callable[[float], None]:
    """A listener for one part of the work, which is told that part's own share.

    Example:
        >>> heard = []
        >>> stretch(heard.append, 0.5, 0.25)(1.0)
        >>> heard
        [0.75]
    """

    def told(share: float) -> None:
        tick(first + length * share)

    return told


@dataclass(frozen=True, kw_only=True)
class _Kept(Network):
    """A network that remembers where it was asked for its loss; a grid asks once a step."""

    marks: frozenset[int]
    points: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)

    def loss(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        if len(self.losses) in self.marks:
            rows = [point[name].detach().flatten(2) for name in self.shapes]
            self.points.append(torch.cat(rows, -1))
        found = super().loss(point, data)
        self.losses.append(found.detach())
        return found
