"""Every family of gradient noise is what its formula says, and leaves the value alone.

Statistical checks use fixed seeds, so their outcome is reproducible; the bound |z| < 5
would fail for one in 1.7 million fresh choices of seeds in each check.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.base import Goal
from ravine.problems.catalogue import analytic

SEEDS = list(range(64))
STEPS = range(640)

FAMILIES = (
    "gaussian_noise(scale=0.3)",
    "multiplicative_noise(scale=0.5)",
    "cauchy_noise(scale=0.2)",
    "mask_out(probability=0.3)",
    "sparse_gradient(density=0.2)",
    "autocorrelated_noise(scale=0.3, memory=8)",
    "burst_noise(scale=0.1, outlier=2.0, probability=0.2)",
)


def drawn(problem: Analytic, part: str, steps: range = STEPS) -> np.ndarray:
    """The first coordinate's draws, `[steps, seeds]`; other coordinates may share a scale."""
    return np.stack([problem.batch(SEEDS, t)[part][:, 0].numpy() for t in steps])


def z_score(sample: np.ndarray, mean: float, variance: float) -> float:
    """How many standard errors the mean of independent numbers is off."""
    return float((sample.mean() - mean) / math.sqrt(variance / sample.size))


def normal(scale: float) -> tuple[float, float]:
    """Variance and fourth central moment."""
    return scale**2, 3 * scale**4


def two_values(gap: float, probability: float) -> tuple[float, float]:
    """The same, of a number that is larger by the gap with the probability."""
    pq = probability * (1 - probability)
    return gap**2 * pq, gap**4 * pq * (1 - 3 * pq)


@pytest.mark.parametrize(
    ("id", "part", "mean", "moments"),
    [
        ("gaussian_noise(scale=0.3)", "offset", 0.0, normal(0.3)),
        ("multiplicative_noise(scale=0.5)", "multiplier", 1.0, normal(0.5)),
        ("mask_out(probability=0.3)", "multiplier", 0.7, two_values(1.0, 0.7)),
        ("sparse_gradient(density=0.2)", "multiplier", 1.0, two_values(5.0, 0.2)),
        (
            "burst_noise(scale=0.1, outlier=2.0, probability=0.2)",
            "offset",
            0.0,
            (0.8 * 0.1**2 + 0.2 * 2.0**2, 3 * (0.8 * 0.1**4 + 0.2 * 2.0**4)),
        ),
        ("noisy_quadratic(dim=3, batch=4)", "offset", 0.0, normal(0.5)),
        ("reddi", "multiplier", 1.0, two_values(5100.0, 0.01)),
    ],
)
def test_mean_and_variance(id: str, part: str, mean: float, moments: tuple[float, float]) -> None:
    """Mean and variance of the draws are those of the definition (two checks, |z| < 5)."""
    variance, fourth = moments
    sample = drawn(analytic(id), part)
    assert abs(z_score(sample, mean, variance)) < 5
    assert abs(z_score((sample - mean) ** 2, variance, fourth - variance**2)) < 5


def test_cauchy_noise_has_its_quartiles_and_its_tails() -> None:
    """Half lies within the scale, and 1/pi atan(1/20) twice beyond 20 scales (|z| < 5)."""
    sample = drawn(analytic("cauchy_noise(scale=0.2)"), "offset")
    for bound, share in ((1.0, 0.5), (20.0, 2 / math.pi * math.atan(1 / 20))):
        beyond = np.abs(sample) > 0.2 * bound
        assert abs(z_score(beyond, share, share * (1 - share))) < 5
    assert abs(z_score(sample > 0, 0.5, 0.25)) < 5


@pytest.mark.parametrize("lag", [0, 1, 3, 7, 8, 20])
def test_autocorrelated_noise_remembers(lag: int) -> None:
    """The covariance at a distance of k steps is s^2 max(0, 1 - k/m) (|z| < 5).

    Pairs begin 40 steps apart, so that they are independent, and some of them lie on both
    sides of the border of a block of draws.
    """
    sample = drawn(analytic("autocorrelated_noise(scale=0.3, memory=8)"), "offset")
    first = sample[:-20:40]
    second = sample[lag::40][: len(first)]
    correlation = max(0.0, 1 - lag / 8)
    spread = 0.3**4 * (1 + correlation**2)
    assert abs(z_score(first * second, 0.3**2 * correlation, spread)) < 5


@pytest.mark.parametrize("id", FAMILIES)
def test_steps_seeds_and_coordinates_are_independent(id: str) -> None:
    """Neighbouring seeds, coordinates and (without memory) steps do not correlate (|z| < 5)."""
    problem = analytic(id)
    (part,) = problem.batch([0], 0)
    draws = np.stack([problem.batch(SEEDS, t)[part].numpy() for t in STEPS])
    if "cauchy" in id or "burst" in id:
        draws = np.sign(draws)  # a Cauchy number has no variance, and a burst is shared
    if "autocorrelated" in id:
        draws = draws[::8]
    draws = (draws - draws.mean()) / draws.std()
    for one, other in (
        (draws[:, ::2, 0], draws[:, 1::2, 0]),
        (draws[:, :, 0], draws[:, :, 1]),
        (draws[::2, :, 0], draws[1::2, :, 0]),
    ):
        assert abs(z_score(one * other, 0.0, 1.0)) < 5


@pytest.mark.parametrize("id", FAMILIES)
@given(seed=st.integers(0, 1000), step=st.integers(0, 300))
def test_draws_are_a_function_of_problem_seed_and_step(id: str, seed: int, step: int) -> None:
    """The same draw comes back alone, beside other seeds, and from a problem made anew."""
    beside = analytic(id).batch([seed + 1, seed, 0], step)
    alone = analytic(id).batch([seed], step)
    for part, values in alone.items():
        assert torch.equal(values[0], beside[part][1])


@pytest.mark.parametrize("id", FAMILIES)
def test_every_problem_has_draws_of_its_own(id: str) -> None:
    """The same family over another base does not repeat the base's noise."""
    one, other = analytic(id), analytic(id.replace("(", "(matyas, ", 1))
    (part,) = one.batch([0], 0)
    draws = [torch.stack([p.batch([0], t)[part][0, 0] for t in range(64)]) for p in (one, other)]
    assert not torch.equal(*draws)


@pytest.mark.parametrize("id", FAMILIES)
def test_the_gradient_is_disturbed_and_the_value_is_not(id: str) -> None:
    """Value: the base's. Gradient: multiplier * g + offset, of the stack at once."""
    problem = analytic(id)
    x = torch.randn(5, 3, problem.dim, dtype=torch.float64, generator=torch.manual_seed(0))
    x.requires_grad_()
    data = problem.batch([4, 5, 6], 9)
    value = problem.loss({"x": x}, data)
    clean = problem.f(x)
    assert torch.equal(value, clean)
    (got,) = torch.autograd.grad(value.sum(), x)
    (gradient,) = torch.autograd.grad(clean.sum(), x)
    want = data.get("multiplier", 1) * gradient + data.get("offset", 0)
    assert torch.equal(got, want)
    assert not torch.equal(got, gradient)


@pytest.mark.parametrize("id", FAMILIES)
def test_what_a_noisy_problem_says_of_itself(id: str) -> None:
    """It is stochastic, keeps its minimum, and is held to gaps that noise allows."""
    problem = analytic(id)
    assert problem.traits.stochastic
    assert problem.facts.minimum == 0.0
    assert problem.facts.goal is Goal.MINIMUM
    assert min(problem.facts.targets) >= 1e-3


def test_quantised_gradients_are_on_the_grid() -> None:
    """Every entry is the nearest multiple of the quantum, and the value is exact."""
    problem = analytic("quantised(ellipsoid, quantum=0.25)")
    x = torch.randn(20, 4, dtype=torch.float64, generator=torch.manual_seed(0)).requires_grad_()
    value = problem.loss({"x": x}, problem.batch([0], 0))
    assert torch.equal(value, problem.f(x))
    (got,) = torch.autograd.grad(value.sum(), x)
    (gradient,) = torch.autograd.grad(problem.f(x).sum(), x)
    assert torch.equal(got, torch.round(got * 4) / 4)
    assert (got - gradient).abs().max() <= 0.125
    assert not problem.traits.stochastic


def test_wrappers_nest() -> None:
    """A multiplier and an offset combine in either order; two offsets are refused."""
    inner = "mask_out(sphere, probability=0.3)"
    both = analytic(f"gaussian_noise({inner}, scale=0.2)")
    turned = analytic("mask_out(gaussian_noise(sphere, scale=0.2), probability=0.3)")
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    for problem in (both, turned):
        data = {k: v[0] for k, v in problem.batch([3], 5).items()}
        (got,) = torch.autograd.grad(problem.loss({"x": x}, data), x)
        assert torch.equal(got, data["multiplier"] * 2 + data["offset"])
    with pytest.raises(BadValue, match="has a noisy offset already"):
        analytic("cauchy_noise(gaussian_noise(sphere))")
    with pytest.raises(BadValue, match="is quantised already"):
        analytic("quantised(quantised(sphere))")


@pytest.mark.parametrize("lr", [0.05, 0.2, 0.5])
def test_plain_descent_ends_in_the_cloud_that_theory_predicts(lr: float) -> None:
    """On the sphere each coordinate's variance tends to lr s^2 / (4 (1 - lr)) (|z| < 5).

    So the loss that a constant rate ends with grows with the rate.
    """
    problem = analytic("gaussian_noise(sphere, scale=0.5)")
    seeds = list(range(512))
    x = torch.stack([problem.start(s)["x"] for s in seeds]).requires_grad_()
    optimizer = torch.optim.SGD([x], lr=lr)
    for step in range(int(6 / lr) + 20):
        optimizer.zero_grad()
        problem.loss({"x": x}, problem.batch(seeds, step)).sum().backward()
        optimizer.step()
    variance = lr * 0.5**2 / (4 * (1 - lr))
    assert abs(z_score(problem.f(x).detach().numpy(), 2 * variance, 4 * variance**2)) < 5


@pytest.mark.parametrize(
    "id",
    [
        "gaussian_noise(scale=0.0)",
        "cauchy_noise(scale=-1.0)",
        "mask_out(probability=1.0)",
        "sparse_gradient(density=0.0)",
        "sparse_gradient(density=1.5)",
        "autocorrelated_noise(memory=1)",
        "autocorrelated_noise(memory=65)",
        "burst_noise(probability=2.0)",
        "quantised(quantum=0.0)",
        "reddi(probability=0.001)",
        "noisy_quadratic(batch=0)",
    ],
)
def test_arguments_outside_their_domain(id: str) -> None:
    """A value that makes no noise, or no sense, is refused."""
    with pytest.raises(BadValue, match="must be"):
        analytic(id)


@pytest.mark.parametrize(
    "name", ["gaussian_noise", "multiplicative_noise", "cauchy_noise", "quantised", "mask_out"]
)
def test_the_hessian_is_without_noise(name: str) -> None:
    """Noise disturbs the gradient; the gradient's own derivative is that of the plain formula."""
    noisy, clean = analytic(f"{name}(rosenbrock)"), analytic("rosenbrock")
    x = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    data = {key: value[0] for key, value in noisy.batch([3], 5).items()}
    assert data or name == "quantised"

    def rows(loss: torch.Tensor) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return torch.stack([torch.autograd.grad(g, x, retain_graph=True)[0] for g in gradient])

    disturbed = rows(noisy.loss({"x": x}, data))
    assert torch.equal(disturbed, rows(clean.loss({"x": x}, {})))
