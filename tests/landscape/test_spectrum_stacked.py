"""Extreme eigenvalues of a stack of matrices, against dense solvers and single products."""

import pytest
import torch

from ravine.experiments.running import network
from ravine.landscape.operators import hessian
from ravine.landscape.sources import surface
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.spectrum.stacked import extremes, hessians_products
from ravine.problems.catalogue import problem


def symmetric(count: int, size: int) -> torch.Tensor:
    """Random matrices, the second of rank one and the third zero."""
    make = torch.Generator().manual_seed(0)
    a = torch.randn(count, size, size, generator=make, dtype=torch.float64)
    a = a + a.mT
    one = torch.randn(size, generator=make, dtype=torch.float64)
    a[1], a[2] = torch.outer(one, one), 0
    return a


def test_all_steps_give_the_ends_of_dense_spectra() -> None:
    """Also where the Krylov space is used up early, which adds no values of its own."""
    a = symmetric(5, 12)
    found = extremes(lambda v: torch.einsum("kij,kj->ki", a, v), a[:, 0], 12)
    values = torch.linalg.eigvalsh(a)
    torch.testing.assert_close(found.largest, values[:, -1])
    torch.testing.assert_close(found.smallest, values[:, 0], atol=1e-12, rtol=1e-7)
    assert float(found.residual.max()) < 1e-10


def test_definite_matrices_keep_their_sign() -> None:
    """No zero is taken for an eigenvalue of twice the identity."""
    found = extremes(lambda v: 2 * v, torch.zeros(3, 6), 4)
    torch.testing.assert_close(found.smallest, torch.full((3,), 2.0, dtype=torch.float64))
    torch.testing.assert_close(found.largest, torch.full((3,), 2.0, dtype=torch.float64))


def test_few_steps_come_with_a_residual_that_bounds_the_error() -> None:
    """Some eigenvalue lies within it."""
    a = symmetric(4, 60)
    found = extremes(lambda v: torch.einsum("kij,kj->ki", a, v), a[:, 0], 8)
    values = torch.linalg.eigvalsh(a)
    for end in (found.smallest, found.largest):
        nearest = (values - end[:, None]).abs().amin(1)
        assert bool((nearest <= found.residual + 1e-9).all())


def test_what_is_not_finite_has_no_eigenvalues() -> None:
    """The others of the stack keep theirs."""
    scale = torch.tensor([[1.0], [torch.nan]])
    found = extremes(lambda v: scale * v, torch.zeros(2, 4), 2)
    assert found.largest.tolist() == [pytest.approx(1.0), torch.inf]


@pytest.mark.parametrize("id", ["mnist_mlp(widths=(8,), activation=tanh)", "beale"])
def test_stacked_products_are_those_of_each_point(id: str) -> None:
    """Of a network over several parts of its data, and of a formula."""
    subject = problem(id)
    ground = surface(subject, examples=40)
    make = torch.Generator().manual_seed(1)
    x = 0.3 * torch.randn(3, ground.size, generator=make, dtype=torch.float64)
    v = torch.randn(3, ground.size, generator=make, dtype=torch.float64)
    images = hessians_products(ground, x)(v)
    for point, vector, image in zip(x, v, images, strict=True):
        torch.testing.assert_close(image, hessian(ground, point)(vector))


def test_the_ends_of_a_networks_hessian_are_those_of_the_restarted_method() -> None:
    """To the tolerance."""
    ground = surface(network("mnist_mlp(widths=(8,), activation=tanh)"), examples=40)
    make = torch.Generator().manual_seed(2)
    x = 0.1 * torch.randn(2, ground.size, generator=make, dtype=torch.float64)
    found = extremes(hessians_products(ground, x), x, 40)
    for k, point in enumerate(x):
        pairs = extreme(hessian(ground, point), 1, 1, tol=1e-6)
        assert float(found.largest[k]) == pytest.approx(pairs.values[0], rel=1e-5)
        assert float(found.smallest[k]) == pytest.approx(pairs.values[-1], rel=1e-5)
