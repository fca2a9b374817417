"""Make the baseline of a method: its golden traces and its races."""

from collections.abc import Callable

from ravine.optimizers.base import Method
from ravine.regression.baseline import Baseline, versions
from ravine.regression.golden import record as record_traces
from ravine.regression.race import record as record_races


def record(method: Method, tick: Callable[[float], None] = lambda share: None) -> Baseline:
    """Run a method and keep what it did.

    Args:
        method: taken to be right.
        tick: told the share that is done.

    Returns:
        The baseline; nothing is written.
    """
    return Baseline(
        method=method.name,
        versions=versions(),
        traces=record_traces(method),
        races=record_races(method, tick),
    )
