"""Linear regression in minibatches: data, closed forms, and the statistics of its gradients."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.base import NOISY_GAPS, Data, Goal, Point
from ravine.problems.catalogue import problem
from ravine.problems.draws import generator
from ravine.problems.regression import LinearRegression, table, tabular_regression

EVERY_ROW: Data = {"inputs": table().inputs, "targets": table().targets}
LATER = {
    "weight": torch.tensor([0.5, -0.2, 0.1, 0.9, 0.0]).double(),
    "bias": torch.ones(1).double(),
}


def gradient(p: LinearRegression, point: Point, data: Data) -> Float[Tensor, "*stack 6"]:
    """By weight and bias together."""
    leaves = {name: x.detach().clone().requires_grad_() for name, x in point.items()}
    loss = p.loss(leaves, data)
    return torch.cat(torch.autograd.grad(loss.sum(), list(leaves.values())), -1)


def points(*stack: int) -> Point:
    """Anywhere."""
    random = generator("regression-test", *stack)
    return {
        name: torch.from_numpy(random.standard_normal((*stack, *shape)))
        for name, shape in tabular_regression().shapes.items()
    }


def test_the_table_is_standardised_and_correlated() -> None:
    """1,500 rows of five features of mean 0 and variance 1, some of them correlated."""
    inputs = table().inputs
    assert inputs.shape == (1500, 5)
    torch.testing.assert_close(inputs.mean(0), torch.zeros(5).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(inputs.var(0, correction=0), torch.ones(5).double())
    correlation = torch.corrcoef(inputs.T) - torch.eye(5)
    assert 0.5 < correlation.abs().max() < 0.95
    share = 2 * table().minimum / table().targets.var(correction=0)
    assert 0.1 < share < 0.5  # of the targets' variance is noise


def test_facts_are_those_of_the_least_squares_problem() -> None:
    """Minimizer and eigenvalues are those that numpy and autograd find from the rows."""
    p = tabular_regression()
    facts = p.facts
    design = np.column_stack([table().inputs.numpy(), np.ones(1500)])
    targets = table().targets.numpy()
    best = np.linalg.solve(design.T @ design, design.T @ targets)
    np.testing.assert_allclose(facts.minimizers[0], best, rtol=1e-10)
    assert facts.minimum == pytest.approx(np.square(design @ best - targets).mean() / 2, rel=1e-12)

    def loss(x: Tensor) -> Tensor:
        return replace(p, batch_size=1500).loss({"weight": x[:5], "bias": x[5:]}, EVERY_ROW)

    hessian = torch.func.jacrev(torch.func.jacrev(loss))(torch.from_numpy(best))
    values = torch.linalg.eigvalsh(hessian)
    np.testing.assert_allclose(facts.eigenvalues, values, rtol=1e-10)
    assert facts.condition == pytest.approx((values[-1] / values[0]).item(), rel=1e-10)
    assert (facts.strong_convexity, facts.smoothness) == (
        facts.eigenvalues[0],
        facts.eigenvalues[-1],
    )
    assert facts.goal is Goal.MINIMUM
    assert facts.targets == NOISY_GAPS
    assert p.traits.stochastic
    assert p.traits.noisy_value


def test_value_is_the_loss_over_all_rows() -> None:
    """The closed form equals the mean over the rows, at any stack of points and in float32."""
    p = replace(tabular_regression(), batch_size=1500)
    point = points(4, 3)
    wanted = p.loss(point, EVERY_ROW)
    assert wanted.shape == (4, 3)
    torch.testing.assert_close(p.value(point, {}), wanted, rtol=1e-12, atol=0)
    single = {name: x.float() for name, x in point.items()}
    torch.testing.assert_close(p.value(single, {}), wanted.float(), rtol=1e-5, atol=0)
    measured = p.evaluate(point, {})
    assert torch.equal(measured["train_loss"], p.value(point, {}))
    here = torch.cat([point["weight"], point["bias"]], -1)
    away = here - torch.tensor(p.facts.minimizers[0]).double()
    torch.testing.assert_close(measured["distance"], away.norm(dim=-1))


@pytest.mark.parametrize("size", [1, 10, 64])
def test_an_epoch_goes_once_through_the_rows(size: int) -> None:
    """The batches of an epoch are different rows, with their targets; the next are shuffled."""
    p = tabular_regression(batch=size)
    steps = 1500 // size
    inputs = torch.cat([p.batch([4], step)["inputs"][0] for step in range(steps)])
    targets = torch.cat([p.batch([4], step)["targets"][0] for step in range(steps)])
    rows = torch.cdist(inputs, table().inputs).argmin(1)
    assert torch.equal(inputs, table().inputs[rows])
    assert torch.equal(targets, table().targets[rows])
    assert len(rows.unique()) == steps * size
    assert not torch.equal(p.batch([4], steps)["inputs"], p.batch([4], 0)["inputs"])


def test_batches_are_functions_of_seed_and_step() -> None:
    """A seed's batch is the same alone, among others, at any time, and in another process."""
    p = problem("tabular_regression(batch=20)")
    together = p.batch([3, 8], 77)
    assert together["inputs"].shape == (2, 20, 5)
    alone = pickle.loads(pickle.dumps(p)).batch([8], 77)
    assert all(torch.equal(alone[name][0], together[name][1]) for name in together)
    assert not torch.equal(together["inputs"][0], together["inputs"][1])
    assert p.instance([3, 8]) == {}


def test_stacking_changes_no_bit() -> None:
    """Loss and gradient of [settings, seeds], seeds first in memory, are those of a run alone."""
    p = tabular_regression()
    data = p.batch(range(5), 31)
    point = {name: x.transpose(0, 1) for name, x in points(5, 3).items()}
    losses, slopes = p.loss(point, data), gradient(p, point, data)
    assert losses.shape == (3, 5)
    for g in range(3):
        for s in range(5):
            alone = {name: x[g, s].clone() for name, x in point.items()}
            own = {name: x[0] for name, x in p.batch([s], 31).items()}
            assert torch.equal(p.loss(alone, own), losses[g, s])
            assert torch.equal(gradient(p, alone, own), slopes[g, s])


@pytest.mark.parametrize("size", [1, 10, 300])
def test_minibatch_gradients_are_unbiased(size: int) -> None:
    """Their mean over an epoch is the full gradient, for every row counts once."""
    p = tabular_regression(batch=size)
    full = gradient(replace(p, batch_size=1500), LATER, EVERY_ROW)
    batches = [p.batch([2], step) for step in range(1500 // size)]
    data = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    stack = {name: x.expand(len(batches), -1) for name, x in LATER.items()}
    mean = gradient(p, stack, data).mean(0)
    torch.testing.assert_close(mean, full, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [1, 10, 100])
def test_gradient_variance_is_that_of_sampling_without_replacement(size: int) -> None:
    """Over 2,000 seeds the scatter of the minibatch gradient agrees with the exact covariance.

    In each of six coordinates and in their sum; 5 standard errors each, so a false alarm in
    about 4 of a million draws of the seeds (they are fixed).
    """
    p = tabular_regression(batch=size)
    seeds = range(2000)
    data = p.batch(seeds, 0)
    stack = {name: x.expand(len(seeds), -1) for name, x in LATER.items()}
    full = gradient(replace(p, batch_size=1500), LATER, EVERY_ROW)
    squares = (gradient(p, stack, data) - full).square()
    squares = torch.cat([squares, squares.sum(-1, keepdim=True)], -1)
    exact = p.gradient_covariance(LATER).diagonal()
    exact = torch.cat([exact, exact.sum()[None]])
    error = squares.std(0) / len(seeds) ** 0.5
    assert ((squares.mean(0) - exact).abs() < 5 * error).all()
    assert (error < 0.2 * exact).all()


def test_gradient_noise_ends_with_the_full_batch() -> None:
    """The covariance is that of single rows by (m - B) / (B (m - 1)), nothing for all rows."""
    one = tabular_regression(batch=1).gradient_covariance(LATER)
    assert torch.linalg.eigvalsh(one)[0] > 0
    for size in (10, 100, 1500):
        found = tabular_regression(batch=size).gradient_covariance(LATER)
        torch.testing.assert_close(found, one * (1500 - size) / (size * 1499))
    p = tabular_regression(batch=1500)
    exact = gradient(p, LATER, EVERY_ROW)
    drawn = gradient(p, LATER, {name: x[0] for name, x in p.batch([0], 5).items()})
    torch.testing.assert_close(drawn, exact, rtol=1e-12, atol=1e-12)


def test_descent_reaches_the_targets_that_noise_allows() -> None:
    """Plain descent at 0.02 closes 99 % of the gap within a third of the budget, on each seed."""
    p = tabular_regression()
    seeds = range(8)
    starts = [p.start(seed) for seed in seeds]
    assert len({tuple(s["weight"].tolist()) for s in starts}) == 8
    point = {name: torch.stack([s[name] for s in starts]) for name in p.shapes}
    minimum = p.facts.minimum
    assert minimum is not None
    first = p.value(point, {}) - minimum
    for step in range(p.traits.budget // 3):
        leaves = {name: x.requires_grad_() for name, x in point.items()}
        loss = p.loss(leaves, p.batch(seeds, step))
        slopes = torch.autograd.grad(loss.sum(), list(leaves.values()))
        point = {
            name: (x - 0.02 * g).detach()
            for (name, x), g in zip(leaves.items(), slopes, strict=True)
        }
    assert ((p.value(point, {}) - minimum) < 1e-2 * first).all()


@pytest.mark.parametrize(
    ("id", "rule"),
    [
        ("tabular_regression(batch=0)", "`batch` must be a whole number of at least 1, got 0"),
        ("tabular_regression(batch=1501)", "`batch` must be at most 1500, got 1501"),
    ],
)
def test_arguments_outside_their_domain_are_refused(id: str, rule: str) -> None:
    """A wrong argument is answered with the rule and the value."""
    with pytest.raises(BadValue) as caught:
        problem(id)
    assert rule in str(caught.value)
