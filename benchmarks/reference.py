"""Measure the targets of networks: what a tuned reference reaches within the budget.

    python benchmarks/reference.py mnist_mlp mnist_softmax

AdamW's learning rate is chosen among 16 on two seeds by the smoothed training loss at the
end; the chosen one is rerun from 20 other seeds, and the median of their smoothed losses
after an eighth, a quarter, a half and all of the budget are the targets.  The numbers go
into `REFERENCE_TARGETS` by hand, so that they change only when somebody means it.
"""

import argparse

import numpy as np
import torch

from ravine.engine.network_grid import run_network_grid
from ravine.engine.rows import Level
from ravine.optimizers import method, trials
from ravine.problems import problem

TUNING, RERUNS = range(30_000, 30_002), range(20_000, 20_020)
PARTS = (8, 4, 2, 1)


def measure(name: str) -> None:
    """Print the targets of one network."""
    network = problem(name)
    budget = network.traits.budget
    settings = trials(method("adamw"), 16)
    pairs = [(s, Level.ELEMENTWISE) for s in settings]
    tuned, _ = run_network_grid(network, pairs, TUNING, budget)
    best = int(np.median(tuned.runs[0].final, axis=1).argmin())
    print(f"{name}: {settings[best].name} of {len(settings)}, budget {budget}")
    targets = []
    for part in PARTS:
        grid, tested = run_network_grid(network, [pairs[best]], RERUNS, budget // part)
        targets.append(float(np.median(grid.runs[0].final)))
        said = "".join(f", {k} {float(v.median()):.4f}" for k, v in tested.items())
        print(f"  after {budget // part} steps: {targets[-1]:.4f}{said}", flush=True)
    print(f'    "{name}": ({", ".join(f"{t:.3g}" for t in targets)}),')


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the targets of networks.")
    parser.add_argument("networks", nargs="+")
    torch.set_num_threads(1)
    for asked in parser.parse_args().networks:
        measure(asked)
