"""Closed-form rates agree with the spectra of the methods and with torch's optimizers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.problems.formulas.rates import (
    Tuning,
    best_gradient_descent,
    best_heavy_ball,
    best_nesterov,
    gradient_descent_rate,
    heavy_ball_rate,
    nesterov_rate,
)

Rate = Callable[[float, float, list[float]], float]

lrs, momenta = st.floats(0.001, 3.0), st.floats(0.0, 0.99)
spectra = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=4)


def radius(one: float, before: float) -> float:
    """The spectral radius of x_{t+1} = one * x_t + before * x_{t-1}."""
    return float(np.abs(np.linalg.eigvals(np.array([[one, before], [1.0, 0.0]]))).max())


@given(lr=lrs, momentum=momenta, spectrum=spectra)
def test_rates_are_spectral_radii(lr: float, momentum: float, spectrum: list[float]) -> None:
    """Each rate is the largest modulus of an eigenvalue of the method's linear map."""
    # a double root is known to half the digits only
    close = {"rel": 1e-6, "abs": 1e-6}
    heavy = max(radius(1 + momentum - lr * e, -momentum) for e in spectrum)
    assert heavy_ball_rate(lr, momentum, spectrum) == pytest.approx(heavy, **close)
    ahead = [1 - lr * e for e in spectrum]
    nesterov = max(radius((1 + momentum) * a, -momentum * a) for a in ahead)
    assert nesterov_rate(lr, momentum, spectrum) == pytest.approx(nesterov, **close)


@given(lr=lrs, spectrum=spectra)
def test_all_are_gradient_descent_without_momentum(lr: float, spectrum: list[float]) -> None:
    """With momentum 0 the three rates are one."""
    plain = gradient_descent_rate(lr, spectrum)
    assert heavy_ball_rate(lr, 0.0, spectrum) == pytest.approx(plain)
    assert nesterov_rate(lr, 0.0, spectrum) == pytest.approx(plain)


@pytest.mark.parametrize("condition", [2.0, 25.0, 1000.0])
@pytest.mark.parametrize(
    ("best", "rate"),
    [
        (best_gradient_descent, lambda lr, _, spectrum: gradient_descent_rate(lr, spectrum)),
        (best_heavy_ball, heavy_ball_rate),
        (best_nesterov, nesterov_rate),
    ],
)
def test_the_best_tuning_reaches_its_rate_and_no_other_beats_it(
    best: Callable[[float, float], Tuning], rate: Rate, condition: float
) -> None:
    """The stated rate is that of the stated tuning, and of a fine grid the lowest."""
    tuning = best(condition, 1.0)
    spectrum = np.linspace(1.0, condition, 30).tolist()
    # the best tuning makes double roots, which half the digits of the rate depend on
    assert rate(tuning.lr, tuning.momentum, spectrum) == pytest.approx(tuning.rate, abs=1e-7)
    around = np.linspace(0.5, 1.5, 41)
    momenta = [0.0] if tuning.momentum == 0 else np.linspace(0.0, 0.999, 60).tolist()
    others = [rate(float(a) * tuning.lr, b, spectrum) for a in around for b in momenta]
    assert min(others) > tuning.rate - 1e-7


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(("lr", "momentum"), [(0.05, 0.5), (0.15, 0.3), (0.1, 0.9)])
def test_torch_converges_at_the_rate(lr: float, momentum: float, nesterov: bool) -> None:
    """Over 400 steps torch's SGD shrinks the error by the rate's power, within 2 %."""
    eigenvalues = torch.tensor([1.0, 3.0, 10.0], dtype=torch.float64)
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=lr, momentum=momentum, nesterov=nesterov)
    sizes = []
    for _ in range(400):
        optimizer.zero_grad()
        (0.5 * eigenvalues * x.square()).sum().backward()
        optimizer.step()
        sizes.append(x.detach().norm().item())
    rate = (nesterov_rate if nesterov else heavy_ball_rate)(lr, momentum, eigenvalues.tolist())
    # complex roots make the size oscillate: compare the peaks of two windows
    measured = (max(sizes[360:]) / max(sizes[160:200])) ** (1 / 200)
    assert measured == pytest.approx(rate, rel=0.02)
