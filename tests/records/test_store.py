"""Shards are whole or absent, known runs are not repeated, and damage is said plainly."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.engine.task import Choice, Task, run
from ravine.errors import StoreError
from ravine.records.schema import RUN_SCHEMA
from ravine.records.store import notes, open_store, read, shards, write_shard


@pytest.fixture(scope="module")
def runs() -> pl.DataFrame:
    """A few real runs, one of which diverges."""
    task = Task(
        ("sphere", "rosenbrock"),
        (Choice("sgd(lr=0.01)"), Choice("sgd(lr=10.0)")),
        (0, 1),
        30,
        "float64",
        audit=1,
    )
    return run(task)[0]


def test_what_is_written_is_read_back(tmp_path: Path, runs: pl.DataFrame) -> None:
    """A round trip through a shard keeps every column, infinities included."""
    store = open_store(tmp_path)
    write_shard(store, runs, {"audited": "1"})
    assert read(store).equals(runs)
    assert runs["final"].is_infinite().any()
    assert dict(runs.schema) == RUN_SCHEMA


def test_notes_travel_with_the_shard(tmp_path: Path, runs: pl.DataFrame) -> None:
    """What was remembered beside the runs is found again."""
    path = write_shard(open_store(tmp_path), runs, {"audited": "7", "seconds": "0.1"})
    assert notes(path)["audited"] == "7"


def test_merging_is_copying_and_twins_count_once(tmp_path: Path, runs: pl.DataFrame) -> None:
    """Shards of two stores can lie in one folder; a run found twice is one run."""
    one, two = open_store(tmp_path / "one"), open_store(tmp_path / "two")
    write_shard(one, runs.head(5), {})
    path = write_shard(two, runs.tail(5), {})
    (one / "shards" / path.name).write_bytes(path.read_bytes())
    assert sorted(read(one)["key"]) == sorted(runs["key"])


def test_a_partial_file_is_no_shard(tmp_path: Path, runs: pl.DataFrame) -> None:
    """What a killed writer leaves behind is not read."""
    store = open_store(tmp_path)
    path = write_shard(store, runs, {})
    (store / "shards" / f".{path.stem}.1.partial").write_bytes(path.read_bytes()[:100])
    assert shards(store) == [path]
    assert read(store).height == runs.height


@pytest.mark.parametrize("keep", [0, 3, 200])
def test_a_damaged_shard_is_named_with_the_remedy(
    tmp_path: Path, runs: pl.DataFrame, keep: int
) -> None:
    """A truncated shard is one sentence naming the file; other shards are left alone."""
    store = open_store(tmp_path)
    whole = write_shard(store, runs.head(4), {})
    broken = write_shard(store, runs.tail(4), {})
    broken.write_bytes(broken.read_bytes()[:keep])
    with pytest.raises(StoreError, match="delete that file and repeat") as caught:
        read(store)
    assert broken.name in str(caught.value)
    assert "\n" not in str(caught.value)
    broken.unlink()
    assert read(store).height == 4
    assert whole.exists()


def test_another_version_s_shard_is_refused(tmp_path: Path, runs: pl.DataFrame) -> None:
    """A shard of an unknown schema is not misread."""
    store = open_store(tmp_path)
    runs.write_parquet(store / "shards" / "later.parquet", metadata={"schema": "99"})
    with pytest.raises(StoreError, match="has schema 99, this version reads"):
        read(store)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file in the way is one sentence with the remedy."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="name a writable folder with --store"):
        open_store(tmp_path / "file" / "store")


def test_an_empty_store_is_an_empty_frame(tmp_path: Path) -> None:
    """Nothing written, nothing read, with all columns."""
    assert dict(read(open_store(tmp_path)).schema) == RUN_SCHEMA


@given(st.lists(st.integers(0, 7), min_size=1, unique=True))
def test_any_cut_of_the_runs_into_shards_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, runs: pl.DataFrame, picked: list[int]
) -> None:
    """How runs are divided among shards does not matter to the reader."""
    store = open_store(tmp_path_factory.mktemp("store"))
    chosen = runs.with_row_index().filter(pl.col("index").is_in(picked)).drop("index")
    for i in range(chosen.height):
        write_shard(store, chosen[i : i + 1], {})
    assert read(store).sort("key").equals(chosen.sort("key"))
