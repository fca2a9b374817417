"""What is minimised: formulas by difficulty, networks, and a user's own functions."""

from ravine.problems.analytic import Analytic
from ravine.problems.base import CriticalPoint, Facts, Goal, Kind, Problem, Traits
from ravine.problems.catalogue import problem, problems

__all__ = [
    "Analytic",
    "CriticalPoint",
    "Facts",
    "Goal",
    "Kind",
    "Problem",
    "Traits",
    "problem",
    "problems",
]
