"""Many optimizers from the same starts, trained as one stack, with their points kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from jaxtyping import Float
from torch import Tensor

from ravine.engine.walks import Walks, walks
from ravine.experiments.experiment import Scale
from ravine.experiments.running import network, only
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface
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
        way: of all runs, with points kept along it.
    """

    net: Network
    ground: Surface
    test: Surface
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    way: Walks

    def of(self, names: Sequence[str]) -> Points:
        """The solutions of some optimizers."""
        return self.way.ends[[self.names.index(name) for name in names]]


def trained(scale: Scale, tick: Callable[[float], None]) -> Trained:
    """Train all optimizers from all starts; once for all experiments of a process."""
    found = _trained(scale)
    tick(0.6)
    return found


@cache
def _trained(scale: Scale) -> Trained:
    net = network(scale.choose("mnist_mlp(widths=(32, 32))", "mnist_mlp(widths=(128, 128))"))
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
        way=walks(net, list(each.values()), seeds, steps, keep=marks),
    )
