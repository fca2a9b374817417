"""What a gate decides, and of whom."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch

from ravine.optimizers.base import Method
from ravine.regression.baseline import Baseline


class Gate(StrEnum):
    """The layers of a check, each with its own rate of false alarms."""

    CONTRACT = "contract"
    """What any optimizer promises by being a `torch.optim.Optimizer`.  Deterministic."""
    GOLDEN = "golden trace"
    """The path of a stored run, within rounding.  Deterministic."""
    THEORY = "theory"
    """What a theorem says of the algorithm.  Deterministic, or with a stated chance."""
    STATISTICS = "statistics"
    """Steps to target and final gap, seed by seed.  The chance of any false alarm is alpha."""


class Status(StrEnum):
    """What a decision comes to."""

    SAME = "same"
    BETTER = "better"
    DIFFERENT = "different"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One thing that was held against what it should be.

    Args:
        gate: which layer decided.
        name: what was looked at, in words: `resumes from its state dict`,
            `rosenbrock, weight_decay=0.1`.
        status: what it comes to; `LEFT_OUT` where it could not be looked at.
        expected: what should be, the end of the sentence "expected ...".
        seen: what was, the end of the sentence "seen ..."; where left out, the reason.
        size: by how much, as a ratio or a relative deviation; None where it is no number.
        n: runs or seeds that were looked at.
        chance: probability to see as much, or more, if nothing were wrong; 0 where nothing
            is random.
        source: paper or theorem, empty where there is none.
    """

    gate: Gate
    name: str
    status: Status
    expected: str
    seen: str
    size: float | None = None
    n: int = 1
    chance: float = 0.0
    source: str = ""

    @property
    def sentence(self) -> str:
        """The whole of it for people.

        Example:
            >>> moved = Decision(gate=Gate.CONTRACT, name="zero gradient", n=2,
            ...     status=Status.DIFFERENT, expected="no movement", seen="a step")
            >>> moved.sentence
            'contract `zero gradient`: expected no movement, seen a step (n = 2, deterministic)'
        """
        if self.status is Status.LEFT_OUT:
            return f"{self.gate} `{self.name}`: left out, {self.seen}"
        sure = f"probability by chance {self.chance:.1e}" if self.chance else "deterministic"
        said = f"expected {self.expected}, seen {self.seen} (n = {self.n}, {sure})"
        return f"{self.gate} `{self.name}`: {said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is held against what.

    Args:
        method: the candidate.
        baseline: what it should be no worse than; None where it is only held to contracts
            and to laws for all optimizers.
        claim: the method that the baseline was made of, whose theory is to hold; None
            without a baseline, or where it cannot be built here.
        alpha: chance of any false alarm of the statistics.
        dtype: of the candidate's parameters; double precision unless it cannot.
        tick: told the share of a gate that is done.
    """

    method: Method
    baseline: Baseline | None = None
    claim: Method | None = None
    alpha: float = 1e-3
    dtype: torch.dtype = torch.float64
    tick: Callable[[float], None] = lambda share: None
