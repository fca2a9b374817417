"""What a check found, what a baseline holds, and what differs between two of them."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from ravine.regression.baseline import Baseline, Trace, versions
from ravine.regression.check import Report
from ravine.regression.decisions import Decision, Gate, Status
from ravine.regression.scenarios import words
from ravine.reporting.cells import decimal, gap
from ravine.reporting.layout import Align, Table, render
from ravine.reporting.progress import duration

if TYPE_CHECKING:
    from ravine.regression.diff import Change

COUNTED = (Status.SAME, Status.BETTER, Status.DIFFERENT, Status.LEFT_OUT)


def false_alarm(gate: Gate, alpha: float) -> str:
    """The chance that a gate finds a difference where there is none, in words.

    Args:
        gate: which.
        alpha: of the statistics.
    """
    match gate:
        case Gate.CONTRACT | Gate.GOLDEN:
            return "none is random"
        case Gate.THEORY:
            return "none, or as each law says"
        case Gate.STATISTICS:
            return f"{alpha:g} for all together"


def introduction(report: Report) -> Iterator[str]:
    """What was held against what, a sentence each."""
    if not report.against:
        yield (
            f"{report.method} ({report.dtype}) has no baseline, so that only contracts and laws "
            f"for all optimizers decide; `--against adam` holds it to one, "
            f'`ravine baseline save "{report.method}"` makes its own.'
        )
        return
    made = ", ".join(f"{name} {value}" for name, value in report.versions.items())
    yield f"{report.method} ({report.dtype}) against {report.against}, made by {made}."
    here = versions()
    if other := {k: v for k, v in report.versions.items() if here.get(k, v) != v}:
        now = ", ".join(f"{name} {here[name]}" for name in other)
        yield f"Here it runs with {now}: the gates allow for other rounding, not for other rules."


def gate_table(report: Report) -> Table:
    """Decisions by gate, and how often each is wrong."""
    rows = []
    for gate in dict.fromkeys(d.gate for d in report.decisions):
        own = [d.status for d in report.decisions if d.gate is gate]
        counts = [str(own.count(status)) for status in COUNTED]
        rows.append((f"{gate}", str(len(own)), *counts, false_alarm(gate, report.alpha)))
    right: Align = "right"
    return Table(
        f"Check of {report.method}",
        ("gate", "decisions", *(f"{status}" for status in COUNTED), "false alarms"),
        tuple(rows),
        align=("left", *[right] * (1 + len(COUNTED)), "left"),
    )


def left_out(report: Report) -> Iterator[str]:
    """What could not be looked at, by gate and reason."""
    reasons: dict[tuple[Gate, str], list[str]] = {}
    for one in report.of(Status.LEFT_OUT):
        reasons.setdefault((one.gate, one.seen), []).append(one.name)
    for (gate, reason), names in reasons.items():
        more = f" and {len(names) - 2} more" if len(names) > 3 else ""
        shown = ", ".join(f"`{name}`" for name in (names[:2] if more else names))
        yield f"Left out: {gate} {shown}{more}, because {reason}."


def sentence(decision: Decision) -> str:
    """A decision with its source."""
    cited = bool(decision.source) and decision.source not in decision.sentence
    return decision.sentence + (f" [{decision.source}]" if cited else "")


def conclusion(report: Report) -> str:
    """The verdict in one line."""
    name, total = report.method, len(report.decisions)
    took = f"({duration(report.seconds)})."
    counts = {status: len(report.of(status)) for status in COUNTED}
    match report.verdict:
        case Status.DIFFERENT:
            parts = ((_count(report, gate, Status.DIFFERENT), gate) for gate in Gate)
            wrong = ", ".join(f"{n} of {gate}" for n, gate in parts if n)
            return f"{name} is different in {counts[Status.DIFFERENT]} of {total}: {wrong} {took}"
        case Status.BETTER:
            return f"{name} is better in {counts[Status.BETTER]} of {total}, else the same {took}"
        case Status.SAME:
            out = counts[Status.LEFT_OUT]
            rest = f", {out} left out" if out else ""
            return f"{name} is the same in {counts[Status.SAME]} of {total}{rest} {took}"
        case Status.LEFT_OUT:
            return f"{name} cannot be told: {total} of {total} left out {took}"


def print_report(report: Report) -> None:
    """Print what a person wants to know: what was held, the gates, differences, the verdict."""
    for line in introduction(report):
        print(line)
    print(f"\n{render(gate_table(report))}")
    for line in left_out(report):
        print(line)
    for status in (Status.BETTER, Status.DIFFERENT):
        for one in report.of(status):
            print(f"{str(status).capitalize()}: {sentence(one)}")
    print(conclusion(report))


def to_json(records: object) -> str:
    """Plain data as JSON; what is not finite becomes null."""
    return msgspec.json.format(msgspec.json.encode(records), indent=2).decode()


def report_records(report: Report) -> dict[str, Any]:
    """A report as plain data for programs."""
    return {
        "method": report.method,
        "against": report.against or None,
        "verdict": report.verdict,
        "passed": report.passed and report.verdict is not Status.LEFT_OUT,
        "alpha": report.alpha,
        "dtype": report.dtype,
        "versions": {"baseline": dict(report.versions) or None, "here": versions()},
        "gates": {
            gate: {
                **{status: _count(report, gate, status) for status in COUNTED},
                "false_alarm": report.alpha if gate is Gate.STATISTICS else None,
            }
            for gate in dict.fromkeys(d.gate for d in report.decisions)
        },
        "decisions": [{**asdict(d), "sentence": d.sentence} for d in report.decisions],
        "seconds": report.seconds,
    }


def _count(report: Report, gate: Gate, status: Status) -> int:
    return sum(d.gate is gate for d in report.of(status))


def trace_table(baseline: Baseline) -> Table:
    """The golden traces of a baseline, and how far each went."""
    rows = tuple(
        (t.drive, words(t.hyper), str(len(t.steps)), str(t.steps[-1]), _far(t))
        for t in baseline.traces
    )
    made = ", ".join(f"{name} {value}" for name, value in baseline.versions.items())
    return Table(
        f"Golden traces of {baseline.method}",
        ("drive", "hyperparameters", "steps kept", "last", "way at last"),
        rows,
        f"made by {made}; the way is the largest distance of a coordinate from its start",
        ("left", "left", "right", "right", "right"),
    )


def _far(trace: Trace) -> str:
    return decimal(max(map(abs, trace.ways[-1]), default=None))


def race_table(baseline: Baseline) -> Table:
    """The races of a baseline, and what they came to in the middle."""
    right: Align = "right"
    rows = tuple(
        (
            r.problem,
            words(r.hyper),
            str(r.budget),
            f"{len(r.seeds)} + {len(r.fresh)}",
            decimal(2.0 ** median(r.runtime)),
            gap(10.0 ** median(r.gap)),
        )
        for r in baseline.races
    )
    return Table(
        f"Races of {baseline.method}",
        ("problem", "hyperparameters", "budget", "seeds", "steps to target", "final gap"),
        rows,
        "medians over all seeds; a miss counts as twice the budget",
        ("left", "left", right, right, right, right),
    )


def baseline_records(baseline: Baseline) -> dict[str, Any]:
    """A baseline as plain data for programs."""
    return asdict(baseline)


def change_table(old: str, new: str, changes: "tuple[Change, ...]") -> Table:
    """What differs between two baselines.

    Args:
        old: words for the first.
        new: words for the second.
        changes: of `regression.diff.diff`.
    """
    rows = tuple(
        (c.part, c.name, c.words, "" if c.size is None else decimal(c.size)) for c in changes
    )
    sides: tuple[Align, ...] = ("left", "left", "left", "right")
    return Table(f"From {old} to {new}", ("part", "name", "change", "size"), rows, align=sides)


def change_records(
    old: Baseline, new: Baseline, changes: "tuple[Change, ...]"
) -> Mapping[str, Any]:
    """What differs between two baselines, as plain data for programs."""
    return {
        "old": {"method": old.method, "versions": dict(old.versions)},
        "new": {"method": new.method, "versions": dict(new.versions)},
        "changes": [asdict(c) for c in changes],
    }
