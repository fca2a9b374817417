from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ravine.errors import BadValue
from ravine.statistics import choose, curve, on_edge, scored


def _chosen(frame, seeds=(0, 1)):
    return choose(frame, seeds)["setting"].to_list()


def test_the_smallest_mean_runtime_on_tuning_seeds_wins(build):
    """Other seeds have no say: there the other setting is better."""
    frame = build(
        {"setting": "a(lr=0.1)", "hits": [[8], [8], [1]]},
        {"setting": "a(lr=0.2)", "hits": [[4], [8], [900]]},
    )
    assert _chosen(frame) == ["a(lr=0.2)"]
    assert _chosen(frame, [2]) == ["a(lr=0.1)"]


def test_ties_fall_to_final_then_rate_then_name(build):
    """Every step of the rule decides when those before it do not."""
    missed = {"hits": [[-1], [-1]]}
    rates = [{**missed, "setting": f"a(lr={rate})"} for rate in ("0.1", "0.02")]
    assert _chosen(build({**rates[0], "final": 0.3}, {**rates[1], "final": 0.4})) == ["a(lr=0.1)"]
    assert _chosen(build(*rates)) == ["a(lr=0.02)"]
    assert _chosen(build({**missed, "setting": "b"}, {**missed, "setting": "a"})) == ["a"]


def test_without_targets_the_smaller_median_final_wins(build):
    """Divergence in one of three seeds does not decide a median."""
    none = {"hits": [[], [], []]}
    frame = build(
        {**none, "setting": "a", "final": [0.1, 0.1, float("inf")]},
        {**none, "setting": "b", "final": [0.2, 0.2, 0.2]},
    )
    assert _chosen(frame, [0, 1, 2]) == ["a"]


def test_an_incomplete_setting_stands_back(build):
    """One lucky seed does not beat two ordinary ones."""
    frame = build({"setting": "a", "hits": [[1]]}, {"setting": "b", "hits": [[9], [9]]})
    choice = choose(frame, [0, 1])
    assert choice.row(0) == ("p", "a", "b", ["b"])


def test_choose_needs_a_tuning_seed(build):
    """No run with such a seed is an error that says so."""
    with pytest.raises(BadValue, match="tuning_seeds"):
        choose(build({"hits": [[1]]}), [7])


def test_scored_keeps_the_chosen_setting_on_scoring_seeds(build):
    """Neither other settings nor tuning seeds are left."""
    frame = build({"setting": "a", "hits": [[1]] * 4}, {"setting": "b", "hits": [[9]] * 4})
    kept = scored(frame, choose(frame, [0, 1]), [2, 3])
    assert kept.select("setting", "seed").rows() == [("a", 2), ("a", 3)]


def _random(build, generator, problems=2, methods=2, trials=5, seeds=6):
    return build(
        *(
            {
                "problem": f"p{p}",
                "method": f"m{m}",
                "setting": f"m{m}(lr={t + 1})",
                "hits": generator.integers(1, 900, (seeds, 1)).tolist(),
            }
            for p in range(problems)
            for m in range(methods)
            for t in range(trials)
        )
    )


def test_choice_and_curve_do_not_depend_on_the_order_of_rows(build):
    """Shuffled runs give the same numbers."""
    frame = _random(build, np.random.default_rng(0))
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    keys = ["problem", "method"]
    assert_frame_equal(choose(frame, [0, 1]).sort(keys), choose(shuffled, [0, 1]).sort(keys))
    ours, theirs = (curve(f, [0, 1], [2, 3, 4, 5]) for f in (frame, shuffled))
    keys = [*keys, "trials"]
    assert_frame_equal(ours.by_problem.sort(keys), theirs.by_problem.sort(keys))
    keys = ["method", "trials"]
    assert_frame_equal(ours.overall.sort(keys), theirs.overall.sort(keys), rel_tol=1e-12)


def test_edges_are_found(build):
    """Lowest and highest values warn; inner ones, fixed ones and words do not."""
    rates = {"low": 0.1, "middle": 0.2, "high": 0.3}
    knobs = {n: {"lr": r, "momentum": 0.9, "nesterov": True, "mode": n} for n, r in rates.items()}
    for winner, edge in (("low", "smallest"), ("middle", None), ("high", "largest")):
        hits = {name: [[1 if name == winner else 50]] for name in rates}
        frame = build(*({"setting": name, "hits": h} for name, h in hits.items()))
        found = on_edge(choose(frame, [0]), knobs)
        expected = [("p", "a", winner, "lr", rates[winner], edge, 0.1, 0.3)]
        assert found.rows() == (expected if edge else [])


def test_edges_need_every_setting(build):
    """A setting without known knobs is an error that names it."""
    with pytest.raises(BadValue, match="`a`"):
        on_edge(choose(build({"hits": [[1]]}), [0]), {})


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), trials=st.integers(1, 6), k=st.integers(1, 6))
def test_the_curve_is_the_average_over_all_subsets(build, seed, trials, k):
    """Mean, median and range agree with trying every subset of the settings."""
    frame = _random(build, np.random.default_rng(seed), 1, 1, trials)
    hits = np.array(frame["hits"].to_list(), float).reshape(trials, 6)
    tuned = np.log2(hits[:, :3]).mean(1)
    score = np.median(np.log2(hits[:, 3:]), axis=1)
    found = curve(frame, [0, 1, 2], [3, 4, 5], [k]).by_problem
    if k > trials:
        assert found.is_empty()
        return
    results = [
        score[min(subset, key=lambda t: (round(tuned[t], 9), t))]
        for subset in combinations(range(trials), k)
    ]
    assert found["mean"][0] == pytest.approx(np.mean(results))
    low, middle, high = np.quantile(results, (0.025, 0.5, 0.975), method="inverted_cdf")
    assert found.select("low", "median", "high").row(0) == pytest.approx((low, middle, high))


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_more_trials_never_hurt_when_tuning_and_scoring_agree(build, seed):
    """With the same results on both kinds of seeds the curve falls."""
    hits = np.random.default_rng(seed).choice(np.arange(1, 900), 16, replace=False).tolist()
    frame = build(*({"setting": f"a(lr={h})", "hits": [[h], [h]]} for h in hits))
    found = curve(frame, [0], [1])
    assert found.by_problem["trials"].to_list() == [1, 2, 4, 8, 16]
    for column in ("mean", "median", "low", "high"):
        assert (found.by_problem[column].diff().drop_nulls() <= 1e-12).all()
    best = found.by_problem.filter(trials=16).select("low", "median", "high").row(0)
    assert best == pytest.approx([np.log2(min(hits))] * 3)


def test_the_overall_curve_is_the_mean_over_common_problems(build):
    """Its mean is exact, its band encloses it, and a problem of one method is left out."""
    generator = np.random.default_rng(2)
    frame = _random(build, generator, problems=3)
    frame = frame.filter(~((frame["problem"] == "p2") & (frame["method"] == "m1")))
    found = curve(frame, [0, 1], [2, 3, 4, 5])
    assert found.overall["problems"].unique().to_list() == [2]
    for method, k, _, mean, median, low, high in found.overall.iter_rows():
        common = found.by_problem.filter(method=method, trials=k)
        assert mean == pytest.approx(common.filter(common["problem"] != "p2")["mean"].mean())
        assert low <= median <= high
        assert low <= mean <= high


def test_the_curve_holds_out_tuning_seeds_where_it_must(build):
    """Without scoring runs of every setting even seeds choose and odd ones score."""
    frame = build(
        {"setting": "a", "hits": [[2], [64], [2], [64], [1]]},
        {"setting": "b", "hits": [[4], [8], [4], [8]]},
    )
    found = curve(frame, [0, 1, 2, 3], [4], [1, 2])
    assert found.held_out
    assert found.by_problem.filter(trials=2)["mean"].to_list() == [6.0]
    assert found.by_problem.filter(trials=1)["mean"].to_list() == [4.5]
    assert not curve(frame, [0], [1], [1]).held_out


def test_one_seed_cannot_choose_and_score(build):
    """Holding out needs two tuning seeds."""
    frame = build({"setting": "a", "hits": [[2]]})
    with pytest.raises(BadValue, match="two tuning seeds"):
        curve(frame, [0], [5])
