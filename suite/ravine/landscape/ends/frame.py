"""The ends of a comparison's runs, as a frame."""

from collections.abc import Iterable

import polars as pl
import torch

from ravine.landscape.ends.ends import ends
from ravine.landscape.ends.place import Place
from ravine.problems.base import Problem
from ravine.records.schema import Outcome

ENDS_SCHEMA: dict[str, pl.DataType] = {
    "problem": pl.String(),
    "method": pl.String(),
    "setting": pl.String(),
    "seed": pl.Int64(),
    "ended": pl.String(),  # a `Place`
    "index": pl.Int64(),  # negative eigenvalues at the critical point it is at, else null
    "nullity": pl.Int64(),  # eigenvalues that are zero there, else null
    "distance": pl.Float64(),  # to it, as a share of the domain's width, else null
    "value": pl.Float64(),  # the loss at the end, without noise
}
"""Columns of a frame of ends."""


def ended(runs: pl.DataFrame, problems: Iterable[Problem]) -> pl.DataFrame:
    """Say of every run where it ended; see `ravine.landscape.ends.ends.ends`.

    A run that diverged, fell without bound or failed says so, as the engine recorded it.

    Args:
        runs: rows with the columns of `RUN_SCHEMA`.
        problems: those that the runs are of.

    Returns:
        A row for each run, in the same order, with the columns of `ENDS_SCHEMA`.
    """
    names = ("problem", "method", "setting", "seed")
    rows = runs.select(*names, "outcome", "start", "final", "point").with_row_index("row")
    found: dict[str, list[object]] = {name: [None] * len(rows) for name in ENDS_SCHEMA}
    for name in names:
        found[name] = rows[name].to_list()
    lost = (pl.col("final") == -torch.inf).alias("fell"), ~pl.col("final").is_finite().alias("left")
    known = rows.select(
        "row",
        pl.when(pl.col("outcome") == str(Outcome.FAILED))
        .then(pl.lit(Place.FAILED.value))
        .when(lost[0])
        .then(pl.lit(Place.UNBOUNDED.value))
        .when(lost[1] | (pl.col("outcome") == str(Outcome.DIVERGED)))
        .then(pl.lit(Place.DIVERGED.value))
        .when(pl.col("point").list.len() == 0)
        .then(pl.lit(Place.NOT_KEPT.value))
        .alias("ended"),
    )
    found["ended"] = known["ended"].to_list()
    open_ = rows.filter(known["ended"].is_null())
    for problem in problems:
        some = open_.filter(pl.col("problem") == problem.name)
        if some.is_empty():
            continue
        places = some["row"].to_list()
        x = torch.tensor(some["point"].to_list(), dtype=torch.float64)
        try:
            here = ends(problem, x, some["seed"].to_list(), some["start"].to_list())
        except RuntimeError:  # torch has no second derivative of what a user wrote
            for row in places:
                found["ended"][row] = Place.NOT_CLASSIFIED.value
            continue
        for i, row in enumerate(places):
            found["ended"][row] = here.place[i].value
            found["value"][row] = here.value[i]
            if here.index[i] >= 0:
                found["index"][row] = here.index[i]
                found["nullity"][row] = here.nullity[i]
                found["distance"][row] = here.distance[i]
    return pl.DataFrame(found, schema=ENDS_SCHEMA)
