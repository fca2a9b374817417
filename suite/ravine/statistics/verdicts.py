"""Which of two methods is better on which problem, or that nothing can be said."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from math import log2, log10
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Integer

from ravine.statistics.measures import complete, one_setting, with_measures
from ravine.statistics.paired import equivalence, forecast, hodges_lehmann, holm, signed_rank


class Verdict(StrEnum):
    """What a comparison shows, from the first method's point of view."""

    BETTER = "better"
    WORSE = "worse"
    TIE = "tie"
    CANNOT_TELL = "cannot tell"

    @property
    def swapped(self) -> "Verdict":
        """The same from the other method's point of view."""
        return _SWAPPED.get(self, self)


_SWAPPED = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}


class Measure(StrEnum):
    """What two methods were compared by."""

    STEPS = "steps"
    """Penalised runtime over the targets; differences of log2."""
    GAP = "final gap"
    """Relative gap at the end; differences of log10."""
    FINAL = "final value"
    """Loss at the end, where no minimum is known; relative differences."""
    TEST_LOSS = "test loss"
    """Loss on test examples; relative differences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """How large a difference must be to matter.

    Args:
        steps: factor in steps.
        gap: factor in the final gap.
        relative: relative difference of final values and test losses.
    """

    steps: float = 1.1
    gap: float = 2.0
    relative: float = 0.01

    def of(self, measure: Measure) -> float:
        """The threshold in the unit in which differences of this measure are taken."""
        if measure is Measure.STEPS:
            return log2(self.steps)
        return log10(self.gap) if measure is Measure.GAP else self.relative


FLOOR, CEILING = 1e-16, 1e16
"""Gaps are compared within these bounds: below is rounding, above is divergence."""

DIGITS = 9
"""Decimals of a difference."""


def pairwise(
    runs: pl.DataFrame, alpha: float = 0.05, thresholds: Thresholds | None = None
) -> pl.DataFrame:
    """Compare every two methods on every problem that both have, seed by seed.

    A problem's measure is `steps`.  When neither method hits any target with any seed, or
    there are no targets, it is `final gap`, and `final value` where no minimum is known.
    Problems with a test loss have a row for `test loss` beside `steps`; `counted` is true for
    `steps` when both reach the last target with most seeds, else for `test loss`.

    With d the differences a - b over common seeds, e their Hodges-Lehmann estimate and all
    p-values adjusted by Holm over the rows of the pair:

    - better or worse: the signed-rank test has p_holm < alpha, and |e| is beyond the threshold;
    - tie: the equivalence test within the threshold has p_holm < alpha;
    - cannot tell: neither.

    So for every pair of methods the chance of any false "better" or "worse" is at most
    alpha, and that of any false "tie" too.  It is not corrected over pairs.

    Args:
        runs: one setting per problem and method, as `scored` returns them.
        alpha: error probability for each pair.
        thresholds: smallest differences of interest.

    Returns:
        Rows by pair and problem in order of first appearance: `problem`, `a`, `b`,
        `measure`, `counted`, `verdict`, `ratio` of a to b (below 1: a is better) with the
        bounds `low` and `high` of its interval of level 1 - alpha for this row alone, `p`,
        `p_holm`, `n` common seeds, and `seeds_needed` where it cannot tell.

    Raises:
        BadValue: a method has several runs for a problem and seed, or a problem has several
            budgets.

    References:
        Demšar 2006, JMLR 7:1-30.
    """
    one_setting(complete(runs))
    cube = _Cube.of(runs)
    pairs = combinations(range(len(cube.methods)), 2)
    rows = [row for a, b in pairs for row in _rows(cube, a, b)]
    return _judged(cube, rows, alpha, thresholds or Thresholds())


class _Row(NamedTuple):
    problem: int
    a: int
    b: int
    measure: Measure
    counted: bool
    differences: np.ndarray


@dataclass(frozen=True, slots=True)
class _Cube:
    """Measures by problem, method and seed; not a number where there is no run."""

    problems: list[str]
    methods: list[str]
    present: Bool[np.ndarray, "problems methods seeds"]
    measures: dict[Measure, Float[np.ndarray, "problems methods seeds"]]
    any_hit: Bool[np.ndarray, "problems methods seeds"]
    solved: Bool[np.ndarray, "problems methods seeds"]

    @classmethod
    def of(cls, runs: pl.DataFrame) -> "_Cube":
        hit = pl.col("hits").list.max() >= 0
        frame = with_measures(runs).with_columns(hit.fill_null(False).alias("any_hit"))
        names = {c: frame[c].unique(maintain_order=True) for c in ("problem", "method")}
        names["seed"] = frame["seed"].unique().sort()
        place = tuple(_codes(frame[c], values) for c, values in names.items())
        shape = tuple(len(values) for values in names.values())

        def spread(column: pl.Series) -> np.ndarray:
            cube = np.full(shape, np.nan)
            cube[place] = column.cast(pl.Float64).to_numpy()
            return cube

        columns = ("runtime", "gap", "final", "test_loss")
        values = (spread(frame[c]) for c in columns)
        any_hit, solved = spread(frame["any_hit"]), spread(frame["solved"])
        return cls(
            problems=names["problem"].to_list(),
            methods=names["method"].to_list(),
            present=~np.isnan(any_hit),
            measures=dict(zip(Measure, values, strict=True)),
            any_hit=any_hit == 1,
            solved=solved == 1,
        )


def _codes(column: pl.Series, values: pl.Series) -> Integer[np.ndarray, "rows"]:
    places = pl.DataFrame({"value": values}).with_row_index("place")
    joined = pl.DataFrame({"value": column}).join(places, on="value", maintain_order="left")
    return joined["place"].to_numpy().astype(np.int64)


def _rows(cube: _Cube, a: int, b: int) -> list[_Row]:
    rows: list[_Row] = []
    both = cube.present[:, a] & cube.present[:, b]
    neither = ~(cube.any_hit[:, a] | cube.any_hit[:, b])
    solved = cube.solved[:, a] & cube.solved[:, b]
    found = {m: _differences(m, values[:, a], values[:, b]) for m, values in cube.measures.items()}
    for p in np.flatnonzero(both.any(1)):
        seeds = both[p]
        known = {m: d[p, seeds] for m, d in found.items() if not np.isnan(d[p, seeds]).any()}
        steps, test = known.get(Measure.STEPS), known.get(Measure.TEST_LOSS)
        by_steps = steps is not None and not neither[p, seeds].all()
        if test is not None:
            most = by_steps and solved[p, seeds].mean() > 0.5
            if steps is not None:
                rows.append(_Row(int(p), a, b, Measure.STEPS, most, steps))
            rows.append(_Row(int(p), a, b, Measure.TEST_LOSS, not most, test))
            continue
        order = (Measure.STEPS,) if by_steps else (Measure.GAP, Measure.FINAL, Measure.STEPS)
        measure = next((m for m in order if m in known), None)
        if measure is not None:
            rows.append(_Row(int(p), a, b, measure, True, known[measure]))
    return rows


def _differences(measure: Measure, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if measure is Measure.STEPS:
        difference = a - b
    elif measure is Measure.GAP:
        difference = np.log10(np.clip(a, FLOOR, CEILING) / np.clip(b, FLOOR, CEILING))
    else:
        largest = np.finfo(float).max / 4
        a, b = np.clip(a, -largest, largest), np.clip(b, -largest, largest)
        size = (np.abs(a) + np.abs(b)) / 2
        difference = (a - b) / np.where(size == 0, 1.0, size)
    # errors of rounding must not break ties, for ranks would tell them apart
    return np.asarray(np.round(difference, DIGITS))


def _ratio(measure: Measure, difference: np.ndarray) -> np.ndarray:
    if measure is Measure.STEPS:
        return np.asarray(np.exp2(difference))
    if measure is Measure.GAP:
        return np.asarray(10.0**difference)
    # a / b of positive values whose difference is this share of their mean
    share = np.clip(difference, -2, 2)
    with np.errstate(divide="ignore"):
        return np.asarray((2 + share) / (2 - share))


def _judged(cube: _Cube, rows: list[_Row], alpha: float, thresholds: Thresholds) -> pl.DataFrame:
    n = np.array([len(row.differences) for row in rows], np.int64)
    limit = np.array([thresholds.of(row.measure) for row in rows])
    family = np.array([row.a * len(cube.methods) + row.b for row in rows], np.int64)
    p, p_tie = np.ones(len(rows)), np.ones(len(rows))
    effect, low, high, needed = (np.full(len(rows), np.nan) for _ in range(4))
    sizes = np.bincount(family)[family] if rows else np.ones(0)
    for size in np.unique(n):
        at = np.flatnonzero(n == size)
        differences = np.stack([rows[i].differences for i in at])
        p[at] = signed_rank(differences).two_sided
        p_tie[at] = equivalence(differences, limit[at])
        estimate = hodges_lehmann(differences, 1 - alpha)
        effect[at], low[at], high[at] = estimate.value, estimate.low, estimate.high
        needed[at] = forecast(differences, effect[at], limit[at], alpha / sizes[at])
    p_holm, p_tie_holm = np.ones(len(rows)), np.ones(len(rows))
    for pair in np.unique(family):
        at = np.flatnonzero(family == pair)
        p_holm[at], p_tie_holm[at] = holm(p[at]), holm(p_tie[at])
    differ = (p_holm < alpha) & (np.abs(effect) > limit)
    tie = ~differ & (p_tie_holm < alpha)
    found = {Verdict.BETTER: differ & (effect < 0), Verdict.WORSE: differ, Verdict.TIE: tie}
    words = [verdict.value for verdict in found]
    verdict = np.select(list(found.values()), words, Verdict.CANNOT_TELL.value)
    for measure in Measure:
        at = np.flatnonzero([row.measure is measure for row in rows])
        for values in (effect, low, high):
            values[at] = _ratio(measure, values[at])
    unknown = ~(differ | tie) & ~np.isnan(needed)
    return pl.DataFrame(
        {
            "problem": [cube.problems[row.problem] for row in rows],
            "a": [cube.methods[row.a] for row in rows],
            "b": [cube.methods[row.b] for row in rows],
            "measure": [row.measure.value for row in rows],
            "counted": [bool(row.counted) for row in rows],
            "verdict": verdict.tolist(),
            "ratio": effect,
            "low": low,
            "high": high,
            "p": p,
            "p_holm": p_holm,
            "n": n,
            "seeds_needed": [int(s) if u else None for s, u in zip(needed, unknown, strict=True)],
        },
        schema=_SCHEMA,
    )


_SCHEMA: dict[str, pl.DataType] = {
    **{column: pl.String() for column in ("problem", "a", "b", "measure")},
    "counted": pl.Boolean(),
    "verdict": pl.String(),
    **{column: pl.Float64() for column in ("ratio", "low", "high", "p", "p_holm")},
    "n": pl.Int64(),
    "seeds_needed": pl.Int64(),
}


def tally(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Count the verdicts of every pair over problems, without weighing one against another.

    Args:
        verdicts: what `pairwise` returned; rows that are not `counted` are left out.

    Returns:
        A row for every pair: `a`, `b`, `better`, `worse`, `tie`, `cannot_tell`, `problems` and
        `sentence`.
    """
    counts = (
        verdicts.filter("counted")
        .group_by("a", "b", maintain_order=True)
        .agg(
            *(
                (pl.col("verdict") == v.value).sum().cast(pl.Int64).alias(v.value.replace(" ", "_"))
                for v in Verdict
            ),
            pl.len().cast(pl.Int64).alias("problems"),
        )
    )
    return counts.with_columns(
        pl.format(
            "{} against {}: better on {}, worse on {}, tie on {}, cannot tell on {} of {} {}",
            *counts.columns,
            pl.when(pl.col("problems") == 1).then(pl.lit("problem")).otherwise(pl.lit("problems")),
        ).alias("sentence")
    )
