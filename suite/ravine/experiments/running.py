"""Many runs at once: what experiments on formulas and on networks share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.engine.watch import Runs
from ravine.errors import BadValue
from ravine.optimizers.base import Setting
from ravine.optimizers.catalogue import method
from ravine.optimizers.space import trials
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import problem as built
from ravine.problems.networks.images import ImageSupply
from ravine.problems.networks.network import Network
from ravine.records.schema import NEVER


def only(name: str) -> Setting:
    """The setting that an id without anything to tune names; defaults for the rest."""
    (setting,) = trials(method(name), 1)
    return setting


def stacked(
    problem: Analytic, settings: Mapping[str, Setting], seeds: Sequence[int], steps: int
) -> dict[str, Runs]:
    """Run settings on a formula from many seeds, as one stack; the same runs as `solve`.

    Args:
        problem: a formula.
        settings: by label; whatever does not stack is refused.
        seeds: of the runs.
        steps: of each run.

    Returns:
        By label, the runs of that setting alone, `[1, seeds]` in each field.

    Raises:
        BadValue: a setting has to run alone; use `solve` for it.
    """
    pairs = [(setting, probe(setting.method)) for setting in settings.values()]
    for setting, level in pairs:
        if level is Level.ALONE:
            raise BadValue(f"`{setting.name}` does not stack; run it with `solve`")
    grid = run_grid([problem], pairs, list(seeds), steps)
    (runs,) = grid.runs
    return {
        label: replace(
            runs,
            **{name: getattr(runs, name)[k : k + 1] for name in _BY_SETTING},
            trace_loss=runs.trace_loss[:, k : k + 1],
            trace_gradient=runs.trace_gradient[:, k : k + 1],
        )
        for k, label in enumerate(settings)
    }


_BY_SETTING = ("hits", "start", "best", "final", "frozen", "moved", "point")


def first_hits(runs: Runs, target: int) -> list[float]:
    """The first step at a target for every seed, infinite where it was never reached."""
    hits = runs.hits[0, :, target].tolist()
    return [float("inf") if hit == NEVER else float(hit) for hit in hits]


def network(id: str) -> Network:
    """A network of the catalogue."""
    found = built(id)
    assert isinstance(found, Network)
    return found


def on_fewer(net: Network, *, count: int = 0, calibrated: int = 0) -> Network:
    """A network on fewer images, the first ones; 0 leaves as many as there are.

    Args:
        net: of images.
        count: that it trains on.
        calibrated: over which moments of batch normalisation are recomputed.
    """
    supply = net.supply
    assert isinstance(supply, ImageSupply)
    fewer = replace(supply, count=count or supply.count, calibrated=calibrated or supply.calibrated)
    return replace(net, supply=fewer)


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
