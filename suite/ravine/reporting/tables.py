"""The tables of a report: a frame of `ravine.statistics` in, a `Table` out."""

import polars as pl

from ravine.reporting import cells
from ravine.reporting.layout import Align, Form, Table, render
from ravine.reporting.origin import Origin
from ravine.reporting.results import Row, counts, network_table, results_table
from ravine.statistics.paired import MOST_SEEDS
from ravine.statistics.verdicts import Verdict

__all__ = [
    "Form",
    "Origin",
    "Table",
    "cost_table",
    "left_out_table",
    "network_table",
    "ranks_table",
    "render",
    "results_table",
    "tally_table",
    "tuning_table",
    "verdict_table",
]


def verdict_table(verdicts: pl.DataFrame, origin: Origin | None = None) -> Table:
    """Every comparison of two methods on a problem, and what it shows; by problem.

    Args:
        verdicts: of `statistics.pairwise`.
        origin: what the footer says of plan and versions.
    """
    origin = origin or Origin()
    order = verdicts["problem"].unique(maintain_order=True).to_list()
    rows = tuple(
        (
            row["problem"],
            row["a"],
            row["b"],
            row["measure"] + ("" if row["counted"] else " (not counted)"),
            cells.interval(*(cells.ratio(row[c]) for c in ("ratio", "low", "high"))),
            cells.p_value(row["p_holm"]),
            str(row["n"]),
            _verdict(row),
        )
        for row in sorted(_rows(verdicts), key=lambda row: order.index(row["problem"]))
    )
    notes = (
        "ratio below 1: a is better",
        f"{100 * (1 - origin.alpha):g}% Hodges-Lehmann intervals, each for its row alone",
        origin.test,
    )
    return Table(
        "Verdicts by problem",
        ("problem", "a", "b", "measure", "ratio a/b", "p (Holm)", "n", "verdict"),
        rows,
        origin.footer(*notes, n=counts(verdicts)),
        ("left", "left", "left", "left", "right", "right", "right", "left"),
    )


def _verdict(row: Row) -> str:
    match Verdict(row["verdict"]):
        case Verdict.BETTER:
            return f"{row['a']} better"
        case Verdict.WORSE:
            return f"{row['b']} better"
        case Verdict.TIE:
            return "tie"
        case Verdict.CANNOT_TELL:
            seeds = row["seeds_needed"]
            if seeds is None:
                return "cannot tell (no number of seeds would)"
            if seeds >= MOST_SEEDS:
                return f"cannot tell (more than {MOST_SEEDS} seeds would)"
            # a forecast has no more than two digits
            rounded = round(seeds, 2 - len(str(seeds)))
            return f"cannot tell (about {rounded} seeds would)"


def tally_table(tally: pl.DataFrame, origin: Origin | None = None) -> Table:
    """The verdicts of every pair, counted over problems.

    Args:
        tally: of `statistics.tally`.
        origin: what the footer says of plan and versions.
    """
    origin = origin or Origin()
    numbers = ("better", "worse", "tie", "cannot_tell", "problems")
    rows = ((row["a"], row["b"], *(str(row[c]) for c in numbers)) for row in _rows(tally))
    return Table(
        "Verdicts counted over problems",
        ("a", "b", "a better", "a worse", "tie", "cannot tell", "problems"),
        tuple(rows),
        origin.footer("counts, which have no interval", origin.test),
        ("left", "left", *_side("right", 5)),
    )


def ranks_table(ranks: pl.DataFrame, origin: Origin | None = None) -> Table:
    """The mean rank of every method over problems, the best first.

    Args:
        ranks: of `statistics.ranks`.
        origin: what the footer says of plan and versions.
    """
    rows = (
        (
            row["method"],
            cells.interval(*(cells.fixed(row[c], 2) for c in ("rank", "low", "high"))),
            str(row["problems"]),
        )
        for row in _rows(ranks.sort("rank"))
    )
    return Table(
        "Mean rank over problems",
        ("method", "mean rank", "problems"),
        tuple(rows),
        (origin or Origin()).footer(
            "1 is best", "95% bootstrap intervals over problems", "no test"
        ),
        ("left", "right", "right"),
    )


def left_out_table(reasons: pl.DataFrame, origin: Origin | None = None) -> Table:
    """The pairs of problem and method that were not run, and why.

    Args:
        reasons: `problem`, `method`, `reason`.
        origin: what the footer says of plan and versions.
    """
    rows = ((row["problem"], row["method"], row["reason"]) for row in _rows(reasons))
    return Table(
        "Pairs left out",
        ("problem", "method", "reason"),
        tuple(rows),
        (origin or Origin()).footer("nothing was run, so there is no n, interval or test"),
    )


def cost_table(costs: pl.DataFrame, origin: Origin | None = None) -> Table:
    """What one optimizer step costs, beside what a step of SGD costs.

    Args:
        costs: `method`, `time` of a step over that of SGD, `state_bytes` for each
            parameter, `evaluations` of the loss within a step, `reason` where there is none.
        origin: what the footer says of plan and versions.
    """
    rows = []
    for row in _rows(costs):
        why = f"n/a: {row['reason']}" if row["reason"] else cells.NOTHING
        inside = cells.decimal(row["evaluations"]) if row["time"] is not None else why
        rows.append(
            (
                row["method"],
                cells.ratio(row["time"], why),
                cells.decimal(row["state_bytes"], why=why),
                inside,
            )
        )
    return Table(
        "Cost of a step",
        ("method", "time / SGD", "state (bytes / parameter)", "loss evaluations inside"),
        tuple(rows),
        (origin or Origin()).footer(
            "median ratio to plain SGD timed in turns in one process, without the gradient",
            "no interval, no test",
        ),
        ("left", *_side("right", 3)),
    )


def tuning_table(curve: pl.DataFrame, origin: Origin | None = None) -> Table:
    """The expected runtime against the number of tuning trials.

    Args:
        curve: `overall` or `by_problem` of `statistics.curve`, in log2 of steps.
        origin: what the footer says of plan and versions.
    """
    names = tuple(c for c in ("problem", "method") if c in curve.columns)
    trials: list[int] = [] if curve.is_empty() else curve["trials"].unique().sort().to_list()
    table: dict[tuple[str, ...], dict[int, str]] = {}
    for row in _rows(curve):
        by_trials = table.setdefault(tuple(row[c] for c in names), {})
        steps = (_exp2(row[c]) for c in ("mean", "low", "high"))
        by_trials[row["trials"]] = cells.interval(*map(cells.steps, steps))
    rows = (
        (*key, *(by_trials.get(k, "n/a: fewer tried") for k in trials))
        for key, by_trials in table.items()
    )
    return Table(
        "Penalised steps by number of tuning trials",
        (*names, *(f"{k} trial{'s' if k > 1 else ''}" for k in trials)),
        tuple(rows),
        (origin or Origin()).footer(
            "2 to the expected log2 of steps, a miss counted as twice the budget",
            "brackets hold 95% of the draws of trials and are no intervals over seeds",
            "no test",
        ),
        (*_side("left", len(names)), *_side("right", len(trials))),
    )


def _rows(frame: pl.DataFrame) -> list[Row]:
    return list(frame.iter_rows(named=True))


def _side(side: Align, count: int) -> tuple[Align, ...]:
    return tuple([side] * count)


def _exp2(value: float | None) -> float | None:
    return None if value is None else 2.0**value
