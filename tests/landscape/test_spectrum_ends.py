"""Eigenpairs at the ends of a spectrum are exact, none is a ghost, and none is silent."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.operators import Operator, hessian, of_matrix
from ravine.landscape.sources import surface
from ravine.landscape.spectrum.lanczos import EXACT, Eigenpairs, extreme
from ravine.problems.formulas.theory import quadratic

OUTLIERS = (20.0, 15.0, 12.0, 9.0, 7.0, 5.0, 4.0, 3.0, -2.0, -4.0)


def turned(values: Tensor | list[float], seed: int = 0) -> Tensor:
    """A symmetric matrix with these eigenvalues, turned by a product of four reflections."""
    eigenvalues = torch.as_tensor(values, dtype=torch.float64)
    matrix = torch.diag(eigenvalues)
    for u in torch.from_numpy(np.random.default_rng(seed).standard_normal((4, len(matrix)))):
        u /= u.norm()
        matrix = matrix - 2 * torch.outer(u, u @ matrix)
        matrix = matrix - 2 * torch.outer(matrix @ u, u)
    return (matrix + matrix.T) / 2


def outlying(size: int = 2000) -> Tensor:
    """Ten outliers over a Gaussian bulk of standard deviation 0.1."""
    bulk = 0.1 * torch.from_numpy(np.random.default_rng(1).standard_normal(size - 10))
    return turned(torch.cat([torch.tensor(OUTLIERS, dtype=torch.float64), bulk]))


def checked(found: Eigenpairs, matrix: Tensor) -> None:
    """Vectors are orthonormal and residuals are what they are said to be."""
    vectors = found.vectors.double()
    count = len(found.values)
    loose = 1e-12 if found.vectors.dtype == torch.float64 else 1e-5
    assert torch.allclose(vectors @ vectors.T, torch.eye(count).double(), atol=loose)
    values, residuals = (
        torch.tensor(numbers, dtype=torch.float64) for numbers in (found.values, found.residuals)
    )
    rests = (vectors @ matrix - values[:, None] * vectors).norm(dim=-1)
    assert torch.allclose(rests, residuals, atol=loose * float(matrix.norm()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_all_outliers_of_a_large_matrix_are_found_and_no_ghosts(dtype: torch.dtype) -> None:
    """Of 2,000 eigenvalues the ten outliers come back once each, though two more are asked for."""
    matrix = outlying()
    found = extreme(of_matrix(matrix.to(dtype)), 10, 3, tol=1e-5)
    exact = torch.linalg.eigvalsh(matrix).flip(0)
    wanted = [*exact[:10].tolist(), *exact[-3:].tolist()]
    assert all(found.converged)
    assert found.note == ""
    assert found.products < 250
    assert found.values == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    checked(found, matrix)


@settings(max_examples=8, deadline=None)
@given(
    size=st.integers(EXACT + 1, 200),
    largest=st.integers(0, 6),
    smallest=st.integers(1, 6),
    seed=st.integers(0, 999),
)
def test_both_ends_are_those_of_the_dense_solver(
    size: int, largest: int, smallest: int, seed: int
) -> None:
    """Values of a random symmetric matrix agree with LAPACK's, and residuals are true."""
    draw = torch.from_numpy(np.random.default_rng(seed).standard_normal((size, size)))
    matrix = (draw + draw.T) / math.sqrt(2 * size)
    found = extreme(of_matrix(matrix), largest, smallest, tol=1e-7, seed=seed)
    exact = torch.linalg.eigvalsh(matrix).flip(0)
    assert all(found.converged)
    wanted = [*exact[:largest].tolist(), *exact[size - smallest :].tolist()]
    assert found.values == pytest.approx(wanted, abs=1e-6)
    checked(found, matrix)


@pytest.mark.parametrize("copies", [2, 3, 6])
def test_multiple_eigenvalues_come_with_all_their_copies(copies: int) -> None:
    """A Krylov space of one direction holds one copy; fresh directions find the others."""
    matrix = turned([*[5.0] * copies, *torch.linspace(0, 1, 500 - copies).tolist()])
    found = extreme(of_matrix(matrix), copies + 1, 0, tol=1e-7)
    assert all(found.converged)
    assert found.values == pytest.approx([5.0] * copies + [1.0], abs=1e-6)
    checked(found, matrix)


def test_the_search_for_copies_costs_what_it_says_and_can_be_left_out() -> None:
    """On simple outliers it takes its number of products, and changes no value."""
    operator = of_matrix(outlying(500))
    sure, blind = (extreme(operator, 4, 1, tol=1e-5, confirm=c) for c in (7, 0))
    assert sure.products == blind.products + 7
    assert blind.values == pytest.approx(sure.values, rel=1e-8)


def test_matrices_without_much_in_them_are_no_trouble() -> None:
    """Zero, the identity, a matrix of rank 2, and one smaller than what is asked for."""
    zero = extreme(of_matrix(torch.zeros(300, 300)), 3, 2)
    assert zero.values == (0.0,) * 5
    assert all(zero.converged)
    same = extreme(of_matrix(torch.eye(300)), 3, 2)
    assert same.values == pytest.approx([1.0] * 5, rel=1e-6)
    assert all(same.converged)
    rank = turned([3.0, -1.0, *[0.0] * 398])
    low = extreme(of_matrix(rank), 3, 2)
    assert low.values == pytest.approx([3.0, 0.0, 0.0, 0.0, -1.0], abs=1e-12)
    assert all(low.converged)
    small = extreme(of_matrix(torch.diag(torch.tensor([1.0, 2.0, 3.0]))), 5, 2)
    assert small.values == pytest.approx([3.0, 2.0, 1.0])
    assert (small.largest, small.products) == (3, 3)


def test_a_space_may_be_smaller_than_the_way_to_convergence() -> None:
    """With 12 vectors held the same eigenvalues are found, by restarts."""
    matrix = turned(torch.linspace(0, 1, 400) ** 3)
    held = extreme(of_matrix(matrix), 3, 0, tol=1e-8, subspace=12)
    assert all(held.converged)
    assert held.products > 24
    assert held.values == pytest.approx(torch.linalg.eigvalsh(matrix).flip(0)[:3].tolist())


def test_what_did_not_converge_says_so() -> None:
    """Too few products leave marks, true residuals and a note; missing pairs are nan."""
    matrix = outlying(400)
    short = extreme(of_matrix(matrix), 8, 2, tol=1e-10, most=15)
    assert short.note == "stopped after 15 products"
    assert not all(short.converged)
    checked(short, matrix)
    exact = torch.linalg.eigvalsh(matrix)
    for value, gap in zip(short.values, short.residuals, strict=True):
        assert float((exact - value).abs().min()) <= gap + 1e-12
    none = extreme(of_matrix(matrix), 4, 2, most=2)
    assert sum(map(math.isnan, none.values)) == 4
    assert not any(none.converged)


@pytest.mark.parametrize("size", [3, 300])
def test_products_that_are_not_finite_are_said(size: int) -> None:
    """A nan within the matrix gives nan values that are not converged, and a note."""
    found = extreme(of_matrix(torch.full((size, size), math.nan)), 2, 1)
    assert found.note == "a product is not finite"
    assert all(map(math.isnan, found.values))
    assert not any(found.converged)


def test_products_of_no_symmetric_matrix_are_said() -> None:
    """Residuals of a skewed matrix do not fall below the tolerance."""
    draw = torch.from_numpy(np.random.default_rng(0).standard_normal((40, 40)))
    found = extreme(of_matrix(draw), 2, 0)
    assert found.note == "the products are not symmetric"
    assert not any(found.converged)


def test_the_same_seed_gives_the_same_numbers() -> None:
    """Directions are drawn from the seed alone; another seed gives the same eigenvalues."""
    operator = of_matrix(outlying(500))
    one, two, other = (extreme(operator, 3, 1, seed=s) for s in (0, 0, 1))
    assert one.values == two.values
    assert torch.equal(one.vectors, two.vectors)
    assert other.values != one.values
    assert other.values == pytest.approx(one.values, rel=1e-5)


def test_closed_forms_of_hessians_are_found_by_products_alone() -> None:
    """The ends of a quadratic's spectrum are those it was made of, in 200 dimensions."""
    eigenvalues = tuple(np.geomspace(1.0, 100.0, 200).tolist())
    ground = surface(quadratic(eigenvalues))
    found = extreme(hessian(ground, torch.ones(200, dtype=torch.float64)), 2, 1, tol=1e-7)
    assert found.values == pytest.approx([*eigenvalues[:-3:-1], eigenvalues[0]], rel=1e-7)


def test_bad_arguments_are_refused() -> None:
    """Nothing to find, or a tolerance that is none."""
    operator = Operator(size=3, product=lambda v: v)
    with pytest.raises(BadValue, match="both 0"):
        extreme(operator, 0, 0)
    with pytest.raises(BadValue, match="`tol` must lie between 0 and 1"):
        extreme(operator, tol=0.0)
    with pytest.raises(BadValue, match="`largest`"):
        extreme(operator, -1)
