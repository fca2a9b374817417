"""Closed forms and second implementations of what the difficulties' experiments compute."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from ravine.experiments.d2l import (
    convexity,
    copies,
    dimension,
    kinds,
    minima,
    plateau,
    risk,
    saddle,
)
from ravine.experiments.running import only
from ravine.landscape.operators import hessians
from ravine.landscape.sources import surface
from ravine.landscape.surface import loss
from ravine.problems.catalogue import analytic, problem
from ravine.problems.draws import generator


@given(x=st.floats(0, 5))
def test_plateau_time_solves_the_flow(x: float) -> None:
    """The time from x down to 0 is the integral of 1 / slope."""
    expected, _ = integrate.quad(lambda s: 1 / (1 - math.tanh(s) ** 2), 0, x)
    assert plateau.plateau_time(x) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(power=st.floats(0.5, 15), rate=st.floats(0.01, 0.3))
def test_leaving_time_counts_the_steps_of_a_loop(power: float, rate: float) -> None:
    """The closed form is what doubling by hand comes to, but for a tie in rounding."""
    push = 10.0**-power
    y, steps = push, 0
    while y < 1 - 1e-9:
        y, steps = y + rate * 2 * y, steps + 1
    (found,) = saddle.leaving_time(np.array([push]), rate)
    assert abs(found - steps) <= (1 if abs(y - 1) < 1e-6 else 0)


def test_first_falls_are_those_of_a_loop() -> None:
    """On x^2 - y^2 from (1, 0.1) descent at 0.1 is below -1 when a plain loop is."""
    (found,), _ = saddle.first_falls(
        [analytic("saddle")], {"sgd": only("sgd(lr=0.1)")}, [0, 1], 200
    )
    for seed in (0, 1):
        x, y = analytic("saddle").start(seed)["x"].tolist()
        steps = 0
        while x * x - y * y > -1:
            x, y, steps = x - 0.2 * x, y + 0.2 * y, steps + 1
        assert found[0, seed] == steps


def test_layer_gradients_are_those_of_backward() -> None:
    """A linear perceptron of two layers, differentiated by hand."""
    id = "deep_mlp(depth=2, width=8, activation=tanh, init=xavier)"
    net = problem(id)
    rows = plateau.layer_gradients(id, [3])
    ground = surface(net, seed=3, examples=256)
    point = {n: p.double().requires_grad_() for n, p in net.start(3).items()}
    inputs, targets = (ground.parts[0].data[n] for n in ("inputs", "targets"))
    hidden = torch.tanh(inputs.double() @ point["0.weight"].T + point["0.bias"])
    outputs = hidden @ point["1.weight"].T + point["1.bias"]
    torch.nn.functional.cross_entropy(outputs, targets.long()).backward()
    slopes = [point[f"{k}.weight"].grad for k in (0, 1)]
    assert rows[0] == pytest.approx([float(s.norm()) for s in slopes if s is not None], rel=1e-4)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_pivots_say_what_eigenvalues_say(n: int) -> None:
    """A matrix has as many positive eigenvalues as its elimination has positive pivots."""
    (m,) = dimension.gaussian(n, 20_000)
    counts = (np.linalg.eigvalsh(m.transpose(2, 0, 1)) > 0).sum(1)
    assert np.array_equal(dimension.positives(m), counts)


def test_gaussian_matrices_have_the_variances_of_the_ensemble() -> None:
    """2 on the diagonal and 1 off it, to 6 standard errors; uniform entries are symmetric."""
    (m,) = dimension.gaussian(3, 50_000)
    assert np.array_equal(m, m.transpose(1, 0, 2))
    error = 6 * math.sqrt(2 / 50_000)
    assert abs(m[1, 1].var() / 2 - 1) < error
    assert abs(m[0, 2].var() - 1) < error
    (u,) = dimension.uniform(3, 10)
    assert np.array_equal(u, u.transpose(1, 0, 2))


@pytest.mark.parametrize("n", [2, 3])
def test_exact_probabilities_are_integrals_of_the_density(n: int) -> None:
    """Of |product of differences| exp(-sum of squares / 4) over the positive orthant."""
    # a rule of its own for either half line; kinks where two are equal cost it 3e-3
    x, w = (4.5 * half for half in np.polynomial.legendre.leggauss(60))
    x, w = np.concatenate([x - 4.5, x + 4.5]), np.concatenate([w, w])
    axes = np.meshgrid(*[x] * n, indexing="ij")
    weights = np.prod(np.meshgrid(*[w] * n, indexing="ij"), 0)
    gaps = [np.abs(axes[i] - axes[j]) for i in range(n) for j in range(i)]
    density = np.prod(gaps, 0) * np.exp(-np.sum(np.square(axes), 0) / 4) * weights
    positive = np.all(np.array(axes) > 0, 0)
    share = density[positive].sum() / density.sum()
    assert share == pytest.approx(dimension.EXACT[n], rel=5e-3)


def test_second_differences_are_curvatures() -> None:
    """On x^2 - y^2 along the axes they are 2 r^2 and -2 r^2."""
    ways = torch.eye(2, dtype=torch.float64)[None]
    bends = kinds.second_differences(
        analytic("saddle"), torch.zeros(1, 2, dtype=torch.float64), ways, 0.1
    )
    assert bends[0].tolist() == pytest.approx([0.02, -0.02])


def test_minibatch_slopes_have_no_mean_and_the_stated_spread() -> None:
    """So the mean of all examples is the wave itself."""
    slopes = minima.example_slopes()
    assert abs(slopes.mean()) < 1e-12
    assert slopes.std() == pytest.approx(minima.SPREAD)


def test_noise_of_a_batch_falls_as_its_root() -> None:
    """In batches of 16 the offsets have a quarter of the spread of single examples."""
    noise = minima.from_local_minimum(16).noise
    assert noise is not None
    assert noise.offset is not None
    draws = noise.offset(np.random.default_rng(0), 20_000, 1)
    assert draws.shape == (20_000, 1)
    assert draws.std() == pytest.approx(minima.SPREAD / 4, rel=0.03)


def test_empirical_minimum_is_that_of_a_loop() -> None:
    """One sample is drawn again and minimised by evaluating the mean of its examples."""
    place, excess, optimism = risk.minimised(25, 3, 1)
    draws = generator("sample", 25, 1).standard_normal((3, 25, 2))
    x = np.linspace(-1, 2, 3001)
    base = x * np.cos(np.pi * x)
    for k, sample in enumerate(draws):
        waves = [a * np.cos(5 * np.pi * x) + b * np.sin(5 * np.pi * x) for a, b in sample]
        seen = base + np.mean(waves, 0)
        lowest = int(seen.argmin())
        assert place[k] == x[lowest]
        assert excess[k] == pytest.approx(base[lowest] - base.min())
        assert optimism[k] == pytest.approx(base[lowest] - seen.min())


def test_copies_of_a_minimum_have_one_function() -> None:
    """Two tanh units: two exchanges, eight copies with signs, outputs equal by hand."""
    (place, *_) = copies.minima(2, 1)
    found = copies.orbit(2, place)
    assert (found.exchanged, found.flipped, found.others) == (2, 8, 0)
    inputs = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def outputs(x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(inputs @ x[:4].view(2, 2).T + x[4:6])
        return hidden @ x[6:8] + x[8]

    one, two = found.places
    assert not torch.equal(one, two)
    torch.testing.assert_close(outputs(one), outputs(two))


def test_different_points_ignore_rounding() -> None:
    """A point and itself but for the last bits are one."""
    points = torch.tensor([[1.0, 2.0], [1.0 + 1e-12, 2.0], [2.0, 1.0]], dtype=torch.float64)
    assert copies.different(points) == 2


def test_reparametrised_surface_is_the_same_function() -> None:
    """In either coordinates the loss at the starts is equal, and the minimum is as listed."""
    raw, logs = (convexity.reparametrised(way, 20) for way in (True, False))
    values = [
        loss(surface(way), torch.tensor(way.places, dtype=torch.float64)) for way in (raw, logs)
    ]
    torch.testing.assert_close(*values)
    t = 108 ** (-1 / 6)
    u, v = 1 / (6 * t * t), 1 / (3 * t)
    at = torch.tensor([[u, v]], dtype=torch.float64)
    assert float(loss(surface(raw), at)) == pytest.approx(math.log(u * u * v + v / u + 1 / v))
    assert raw.facts.minimum == pytest.approx(float(loss(surface(raw), at)))


def test_lowest_is_relative_to_the_largest_in_size() -> None:
    """A flat point has nothing negative."""
    rows = torch.tensor([[-4.0, 2.0], [1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    assert convexity.lowest(rows).tolist() == [-1.0, 0.5, 0.0]


@pytest.mark.parametrize(("depth", "wanted"), [(2, [-1, 1]), (3, [0] * 3), (4, [0] * 4)])
def test_eigenvalues_of_linear_layers_at_the_origin(depth: int, wanted: list[int]) -> None:
    """-1 and 1 for two layers; for more, every second derivative vanishes."""
    ground = surface(kinds.linear_layers(depth))
    (bend,) = hessians(ground, torch.zeros(1, depth, dtype=torch.float64))
    assert torch.linalg.eigvalsh(bend).tolist() == pytest.approx(wanted, abs=1e-14)
