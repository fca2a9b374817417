"""Which setting a method is judged by, and how its result depends on the trials it had."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import comb, inf, isfinite

import numpy as np
import polars as pl
from jaxtyping import Float

from ravine.errors import BadValue
from ravine.registry import parse
from ravine.statistics.intervals import DRAWS
from ravine.statistics.measures import GROUP, complete, with_measures

TRIALS = (1, 2, 4, 8, 16)
"""Numbers of trials at which a tuning curve is read."""

_PAIR = ("problem", "method")
_SEED = 19_111_010


def choose(runs: pl.DataFrame, tuning_seeds: Collection[int]) -> pl.DataFrame:
    """Choose for every problem and method the setting that does best on the tuning seeds.

    The smallest mean `runtime` wins; without targets, or at equal runtimes, the smaller
    median final loss; then the smaller learning rate; then the name.  Settings that lack
    some of the tuning seeds stand back behind complete ones.  The rule serves to choose:
    its value is too good for having been chosen by, and is no score.

    Args:
        runs: any columns of a frame of runs.
        tuning_seeds: seeds that no score may be computed from.

    Returns:
        A row for every problem and method, in order of first appearance: `problem`,
        `method`, `setting` and `tried`, the names of the settings it was chosen from.

    Raises:
        BadValue: no run has a tuning seed.
    """
    ranked = _ranked(runs, tuning_seeds)
    best = ranked.group_by(*_PAIR, maintain_order=True).agg(
        pl.col("setting").first(), pl.col("setting").alias("tried")
    )
    order = runs.select(_PAIR).unique(maintain_order=True)
    return order.join(best, on=_PAIR, how="inner", maintain_order="left")


def scored(
    runs: pl.DataFrame, choice: pl.DataFrame, scoring_seeds: Collection[int]
) -> pl.DataFrame:
    """Keep the runs that methods are judged by: chosen settings on the scoring seeds.

    Args:
        runs: any columns of a frame of runs.
        choice: what `choose` returned.
        scoring_seeds: seeds that were not tuned on.
    """
    chosen = choice.select(GROUP)
    kept = runs.join(chosen, on=GROUP, how="semi", maintain_order="left")
    return kept.filter(pl.col("seed").is_in(list(scoring_seeds)))


def _ranked(runs: pl.DataFrame, seeds: Collection[int]) -> pl.DataFrame:
    """Order the settings of every problem and method from best to worst."""
    tuned = complete(runs).filter(pl.col("seed").is_in(list(seeds)))
    if tuned.is_empty():
        raise BadValue(
            f"`tuning_seeds` names {len(seeds)} seeds and none of the runs has one of them; "
            f"pass seeds that were run"
        )
    # sorted, so that a mean does not depend on the order of rows, not even in its last bit
    table = (
        with_measures(tuned)
        .sort("seed")
        .group_by(GROUP)
        .agg(
            pl.len().alias("n"),
            pl.col("runtime").mean().round(9),
            pl.col("final").median(),
        )
    )
    names = table["setting"].unique().to_list()
    rates = pl.DataFrame(
        {"setting": names, "rate": [_learning_rate(name) for name in names]},
        schema={"setting": pl.String, "rate": pl.Float64},
    )
    return (
        table.filter(pl.col("n") == pl.col("n").max().over(_PAIR))
        .join(rates, on="setting")
        .sort(*_PAIR, "runtime", "final", "rate", "setting", nulls_last=True)
    )


def _learning_rate(setting: str) -> float:
    try:
        rate = dict(parse(setting).kwargs).get("lr")
    except BadValue:
        return inf
    return float(rate) if isinstance(rate, int | float) and rate == rate else inf


def on_edge(choice: pl.DataFrame, settings: Mapping[str, Mapping[str, object]]) -> pl.DataFrame:
    """Find chosen knob values that are the smallest or the largest that was tried.

    Such a method might do better outside its range, so its result is a lower bound of what
    tuning can reach.

    Args:
        choice: what `choose` returned.
        settings: for every setting the values of its knobs by name.  Values that are no
            finite numbers, and knobs with a single value, have no edge.

    Returns:
        A row for every warning: `problem`, `method`, `setting`, `knob`, `value`, `edge`
        ("smallest" or "largest"), `low` and `high`, the range that was tried.

    Raises:
        BadValue: a setting of `choice` is not in `settings`.
    """
    rows: list[tuple[object, ...]] = []
    for problem, method, setting, tried in choice.select(*GROUP, "tried").iter_rows():
        for name in tried:
            if name not in settings:
                raise BadValue(f"`settings` lacks `{name}`; give the knob values of every setting")
        for knob, value in _numbers(settings[setting]).items():
            values = [v[knob] for v in map(_numbers, map(settings.__getitem__, tried)) if knob in v]
            low, high = min(values), max(values)
            if low < high and value in (low, high):
                edge = "smallest" if value == low else "largest"
                rows.append((problem, method, setting, knob, value, edge, low, high))
    schema = {
        **dict.fromkeys((*GROUP, "knob"), pl.String),
        "value": pl.Float64,
        "edge": pl.String,
        "low": pl.Float64,
        "high": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _numbers(knobs: Mapping[str, object]) -> dict[str, float]:
    return {
        knob: float(value)
        for knob, value in knobs.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    }


@dataclass(frozen=True, slots=True)
class Curve:
    """Results against the number of tuning trials, in log2 of the steps.

    Args:
        by_problem: `problem`, `method`, `trials`, `mean`, `median`, `low`, `high` over all
            subsets of the trials.
        overall: `method`, `trials`, `problems`, `mean`, `median`, `low`, `high` of the mean
            over the problems that all methods have.
        held_out: the score is on tuning seeds left out of the choice, because not every
            setting was run on the scoring seeds.
    """

    by_problem: pl.DataFrame
    overall: pl.DataFrame
    held_out: bool


def curve(
    runs: pl.DataFrame,
    tuning_seeds: Collection[int],
    scoring_seeds: Collection[int],
    trials: Sequence[int] = TRIALS,
) -> Curve:
    """Tell what a method reaches when it may try only some of the settings.

    For k of the K settings, drawn without replacement, the best one by `choose` is scored by
    its median `runtime` on other seeds.  The r-th best of all is the best of a subset with
    probability C(K - r, k - 1) / C(K, k), so mean, median and the 2.5 % and 97.5 % points
    over all subsets are exact; only those of the mean over problems are of random subsets,
    drawn for each problem alone.  The band is the luck of the draw of trials; it is not an
    interval over seeds.

    Args:
        runs: any columns of a frame of runs; problems without targets are left out.
        tuning_seeds: seeds to choose by.
        scoring_seeds: seeds to score by.  When a setting lacks runs on them, every other
            tuning seed chooses and the remaining ones score.
        trials: numbers of trials; those that a method did not have are left out.

    Returns:
        The curve of every problem and method, and of the mean over problems.

    Raises:
        BadValue: no run has a tuning seed, or fewer than two seeds have to be divided.

    References:
        Dodge et al. 2019, arXiv 1909.03004; Sivaprasad et al. 2020, arXiv 1910.11758.
    """
    order = _ranked(runs, tuning_seeds)
    score = _scores(runs, scoring_seeds)
    held_out = not order.join(score, on=GROUP, how="anti").is_empty()
    if held_out:
        seeds = sorted(set(tuning_seeds))
        if len(seeds) < 2:
            raise BadValue(
                f"`tuning_seeds` holds {len(seeds)} seed, which cannot both choose and score; "
                f"run every setting on the scoring seeds or give two tuning seeds"
            )
        order, score = _ranked(runs, seeds[::2]), _scores(runs, seeds[1::2])
    ranked = order.join(score, on=GROUP, how="inner", maintain_order="left")
    pairs: dict[tuple[str, str], np.ndarray] = {
        (problem, method): np.array(scores)
        for problem, method, scores in ranked.filter(pl.col("score").is_not_null())
        .group_by(_PAIR, maintain_order=True)
        .agg("score")
        .iter_rows()
    }
    found = runs.select(_PAIR).unique(maintain_order=True).iter_rows()
    pairs = {pair: pairs[pair] for pair in found if pair in pairs}
    rows = [
        (*pair, k, *_exact(scores, k))
        for pair, scores in pairs.items()
        for k in trials
        if 1 <= k <= len(scores)
    ]
    numbers = dict.fromkeys(("mean", "median", "low", "high"), pl.Float64)
    schema = {"problem": pl.String, "method": pl.String, "trials": pl.Int64, **numbers}
    by_problem = pl.DataFrame(rows, schema=schema, orient="row")
    schema = {"method": pl.String, "trials": pl.Int64, "problems": pl.Int64, **numbers}
    overall = pl.DataFrame(_overall(pairs, trials), schema=schema, orient="row")
    return Curve(by_problem, overall, held_out)


def _scores(runs: pl.DataFrame, seeds: Collection[int]) -> pl.DataFrame:
    measured = with_measures(runs).filter(pl.col("seed").is_in(list(seeds)))
    return measured.group_by(GROUP).agg(pl.col("runtime").median().alias("score"))


def _chances(settings: int, k: int) -> Float[np.ndarray, "settings"]:
    """Probability of each rank to be the best of `k` drawn without replacement."""
    total = comb(settings, k)
    return np.array([comb(settings - rank, k - 1) / total for rank in range(1, settings + 1)])


def _exact(scores: Float[np.ndarray, "settings"], k: int) -> tuple[float, ...]:
    chances = _chances(len(scores), k)
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(chances[order])
    at = np.searchsorted(reached, np.array([0.5, 0.025, 0.975]) - 1e-12)
    return (float(chances @ scores), *map(float, scores[order][at]))


def _overall(
    pairs: Mapping[tuple[str, str], np.ndarray], trials: Sequence[int]
) -> list[tuple[object, ...]]:
    methods = list(dict.fromkeys(method for _, method in pairs))
    common = sorted({p for p, _ in pairs if all((p, m) in pairs for m in methods)})
    rows: list[tuple[object, ...]] = []
    for method in methods:
        generator = np.random.default_rng(_SEED)
        lists = [pairs[problem, method] for problem in common]
        for k in trials:
            if not lists or not 1 <= k <= min(map(len, lists)):
                continue
            drawn, mean = np.zeros(DRAWS), 0.0
            for scores in lists:
                chances = _chances(len(scores), k)
                # scaled, for the probabilities may sum to a little less than 1
                uniform = generator.random(DRAWS) * (1 - 1e-12)
                best = np.searchsorted(np.cumsum(chances), uniform)
                drawn += scores[best] / len(lists)
                mean += float(chances @ scores) / len(lists)
            points = np.quantile(drawn, (0.5, 0.025, 0.975))
            rows.append((method, k, len(lists), mean, *map(float, points)))
    return rows
