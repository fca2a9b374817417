"""ravine: how optimizers behave on problems whose difficulties are known.

The public names; each is imported when it is first used, so that importing the package,
or asking the command for its help, does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravine.comparison import Comparison, Question, compare
    from ravine.engine.mismatch import mismatch
    from ravine.engine.solo import solve
    from ravine.landscape.monitor import Monitor
    from ravine.landscape.sources import module_surface, surface
    from ravine.landscape.surface import Surface
    from ravine.optimizers import Method, Setting, method, trials
    from ravine.problems import Analytic, Facts, Problem, problem
    from ravine.problems.modules import ModuleProblem
    from ravine.records.schema import Outcome

__version__ = "0.1.0"

_HOMES = {
    "Analytic": "ravine.problems",
    "Comparison": "ravine.comparison",
    "Facts": "ravine.problems",
    "Method": "ravine.optimizers",
    "ModuleProblem": "ravine.problems.modules",
    "Monitor": "ravine.landscape.monitor",
    "Outcome": "ravine.records.schema",
    "Problem": "ravine.problems",
    "Question": "ravine.comparison",
    "Setting": "ravine.optimizers",
    "Surface": "ravine.landscape.surface",
    "compare": "ravine.comparison",
    "method": "ravine.optimizers",
    "mismatch": "ravine.engine.mismatch",
    "module_surface": "ravine.landscape.sources",
    "problem": "ravine.problems",
    "solve": "ravine.engine.solo",
    "surface": "ravine.landscape.sources",
    "trials": "ravine.optimizers",
}

__all__ = [
    "Analytic",
    "Comparison",
    "Facts",
    "Method",
    "ModuleProblem",
    "Monitor",
    "Outcome",
    "Problem",
    "Question",
    "Setting",
    "Surface",
    "__version__",
    "compare",
    "method",
    "mismatch",
    "module_surface",
    "problem",
    "solve",
    "surface",
    "trials",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `ravine` has no attribute `{name}`")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
