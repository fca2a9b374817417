"""Loss surfaces of deep networks with and without skip connections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.li_2018 import SOURCE
from ravine.experiments.running import network, only, stretch
from ravine.landscape.planes.directions import Directions, random
from ravine.landscape.planes.plane import Plane, centred, plane
from ravine.landscape.planes.ratio import Ratios
from ravine.landscape.planes.shape import curvature
from ravine.landscape.sharing.evaluate import cell
from ravine.landscape.sources import surface
from ravine.landscape.spectrum.stacked import extremes, hessians_products
from ravine.landscape.surface import Surface
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.landscape.planes.figures import plane_figure, ratio_figure, surface_figure
from ravine.reporting.layout import Table

PLAIN, SKIP = "without skips", "with skips"
NETS: Mapping[str, bool] = {PLAIN: False, SKIP: True}
RATE = 0.05

DEPTH = 20

SPAN = 1.0
"""Of planes: at 1 a direction is as long as the weights, filter by filter."""

STACK = 16
"""Cells whose eigenvalues are computed together."""

LANCZOS, TOLERANCE = 12, 0.05
"""Steps to both extreme eigenvalues, and to how much of the larger one they are to be right."""

WINDOW = 20
"""Steps over which the losses of minibatches are averaged."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What is seen around the end of one run.

    Args:
        plane: the loss on a plane of filter-normalised directions.
        ratios: extreme eigenvalues of the whole Hessian on a coarse grid of it.
    """

    plane: Plane
    ratios: Ratios

    @property
    def negative(self) -> float:
        """Share of the plane that curves downwards in some direction of the plane."""
        return curvature(self.plane).negative

    @property
    def ratio(self) -> float:
        """Median of |smallest / largest eigenvalue|."""
        return float(np.nanmedian(self.ratios.ratio))

    @property
    def lowest(self) -> float:
        """The least loss on the plane, over that where the run ended."""
        return float(np.nanmin(self.plane.loss) / self.plane.centre_loss)


@experiment("D8", "Skip connections", SOURCE)
def skip_connections(scale: Scale, tick: Tick) -> Found:
    """In a deep network without skip connections runs easily end at the edge of the surface.

    With them the surface is far easier.  Surfaces are compared along random directions that
    are scaled, filter by filter, to the weights.
    """
    seeds, steps = range(scale.choose(5, 10)), scale.choose(150, 2000)
    width, batch = scale.choose(32, 64), scale.choose(32, 128)
    nets = {
        name: network(f"deep_mlp(depth={DEPTH}, width={width}, skip={skip}, batch={batch})")
        for name, skip in NETS.items()
    }
    ends, losses = {}, {}
    for k, (name, net) in enumerate(nets.items()):
        told = stretch(tick, 0.25 * k, 0.25)
        runs = walks(net, [only(f"sgd(lr={RATE})")], seeds, steps, tick=told)
        ends[name] = runs.ends[0]
        losses[name] = smoothed(runs.losses[0].double().numpy())
    cells, coarse = scale.choose(15, 51), scale.choose(3, 11)
    examples, few = scale.choose(64, 2048), scale.choose(48, 512)
    seen: dict[str, list[Ground]] = {}
    for name, net in nets.items():
        grounds = surface(net, examples=examples), surface(net, examples=few)
        seen[name] = []
        for seed, x in zip(seeds, ends[name], strict=True):
            seen[name].append(look(*grounds, x, seed, (cells, coarse)))
            tick(0.5 + 0.5 * (len(seen[name]) + len(seeds) * (len(seen) - 1)) / 2 / len(seeds))
    plain, skip = seen.values()
    final = {name: rows[:, -1] for name, rows in losses.items()}
    return Found(
        claims=(
            median(
                "trains-worse",
                "After as many steps at the same rate the loss without skips is higher.",
                (final[PLAIN] / final[SKIP]).tolist(),
                above(1),
                unit="of that with skips",
            ),
            median(
                "negative-area",
                "Around the end of a run without skips a larger share of the plane curves "
                "downwards than with them.",
                [a.negative - b.negative for a, b in zip(plain, skip, strict=True)],
                above(1e-9),
                unit="of the plane, the difference",
            ),
            median(
                "eigenvalue-ratio",
                "There |smallest / largest eigenvalue| of the whole Hessian is larger without "
                "skips.",
                [a.ratio / b.ratio for a, b in zip(plain, skip, strict=True)],
                above(1),
                unit="of that with skips",
            ),
            median(
                "plain-at-the-edge",
                "Without skips a run ends at the edge: the plane shows a lower loss elsewhere, by "
                "over 1 %.",
                [a.lowest for a in plain],
                below(0.99),
                unit="of the loss at the end",
            ),
            median(
                "skip-in-the-middle",
                "With skips it ends in the middle: the plane shows none that is lower by over 1 %.",
                [b.lowest for b in skip],
                above(0.99),
                unit="of the loss at the end",
            ),
        ),
        figures={
            **{
                f"{kind}-{key}": draw(seen[name][0].plane, f"Loss around the end of a run {name}")
                for kind, draw in (("surface", surface_figure), ("plane", plane_figure))
                for key, name in (("plain", PLAIN), ("skip", SKIP))
            },
            "training": curves_figure(
                f"Loss of minibatches, averaged over {WINDOW} steps, at a rate of {RATE}",
                Panel(
                    {n: Curve(np.arange(r.shape[1]) + float(WINDOW), r) for n, r in losses.items()},
                    "step",
                    "loss (nats)",
                    log=("y",),
                ),
            ),
            # on the few cells of the quick scale a map says nothing
            **{
                f"ratio-{key}": ratio_figure(
                    seen[name][0].ratios,
                    seen[name][0].plane,
                    f"Negative curvature around the end, {name}",
                )
                for key, name in (("plain", PLAIN), ("skip", SKIP))
                if scale is Scale.FULL
            },
        },
        tables={"grounds": _table(seen, final, seeds)},
        remark=(
            f"Perceptrons of {DEPTH} layers of {width} units on the real MNIST stand in for "
            f"residual networks of 56 and 110 layers on CIFAR-10, and {steps} steps for 300 "
            f"epochs.  Planes have {cells} x {cells} cells over {examples} images, eigenvalue "
            f"ratios {coarse} x {coarse} over {few}.  A plane that looks convex proves nothing of "
            "the other directions."
        ),
    )


def look(
    ground: Surface, few: Surface, x: Float[Tensor, " P"], seed: int, cells: tuple[int, int]
) -> Ground:
    """A plane around a point, and eigenvalue ratios on a coarse grid of it.

    Args:
        ground: the loss.
        few: the same over fewer images, of which the eigenvalues are taken.
        x: the point.
        seed: of the directions.
        cells: along a side of either grid.
    """
    way, (fine, rough) = random(ground, x, seed), (centred(SPAN, count) for count in cells)
    labels = ("first direction (filter norms)", "second direction (filter norms)")
    return Ground(
        plane(ground, x, way.u, way.v, fine, fine, labels=labels),
        ratios(few, x, way, rough),
    )


def ratios(
    ground: Surface, x: Float[Tensor, " P"], way: Directions, at: Float64[np.ndarray, " n"]
) -> Ratios:
    """Extreme eigenvalues of the Hessian on a grid of a plane, some cells as one stack.

    Args:
        ground: the loss.
        x: the middle.
        way: the plane.
        at: coordinates of rows and of columns.
    """
    here = torch.from_numpy(at).to(x)
    cells = torch.cartesian_prod(here, here)
    found = []
    for own in torch.split(cells, STACK):
        points = cell((x, way.u, way.v), own[:, 1:], own[:, :1])
        found.append(extremes(hessians_products(ground, points), points, LANCZOS))
    smallest, largest, residual = (
        torch.cat([getattr(part, name) for part in found]).view(len(at), len(at)).numpy()
        for name in ("smallest", "largest", "residual")
    )
    return Ratios(
        x=at,
        y=at,
        smallest=smallest,
        largest=largest,
        residual=residual,
        converged=residual <= TOLERANCE * np.maximum(np.abs(smallest), np.abs(largest)),
        tolerance=TOLERANCE,
        products=LANCZOS * at.size**2,
    )


def smoothed(rows: Float64[np.ndarray, "seeds steps"]) -> Float64[np.ndarray, "seeds rest"]:
    """Means over a window of steps."""
    sums = np.cumsum(np.pad(rows, ((0, 0), (1, 0))), 1)
    found: Float64[np.ndarray, "seeds rest"] = (sums[:, WINDOW:] - sums[:, :-WINDOW]) / WINDOW
    return found


def _table(
    seen: Mapping[str, Sequence[Ground]],
    final: Mapping[str, Float64[np.ndarray, " seeds"]],
    seeds: Sequence[int],
) -> Table:
    rows = [
        (
            name,
            str(seed),
            f"{final[name][k]:.3f}",
            f"{100 * one.negative:.0f} %",
            f"{one.ratio:.3f}",
            f"{100 * one.ratios.converged.mean():.0f} %",
            f"{one.lowest:.3f}",
        )
        for name, grounds in seen.items()
        for k, (seed, one) in enumerate(zip(seeds, grounds, strict=True))
    ]
    return Table(
        f"Ground around the ends of runs of {DEPTH} layers",
        ("network", "seed", "loss", "curves down", "ratio", "converged", "lowest"),
        tuple(rows),
        f"Loss: of the last {WINDOW} minibatches.  Ratio: median of |smallest / largest "
        "eigenvalue| over cells.  Lowest: the least loss on the plane, over that at the end.",
        ("left", *("right",) * 6),
    )
