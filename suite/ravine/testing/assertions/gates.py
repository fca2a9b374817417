"""Is an optimizer what any optimizer promises, and what it was?"""

from collections.abc import Collection
from pathlib import Path

from ravine.errors import BadValue
from ravine.regression.baseline import Baseline
from ravine.regression.check import Report, check
from ravine.regression.decisions import Gate, Status
from ravine.testing.assertions.convergence import FALSE_ALARM
from ravine.testing.assertions.subjects import Subject, as_method


def assert_contracts(method: Subject) -> None:
    """Assert that an optimizer keeps what it promises by being a `torch.optim.Optimizer`.

    A state dict that resumes, parameter groups, a zero gradient, and all else that
    `ravine.regression.contracts` looks at.  There is no chance in it, and so no false alarm
    but by a mistake of a contract.

    Args:
        method: at its defaults where it leaves values open.

    Raises:
        AssertionError: it breaks some; the message names each.
        Mismatch: it cannot step at all.
        RavineError: a name or value is wrong.

    Example:
        >>> assert_contracts("sgd(momentum=0.9)")
    """
    __tracebackhide__ = True
    _insist(check(as_method(method), gates=(Gate.CONTRACT,)))


def assert_unchanged(
    method: Subject,
    against: str | Path | Baseline | None = None,
    *,
    gates: Collection[Gate | str] = tuple(Gate),
    false_alarm: float = FALSE_ALARM,
) -> None:
    """Assert that an optimizer is the same as it was, or better.

    It is held to its contracts, to golden traces, to theorems, and to the scores of a
    baseline, as `ravine check` does; see `ravine.regression.check.check`.  Contracts, traces
    and theorems are deterministic; the chance of any false alarm of the statistics, over all
    problems and both looks, is at most `false_alarm`.

    Args:
        method: at its defaults where it leaves values open.
        against: a baseline, the path of one, or the id of a method, whose shipped baseline is
            taken; None for the method's own.
        gates: which layers decide.
        false_alarm: see above.

    Raises:
        AssertionError: it is different; the message says in what, by how much and how surely.
        Mismatch: it cannot step at all.
        RavineError: a name, value or file is wrong, or there is no baseline.
    """
    __tracebackhide__ = True
    try:
        wanted = {Gate(gate) for gate in gates}
    except ValueError:
        words = ", ".join(gate.value for gate in Gate)
        raise BadValue(f"`gates` must be of {words}, got {list(gates)}; give such") from None
    report = check(as_method(method), against, gates=wanted, alpha=false_alarm)
    if not report.against and wanted != {Gate.CONTRACT}:
        raise BadValue(
            f"no baseline of `{report.method}` is shipped; save one by `ravine baseline save`, or "
            f"name a method to hold it `against`"
        )
    _insist(report)


def _insist(report: Report) -> None:
    """Insist that a report found no difference, and looked at something."""
    __tracebackhide__ = True
    wrong, aside = report.of(Status.DIFFERENT), report.of(Status.LEFT_OUT)
    looked = len(report.decisions) - len(aside)
    if not looked:
        reasons = "; ".join(d.sentence for d in aside) or "there is nothing to look at"
        raise BadValue(f"`{report.method}` was not looked at: {reasons}; choose other gates")
    if wrong:
        against = f" against {report.against}" if report.against else ""
        said = "\n".join(f"- {d.sentence}" for d in wrong)
        raise AssertionError(
            f"`{report.method}`{against}: {len(wrong)} of {looked} decisions are different, at a "
            f"chance of {report.alpha:g} for any false alarm of the statistics\n{said}"
        )
