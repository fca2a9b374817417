"""How far optimizers get: seeded, in double precision, so any step in history is a change.

Lower is better for all of them, and everything of a commit comes from one grid.
"""

import math
import statistics

from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.watch import Runs
from ravine.optimizers import method, trials
from ravine.problems import problem
from ravine.records.schema import NEVER

METHODS = ("sgd", "heavy_ball", "adam", "adamw", "rmsprop", "adagrad")
PROBLEMS = ("sphere", "rosenbrock", "ellipsoid_1e4", "himmelblau")
STEPS = 500
SEEDS = range(5)


class Convergence:
    """The best of sixteen rates by the median over seeds."""

    params = (METHODS, PROBLEMS)
    param_names = ("method", "problem")
    timeout = 300

    def setup_cache(self) -> dict[tuple[str, str], Runs]:
        built = [problem(name) for name in PROBLEMS]
        found = {}
        for name in METHODS:
            subject = method(name)
            pairs = [(s, probe(subject)) for s in trials(subject, 16)]
            grid = run_grid(built, pairs, SEEDS, STEPS)
            found.update({(name, p): runs for p, runs in zip(PROBLEMS, grid.runs, strict=True)})
        return found

    def track_steps_to_target(self, cache, name: str, target: str) -> float:  # type: ignore[no-untyped-def]
        """Median steps to a relative gap of 1e-4; a miss counts as twice the budget."""
        hits = cache[name, target].hits[:, :, 3]
        steps = [[2 * STEPS if h == NEVER else h for h in row] for row in hits.tolist()]
        return float(min(statistics.median(row) for row in steps))

    def track_log_gap(self, cache, name: str, target: str) -> float:  # type: ignore[no-untyped-def]
        """log10 of the relative gap at the end, median over seeds, best rate."""
        runs = cache[name, target]
        minimum = problem(target).facts.minimum or 0.0
        gaps = (runs.final - minimum) / (runs.start - minimum)
        best = min(statistics.median(row) for row in gaps.tolist())
        return math.log10(max(best, 1e-16))

    def track_failure_share(self, cache, name: str, target: str) -> float:  # type: ignore[no-untyped-def]
        """Share of rates and seeds that diverge."""
        return float((cache[name, target].frozen != NEVER).mean())


for _track, _unit in (
    (Convergence.track_steps_to_target, "steps"),
    (Convergence.track_log_gap, "log10 gap"),
    (Convergence.track_failure_share, "share"),
):
    _track.unit = _unit  # type: ignore[attr-defined]
    _track.version = "1"  # type: ignore[attr-defined]
