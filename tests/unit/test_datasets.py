"""The bundled MNIST and folders in its format."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from ravine.errors import StoreError
from ravine.problems import datasets
from ravine.problems.datasets import MNIST_SHA256, images_from, mnist

TRAINING, TEST = 12, 5


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in the idx format."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Tiny images of 3 x 4 pixels and their labels, by file name."""
    rng = np.random.default_rng(seed)
    made = {}
    for part, count in (("train", TRAINING), ("t10k", TEST)):
        made[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 3, 4), dtype=np.uint8)
        made[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, count, dtype=np.uint8)
    return made


def write(folder: Path, packed: bool = False, **changed: bytes) -> Path:
    """Write the four files; `changed` replaces contents by name with _ for -."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays().items():
        content = changed.get(name.replace("-", "_"), idx(array))
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def test_mnist_has_its_published_shape_and_classes() -> None:
    """60,000 and 10,000 images of 784 pixels, with the known number of each digit."""
    images = mnist()
    assert images.train_images.shape == (60_000, 784)
    assert images.test_images.shape == (10_000, 784)
    assert torch.bincount(images.train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert torch.bincount(images.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert images.train_labels[:5].tolist() == [5, 0, 4, 1, 9]


def test_mnist_is_normalised_by_the_usual_constants() -> None:
    """The background is (0 - 0.1307) / 0.3081, and the training mean and sd are 0 and 1."""
    images = mnist()
    assert images.train_images.min().item() == pytest.approx(-0.1307 / 0.3081, rel=1e-6)
    assert images.train_images.max().item() == pytest.approx((1 - 0.1307) / 0.3081, rel=1e-6)
    assert abs(images.train_images.mean(dtype=torch.float64).item()) < 5e-4
    assert abs(images.train_images.std().item() - 1) < 5e-4


def test_mnist_is_loaded_once() -> None:
    """A second call returns the same tensors."""
    assert mnist() is mnist()


def test_changed_mnist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundled file with another SHA-256 raises, naming file and remedy."""
    name = "t10k-labels-idx1-ubyte"
    monkeypatch.setattr(datasets, "MNIST_SHA256", {name: "0" * 64})
    with pytest.raises(StoreError, match=rf"`{name}\.gz` must have SHA-256 0+.*install ravine"):
        mnist.__wrapped__()


def test_missing_mnist_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An incomplete installation raises, naming file and remedy."""
    monkeypatch.setattr(datasets, "files", lambda package: tmp_path)
    with pytest.raises(StoreError, match=r"`train-images-idx3-ubyte\.gz` cannot.*install ravine"):
        mnist.__wrapped__()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("place", ["", "raw", "FashionMNIST/raw", "MNIST/raw"])
def test_folder_is_found_where_torchvision_writes(tmp_path: Path, place: str, packed: bool) -> None:
    """The four files are read from each place, packed or not."""
    write(tmp_path / place, packed)
    images = images_from(tmp_path)
    assert images.train_labels.tolist() == arrays()["train-labels-idx1-ubyte"].tolist()
    assert images.test_images.shape == (TEST, 12)


def test_folder_is_normalised_by_its_own_training_images(tmp_path: Path) -> None:
    """Training and test pixels use the mean and sd of the training pixels."""
    images = images_from(write(tmp_path))
    raw = arrays()
    training = raw["train-images-idx3-ubyte"].reshape(TRAINING, 12) / 255
    for part, ours in (("train", images.train_images), ("t10k", images.test_images)):
        pixels = raw[f"{part}-images-idx3-ubyte"].reshape(len(ours), 12) / 255
        wanted = (pixels - training.mean()) / training.std()
        np.testing.assert_allclose(ours.numpy(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("missing", list(MNIST_SHA256))
def test_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    """One file too few raises, naming it and the folder of the others."""
    write(tmp_path / "raw")
    (tmp_path / "raw" / missing).unlink()
    with pytest.raises(StoreError, match=rf"`{missing}`.*`{tmp_path / 'raw'}` and is missing"):
        images_from(tmp_path)


def test_empty_folder_names_every_place(tmp_path: Path) -> None:
    """No file at all raises, naming all places that were searched."""
    with pytest.raises(StoreError, match="is missing") as error:
        images_from(tmp_path / "nowhere")
    for place in ("nowhere`", "nowhere/raw`", "FashionMNIST/raw`", "nowhere/MNIST/raw`"):
        assert place in str(error.value)


def test_two_data_sets_are_ambiguous(tmp_path: Path) -> None:
    """A folder with both MNIST and Fashion-MNIST raises instead of choosing."""
    write(tmp_path / "MNIST/raw")
    write(tmp_path / "FashionMNIST/raw")
    with pytest.raises(StoreError, match="must hold one data set, got 2"):
        images_from(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begin with the idx bytes 00 00 08 01, got nothing"),
        (b"\x00\x00\x08\x03" + bytes(12), "begin with the idx bytes 00 00 08 01, got 00 00 08 03"),
        (b"\x00\x00\x08\x01\x00\x00", "by its header, got 6"),
        (idx(np.zeros(TRAINING, np.uint8))[:-1], "must be 20 bytes long by its header, got 19"),
        (idx(np.zeros(TRAINING, np.uint8)) + b"\x00", "must be 20 bytes long .*, got 21"),
        (idx(np.zeros(TRAINING - 1, np.uint8)), "got 12 images and 11 labels"),
    ],
    ids=["empty", "magic", "header", "short", "long", "count"],
)
def test_damaged_labels_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """Each way in which a file can be wrong raises its own sentence, naming the file."""
    write(tmp_path, train_labels_idx1_ubyte=content)
    with pytest.raises(StoreError, match=message) as error:
        images_from(tmp_path)
    assert f"`{tmp_path}/train-" in str(error.value)


def test_no_images_are_refused(tmp_path: Path) -> None:
    """Files that agree on holding nothing raise."""
    write(
        tmp_path,
        t10k_images_idx3_ubyte=idx(np.zeros((0, 3, 4), np.uint8)),
        t10k_labels_idx1_ubyte=idx(np.zeros(0, np.uint8)),
    )
    with pytest.raises(StoreError, match="got 0 images and 0 labels"):
        images_from(tmp_path)


def test_images_of_two_sizes_are_refused(tmp_path: Path) -> None:
    """Test images of another size than the training images raise."""
    write(tmp_path, t10k_images_idx3_ubyte=idx(np.ones((TEST, 4, 4), np.uint8)))
    with pytest.raises(StoreError, match=r"images of one size, got \(3, 4\).*\(4, 4\)"):
        images_from(tmp_path)


def test_images_of_one_value_are_refused(tmp_path: Path) -> None:
    """Pixels without spread cannot be normalised and raise."""
    write(tmp_path, train_images_idx3_ubyte=idx(np.ones((TRAINING, 3, 4), np.uint8)))
    with pytest.raises(StoreError, match="got pixels of one value"):
        images_from(tmp_path)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(bytes(1000))[:-9]])
def test_damaged_gzip_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no gzip file, or half of one, raises and is named."""
    write(tmp_path, packed=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(StoreError, match=r"t10k-labels-idx1-ubyte\.gz` must be a whole gzip file"):
        images_from(tmp_path)


def test_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the system will not read raises a StoreError, not an OSError alone."""
    write(tmp_path)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StoreError, match=r"train-images-idx3-ubyte` cannot be read .*denied"):
        images_from(tmp_path)
