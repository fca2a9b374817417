"""Losses, curvatures and runs at the edge of stability, against autograd and torch's SGD."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian
from torch.func import grad

from ravine.experiments import cohen_2021
from ravine.landscape.operators import hessian as products
from ravine.landscape.sources import module_surface
from ravine.landscape.spectrum.lanczos import extreme


def by_torch(x: torch.Tensor) -> torch.Tensor:
    """The loss of one network, for autograd."""
    design, y = cohen_2021.data()
    w, b, v, c = x.split([cohen_2021.UNITS, cohen_2021.UNITS, cohen_2021.UNITS, 1])
    found: torch.Tensor = (torch.tanh(design[:, :1] * w + b) @ v + c - y).square().mean() / 2
    return found


@pytest.fixture(scope="module")
def points() -> torch.Tensor:
    """Two starts, moved off their zero biases."""
    make = torch.Generator().manual_seed(0)
    off = torch.randn(2, 301, generator=make, dtype=torch.float64)
    return torch.stack([cohen_2021.start(seed) for seed in (0, 1)]) + 0.1 * off


def test_the_targets_are_chebyshevs_polynomial_at_his_points() -> None:
    """T4(cos t) = cos 4 t, and the points are the zeros of T20."""
    design, y = cohen_2021.data()
    angle = torch.arccos(design[:, 0])
    torch.testing.assert_close(y, torch.cos(4 * angle))
    torch.testing.assert_close(torch.cos(20 * angle), torch.zeros(20).double())


def test_losses_and_slopes_by_hand_are_autograds(points: torch.Tensor) -> None:
    """Loss and gradient of a stack are those of each network alone."""
    losses, slopes = cohen_2021.loss_and_slope(points)
    for x, value, slope in zip(points, losses, slopes, strict=True):
        assert float(value) == pytest.approx(float(by_torch(x)), rel=1e-13)
        torch.testing.assert_close(slope, grad(by_torch)(x), rtol=0, atol=1e-13)


def test_products_by_hand_are_those_of_the_hessian(points: torch.Tensor) -> None:
    """H v for every network, and the largest eigenvalue."""
    v = torch.randn(2, 301, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    images, sharp = cohen_2021.curvature(points)(v), cohen_2021.sharpness(points)
    for x, row, image, largest in zip(points, v, images, sharp, strict=True):
        matrix = hessian(by_torch, x)
        torch.testing.assert_close(image, matrix @ row, rtol=0, atol=1e-12)
        assert float(largest) == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-6)


def test_runs_in_one_stack_are_plain_descent() -> None:
    """Runs of several lengths, one with momentum, end where torch's SGD ends."""
    plans = {
        "long": cohen_2021.Plan(0.2, 0.0, 40),
        "ball": cohen_2021.Plan(0.1, 0.9, 25),
        "also": cohen_2021.Plan(0.3, 0.5, 25),
        "short": cohen_2021.Plan(0.4, 0.0, 10),
    }
    found = cohen_2021.descend(plans, range(2), lambda share: None)
    for name, plan in plans.items():
        x = cohen_2021.start(1).requires_grad_()
        sgd = torch.optim.SGD([x], lr=plan.rate, momentum=plan.momentum)
        for _ in range(plan.steps):
            sgd.zero_grad()
            by_torch(x).backward()
            sgd.step()
        end, own = x.detach(), found[name]
        assert own.losses.shape == (2, plan.steps + 1)
        assert own.losses[1, -1] == pytest.approx(float(by_torch(end)), rel=1e-10)
        here = float(cohen_2021.sharpness(end[None]))
        assert own.sharpness[1, -1] == pytest.approx(here, rel=1e-6)
        assert own.steps[-1] == plan.steps
        assert own.sharpness.shape == (2, len(own.steps))


def test_beyond_its_threshold_a_quadratic_is_left() -> None:
    """2 / rate, and (2 + 2 b) / rate with a heavy ball, by the roots of the recursion."""
    for rate, momentum in ((0.4, 0.0), (0.1, 0.9)):
        edge = cohen_2021.Plan(rate, momentum, 1).threshold
        for factor, stays in ((0.99, True), (1.01, False)):
            curvature = factor * edge
            # x' = x - rate v', v' = momentum v + curvature x
            step = np.array(
                [
                    [1 - rate * curvature, -rate * momentum],
                    [curvature, momentum],
                ]
            )
            assert bool(np.abs(np.linalg.eigvals(step)).max() < 1) == stays


def test_the_stacked_sharpness_is_the_packages() -> None:
    """The same network as a module has the same largest eigenvalue."""
    x = cohen_2021.start(3)
    module = nn.Sequential(nn.Linear(1, 100), nn.Tanh(), nn.Linear(100, 1)).double()
    nn.utils.vector_to_parameters(x, module.parameters())
    design, y = cohen_2021.data()
    ground, here = module_surface(
        module, (design[:, :1], y[:, None]), lambda o, t: (o - t).square().mean() / 2
    )
    found = extreme(products(ground, here), 1, tol=1e-8).values[0]
    assert float(cohen_2021.sharpness(x[None])) == pytest.approx(found, rel=1e-6)
