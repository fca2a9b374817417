"""Many optimizers from the same starts, trained as one stack, with their points kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe
from ravine.errors import BadValue
from ravine.experiments.experiment import Scale
from ravine.experiments.running import only
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface
from ravine.optimizers.base import Setting
from ravine.problems.base import Data, Point
from ravine.problems.catalogue import problem
from ravine.problems.networks.network import Network

PAPER = "Im, Tao, Branson (2016), arXiv 1612.04010"

FIVE = {
    "SGD": "sgd(lr=0.1)",
    "heavy ball": "heavy_ball(lr=0.03)",
    "RMSprop": "rmsprop(lr=0.001)",
    "Adadelta": "adadelta(lr=1.0)",
    "Adam": "adam(lr=0.001)",
}
"""The paper's optimizers, at usual rates."""

EVERY = FIVE | {
    "ASGD": "asgd(lr=0.1)",
    "Nesterov": "nesterov(lr=0.03)",
    "Adagrad": "adagrad(lr=0.01)",
    "Rprop": "rprop(lr=0.001)",
    "Adafactor": "adafactor(lr=0.01)",
    "AdamW": "adamw(lr=0.001)",
    "NAdam": "nadam(lr=0.001)",
    "RAdam": "radam(lr=0.001)",
    "Adamax": "adamax(lr=0.002)",
}
"""Every family of torch whose runs can share a stack, at usual rates."""

MINIBATCH = tuple(name for name in EVERY if name != "Rprop")
"""Those that are meant for minibatches.

Under their noise Rprop lets the steps of weights from blank pixels grow without end, and its
solutions lie a thousand times as far away as all others.
"""

RATES = {"SGD at 0.03": "sgd(lr=0.03)", "SGD at 0.3": "sgd(lr=0.3)"}
"""One method at other rates, trained beside them."""

SWITCHES = (0.25, 0.5, 0.75)
"""When SGD is left, as a share of a run."""

PARTS = 8
"""Of a run, between points that are kept."""

Points = Float[Tensor, "settings seeds P"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept(Network):
    """A network whose runs may begin where others were, and whose points are kept.

    Args:
        begun: by seed, where a run begins instead of at the network's own start.
        passed: steps that lie behind such a run, so that it goes on with their minibatches.
        marks: steps at which points are kept.
        points: filled with them, by step.
        clock: filled with the step of the last minibatch.
    """

    begun: Mapping[int, Point] = field(default_factory=dict)
    passed: int = 0
    marks: frozenset[int] = frozenset()
    points: dict[int, Points] = field(default_factory=dict)
    clock: list[int] = field(default_factory=lambda: [0])

    def start(self, seed: int) -> Point:
        """Where it was told to begin, else the network's start."""
        return self.begun[seed] if seed in self.begun else super().start(seed)

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """The minibatches after those that were passed."""
        self.clock[0] = step
        return super().batch(seeds, step + self.passed)

    def loss(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        """The network's loss; takes note of the point."""
        if self.clock[0] in self.marks:
            rows = [point[name].detach().flatten(2) for name in self.shapes]
            self.points[self.clock[0]] = torch.cat(rows, -1)
        return super().loss(point, data)

    def evaluate(self, point: Point, data: Data) -> Mapping[str, Float[Tensor, "*stack"]]:
        """Nothing: points are evaluated afterwards."""
        del point, data
        return {}


def train(
    net: Network,
    settings: Sequence[Setting],
    seeds: Sequence[int],
    steps: int,
    *,
    marks: Sequence[int] = (),
    begun: Mapping[int, Point] | None = None,
    passed: int = 0,
    tick: Callable[[float], None] = lambda share: None,
) -> dict[int, Points]:
    """Train every setting from every seed at once.

    Args:
        net: what is trained.
        settings: optimizers whose runs can share a stack.
        seeds: of starts and minibatches.
        steps: of each run.
        marks: steps whose points are kept beside the last.
        begun: see `Kept`.
        passed: see `Kept`.
        tick: told the share that is done.

    Returns:
        Points by step.

    Raises:
        BadValue: an optimizer fails.
    """
    kept = Kept(
        model=net.model,
        supply=net.supply,
        criterion=net.criterion,
        facts=net.facts,
        traits=net.traits,
        name=net.name,
        begun=begun or {},
        passed=passed,
        marks=frozenset((*marks, steps)),
    )
    # small tensors of the same ranks tell as much of a method, and sooner
    shapes = tuple(tuple(min(size, 6) for size in shape) for shape in net.shapes.values())
    pairs = [(setting, probe(setting.method, shapes)) for setting in settings]
    grid, _ = run_network_grid(kept, pairs, seeds, steps, tick=lambda k: tick(k / steps))
    if grid.failures:
        raise BadValue(f"optimizers failed: {grid.failures}; leave them out")
    return kept.points


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """Where every optimizer came to from every start.

    Args:
        net: that was trained.
        ground: its loss over training examples.
        test: over test examples.
        names: of the optimizers, `EVERY` first and then `RATES`.
        seeds: of the starts.
        steps: of each run.
        points: by step, optimizers by starts; the last are the ends.
    """

    net: Network
    ground: Surface
    test: Surface
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    points: dict[int, Points]

    @property
    def ends(self) -> Points:
        """The solutions."""
        return self.points[self.steps]

    def of(self, names: Sequence[str]) -> Points:
        """The solutions of some optimizers."""
        return self.ends[[self.names.index(name) for name in names]]


def trained(scale: Scale, tick: Callable[[float], None]) -> Trained:
    """Train all optimizers from all starts; once for all experiments of a process."""
    found = _trained(scale)
    tick(0.6)
    return found


@cache
def _trained(scale: Scale) -> Trained:
    net = problem(scale.choose("mnist_mlp(widths=(32, 32))", "mnist_mlp(widths=(128, 128))"))
    assert isinstance(net, Network)
    seeds = tuple(range(scale.choose(5, 10)))
    steps = scale.choose(300, 5 * net.traits.budget)
    each = {name: only(id) for name, id in (EVERY | RATES).items()}
    marks = [round(k * steps / PARTS) for k in range(PARTS)]
    return Trained(
        net=net,
        ground=surface(net, examples=scale.choose(1024, 10_000)),
        test=surface(net, split="test", examples=None),
        names=tuple(each),
        seeds=seeds,
        steps=steps,
        points=train(net, list(each.values()), seeds, steps, marks=marks),
    )
