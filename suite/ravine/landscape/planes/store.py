"""Rows of a plane in files, so that an interrupted plane goes on where it stopped.

A row is written once, under the hash of all that decides it, by atomic rename; when the
last one is there, they become one file.  Copying files merges two folders.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.errors import StoreError
from ravine.landscape.surface import Surface

LENGTH = 20
"""Hexadecimal digits of a key."""


def key(
    surface: Surface,
    vectors: Sequence[Tensor],
    coordinates: Sequence[Float64[np.ndarray, "..."]],
    *words: str,
) -> str:
    """The name of a plane: a hash of surface, data, point, directions and coordinates.

    Of the code behind a surface nothing is known; give losses among the `words`, which
    differ when it does.

    Args:
        surface: f.
        vectors: theta, u, v.
        coordinates: of columns and rows.
        words: what else decides the values.
    """
    digest = hashlib.sha256()
    said = (
        surface.name,
        dict(surface.shapes),
        surface.batch_norm,
        surface.split,
        torch.__version__,
    )
    digest.update(repr((said, words)).encode())
    for array in coordinates:
        digest.update(array.tobytes())
    held = [t for part in surface.parts for _, t in sorted(part.data.items())]
    for tensor in (*vectors, *held):
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:LENGTH]


def read(folder: Path, key: str, ny: int, nx: int) -> Float64[np.ndarray, "ny nx"]:
    """The rows that are there, see `rows`; NaN in the others.

    Raises:
        StoreError: a file is no row of this plane.
    """
    whole = folder / f"{key}.npy"
    if whole.exists():
        return _load(whole, (ny, nx))
    values = np.full((ny, nx), np.nan)
    for row in rows(folder, key):
        if row < ny:
            values[row] = _load(_row(folder, key, row), (nx,))
    return values


def rows(folder: Path, key: str, ny: int = 0) -> list[int]:
    """Which rows are there; all of `ny` if the plane is whole."""
    if (folder / f"{key}.npy").exists():
        return list(range(ny))
    return sorted(int(path.stem.rpartition("-")[2]) for path in folder.glob(f"{key}-*.npy"))


def write_row(folder: Path, key: str, row: int, values: Float64[np.ndarray, " nx"]) -> None:
    """Keep a finished row.

    Raises:
        StoreError: the folder cannot be written.
    """
    _write(_row(folder, key, row), values)


def write_whole(folder: Path, key: str, values: Float64[np.ndarray, "ny nx"]) -> None:
    """Keep a finished plane as one file, in place of its rows.

    Raises:
        StoreError: the folder cannot be written.
    """
    _write(folder / f"{key}.npy", values)
    for path in folder.glob(f"{key}-*.npy"):
        path.unlink(missing_ok=True)


def _row(folder: Path, key: str, row: int) -> Path:
    return folder / f"{key}-{row:05}.npy"


def _write(path: Path, values: Float64[np.ndarray, "..."]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.save(file, values, allow_pickle=False)
        partial.replace(path)
    except OSError as error:
        raise StoreError(
            f"`{path}` cannot be written ({error.strerror}); free some space or name another folder"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _load(path: Path, shape: tuple[int, ...]) -> Float64[np.ndarray, "..."]:
    try:
        found: Float64[np.ndarray, "..."] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _broken(path, str(error).partition("\n")[0]) from error
    if found.shape != shape or found.dtype != np.float64:
        raise _broken(path, f"it holds {found.dtype} {list(found.shape)}")
    return found


def _broken(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"`{path}` is no part of this plane ({reason}); delete that file and repeat the command, "
        f"which computes only what is missing"
    )
