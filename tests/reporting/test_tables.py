"""Builders of tables: what each cell says, and frames that lack almost everything."""

import csv
import io
from collections.abc import Callable
from math import inf

import polars as pl
import pytest

from ravine import statistics
from ravine.landscape.ends.place import Place
from ravine.reporting.layout import Form, Table, render
from ravine.reporting.origin import Origin
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

ORIGIN = Origin(plan="test", versions=(("ravine", "0.1"), ("torch", "2.13")), commit="abc")

Runs = Callable[..., pl.DataFrame]


def cells_of(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(table, Form.CSV))))


def judged(runs: pl.DataFrame) -> Table:
    return results_table(statistics.summary(runs), statistics.pairwise(runs), origin=ORIGIN)


def verdict(word: str, seeds: int | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "problem": ["bowl"],
            "a": ["adam"],
            "b": ["sgd"],
            "measure": ["steps"],
            "counted": [True],
            "verdict": [word],
            "ratio": [0.5],
            "low": [0.0],
            "high": [inf],
            "p": [0.2],
            "p_holm": [0.4],
            "n": [5],
            "seeds_needed": [seeds],
        }
    )


def test_results_of_a_known_comparison(build: Runs) -> None:
    """Steps, shares, gaps and standing of two methods, one clearly faster."""
    runs = build(problems=["bowl"], factor=0.1)
    first, second = cells_of(judged(runs))
    assert first == {
        "problem": "bowl",
        "method": "adam",
        "tuned": "lr=0.1",
        "solved": "8/8 [68%, 100%]",
        "steps": "16 [15, 18]",
        "deepest target": "0.001 (last)",
        "final gap": first["final gap"],
        "other ends": "all solved",
        "standing": "best",
    }
    # exp(-40 (1 + 0.03 seed)), whose median is the mean of seeds 3 and 4
    assert first["final gap"].startswith("7.6e-20 [")
    assert second["standing"] == "worse"
    assert second["steps"] == "never"
    assert second["deepest target"] == "0.1 in 52"
    assert second["other ends"] == "spent 8/8"


def test_never_names_the_budget_where_it_is_known(build: Runs) -> None:
    """A column `budget` turns `never` into `never in 100`."""
    summary = statistics.summary(build(problems=["bowl"], factor=0.1))
    rows = cells_of(results_table(summary.with_columns(pl.lit(100).alias("budget"))))
    assert rows[1]["steps"] == "never in 100"


def test_tied_methods_are_marked_with_the_best(build: Runs) -> None:
    """Equal methods are best and tied; without enough seeds nothing can be told."""
    standings = [
        [row["standing"] for row in cells_of(judged(build(problems=["bowl"], factor=1.0, seeds=n)))]
        for n in (20, 2)
    ]
    assert standings == [["best", "tied with best"], ["best", "cannot tell"]]


def test_the_best_is_never_a_beaten_method(build: Runs) -> None:
    """A method that another one beats is not best, though its median runtime be lowest."""
    summary = statistics.summary(build(problems=["bowl"]))
    turned = verdict("worse")
    rows = cells_of(results_table(summary, turned))
    assert [row["standing"] for row in rows] == ["worse", "best"]


def test_without_verdicts_nothing_is_best(build: Runs) -> None:
    """No standing is claimed without a comparison, nor any test in the footer."""
    table = results_table(statistics.summary(build()), origin=ORIGIN)
    assert {row["standing"] for row in cells_of(table)} == {"n/a: not compared"}
    assert "Holm" not in table.footer


def test_edges_are_warned_of(build: Runs) -> None:
    """A learning rate at the end of its range says so."""
    runs = build(methods=["adam"], problems=["bowl"], rates=[0.01, 0.1])
    choice = statistics.choose(runs, range(8))
    knobs = {f"adam(lr={rate})": {"lr": rate} for rate in (0.01, 0.1)}
    chosen = statistics.scored(runs, choice, range(8))
    edges = statistics.on_edge(choice, knobs)
    (row,) = cells_of(results_table(statistics.summary(chosen), edges=edges))
    assert row["tuned"] == "lr=0.01 (smallest tried)"


def test_diverged_runs_are_counted(build: Runs) -> None:
    """Divergence shows in the outcome and in the gap, as words."""
    runs = build(methods=["sgd"], problems=["bowl"], rates=[1.0], seeds=3)
    (row,) = cells_of(results_table(statistics.summary(runs)))
    assert (row["other ends"], row["final gap"], row["steps"]) == ("diverged 3/3", "inf", "never")


@pytest.mark.parametrize(
    ("words", "cell"),
    [
        (["minimum"] * 8, "all minimum"),
        (["saddle"] * 3 + ["minimum"] * 5, "minimum 5/8, saddle 3/8"),
        (["not kept"] * 8, "n/a: ends are kept up to 100 coordinates"),
        (["not kept"] * 7 + ["diverged"], "not kept 7/8, diverged 1/8"),
    ],
)
def test_where_runs_ended_is_a_column(build: Runs, words: list[str], cell: str) -> None:
    """Shares of the places, and below the table what the words mean that occur."""
    runs = build(methods=["sgd"], problems=["bowl"]).with_columns(pl.Series("ended", words))
    table = results_table(statistics.summary(runs))
    (row,) = cells_of(table)
    assert row["ended at"] == cell
    for place in Place:
        assert (f"{place} = {place.sentence}" in table.footer) == (place in words)


def test_problems_without_targets_say_so(build: Runs) -> None:
    """Where nothing can be reached, cells say why, and the value replaces the gap."""
    runs = build(methods=["sgd"], problems=["net"]).with_columns(
        pl.lit([], pl.List(pl.Float64)).alias("targets"),
        pl.lit([], pl.List(pl.Int64)).alias("hits"),
    )
    (row,) = cells_of(results_table(statistics.summary(runs)))
    assert row["solved"] == row["steps"] == row["deepest target"] == "n/a: no targets"
    assert row["final gap"].startswith("f = ")


@pytest.mark.parametrize(
    ("word", "seeds", "expected"),
    [
        ("better", None, "adam better"),
        ("worse", None, "sgd better"),
        ("tie", None, "tie"),
        ("cannot tell", 137, "cannot tell (about 140 seeds would)"),
        ("cannot tell", 9, "cannot tell (about 9 seeds would)"),
        ("cannot tell", 10_000, "cannot tell (more than 10000 seeds would)"),
        ("cannot tell", None, "cannot tell (no number of seeds would)"),
    ],
)
def test_verdicts_in_words(word: str, seeds: int | None, expected: str) -> None:
    """A verdict names the better method, or says how many seeds would tell."""
    (row,) = cells_of(verdict_table(verdict(word, seeds), ORIGIN))
    assert row["verdict"] == expected
    assert row["ratio a/b"] == "0.50 [0, inf]"


def test_rows_that_do_not_count_are_marked(build: Runs) -> None:
    """The measure that a verdict on a network does not rest on is marked."""
    table = verdict_table(statistics.pairwise(build(problems=["net"])), ORIGIN)
    assert [row["measure"] for row in cells_of(table)] == ["steps", "test loss (not counted)"]


def test_costs_say_why_they_are_missing() -> None:
    """A method that could not be timed gives its reason."""
    costs = pl.DataFrame(
        {
            "method": ["adam", "sparse_adam"],
            "time": [3.46, None],
            "state_bytes": [8.0, None],
            "evaluations": [0.0, 0.0],
            "reason": ["", "it needs sparse gradients"],
        }
    )
    first, second = cells_of(cost_table(costs, ORIGIN))
    assert list(first.values()) == ["adam", "3.46", "8", "0"]
    assert set(second.values()) == {"sparse_adam", "n/a: it needs sparse gradients"}


def test_tuning_says_what_was_not_tried() -> None:
    """A method with fewer trials has no number for more of them."""
    curve = pl.DataFrame(
        {
            "method": ["a", "a", "b"],
            "trials": [1, 2, 1],
            "problems": [3, 3, 3],
            "mean": [5.0, 4.0, 6.0],
            "median": [5.0, 4.0, 6.0],
            "low": [4.0, 4.0, 6.0],
            "high": [6.0, 4.0, 6.0],
        }
    )
    first, second = cells_of(tuning_table(curve, ORIGIN))
    assert first == {"method": "a", "1 trial": "32 [16, 64]", "2 trials": "16 [16, 16]"}
    assert second["2 trials"] == "n/a: fewer tried"


def test_networks_have_their_own_table(build: Runs) -> None:
    """Only problems with test examples appear, with accuracy in percent."""
    rows = cells_of(network_table(statistics.summary(build(methods=["adam"])), ORIGIN))
    assert [row["problem"] for row in rows] == ["net"]
    assert rows[0]["accuracy"] == "90.0% [90.0%, 90.0%]"


def test_left_out_pairs_give_their_reason() -> None:
    """A pair that was not run is listed with the reason."""
    reasons = pl.DataFrame({"problem": ["bowl"], "method": ["muon"], "reason": ["needs matrices"]})
    assert left_out_table(reasons, ORIGIN).rows == (("bowl", "muon", "needs matrices"),)


def all_tables(runs: pl.DataFrame) -> list[Table]:
    """Every table that can be made of a frame of runs."""
    summary, verdicts = statistics.summary(runs), statistics.pairwise(runs)
    overall = pl.DataFrame(
        schema={"method": pl.String, "trials": pl.Int64, "mean": pl.Float64}
        | {"low": pl.Float64, "high": pl.Float64}
    )
    if not runs.is_empty():
        overall = statistics.curve(runs, range(0, 4), range(4, 8), (1,)).overall
    return [
        results_table(summary, verdicts, origin=ORIGIN),
        network_table(summary, ORIGIN),
        verdict_table(verdicts, ORIGIN),
        tally_table(statistics.tally(verdicts), ORIGIN),
        ranks_table(statistics.ranks(runs), ORIGIN),
        tuning_table(overall, ORIGIN),
        cost_table(pl.DataFrame(), ORIGIN),
        left_out_table(pl.DataFrame(), ORIGIN),
    ]


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("methods", [(), ("adam",), ("adam", "sgd", "lion")], ids=len)
def test_every_table_renders(build: Runs, methods: tuple[str, ...], form: Form) -> None:
    """No methods, one and several: every table has a rendering in every form."""
    for table in all_tables(build(methods=methods)):
        assert render(table, form).endswith("\n")


def test_nulls_and_infinities_leave_no_empty_cell(build: Runs) -> None:
    """Diverged networks without any measure still have something to say in every cell."""
    runs = build(rates=[1.0]).with_columns(
        pl.lit(None, pl.Float64).alias(c) for c in ("final", "test_loss", "accuracy", "minimum")
    )
    for table in all_tables(runs):
        assert all(cell for row in table.rows for cell in row)
        assert "None" not in render(table, Form.CSV)
        assert "nan" not in render(table, Form.CSV)


def test_every_footer_tells_the_origin(build: Runs) -> None:
    """Plan, versions and the kind of test stand below every table; n where cells have one."""
    for table in all_tables(build()):
        assert table.footer.startswith("plan: test; ravine 0.1, torch 2.13, commit abc; ")
        assert "test" in table.footer.removeprefix("plan: test") or "counts" in table.footer
    summary = statistics.summary(build())
    assert "n = 8 seeds per cell" in results_table(summary, origin=ORIGIN).footer


def test_unequal_numbers_of_seeds_are_said(build: Runs) -> None:
    """The footer names the smallest and the largest number of seeds."""
    runs = pl.concat([build(problems=["bowl"], seeds=4), build(problems=["net"], seeds=8)])
    assert "n = 4 to 8 seeds per cell" in results_table(statistics.summary(runs)).footer
