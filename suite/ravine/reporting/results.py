"""What methods reached on problems: the tables with one row for each problem and method."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from ravine.landscape.ends.place import Place
from ravine.records.schema import Outcome
from ravine.registry import parse
from ravine.reporting import cells
from ravine.reporting.layout import Align, Table
from ravine.reporting.origin import MEDIAN, SHARE, Origin
from ravine.statistics.verdicts import Verdict

Row = Mapping[str, Any]
Found = Mapping[tuple[str, str, str], Verdict]
"""Verdicts by problem, from the point of view of the first of two methods."""

_ENDS = [outcome for outcome in Outcome if outcome is not Outcome.SOLVED]


def results_table(
    summary: pl.DataFrame,
    verdicts: pl.DataFrame | None = None,
    edges: pl.DataFrame | None = None,
    origin: Origin | None = None,
) -> Table:
    """What every method reached on every problem, with one setting each.

    The standing tells who is best on a problem and who cannot be told from it: `best` is
    the method that the fewest others beat, then the one that beats the most, then the one
    with the smallest median runtime; the others show their verdict against it.  Without
    verdicts nothing is called best.

    Args:
        summary: of `statistics.summary`, over chosen settings; the columns `budget` (steps
            allowed) and `ended` are used where they are there.
        verdicts: of `statistics.pairwise`, over the same runs.
        edges: of `statistics.on_edge`; values at the end of what was tried are marked.
        origin: what the footer says of plan and versions.
    """
    origin = origin or Origin()
    warned: dict[tuple[str, str, str], str] = {}
    if edges is not None:
        for row in edges.iter_rows(named=True):
            warned[row["problem"], row["method"], row["knob"]] = row["edge"]
    standings = _standings(summary, verdicts)
    placed = "ended" in summary.columns
    rows = tuple(
        (
            row["problem"],
            row["method"],
            _tuned(row, warned),
            _solved(row),
            _steps(row),
            _deepest(row),
            _final(row),
            _ends(row),
            *((_ended(row),) if placed else ()),
            standings[row["problem"], row["method"]],
        )
        for row in summary.iter_rows(named=True)
    )
    notes = [
        "steps to the last target",
        MEDIAN,
        SHARE,
        origin.test if verdicts is not None else "",
        _meanings(summary) if placed else "",
    ]
    return Table(
        "Results by problem and method",
        (
            "problem",
            "method",
            "tuned",
            "solved",
            "steps",
            "deepest target",
            "final gap",
            "other ends",
            *(("ended at",) if placed else ()),
            "standing",
        ),
        rows,
        origin.footer(*filter(None, notes), n=counts(summary)),
        (*_sides("left", 3), *_sides("right", 4), *_sides("left", 3 if placed else 2)),
    )


def network_table(summary: pl.DataFrame, origin: Origin | None = None) -> Table:
    """Test loss and accuracy where a problem has them.

    Args:
        summary: of `statistics.summary`; problems without test examples are left out.
        origin: what the footer says of plan and versions.
    """
    tested = summary.filter(pl.col("test_loss").is_not_null() | pl.col("accuracy").is_not_null())
    rows = tuple(
        (
            row["problem"],
            row["method"],
            _tuned(row, {}),
            _solved(row),
            _steps(row),
            bounded(row, "test_loss", cells.fixed),
            bounded(row, "accuracy", cells.percent),
        )
        for row in tested.iter_rows(named=True)
    )
    notes = ("steps to the last target", MEDIAN, SHARE, "no test in this table")
    return Table(
        "Networks",
        ("problem", "method", "tuned", "solved", "steps", "test loss", "accuracy"),
        rows,
        (origin or Origin()).footer(*notes, n=counts(tested)),
        ("left", "left", "left", "right", "right", "right", "right"),
    )


def _sides(side: Align, count: int) -> tuple[Align, ...]:
    return (side,) * count


def counts(frame: pl.DataFrame) -> list[int]:
    """The values of `n` that occur."""
    return [] if frame.is_empty() else frame["n"].unique().sort().to_list()


def bounded(row: Row, column: str, text: Callable[[float | None], str]) -> str:
    """A value with its `_low` and `_high`."""
    return cells.interval(*(text(row[c]) for c in (column, f"{column}_low", f"{column}_high")))


def _tuned(row: Row, warned: Mapping[tuple[str, str, str], str]) -> str:
    """The knobs that the setting has beyond the method, with a word where one is an edge."""
    fixed = dict(parse(row["method"]).kwargs)
    knobs = {k: v for k, v in parse(row["setting"]).kwargs if k not in fixed}
    parts = []
    for name, value in knobs.items():
        edge = warned.get((row["problem"], row["method"], name))
        shown = cells.decimal(value) if isinstance(value, float) else str(value)
        parts.append(f"{name}={shown}" + (f" ({edge} tried)" if edge else ""))
    return ", ".join(parts) or "n/a: nothing to tune"


def _arrived(row: Row) -> str:
    return cells.share(round(row["solved"] * row["n"]), row["n"])


def _solved(row: Row) -> str:
    if row["solved"] is None:
        return "n/a: no targets"
    bounds = (cells.percent(row[c], digits=0) for c in ("solved_low", "solved_high"))
    return cells.interval(_arrived(row), *bounds)


def _never(row: Row) -> str:
    return f"never in {row['budget']}" if row.get("budget") is not None else "never"


def _steps(row: Row) -> str:
    if row["solved"] is None:
        return "n/a: no targets"
    if row["steps"] is None:
        return f"n/a: only {_arrived(row)}" if row["solved"] > 0 else _never(row)
    if row["steps_low"] is None:
        return cells.steps(row["steps"])
    # a bound that is absent beside one that is there lies beyond every run
    return cells.interval(*(cells.steps(row[f"steps{c}"], "never") for c in ("", "_low", "_high")))


def _deepest(row: Row) -> str:
    """The lowest target that half of the seeds reach, and when."""
    if row["reached_steps"] is None:
        return "n/a: no targets" if row["solved"] is None else _never(row)
    gap, target = row["reached_gap"], row["reached_target"]
    where = cells.decimal(gap) if gap is not None else f"f = {cells.decimal(target)}"
    if row["steps"] is not None:
        return f"{where} (last)"
    return f"{where} in {cells.steps(row['reached_steps'])}"


def _final(row: Row) -> str:
    if not cells.missing(row["gap"]):
        return bounded(row, "gap", cells.gap)
    if not cells.missing(row["final"]):
        return f"f = {bounded(row, 'final', cells.gap)}"
    return f"n/a: {_ends(row)}"


def _ends(row: Row) -> str:
    return cells.outcomes({end: row[end.replace(" ", "_")] for end in _ENDS}, row["n"])


def _ended(row: Row) -> str:
    """The places where runs ended, most frequent first."""
    found = {Place(entry["ended"]): entry["runs"] for entry in row["ended"]}
    if set(found) == {Place.NOT_KEPT}:
        return f"n/a: {Place.NOT_KEPT.sentence}"
    if len(found) == 1:
        return f"all {next(iter(found))}"
    return ", ".join(f"{place} {cells.share(runs, row['n'])}" for place, runs in found.items())


def _meanings(summary: pl.DataFrame) -> str:
    """What the words say of where runs ended, as far as they occur."""
    seen = {entry["ended"] for entries in summary["ended"] for entry in entries}
    words = [f"{place} = {place.sentence}" for place in Place if place in seen]
    return "ended at: " + ", ".join(words)


def _standings(summary: pl.DataFrame, verdicts: pl.DataFrame | None) -> dict[tuple[str, str], str]:
    """By problem and method: best, or the verdict against the best."""
    found: dict[tuple[str, str, str], Verdict] = {}
    if verdicts is not None:
        judged = verdicts.filter("counted").select("problem", "a", "b", "verdict")
        for problem, a, b, word in judged.iter_rows():
            found[problem, a, b] = Verdict(word)
            found[problem, b, a] = Verdict(word).swapped
    groups: dict[str, list[Row]] = {}
    for record in summary.iter_rows(named=True):
        groups.setdefault(record["problem"], []).append(record)
    standings: dict[tuple[str, str], str] = {}
    for problem, group in groups.items():
        names = [row["method"] for row in group]
        compared = {a for a in names if any((problem, a, b) in found for b in names)}
        best = min(group, key=lambda row: _order(row, names, found))["method"]
        for name in names:
            standings[problem, name] = "n/a: not compared"
            if name in compared:
                standings[problem, name] = _standing(found.get((problem, name, best)), name, best)
    return standings


def _order(row: Row, names: list[str], found: Found) -> tuple[float, ...]:
    pairs = ((row["problem"], row["method"], other) for other in names)
    against = [found[pair] for pair in pairs if pair in found]
    sizes = (float("inf") if cells.missing(row[c]) else row[c] for c in ("runtime", "final"))
    lost, won = against.count(Verdict.WORSE), against.count(Verdict.BETTER)
    return (float(lost), -float(won), *sizes)


def _standing(verdict: Verdict | None, method: str, best: str) -> str:
    if method == best:
        return "best"
    if verdict is None:
        return f"n/a: no seed in common with {best}"
    return "tied with best" if verdict is Verdict.TIE else verdict.value
