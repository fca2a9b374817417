"""What it costs to read ids and to keep runs."""

from itertools import count
from pathlib import Path

import polars as pl
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ravine.engine.task import Choice, Task, run
from ravine.optimizers import method
from ravine.records.store import open_store, read, write_shard
from ravine.registry import parse

ID = "warmup(cosine(clip(adamw, norm=1)), steps=0.05, betas=(0.9, 0.99))"


@pytest.fixture(scope="module")
def runs() -> pl.DataFrame:
    """Fifty real runs."""
    choices = (Choice("sgd(lr=0.01)"), Choice("sgd(lr=0.1)"))
    task = Task(("sphere",), choices, tuple(range(25)), 30, "float64", audit=1)
    return run(task)[0]


@pytest.mark.benchmark(group="ids")
def test_parse(benchmark: BenchmarkFixture) -> None:
    """An id is read."""
    assert benchmark(parse, ID).name == "warmup"


@pytest.mark.benchmark(group="ids")
def test_method(benchmark: BenchmarkFixture) -> None:
    """A method is found by its id."""
    assert benchmark(method, "adam(lr=0.01)").name == "adam(lr=0.01)"


@pytest.mark.benchmark(group="shards")
def test_write(benchmark: BenchmarkFixture, tmp_path: Path, runs: pl.DataFrame) -> None:
    """A shard is written."""
    stores = (open_store(tmp_path / str(i)) for i in count())
    assert benchmark(lambda: write_shard(next(stores), runs, {})).is_file()


@pytest.mark.benchmark(group="shards")
def test_read(benchmark: BenchmarkFixture, tmp_path: Path, runs: pl.DataFrame) -> None:
    """A shard is read back whole."""
    store = open_store(tmp_path)
    write_shard(store, runs, {})
    assert benchmark(read, store).height == runs.height
