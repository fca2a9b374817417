import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from polars.testing import assert_frame_equal

from ravine.errors import BadValue
from ravine.statistics import ecdf, performance, ranks

# problems, methods, seeds, targets
HITS = arrays(int, (4, 3, 5, 2), elements=st.integers(-1, 200))


def _frame(build, hits, factor=1):
    entries = [
        {
            "problem": f"p{p}",
            "method": f"m{m}",
            "budget": 200 * factor,
            "hits": np.where(hits[p, m] > 0, hits[p, m] * factor, hits[p, m]).tolist(),
        }
        for p in range(hits.shape[0])
        for m in range(hits.shape[1])
    ]
    return build(*entries)


def test_performance_worked_by_hand(build):
    """Two problems: a is four times faster on one, and alone to arrive on the other."""
    frame = build(
        {"problem": "p", "method": "a", "hits": [[10, -1]] * 3},
        {"problem": "p", "method": "b", "hits": [[40, -1]] * 3},
        {"problem": "q", "method": "a", "hits": [[5, 50], [5, 60], [5, -1]]},
        {"problem": "q", "method": "b", "hits": [[1, -1], [1, 2], [1, -1]]},
    )
    profile = performance(frame)
    a, b = (profile.filter(method=m) for m in "ab")
    assert a["share"].to_list() == [1.0] * len(a)
    np.testing.assert_array_equal(b["share"], np.where(b["tau"] < 4, 0, 0.5))
    assert b["tau"].max() > 4
    assert profile["problems"].unique().to_list() == [2]


def test_a_problem_that_nobody_solves_counts_against_everybody(build):
    """Its share never reaches 1, and a problem without targets does not count."""
    frame = build(
        {"problem": "p", "hits": [[-1]]},
        {"problem": "q", "hits": [[0]]},
        {"problem": "r", "hits": [[]]},
    )
    profile = performance(frame)
    assert profile["share"].unique().to_list() == [0.5]
    assert profile["problems"][0] == 2


@settings(deadline=None, max_examples=20)
@given(hits=HITS)
def test_profiles_rise_within_bounds(build, hits):
    """Shares and bands lie in [0, 1], rise, and enclose; at factor 1 there is a best."""
    for curve in (performance(_frame(build, hits)), ecdf(_frame(build, hits))):
        for (method,), part in curve.group_by("method"):
            for column in ("low", "share", "high"):
                assert part[column].is_between(0, 1).all(), method
                assert (part[column].diff().drop_nulls() >= -1e-12).all(), method
            assert (part["low"] <= part["share"] + 1e-12).all()
            assert (part["share"] <= part["high"] + 1e-12).all()
    profile = performance(_frame(build, hits))
    reached = (np.sort(np.where(hits < 0, 999, hits), axis=2)[:, :, 2] < 999).any((1, 2))
    first = profile.filter(pl.col("tau") == 1)["share"].sum()
    assert first >= reached.mean() - 1e-12


@settings(deadline=None, max_examples=10)
@given(hits=HITS.map(lambda hits: np.where(hits == 0, 1, hits)))
def test_profiles_and_ranks_do_not_depend_on_the_unit_of_steps(build, hits):
    """Ten times the steps give the same profile and the same ranks."""
    once, tenfold = _frame(build, hits), _frame(build, hits, 10)
    assert_frame_equal(performance(once), performance(tenfold), rel_tol=1e-9)
    assert_frame_equal(ranks(once), ranks(tenfold), rel_tol=1e-9)


@settings(deadline=None, max_examples=10)
@given(hits=HITS, seed=st.integers(0, 100))
def test_profiles_do_not_depend_on_the_order_of_rows(build, hits, seed):
    """Shuffled runs give the same curves and ranks, bands included."""
    frame = _frame(build, hits)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    for function, keys in ((performance, "tau"), (ecdf, "steps"), (ranks, "rank")):
        ours, theirs = (function(f).sort("method", keys) for f in (frame, shuffled))
        assert_frame_equal(ours, theirs, rel_tol=1e-12)


@settings(deadline=None, max_examples=10)
@given(hits=HITS)
def test_ecdf_counts_triples(build, hits):
    """Every point is the plain count over problems, seeds and targets."""
    for method, steps, share in ecdf(_frame(build, hits)).select("method", "steps", "share").rows():
        own = hits[:, int(method[1])]
        assert share == pytest.approx(((own >= 0) & (own <= steps)).mean())


def test_ecdf_weighs_targets_and_counts_unrecorded_hits_as_misses(build):
    """A failed run without hits misses all of its targets."""
    frame = build({"hits": [[1, 1, 1], []], "targets": [[3.0, 2.0, 1.0]] * 2})
    assert ecdf(frame)["share"].unique().to_list() == [0.5]


def test_ranks_worked_by_hand(build):
    """Equal methods share a rank; without targets the final loss decides."""
    frame = build(
        {"problem": "p", "method": "a", "hits": [[4]]},
        {"problem": "p", "method": "b", "hits": [[4]]},
        {"problem": "p", "method": "c", "hits": [[2]]},
        {"problem": "q", "method": "a", "hits": [[]], "final": 0.1},
        {"problem": "q", "method": "b", "hits": [[]], "final": float("inf")},
        {"problem": "q", "method": "c", "hits": [[]], "final": 0.2},
    )
    found = ranks(frame)
    assert found.select("method", "rank").rows() == [("a", 1.75), ("b", 2.75), ("c", 1.5)]
    assert (found["low"] <= found["rank"]).all()
    assert (found["rank"] <= found["high"]).all()


def test_only_what_all_methods_have_is_compared(build):
    """A problem and a seed of one method alone are left out."""
    frame = build(
        {"problem": "p", "method": "a", "hits": [[4], [4], [900]]},
        {"problem": "p", "method": "b", "hits": [[8], [8]]},
        {"problem": "q", "method": "a", "hits": [[4]]},
    )
    assert performance(frame)["problems"].unique().to_list() == [1]
    assert ecdf(frame).filter(method="a")["share"].max() == 1
    assert ranks(frame)["rank"].to_list() == [1.0, 2.0]


def test_nothing_in_common_is_an_empty_frame(build):
    """Methods that share no problem have no profile, and it has the same columns."""
    frame = build({"problem": "p", "method": "a", "hits": [[4]]},
                  {"problem": "q", "method": "b", "hits": [[8]]})  # fmt: skip
    whole = build({"hits": [[4]]})
    for function in (performance, ecdf, ranks):
        assert function(frame).is_empty()
        assert function(frame).schema == function(whole).schema


def test_several_settings_are_refused(build):
    """A method has to come with one setting."""
    frame = build({"setting": "a(lr=1)", "hits": [[4]]}, {"setting": "a(lr=2)", "hits": [[8]]})
    for function in (performance, ecdf, ranks):
        with pytest.raises(BadValue, match="choose one setting"):
            function(frame)
