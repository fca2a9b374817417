"""A monitor that any training loop can carry, and what it measures of a step."""

from ravine.landscape.monitor.descent import Descent, descent
from ravine.landscape.monitor.findings import Findings, findings
from ravine.landscape.monitor.schedule import log_spaced
from ravine.landscape.monitor.training import Watched, watch
from ravine.landscape.monitor.watching import Look, Monitor, Move, as_frame

__all__ = [
    "Descent",
    "Findings",
    "Look",
    "Monitor",
    "Move",
    "Watched",
    "as_frame",
    "descent",
    "findings",
    "log_spaced",
    "watch",
]
