"""What a look at the ground costs, in gradients of the same loss."""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from ravine.landscape.operators import fisher, gauss_newton, hessian
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, gradient, loss, pack
from ravine.problems import problem

GROUP = "the ground of a network of 12,730 parameters on 500 images"


@pytest.fixture(scope="module")
def ground() -> tuple[Surface, Tensor]:
    """A small perceptron where its run begins."""
    network = problem("mnist_mlp(widths=(16,), activation=tanh)")
    found = surface(network, examples=500)
    return found, pack(found, network.start(0))


@pytest.mark.benchmark(group=GROUP)
def test_loss(benchmark: BenchmarkFixture, ground: tuple[Surface, Tensor]) -> None:
    """A loss is finite."""
    assert bool(benchmark(loss, *ground).isfinite())


@pytest.mark.benchmark(group=GROUP)
def test_gradient(benchmark: BenchmarkFixture, ground: tuple[Surface, Tensor]) -> None:
    """A gradient has the coordinates of its point."""
    assert benchmark(gradient, *ground).shape == ground[1].shape


@pytest.mark.parametrize("matrix", [hessian, gauss_newton, fisher])
@pytest.mark.benchmark(group=GROUP)
def test_product(benchmark: BenchmarkFixture, ground: tuple[Surface, Tensor], matrix) -> None:  # type: ignore[no-untyped-def]
    """A product with a matrix of curvature is finite."""
    operator, v = matrix(*ground), torch.ones_like(ground[1])
    assert bool(benchmark(operator, v).isfinite().all())
