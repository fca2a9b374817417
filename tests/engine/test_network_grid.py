"""Stacked networks follow the networks trained alone."""

import pytest
import torch

from ravine import method, problem
from ravine.engine.audit import close
from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe
from ravine.engine.solo import solve
from ravine.engine.task import Choice, Task, run
from ravine.optimizers.base import Setting
from ravine.records.schema import NEVER

NET = "mnist_mlp(widths=(16,), batch=64)"


@pytest.mark.parametrize(
    ("name", "rate"), [("sgd", 0.1), ("adam", 1e-3), ("adafactor", 1e-2), ("rprop", 1e-3)]
)
def test_a_stacked_network_is_the_one_trained_alone(name: str, rate: float) -> None:
    """Losses agree within the stated tolerance over the first steps, in single precision."""
    net = problem(NET)
    shapes = tuple(net.shapes.values())
    pairs = [
        (Setting(method(name), (("lr", lr),)), probe(method(name), shapes))
        for lr in (rate, rate / 10)
    ]
    grid, measured = run_network_grid(net, pairs, (0, 5), 20)
    for g, (setting, _) in enumerate(pairs):
        alone = solve(net, setting, 5, 20, torch.float32)
        stacked = grid.runs[0].at(g, 1)
        assert close(stacked, alone)
        assert alone.start == pytest.approx(stacked.start, rel=1e-5)
    assert measured["accuracy"].shape == (2, 2)


def test_double_precision_agrees_to_rounding() -> None:
    """In float64 the whole run agrees to 1e-9: what differs is rounding, nothing else."""
    net = problem(NET)
    setting = Setting(method("heavy_ball"), (("lr", 0.05),))
    level = probe(method("heavy_ball"), tuple(net.shapes.values()))
    grid, _ = run_network_grid(net, [(setting, level)], (3,), 30, torch.float64)
    alone = solve(net, setting, 3, 30, torch.float64)
    assert grid.runs[0].at(0, 0).final == pytest.approx(alone.final, rel=1e-9)


def test_a_network_learns_and_is_tested() -> None:
    """A short training lowers the smoothed loss, and accuracy is that of a trained network."""
    task = Task((NET,), (Choice("adam(lr=0.003)"),), (0, 1), 150, "float32", audit=2)
    frame, found, remarks = run(task)
    assert remarks == []
    assert found.audited == found.agreed > 0
    assert (frame["final"] < 0.5 * frame["start"]).all()
    assert (frame["accuracy"] > 0.8).all()
    assert frame["test_loss"].is_not_null().all()


def test_a_diverged_network_is_a_result() -> None:
    """A rate that is far too large ends as divergence, with its neighbours unharmed."""
    choices = (Choice("sgd(lr=1000000.0)"), Choice("sgd(lr=0.05)"))
    frame, _, _ = run(Task((NET,), choices, (0,), 60, "float32", audit=1))
    assert frame["outcome"].to_list()[0] == "diverged"
    assert frame["final"][0] == float("inf")
    assert frame["accuracy"][0] is None
    assert frame["test_loss"][0] is None
    assert frame["accuracy"][1] > 0.1
    assert frame["final"][1] < frame["start"][1]


def test_a_method_with_a_closure_trains_a_network_alone() -> None:
    """L-BFGS runs in the plain loop and is tested like the others."""
    frame, _, _ = run(Task((NET,), (Choice("lbfgs(lr=0.1)"),), (0,), 10, "float32", audit=1))
    assert frame["level"].to_list() == ["alone"]
    assert frame["accuracy"][0] > 0.1
    assert frame["outcome"][0] != "failed"


def test_muon_trains_matrices() -> None:
    """Muon, which takes matrices only, learns the softmax without biases."""
    task = Task(
        ("mnist_softmax(bias=False)",), (Choice("muon(lr=0.01)"),), (0, 1), 60, "float32", audit=1
    )
    frame, _, _ = run(task)
    assert (frame["accuracy"] > 0.7).all()
    assert set(frame["level"]) <= {"tensorwise", "global"}


def test_targets_are_hit_by_the_smoothed_loss() -> None:
    """The first hit of the first stored target lies where the smoothed loss crosses it."""
    net = problem("mnist_softmax")
    setting = Setting(method("adamw"), (("lr", 0.00184785),))
    run_alone = solve(net, setting, 0, 80, torch.float32)
    first = run_alone.hits[0]
    assert NEVER < first < 80
    losses = {step: loss for step, loss, _ in run_alone.trace}
    target = net.facts.targets[0]
    assert all(loss > target for step, loss in losses.items() if step < first)
