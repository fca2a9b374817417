"""Newton's method, with and without absolute curvatures (Deep Learning, 8.2.1 and 8.2.3)."""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.engine.walk import walk
from ravine.experiments.claims import above, below, median, share
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.deep_learning_book.figures import ends_figure
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import first_hits, only, stacked
from ravine.landscape.operators import hessians
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, gradient
from ravine.problems.analytic import Analytic
from ravine.problems.base import Kind
from ravine.problems.catalogue import analytic
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = BOOK.format("8.2.1")


DAMPING = 0.1


@experiment("C2", "Newton's method", SOURCE)
def newtons_method(scale: Scale, tick: Tick) -> Found:
    """Newton's method is excellent on ill-conditioned convex functions.

    For networks it needs changes, for it is attracted by saddles; its saddle-free variant is
    not.
    """
    convex, seeds = analytic("rotated_ellipsoid_1e6"), range(scale.choose(7, 25))
    curvatures = convex.facts.eigenvalues
    best = f"sgd(lr={2 / (curvatures[0] + curvatures[-1]):.6g})"
    budget = 2000
    runs = stacked(convex, {best: only(best)}, seeds, budget)[best]
    gaps = np.stack([_gaps(convex, "newton(lr=1.0)", seed, 10) for seed in seeds])
    tick(0.3)
    hilly = analytic("himmelblau")
    ground = surface(hilly)
    count = scale.choose(2000, 20_000)
    low, high = np.array(hilly.intervals).T
    inside = low + (high - low) * generator("newton", 0).random((count, 2))
    others = [p.x for p in hilly.facts.critical_points if p.kind is not Kind.MINIMUM]
    push = 0.3 * (2 * generator("newton", 1).random((count, 2)) - 1)
    near = np.array(others)[np.arange(count) % len(others)] + push
    ends: dict[tuple[str, str], list[int]] = {}
    for name, free in (("Newton", False), ("saddle-free Newton", True)):
        for where, starts in (("near", near), ("anywhere", inside)):
            reached = newton(ground, torch.from_numpy(starts), 60, saddle_free=free)
            kinds = _kinds(hilly, reached)
            ends[name, where] = [kinds.count(word) for word in ENDS]
    tick(0.5)
    network = analytic("linear_autoencoder")
    begin = torch.stack([network.start(s)["x"] for s in range(scale.choose(100, 1000))])
    net = surface(network)
    plain = _outcomes(network, newton(net, begin, 100, saddle_free=False))
    freed = _outcomes(network, newton(net, begin, 100, saddle_free=True))
    damped = _outcomes(network, newton(net, begin, 100, saddle_free=True, damping=DAMPING))
    tick(0.8)
    side = np.linspace(low[0], high[0], scale.choose(141, 401))
    grid = torch.from_numpy(np.stack(np.meshgrid(side, side, indexing="xy"), -1).reshape(-1, 2))
    maps = {
        name: np.array(
            [ENDS.index(k) for k in _kinds(hilly, newton(ground, grid, 60, saddle_free=free))]
        ).reshape(len(side), len(side))
        for name, free in (("Newton's method", False), ("saddle-free Newton", True))
    }
    n = len(begin)
    descent = np.array(runs.trace_loss[:, 0]).T / runs.start[0][:, None]
    return Found(
        claims=(
            median(
                "convex",
                "On a rotated ellipsoid of condition 1e6, Newton's method reduces the loss by 1e-8 "
                "in at most two steps.",
                [float(np.argmax(row <= 1e-8)) if (row <= 1e-8).any() else np.inf for row in gaps],
                below(2),
                unit="steps",
            ),
            median(
                "descent",
                "Plain descent at its best constant rate needs over 1,000 steps for that.",
                first_hits(runs, -1),
                above(1000),
                unit="steps",
            ),
            share(
                "attracted",
                "Started beside a saddle or a maximum of Himmelblau's function, Newton's method "
                "mostly ends at such a point.",
                sum(ends["Newton", "near"][1:3]),
                count,
                above(0.5),
            ),
            share(
                "repelled",
                "From the same starts saddle-free Newton ends there in less than one case of 20.",
                sum(ends["saddle-free Newton", "near"][1:3]),
                count,
                below(0.05),
            ),
            share(
                "network",
                "On a linear autoencoder, started near the origin as networks are, Newton's method "
                "mostly ends at a saddle.",
                plain[1],
                n,
                above(0.5),
            ),
            share(
                "network-repelled",
                "Saddle-free Newton does so in less than one case of 20.",
                freed[1],
                n,
                below(0.05),
            ),
            share(
                "network-free",
                "Saddle-free Newton mostly finds the minimum of the network instead.",
                freed[0],
                n,
                above(0.5),
            ),
            share(
                "network-damped",
                f"With absolute curvatures below {DAMPING} raised to that, it mostly does.",
                damped[0],
                n,
                above(0.5),
            ),
        ),
        figures={
            "basins": ends_figure(
                "Himmelblau's function: where a start ends, by the kind of the point",
                side,
                maps,
                ENDS,
            ),
            "convex": curves_figure(
                "Rotated ellipsoid of condition 1e6",
                Panel(
                    {
                        "Newton's method": Curve(np.arange(1.0, 12), np.maximum(gaps, 1e-32)),
                        "descent at its best rate": Curve(np.array(runs.marks) + 1.0, descent),
                    },
                    "steps + 1",
                    "loss / loss at start",
                    log=("x", "y"),
                ),
            ),
        },
        tables={
            "ends": Table(
                "Where runs end on Himmelblau's function",
                ("method", "starts", *ENDS),
                tuple((*key, *(f"{v:,}" for v in row)) for key, row in ends.items()),
            )
        },
        remark=(
            "Both methods take whole steps by the exact Hessian, without line search or trust "
            "region.  Where a curvature is nearly 0, undamped saddle-free Newton takes a step that "
            "leaves weights of 1e4; the curvatures of the way back are then 0 to rounding beside "
            "the largest, and are not moved along."
        ),
    )


ENDS = ("minimum", "saddle", "maximum", "none")
"""Kinds of points where a run may end."""


def newton(
    surface: Surface,
    x: Float64[Tensor, "n P"],
    steps: int,
    *,
    saddle_free: bool,
    damping: float = 0.0,
) -> Float64[Tensor, "n P"]:
    """Whole Newton steps from many starts at once, by the dense Hessian.

    Eigenvalues that are zero to rounding beside the largest are not moved along.

    Args:
        surface: f.
        x: starts.
        steps: how many.
        saddle_free: divide by the eigenvalues' absolute values instead.
        damping: what absolute values below it are raised to.
    """
    for _ in range(steps):
        values, vectors = torch.linalg.eigh(hessians(surface, x))
        size = values.abs().clamp(min=damping)
        least = values.shape[-1] * torch.finfo(values.dtype).eps * size.amax(-1, keepdim=True)
        inverse = torch.where(size > least, 1 / (size if saddle_free else values), 0.0)
        along = (vectors.mT @ gradient(surface, x)[..., None])[..., 0]
        x = x - (vectors @ (inverse * along)[..., None])[..., 0]
    return x


def _kinds(problem: Analytic, x: Float64[Tensor, "n P"]) -> list[str]:
    """The kind of the critical point at which each run has ended, `none` elsewhere."""
    points = problem.facts.critical_points
    known = torch.tensor([p.x for p in points], dtype=x.dtype)
    apart = torch.cdist(torch.nan_to_num(x, nan=1e9), known)
    closest = apart.min(-1)
    pairs = zip(closest.indices.tolist(), closest.values.tolist(), strict=True)
    return [str(points[i].kind) if far < 1e-4 else "none" for i, far in pairs]


def _outcomes(problem: Analytic, x: Float64[Tensor, "n P"]) -> tuple[int, int]:
    """How many runs end at the minimum's value, and how many at a critical point above it."""
    best = problem.f(x) <= (problem.facts.minimum or 0.0) + 1e-6
    still = gradient(surface(problem), x).norm(dim=-1) < 1e-8
    return int(best.sum()), int((still & ~best).sum())


def _gaps(problem: Analytic, name: str, seed: int, steps: int) -> Float64[np.ndarray, " n"]:
    """Loss over loss at start along one run, whose minimum is 0."""
    way = walk(problem, only(name), seed, steps, keep=range(steps + 1))
    return np.array([loss / way.losses[0] for loss in way.losses])
