"""Whether an optimizer is still what it was: contracts, golden traces, theory and statistics."""

from ravine.regression.baseline import Baseline, read_baseline, shipped, write_baseline
from ravine.regression.check import Report, check
from ravine.regression.decisions import Case, Decision, Gate, Status

__all__ = [
    "Baseline",
    "Case",
    "Decision",
    "Gate",
    "Report",
    "Status",
    "check",
    "read_baseline",
    "shipped",
    "write_baseline",
]
