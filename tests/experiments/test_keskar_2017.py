"""How solutions of small and large batches are measured, against closed forms."""

import pytest
import torch

from ravine.experiments.keskar_2017 import EPSILON, at_level, measured
from ravine.experiments.running import network
from ravine.landscape.operators import dense, hessian
from ravine.landscape.sharpness import scales
from ravine.landscape.sources import surface
from ravine.landscape.surface import accuracy, loss, loss_and_gradient, pack
from ravine.problems.catalogue import problem


def test_solutions_are_taken_at_the_level() -> None:
    """Of the losses 1, 0.1024 and 0.01 on x^2 the middle one is nearest to 0.1."""
    bowl = surface(problem("sphere(dim=1)"))
    way = torch.tensor([[1.0], [0.32], [0.1]], dtype=torch.float64)
    assert at_level(bowl, way).item() == 0.32


def test_measures_of_a_network() -> None:
    """Eigenvalues by a dense solver; the box at least by one step along the signs of the slope."""
    net = network("mnist_mlp(widths=(1,),batch=32)")
    ground = surface(net, examples=32)
    test = surface(net, split="test", examples=100)
    start, x = (pack(ground, net.start(seed)).double() for seed in (0, 1))
    found = measured(ground, ground, test, start, x, 0)
    value, slope = loss_and_gradient(ground, x)
    matrix = dense(hessian(ground, x))
    assert found.eigenvalue == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-3)
    t = scales(ground, x)["filterwise"]
    scaled = torch.linalg.eigvalsh(t[:, None] * matrix * t)[-1]
    assert found.filterwise == pytest.approx(float(scaled), rel=1e-3)
    corner = loss(ground, x + EPSILON * (x.abs() + 1) * slope.sign())
    assert found.box >= 0.999 * 100 * float(corner - value) / (1 + float(value))
    assert found.distance == pytest.approx(float(torch.linalg.vector_norm(x - start)))
    assert found.loss == pytest.approx(float(value))
    assert found.accuracy == float(accuracy(test, x))
