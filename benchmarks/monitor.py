"""What the monitor costs a training loop, as a share of the loop's wall time and in steps.

    python benchmarks/monitor.py

A loop is timed with and without its monitor, alternately, and the medians are compared; the
monitor's own account, `Monitor.overhead`, stands beside them.
"""

import argparse
import statistics
import time
from contextlib import nullcontext

import torch
from torch import nn
from torch.nn import functional

from ravine.landscape.monitor import Monitor


def net() -> nn.Module:
    """A perceptron for MNIST's shapes, with normalisation and dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(784, 128),
        nn.BatchNorm1d(128),
        nn.Tanh(),
        nn.Dropout(0.1),
        nn.Linear(128, 64),
        nn.Tanh(),
        nn.Linear(64, 10),
    )


def train(steps: int, every: int | None, sharp: bool) -> tuple[float, float, bytes]:
    """Seconds of a loop, the share that its monitor claims, and the trained weights."""
    model = net()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    draws = torch.Generator().manual_seed(1)
    x = torch.randn(128, 784, generator=draws)
    y = torch.randint(10, (128,), generator=draws)
    monitor = None if every is None else Monitor(model, sgd, every=every, sharp=sharp)
    begun = time.perf_counter()
    with monitor or nullcontext():
        for _ in range(steps):
            if monitor is not None:
                monitor.look(lambda: functional.cross_entropy(model(x), y))
            sgd.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            sgd.step()
    seconds = time.perf_counter() - begun
    weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    return seconds, 0.0 if monitor is None else monitor.overhead, weights


class TimeMonitor:
    """A loop of 100 steps with a look every 50; asv's own history."""

    params = (None, 50)
    param_names = ("every",)

    def time_loop(self, every: int | None) -> None:
        train(100, every, sharp=True)


def main() -> None:
    """Print a line for each schedule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    train(20, 5, sharp=True)
    for every, sharp in ((50, False), (50, True), (500, True)):
        bare, carried, claimed = [], [], []
        same = True
        for _ in range(chosen.repeats):
            plain, _, weights = train(chosen.steps, None, sharp)
            full, share, others = train(chosen.steps, every, sharp)
            bare.append(plain)
            carried.append(full)
            claimed.append(share)
            same &= weights == others
        step = statistics.median(bare) / chosen.steps
        looks = -(-chosen.steps // every)
        extra = statistics.median(carried) - statistics.median(bare)
        print(
            f"every {every} steps, {'with' if sharp else 'without'} sharpness: "
            f"{100 * extra / statistics.median(carried):.1f} % of the loop's time "
            f"(its own account: {100 * statistics.median(claimed):.1f} %), a look costs "
            f"{extra / looks / step:.0f} steps; weights {'the same bits' if same else 'DIFFER'}"
        )


if __name__ == "__main__":
    main()
