"""Densities, traces and parts of a spectrum agree with exact ones and with a second tool."""

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ravine.errors import BadValue
from ravine.landscape.operators import dense, hessian, of_matrix
from ravine.landscape.sources import module_surface
from ravine.landscape.spectrum.density import density
from ravine.landscape.spectrum.groups import by_group, grouped
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.spectrum.trace import trace

DRAW = np.random.default_rng(3)


def wigner(size: int, seed: int = 0) -> torch.Tensor:
    """A symmetric Gaussian matrix whose spectrum tends to a half circle over [-2, 2]."""
    draw = torch.from_numpy(np.random.default_rng(seed).standard_normal((size, size)))
    return (draw + draw.T) / math.sqrt(2 * size)


def spiked(size: int = 600) -> torch.Tensor:
    """A Gaussian matrix of radius 1 with eigenvalues near 10, 6, 4 and -5."""
    matrix = wigner(size) / 2
    for strength, u in zip(
        (10.0, 6.0, 4.0, -5.0),
        torch.linalg.qr(torch.from_numpy(DRAW.standard_normal((size, 4))))[0].T,
        strict=True,
    ):
        matrix = matrix + strength * torch.outer(u, u)
    return matrix


def net() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """Some 300 parameters over 50 examples, in float64."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(50, 10, dtype=torch.float64, generator=generator)
    targets = torch.randint(4, (50,), generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 8), nn.Tanh())
        module.append(nn.Linear(8, 4))
    return module.double(), (inputs, targets)


def test_a_half_circle_has_its_edges_and_moments() -> None:
    """Edges within 5 % of 2, moments 0 and 1 within 3 %, and half is negative within 2 %."""
    matrix = wigner(400)
    ends = extreme(of_matrix(matrix), 1, 1, tol=1e-6)
    assert ends.values == pytest.approx((2.0, -2.0), rel=0.05)
    found = density(of_matrix(matrix), largest=0, smallest=0, probes=3, steps=100)
    assert not found.exact
    first, second = found.moments
    # by quadrature within four of its own errors: one false alarm in 20 seeds, and this is fixed
    assert abs(first.value - float(matrix.trace()) / 400) < 4 * first.error
    assert abs(second.value - float((matrix**2).sum()) / 400) < 4 * second.error
    whole = density(of_matrix(matrix), probes=4, steps=100)
    assert whole.exact
    assert whole.moments[0].value == pytest.approx(0.0, abs=0.03)
    assert whole.moments[1].value == pytest.approx(1.0, rel=0.03)
    negative = np.interp(0.0, whole.grid, whole.cumulative)
    assert negative == pytest.approx(0.5, abs=0.02)
    # the half circle sqrt(4 - x^2) / 2 pi, away from its edges
    inner = np.abs(found.grid) < 1.7
    circle = np.sqrt(4 - found.grid[inner] ** 2) / (2 * math.pi)
    smooth = density(of_matrix(matrix), probes=4, steps=100, bandwidth=0.15)
    assert np.interp(found.grid[inner], smooth.grid, smooth.density) == pytest.approx(
        circle, abs=0.02
    )


def test_a_density_is_that_of_the_eigenvalues() -> None:
    """Outliers are atoms, and the cumulative share is within 4 % of the exact one anywhere."""
    matrix = spiked()
    found = density(of_matrix(matrix), largest=3, smallest=1, probes=5, steps=60)
    exact = np.linalg.eigvalsh(matrix.numpy())
    assert found.atoms == pytest.approx((*exact[:-4:-1], exact[0]), rel=1e-5)
    assert found.mass == pytest.approx(1.0, abs=1e-6)
    assert found.weights.sum(1) == pytest.approx([596 / 600] * 5)
    z = (found.grid[:, None] - exact[1:-3]) / found.bandwidth
    shares = (np.vectorize(math.erf)(z / math.sqrt(2)) / 2 + 0.5).mean(-1) * 596 / 600
    shares += (np.array(found.atoms) <= found.grid[:, None]).sum(-1) / 600
    assert np.abs(found.cumulative - shares).max() < 0.04
    assert (found.cumulative_band[0] <= found.cumulative_band[1]).all()
    assert found.note == ""
    assert all(moment.agrees for moment in found.moments)
    assert found.moments[1].value == pytest.approx((exact**2).mean(), rel=0.02)


def test_deflation_takes_the_outliers_out_of_the_variance() -> None:
    """The second moment's error is at least three times smaller behind four outliers."""
    matrix = of_matrix(spiked())
    with_them = density(matrix, largest=0, smallest=0, probes=6, steps=40)
    without = density(matrix, largest=3, smallest=1, probes=6, steps=40)
    assert without.moments[1].error < with_them.moments[1].error / 3


def test_a_matrix_that_is_not_symmetric_or_finite_is_said() -> None:
    """Notes name a nan; all matrices without a spread still have mass 1."""
    broken = density(of_matrix(torch.full((500, 500), math.nan)))
    assert broken.note == "a product is not finite"
    assert trace(of_matrix(torch.full((500, 500), math.nan))).note == "a product is not finite"
    for matrix in (torch.zeros(400, 400), torch.eye(400), torch.zeros(3, 3)):
        found = density(of_matrix(matrix.double()))
        assert found.mass == pytest.approx(1.0, abs=1e-4)
        assert found.note == ""


def test_a_trace_lies_within_its_errors() -> None:
    """Of 20 seeds the scaled errors have a spread near 1, and none is beyond 4.5.

    A correct estimate exceeds 4.5 errors of 16 vectors once in about 2,000 draws: a false
    alarm in 1 % of all sets of seeds, and these are fixed.
    """
    matrix = spiked()
    exact = float(matrix.trace())
    found = [trace(of_matrix(matrix), rtol=0.9, seed=seed) for seed in range(20)]
    scaled = np.array([(t.value - exact) / t.error for t in found])
    assert np.abs(scaled).max() < 4.5
    assert 0.5 < scaled.std() < 2.0
    assert all(t.products == 32 for t in found)


def test_a_trace_stops_at_its_relative_error_and_says_when_it_does_not() -> None:
    """A tolerance is met by more products; too few leave a note; low rank is exact."""
    positive = of_matrix(spiked() @ spiked())
    fine = trace(positive, rtol=0.02)
    assert fine.converged
    assert fine.error <= 0.02 * fine.value
    assert fine.value == pytest.approx(float(dense(positive).trace()), abs=4 * fine.error)
    short = trace(positive, rtol=1e-6, most=32)
    assert not short.converged
    assert short.note == "stopped after 32 products"
    factor = torch.from_numpy(DRAW.standard_normal((500, 3)))
    low = trace(of_matrix(factor @ factor.T), rtol=1e-6)
    assert low.value == pytest.approx(float((factor**2).sum()), rel=1e-10)
    assert low.converged
    zero = trace(of_matrix(torch.zeros(500, 500)))
    assert (zero.value, zero.error, zero.converged) == (0.0, 0.0, True)
    small = trace(of_matrix(wigner(150)))
    assert small.value == pytest.approx(float(wigner(150).trace()), abs=1e-12)
    assert (small.error, small.products) == (0.0, 150)


def test_parts_of_a_network_are_diagonal_blocks() -> None:
    """Top eigenvalue and trace of each layer are those of its dense block."""
    module, data = net()
    ground, x = module_surface(module, data, functional.cross_entropy)
    operator = hessian(ground, x)
    matrix = dense(operator)
    found = by_group(operator, largest=2, smallest=1, tol=1e-6, rtol=0.2)
    assert [group.name for group in found] == ["0", "2", "4"]
    for group in found:
        places = torch.cat(
            [torch.arange(ground.size)[operator.slices[name]] for name in group.parameters]
        )
        block = matrix[places][:, places]
        values = torch.linalg.eigvalsh(block)
        assert group.pairs.values == pytest.approx(
            [*values[[-1, -2]].tolist(), values[0].item()], rel=1e-6, abs=1e-10
        )
        assert group.trace.value == pytest.approx(
            float(block.trace()), abs=max(4 * group.trace.error, 1e-10)
        )
    single = by_group(operator, {"last bias": ["4.bias"]})
    # the logits' shift changes nothing: one eigenvalue of the last bias is exactly zero
    assert single[0].pairs.values[-1] == pytest.approx(0.0, abs=1e-15)
    assert grouped({"x": slice(0, 2)}) == {"x": ("x",)}
    with pytest.raises(BadValue, match="no named parameters"):
        by_group(of_matrix(matrix))
    with pytest.raises(BadValue, match="`groups` must be one of"):
        by_group(operator, {"first": ["1.weight"]})


def test_bad_arguments_are_refused() -> None:
    """Too few probes, and widths and tolerances that are none."""
    operator = of_matrix(torch.eye(3))
    with pytest.raises(BadValue, match="`probes`"):
        density(operator, probes=1)
    with pytest.raises(BadValue, match="`bandwidth` must be positive"):
        density(operator, bandwidth=0.0)
    with pytest.raises(BadValue, match="`rtol` must lie between 0 and 1"):
        trace(operator, rtol=1.0)


@pytest.mark.skipif(
    find_spec("curvlinops") is None, reason="curvlinops, a second opinion, is not installed"
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_curvlinops_has_the_same_spectrum_and_trace() -> None:
    """Its Hessian, multiplied with the unit vectors, has our eigenvalues; its traces agree."""
    import curvlinops

    module, data = net()
    ground, x = module_surface(module, data, functional.cross_entropy)
    operator = hessian(ground, x)
    theirs = curvlinops.HessianLinearOperator(
        module, nn.CrossEntropyLoss(), list(module.parameters()), [data]
    )
    matrix = theirs @ torch.eye(ground.size, dtype=torch.float64)
    assert torch.allclose(dense(operator), matrix, rtol=1e-8, atol=1e-10)
    ends = extreme(operator, 3, 3, tol=1e-8)
    values = torch.linalg.eigvalsh(matrix).flip(0)
    assert ends.values == pytest.approx([*values[:3].tolist(), *values[-3:].tolist()], rel=1e-6)
    ours = trace(operator, rtol=0.1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        estimate = float(curvlinops.xtrace(theirs, 200))
    exact = float(matrix.trace())
    assert ours.value == pytest.approx(exact, abs=max(4 * ours.error, 1e-9))
    assert estimate == pytest.approx(exact, rel=0.1)
