"""Images and their labels: MNIST, which comes with the package, and folders like it.

Nothing is ever downloaded.
"""

import gzip
import hashlib
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from ravine.errors import StoreError

MNIST_MEAN = 0.1307
"""Mean of MNIST's training pixels on a scale from 0 to 1, as it is commonly rounded."""

MNIST_SD = 0.3081
"""Standard deviation of MNIST's training pixels, as it is commonly rounded."""

MNIST_TRAINING = 60_000
"""Training images in MNIST."""

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Digests of the unpacked files, which do not depend on how they were compressed."""

PLACES = ("", "raw", "FashionMNIST/raw", "MNIST/raw")
"""Where below a folder the four files are looked for."""

_REPAIR = "install ravine again with `pip install --force-reinstall --no-deps ravine`"
_UNSIGNED_BYTE = 8  # the idx format's code of the only element type that is read here


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Training and test images with their classes.

    Args:
        train_images: one row for each image, pixels row by row, normalised.
        train_labels: classes, 0, 1, 2, ...
        test_images: as `train_images`, normalised by the same constants.
        test_labels: as `train_labels`.
    """

    train_images: Float32[Tensor, "train pixels"]
    train_labels: Int64[Tensor, " train"]
    test_images: Float32[Tensor, "test pixels"]
    test_labels: Int64[Tensor, " test"]


@lru_cache(maxsize=1)
def mnist() -> Images:
    """The 60,000 training and 10,000 test images of MNIST that come with the package.

    A pixel p in 0 ... 255 becomes (p / 255 - 0.1307) / 0.3081: mean 0 and standard
    deviation 1 over the training images, but for the rounding of the usual constants.
    Loaded once for each process.

    Raises:
        StoreError: a file is missing, or is not the one that was published.

    References:
        LeCun, Bottou, Bengio and Haffner (1998). Gradient-based learning applied to
        document recognition. Proceedings of the IEEE 86(11). doi 10.1109/5.726791.
    """
    folder = files("ravine.problems") / "data" / "mnist"
    contents: dict[str, bytes] = {}
    for name, digest in MNIST_SHA256.items():
        try:
            content = _unpack((folder / f"{name}.gz").read_bytes(), f"{name}.gz")
            found = hashlib.sha256(content).hexdigest()
        except OSError as error:
            raise StoreError(f"bundled `{name}.gz` cannot be read ({error}); {_REPAIR}") from error
        if found != digest:
            raise StoreError(
                f"bundled `{name}.gz` must have SHA-256 {digest[:12]}... unpacked, got "
                f"{found[:12]}...; {_REPAIR}"
            )
        contents[name] = content
    return _images(contents, (MNIST_MEAN, MNIST_SD))


@lru_cache(maxsize=2)
def images_from(folder: str | Path) -> Images:
    """Images from a folder in MNIST's format, such as torchvision writes for Fashion-MNIST.

    The files {train,t10k}-{images-idx3,labels-idx1}-ubyte, each with or without .gz, lie
    in the folder itself or in its raw, FashionMNIST/raw or MNIST/raw.  Pixels are
    normalised by the mean and standard deviation of the training images.  A folder is
    read once for each process; later changes to its files go unseen.

    Raises:
        StoreError: a file is missing, is not in the format, or disagrees with the others.
    """
    found = [
        place
        for place in (Path(folder) / place for place in PLACES)
        if any(_file(place, name) for name in MNIST_SHA256)
    ]
    if len(found) > 1:
        raise StoreError(
            f"`{folder}` must hold one data set, got {len(found)}; name one of "
            f"{', '.join(f'`{place}`' for place in found)}"
        )
    contents: dict[str, bytes] = {}
    for name in MNIST_SHA256:
        path = _file(found[0], name) if found else None
        if path is None:
            searched = found or [Path(folder) / place for place in PLACES]
            raise StoreError(
                f"`{name}` must lie, with or without .gz, in one of "
                f"{', '.join(f'`{place}`' for place in searched)} and is missing; put it there "
                f"or name the folder that holds it"
            )
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreError(f"`{path}` cannot be read ({error}); mend the file") from error
        contents[name] = _unpack(content, str(path)) if path.suffix == ".gz" else content
    return _images(contents, None, f"{found[0]}/")


def _file(folder: Path, name: str) -> Path | None:
    plain, packed = folder / name, folder / f"{name}.gz"
    return plain if plain.is_file() else packed if packed.is_file() else None


def _unpack(content: bytes, where: str) -> bytes:
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise StoreError(
            f"`{where}` must be a whole gzip file and is not ({error}); fetch it again"
        ) from error


def _images(
    contents: dict[str, bytes], constants: tuple[float, float] | None, where: str = ""
) -> Images:
    arrays = {name: _decode(content, f"{where}{name}") for name, content in contents.items()}
    pictures, labels, test_pictures, test_labels = arrays.values()
    for (images, classes), part in (
        ((pictures, labels), "train"),
        ((test_pictures, test_labels), "t10k"),
    ):
        if len(images) != len(classes) or len(images) == 0:
            raise StoreError(
                f"`{where}{part}-*` must hold a label for each image, got {len(images)} "
                f"images and {len(classes)} labels; fetch both files again"
            )
    if pictures.shape[1:] != test_pictures.shape[1:]:
        raise StoreError(
            f"`{where}*` must hold images of one size, got {pictures.shape[1:]} for "
            f"training and {test_pictures.shape[1:]} for test; fetch the files again"
        )
    mean, sd = constants or _moments(pictures, where)
    # one rounding from an exact table: the same bits on any machine and thread count
    table = ((np.arange(256) / 255 - mean) / sd).astype(np.float32)
    train_images, test_images = (
        torch.from_numpy(table[a.reshape(len(a), -1)]) for a in (pictures, test_pictures)
    )
    train_labels, test_labels_ = (
        torch.from_numpy(a.astype(np.int64)) for a in (labels, test_labels)
    )
    return Images(train_images, train_labels, test_images, test_labels_)


def _decode(content: bytes, where: str) -> np.ndarray:
    dimensions = 3 if "images" in where.rpartition("/")[2] else 1
    start = 4 + 4 * dimensions
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if content[:4] != magic:
        raise StoreError(
            f"`{where}` must begin with the idx bytes {magic.hex(' ')}, got "
            f"{content[:4].hex(' ') or 'nothing'}; fetch the file again"
        )
    shape = tuple(
        int.from_bytes(content[at : at + 4], "big") for at in range(4, min(start, len(content)), 4)
    )
    size = start + math.prod(shape)
    if len(shape) < dimensions or len(content) != size:
        raise StoreError(
            f"`{where}` must be {size} bytes long by its header, got {len(content)}; "
            f"fetch the file again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _moments(images: np.ndarray, where: str) -> tuple[float, float]:
    """Mean and standard deviation of the pixels on a scale from 0 to 1, from exact counts."""
    parts = np.array_split(images.reshape(-1), 64)  # bincount copies its input as int64
    counts = np.sum([np.bincount(part, minlength=256) for part in parts], axis=0)
    level = np.arange(256) / 255
    mean = float(np.average(level, weights=counts))
    sd = float(np.sqrt(np.average((level - mean) ** 2, weights=counts)))
    if sd == 0:
        raise StoreError(f"`{where}*` must hold images, got pixels of one value; replace it")
    return mean, sd
