"""A plane of a deep network with and without skip connections, against a plain loop.

    python -m benchmarks.deep_planes [--points 15] [--examples 64] [--width 32] [--rounds 5]

The network, the directions and the grid are those of the experiment on skip connections at
its quick scale; `--points 51 --examples 2048 --width 64` are those of its full one.  The loop
moves the parameters of torch's own layers to one cell after another and takes the loss of
all images at once.  Both sides alternate within one process, on one thread; seconds are those
of the processor, and the ratio is the median of the rounds.
"""

import argparse
import math
import statistics
import time

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional

from ravine.experiments.li_2018.skips import DEPTH, NETS, SPAN
from ravine.experiments.running import network
from ravine.landscape.planes.directions import Directions, random
from ravine.landscape.planes.plane import centred, plane
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, pack, unpack


class Deep(nn.Module):
    """A rectified perceptron whose hidden layers may be added to the product before."""

    def __init__(self, sizes: list[tuple[int, ...]], skip: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(columns, rows) for rows, columns in sizes)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for a batch."""
        first, *inner, last = self.layers
        h = first(x)
        for layer in inner:
            new = layer(h.relu())
            h = h + new / math.sqrt(len(inner)) if self.skip else new
        found: Tensor = last(h.relu())
        return found


def loop(
    ground: Surface,
    x: Float[Tensor, " P"],
    way: Directions,
    at: Float64[np.ndarray, " n"],
    skip: bool,
) -> Float64[np.ndarray, "n n"]:
    """One cell after another, as a script would."""
    model = Deep([shape for shape in ground.shapes.values() if len(shape) == 2], skip)
    centre, u, v = (list(unpack(ground, part).values()) for part in (x, way.u, way.v))
    inputs, targets = (
        torch.cat([part.data[name] for part in ground.parts]) for name in ("inputs", "targets")
    )
    losses = np.empty((len(at), len(at)))
    with torch.no_grad():
        for i, b in enumerate(at.tolist()):
            for j, a in enumerate(at.tolist()):
                moved = zip(model.parameters(), centre, u, v, strict=True)
                for parameter, own, one, two in moved:
                    parameter.copy_(own + a * one + b * two)
                losses[i, j] = functional.cross_entropy(model(inputs), targets).item()
    return losses


def main(points: int, examples: int, width: int, rounds: int) -> None:
    """Time both sides in turn, and compare their values."""
    torch.set_num_threads(1)
    print(f"{points} x {points} cells, {examples:,} images, {DEPTH} layers of {width} units")
    print(f"{'network':<16}{'plane':>9}{'loop':>9}{'ratio':>8}   range of rounds   difference  way")
    at = centred(SPAN, points)
    for name, skip in NETS.items():
        net = network(f"deep_mlp(depth={DEPTH}, width={width}, skip={skip})")
        ground = surface(net, examples=examples)
        x = pack(ground, net.start(0)).detach()
        sides = random(ground, x, 0)
        ours, theirs = [], []
        for i in range(rounds + 1):
            began = time.process_time()
            found = plane(ground, x, sides.u, sides.v, at, at)
            middle = time.process_time()
            single = loop(ground, x, sides, at, skip)
            done = time.process_time()
            if i:  # the first round warms up
                ours.append(middle - began)
                theirs.append(done - middle)
        apart = np.abs(found.loss / single - 1).max()
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        print(
            f"{name:<16}{statistics.median(ours):>7.3f} s{statistics.median(theirs):>7.3f} s"
            f"{statistics.median(ratios):>8.2f}   {min(ratios):.2f} to {max(ratios):.2f}"
            f"{apart:>16.1e}  {found.way}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=15)
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    main(given.points, given.examples, given.width, given.rounds)
