"""Products with blocks of vectors, restrictions, and the symmetry of what is multiplied."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ravine.landscape import operators
from ravine.landscape.operators import (
    asymmetry,
    dense,
    fisher,
    gauss_newton,
    hessian,
    of_matrix,
    restrict,
)
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.surface import pack
from ravine.problems import problem

G = torch.Generator().manual_seed(0)
X = torch.randn(30, 4, dtype=torch.float64, generator=G)
Y = torch.randint(3, (30,), generator=G)


REFUSED: list[str] = []


class Halved(torch.autograd.Function):
    """x / 2, with a derivative that only one vector at a time may ask for."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        """X / 2."""
        return x / 2

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:  # type: ignore[override]
        """Refuse a block, as code that reads a number out of its tensors does."""
        try:
            g.sum().item()
        except RuntimeError:
            REFUSED.append("block")
            raise
        return g / 2


class Half(nn.Module):
    """Halved."""

    def forward(self, x: Tensor) -> Tensor:
        """X / 2."""
        return Halved.apply(x)


def net(*more: nn.Module) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), *more)
    return module.double()


@pytest.mark.parametrize("build", [hessian, gauss_newton, fisher])
def test_a_block_of_vectors_is_each_vector_alone(build, monkeypatch) -> None:
    """Vectorised or one by one, over 16 at a time or not, products are the same."""
    ground, x = module_surface(net(), (X, Y), functional.cross_entropy)
    operator = build(ground, x)
    v = torch.randn(21, ground.size, dtype=torch.float64, generator=G)
    together = operator(v)
    apart = torch.stack([operator(row) for row in v])
    assert torch.allclose(together, apart, rtol=1e-12, atol=1e-14)
    monkeypatch.setattr(operators, "VECTORISED", 0)
    assert torch.allclose(operator(v), apart, rtol=1e-14, atol=1e-16)


def test_a_derivative_without_a_batching_rule_is_taken_one_by_one() -> None:
    """The fallback gives the same matrix as the same function with torch's own rules."""
    plain, x = module_surface(net(), (X, Y), functional.cross_entropy)
    halved, _ = module_surface(net(Half()), (X, Y), functional.cross_entropy)
    assert plain.outputs is not None
    own = replace(plain, outputs=lambda p, d, m: plain.outputs(p, d, m) / 2)
    images = [dense(gauss_newton(ground, x)) for ground in (halved, own)]
    assert REFUSED == ["block"]
    assert torch.allclose(*images, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["rosenbrock(dim=7)", "himmelblau", "styblinski_tang(dim=3)"])
def test_hessians_of_formulas_are_those_of_torch_func(name: str) -> None:
    """A block of unit vectors gives the whole Hessian at a random point."""
    shape = problem(name)
    ground = surface(shape)
    x = torch.randn(ground.size, dtype=torch.float64, generator=G)
    exact = torch.func.jacrev(torch.func.grad(lambda z: ground.mean({"x": z}, {}, None)))(x)
    assert torch.allclose(dense(hessian(ground, x)), exact, rtol=1e-10, atol=1e-10)


def test_a_restriction_is_a_principal_block() -> None:
    """Rows and columns of the chosen coordinates, in the order of the slices."""
    matrix = torch.randn(7, 7, dtype=torch.float64, generator=G)
    matrix = matrix + matrix.T
    chosen = [1, 2, 5, 6]
    block = restrict(of_matrix(matrix), [slice(1, 3), slice(5, 7)])
    assert block.size == 4
    assert torch.equal(dense(block), matrix[chosen][:, chosen])


def test_products_are_symmetric_to_rounding_and_others_are_found_out() -> None:
    """U'Hv = v'Hu to 1e-12 in float64 and 1e-5 in float32; a matrix that is not shows it."""
    ground, x = module_surface(net(), (X, Y), functional.cross_entropy)
    for build in (hessian, gauss_newton, fisher):
        assert asymmetry(build(ground, x)) < 1e-12
    shape = problem("mnist_mlp(widths=(8,), activation=tanh)")
    wide = surface(shape, examples=100)
    assert asymmetry(hessian(wide, pack(wide, shape.start(0)))) < 1e-5
    skewed = torch.randn(50, 50, dtype=torch.float64, generator=G)
    assert asymmetry(of_matrix(skewed)) > 1e-2
    assert asymmetry(of_matrix(torch.zeros(3, 3))) == 0.0
