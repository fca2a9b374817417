"""The loss on a line: first layers shared, against a loop that evaluates point by point.

    python benchmarks/lines.py [--alphas 401] [--rounds 3]

The network has 784-256-256-10 units and ReLU; the loss is that of all 10,000 MNIST test
images; alpha goes from -2 to 2 between two starts.  The loop interpolates a state dict, loads
it into an `nn.Sequential` and takes the loss of all images at once.  Both sides alternate
within one process, on one thread; seconds are those of the processor, and the ratio is the
median of the rounds.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ravine.landscape.lines import line
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, pack, unpack
from ravine.problems import problem


def grounds() -> tuple[Surface, Tensor, Tensor]:
    """The test surface and two starts."""
    network = problem("notes_mlp")
    ground = surface(network, split="test", examples=None)
    start, end = (pack(ground, network.start(seed)).detach() for seed in (0, 1))
    return ground, start, end


def loop(ground: Surface, start: Tensor, end: Tensor, alphas: list[float]) -> list[float]:
    """One point after another, as a script would."""
    shapes = list(ground.shapes.values())
    linear = [nn.Linear(shape[1], shape[0]) for shape in shapes[::2]]
    model = nn.Sequential(linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])
    first, last = (list(unpack(ground, x).values()) for x in (start, end))
    inputs, targets = (
        torch.cat([part.data[name] for part in ground.parts]) for name in ("inputs", "targets")
    )
    losses = []
    with torch.no_grad():
        for alpha in alphas:
            mixed = [a + alpha * (b - a) for a, b in zip(first, last, strict=True)]
            model.load_state_dict(dict(zip(model.state_dict(), mixed, strict=True)))
            losses.append(functional.cross_entropy(model(inputs), targets).item())
    return losses


def main(count: int, rounds: int) -> None:
    """Time both sides in turn, and compare their values."""
    torch.set_num_threads(1)
    ground, start, end = grounds()
    alphas = np.linspace(-2, 2, count).tolist()
    ours, theirs = [], []
    for i in range(rounds + 1):
        began = time.process_time()
        found = line(ground, start, end, alphas)
        middle = time.process_time()
        single = loop(ground, start, end, alphas)
        done = time.process_time()
        if i:  # the first round warms up
            ours.append(middle - began)
            theirs.append(done - middle)
    apart = np.abs(found.losses.numpy() / np.array(single) - 1).max()
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    print(f"{count} alphas, {ground.examples:,} images, {found.way}: {found.reason}")
    print(f"line {statistics.median(ours):.2f} s, loop {statistics.median(theirs):.2f} s")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"largest relative difference of a loss {apart:.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--alphas", type=int, default=401)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    main(given.alphas, given.rounds)
