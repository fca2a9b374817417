"""Problems about which a theorem speaks, and methods that do what it says.

Statistical checks use fixed seeds, so their outcome is reproducible; the bound |z| < 5
would fail for one in 1.7 million fresh choices of seeds in each check.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import analytic
from ravine.problems.formulas.rates import best_heavy_ball, gradient_descent_rate
from ravine.problems.formulas.theory import expected_loss, steady_loss

Make = Callable[[list[Tensor]], torch.optim.Optimizer]


def descend(
    problem: Analytic, make: Make, steps: int, x: Float[Tensor, "*seeds n"]
) -> Iterable[Float[Tensor, "*seeds n"]]:
    """The plain loop: the points after each step, from x on; its rows are the seeds 0, 1, ..."""
    x = x.clone().requires_grad_()
    optimizer = make([x])
    for step in range(steps):
        data = problem.batch(range(len(x)), step)
        optimizer.zero_grad()
        problem.loss({"x": x}, data).sum().backward()
        optimizer.step()
        if problem.traits.box is not None:
            with torch.no_grad():
                x.clamp_(*problem.traits.box[0])
        yield x.detach().clone()


def starts(problem: Analytic, seeds: int) -> Float[Tensor, "seeds n"]:
    """The starts of the first seeds."""
    return torch.stack([problem.start(seed)["x"] for seed in range(seeds)])


def sgd(lr: float, momentum: float = 0.0, nesterov: bool = False) -> Make:
    """Plain descent, heavy ball or Nesterov's method."""
    return lambda x: torch.optim.SGD(x, lr=lr, momentum=momentum, nesterov=nesterov)


@given(spectrum=st.lists(st.floats(0.1, 100.0), min_size=1, max_size=4))
def test_gradient_descent_converges_exactly_below_its_threshold(spectrum: list[float]) -> None:
    """On a quadratic: below 2 / lambda_max every step shrinks the error, above none does."""
    problem = analytic(f"quadratic(eigenvalues={tuple(spectrum)!r})")
    steepest = int(np.argmax(spectrum))
    for factor, converges in ((0.999, True), (1.001, False)):
        lr = factor * 2 / max(spectrum)
        x = torch.ones(1, len(spectrum), dtype=torch.float64)
        *_, before, after = descend(problem, sgd(lr), 3, x)
        assert (abs(after[0, steepest]) < abs(before[0, steepest])) == converges
        assert (gradient_descent_rate(lr, spectrum) < 1) == converges


def test_plain_descent_has_the_expected_loss_at_every_step() -> None:
    """On the noisy quadratic: the mean over 1000 seeds, at five steps (|z| < 5 each)."""
    problem = analytic("noisy_quadratic(dim=6, batch=2)")
    x = starts(problem, 1000)
    expected = np.array([expected_loss(row, 0.8, 100, batch=2) for row in x.tolist()])
    path = dict(enumerate(descend(problem, sgd(0.8), 100, x), 1))
    for step in (1, 3, 10, 30, 100):
        off = problem.f(path[step]).numpy() - expected[:, step]
        assert abs(off.mean() / (off.std(ddof=1) / math.sqrt(1000))) < 5


@given(lr=st.floats(0.01, 1.9), dim=st.integers(1, 5), batch=st.integers(1, 8))
def test_the_expected_loss_tends_to_the_steady_loss(lr: float, dim: int, batch: int) -> None:
    """The recursion's limit is the closed form, from any start."""
    limit = steady_loss(dim, lr, batch)
    contraction = gradient_descent_rate(lr, [1 / i for i in range(1, dim + 1)])
    steps = int(15 / -math.log(contraction)) + 5 if contraction > 0 else 5
    assert expected_loss([1.0] * dim, lr, steps, batch)[-1] == pytest.approx(limit, rel=1e-6)


def adam(lr: float, betas: tuple[float, float], amsgrad: bool) -> Make:
    """Adam or AMSGrad."""
    return lambda x: torch.optim.Adam(x, lr=lr, betas=betas, amsgrad=amsgrad)


@pytest.mark.slow
def test_adam_goes_to_the_worst_point_and_amsgrad_to_the_best() -> None:
    """The stochastic example of theorem 3, all of 32 seeds; plain descent agrees with AMSGrad."""
    problem = analytic("reddi(large=5.0, small=1.0, probability=0.25)")
    betas = (0.0, 1 / 26)
    ends = {}
    for name, make in (
        ("adam", adam(0.01, betas, amsgrad=False)),
        ("amsgrad", adam(0.01, betas, amsgrad=True)),
        ("sgd", sgd(0.003)),
    ):
        *_, ends[name] = descend(problem, make, 2000, starts(problem, 32))
    assert ends["adam"].min() > 0.8
    assert ends["amsgrad"].max() < -0.5
    assert ends["sgd"].max() < -0.5


@pytest.mark.slow
def test_adam_drifts_to_the_worst_point_on_the_papers_example() -> None:
    """With 1010 x and -10 x, 64 seeds: Adam's mean is near +1, AMSGrad's is not (|z| > 5).

    AMSGrad's way to -1 takes millions of steps; that it does not drift up is what shows.
    """
    problem = analytic("reddi")
    ends = {}
    for amsgrad in (False, True):
        make = adam(0.03, (0.9, 0.99), amsgrad)
        path = list(descend(problem, make, 4000, starts(problem, 64)))
        ends[amsgrad] = torch.stack(path[-1000:]).mean(0)[:, 0].numpy()
    difference = ends[False] - ends[True]
    assert ends[False].mean() > 0.5
    assert ends[True].mean() < 0.4
    assert difference.mean() / (difference.std(ddof=1) / 8) > 5


def test_the_heavy_ball_cycles_where_gradient_descent_and_nesterov_converge() -> None:
    """With the tuning that is best for L = 25, m = 1: a cycle of period 3, from every start."""
    problem = analytic("lessard")
    x = starts(problem, 20)
    assert ((x >= 3.07) & (x <= 3.46)).all()
    tuning = best_heavy_ball(25.0, 1.0)
    path = list(descend(problem, sgd(tuning.lr, tuning.momentum), 500, x))
    assert torch.allclose(path[-1], path[-4], atol=1e-9)
    assert (path[-1] - path[-2]).abs().min() > 0.5
    *_, plain = descend(problem, sgd(2 / 26), 500, x)
    *_, nesterov = descend(problem, sgd(1 / 25, 2 / 3, nesterov=True), 500, x)
    assert plain.abs().max() < 1e-9
    assert nesterov.abs().max() < 1e-9


def test_no_method_beats_nesterovs_lower_bound() -> None:
    """From the origin f(x_k) - f* >= L/8 (1/(k+1) - 1/(n+1)), and conjugate gradients meet it.

    At k = (n - 1) / 2 this is above the better known 3 L |x_0 - x*|^2 / (32 (k + 1)^2).
    """
    problem = analytic("nesterov_worst_case(dim=41, smoothness=2.0)")
    (best,) = problem.facts.minimizers
    distance = sum(z * z for z in best)
    assert problem.facts.minimum is not None
    for make in (
        sgd(0.5),
        sgd(0.9),
        sgd(0.5, 0.8),
        sgd(0.5, 0.8, nesterov=True),
        lambda x: torch.optim.LBFGS(x, max_iter=1),
    ):
        x = torch.zeros(1, 41, dtype=torch.float64).requires_grad_()
        optimizer = make([x])

        def closure(x: Tensor = x, optimizer: torch.optim.Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = problem.f(x).sum()
            loss.backward()
            return loss

        for k in range(1, 21):
            optimizer.step(closure)
            gap = problem.f(x).item() - problem.facts.minimum
            assert gap >= 2.0 / 8 * (1 / (k + 1) - 1 / 42) - 1e-12
        assert gap >= 3 * 2.0 * distance / (32 * 21**2)
    matrix = torch.autograd.functional.hessian(problem.f, torch.zeros(41, dtype=torch.float64))
    x = torch.zeros(41, dtype=torch.float64)
    (residual,) = torch.autograd.grad(problem.f(x.requires_grad_()), x)
    x, residual = x.detach(), -residual
    direction = residual
    for k in range(1, 21):
        length = residual.dot(residual) / direction.dot(matrix @ direction)
        x = x + length * direction
        after = residual - length * (matrix @ direction)
        direction = after + after.dot(after) / residual.dot(residual) * direction
        residual = after
        gap = problem.f(x).item() - problem.facts.minimum
        assert gap == pytest.approx(2.0 / 8 * (1 / (k + 1) - 1 / 42), abs=1e-12)


def tube(x: list[float], tau: float, high: float, gamma: float) -> float:
    """The octopus of Du et al. (2017), equations (6) to (10), on its domain."""
    nu = 13 / 6 * gamma * tau**2 + 37 / 6 * high * tau**2
    size = [abs(z) for z in x]
    dim = len(x)
    settled = [i for i in range(dim) if size[i] > 2 * tau]
    i = len(settled)
    assert settled == list(range(i))
    value = sum(high * (z - 4 * tau) ** 2 - nu for z in size[:i])
    if i == dim:
        return value
    z = size[i]
    if z <= tau:
        return value - gamma * z**2 + high * sum(y * y for y in size[i + 1 :])
    value += -gamma * z**2 + (10 * gamma - 14 * high) / (3 * tau) * (z - tau) ** 3
    value += (5 * high - 3 * gamma) / (2 * tau**2) * (z - tau) ** 4
    if i + 1 < dim:
        u = (z - 2 * tau) / tau
        bend = -gamma - (high + gamma) * (10 * u**3 + 15 * u**4 + 6 * u**5)
        value += bend * size[i + 1] ** 2 + high * sum(y * y for y in size[i + 2 :])
    return value


@given(
    seed=st.integers(0, 10_000),
    settled=st.integers(0, 4),
    tau=st.floats(0.5, 3.0),
    gamma=st.floats(0.2, 2.0),
    ratio=st.floats(1.0, 4.0),
)
def test_the_octopus_is_the_papers_on_the_papers_domain(
    seed: int, settled: int, tau: float, gamma: float, ratio: float
) -> None:
    """On the tube the closed sum and the paper's cases agree, whatever the parameters."""
    random = np.random.default_rng(seed)
    high = gamma * ratio
    size = np.concatenate(
        [
            random.uniform(2 * tau, 6 * tau, settled),
            random.uniform(0, 2 * tau, 1),
            random.uniform(0, tau, 4 - settled),
        ]
    )[:4]
    x = (size * random.choice([-1, 1], 4)).tolist()
    problem = analytic(f"octopus(dim=4, tau={tau!r}, smoothness={high!r}, gamma={gamma!r})")
    value = problem.f(torch.tensor(x, dtype=torch.float64)).item()
    assert value == pytest.approx(tube(x, tau, high, gamma), rel=1e-9, abs=1e-9)


def test_the_octopus_is_twice_continuously_differentiable() -> None:
    """Across the seams at tau and 2 tau the Hessian does not jump."""
    problem = analytic("octopus(dim=3, tau=1.0)")
    for seam in (1.0, 2.0):
        for others in ((0.3, 0.2), (1.5, 0.4), (3.0, 1.2)):
            sides = [
                torch.autograd.functional.hessian(
                    problem.f, torch.tensor([seam + side, *others], dtype=torch.float64)
                )
                for side in (-1e-8, 1e-8)
            ]
            torch.testing.assert_close(sides[0], sides[1], rtol=1e-5, atol=1e-5)


def test_each_saddle_of_the_octopus_takes_longer_than_all_before() -> None:
    """Plain descent's time to pass saddle k grows by (L + gamma) / gamma = 3 at least each."""
    problem = analytic("octopus(dim=4)")
    path = torch.stack(list(descend(problem, sgd(1 / 8), 3000, starts(problem, 8))))
    passed = (path.abs() > 2 * math.e).double()
    assert passed[-1].all()
    first = passed.argmax(0).double()
    for seed in range(8):
        for k in range(1, 3):
            assert first[seed, k + 1] > 3 * first[seed, k]
    assert torch.equal(problem.f(path[-1]) < problem.facts.targets[-1], torch.ones(8) > 0)


def test_noise_takes_plain_descent_through_the_octopus() -> None:
    """With small gradient noise the fourth saddle takes no longer than a few of the first."""
    problem = analytic("gaussian_noise(octopus(dim=4), scale=0.01)")
    path = torch.stack(list(descend(problem, sgd(1 / 8), 300, starts(problem, 8))))
    assert (problem.f(path[-1]) < problem.facts.targets[-1]).all()


def test_every_other_critical_point_of_the_octopus_is_a_strict_saddle() -> None:
    """Newton searches from 200 points find minima and points of curvature -2 gamma or less."""
    problem = analytic("octopus(dim=2, gamma=1.5)")
    x = torch.from_numpy(np.random.default_rng(0).uniform(-6, 6, (200, 2)) * math.e)
    gradient = torch.func.vmap(torch.func.grad(problem.f))
    hessian = torch.func.vmap(torch.func.jacrev(torch.func.grad(problem.f)))
    for _ in range(50):
        x = x - (torch.linalg.pinv(hessian(x)) @ gradient(x).unsqueeze(-1)).squeeze(-1)
    found = x[gradient(x).norm(dim=-1) < 1e-9]
    lowest = torch.linalg.eigvalsh(hessian(found))[:, 0]
    assert ((lowest > 0) | (lowest <= -3 + 1e-6)).all()
    assert (lowest > 0).any()
    assert (lowest < 0).sum() > 20


@given(length=st.floats(1.0, 500.0), dim=st.integers(2, 5))
def test_the_loss_of_separable_data_has_no_minimum(length: float, dim: int) -> None:
    """Along the separating direction it falls below exp(-length / 4), and is never 0."""
    problem = analytic(f"separable_logistic(dim={dim})")
    x = torch.full((dim,), length / math.sqrt(dim), dtype=torch.float64).requires_grad_()
    value = problem.f(x)
    (gradient,) = torch.autograd.grad(value, x)
    assert 0 < value.item() <= math.exp(-length / 4)
    assert gradient.sum() < 0


def test_newtons_method_cycles_where_descent_converges() -> None:
    """From each start Newton's method ends in the cycle 0, 1; descent at the minimum."""
    problem = analytic("newton_cycle")
    for seed in range(5):
        x = problem.start(seed)["x"]
        visited = []
        for _ in range(100):
            point = x.clone().requires_grad_()
            hessian = torch.autograd.functional.hessian(problem.f, x)
            (gradient,) = torch.autograd.grad(problem.f(point), point)
            x = x - gradient / hessian[0, 0]
            visited.append(x.item())
        assert sorted(visited[-2:]) == pytest.approx([0.0, 1.0], abs=1e-9)
    *_, end = descend(problem, sgd(0.1), 500, starts(problem, 5))
    assert end.flatten().tolist() == pytest.approx([problem.facts.minimizers[0][0]] * 5)


@pytest.mark.parametrize(
    "id",
    [
        "quadratic(eigenvalues=())",
        "quadratic(eigenvalues=(1.0, 0.0))",
        "octopus(dim=1)",
        "octopus(smoothness=0.5, gamma=1.0)",
        "octopus(tau=0.0)",
        "reddi(probability=0.001)",
        "separable_logistic(dim=1)",
    ],
)
def test_arguments_outside_their_domain(id: str) -> None:
    """A value for which the theorem does not hold is refused."""
    with pytest.raises(BadValue, match="must be"):
        analytic(id)
