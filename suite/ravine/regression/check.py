"""Hold an optimizer against what it was, gate by gate."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Protocol

import torch

from ravine.errors import BadValue, Mismatch, RavineError
from ravine.optimizers.base import Method
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.catalogue import method
from ravine.regression.baseline import Baseline, read_baseline, shipped
from ravine.regression.decisions import Case, Decision, Gate, Status

Decide = Callable[[Case], Iterator[Decision]]

_HOMES: Mapping[Gate, str] = {
    Gate.CONTRACT: "ravine.regression.contracts",
    Gate.GOLDEN: "ravine.regression.golden",
    Gate.THEORY: "ravine.regression.theory",
    Gate.STATISTICS: "ravine.regression.race",
}
"""Where a gate's `decide` is."""


class Listener(Protocol):
    """Who is told how a check goes."""

    def begin(self, stage: str, seconds: float | None = None) -> None:
        """A gate begins."""

    def advance(self, share: float) -> None:
        """The gate's share done so far, between 0 and 1."""


class Silence:
    """A listener that does nothing."""

    def begin(self, stage: str, seconds: float | None = None) -> None:
        """Do nothing."""

    def advance(self, share: float) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found.

    Args:
        method: canonical id of the candidate.
        against: what it was held against, in words; empty where there was no baseline.
        versions: that made the baseline.
        alpha: chance of any false alarm of the statistics.
        decisions: all of them, gate by gate.
        seconds: that it took.
    """

    method: str
    against: str
    versions: Mapping[str, str]
    alpha: float
    decisions: tuple[Decision, ...]
    seconds: float

    def of(self, status: Status) -> tuple[Decision, ...]:
        """The decisions that came to a status."""
        return tuple(d for d in self.decisions if d.status is status)

    @property
    def passed(self) -> bool:
        """Whether the candidate is the same or better."""
        return not self.of(Status.DIFFERENT)


def decide(gate: Gate, case: Case) -> Iterator[Decision]:
    """Let one gate decide.

    Args:
        gate: which.
        case: what is held against what.
    """
    home: Decide = import_module(_HOMES[gate]).decide
    yield from home(case)


def check(
    candidate: str | Method,
    against: str | Path | Baseline | None = None,
    *,
    gates: Collection[Gate] = tuple(Gate),
    alpha: float = 1e-3,
    dtype: torch.dtype = torch.float64,
    listener: Listener | None = None,
) -> Report:
    """Hold an optimizer against a baseline.

    A difference in a contract, a golden trace or a theorem is a difference, however the
    optimizer fares; the statistics also know better and worse.

    Args:
        candidate: id, or a method.
        against: a baseline, the path of one, or the id of a method, whose shipped baseline
            is taken, or is made now where none is shipped; None for the candidate's own.
        gates: which layers decide.
        alpha: chance of any false alarm of the statistics.
        dtype: of the candidate's parameters.
        listener: told of gates and progress.

    Returns:
        The report; nothing is written.

    Raises:
        Mismatch: the candidate cannot step at all.
        RavineError: a name, value or file is wrong.
    """
    if not 0 < alpha < 1:
        raise BadValue(f"`alpha` must lie between 0 and 1, got {alpha}; 0.001 is usual")
    started = time.perf_counter()
    tell = listener or Silence()
    subject = method(candidate) if isinstance(candidate, str) else candidate
    if reason := capabilities(subject).reason:
        raise Mismatch(f"`{subject.name}` cannot step: {reason}; mend that first")
    baseline, words = _found(subject, against, tell)
    case = Case(
        method=subject,
        baseline=baseline,
        claim=_claimed(baseline),
        alpha=alpha,
        dtype=dtype,
        tick=tell.advance,
    )
    decisions: list[Decision] = []
    for gate in (g for g in Gate if g in gates):
        tell.begin(f"{gate}")
        decisions += decide(gate, case)
    return Report(
        method=subject.name,
        against=words,
        versions=baseline.versions if baseline else {},
        alpha=alpha,
        decisions=tuple(decisions),
        seconds=time.perf_counter() - started,
    )


def _found(
    subject: Method, against: str | Path | Baseline | None, tell: Listener
) -> tuple[Baseline | None, str]:
    """The baseline that is meant, and words for it."""
    if isinstance(against, Baseline):
        return against, f"the given baseline of {against.method}"
    if against is None:
        own = shipped(subject.name)
        return own, f"the shipped baseline of {subject.name}" if own else ""
    if isinstance(against, Path) or str(against).endswith(".json"):
        return read_baseline(Path(against)), f"{against}"
    if ready := shipped(against):
        return ready, f"the shipped baseline of {ready.method}"
    from ravine.regression.record import record

    other = method(against)
    tell.begin(f"a baseline of {other.name}")
    return record(other, tell.advance), f"{other.name}, run now"


def _claimed(baseline: Baseline | None) -> Method | None:
    if baseline is None:
        return None
    try:
        return method(baseline.method)
    except RavineError:  # a baseline of a file that is not here
        return None


def with_dtype(case: Case) -> Case:
    """The case in a precision that its candidate can step in."""
    return replace(case, dtype=torch.float32) if capabilities(case.method).single_only else case
