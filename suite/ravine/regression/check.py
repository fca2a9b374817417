"""Hold an optimizer against what it was, gate by gate."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from ravine.errors import BadValue, Mismatch, RavineError
from ravine.optimizers.base import Method
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.catalogue import method
from ravine.registry import parse
from ravine.regression.baseline import Baseline, filename, read_baseline, shipped
from ravine.regression.decisions import Case, Decision, Gate, Status

Decide = Callable[[Case], Iterator[Decision]]

_HOMES: Mapping[Gate, str] = {
    Gate.CONTRACT: "ravine.regression.contracts",
    Gate.GOLDEN: "ravine.regression.golden",
    Gate.THEORY: "ravine.regression.theory",
    Gate.STATISTICS: "ravine.regression.race",
}
"""Where a gate's `decide` is."""

KEPT = Path("ravine-baselines")
"""Where a user's own baselines lie, from the current folder."""


@runtime_checkable
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
        dtype: of the candidate's parameters, as torch names it.
        decisions: all of them, gate by gate.
        seconds: that it took.
    """

    method: str
    against: str
    versions: Mapping[str, str]
    alpha: float
    decisions: tuple[Decision, ...]
    seconds: float
    dtype: str = "float64"

    def of(self, status: Status) -> tuple[Decision, ...]:
        """The decisions that came to a status."""
        return tuple(d for d in self.decisions if d.status is status)

    @property
    def passed(self) -> bool:
        """Whether the candidate is the same or better."""
        return not self.of(Status.DIFFERENT)

    @property
    def verdict(self) -> Status:
        """What all decisions come to: left out where nothing could be decided."""
        order = (Status.DIFFERENT, Status.BETTER, Status.SAME)
        return next((status for status in order if self.of(status)), Status.LEFT_OUT)


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
        against: a baseline, the path of one, or the id of a method, whose kept or shipped
            baseline is taken, or is made now where there is none; None for the candidate's own.
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
    started = time.perf_counter()
    tell = listener or Silence()
    case, words = prepare(candidate, against, alpha=alpha, dtype=dtype, listener=tell)
    decisions: list[Decision] = []
    for gate in (g for g in Gate if g in gates):
        tell.begin(f"{gate}")
        decisions += decide(gate, case)
    return Report(
        method=case.method.name,
        against=words,
        versions=case.baseline.versions if case.baseline else {},
        alpha=alpha,
        dtype=str(case.dtype).removeprefix("torch."),
        decisions=tuple(decisions),
        seconds=time.perf_counter() - started,
    )


def prepare(
    candidate: str | Method,
    against: str | Path | Baseline | None = None,
    *,
    alpha: float = 1e-3,
    dtype: torch.dtype = torch.float64,
    listener: Listener | None = None,
) -> tuple[Case, str]:
    """Find the candidate and what it is held against; decide nothing.

    Args:
        candidate: as for `check`, and so are the others.
        against: what it is held against.
        alpha: chance of any false alarm of the statistics.
        dtype: of the candidate's parameters; single precision where it can step in no other.
        listener: told of a baseline that has to be made.

    Returns:
        The case, and words for the baseline, empty where there is none.

    Raises:
        Mismatch: the candidate cannot step at all.
        RavineError: a name, value or file is wrong.
    """
    if not 0 < alpha < 1:
        raise BadValue(f"`alpha` must lie between 0 and 1, got {alpha}; 0.001 is usual")
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
    return with_dtype(case), words


def stored(name: str) -> tuple[Baseline, str] | None:
    """The stored baseline that a name means: a file's, one kept beside, or the package's.

    Args:
        name: path of a JSON file, or the id of a method, looked for in `ravine-baselines/`
            of the current folder first.

    Returns:
        The baseline and words for it; None where a method has none.

    Raises:
        RavineError: the file cannot be read, or is no baseline.
    """
    if name.endswith(".json"):
        found = read_baseline(Path(name))
        return found, f"`{name}`, a baseline of {found.method}"
    if (own := KEPT / filename(str(parse(name)))).is_file():
        found = read_baseline(own)
        return found, f"`{own}`, a baseline of {found.method}"
    ready = shipped(name)
    return (ready, f"the shipped baseline of {ready.method}") if ready else None


def _found(
    subject: Method, against: str | Path | Baseline | None, tell: Listener
) -> tuple[Baseline | None, str]:
    """The baseline that is meant, and words for it."""
    if isinstance(against, Baseline):
        return against, f"the given baseline of {against.method}"
    if against is None:
        return stored(subject.name) or (None, "")
    if isinstance(against, Path):
        found = read_baseline(against)
        return found, f"`{against}`, a baseline of {found.method}"
    if ready := stored(against):
        return ready
    from ravine.regression.record import record

    other = method(against)
    if reason := capabilities(other).reason:
        raise Mismatch(f"`{other.name}` cannot step: {reason}; hold against another")
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
