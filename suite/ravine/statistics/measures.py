"""What is measured of a run, and of the runs of one setting."""

import numpy as np
import polars as pl

from ravine.errors import BadValue
from ravine.records.schema import NEVER, RUN_SCHEMA, Outcome
from ravine.statistics.intervals import LEVEL, median_rank, wilson

GROUP = ("problem", "method", "setting")
"""The columns that name one setting's runs on one problem."""

_MEDIANS = ("runtime", "final", "gap", "accuracy", "test_loss")


def complete(runs: pl.DataFrame) -> pl.DataFrame:
    """Give a frame every column of a run, with its type; what is absent becomes null.

    Raises:
        BadValue: a column that names the run is absent.
    """
    for column in (*GROUP, "seed"):
        if column not in runs.columns:
            raise BadValue(f"`runs` has no column `{column}`; pass a frame of runs from a store")
    present = [c for c in runs.columns if c in RUN_SCHEMA]
    return runs.with_columns(
        *(pl.col(c).cast(RUN_SCHEMA[c]) for c in present),
        *(pl.lit(None, t).alias(c) for c, t in RUN_SCHEMA.items() if c not in present),
    )


def one_setting(runs: pl.DataFrame) -> None:
    """Insist that methods are compared by one setting each.

    Raises:
        BadValue: a problem, method and seed has several runs, or a problem several budgets.
    """
    several = runs.filter(pl.struct("problem", "method", "seed").is_duplicated())
    if several.height:
        problem, method, seed = several.select("problem", "method", "seed").row(0)
        raise BadValue(
            f"`{method}` has several runs on `{problem}` with seed {seed}; choose one setting "
            f"with `ravine.statistics.choose` and keep its runs with `scored`"
        )
    budgets = runs.group_by("problem").agg(pl.col("budget").unique().sort())
    unequal = budgets.filter(pl.col("budget").list.len() > 1).sort("problem")
    if unequal.height:
        problem, found = unequal.row(0)
        raise BadValue(
            f"`{problem}` has runs with budgets {', '.join(map(str, found))}; compare runs of "
            f"one budget"
        )


def with_measures(runs: pl.DataFrame) -> pl.DataFrame:
    """Add `runtime`, `gap` and `solved` to every run.

    - `runtime` = mean over the run's targets of log2(steps), where steps is the first-hit
      step, 1 for a hit at step 0, and twice the budget for a miss (PAR2).  Null without
      targets.
    - `gap` = (final - minimum) / (start - minimum), infinite after divergence.  Null where
      the minimum is unknown or is where the run began.
    - `solved`: every target was hit.  Null without targets.

    A final loss that is absent or not a number counts as infinite.  Where other runs on the
    problem have a test loss or an accuracy, its absence (a diverged run) counts as infinite
    or as zero: leaving it out would flatter the settings that diverge.

    Args:
        runs: any columns of a frame of runs; steps and budgets in optimizer steps.

    Returns:
        The same rows with all columns of a run and the measures.

    References:
        Hutter, Hoos, Leyton-Brown and Stützle 2009, doi 10.1613/jair.2861 (penalised runtime).
    """
    hit = pl.element().filter(pl.element() > NEVER)
    targets = pl.col("targets").list.len()
    hits = pl.col("hits").list.eval(hit).list.len().fill_null(0)
    steps = pl.col("hits").list.eval(hit.clip(lower_bound=1).log(2.0)).list.sum().fill_null(0.0)
    missed = targets.cast(pl.Float64) - hits
    runtime = (steps + missed * (1 + pl.col("budget").log(2.0))) / targets
    has_targets = targets > 0
    depth = pl.col("start") - pl.col("minimum")
    return (
        complete(runs)
        .with_columns(
            pl.when(has_targets).then(runtime).alias("runtime"),
            pl.when(has_targets).then(hits == targets).alias("solved"),
            _worst("final", float("inf")),
            _worst("test_loss", float("inf")),
            _worst("accuracy", 0.0),
        )
        .with_columns(
            pl.when(depth > 0).then((pl.col("final") - pl.col("minimum")) / depth).alias("gap")
        )
    )


def _worst(column: str, value: float) -> pl.Expr:
    known = pl.col(column).is_not_null().any().over("problem")
    return pl.when(known).then(pl.col(column).fill_nan(None).fill_null(value)).alias(column)


def hit_at(runs: pl.DataFrame, target_index: int) -> pl.Series:
    """Take the steps every run needed to one target.

    Args:
        runs: rows with `hits`.
        target_index: position in the descending targets; -1 is the last.

    Returns:
        First-hit steps; null where the target was missed or does not exist.
    """
    step = pl.col("hits").cast(RUN_SCHEMA["hits"]).list.get(target_index, null_on_oob=True)
    return runs.select(pl.when(step > NEVER).then(step).alias("steps")).to_series()


def targets_reached(runs: pl.DataFrame) -> pl.DataFrame:
    """Tell for every target which share of the seeds reached it, and in how many steps.

    The median counts a miss as later than any step, so it is the first step by which half
    of the seeds are there, and null when fewer ever are.

    Returns:
        A row for every problem, method, setting and target: `index` in the descending
        targets, the median `target` over seeds, the median relative `target_gap` (null
        without a known minimum), `share`, `median_steps`.
    """
    deep = pl.col("targets") - pl.col("minimum")
    flat = (
        complete(runs)
        .filter(pl.col("targets").list.len() > 0)
        .select(
            *GROUP,
            "targets",
            pl.int_ranges(pl.col("targets").list.len()).alias("index"),
            pl.when(pl.col("hits").list.len() == pl.col("targets").list.len())
            .then(pl.col("hits"))
            .otherwise(pl.lit(NEVER, pl.Int64).repeat_by(pl.col("targets").list.len()))
            .alias("hits"),
            "minimum",
            (pl.col("start") - pl.col("minimum")).alias("depth"),
        )
        .explode("targets", "index", "hits")
        .with_columns(
            pl.when(pl.col("hits") > NEVER)
            .then(pl.col("hits").cast(pl.Float64))
            .otherwise(float("inf"))
            .alias("steps"),
            pl.when(pl.col("depth") > 0).then(deep / pl.col("depth")).alias("target_gap"),
        )
    )
    median = pl.col("steps").quantile(0.5, "lower")
    return flat.group_by(*GROUP, "index", maintain_order=True).agg(
        pl.col("targets").median().alias("target"),
        pl.col("target_gap").median(),
        pl.col("steps").is_finite().mean().alias("share"),
        pl.when(median.is_finite()).then(median).alias("median_steps"),
    )


def summary(runs: pl.DataFrame, level: float = LEVEL) -> pl.DataFrame:
    """Sum up the runs of every setting on every problem, over seeds.

    Intervals of medians are order statistics and assume no distribution; they need six
    runs at 95 %.  Medians of steps count a miss as later than any step.  This compares
    nothing: overlapping intervals do not show equality, nor separate ones a difference that
    survives many comparisons.

    Args:
        runs: any columns of a frame of runs.
        level: confidence level of every interval.

    Returns:
        A row for every problem, method and setting, in order of first appearance:

        - `n`, the number of runs, and how many of them ended otherwise than solved: `spent`,
          `stalled`, `diverged`, `failed`;
        - `solved`, a share, with Wilson's interval `solved_low` and `solved_high`;
        - `steps` to the last target with `steps_low` and `steps_high`, null where not reached;
        - `reached_index`, `reached_target`, `reached_gap` and `reached_steps` of the deepest
          target that at least half of the seeds reach, null where there is none;
        - the medians `runtime`, `final`, `gap`, `accuracy` and `test_loss`, each with `_low`
          and `_high`;
        - `ended`, where the runs have such a column: its words with their numbers of `runs`,
          most frequent first.
    """
    measured = with_measures(runs)
    last = pl.col("hits").list.get(-1, null_on_oob=True)
    lists = measured.with_columns(
        pl.when(pl.col("solved").is_null())
        .then(None)
        .when(last > NEVER)
        .then(last.cast(pl.Float64))
        .otherwise(float("inf"))
        .alias("last")
    )
    ended = [outcome.value for outcome in Outcome if outcome is not Outcome.SOLVED]
    table = lists.group_by(*GROUP, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n"),
        *((pl.col("outcome") == word).sum().cast(pl.Int64).alias(word) for word in ended),
        pl.col("solved").sum().alias("count"),
        pl.col("solved").count().alias("with_targets"),
        *(pl.col(c).drop_nulls().sort() for c in ("last", *_MEDIANS)),
    )
    low, high = wilson(table["count"].to_numpy(), table["with_targets"].to_numpy(), level)
    known = pl.col("with_targets") > 0
    deepest = (
        targets_reached(runs)
        .filter(pl.col("share") >= 0.5)
        .group_by(*GROUP)
        .agg(pl.all().sort_by("index").last())
        .select(
            *GROUP,
            pl.col("index").alias("reached_index"),
            pl.col("target").alias("reached_target"),
            pl.col("target_gap").alias("reached_gap"),
            pl.col("median_steps").alias("reached_steps"),
        )
    )
    summed = (
        table.with_columns(pl.Series("low", low), pl.Series("high", high))
        .join(deepest, on=GROUP, how="left", maintain_order="left")
        .select(
            *GROUP,
            "n",
            *ended,
            pl.when(known).then(pl.col("count") / pl.col("with_targets")).alias("solved"),
            pl.when(known).then("low").alias("solved_low"),
            pl.when(known).then("high").alias("solved_high"),
            _order(pl.col("last"), (_length("last") - 1) // 2).alias("steps"),
            *_bounds("last", "steps", table, level),
            *(c for c in deepest.columns if c not in GROUP),
            *(e for c in _MEDIANS for e in (_median(c), *_bounds(c, c, table, level))),
        )
        .with_columns(
            pl.when(pl.col(c).is_finite()).then(pl.col(c))
            for c in ("steps", "steps_low", "steps_high")
        )
    )
    if "ended" not in runs.columns:
        return summed
    return summed.join(_ended(runs), on=GROUP, how="left", maintain_order="left")


def _ended(runs: pl.DataFrame) -> pl.DataFrame:
    """The words of `ended` with their numbers of runs, as a list for each setting."""
    counts = runs.group_by(*GROUP, "ended").agg(pl.len().cast(pl.Int64).alias("runs"))
    ordered = counts.sort("runs", "ended", descending=[True, False])
    return ordered.group_by(*GROUP).agg(pl.struct("ended", "runs").alias("ended"))


def _order(values: pl.Expr, position: pl.Expr) -> pl.Expr:
    return values.list.get(position, null_on_oob=True)


def _length(column: str) -> pl.Expr:
    # signed, so that one less than nothing is minus one
    return pl.col(column).list.len().cast(pl.Int64)


def _median(column: str) -> pl.Expr:
    n, values = _length(column), pl.col(column)
    return ((_order(values, (n - 1) // 2) + _order(values, n // 2)) / 2).alias(column)


def _bounds(column: str, name: str, table: pl.DataFrame, level: float) -> tuple[pl.Expr, pl.Expr]:
    length = _length(column)
    sizes = np.unique(table[column].list.len().to_numpy())
    ranks = {int(n): median_rank(int(n), level) for n in sizes}
    rank = length.replace_strict(ranks, return_dtype=pl.Int64)
    values = pl.col(column)
    return (
        pl.when(rank > 0).then(_order(values, rank - 1)).alias(f"{name}_low"),
        pl.when(rank > 0).then(_order(values, length - rank)).alias(f"{name}_high"),
    )
