"""Hold a method against golden traces."""

from collections.abc import Iterator

import torch

from ravine.errors import RavineError
from ravine.optimizers.capabilities import capabilities, one_line
from ravine.regression.baseline import Trace
from ravine.regression.decisions import Case, Decision, Gate, Status
from ravine.regression.golden.drives import TAPE, Run, run, takes_groups
from ravine.regression.golden.tolerance import lengths, rounding, tolerance
from ravine.regression.scenarios import setting, words


def decide(case: Case) -> Iterator[Decision]:
    """Take every golden trace of the baseline again, with the candidate.

    Below double precision the method that made the baseline is run too, and a trace counts as
    far as that one follows it: some have constants that depend on the precision.

    Args:
        case: the candidate, its baseline and precision.

    Returns:
        A decision for each trace; one that says why where there is none.
    """
    traces = case.baseline.traces if case.baseline else ()
    if not traces:
        yield _left_out("all drives", _why_none(case))
    for done, trace in enumerate(traces):
        yield _decided(case, trace)
        case.tick((done + 1) / len(traces))


def _why_none(case: Case) -> str:
    if case.baseline is None:
        return "there is no baseline; `ravine baseline save` makes one of a method that is right"
    if case.claim and capabilities(case.claim).random:
        return f"the steps of `{case.baseline.method}` draw random numbers"
    return f"the baseline of `{case.baseline.method}` holds no trace"


def _decided(case: Case, trace: Trace) -> Decision:
    name = f"{trace.drive}, {words(trace.hyper)}"
    try:
        at = setting(case.method, trace.hyper)
    except RavineError as error:
        return _left_out(name, one_line(error))
    if trace.drive == TAPE and not takes_groups(at):
        return _left_out(name, "its constructor takes no groups of parameters")
    count = _valid(case, trace)
    if not count:
        reason = f"in {_spoken(case.dtype)} `{case.baseline and case.baseline.method}` leaves it"
        return _left_out(name, reason)
    try:
        found = run(trace.drive, at, case.dtype)
    except Exception as error:
        return Decision(
            gate=Gate.GOLDEN,
            name=name,
            status=Status.DIFFERENT,
            expected=f"{trace.steps[-1]} steps",
            seen=f"it raised {one_line(error)}",
        )
    return _compared(name, trace, found, case.dtype, count)


def _valid(case: Case, trace: Trace) -> int:
    """How many kept steps of a trace hold in the precision of a case."""
    if case.dtype is torch.float64 or case.claim is None:
        return len(trace.steps)
    try:
        own = run(trace.drive, setting(case.claim, trace.hyper), case.dtype)
    except Exception:
        return 0
    good = excesses(trace, own, case.dtype)[0] <= 1 / 3
    return int(good.long().cumprod(0).sum())


def excesses(trace: Trace, found: Run, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """How far a run is from a trace, as multiples of what is allowed, and as shares of the way.

    Args:
        trace: golden.
        found: the run; where it has ended it is infinitely far.
        dtype: of its parameters.

    Returns:
        Both for each kept step.
    """
    golden = torch.tensor(trace.ways, dtype=torch.float64)
    way = lengths(golden)
    apart = torch.full_like(way, torch.inf)
    both = min(len(found.steps), len(trace.steps))
    if found.ways.shape[1:] == golden.shape[1:]:
        apart[:both] = torch.linalg.vector_norm(found.ways[:both] - golden[:both], dim=1)
    limits = torch.tensor([tolerance(s, dtype) for s in trace.steps], dtype=torch.float64)
    allowed = limits * way + rounding(trace.steps, found.start + way, dtype)
    return apart / allowed, torch.where(apart == 0, 0.0, apart / way)


def _compared(name: str, trace: Trace, found: Run, dtype: torch.dtype, count: int) -> Decision:
    excess, share = (t[:count] for t in excesses(trace, found, dtype))
    wrong = (excess > 1).nonzero().flatten().tolist()
    at = wrong[0] if wrong else int(share.argmax())
    step, apart = trace.steps[at], float(share[at])
    limit = apart / float(excess[at]) if 0 < apart < torch.inf else tolerance(step, dtype)
    seen = "no longer finite" if len(found.steps) <= at else f"{apart:.1e} of it apart"
    return Decision(
        gate=Gate.GOLDEN,
        name=name,
        status=Status.DIFFERENT if wrong else Status.SAME,
        expected=f"the way after step {step} within {limit:.1e} of its length",
        seen=f"the way {seen}",
        size=float(share.max()),
    )


def _left_out(name: str, reason: str) -> Decision:
    return Decision(gate=Gate.GOLDEN, name=name, status=Status.LEFT_OUT, expected="", seen=reason)


def _spoken(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
