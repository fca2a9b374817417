"""What kind of critical point a point is, by all eigenvalues, or by the extreme ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.critical.kernel import Settled, settle
from ravine.landscape.critical.kinds import Label, kinds
from ravine.landscape.critical.tolerance import (
    DELTA,
    EPS,
    POSITION,
    ROUNDING,
    SMALLEST,
    Tolerance,
    shifts,
    surroundings,
)
from ravine.landscape.operators import DENSE, hessian, hessians
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.surface import Surface, loss_and_gradient

GRADIENT = 1e-8
"""A gradient is zero up to this times (1 + |f|) sqrt(P)."""

DECREMENT = 1e-10
"""What Newton's method may still win at a critical point, as a share of 1 + |f|."""

STEP = 1e-3
"""How far Newton's method may still go, as a share of the scale of the coordinates."""

FLAT = 1e-3
"""Below this share of lambda_max |g|, H g is no curvature along the gradient."""

RESIDUAL = 1e-4
"""Of the extreme eigenvalues of a large Hessian, relative."""

HELD = 2**24
"""Numbers in one stack of Hessians: 128 MB of float64."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Classification:
    """One point, and what kind of critical point it is.

    Args:
        x: the point.
        label: what it is.
        value: f.
        gradient_norm: |g|.
        gradient_tolerance: up to which |g| counts as zero.
        eigenvalues: of the Hessian without the directions of symmetry, ascending; the
            lowest and the highest alone where it is too large.
        index: eigenvalues below -tau; of the known ones.
        nullity: eigenvalues within tau of zero; of the known ones.
        tolerance: tau and its parts.
        tighter: the label at tau / 10.
        looser: the label at 10 tau.
        decrement: g' |H|+ g, what Newton's method would win at most.
        step: length of Newton's step H+ g.
        flat: |H g| < 1e-3 lambda_max |g| while |g| is not zero: the gradient lies in the
            kernel of the Hessian, and no critical point need be near.
        settled: what higher derivatives say of a degenerate point; None for others.
        symmetries: dimensions of symmetry that were projected out.
        residual: largest |H v - lambda v| of the eigenpairs; 0 where the matrix was dense.
        complete: whether all eigenvalues are known, and not the lowest and highest alone.
        note: why these did not converge; empty if they did.
    """

    x: Float64[Tensor, " P"]
    label: Label
    value: float
    gradient_norm: float
    gradient_tolerance: float
    eigenvalues: Float64[np.ndarray, " r"]
    index: int
    nullity: int
    tolerance: Tolerance
    tighter: Label
    looser: Label
    decrement: float
    step: float
    flat: bool
    settled: Settled | None = None
    symmetries: int = 0
    residual: float = 0.0
    complete: bool = True
    note: str = ""

    @property
    def robust(self) -> bool:
        """Whether the label is the same at a tenth of tau and at ten times tau."""
        return self.tighter == self.label == self.looser


def classify(
    surface: Surface,
    x: Float[Tensor, "*stack P"],
    directions: Float[Tensor, "*sets k P"] | None = None,
    *,
    scale: float | None = None,
    higher: bool = True,
) -> tuple[Classification, ...]:
    """Classify points by their gradients and the eigenvalues of their Hessians.

    A point is critical if |g| <= 1e-8 (1 + |f|) sqrt(P), and if Newton's method would
    neither win more than 1e-10 (1 + |f|) nor go farther than 1e-3 of the scale: on a plateau
    the gradient is small, but no critical point is near.  Then the Hessian without the known
    directions of symmetry decides; see `kinds`.  The label `degenerate` stays whatever
    higher derivatives say; they are in `settled`.

    Of more than 5,000 coordinates the lowest and highest eigenvalue alone are found, by
    Lanczos iteration, and the label is `not certified` at best.

    Args:
        surface: f; evaluated in the dtype of the points.
        x: one point or a stack of them.
        directions: along which f is known not to change at the point, the same for all
            points or for each; need be neither unit vectors nor orthogonal.
        scale: typical size of coordinates; 1 + |x| by default.
        higher: whether to take higher derivatives at degenerate points.

    Returns:
        One record for each point, in the order of the flattened stack.

    Raises:
        BadValue: the directions are for another number of points.

    Example:
        >>> from ravine import problem
        >>> from ravine.landscape.sources import surface
        >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
        >>> [p.label.value for p in classify(surface(problem("bounded_saddle")), x)]
        ['saddle', 'minimum']

    References:
        Frye, Simon, Wadia, Ligeralde, DeWeese and Bouchard (2021). Critical point-finding
        methods reveal gradient-flat regions of deep network losses. Neural Computation
        33(6). arXiv 2003.10397.
    """
    flat = x.detach().reshape(-1, x.shape[-1])
    if flat.shape[-1] != surface.size:
        raise BadValue(
            f"a point of `{surface.name}` has {surface.size} coordinates, got {flat.shape[-1]}; "
            f"give as many"
        )
    ways = _directions(directions, flat)
    if surface.size > DENSE:
        return tuple(_extreme(surface, *pair) for pair in zip(flat, ways, strict=True))
    count = max(1, HELD // surface.size**2)
    found: list[Classification] = []
    for first in range(0, len(flat), count):
        block = slice(first, first + count)
        found += _dense(surface, flat[block], ways[block], scale, higher)
    return tuple(found)


def _directions(
    directions: Float[Tensor, "*sets k P"] | None, flat: Float[Tensor, "n P"]
) -> list[Float64[Tensor, "P _"]]:
    """An orthonormal basis of each point's directions of symmetry, as columns."""
    n, size = flat.shape
    if directions is None or directions.shape[-2] == 0:
        return [torch.zeros(size, 0, dtype=torch.float64)] * n
    rows = directions.detach().double()
    rows = rows.reshape(-1, *rows.shape[-2:])
    if len(rows) not in (1, n):
        raise BadValue(f"`directions` are for {len(rows)} points, not {n}; give one set for each")
    bases = []
    for own in rows:
        lengths = own.norm(dim=-1, keepdim=True)
        own = torch.where(lengths > 0, own / lengths, 0.0)
        left, sizes, _ = torch.linalg.svd(own.T, full_matrices=False)
        bases.append(left[:, sizes > 1e-10 * sizes.max()] if len(sizes) else left)
    return bases if len(bases) == n else bases * n


def _dense(
    surface: Surface,
    x: Float[Tensor, "n P"],
    ways: list[Float64[Tensor, "P _"]],
    scale: float | None,
    higher: bool,
) -> Iterator[Classification]:
    values, gradients = loss_and_gradient(surface, x)
    g, matrices = gradients.double(), hessians(surface, x).double()
    delta = DELTA.get(x.dtype, 1e-4)
    scales = torch.full((len(x),), scale or 0.0, dtype=torch.float64)
    if scale is None:
        scales = 1 + x.double().norm(dim=-1)
    spectra = [_spectrum(h, q, delta) for h, q in zip(matrices, ways, strict=True)]
    spectra, steps, decrements = _located(surface, x.double(), g, spectra, scales)
    for i, spectrum in enumerate(spectra):
        newton = float(steps[i].norm()), decrements[i]
        record = _record(x[i], float(values[i]), g[i], spectrum, newton, float(scales[i]))
        curved = float((matrices[i] @ g[i]).norm())
        record = replace(record, flat=_is_flat(record, curved), symmetries=ways[i].shape[1])
        if record.label is Label.DEGENERATE and higher:
            settled = settle(
                surface,
                x[i].double(),
                spectrum.eigenvalues,
                spectrum.vectors,
                record.tolerance.total,
                delta,
            )
            record = replace(record, settled=settled)
        yield record


@dataclass(frozen=True, slots=True, eq=False)
class _Spectrum:
    eigenvalues: Float64[Tensor, " r"]
    vectors: Float64[Tensor, "P r"]
    tolerance: Tolerance


def _spectrum(
    matrix: Float64[Tensor, "P P"], symmetric: Float64[Tensor, "P k"], delta: float
) -> _Spectrum:
    """Eigenpairs in the complement of the directions of symmetry."""
    size, known = symmetric.shape
    if not bool(matrix.isfinite().all()):
        nothing = torch.full((size,), torch.nan, dtype=torch.float64)
        return _Spectrum(
            nothing, torch.eye(size, dtype=torch.float64), Tolerance(rounding=0.0, products=0.0)
        )
    basis = torch.eye(size, dtype=torch.float64)
    if known:
        basis = torch.linalg.qr(symmetric, mode="complete")[0][:, known:]
    eigenvalues, inner = torch.linalg.eigh(basis.T @ matrix @ basis)
    largest = float(eigenvalues.abs().max()) if len(eigenvalues) else 0.0
    along = float((matrix @ symmetric).norm(dim=0).max()) if known else 0.0
    tolerance = Tolerance(
        rounding=ROUNDING * size * EPS * largest,
        products=delta * largest,
        symmetry=10 * along,
    )
    return _Spectrum(eigenvalues, basis @ inner, tolerance)


def _located(
    surface: Surface,
    x: Float64[Tensor, "n P"],
    g: Float64[Tensor, "n P"],
    spectra: list[_Spectrum],
    scale: Float64[Tensor, " n"],
) -> tuple[list[_Spectrum], Float64[Tensor, "n P"], list[float]]:
    """Spectra with what the points' own inexactness adds; Newton's steps and decrements."""
    count = min(SMALLEST, min(len(s.eigenvalues) for s in spectra))
    nearest = [s.eigenvalues.abs().argsort()[:count] for s in spectra]
    vectors = torch.stack([s.vectors[:, rows] for s, rows in zip(spectra, nearest, strict=True)])
    around = surroundings(surface, x, vectors, scale)
    found, steps, ways, decrements = [], [], [], []
    for i, spectrum in enumerate(spectra):
        largest = float(spectrum.eigenvalues.abs().max()) if count else 0.0
        reach = max(largest, float(around[i]))
        rounding = ROUNDING * x.shape[-1] * EPS * reach
        tolerance = replace(spectrum.tolerance, rounding=rounding)
        far = spectrum.eigenvalues.abs() > tolerance.total
        curved, basis = spectrum.eigenvalues[far], spectrum.vectors[:, far]
        along = basis.T @ g[i]
        # a gradient is rounded as its terms are, and these as the curvature over the scale
        known = torch.where(along < 0, -1.0, 1.0) * (along.abs() + EPS * reach * scale[i])
        found.append(replace(spectrum, tolerance=tolerance))
        steps.append(basis @ (along / curved))
        ways.append(basis @ (known / curved))
        decrements.append(float((along.square() / curved.abs()).sum()))
    moved = POSITION * shifts(surface, x, vectors, torch.stack(ways))
    for i, rows in enumerate(nearest):
        overturned = moved[i] > found[i].eigenvalues[rows].abs()
        position = float(torch.where(overturned, moved[i], 0.0).max()) if count else 0.0
        found[i] = replace(found[i], tolerance=replace(found[i].tolerance, position=position))
    return found, torch.stack(steps), decrements


def _record(
    x: Float[Tensor, " P"],
    value: float,
    g: Float64[Tensor, " P"],
    spectrum: _Spectrum,
    newton: tuple[float, float],
    scale: float,
) -> Classification:
    length, decrement = newton
    norm, size = float(g.norm()), len(x)
    allowed = GRADIENT * (1 + abs(value)) * size**0.5
    critical = norm <= allowed and decrement <= DECREMENT * (1 + abs(value))
    critical = critical and length <= STEP * scale
    tolerance = spectrum.tolerance
    if not critical:  # H d = -D g is zero, and a position exact, at critical points alone
        tolerance = replace(tolerance, position=0.0, symmetry=0.0)
    tau = tolerance.total
    taus = torch.tensor([tau, tau / 10, 10 * tau], dtype=torch.float64)
    labels, index, nullity = kinds(spectrum.eigenvalues.expand(3, -1), taus)
    names = [Label(str(label)) if critical else Label.NOT_CRITICAL for label in labels]
    return Classification(
        x=x.double(),
        label=names[0],
        value=value,
        gradient_norm=norm,
        gradient_tolerance=allowed,
        eigenvalues=spectrum.eigenvalues.numpy(),
        index=int(index[0]),
        nullity=int(nullity[0]),
        tolerance=tolerance,
        tighter=names[1],
        looser=names[2],
        decrement=decrement,
        step=length,
        flat=False,
    )


def _is_flat(record: Classification, curved: float) -> bool:
    if record.gradient_norm <= record.gradient_tolerance:
        return False
    largest = float(np.abs(record.eigenvalues).max(initial=0.0))
    return curved < FLAT * largest * record.gradient_norm


def _extreme(
    surface: Surface, x: Float[Tensor, " P"], symmetric: Float64[Tensor, "P k"]
) -> Classification:
    """By the lowest and the highest eigenvalue alone."""
    (value,), (g,) = loss_and_gradient(surface, x[None])
    curvature = hessian(surface, x)
    known = symmetric.to(x.dtype)

    def product(rows: Float[Tensor, "k P"]) -> Float[Tensor, "k P"]:
        images = curvature(rows - rows @ known @ known.T)
        return images - images @ known @ known.T

    ends = extreme(replace(curvature, product=product), 1, 1, tol=RESIDUAL)
    eigenvalues = np.sort(np.array(ends.values))
    residual, largest = max(ends.residuals), float(np.abs(eigenvalues).max())
    size = surface.size
    tolerance = Tolerance(
        rounding=ROUNDING * size * EPS * largest,
        products=DELTA.get(x.dtype, 1e-4) * largest,
        residual=residual,
    )
    norm = float(g.double().norm())
    allowed = GRADIENT * (1 + abs(float(value))) * size**0.5
    if norm <= allowed:
        pushed = [float(curvature(d).norm()) for d in known.T]
        tolerance = replace(tolerance, symmetry=10 * max(pushed, default=0.0))
    label = Label.NOT_CERTIFIED if norm <= allowed else Label.NOT_CRITICAL
    record = Classification(
        x=x.double(),
        label=label,
        value=float(value),
        gradient_norm=norm,
        gradient_tolerance=allowed,
        eigenvalues=eigenvalues,
        index=int((eigenvalues < -tolerance.total).sum()),
        nullity=int((np.abs(eigenvalues) <= tolerance.total).sum()),
        tolerance=tolerance,
        tighter=label,
        looser=label,
        decrement=float("nan"),
        step=float("nan"),
        flat=False,
        symmetries=symmetric.shape[1],
        residual=residual,
        complete=False,
        note=ends.note,
    )
    return replace(record, flat=_is_flat(record, float(curvature(g).double().norm())))
