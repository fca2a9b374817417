"""How methods compare over a whole collection of problems, as frames to be plotted.

Methods are compared on the problems and seeds that all of them have; a method that fits few
problems should be left out of a comparison rather than narrow it.
"""

import numpy as np
import polars as pl
from scipy.stats import rankdata

from ravine.records.schema import NEVER
from ravine.statistics.intervals import LEVEL, band, resamples
from ravine.statistics.measures import complete, one_setting, targets_reached, with_measures

POINTS = 101
"""Of a curve."""


def shared(runs: pl.DataFrame) -> pl.DataFrame:
    """Keep the problems and seeds that every method of the frame has.

    Raises:
        BadValue: a method has several runs for a problem and seed, or a problem has several
            budgets.
    """
    whole = complete(runs)
    one_setting(whole)
    methods = pl.col("method").n_unique().over("problem", "seed")
    return whole.filter(methods == whole["method"].n_unique())


def performance(runs: pl.DataFrame, level: float = LEVEL) -> pl.DataFrame:
    """Draw the performance profile of every method.

        rho(tau) = share of problems whose median steps are at most tau times the best
        method's,

    where the steps are to the last target that any method reaches with at least half of its
    seeds, and a method that does not is never within any factor.  So rho(1) is how often a
    method is best, and its end how often it gets there at all.  The profile of a method
    depends on who else takes part; it ranks only the best one.

    Args:
        runs: one setting per problem and method.  Problems without targets are left out.
        level: of the pointwise bootstrap band over problems.

    Returns:
        `method`, `tau` (log-spaced from 1 to beyond the largest ratio), `share`, `low`,
        `high`, `problems`.

    Raises:
        BadValue: a method has several runs for a problem and seed, or a problem has several
            budgets.

    References:
        Dolan and Moré 2002, doi 10.1007/s101070100263; Gould and Scott 2016,
        doi 10.1145/2950048 (why it ranks only the best one).
    """
    methods = runs["method"].unique(maintain_order=True).to_list()
    reached = targets_reached(shared(runs))
    got = pl.col("median_steps").is_not_null()
    last = pl.when(got).then("index").max().over("problem").fill_null(0)
    steps = reached.filter(pl.col("index") == last).with_columns(
        pl.col("median_steps").clip(lower_bound=1.0)
    )
    table = _table(steps, "median_steps", methods)
    problems = len(table)
    if problems == 0:
        return _nothing("tau", np.zeros(0))
    best = table.min(axis=1, keepdims=True)
    # where nobody arrives infinity over infinity must stay infinity
    ratio = np.where(np.isfinite(table), table, np.inf) / np.where(np.isfinite(best), best, 1.0)
    top = np.log2(ratio[np.isfinite(ratio)].max(initial=1.0))
    tau = np.exp2(np.linspace(0.0, max(1.05 * top, 1.0), POINTS))
    within = ratio[:, :, None] <= tau * (1 + 1e-12)
    share = within.mean(axis=0)
    resampled = np.tensordot(resamples(problems) / problems, within.astype(float), axes=1)
    return _tidy(methods, "tau", tau, share, band(resampled, level), problems)


def ecdf(runs: pl.DataFrame, level: float = LEVEL) -> pl.DataFrame:
    """Draw the share of targets that each method has reached after so many steps.

    Every (problem, seed, target) counts once, so a problem with more targets weighs more.

    Args:
        runs: one setting per problem and method.  Problems without targets are left out.
        level: of the pointwise bootstrap band over problems.

    Returns:
        `method`, `steps` (log-spaced from 1 to the largest budget; a target met at step 0
        counts at 1), `share`, `low`, `high`, `problems`.

    Raises:
        BadValue: a method has several runs for a problem and seed, or a problem has several
            budgets.

    References:
        Hansen et al. 2021, doi 10.1080/10556788.2020.1808977.
    """
    methods = runs["method"].unique(maintain_order=True).to_list()
    common = shared(runs).filter(pl.col("targets").list.len() > 0)
    if common.is_empty():
        return _nothing("steps", np.zeros(0, np.int64))
    budget = common["budget"].to_numpy().max()
    steps = np.unique(np.rint(np.geomspace(1, budget, POINTS)).astype(np.int64))
    problems = sorted(common["problem"].unique().to_list())
    groups = common.group_by("problem", "method").agg(
        "hits", pl.col("targets").list.len().sum().alias("targets")
    )
    met = np.zeros((len(problems), len(methods), len(steps)))
    total = np.zeros((len(problems), len(methods), 1))
    for problem, method, hits, targets in groups.iter_rows():
        at = problems.index(problem), methods.index(method)
        found = np.sort(np.array([h for run in hits for h in run or () if h > NEVER], np.int64))
        met[at] = np.searchsorted(found, steps, side="right")
        total[at] = targets
    weights = resamples(len(problems))
    resampled = np.tensordot(weights, met, axes=1) / np.tensordot(weights, total, axes=1)
    share = met.sum(axis=0) / total.sum(axis=0)
    return _tidy(methods, "steps", steps, share, band(resampled, level), len(problems))


def ranks(runs: pl.DataFrame, level: float = LEVEL) -> pl.DataFrame:
    """Average each method's rank over problems.

    On every problem methods are ranked by their median `runtime`, without targets by their
    median final loss; equal ones share the mean of their ranks.  A mean rank says nothing of
    how large the differences are, and depends on who else takes part.

    Args:
        runs: one setting per problem and method.
        level: of the bootstrap interval over problems.

    Returns:
        `method`, `rank` (1 is best), `low`, `high`, `problems`, in order of first appearance.

    Raises:
        BadValue: a method has several runs for a problem and seed, or a problem has several
            budgets.
    """
    methods = runs["method"].unique(maintain_order=True).to_list()
    by_problem = (
        with_measures(shared(runs))
        .group_by("problem", "method")
        .agg(pl.col("runtime").median().round(9), pl.col("final").median())
        .with_columns(pl.coalesce("runtime", "final").alias("value"))
    )
    table = _table(by_problem, "value", methods)
    problems = len(table)
    if problems == 0:
        numbers = dict.fromkeys(("rank", "low", "high"), pl.Float64())
        return pl.DataFrame(schema={"method": pl.String(), **numbers, "problems": pl.Int64()})
    rank = rankdata(table, axis=1)
    low, high = band(resamples(problems) @ rank / problems, level)
    return pl.DataFrame(
        {"method": methods, "rank": rank.mean(axis=0), "low": low, "high": high}
    ).with_columns(pl.lit(problems, pl.Int64).alias("problems"))


def _table(frame: pl.DataFrame, column: str, methods: list[str]) -> np.ndarray:
    """Problems, sorted by name so that resamples do not depend on the order, by methods."""
    wide = frame.pivot(on="method", index="problem", values=column).sort("problem")
    if wide.is_empty():
        return np.zeros((0, len(methods)))
    missing = (pl.lit(float("inf")).alias(m) for m in methods if m not in wide.columns)
    return wide.with_columns(missing).select(pl.col(methods).fill_null(float("inf"))).to_numpy()


def _nothing(x: str, values: np.ndarray) -> pl.DataFrame:
    none = np.zeros((0, 0))
    return _tidy([], x, values, none, (none, none), 0)


def _tidy(
    methods: list[str],
    x: str,
    values: np.ndarray,
    share: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    problems: int,
) -> pl.DataFrame:
    low, high = bounds
    return pl.DataFrame(
        {
            "method": np.repeat(np.array(methods, object), len(values)),
            x: np.tile(values, len(methods)),
            "share": share.ravel(),
            "low": low.ravel(),
            "high": high.ravel(),
        },
        schema_overrides={"method": pl.String()},
    ).with_columns(pl.lit(problems, pl.Int64).alias("problems"))
