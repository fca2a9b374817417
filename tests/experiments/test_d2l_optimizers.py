"""The measures behind the experiments on optimizers, against closed forms and plain loops."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import StepLR

from ravine.engine.walk import walk
from ravine.experiments.d2l import batches, momentum
from ravine.experiments.d2l.moments import corrected_rmsprop
from ravine.experiments.d2l.training import (
    EPOCH,
    by_torch,
    ending,
    gap,
    noting,
    ratios,
    rises,
    slide,
    steps_to,
    summary,
    threshold,
    train,
    turning,
)
from ravine.experiments.running import only
from ravine.optimizers.textbook import adagrad, adam, gradient_descent
from ravine.problems.catalogue import analytic, problem
from ravine.problems.regression import ROWS, table, tabular_regression


def test_training_is_the_plain_loop() -> None:
    """Every seed of a stack goes where torch's optimizer goes alone, by autograd."""
    rules = {"a": partial(gradient_descent, lr=0.05), "b": partial(gradient_descent, lr=0.1)}
    ways = train(rules, [3, 8], 12)
    for k, seed in enumerate((3, 8)):
        run = walk(problem("tabular_regression"), only("sgd(lr=0.1)"), seed, 12, keep=range(13))
        np.testing.assert_allclose(ways["b"][k], run.points.numpy(), rtol=0, atol=1e-12)


def test_all_rows_give_the_exact_gradient() -> None:
    """The short cut through the Hessian is the mean over all rows."""
    way = train({"": partial(gradient_descent, lr=0.3)}, [1], 1, ROWS)[""][0]
    design = np.column_stack([table().inputs.numpy(), np.ones(ROWS)])
    gradient = design.T @ (design @ way[0] - table().targets.numpy()) / ROWS
    np.testing.assert_allclose(way[1], way[0] - 0.3 * gradient, rtol=0, atol=1e-13)


def test_gap_is_the_loss_above_its_minimum() -> None:
    """It is the problem's own value less its minimum, and infinite where a run blew up."""
    way = train({"": partial(gradient_descent, lr=0.1)}, [0, 1], 3)[""]
    point = {"weight": torch.from_numpy(way[..., :5]), "bias": torch.from_numpy(way[..., 5:])}
    subject = tabular_regression()
    assert subject.facts.minimum is not None
    np.testing.assert_allclose(
        gap(way), subject.value(point, {}).numpy() - subject.facts.minimum, rtol=1e-9
    )
    way[1, 2, 0] = np.nan
    assert gap(way)[1, 2] == np.inf


def test_descent_on_a_bowl_has_a_closed_form() -> None:
    """Along each coordinate every step multiplies by 1 - lr times the curvature."""
    way = slide(analytic("narrow_bowl"), partial(gradient_descent, lr=0.4), 20)
    powers = (1 - 0.4 * np.array([0.2, 4.0])) ** np.arange(21)[:, None]
    np.testing.assert_allclose(way, np.array([-5.0, -2.0]) * powers, rtol=1e-12)


def test_noise_is_added_to_the_gradient() -> None:
    """A step along the noise alone, at a gradient of 0.8."""
    noise = np.array([[0.2, -1.0]])
    way = slide(analytic("wide_bowl"), partial(gradient_descent, lr=0.1), 1, noise)
    np.testing.assert_allclose(way[1], [-5 + 0.1 * (10 - 0.2), -2 + 0.1 * (8 + 1.0)])


def test_torch_as_a_rule_keeps_its_state_and_schedule() -> None:
    """Its rate falls as the scheduler says, for it is stepped once each step."""
    rule = by_torch("SGD", partial(StepLR, step_size=2, gamma=0.1), lr=1.0)
    x, state, way = np.zeros(1), None, []
    for _ in range(4):
        x, state = rule(x, state, -np.ones(1))
        way.append(x[0])
    np.testing.assert_allclose(way, [1.0, 2.0, 2.1, 2.2])


def test_falling_rate_is_that_of_the_step() -> None:
    """The last step of an epoch has the old rate, the next one a tenth of it."""
    rule = momentum.falling(gradient_descent, 1.0)
    x, state, way = np.zeros(1), None, [0.0]
    for _ in range(EPOCH + 1):
        x, state = rule(x, state, -np.ones(1))
        way.append(float(x[0]))
    assert np.diff(way)[-2:] == pytest.approx([1.0, 0.1])


def test_turning_sums_the_angles() -> None:
    """A square's path turns thrice by a right angle, a line not at all, a way back by pi."""
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    line = np.array([[0.0, 0], [1, 1], [3, 3], [4, 4], [9, 9]])
    back = np.array([[0.0, 0], [1, 0], [0, 0], [0, 0], [0, 0]])
    found = turning(np.stack([square, line, back]))
    np.testing.assert_allclose(found, [1.5 * np.pi, 0, np.pi], atol=1e-12)


def test_turning_keeps_small_angles() -> None:
    """An angle of 1e-9 is lost in its cosine and not here."""
    assert turning(np.array([[0.0, 0], [1, 0], [2, 1e-9]])).item() == pytest.approx(1e-9)


def test_threshold_finds_the_border() -> None:
    """Where |1 - 3 lr| = 1, which is 2 / 3."""
    assert threshold(lambda lr: np.abs(1 - 3 * lr) ** np.arange(60.0), 0.1, 1.0) == pytest.approx(
        2 / 3, abs=1e-8
    )


def test_measures_of_runs() -> None:
    """Steps, ends and rises of two short runs, counted by hand; a blown-up run is infinite."""
    values = np.array([[10.0, 2.0, 0.5, 1.5, 1.0], [10.0, 20.0, np.inf, np.inf, np.inf]])
    assert steps_to(values, 0.1) == [2.0, np.inf]
    assert rises(values, 3) == [1.0, np.inf]
    assert ending(values, 2) == [1.25, np.inf]
    assert ratios([1.0, 3.0], [2.0, np.inf]) == [0.5, 0.0]


def test_summary_says_never() -> None:
    """A share that no seed reached is no number."""
    long = np.full((5, 200), 1.0)
    assert summary("Runs", {"still": long}).rows[0][1:] == ("never", "never", "1", "0")


def test_states_are_noted_in_order() -> None:
    """AdaGrad's sums, after each step."""
    states: list[object] = []
    rule = noting(partial(adagrad, lr=0.1), states)
    x, state = np.zeros(2), None
    for _ in range(3):
        x, state = rule(x, state, np.array([1.0, 2.0]))
    assert [s.s.tolist() for s in states] == [[1, 4], [2, 8], [3, 12]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("gamma", [0.5, 0.9])
def test_response_of_momentum_is_geometric(gamma: float) -> None:
    """A pulse fades by gamma each step; a constant push becomes its sum."""
    pulse = momentum._response(gamma, np.eye(1, 30)[0])
    np.testing.assert_allclose(pulse, gamma ** np.arange(30), atol=1e-12)
    push = momentum._response(gamma, np.ones(30))
    np.testing.assert_allclose(push, np.cumsum(gamma ** np.arange(30)), atol=1e-12)


def test_corrected_rmsprop_divides_by_what_is_missing() -> None:
    """Its running weight gives s_t / (1 - gamma^t), and so Adam's steps without momentum."""
    gradients = np.random.default_rng(0).standard_normal((40, 3))
    rule = corrected_rmsprop(0.1, 0.99, 1e-6)
    x, state = np.zeros(3), None
    y, other = np.zeros(3), None
    s = np.zeros(3)
    for t, g in enumerate(gradients, 1):
        before = x
        x, state = rule(x, state, g)
        y, other = adam(y, other, g, 0.1, 0.0, 0.99)
        s = 0.99 * s + 0.01 * g**2
        step = 0.1 * g / (np.sqrt(s / (1 - 0.99**t)) + 1e-6)
        np.testing.assert_allclose(before - x, step, rtol=1e-9)
        np.testing.assert_allclose(x, y, atol=1e-12)


def test_drawn_variances_are_the_exact_ones() -> None:
    """The trace of the covariance without replacement, which the problem has in closed form."""
    sizes = (1, 20, 750)
    single, *drawn = batches._variances(2, sizes, 800)
    start = tabular_regression(1).start(2)
    exact = [float(tabular_regression(b).gradient_covariance(start).trace()) for b in sizes]
    assert single == pytest.approx(exact[0], rel=1e-9)
    assert drawn == pytest.approx(exact, rel=0.15)


def test_arithmetic_of_a_step_is_that_of_its_products() -> None:
    """2 |B| n operations forwards; backwards as many, for the gradient by the weights."""
    assert batches.cost(30, 0.1).operations == 2 * (2 * 30 * 5)
