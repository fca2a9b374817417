"""Products of small matrices, held to torch's own."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.problems.draws import generator
from ravine.problems.matrices import multiply

sizes = st.integers(1, 11)


def normal(*shape: int) -> torch.Tensor:
    return torch.from_numpy(generator("matrices", *shape).standard_normal(shape))


@given(i=sizes, j=sizes, k=sizes)
def test_products_and_gradients_are_those_of_torch(i: int, j: int, k: int) -> None:
    """Value and gradients of A B are torch's to rounding, constants without a stack included."""
    a, b, weights = normal(2, 3, i, j), normal(2, 3, j, k), normal(2, 3, i, k)
    for left, right in ((a, b), (a[0, 0], b), (a, b[0, 0])):
        left = left.clone().requires_grad_(left.dim() == 4)
        right = right.clone().requires_grad_(right.dim() == 4)
        leaves = [x for x in (left, right) if x.requires_grad]
        ours, theirs = multiply(left, right), left @ right
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
        found = torch.autograd.grad((ours * weights).sum(), leaves)
        wanted = torch.autograd.grad((theirs * weights).sum(), leaves)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@given(i=sizes, j=sizes, k=sizes)
def test_stacking_changes_no_bit(i: int, j: int, k: int) -> None:
    """A product in a stack, its memory in any order, is bit for bit the product alone."""
    a = normal(17, i, j).permute(1, 2, 0).contiguous().permute(2, 0, 1).requires_grad_()
    b = normal(17, j, k).requires_grad_()
    stacked = multiply(a, b)
    found = torch.autograd.grad(stacked.square().sum(), (a, b))
    for n in (0, 7, 16):
        one, other = (x[n].detach().clone().requires_grad_() for x in (a, b))
        alone = multiply(one, other)
        assert torch.equal(alone, stacked[n])
        slopes = torch.autograd.grad(alone.square().sum(), (one, other))
        assert all(torch.equal(s, f[n]) for s, f in zip(slopes, found, strict=True))


def test_second_derivatives_and_vmap_work() -> None:
    """The product can be differentiated twice, and vectorised over points by torch.func."""
    a, b = normal(2, 3).requires_grad_(), normal(3, 9).requires_grad_()
    assert torch.autograd.gradgradcheck(multiply, (a, b))
    x = normal(4, 6)

    def f(point: torch.Tensor) -> torch.Tensor:
        return multiply(point.reshape(2, 3), b.detach()).square().sum()

    found = torch.func.vmap(torch.func.jacrev(torch.func.grad(f)))(x)
    wanted = torch.stack([torch.autograd.functional.hessian(f, point) for point in x])
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
