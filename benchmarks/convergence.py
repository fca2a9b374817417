"""How far optimizers get, and where: seeded, so that any step in a history is a change.

Lower is better for all of them, and everything of a commit is computed once, by `setup_cache`.
Formulas run in double precision, networks in single precision.
"""

import math
from collections.abc import Mapping

from benchmarks.profiles import chosen, marked, since_it_exists

PROFILE = chosen()
STEPS = 500
SEEDS = range(5)
TRAINING = 60
"""Steps of a network."""
ROUNDING = 1e-16
"""Relative gaps below it are rounding, not progress."""
timeout = 1800

Found = Mapping[str, Mapping[tuple[str, ...], float]]
"""By the name of a track, then by its parameters."""

_TRACKS = ("steps_to_target", "log_gap", "failure_share")


def setup_cache() -> Found:
    """Run everything, and keep the numbers alone."""
    import torch

    torch.set_num_threads(1)
    found: dict[str, dict[tuple[str, ...], float]] = _grid()
    for name, measure in (
        ("sharpness", _sharpness),
        ("smoothness", _smoothness),
        ("state_bytes", _state),
    ):
        try:
            with since_it_exists():
                found[name] = measure()
        except NotImplementedError:
            found[name] = {}
    return found


def setup(found: Found, *which: str) -> None:
    """Skip what this version could not measure at all."""
    if not any(which in track for track in found.values()):
        raise NotImplementedError


class Convergence:
    """The best of sixteen rates by the median over seeds."""

    params = (PROFILE.methods, PROFILE.problems)
    param_names = ("method", "problem")

    @marked("steps")
    def track_steps_to_target(self, found: Found, *which: str) -> float:
        """Median steps to a relative gap of 1e-4; a miss counts as twice the budget."""
        return found["steps_to_target"][which]

    @marked("decades above 1e-16")
    def track_log_gap(self, found: Found, *which: str) -> float:
        """log10 of the relative gap at the end over 1e-16, which asv can take ratios of."""
        return found["log_gap"][which]

    @marked("share")
    def track_failure_share(self, found: Found, *which: str) -> float:
        """Share of rates and seeds that diverge."""
        return found["failure_share"][which]


class End:
    """Where a network's run ends, at that of sixteen rates which led lowest."""

    params = (PROFILE.methods, PROFILE.networks)
    param_names = ("method", "network")

    @marked("largest eigenvalue")
    def track_sharpness(self, found: Found, *which: str) -> float:
        """The largest eigenvalue of the Hessian over 500 images."""
        return found["sharpness"][which]


class Way:
    """The ground along 20 steps of gradient descent."""

    params = (PROFILE.deep,)
    param_names = ("network",)

    @marked("beta")
    def track_smoothness(self, found: Found, *which: str) -> float:
        """Santurkar's effective beta, the median over the way."""
        return found["smoothness"][which]


class State:
    """Memory that a method holds for each parameter."""

    params = (PROFILE.methods,)
    param_names = ("method",)

    @marked("bytes")
    def track_state_bytes(self, found: Found, *which: str) -> float:
        """Bytes of state for each element of a float32 matrix."""
        return found["state_bytes"][which]


def _grid() -> dict[str, dict[tuple[str, ...], float]]:
    import numpy as np

    from ravine.engine.grid import run_grid
    from ravine.engine.probe import probe
    from ravine.optimizers import method, trials
    from ravine.problems import problem
    from ravine.records.schema import NEVER

    built = [problem(name) for name in PROFILE.problems]
    found: dict[str, dict[tuple[str, ...], float]] = {track: {} for track in _TRACKS}
    for name in PROFILE.methods:
        subject = method(name)
        pairs = [(s, probe(subject)) for s in trials(subject, 16)]
        grid = run_grid(built, pairs, SEEDS, STEPS)
        for target, runs in zip(built, grid.runs, strict=True):
            key = (name, target.name)
            hits = runs.hits[:, :, 3]
            steps = np.where(hits == NEVER, 2 * STEPS, hits)
            gaps = (runs.final - target.facts.minimum) / (runs.start - target.facts.minimum)
            gaps = np.nan_to_num(gaps, nan=np.inf)
            found["steps_to_target"][key] = float(np.median(steps, axis=1).min())
            best = max(float(np.median(gaps, axis=1).min()), ROUNDING)
            found["log_gap"][key] = math.log10(best / ROUNDING)
            found["failure_share"][key] = float((runs.frozen != NEVER).mean())
    return found


def _sharpness() -> dict[tuple[str, ...], float]:
    from ravine.engine.walk import walk
    from ravine.landscape.operators import hessian
    from ravine.landscape.sources import surface
    from ravine.landscape.spectrum.lanczos import extreme
    from ravine.landscape.surface import loss
    from ravine.optimizers import method, trials
    from ravine.problems import problem

    found = {}
    for target in PROFILE.networks:
        network = problem(target)
        ground = surface(network, examples=500)
        for name in PROFILE.methods:
            ways = [walk(network, s, 0, TRAINING, keep=()) for s in trials(method(name), 16)]
            ends = [way.end for way in ways if way.diverged is None]
            lowest = min(ends, key=lambda x: loss(ground, x).item())
            top = extreme(hessian(ground, lowest), largest=1)
            found[name, target] = top.values[0] if all(top.converged) else math.nan
    return found


def _smoothness() -> dict[tuple[str, ...], float]:
    import numpy as np

    from ravine.engine.walk import walk
    from ravine.landscape.smoothness import smoothness_along
    from ravine.optimizers import Setting, method
    from ravine.problems import problem

    found = {}
    for target in PROFILE.deep:
        network = problem(target)
        way = walk(network, Setting(method("sgd"), (("lr", 0.1),)), 0, 20)
        measures = smoothness_along(network, way, 0.1).measures
        found[(target,)] = float(np.median([m.beta for m in measures]))
    return found


def _state() -> dict[tuple[str, ...], float]:
    from ravine.optimizers import method
    from ravine.optimizers.cost import state_bytes_per_element

    return {(name,): state_bytes_per_element(method(name), (128, 784)) for name in PROFILE.methods}
