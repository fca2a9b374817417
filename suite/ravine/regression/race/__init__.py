"""The statistical gate: steps to target and final gap against a stored baseline, seed by seed."""

from ravine.regression.race.deciding import decide
from ravine.regression.race.recording import record

__all__ = ["decide", "record"]
