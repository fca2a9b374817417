"""The figures the README quotes, each a ratio measured within one process.

    python benchmarks/ratios.py catalogue    the whole catalogue against the plain loop
    python benchmarks/ratios.py network      a stacked MNIST network against single ones
    python benchmarks/ratios.py deep         stacked deep networks against single ones
    python benchmarks/ratios.py single       one run of the engine against a bare torch loop

Formulas and single runs use one thread; networks are timed with one and with all cores,
both sides alike.  Seconds depend on the machine and its other work; ratios much less.
"""

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from ravine.engine.grid import run_grid
from ravine.engine.network_grid import run_network_grid
from ravine.engine.pool import default_jobs
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.engine.solo import solve
from ravine.optimizers.base import Setting
from ravine.optimizers.catalogue import method, methods
from ravine.optimizers.space import trials
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.problems.catalogue import problem, problems
from ravine.problems.networks.deep import CORNERS


def formulas() -> list[Analytic]:
    """Every formula of the catalogue with its default arguments."""
    built = [problem(name) for name in problems.tagged("analytic")]
    return [p for p in built if isinstance(p, Analytic)]


def elementwise() -> list[Setting]:
    """Sixteen settings of every method that stacks elementwise."""
    fit = [m for m in map(method, methods) if probe(m) is Level.ELEMENTWISE]
    return [s for m in fit for s in trials(m, 16)]


def catalogue(steps: int, seeds: int, samples: int, block: int) -> None:
    """Run everything stacked, and a random sample of it alone."""
    stack, settings = formulas(), elementwise()
    pairs = [(s, Level.ELEMENTWISE) for s in settings]
    runs = len(stack) * len(settings) * seeds
    draw = random.Random(0)
    sample = [
        (draw.randrange(len(stack)), draw.randrange(len(settings)), draw.randrange(seeds))
        for _ in range(samples)
    ]
    print(f"{len(stack)} problems x {len(settings)} settings x {seeds} seeds = {runs:,} runs")
    stacked = alone = 0.0
    identical = 0
    for at in range(0, len(stack), block):
        part = stack[at : at + block]
        started = time.perf_counter()
        grid = run_grid(part, pairs, range(seeds), steps)
        stacked += time.perf_counter() - started
        # the loop's share is measured between blocks, so both see the same machine
        for p, g, s in sample:
            if at <= p < at + block:
                started = time.perf_counter()
                run = solve(stack[p], settings[g], s, steps)
                alone += time.perf_counter() - started
                identical += run == grid.runs[p - at].at(g, s)
        print(f"  {min(at + block, len(stack))} problems, {stacked:.0f} s", flush=True)
    loop = alone / samples * runs
    print(f"grid: {stacked:.1f} s for {runs:,} runs of {steps} steps")
    print(f"loop: {alone / samples * 1e3:.1f} ms a run in {samples} runs, {loop:,.0f} s for all")
    print(f"ratio: {loop / stacked:.0f}")
    print(f"bit-identical: {identical} of {samples}")


def network(steps: int, repeats: int) -> None:
    """Train 8 settings x 4 seeds of `mnist_mlp` stacked and one by one."""
    net: Problem = problem("mnist_mlp")
    settings = trials(method("adam"), 16)[3:11]
    pairs = [(s, Level.ELEMENTWISE) for s in settings]
    seeds = range(4)
    weights = sum(n * m for n, m in (s for s in net.shapes.values() if len(s) == 2))
    # a product forward and two backward, less the one for the images
    work = 128 * 2 * (3 * weights - 784 * 128) * 32 * (steps - 1)
    run_network_grid(net, pairs, seeds, 1)
    for threads in sorted({1, default_jobs()}):
        torch.set_num_threads(threads)
        peak = _peak()
        ratios, rates = [], []
        for _ in range(repeats):
            started = time.perf_counter()
            run_network_grid(net, pairs, seeds, steps)
            long = time.perf_counter() - started
            started = time.perf_counter()
            run_network_grid(net, pairs, seeds, 1)
            stacked = long - (time.perf_counter() - started)  # less the set-up and the test
            started = time.perf_counter()
            for setting in settings:
                for seed in seeds:
                    solve(net, setting, seed, steps, torch.float32)
            alone = (time.perf_counter() - started) * (steps - 1) / steps
            ratios.append(alone / stacked)
            rates.append(work / stacked / 1e9)
        rate = statistics.median(rates)
        print(
            f"{threads} thread{'s' * (threads > 1)}: one by one / stacked: median "
            f"{statistics.median(ratios):.2f} of {repeats} ({min(ratios):.2f} to "
            f"{max(ratios):.2f}); {rate:.0f} of {peak:.0f} GFLOP/s ({100 * rate / peak:.0f} %)"
        )


def _peak() -> float:
    """GFLOP/s of a large single-precision matrix product."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    torch.mm(a, b)
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(a, b)
        rates.append(2 * 1024**3 / (time.perf_counter() - started) / 1e9)
    return max(rates)


class Deep(nn.Module):
    """`deep_mlp` of 20 layers as one writes it with torch's own layers."""

    def __init__(self, norm: str, skip: bool, depth: int = 20, width: int = 64) -> None:
        super().__init__()

        def block(outputs: int, last: bool = False) -> nn.Sequential:
            bias = last or norm == "none"
            layers: list[nn.Module] = [nn.ReLU(), nn.Linear(width, outputs, bias=bias)]
            if norm == "batch":
                layers.insert(0, nn.BatchNorm1d(width, track_running_stats=False))
            return nn.Sequential(*layers)

        self.first = nn.Linear(784, width, bias=norm == "none")
        self.blocks = nn.ModuleList(block(width) for _ in range(depth - 2))
        self.last = block(10, last=True)
        self.scale = 1 / math.sqrt(depth - 2) if skip else 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = torch.add(x, block(x), alpha=self.scale) if self.scale else block(x)
        return self.last(x)


def deep(steps: int, repeats: int) -> None:
    """Train 4 settings x 4 seeds of each corner of depth 20 stacked and one by one, twice."""
    settings = [Setting(method("adamw"), (("lr", lr),)) for lr in (1e-4, 3e-4, 1e-3, 3e-3)]
    runs = [(setting, seed) for setting in settings for seed in range(4)]
    for threads in sorted({1, default_jobs()}):
        torch.set_num_threads(threads)
        for corner, (norm, skip, _) in CORNERS.items():
            net = problem(f"deep_{corner}_20")
            ours, plain = [], []
            for _ in range(repeats):
                stacked = _stacked(net, settings, 4, steps)
                modules = sum(
                    _trained(Deep(norm, skip), net, dict(setting.values)["lr"], seed, steps)
                    for setting, seed in runs
                )
                solo = -_seconds(lambda net=net: [solve(net, *r, 1, torch.float32) for r in runs])
                solo += _seconds(
                    lambda net=net: [solve(net, *r, steps, torch.float32) for r in runs]
                )
                ours.append(solo / stacked)
                plain.append(modules / stacked)
            print(
                f"{corner}, {threads} thread{'s' * (threads > 1)}: one by one / stacked: "
                f"{_spread(plain)} as nn.Module, {_spread(ours)} by engine.solo",
                flush=True,
            )


def _stacked(net: Problem, settings: list[Setting], seeds: int, steps: int) -> float:
    """Seconds of all steps but the first, without set-up and test."""
    ticks = []
    pairs = [(s, Level.ELEMENTWISE) for s in settings]
    run_network_grid(
        net, pairs, range(seeds), steps, tick=lambda _: ticks.append(time.perf_counter())
    )
    return ticks[-1] - ticks[0]


def _trained(module: nn.Module, net: Problem, rate: float, seed: int, steps: int) -> float:
    """Seconds of all steps but the first of the loop that everyone writes."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate)
    losses, started = [], 0.0
    for step in range(steps):
        data = net.batch([seed], step)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(module(data["inputs"][0]), data["targets"][0])
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        started = started or time.perf_counter()
    return time.perf_counter() - started


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _spread(ratios: list[float]) -> str:
    return (
        f"median {statistics.median(ratios):.2f} of {len(ratios)} ({min(ratios):.2f} to "
        f"{max(ratios):.2f})"
    )


def single(steps: int, repeats: int) -> None:
    """Time one run of the engine beside the loop that everyone writes, in turns."""
    for name, rate in (("rosenbrock", 1e-3), ("mnist_mlp", 1e-3)):
        one = problem(name)
        dtype = torch.float64 if isinstance(one, Analytic) else torch.float32
        count = steps if isinstance(one, Analytic) else 100
        setting = Setting(method("adam"), (("lr", rate),))
        solve(one, setting, 0, 10, dtype)
        ratios = []
        for _ in range(repeats):
            started = time.perf_counter()
            _bare(one, rate, count, dtype)
            bare = time.perf_counter() - started
            started = time.perf_counter()
            solve(one, setting, 0, count, dtype)
            ratios.append((time.perf_counter() - started) / bare)
        print(
            f"{name}: {count} steps of adam, engine / bare loop: median "
            f"{statistics.median(ratios):.3f} of {repeats} pairs "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )


def _bare(one: Problem, rate: float, steps: int, dtype: torch.dtype) -> None:
    point = {k: v.to(dtype).clone().requires_grad_() for k, v in one.start(0).items()}
    optimizer = torch.optim.Adam(point.values(), lr=rate)
    stochastic = one.traits.stochastic
    data = {k: v[0] for k, v in one.instance([0]).items()}
    losses = []
    for step in range(steps):
        if stochastic:
            data = {k: v[0] for k, v in one.batch([0], step).items()}
        optimizer.zero_grad()
        loss = one.loss(point, data)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("figure", choices=["catalogue", "network", "deep", "single"])
    parser.add_argument("--steps", type=int, help="optimizer steps of each run")
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--samples", type=int, default=120, help="runs repeated alone")
    parser.add_argument("--block", type=int, default=200, help="problems stacked together")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.figure == "catalogue":
        catalogue(asked.steps or 1000, asked.seeds, asked.samples, asked.block)
    elif asked.figure == "network":
        network(asked.steps or 40, asked.repeats)
    elif asked.figure == "deep":
        deep(asked.steps or 20, asked.repeats)
    else:
        single(asked.steps or 2000, asked.repeats)


if __name__ == "__main__":
    main()
