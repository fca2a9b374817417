import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import binom

from ravine.errors import BadValue
from ravine.statistics import Thresholds, Verdict, pairwise, tally

SEEDS = 12


def _pair(build, a, b, **columns):
    """Two methods with their first-hit steps of one target, one for each seed."""
    return build(
        {"method": "a", "hits": [[h] for h in a], **columns},
        {"method": "b", "hits": [[h] for h in b], **columns},
    )


def _steps(generator, center, spread, size):
    return np.exp2(generator.normal(np.log2(center), spread, size)).round().astype(int)


def test_a_clear_difference_is_better_and_its_mirror_worse(build):
    """Half the steps with every seed: ratio 1/2 with an interval around it."""
    fast = _steps(np.random.default_rng(0), 100, 0.3, SEEDS)
    slow = _steps(np.random.default_rng(1), 200, 0.01, SEEDS) * fast // 100
    row = pairwise(_pair(build, fast, slow)).row(0, named=True)
    assert (row["verdict"], row["measure"], row["n"]) == ("better", "steps", SEEDS)
    assert row["ratio"] == pytest.approx(0.5, rel=0.05)
    assert row["low"] < row["ratio"] < row["high"] < 1
    assert row["p"] == pytest.approx(2 / 2**SEEDS)
    assert row["seeds_needed"] is None
    assert pairwise(_pair(build, slow, fast))["verdict"].to_list() == ["worse"]


def test_a_significant_trifle_is_no_victory(build):
    """A difference of 2 % in every seed is within the threshold: a tie."""
    a = np.arange(1000, 1000 + SEEDS)
    row = pairwise(_pair(build, a, (a * 1.02).astype(int), budget=9999)).row(0, named=True)
    assert row["p_holm"] < 0.01
    assert row["verdict"] == "tie"


def test_equal_methods_with_small_variance_tie(build):
    """Noise far below the threshold on twenty problems is a tie on all.

    The noise is 1 % of a threshold of 10 %, so a false alarm needs ten deviations.
    """
    generator = np.random.default_rng(3)
    frame = pl.concat(
        _pair(
            build,
            *(_steps(generator, 5000, 0.0144, SEEDS) for _ in "ab"),
            problem=f"p{p}",
            budget=99999,
        )
        for p in range(20)
    )
    verdicts = pairwise(frame)
    assert verdicts["verdict"].unique().to_list() == ["tie"]
    assert verdicts["seeds_needed"].null_count() == 20


def test_few_seeds_cannot_tell(build):
    """Four seeds are no evidence, however large the difference; it says how many are."""
    row = pairwise(_pair(build, [1, 2, 3, 4], [100, 200, 300, 500])).row(0, named=True)
    assert row["verdict"] == "cannot tell"
    assert row["seeds_needed"] == 6
    one = pairwise(_pair(build, [1], [100])).row(0, named=True)
    assert (one["verdict"], one["seeds_needed"], one["low"]) == ("cannot tell", None, 0.0)


@pytest.mark.slow
def test_no_false_winner_under_the_null(build):
    """Equal distributions: the share of families with any winner stays below alpha.

    150 families of ten problems, any effect allowed to count.  False-alarm rate below 1e-6
    if the family-wise error is at most 5 %.
    """
    generator = np.random.default_rng(5)
    false = 0
    for _ in range(150):
        hits = _steps(generator, 100, 1.0, (10, 2, SEEDS))
        frame = pl.concat(_pair(build, a, b, problem=str(p)) for p, (a, b) in enumerate(hits))
        found = pairwise(frame, alpha=0.05, thresholds=Thresholds(steps=1.0))
        false += found["verdict"].is_in(["better", "worse"]).any()
    assert false <= binom.isf(1e-6, 150, 0.05)


def test_no_false_tie_on_the_threshold(build):
    """A true difference at the threshold is rarely called a tie.

    150 families of five problems whose true factor is 1.1.  False-alarm rate below 1e-6 if
    the family-wise error is at most 5 %.
    """
    generator = np.random.default_rng(6)
    false = 0
    for _ in range(150):
        a = _steps(generator, 100_000, 0.05, (5, SEEDS))
        b = _steps(generator, 110_000, 0.05, (5, SEEDS))
        frame = pl.concat(_pair(build, a[p], b[p], problem=str(p), budget=10**7) for p in range(5))
        false += (pairwise(frame)["verdict"] == "tie").any()
    assert false <= binom.isf(1e-6, 150, 0.05)


def _random(build, generator, problems=3):
    entries = [
        {
            "problem": f"p{p}",
            "method": m,
            "hits": generator.integers(-1, [[20, 60]], (SEEDS, 2)).tolist(),
            "final": generator.random(SEEDS).tolist(),
        }
        for p in range(problems)
        for m in "abc"
    ]
    return build(*entries)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_swapping_the_methods_mirrors_everything(build, seed):
    """Better becomes worse, ratios and bounds invert, p-values stay."""
    frame = _random(build, np.random.default_rng(seed))
    ours = pairwise(frame).sort("problem", "a", "b")
    theirs = pairwise(frame.reverse()).select(
        "problem",
        pl.col("b").alias("a"),
        pl.col("a").alias("b"),
        "measure",
        "counted",
        pl.col("verdict").map_elements(lambda v: Verdict(v).swapped.value, pl.String),
        (1 / pl.col("ratio")).alias("ratio"),
        (1 / pl.col("high")).alias("low"),
        (1 / pl.col("low")).alias("high"),
        "p",
        "p_holm",
        "n",
        "seeds_needed",
    )
    assert_frame_equal(ours, theirs.sort("problem", "a", "b"), rel_tol=1e-9)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_verdicts_do_not_depend_on_the_order_of_rows(build, seed):
    """With the order of methods kept, shuffled runs give the same verdicts."""
    frame = _random(build, np.random.default_rng(seed))
    first = frame.group_by("method", maintain_order=True).first().select(frame.columns)
    shuffled = pl.concat([first, frame.sample(fraction=1, shuffle=True, seed=1)]).unique(
        ["problem", "method", "seed"], keep="first", maintain_order=True
    )
    keys = ["problem", "a", "b"]
    assert_frame_equal(pairwise(frame).sort(keys), pairwise(shuffled).sort(keys), rel_tol=1e-12)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.25, 8.0]))
def test_units_do_not_matter(build, seed, scale):
    """Eight times the steps, or another unit of the loss, change no verdict and no ratio."""
    generator = np.random.default_rng(seed)
    hits = generator.integers(1, 200, (2, SEEDS))
    assert_frame_equal(
        pairwise(_pair(build, *hits)),
        pairwise(_pair(build, *(8 * hits), budget=8000)),
        rel_tol=1e-9,
    )
    finals = generator.random((2, SEEDS)) + 0.1
    for minimum in (0.0, None):
        frames = [
            build(
                *(
                    {
                        "method": m,
                        "hits": [[-1]] * SEEDS,
                        "final": (unit * f).tolist(),
                        "start": unit,
                        "minimum": minimum,
                    }
                    for m, f in zip("ab", finals, strict=True)
                )
            )
            for unit in (1.0, scale)
        ]
        assert_frame_equal(*map(pairwise, frames), rel_tol=1e-9)


def _final(build, a, b, **columns):
    columns = {"hits": [[-1]] * len(a), **columns}
    return pairwise(
        build({"method": "a", "final": a, **columns}, {"method": "b", "final": b, **columns})
    ).row(0, named=True)


def test_where_all_miss_the_final_gap_decides(build):
    """A tenth of the gap is better, though the penalised runtimes are equal."""
    a = np.geomspace(0.01, 0.02, SEEDS)
    row = _final(build, a.tolist(), (10 * a).tolist())
    assert (row["measure"], row["verdict"]) == ("final gap", "better")
    assert row["ratio"] == pytest.approx(0.1)
    nearly = _final(build, a.tolist(), (1.5 * a).tolist())
    assert (nearly["measure"], nearly["verdict"]) == ("final gap", "tie")


def test_without_a_minimum_the_final_value_decides(build):
    """A relative difference of 1 % is the threshold, below zero as above."""
    a = np.linspace(1, 2, SEEDS)
    row = _final(build, a.tolist(), (a / 2).tolist(), minimum=None)
    assert (row["measure"], row["verdict"]) == ("final value", "worse")
    assert row["ratio"] == pytest.approx(2)
    below = _final(build, (-a).tolist(), (-a / 2).tolist(), minimum=None)
    assert (below["verdict"], below["ratio"]) == ("better", pytest.approx(0.5))
    near = _final(build, a.tolist(), (a * 1.005).tolist(), minimum=None)
    assert near["verdict"] == "tie"


def test_divergence_loses_to_anything_finite(build):
    """An infinite final loss is worse, and two of them are equal."""
    worst = [float("inf")] * SEEDS
    for minimum in (0.0, None):
        assert _final(build, [9.0] * SEEDS, worst, minimum=minimum)["verdict"] == "better"
        assert _final(build, worst, worst, minimum=minimum)["verdict"] == "tie"


def test_no_targets_at_all_compare_by_the_end(build):
    """A problem without targets has no row for steps."""
    a = np.geomspace(0.01, 0.02, SEEDS)
    row = _final(build, a.tolist(), (10 * a).tolist(), hits=[[]] * SEEDS)
    assert (row["measure"], row["counted"]) == ("final gap", True)


@pytest.mark.parametrize(("arriving", "counted"), [(7, "steps"), (6, "test loss")])
def test_networks_count_steps_where_most_seeds_arrive(build, arriving, counted):
    """Both rows are there; the one that counts depends on who arrives."""
    hits = [[50 + s if s < arriving else -1] for s in range(SEEDS)]
    losses = np.linspace(0.3, 0.4, SEEDS)
    frame = build(
        {"method": "a", "hits": hits, "test_loss": losses.tolist(), "minimum": None},
        {"method": "b", "hits": hits, "test_loss": [*(1.1 * losses[:-1]), None], "minimum": None},
    )
    found = pairwise(frame)
    assert found["measure"].to_list() == ["steps", "test loss"]
    assert found.filter("counted")["measure"].to_list() == [counted]
    assert found["verdict"].to_list() == ["tie", "better"]
    assert found["ratio"][1] == pytest.approx(1 / 1.1)
    assert tally(found)["problems"].to_list() == [1]


def test_only_common_seeds_and_problems_are_paired(build):
    """Seeds of one method alone are left out, and problems of one method too."""
    frame = build(
        {"method": "a", "hits": [[8]] * 9},
        {"method": "b", "hits": [[8]] * 7, "seed": [8, 7, 6, 5, 4, 3, 99]},
        {"problem": "q", "method": "b", "hits": [[8]]},
    )
    found = pairwise(frame)
    assert found.select("problem", "a", "b", "n").rows() == [("p", "a", "b", 6)]
    assert pairwise(frame.filter(pl.col("method") == "a")).is_empty()


def test_holm_runs_over_the_problems_of_a_pair(build):
    """The same evidence weighs less among many problems, and other pairs do not matter."""
    generator = np.random.default_rng(8)
    clear = _pair(build, [10] * SEEDS, [20] * SEEDS, problem="clear")
    noise = [
        _pair(build, *_steps(generator, 100, 1, (2, SEEDS)), problem=str(p)) for p in range(30)
    ]
    alone, among = pairwise(clear), pairwise(pl.concat([clear, *noise]))
    assert alone["p_holm"][0] == alone["p"][0]
    assert among["p_holm"][0] == pytest.approx(31 * alone["p"][0])
    third = clear.with_columns(method=pl.lit("c"), setting=pl.lit("c")).unique(
        ["problem", "method", "seed"]
    )
    more = pairwise(pl.concat([clear, *noise, third])).filter(a="a", b="b")
    assert_frame_equal(among, more)


def test_several_settings_or_budgets_are_refused(build):
    """One setting for each method, and one budget for each problem."""
    several = build({"setting": "a(lr=1)", "hits": [[1]]}, {"setting": "a(lr=2)", "hits": [[1]]})
    with pytest.raises(BadValue, match="choose one setting"):
        pairwise(several)
    budgets = build({"method": "a", "hits": [[1]]}, {"method": "b", "hits": [[1]], "budget": 7})
    with pytest.raises(BadValue, match="budgets 7, 1000"):
        pairwise(budgets)


def test_tally_counts_every_verdict_in_one_sentence():
    """The counts add up to the problems, and rows that do not count are left out."""
    words = ["better", "better", "worse", "tie", "cannot tell", "better"]
    verdicts = pl.DataFrame(
        {
            "a": ["adamw"] * 6,
            "b": ["sgd"] * 6,
            "verdict": words,
            "counted": [True] * 5 + [False],
        }
    )
    assert tally(verdicts).row(0) == (
        *("adamw", "sgd", 2, 1, 1, 1, 5),
        "adamw against sgd: better on 2, worse on 1, tie on 1, cannot tell on 1 of 5 problems",
    )
    assert tally(verdicts.head(1))["sentence"][0].endswith("of 1 problem")
