"""From runs to judgements: measures, tuning, paired tests, verdicts and profiles.

Everything takes a frame of runs, `ravine.records.schema.RUN_SCHEMA`, and returns a frame;
nothing reads, writes or draws without a fixed seed.
"""

from ravine.statistics.intervals import median_rank, wilson
from ravine.statistics.measures import hit_at, summary, targets_reached, with_measures
from ravine.statistics.paired import (
    Estimate,
    Tails,
    equivalence,
    hodges_lehmann,
    holm,
    seeds_needed,
    signed_rank,
)
from ravine.statistics.profiles import ecdf, performance, ranks
from ravine.statistics.tuning import Curve, choose, curve, on_edge, scored
from ravine.statistics.verdicts import Measure, Thresholds, Verdict, pairwise, tally

__all__ = [
    "Curve",
    "Estimate",
    "Measure",
    "Tails",
    "Thresholds",
    "Verdict",
    "choose",
    "curve",
    "ecdf",
    "equivalence",
    "hit_at",
    "hodges_lehmann",
    "holm",
    "median_rank",
    "on_edge",
    "pairwise",
    "performance",
    "ranks",
    "scored",
    "seeds_needed",
    "signed_rank",
    "summary",
    "tally",
    "targets_reached",
    "wilson",
    "with_measures",
]
