"""Extreme eigenpairs of a symmetric matrix at both ends, each with its residual."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.operators import Operator
from ravine.landscape.spectrum.basis import against, directions, rounding
from ravine.problems import arguments

EXACT = 128
"""Coordinates up to which all eigenvalues are computed from the whole matrix."""

SUBSPACE = 48
"""Vectors that are held at least, where the matrix has as many dimensions."""

HELD = 2**30
"""Bytes that they may take up."""

CONFIRMING = 6
"""Products from a fresh direction by which copies of a multiple eigenvalue are looked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Eigenpairs:
    """Some eigenvalues at the ends of a spectrum, descending.

    Some eigenvalue of the matrix lies within each residual of its value, converged or not.

    Args:
        matrix: which it is.
        size: P, of the matrix.
        largest: how many of the pairs are from the upper end; the rest is from the lower.
        values: the eigenvalues; nan where there is none.
        vectors: unit eigenvectors, in the dtype of the operator.
        residuals: |A v - value v|.
        converged: residual <= tolerance |value|, or at the level of rounding.
        tolerance: relative.
        products: with the matrix.
        seed: of the first direction.
        note: why it stopped before all were converged; empty if they are.
    """

    matrix: str
    size: int
    largest: int
    values: tuple[float, ...]
    vectors: Float[Tensor, "k P"]
    residuals: tuple[float, ...]
    converged: tuple[bool, ...]
    tolerance: float
    products: int
    seed: int
    note: str = ""


def extreme(
    operator: Operator,
    largest: int = 5,
    smallest: int = 0,
    *,
    tol: float = 1e-3,
    seed: int = 0,
    most: int = 1000,
    subspace: int | None = None,
    confirm: int = CONFIRMING,
) -> Eigenpairs:
    """The algebraically largest and smallest eigenvalues, with eigenvectors and residuals.

    A Krylov space is grown from one random direction and restarted from its best vectors
    when it is full.  Every new vector is made orthogonal to all others twice, so that no
    eigenvalue appears more than once for itself alone; projections and residuals are
    computed from the products themselves, in float64.  Once all pairs have converged, some
    products from a fresh direction look for copies of multiple eigenvalues, which one
    direction does not show; a copy that is hidden from these too stays unseen.  Up to `EXACT`
    coordinates the whole matrix is taken.

    Args:
        operator: the matrix.
        largest: how many from the upper end.
        smallest: how many from the lower end.
        tol: a pair has converged when |A v - value v| <= tol |value|.
        seed: of the random directions.
        most: products at most.
        subspace: vectors held at once; by default enough for the pairs and their neighbours,
            within 1 GB.
        confirm: products from a fresh direction at the end; 0 saves them where eigenvalues
            are known to be simple.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Wu and Simon (2000). Thick-restart Lanczos method for large symmetric eigenvalue
        problems. SIAM Journal on Matrix Analysis and Applications 22(2).
        Parlett (1998). The symmetric eigenvalue problem. SIAM, chapters 4 and 13.

    Example:
        >>> from ravine.landscape.operators import of_matrix
        >>> found = extreme(of_matrix(torch.diag(torch.arange(1.0, 501.0))), 2, 1, tol=1e-9)
        >>> [round(value, 3) for value in found.values], all(found.converged)
        ([500.0, 499.0, 1.0], True)
    """
    arguments.whole("largest", largest, 0)
    arguments.whole("smallest", smallest, 0)
    arguments.whole("most", most, 1)
    arguments.whole("confirm", confirm, 0)
    if largest + smallest == 0:
        raise BadValue("`largest` and `smallest` are both 0; ask for one eigenvalue at least")
    if not 0 < tol < 1:
        raise BadValue(f"`tol` must lie between 0 and 1, got {tol:g}; use 0.001")
    size = operator.size
    largest = min(largest, size)
    smallest = min(smallest, size - largest)
    if size <= min(EXACT, most):
        return _whole(operator, largest, smallest, tol, seed)
    wanted = largest + smallest
    room = HELD // (size * (8 + torch.finfo(operator.dtype).bits // 8))
    best = min(subspace or max(SUBSPACE, 3 * wanted), room, size)
    space = _Space(operator, max(best, min(wanted + 6, size)), seed)
    note = _search(space, largest, smallest, tol, most, confirm)
    values, turned = space.ritz()
    ends = _ends(space.held, largest, smallest)
    _, gaps = space.residuals(values[ends], turned[:, ends])
    vectors = torch.full((wanted, size), math.nan, dtype=operator.dtype)
    vectors[: len(ends)] = space.vectors(turned[:, ends]).to(operator.dtype)
    good = gaps <= _floor(operator, values, ends, tol)
    missing = (math.nan,) * (wanted - len(ends))
    return Eigenpairs(
        matrix=operator.name,
        size=size,
        largest=largest,
        values=(*values[ends].tolist(), *missing),
        vectors=vectors,
        residuals=(*gaps.tolist(), *missing),
        converged=(*good.tolist(), *(False for _ in missing)),
        tolerance=tol,
        products=space.products,
        seed=seed,
        note=note,
    )


class _Space:
    """A space that grows, with the images of its orthonormal basis."""

    def __init__(self, operator: Operator, cap: int, seed: int) -> None:
        self.operator, self.cap, self.seed = operator, cap, seed
        self.basis = torch.empty(cap, operator.size, dtype=torch.float64)
        self.images = torch.empty(cap, operator.size, dtype=operator.dtype)
        self.projected: Float64[np.ndarray, "cap cap"] = np.zeros((cap, cap))
        self.held = self.products = self.drawn = 0

    def grow(self, q: Float64[Tensor, " P"]) -> Float64[Tensor, " P"] | None:
        """Take in a unit vector; what of its image is new, or None if that is not finite."""
        image = self.operator(q)
        self.products += 1
        if not bool(image.isfinite().all()):
            return None
        j = self.held
        self.held += 1
        self.basis[j], self.images[j] = q, image
        image = image.double()
        shares = self.basis[: j + 1] @ image
        self.projected[j, : j + 1] = self.projected[: j + 1, j] = shares.numpy()
        rest = image - shares @ self.basis[: j + 1]
        return rest - (self.basis[: j + 1] @ rest) @ self.basis[: j + 1]

    def ritz(self) -> tuple[Float64[np.ndarray, " j"], Float64[np.ndarray, "j j"]]:
        """Eigenvalues of the projected matrix, ascending, and eigenvectors in columns."""
        values, turned = np.linalg.eigh(self.projected[: self.held, : self.held])
        return values, turned

    def vectors(self, turned: Float64[np.ndarray, "j k"]) -> Float64[Tensor, "k P"]:
        """Combinations of the basis."""
        return torch.from_numpy(turned.T.copy()) @ self.basis[: self.held]

    def residuals(
        self, values: Float64[np.ndarray, " k"], turned: Float64[np.ndarray, "j k"]
    ) -> tuple[Float64[Tensor, "k P"], Float64[np.ndarray, " k"]]:
        """A v - value v and its norm, from the images themselves."""
        images = torch.from_numpy(turned.T).to(self.images.dtype) @ self.images[: self.held]
        rows = images.double() - torch.from_numpy(values)[:, None] * self.vectors(turned)
        return rows, rows.norm(dim=-1).numpy()

    def restart(self, keep: list[int]) -> None:
        """Keep some Ritz vectors alone."""
        values, turned = self.ritz()
        basis = self.vectors(turned[:, keep])
        images = torch.from_numpy(turned.T[keep]).to(self.images.dtype) @ self.images[: self.held]
        self.held = len(keep)
        self.basis[: self.held], self.images[: self.held] = basis, images
        self.projected[:] = 0.0
        self.projected[range(self.held), range(self.held)] = values[keep]

    def fresh(self) -> Float64[Tensor, " P"]:
        """A random direction that is orthogonal to the basis."""
        v = directions(self.operator.size, 1, "lanczos", self.seed, self.drawn)[0]
        self.drawn += 1
        # a last direction of many may be short before it is stretched
        v = against(v, self.basis[: self.held])
        v = against(v / v.norm(), self.basis[: self.held])
        unit: Tensor = v / v.norm()
        return unit


def _search(space: _Space, largest: int, smallest: int, tol: float, most: int, confirm: int) -> str:
    """Grow the space until all pairs are found and confirmed; why it stopped before, if so."""
    wanted, operator = largest + smallest, space.operator
    ahead: Float64[Tensor, " P"] | None = None
    found: Float64[np.ndarray, " k"] | None = None
    waiting = 0
    while space.products < most:
        rest = space.grow(ahead if ahead is not None else space.fresh())
        if rest is None:
            return "a product is not finite"
        values, turned = space.ritz()
        length, scale = float(rest.norm()), float(np.abs(values).max())
        ahead = rest / length if length > rounding(operator) * scale else None
        waiting = max(0, waiting - 1)
        ends = _ends(space.held, largest, smallest)
        floor = _floor(operator, values, ends, tol)
        whole = space.held == operator.size
        # in a Krylov space all residuals lie along the one vector ahead
        near = found is not None or bool((length * np.abs(turned[-1, ends]) <= floor).all())
        if whole or (space.held >= wanted and not waiting and near):
            rows, gaps = space.residuals(values[ends], turned[:, ends])
            if whole:
                return "" if (gaps <= floor).all() else "the products are not symmetric"
            same = found is not None and bool((np.abs(values[ends] - found) <= floor).all())
            if (gaps > floor).any():
                worst = against(rows[int((gaps - floor).argmax())], space.basis[: space.held])
                found, ahead = None, worst / worst.norm()
            elif same or not confirm:
                return ""
            else:
                found, waiting, ahead = values[ends], confirm, None
        if space.held == space.cap:
            space.restart(_kept(space.cap, largest, smallest))
    return f"stopped after {most} products"


def _ends(held: int, largest: int, smallest: int) -> list[int]:
    """Places of the wanted among ascending values, from the largest down."""
    top = min(largest, held)
    bottom = min(smallest, held - top)
    return [*range(held - 1, held - 1 - top, -1), *range(bottom - 1, -1, -1)]


def _kept(cap: int, largest: int, smallest: int) -> list[int]:
    """Places of what a restart keeps: the wanted, and as many neighbours as leave room."""
    wanted = largest + smallest
    share = 1 + (cap - wanted) / (2 * wanted)
    return sorted(_ends(cap, int(largest * share), int(smallest * share)))


def _floor(
    operator: Operator, values: Float64[np.ndarray, " j"], ends: list[int], tol: float
) -> Float64[np.ndarray, " k"]:
    """Residuals that count as converged."""
    scale = np.abs(values).max(initial=0.0)
    floor: Float64[np.ndarray, " k"] = np.maximum(
        tol * np.abs(values[ends]), rounding(operator) * scale
    )
    return floor


def _whole(operator: Operator, largest: int, smallest: int, tol: float, seed: int) -> Eigenpairs:
    """The ends from all eigenvalues."""
    size = operator.size
    matrix = operator(torch.eye(size, dtype=operator.dtype)).double()
    ends = _ends(size, largest, smallest)
    values, note = np.full(size, math.nan), "a product is not finite"
    rows = torch.full((len(ends), size), math.nan, dtype=torch.float64)
    if bool(matrix.isfinite().all()):
        values, columns = np.linalg.eigh(((matrix + matrix.T) / 2).numpy())
        rows, note = torch.from_numpy(columns.T[ends]), ""
    chosen = torch.from_numpy(values[ends])
    gaps = (rows @ matrix - chosen[:, None] * rows).norm(dim=-1).numpy()
    good = gaps <= _floor(operator, values, ends, tol)
    if not note and not good.all():
        note = "the products are not symmetric"
    return Eigenpairs(
        matrix=operator.name,
        size=size,
        largest=largest,
        values=tuple(chosen.tolist()),
        vectors=rows.to(operator.dtype),
        residuals=tuple(gaps.tolist()),
        converged=tuple(good.tolist()),
        tolerance=tol,
        products=size,
        seed=seed,
        note=note,
    )
