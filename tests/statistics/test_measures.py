from math import inf, log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ravine.errors import BadValue
from ravine.statistics import hit_at, summary, targets_reached, with_measures

HITS = st.lists(st.one_of(st.just(-1), st.integers(1, 64)), min_size=1, max_size=5)


def test_runtime_of_a_run_worked_by_hand(build):
    """A hit at 0 counts as 1, a miss as twice the budget: (0 + 3 + log2 128) / 3."""
    frame = with_measures(build({"hits": [[0, 8, -1], [4, 4, 4]], "budget": 64}))
    assert frame["runtime"].to_list() == pytest.approx([10 / 3, 2.0])
    assert frame["solved"].to_list() == [False, True]


def test_a_run_without_hits_missed_every_target(build):
    """A failed run that recorded no hits is charged for all of its targets."""
    frame = build({"hits": [[]], "targets": [[0.1, 0.01]], "budget": 64})
    measured = with_measures(frame)
    assert measured["runtime"].to_list() == [7.0]
    assert measured["solved"].to_list() == [False]
    assert targets_reached(frame)["share"].to_list() == [0.0, 0.0]


def test_without_targets_there_is_no_runtime(build):
    """Nothing to reach is neither solved nor missed."""
    frame = with_measures(build({"hits": [[]]}))
    assert frame.select("runtime", "solved").row(0) == (None, None)


def test_gap_is_relative_to_the_start(build):
    """(final - minimum) / (start - minimum), infinite after divergence, else null."""
    frame = with_measures(
        build(
            {
                "hits": [[1]] * 5,
                "start": [6.0, 6.0, 6.0, 2.0, 6.0],
                "final": [3.0, inf, None, 2.0, 3.0],
                "minimum": [2.0, 2.0, 2.0, 2.0, None],
            }
        )
    )
    assert frame["gap"].to_list() == [0.25, inf, inf, None, None]


@settings(deadline=None, max_examples=30)
@given(hits=HITS)
def test_runtime_doubles_with_the_clock(build, hits):
    """Twice the steps and twice the budget add exactly 1 to log2."""
    slow = [2 * h if h > 0 else h for h in hits]
    once = with_measures(build({"hits": [hits], "budget": 64}))["runtime"][0]
    twice = with_measures(build({"hits": [slow], "budget": 128}))["runtime"][0]
    assert twice == pytest.approx(once + 1)


@settings(deadline=None, max_examples=30)
@given(hits=HITS)
def test_a_miss_is_worse_than_any_hit(build, hits):
    """Turning a hit into a miss always raises the runtime."""
    frame = build(*({"hits": [[*hits, h]], "budget": 64, "setting": str(h)} for h in (64, -1)))
    late, never = with_measures(frame)["runtime"]
    assert late < never


def test_hit_at_gives_steps_or_null(build):
    """A miss and a target that does not exist are both null."""
    frame = build({"hits": [[3, -1], [1, 7], []]})
    assert hit_at(frame, 0).to_list() == [3, 1, None]
    assert hit_at(frame, -1).to_list() == [None, 7, None]
    assert hit_at(frame, 5).to_list() == [None, None, None]


def test_summary_worked_by_hand(build):
    """Seven seeds, four of which reach the first target and three the second."""
    hits = [[10, 20], [10, 30], [40, 90], [70, -1], [-1, -1], [-1, -1], [-1, -1]]
    ends = ["solved"] * 3 + ["spent", "diverged", "diverged", "failed"]
    finals = [0.01, 0.01, 0.01, 0.05, inf, inf, 0.7]
    row = summary(build({"hits": hits, "outcome": ends, "final": finals})).row(0, named=True)
    assert row["n"] == 7
    assert row["solved"] == pytest.approx(3 / 7)
    assert row["solved_low"] < 3 / 7 < row["solved_high"]
    assert (row["spent"], row["stalled"], row["diverged"], row["failed"]) == (1, 0, 2, 1)
    assert (row["steps"], row["steps_low"], row["steps_high"]) == (None, 20.0, None)
    assert (row["reached_index"], row["reached_steps"]) == (0, 70.0)
    assert row["reached_target"] == pytest.approx(0.1)
    assert row["reached_gap"] == pytest.approx(0.1)
    assert (row["final"], row["final_low"], row["final_high"]) == (0.05, 0.01, inf)
    assert row["gap"] == 0.05
    assert row["accuracy"] is None


def test_summary_of_few_runs_has_no_interval(build):
    """Five runs cannot bound a median with 95 %."""
    row = summary(build({"hits": [[5]] * 5})).row(0, named=True)
    assert (row["steps"], row["steps_low"], row["steps_high"]) == (5.0, None, None)
    assert (row["runtime"], row["runtime_low"]) == (pytest.approx(log2(5)), None)


def test_half_of_the_seeds_are_enough_for_a_median_of_steps(build):
    """With two of four arriving the median is the step by which half are there."""
    row = summary(build({"hits": [[5], [9], [-1], [-1]]})).row(0, named=True)
    assert (row["steps"], row["reached_steps"], row["reached_index"]) == (9.0, 9.0, 0)


def test_summary_without_targets(build):
    """What needs a target is null, the rest is there."""
    row = summary(build({"hits": [[]] * 6, "final": [1.0, 2, 3, 4, 5, 6]})).row(0, named=True)
    assert all(row[c] is None for c in ("solved", "steps", "reached_index", "runtime"))
    assert (row["final"], row["final_low"], row["final_high"]) == (3.5, 1.0, 6.0)


def test_a_diverged_network_cannot_flatter_its_setting(build):
    """An absent test loss counts as infinite and an absent accuracy as zero."""
    losses, shares = [0.2, 0.4, None], [0.9, 0.8, None]
    row = summary(build({"hits": [[1]] * 3, "test_loss": losses, "accuracy": shares}))
    assert row.select("test_loss", "accuracy").row(0) == (0.4, 0.8)


def test_medians_agree_with_numpy(build):
    """Medians and bounds are the order statistics of the sorted values."""
    values = np.random.default_rng(0).normal(size=30)
    row = summary(build({"hits": [[1]] * 30, "final": values.tolist()})).row(0, named=True)
    ordered = np.sort(values)
    assert row["final"] == pytest.approx(np.median(values))
    assert (row["final_low"], row["final_high"]) == (ordered[9], ordered[20])


def test_summary_does_not_depend_on_the_order_of_rows(build):
    """Shuffled runs give the same rows."""
    generator = np.random.default_rng(1)
    frame = build(
        *(
            {
                "problem": problem,
                "method": method,
                "hits": generator.integers(-1, 50, (9, 2)).tolist(),
                "final": generator.random(9).tolist(),
            }
            for problem in "pq"
            for method in "ab"
        )
    )
    keys = ["problem", "method"]
    shuffled = frame.sample(fraction=1, shuffle=True, seed=3)
    assert_frame_equal(summary(frame).sort(keys), summary(shuffled).sort(keys))


def test_runs_need_their_names():
    """A frame without seeds is refused with the missing column."""
    with pytest.raises(BadValue, match="`seed`"):
        with_measures(pl.DataFrame({"problem": ["p"], "method": ["a"], "setting": ["a"]}))


def test_ends_are_counted_most_frequent_first(build):
    """The words of `ended` with their numbers of runs; equal numbers in the alphabet's order."""
    runs = build({"hits": [[1]] * 6})
    words = ["slope", "minimum", "minimum", "saddle", "minimum", "plateau"]
    (row,) = summary(runs.with_columns(pl.Series("ended", words)))["ended"].to_list()
    assert [(entry["ended"], entry["runs"]) for entry in row] == [
        ("minimum", 3),
        ("plateau", 1),
        ("saddle", 1),
        ("slope", 1),
    ]
    assert "ended" not in summary(runs).columns
