"""The density of a spectrum: outliers as atoms, the bulk by quadrature, bands between probes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import eigh_tridiagonal
from scipy.special import ndtr
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.operators import Operator
from ravine.landscape.spectrum.basis import against, directions, rounding
from ravine.landscape.spectrum.lanczos import HELD, Eigenpairs, extreme
from ravine.problems import arguments

POINTS = 801
"""At which the density is taken."""

NARROW = 1 / 100
"""The default bandwidth, as a share of the bulk's range."""

CHECKS = 10
"""Fresh probes by which the moments are checked."""

Curve = Float64[np.ndarray, " points"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """The mean of a power of the eigenvalues, twice.

    Args:
        order: the power.
        value: from the density.
        error: its standard error between probes.
        reference: the mean of z' A^order z over fresh probes; exact for a whole matrix.
        reference_error: its standard error.
    """

    order: int
    value: float
    error: float
    reference: float
    reference_error: float

    @property
    def agrees(self) -> bool:
        """Whether the two differ by at most five standard errors, or by rounding alone."""
        allowed = 5 * math.hypot(self.error, self.reference_error)
        return abs(self.value - self.reference) <= allowed + 1e-5 * abs(self.reference)


@dataclass(frozen=True, kw_only=True, eq=False)
class Density:
    """How the eigenvalues are distributed.

    Args:
        matrix: which it is.
        size: P, of the matrix.
        outliers: the eigenpairs at the ends that were looked for.
        atoms: those that converged and are taken out of the bulk; 1/P of the mass each.
        nodes: of the quadrature of the bulk, `[probes, steps]`.
        weights: of the nodes; each probe's add up to the mass 1 - atoms/P of the bulk.
        grid: eigenvalues at which the curves are taken.
        density: of the bulk, a mean over probes, per unit of eigenvalue.
        density_band: its least and largest value over single probes, `[2, points]`.
        cumulative: share of eigenvalues up to each point, atoms with it.
        cumulative_band: likewise over probes.
        bandwidth: the standard deviation of the Gaussian that smooths both.
        mass: of atoms and the bulk's density over the grid; 1 but for what the grid cuts off.
        moments: the first two.
        exact: all eigenvalues are nodes, and there are no atoms and no probes.
        probes: random vectors.
        steps: of Lanczos for each.
        products: with the matrix, in all.
        seed: of outliers and probes.
        note: what went wrong; empty if nothing did.
    """

    matrix: str
    size: int
    outliers: Eigenpairs | None
    atoms: tuple[float, ...]
    nodes: Float64[np.ndarray, "probes steps"]
    weights: Float64[np.ndarray, "probes steps"]
    grid: Curve
    density: Curve
    density_band: Float64[np.ndarray, "2 points"]
    cumulative: Curve
    cumulative_band: Float64[np.ndarray, "2 points"]
    bandwidth: float
    mass: float
    moments: tuple[Moment, ...]
    exact: bool
    probes: int
    steps: int
    products: int
    seed: int
    note: str = ""


def density(
    operator: Operator,
    *,
    largest: int = 10,
    smallest: int = 5,
    probes: int = 4,
    steps: int = 80,
    bandwidth: float | None = None,
    tol: float = 1e-3,
    seed: int = 0,
    most: int = 300,
    listener: Callable[[float], None] = lambda share: None,
) -> Density:
    """The distribution of all eigenvalues, by stochastic Lanczos quadrature behind outliers.

    The outliers at both ends are converged and deflated first, for a single eigenvalue far
    out dominates the variance of probes; those that do not converge stay in the bulk.  Each
    probe of the complement then gives a Gauss quadrature of its spectral measure, by Lanczos
    with full re-orthogonalisation.  A matrix with no more coordinates than the products this
    would take is built and its eigenvalues are taken as they are.

    Args:
        operator: the matrix.
        largest: outliers looked for at the upper end.
        smallest: and at the lower end.
        probes: random vectors, two at least for a band.
        steps: of Lanczos for each; fewer where they would not fit into 1 GB.
        bandwidth: standard deviation of the smoothing Gaussian; a hundredth of the bulk's
            range by default.
        tol: of outliers, see `extreme`.
        seed: of all random vectors.
        most: products at most for outliers.
        listener: told the share that is done.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Lin, Saad and Yang (2016). Approximating spectral densities of large matrices. SIAM
        Review 58(1).
        Ghorbani, Krishnan and Xiao (2019). An investigation into neural net optimization via
        Hessian eigenvalue density. arXiv 1901.10159.
        Papyan (2018). The full spectrum of deepnet Hessians at scale. arXiv 1811.07062.
    """
    arguments.whole("largest", largest, 0)
    arguments.whole("smallest", smallest, 0)
    arguments.whole("probes", probes, 2)
    arguments.whole("steps", steps, 2)
    if bandwidth is not None and not 0 < bandwidth < math.inf:
        raise BadValue(f"`bandwidth` must be positive, got {bandwidth:g}; leave it out")
    size = operator.size
    if size <= probes * steps:
        return _of_all(operator, bandwidth, seed)
    pairs = None
    if largest + smallest:
        pairs = extreme(operator, largest, smallest, tol=tol, seed=seed, most=most)
    listener(0.2)
    good = [i for i, fine in enumerate(pairs.converged) if fine] if pairs else []
    atoms = tuple(pairs.values[i] for i in good) if pairs else ()
    deflated = torch.zeros(0, size, dtype=torch.float64)
    if pairs and good:
        # float32 rounding left them orthonormal to 1e-7 only
        deflated = torch.linalg.qr(pairs.vectors[good].double().T)[0].T.contiguous()
    steps = max(2, min(steps, HELD // (8 * size)))
    nodes, weights = np.zeros((probes, steps)), np.zeros((probes, steps))
    together = max(1, HELD // (8 * size * steps))
    for first in range(0, probes, together):
        which = range(first, min(first + together, probes))
        start = torch.cat([directions(size, 1, "density", seed, i) for i in which])
        part = partial(_heard, listener, 0.2 + 0.75 * first / probes, 0.75 * len(which) / probes)
        alphas, betas = _lanczos(operator, start, deflated, steps, part)
        for i, alpha, beta in zip(which, alphas, betas, strict=True):
            if not np.isfinite(alpha).all():
                nodes[i], weights[i] = math.nan, math.nan
                continue
            found, turned = eigh_tridiagonal(alpha, beta[:-1])
            nodes[i], weights[i] = found, turned[0] ** 2
    weights *= 1 - len(atoms) / size
    samples = _checks(operator, deflated, torch.tensor(atoms, dtype=torch.float64), seed)
    moments = tuple(
        _moment(order, size, atoms, nodes, weights, samples[order - 1]) for order in (1, 2)
    )
    products = (pairs.products if pairs else 0) + probes * steps + CHECKS
    listener(1.0)
    return _smoothed(
        operator, pairs, atoms, nodes, weights, bandwidth, moments, False, products, seed
    )


def _heard(listener: Callable[[float], None], first: float, part: float, share: float) -> None:
    listener(first + part * share)


def _lanczos(
    operator: Operator,
    start: Float64[Tensor, "probes P"],
    deflated: Float64[Tensor, "k P"],
    steps: int,
    listener: Callable[[float], None],
) -> tuple[Float64[np.ndarray, "probes steps"], Float64[np.ndarray, "probes steps"]]:
    """The tridiagonal matrices of all probes on what the deflated vectors leave."""
    count = len(start)
    basis = torch.zeros(count, steps, operator.size, dtype=torch.float64)
    alphas, betas = np.zeros((count, steps)), np.zeros((count, steps))
    q = against(start, deflated)
    q = q / q.norm(dim=-1, keepdim=True)
    for j in range(steps):
        basis[:, j] = q
        rest = operator(q).double()
        alphas[:, j] = (q * rest).sum(-1).numpy()
        for i in range(count):
            own = basis[i, : j + 1]
            for _ in range(2):
                rest[i] -= (deflated @ rest[i]) @ deflated
                rest[i] -= (own @ rest[i]) @ own
        lengths = rest.norm(dim=-1)
        betas[:, j] = lengths.numpy()
        scale = np.maximum(np.abs(alphas[:, : j + 1]).max(1), betas[:, : j + 1].max(1))
        # behind an invariant space only zeros follow, which have no weight
        betas[betas[:, j] <= rounding(operator) * scale, j] = 0.0
        alive = torch.from_numpy(betas[:, j] != 0)[:, None]
        q = torch.where(alive, rest / lengths.clamp_min(1e-300)[:, None], 0.0)
        listener((j + 1) / steps)
    return alphas, betas


def _checks(
    operator: Operator,
    deflated: Float64[Tensor, "k P"],
    atoms: Float64[Tensor, " k"],
    seed: int,
) -> Float64[np.ndarray, "2 checks"]:
    """Samples of z' A z and z' A A z for fresh unit vectors z.

    What the outliers add to a sample is replaced by its mean, which leaves the sample without
    bias whatever they are, and with a smaller variance.
    """
    z = directions(operator.size, CHECKS, "density", "moments", seed)
    z /= z.norm(dim=-1, keepdim=True)
    images = operator(z).double()
    excess = (z @ deflated.T) ** 2 - 1 / operator.size
    first = (z * images).sum(-1) - excess @ atoms
    second = (images * images).sum(-1) - excess @ atoms**2
    return np.stack([first.numpy(), second.numpy()])


def _moment(
    order: int,
    size: int,
    atoms: tuple[float, ...],
    nodes: Float64[np.ndarray, "probes steps"],
    weights: Float64[np.ndarray, "probes steps"],
    samples: Float64[np.ndarray, " checks"],
) -> Moment:
    own = (weights * nodes**order).sum(-1) + sum(a**order for a in atoms) / size
    return Moment(
        order=order,
        value=float(own.mean()),
        error=float(own.std(ddof=1)) / math.sqrt(len(own)),
        reference=float(samples.mean()),
        reference_error=float(samples.std(ddof=1)) / math.sqrt(len(samples)),
    )


def _of_all(operator: Operator, bandwidth: float | None, seed: int) -> Density:
    """The density of a matrix that is small enough to be built."""
    size = operator.size
    matrix = operator(torch.eye(size, dtype=operator.dtype)).double()
    values = np.full((1, size), math.nan)
    if bool(matrix.isfinite().all()):
        values[0] = np.linalg.eigvalsh(((matrix + matrix.T) / 2).numpy())
    moments = tuple(
        Moment(
            order=order,
            value=float((values**order).mean()),
            error=0.0,
            reference=float(total) / size,
            reference_error=0.0,
        )
        for order, total in ((1, matrix.trace()), (2, (matrix * matrix).sum()))
    )
    weights = np.full((1, size), 1 / size)
    return _smoothed(operator, None, (), values, weights, bandwidth, moments, True, size, seed)


def _smoothed(
    operator: Operator,
    pairs: Eigenpairs | None,
    atoms: tuple[float, ...],
    nodes: Float64[np.ndarray, "probes steps"],
    weights: Float64[np.ndarray, "probes steps"],
    bandwidth: float | None,
    moments: tuple[Moment, ...],
    exact: bool,
    products: int,
    seed: int,
) -> Density:
    """Curves over a grid that holds the bulk and its Gaussian tails."""
    size, count = operator.size, len(nodes)
    note = ""
    seen = nodes[weights > 1e-12 / size]
    if not np.isfinite(nodes).all():
        note, seen = "a product is not finite", np.zeros(1)
    elif not all(moment.agrees for moment in moments):
        note = "the moments do not agree with fresh probes"
    low, high = float(seen.min()), float(seen.max())
    largest = max(abs(low), abs(high))
    # eigenvalues that are all the same have no range but rounding
    span = high - low if high - low > 1e-6 * largest else largest or 1.0
    width = bandwidth or NARROW * span
    grid = np.linspace(low - 5 * width, high + 5 * width, POINTS)
    densities, shares = np.zeros((count, POINTS)), np.zeros((count, POINTS))
    for i in range(count):
        z = (grid[:, None] - nodes[i]) / width
        densities[i] = np.exp(-z * z / 2) @ weights[i] / (width * math.sqrt(2 * math.pi))
        shares[i] = ndtr(z) @ weights[i]
        shares[i] += (np.array(atoms) <= grid[:, None]).sum(-1) / size
    mean = densities.mean(0)
    return Density(
        matrix=operator.name,
        size=size,
        outliers=pairs,
        atoms=atoms,
        nodes=nodes,
        weights=weights,
        grid=grid,
        density=mean,
        density_band=np.stack([densities.min(0), densities.max(0)]),
        cumulative=shares.mean(0),
        cumulative_band=np.stack([shares.min(0), shares.max(0)]),
        bandwidth=width,
        mass=float(np.trapezoid(mean, grid)) + len(atoms) / size,
        moments=moments,
        exact=exact,
        probes=0 if exact else count,
        steps=0 if exact else nodes.shape[1],
        products=products,
        seed=seed,
        note=note,
    )
