"""A comparison as people read it: tables, figures, a summary on the terminal, JSON."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from ravine.comparison import NETWORKS, Comparison
from ravine.problems.base import Goal
from ravine.problems.catalogue import problem
from ravine.reporting.convergence import convergence_grid
from ravine.reporting.figures import ecdf_figure, performance_figure, tuning_figure
from ravine.reporting.forest import verdict_figure
from ravine.reporting.layout import Table, render
from ravine.reporting.origin import Origin
from ravine.reporting.pages import write_report
from ravine.reporting.progress import duration
from ravine.reporting.tables import (
    cost_table,
    left_out_table,
    network_table,
    ranks_table,
    results_table,
    tally_table,
    tuning_table,
    verdict_table,
)

PANELS = 12
"""Problems of which convergence curves are drawn in one figure."""

PAIRS = 6
"""Pairs of methods that get a figure of their verdicts."""


def write_answer(answer: Comparison, folder: Path) -> Path:
    """Write a comparison's report.

    Args:
        answer: from `ravine.compare`.
        folder: for `index.html`, `tables/` and `figures/`.

    Returns:
        The page to open first.

    Raises:
        StoreError: the folder cannot be written.
    """
    title = " against ".join(answer.methods) if len(answer.methods) < 4 else "Comparison"
    notes = [*answer.tally["sentence"].to_list(), *happenings(answer)]
    write_report(folder, tables(answer), figures(answer), title=title, notes=notes)
    return folder / "index.html"


def tables(answer: Comparison) -> dict[str, Table]:
    """All tables of a comparison, by file stem."""
    origin = origin_of(answer)
    made = {"tally": tally_table(answer.tally, origin)}
    if has_networks(answer):
        made["networks"] = network_table(networks(answer.summary), origin)
    made["ranks"] = ranks_table(answer.ranks, origin)
    made["costs"] = cost_table(costs(answer), origin)
    if answer.curve is not None:
        made["tuning"] = tuning_table(answer.curve.overall, origin)
    if answer.left_out:
        made["left_out"] = left_out_table(left_out(answer), origin)
    made["verdicts"] = verdict_table(answer.verdicts, origin)
    made["results"] = results_table(answer.summary, answer.verdicts, answer.edges, origin)
    return made


def figures(answer: Comparison) -> dict[str, Figure]:
    """All figures of a comparison, by file stem."""
    methods = list(answer.methods)
    made = {
        "performance": performance_figure(answer.performance, methods),
        "ecdf": ecdf_figure(answer.ecdf, methods),
        "convergence": convergence_grid(answer.scored, panels(answer), methods),
    }
    if answer.curve is not None:
        made["tuning"] = tuning_figure(answer.curve.overall, methods)
    for a, b in list(answer.tally.select("a", "b").iter_rows())[:PAIRS]:
        stem = f"verdicts-{methods.index(a) + 1}-{methods.index(b) + 1}"
        made[stem] = verdict_figure(answer.verdicts, a, b)
    return made


def panels(answer: Comparison) -> list[str]:
    """Problems whose curves are drawn: all of a few, else some from every part of the list."""
    present = answer.scored["problem"].unique(maintain_order=True).to_list()
    shown = [p for p in present if p in NETWORKS]
    others = [p for p in present if p not in NETWORKS]
    room = PANELS - len(shown)
    stride = max(1, math.ceil(len(others) / room))
    return [*others[::stride], *shown]


def origin_of(answer: Comparison) -> Origin:
    """Where the numbers come from, for the footers."""
    q = answer.question
    steps = f", {q.steps} steps" if q.steps is not None else ""
    count = len(answer.problems)
    plan = (
        f"{len(answer.methods)} methods, {count} problem{'s' * (count != 1)}, {q.trials} trials, "
        f"{q.seeds} seeds{steps}"
    )
    return Origin(plan=plan, alpha=q.alpha)


def costs(answer: Comparison) -> pl.DataFrame:
    """The cost of a step of every method, as a frame."""
    schema = {
        "method": pl.String(),
        "time": pl.Float64(),
        "state_bytes": pl.Float64(),
        "evaluations": pl.Float64(),
        "reason": pl.String(),
    }
    rows = [(c.method, c.time, c.state_bytes, c.evaluations, c.reason) for c in answer.costs]
    return pl.DataFrame(rows, schema=schema, orient="row")


def left_out(answer: Comparison) -> pl.DataFrame:
    """The pairs that were not run, as a frame."""
    schema = {"problem": pl.String(), "method": pl.String(), "reason": pl.String()}
    rows = [(x.problem, x.method, x.reason) for x in answer.left_out]
    return pl.DataFrame(rows, schema=schema, orient="row")


def has_networks(answer: Comparison) -> bool:
    """Whether anything was measured on test examples."""
    return not networks(answer.summary).is_empty()


def networks(summary: pl.DataFrame) -> pl.DataFrame:
    """The rows of a summary that were tested."""
    return summary.filter(pl.col("test_loss").is_not_null())


def happenings(answer: Comparison) -> Iterator[str]:
    """What a reader must know of how the numbers came about, a sentence each."""
    known = f", {answer.known:,} more from the store" if answer.known else ""
    yield f"{answer.computed:,} runs in {duration(answer.seconds)}{known}."
    for a in answer.audit:
        yield f"Audited {a.audited} runs by repeating them alone: {a.agreed} {a.standard}."
    yield from answer.remarks
    if answer.left_out:
        reasons: dict[tuple[str, str], int] = {}
        for x in answer.left_out:
            reasons[x.method, x.reason] = reasons.get((x.method, x.reason), 0) + 1
        for (method, reason), n in reasons.items():
            yield f"Left out: {method} on {n} problem{'s' * (n > 1)}, because {reason}."
    ranked = set(answer.ranks["method"])
    for method in answer.scored["method"].unique(maintain_order=True):
        if method not in ranked:
            yield f"Profiles and ranks leave out {method}, which fits less than half the problems."
    rows = len(answer.verdicts) / max(1, len(answer.tally))
    # n paired seeds that all agree have a two-sided p of 2 / 2^n, and Holm wants alpha / rows
    least = math.ceil(1 + math.log2(max(1.0, rows) / answer.question.alpha))
    if answer.question.seeds < least:
        yield (
            f"Warning: {answer.question.seeds} seeds cannot show a difference over so many "
            f"problems, however large it is; take --seeds {least} or more."
        )
    for method, n in answer.edges.group_by("method", maintain_order=True).len().iter_rows():
        yield (
            f"Warning: the best value found for {method} lies on the edge of its range on {n} "
            f"problem{'s' * (n > 1)} (marked in the results)."
        )
    for p in answer.problems:
        built = problem(p)
        if built.facts.goal is Goal.REFERENCE and not built.facts.targets:
            shown = answer.summary.filter(pl.col("problem") == p)
            by = "final loss" if shown["test_loss"].is_null().all() else "test loss"
            yield f"{p} has no stored reference; its verdict is by {by} alone."
        if built.traits.unstacked:
            yield f"{p} ran one network at a time, because {built.traits.unstacked}."


def print_summary(answer: Comparison, index: Path) -> None:
    """Print what a person wants to see first, and where the rest is."""
    made = tables(answer)
    shown = ["results"] if len(answer.problems) <= PANELS else []
    shown += ["networks", "verdicts"] if len(answer.verdicts) <= 2 * PANELS else ["networks"]
    for name in [*shown, "tally", "ranks", "costs"]:
        if name in made:
            print(render(made[name]), end="\n\n")
    for sentence in answer.tally["sentence"]:
        print(f"{sentence}.")
    print()
    for sentence in happenings(answer):
        print(sentence)
    print(f"Report: {os.path.relpath(index)}")


def as_records(answer: Comparison) -> dict[str, object]:
    """A comparison as plain data for programs; what is not finite becomes null."""
    q = answer.question
    return {
        "methods": list(answer.methods),
        "problems": list(answer.problems),
        "trials": q.trials,
        "seeds": q.seeds,
        "alpha": q.alpha,
        "tally": records(answer.tally),
        "verdicts": records(answer.verdicts),
        "results": records(answer.summary),
        "ranks": records(answer.ranks),
        "costs": records(costs(answer)),
        "left_out": records(left_out(answer)),
        "edges": records(answer.edges),
        "remarks": list(answer.remarks),
        "audit": [
            {"audited": a.audited, "agreed": a.agreed, "standard": a.standard} for a in answer.audit
        ],
        "computed": answer.computed,
        "known": answer.known,
        "seconds": answer.seconds,
    }


def records(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Rows of a frame as dictionaries that JSON can hold."""
    return [{k: plain(v) for k, v in row.items()} for row in frame.iter_rows(named=True)]


def plain(value: object) -> object:
    """A value that JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value
