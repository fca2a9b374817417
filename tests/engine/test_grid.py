"""The stacked grid gives the very bits of the plain loop."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from ravine import method, problem, trials
from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.engine.solo import solve
from ravine.index import catalogue
from ravine.optimizers.base import Setting
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import problems
from ravine.records.schema import NEVER

FORMULAS = [name for name in problems if "analytic" in problems[name].tags]
STACKS = {
    item.name: item.found["stacks"]
    for item in catalogue("methods")
    if not {"unsupported"} & set(item.found) and "a matrix" not in item.found["needs"]
}
"""How far the runs of methods share a tensor, as the index has it: nothing is tried here."""

OWN = {item.name for item in catalogue("methods") if not item.needs}
STACKABLE = [name for name in sorted(OWN & set(STACKS)) if STACKS[name] != "alone"]
ZOO = [name for name in sorted(set(STACKS) - OWN) if STACKS[name] == "elementwise"]


def formula(name: str) -> Analytic:
    """Build a formula from the catalogue."""
    built = problem(name)
    assert isinstance(built, Analytic)
    return built


def levelled(setting: Setting) -> tuple[Setting, Level]:
    """Pair a setting with the level its method was found to stack at."""
    return setting, probe(setting.method)


@given(
    names=st.lists(st.sampled_from(FORMULAS), min_size=1, max_size=4, unique=True),
    chosen=st.lists(st.sampled_from(STACKABLE), min_size=1, max_size=3, unique=True),
    rate=st.integers(0, 15),
    seeds=st.lists(st.integers(0, 10_000), min_size=1, max_size=4, unique=True),
    steps=st.integers(1, 60),
)
@example(names=["michalewicz"], chosen=["adafactor"], rate=14, seeds=[0], steps=1)  # hits its box
def test_any_run_of_any_grid_is_the_run_of_the_plain_loop(
    names: list[str], chosen: list[str], rate: int, seeds: list[int], steps: int
) -> None:
    """Whatever is stacked together, each run equals the same run alone, bit for bit."""
    stack = [formula(name) for name in names]
    pairs = [levelled(trials(method(name), 16)[rate]) for name in chosen]
    grid = run_grid(stack, pairs, seeds, steps)
    assert not grid.failures
    for p, one in enumerate(stack):
        for g, (setting, _) in enumerate(pairs):
            assert grid.runs[p].at(g, 0) == solve(one, setting, seeds[0], steps)
            assert grid.runs[p].at(g, len(seeds) - 1) == solve(one, setting, seeds[-1], steps)


@pytest.mark.parametrize("name", FORMULAS)
def test_every_formula_stacks_bit_for_bit(name: str) -> None:
    """Every formula of the catalogue gives the same bits stacked and alone."""
    one = formula(name)
    pairs = [levelled(s) for m in ("sgd", "adam") for s in trials(method(m), 16)[9:10]]
    seeds = (0, 1, 2)
    grid = run_grid([one, formula("sphere")], pairs, seeds, 40)
    for g, (setting, _) in enumerate(pairs):
        assert grid.runs[0].at(g, 1) == solve(one, setting, 1, 40)


@pytest.mark.parametrize(
    "name", [*STACKABLE, *(pytest.param(name, marks=pytest.mark.slow) for name in ZOO)]
)
def test_every_method_stacks_bit_for_bit(name: str) -> None:
    """Every method that the probe lets stack gives the same bits stacked and alone."""
    stack = [formula(n) for n in ("sphere(dim=3)", "rosenbrock", "gaussian_noise")]
    pairs = [levelled(s) for s in trials(method(name), 16)[4::8]]
    grid = run_grid(stack, pairs, (7, 11), 60)
    for p, one in enumerate(stack):
        for g, (setting, _) in enumerate(pairs):
            assert grid.runs[p].at(g, 1) == solve(one, setting, 11, 60)


def test_single_precision_stacks_bit_for_bit() -> None:
    """Runs in float32 too are the same stacked and alone."""
    stack = [formula("rosenbrock"), formula("himmelblau")]
    pairs = [levelled(s) for s in trials(method("adam"), 8)]
    grid = run_grid(stack, pairs, (0, 1), 100, torch.float32)
    for p, one in enumerate(stack):
        for g, (setting, _) in enumerate(pairs):
            assert grid.runs[p].at(g, 0) == solve(one, setting, 0, 100, torch.float32)


@pytest.mark.parametrize("name", ["rosenbrock", "himmelblau", "sphere(dim=10)"])
def test_the_plain_loop_is_what_everyone_writes(name: str) -> None:
    """`solve` ends at the bits of a bare torch loop, and its hits are those of its losses."""
    one = formula(name)
    setting = Setting(method("adam"), (("lr", 0.05),))
    x = one.start(3)["x"].clone().requires_grad_()
    instance = {name: value[0] for name, value in one.instance([3]).items()}
    optimizer = torch.optim.Adam([x], lr=0.05)
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = one.loss({"x": x}, instance)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    losses.append(one.loss({"x": x}, instance).item())
    run = solve(one, setting, 3, 300)
    assert run.point == tuple(x.tolist())
    assert (run.start, run.best, run.final) == (losses[0], min(losses), losses[-1])
    minimum = one.facts.minimum
    assert minimum is not None
    for target, hit in zip(one.facts.targets, run.hits, strict=True):
        aim = minimum + target * (losses[0] - minimum)
        first = next((k for k, value in enumerate(losses) if value <= aim), NEVER)
        assert hit == first


def test_a_diverged_run_is_frozen_and_leaves_its_neighbours_alone() -> None:
    """A run that leaves all bounds stops where it did so; the others go on as if alone."""
    stack = [formula("sphere"), formula("rosenbrock")]
    wild, calm = Setting(method("sgd"), (("lr", 3.0),)), Setting(method("sgd"), (("lr", 1e-3),))
    grid = run_grid(stack, [levelled(wild), levelled(calm)], (0, 1), 400)
    for p, one in enumerate(stack):
        run = grid.runs[p].at(0, 1)
        assert run.frozen != NEVER
        assert run.final == float("inf")
        assert all(step < run.frozen for step, _, _ in run.trace)
        assert run == solve(one, wild, 1, 400)
        assert grid.runs[p].at(1, 1) == solve(one, calm, 1, 400)


def test_an_error_in_one_row_is_told_and_spares_the_others() -> None:
    """An optimizer that raises is reported by position; other rows are not touched."""

    class Fragile(torch.optim.SGD):
        def step(self, closure=None):  # type: ignore[no-untyped-def, override]
            if len(self.state) == 0 and self.param_groups[0].setdefault("count", 0) >= 5:
                raise RuntimeError("worn out")
            self.param_groups[0]["count"] += 1
            return super().step(closure)

    from ravine.optimizers.base import Method

    fragile = Setting(Method("fragile", Fragile), (("lr", 0.1),))
    steady = Setting(method("sgd"), (("lr", 0.1),))
    one = formula("sphere")
    grid = run_grid([one], [(fragile, Level.ELEMENTWISE), levelled(steady)], (0,), 20)
    assert grid.failures == {0: "RuntimeError: worn out"}
    assert grid.runs[0].at(1, 0) == solve(one, steady, 0, 20)
    assert solve(one, fragile, 0, 20).failure == "RuntimeError: worn out"
