"""What the experiments on Deep Learning, 8.2, compute by themselves, against other ways."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from ravine.engine.walk import walk
from ravine.experiments.deep_learning_book import cliffs, inexact, limits, minima, saddles
from ravine.experiments.deep_learning_book.newton import newton
from ravine.experiments.deep_learning_book.structure import TOP, floor, horseshoe, mountain
from ravine.experiments.deep_learning_book.training import quarters, smoothed, train
from ravine.experiments.running import only
from ravine.landscape.monitor import watch
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient
from ravine.problems.catalogue import analytic, problem
from ravine.problems.networks.network import Network
from ravine.problems.regression import LinearRegression


def test_stacked_training_is_what_the_monitor_sees() -> None:
    """Losses, g'g, g'Hg and the change by a step are those of each run watched alone."""
    net = problem("mnist_mlp(widths=4, batch=8)")
    assert isinstance(net, Network)
    found = train(net, [0, 3], 0.1, 5, 5, small=0.1, examples=20)
    for row, seed in enumerate((0, 3)):
        alone = watch(net, only("sgd(lr=0.1)"), seed, 5, every=1, sharp=False)
        looks = [look.gradient for look in alone.looks]
        assert found.losses[row] == pytest.approx(alone.losses, rel=1e-5)
        assert found.norms[row] ** 2 == pytest.approx([d.gg for d in looks], rel=1e-4)
        assert found.ghg[row] == pytest.approx([d.ghg for d in looks], rel=1e-3)
        assert found.actual[row] == pytest.approx([d.actual for d in looks], rel=1e-2)
    assert found.full.shape == (2, 5)
    assert found.at.tolist() == [0, 1, 2, 3, 4]


def test_running_means_and_quarters() -> None:
    """Windows lie inside, and quarters are the first and the last."""
    values = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]])
    assert smoothed(values, 4).tolist() == [[2.5, 3.5, 4.5, 5.5, 6.5]]
    assert quarters(values).tolist() == [[1.5], [7.5]]


@pytest.mark.parametrize("name", ["newton", "saddle_free_newton"])
def test_stacked_newton_is_the_optimizer(name: str) -> None:
    """Three whole steps from three starts are those of the catalogue's method."""
    hills = analytic("himmelblau")
    starts = torch.tensor([[1.0, 2.0], [-4.0, 0.5], [0.3, -2.5]], dtype=torch.float64)
    found = newton(surface(hills), starts, 3, saddle_free=name != "newton")
    for start, end in zip(starts, found, strict=True):
        way = walk(hills, only(f"{name}(lr=1.0)"), 0, 3, start={"x": start})
        assert way.end.tolist() == pytest.approx(end.tolist(), rel=1e-9)


def test_mountain_has_its_top_where_it_says() -> None:
    """The slope is (1 - tanh^2)(1/2 - 2 tanh), which is 0 at the top alone."""
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None]
    t = torch.tanh(x)
    assert torch.allclose(gradient(surface(mountain()), x), (1 - t**2) * (0.5 - 2 * t))
    assert math.tanh(TOP) == pytest.approx(0.25)


def test_horseshoe_has_the_floor_that_it_says() -> None:
    """On the unit circle; it is highest where cos p + 0.7 cos 2p = 0, at 64 degrees."""
    angle = torch.linspace(-math.pi, math.pi, 3601, dtype=torch.float64)
    circle = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
    assert torch.allclose(horseshoe().f(circle), floor(angle))
    top = math.acos((math.sqrt(1 + 4 * 1.4 * 0.7) - 1) / 2.8)
    assert float(angle[floor(angle).argmax()]) == pytest.approx(top, abs=2e-3)
    assert math.degrees(top) == pytest.approx(64.2, abs=0.1)


def test_conjugate_gradients_meet_the_closed_form() -> None:
    """On the worst quadratic the best of k steps leaves L/8 (1/(k+1) - 1/(n+1))."""
    worst = analytic("nesterov_worst_case(dim=9, smoothness=2.0)")
    points = limits.conjugate_gradients(worst, 4)
    gaps = worst.f(points) - (worst.facts.minimum or 0.0)
    assert gaps.tolist() == pytest.approx([0.25 * (1 / (k + 1) - 1 / 10) for k in range(5)])


def test_every_search_finds_what_chance_would() -> None:
    """The mean of the least of m independent uniform values, for each rule."""
    every = list(product(range(limits.VALUES), repeat=limits.POINTS))
    for rule in limits.RULES.values():
        for m, total in enumerate(limits._best(rule, every), 1):
            expected = sum((1 - j / limits.VALUES) ** m for j in range(1, limits.VALUES))
            assert total / len(every) == pytest.approx(expected)


def test_minibatches_scatter_as_their_covariance_says() -> None:
    """The trace of one row's covariance over |B|; 2,000 draws scatter by a few per cent."""
    single = problem("tabular_regression(batch=1)")
    assert isinstance(single, LinearRegression)
    trace = float(torch.trace(single.gradient_covariance(single.start(2))))
    found = inexact._spreads(2, 2000) * np.array(inexact.SIZES)
    assert found == pytest.approx([trace] * len(inexact.SIZES), rel=0.25)


def test_predicted_losses_are_the_catalogue_s() -> None:
    """The eleven losses of the linear autoencoder, and an index of 0 for the lowest alone."""
    facts = analytic("linear_autoencoder").facts.critical_points
    table = saddles._predicted()
    assert sorted(table) == pytest.approx(sorted(p.value for p in facts))
    assert [level for level, index in table.items() if index == 0] == [min(table)]


def test_a_dip_is_measured_against_both_sides() -> None:
    """A fall without a rise is none."""
    assert saddles._dip(np.array([4.0, 2.0, 1.0])) == 1.0
    assert saddles._dip(np.array([4.0, 1.0, 2.0])) == 0.5


def test_leaving_a_saddle_takes_a_logarithm() -> None:
    """Beside the saddle y grows by 1 + rate a step."""
    apart = saddles._leave(1e-7) - saddles._leave(1e-5)
    assert apart == pytest.approx(2 * math.log(10) / math.log(1.1), abs=1.0)


def test_matrix_powers_grow_by_the_eigenvalue() -> None:
    """The part along its eigenvector, step by step."""
    assert cliffs._growth(1.1, np.arange(1, 6)) == pytest.approx(1.1 ** np.arange(1, 6))


def test_perceptron_stops_when_all_are_right() -> None:
    """From a start that answers all rightly it makes no update, from others finitely many."""
    right, wrong = torch.tensor([1.0, 0.0]).double(), torch.tensor([-3.0, 2.0]).double()
    assert minima._perceptron(right) == 0
    assert 0 < minima._perceptron(wrong) < 10_000
    assert minima._mistakes(torch.stack([right, wrong])).tolist() == [0, 2]
