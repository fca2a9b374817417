"""Where the numbers of a table come from, for the line below it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version

MEDIAN = "medians with 95% intervals by order statistics"
SHARE = "shares with 95% Wilson intervals"


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """The versions of what made the numbers, as installed."""
    return tuple((name, _version(name)) for name in ("ravine", "torch"))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What all tables of a report have in common.

    Args:
        plan: the name of the plan, or the command that was given.
        versions: name and version of what made the numbers.
        commit: of the repository, empty where there is none.
        alpha: error probability of each pair's verdicts.
    """

    plan: str = "not named"
    versions: tuple[tuple[str, str], ...] = field(default_factory=versions)
    commit: str = ""
    alpha: float = 0.05

    @property
    def test(self) -> str:
        """How two methods were compared."""
        return (
            "verdicts by paired signed-rank and equivalence tests over seeds, Holm-corrected "
            f"over the problems of each pair, alpha = {self.alpha:g}"
        )

    def footer(self, *notes: str, n: Sequence[int] | None = None, unit: str = "seeds") -> str:
        """The line below a table.

        Args:
            notes: kind of interval, test and correction.
            n: the numbers of repetitions that occur; None where a cell has none.
            unit: what is repeated.
        """
        made = ", ".join(f"{name} {number}" for name, number in self.versions)
        parts = [f"plan: {self.plan}", made + (f", commit {self.commit}" if self.commit else "")]
        if n:
            span = str(n[0]) if len(set(n)) == 1 else f"{min(n)} to {max(n)}"
            parts.append(f"n = {span} {unit} per cell")
        return "; ".join([*parts, *notes]) + "."
