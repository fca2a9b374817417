"""What stacking is worth where optimizers step: runs in one tensor against runs one by one."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from ravine.engine.grid import run_grid
from ravine.engine.rows import Level
from ravine.engine.solo import solve
from ravine.optimizers import method, trials
from ravine.optimizers.assembly import assemble
from ravine.problems import problem

RUNS, DIM = 400, 10
METHODS = ("sgd", "adam", "rmsprop")


def parameters(runs: int) -> list[torch.Tensor]:
    """Points with a gradient: all runs in one tensor, or each in its own."""
    draws = torch.Generator().manual_seed(0)
    whole, slope = (
        torch.randn(RUNS, DIM, generator=draws, dtype=torch.float64) for _ in ("x", "gradient")
    )
    found = []
    for x, g in zip(whole.chunk(runs), slope.chunk(runs), strict=True):
        x = x.clone().requires_grad_()
        x.grad = g.clone()
        found.append(x)
    return found


@pytest.mark.parametrize("runs", [1, RUNS], ids=["stacked", "one by one"])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.benchmark(group="a step of 400 runs")
def test_step(benchmark: BenchmarkFixture, name: str, runs: int) -> None:
    """A step moves every run, in one tensor or in 400 optimizers."""
    points = parameters(runs)
    before = torch.cat([x.detach().clone() for x in points])
    setting = trials(method(name), 1)[0]
    optimizers = [assemble(setting, [x]) for x in points]

    def step() -> None:
        for optimizer in optimizers:
            optimizer.step()

    benchmark(step)
    assert bool((torch.cat([x.detach() for x in points]) != before).all())


@pytest.mark.benchmark(group="20 steps of 400 runs")
def test_grid(benchmark: BenchmarkFixture) -> None:
    """A grid of 16 rates and 25 seeds holds every run."""
    settings = [(s, Level.ELEMENTWISE) for s in trials(method("adam"), 16)]
    grid = benchmark(run_grid, [problem("rosenbrock")], settings, range(25), 20)
    assert grid.runs[0].final.shape == (16, 25)


@pytest.mark.benchmark(group="20 steps of 400 runs")
def test_loop(benchmark: BenchmarkFixture) -> None:
    """The same runs in the plain loop."""
    target, settings = problem("rosenbrock"), trials(method("adam"), 16)
    runs = benchmark.pedantic(
        lambda: [solve(target, s, seed, 20) for s in settings for seed in range(25)], rounds=1
    )
    assert len(runs) == RUNS
