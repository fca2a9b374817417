"""What is changed about a function to see whether a method notices."""

from dataclasses import replace
from enum import StrEnum
from functools import cache

import torch

from ravine.optimizers.trajectories import DIM, View, orthogonal

FACTOR = 2.0**7
"""By which the loss is scaled, either way.  A power of two adds no rounding of its own."""

SHIFT = 64.0
"""Added to a loss that is about 1."""

MATRIX = (4, 3)
"""A shape of all coordinates with unlike sides."""


class Property(StrEnum):
    """What a method's runs may not depend on."""

    PERMUTATION = "permutation"
    """The order of the coordinates."""
    SIGN_FLIPS = "sign_flips"
    """The side on which a coordinate is positive."""
    ROTATION = "rotation"
    """The directions of the axes."""
    LINE_PERMUTATION = "permutation_of_rows_and_columns"
    """The order of a matrix's rows and of its columns."""
    LINE_ROTATION = "rotation_of_rows_and_columns"
    """The bases in which a matrix is written, A X B with orthogonal A and B."""
    LOSS_SCALE = "loss_scale"
    """The unit of the loss."""
    LOSS_SHIFT = "loss_shift"
    """Where the loss is zero."""
    COORDINATE_SCALE = "coordinate_scale"
    """The units of the coordinates, each its own."""
    TRANSLATION = "translation"
    """Where the coordinates are zero."""
    SHAPE = "shape"
    """Whether the same numbers are a vector or a matrix."""
    SPLIT = "split"
    """Whether the same numbers are one parameter or two."""
    SEED = "seed"
    """The seed of the global random generators."""
    REPETITION = "repetition"
    """Whatever may differ when the same is run again."""


Changes = tuple[tuple[Property, tuple[View, ...]], ...]


def shown(shape: tuple[int, ...]) -> str:
    """A shape in words, `4 x 3`."""
    return " x ".join(map(str, shape))


@cache
def as_vector(dtype: torch.dtype) -> View:
    """The function as it is."""
    return View(dtype=dtype)


@cache
def as_matrix(dtype: torch.dtype) -> View:
    """The function of a matrix."""
    return View(shown(MATRIX), (MATRIX,), dtype=dtype)


@cache
def single(view: View) -> View:
    """A view with parameters in single precision, for what cannot run in double."""
    return replace(view, words=f"{view.words} in single precision".strip(), dtype=torch.float32)


@cache
def reseeded(view: View) -> View:
    """A view with another seed."""
    return replace(view, seed=view.seed + 1)


@cache
def repeated(view: View) -> View:
    """The same view again."""
    return replace(view)


@cache
def changes(home: View) -> Changes:
    """The views that are to be compared with a plain one.

    Args:
        home: the plain one, of a vector or a matrix.
    """
    draw = torch.Generator().manual_seed(1)
    eye = torch.eye(DIM, dtype=torch.float64)
    order = eye[torch.randperm(DIM, generator=draw)]
    flips = eye.new_tensor([1, -1, -1, 1, -1, 1, 1, -1, 1, -1, -1, -1])
    units = 2 ** eye.new_tensor([-2, 1, 0, 2, -1, 1, -2, 2, 0, -1, 2, -2])
    # far away, so that a weight decay of 1e-4 shows
    origin = eye.new_tensor([(-1) ** (i // 2) * (200 + 15 * i) for i in range(DIM)])
    matrix = home.shapes == (MATRIX,)
    plain = replace(home, words="")
    column = replace(home, words=shown((DIM, 1)), shapes=((DIM, 1),))
    turned = replace(home, words=shown(MATRIX[::-1]), shapes=(MATRIX[::-1],))
    halves = ((2, 3), (2, 3)) if matrix else ((5,), (7,))
    return (
        (Property.PERMUTATION, (replace(plain, linear=order),)),
        (Property.SIGN_FLIPS, (replace(plain, linear=torch.diag(flips)),)),
        (Property.ROTATION, (replace(plain, linear=orthogonal(DIM, draw)),)),
        (
            Property.LOSS_SCALE,
            (
                replace(home, words=f"loss x {FACTOR:g}", factor=FACTOR),
                replace(home, words=f"loss / {FACTOR:g}", factor=1 / FACTOR),
            ),
        ),
        (Property.LOSS_SHIFT, (replace(plain, shift=SHIFT),)),
        (Property.COORDINATE_SCALE, (replace(plain, linear=torch.diag(units)),)),
        (Property.TRANSLATION, (replace(plain, offset=origin),)),
        (Property.SHAPE, (turned if matrix else as_matrix(home.dtype), column)),
        (Property.SPLIT, (replace(plain, shapes=halves),)),
    )


@cache
def line_changes(home: View) -> Changes:
    """The views of a matrix with other rows and columns.

    Args:
        home: of the matrix.
    """
    draw = torch.Generator().manual_seed(2)
    rows, columns = (torch.eye(n, dtype=torch.float64) for n in home.shapes[0])
    plain = replace(home, words="")
    order = torch.kron(rows[[2, 0, 3, 1]], columns[[1, 2, 0]])
    left, right = (orthogonal(n, draw) for n in home.shapes[0])
    return (
        (Property.LINE_PERMUTATION, (replace(plain, linear=order),)),
        (Property.LINE_ROTATION, (replace(plain, linear=torch.kron(left, right)),)),
    )
