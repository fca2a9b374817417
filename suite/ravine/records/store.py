"""A folder of shards: Parquet files written once, under the hash of what they hold.

A shard appears by atomic rename, so killing anything at any moment loses at most the
shards in flight; a shard whose runs are known is never computed again; and merging two
stores is copying files.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from ravine.errors import StoreError
from ravine.records.schema import RUN_SCHEMA, VERSION


def open_store(folder: str | Path) -> Path:
    """Make sure that a folder can hold shards.

    Raises:
        StoreError: it cannot be created or written.
    """
    path = Path(folder)
    shards = path / "shards"
    try:
        shards.mkdir(parents=True, exist_ok=True)
        probe = shards / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(
            f"`{path}` cannot hold results ({error.strerror}); name a writable folder with --store"
        ) from error
    return path


def write_shard(store: Path, runs: pl.DataFrame, notes: Mapping[str, str]) -> Path:
    """Write runs as one shard, all of it or nothing.

    Args:
        store: a folder from `open_store`.
        runs: rows with the columns of `RUN_SCHEMA`.
        notes: what else is worth remembering: versions, audit, seconds.

    Returns:
        The shard's path.
    """
    keys = sorted(runs["key"].to_list())
    name = hashlib.sha256("".join(keys).encode()).hexdigest()[:20]
    path = store / "shards" / f"{name}.parquet"
    partial = path.with_name(f".{name}.{os.getpid()}.partial")
    try:
        runs.write_parquet(
            partial, compression="zstd", metadata={"schema": str(VERSION), **dict(notes)}
        )
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"`{path}` cannot be written ({error}); free some space or name another --store"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def shards(store: Path) -> list[Path]:
    """Finished shards, in the order of their names."""
    return sorted((store / "shards").glob("*.parquet"))


def notes(shard: Path) -> dict[str, str]:
    """What was remembered beside a shard's runs.

    Raises:
        StoreError: the file is no shard.
    """
    try:
        found = dict(pl.read_parquet_metadata(shard))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _broken(shard, error) from error
    found.pop("ARROW:schema", None)
    return found


def read(store: Path, columns: Iterable[str] | None = None) -> pl.DataFrame:
    """Read the runs of every shard; of two runs with one key, the first is kept.

    Args:
        store: a folder from `open_store`.
        columns: which ones, all by default.

    Raises:
        StoreError: a shard is corrupted or was written by another version.
    """
    wanted = list(RUN_SCHEMA if columns is None else columns)
    frames = [_read(shard, wanted) for shard in shards(store)]
    if not frames:
        return pl.DataFrame(schema={name: RUN_SCHEMA[name] for name in wanted})
    frame = pl.concat(frames)
    return frame.unique("key", keep="first", maintain_order=True) if "key" in wanted else frame


def _read(shard: Path, columns: list[str]) -> pl.DataFrame:
    schema = notes(shard).get("schema")
    if schema != str(VERSION):
        raise StoreError(
            f"`{shard}` has schema {schema}, this version reads {VERSION}; "
            f"name another --store or install the ravine that wrote it"
        )
    try:
        # not memory-mapped, so that a shard may be deleted while its frame is in use
        return pl.read_parquet(shard, columns=columns, memory_map=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _broken(shard, error) from error


def _broken(shard: Path, error: Exception) -> StoreError:
    reason = str(error).splitlines()[0]
    return StoreError(
        f"`{shard}` cannot be read as a shard ({reason}); delete that file and repeat the "
        f"command, which runs only what is missing"
    )
