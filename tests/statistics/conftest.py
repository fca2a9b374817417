"""Frames of runs, written by hand."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

Build = Callable[..., pl.DataFrame]


def _build(*entries: dict[str, Any]) -> pl.DataFrame:
    """One entry for every setting; `hits` has a list per seed, others a list or one value."""
    rows = []
    for entry in entries:
        for i, hits in enumerate(entry["hits"]):
            row = {
                "problem": "p",
                "method": "a",
                "setting": entry.get("method", "a"),
                "seed": i,
                "budget": 1000,
                "outcome": "spent",
                "targets": [10.0**-k for k in range(1, len(hits) + 1)],
                "start": 1.0,
                "final": 0.5,
                "minimum": 0.0,
                "test_loss": None,
                "accuracy": None,
            }
            for name, value in entry.items():
                row[name] = value[i] if isinstance(value, list) else value
            rows.append(row)
    types = {
        "targets": pl.List(pl.Float64),
        "hits": pl.List(pl.Int64),
        **dict.fromkeys(("final", "minimum", "test_loss", "accuracy"), pl.Float64),
    }
    return pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None)


@pytest.fixture(scope="session")
def build() -> Build:
    return _build
