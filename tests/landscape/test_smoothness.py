"""Santurkar's measures along the gradient: closed forms, properties, and a second computation."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from ravine.engine.walk import walk
from ravine.errors import BadValue
from ravine.landscape.smoothness import (
    MEASURES,
    batch_surfaces,
    rates_around,
    smoothness,
    smoothness_along,
)
from ravine.landscape.sources import surface
from ravine.landscape.surface import Part, Surface, loss_and_gradient
from ravine.optimizers import Setting
from ravine.optimizers.catalogue import method
from ravine.problems import problem
from ravine.problems.modules.module import ModuleProblem

RATES = (0.05, 0.1, 0.2, 0.4)


def bowl(curvatures: torch.Tensor) -> Surface:
    """f(x) = sum_i h_i x_i^2 / 2."""
    return Surface(
        name="bowl",
        shapes={"x": tuple(curvatures.shape)},
        parts=(Part({}),),
        mean=lambda point, data, moments: (curvatures * point["x"].square()).sum(-1) / 2,
    )


curvatures = st.lists(st.floats(0.01, 3.0), min_size=1, max_size=6)


@given(curvatures, st.integers(0, 1000))
def test_a_quadratic_has_all_three_in_closed_form(h: list[float], seed: int) -> None:
    """On x'Hx/2 with g = Hx the changes are r |Hg|, beta is |Hg|/|g| within the spectrum."""
    matrix = torch.tensor(h, dtype=torch.float64)
    x = torch.randn(len(h), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    g = matrix * x
    found = smoothness(bowl(matrix), x, RATES)
    bent = torch.linalg.vector_norm(matrix * g).item()
    length = torch.linalg.vector_norm(g).item()
    assert found.gradient_norm == pytest.approx(length, rel=1e-12)
    assert found.changes == pytest.approx([r * bent for r in RATES], rel=1e-9)
    assert found.predictiveness == pytest.approx(0.4 * bent, rel=1e-9)
    assert found.beta == pytest.approx(bent / length, rel=1e-9)
    assert min(h) * (1 - 1e-9) <= found.beta <= max(h) * (1 + 1e-9)
    gg, ghg = (g @ g).item(), (g @ (matrix * g)).item()
    losses = [found.loss - r * gg + r * r * ghg / 2 for r in RATES]
    assert found.losses == pytest.approx(losses, rel=1e-9, abs=1e-12)
    assert found.loss_range == pytest.approx(max(losses) - min(losses), rel=1e-6, abs=1e-12)


def test_a_flat_point_is_smooth() -> None:
    """Where the gradient is zero, nothing changes, and no measure is NaN."""
    found = smoothness(bowl(torch.ones(3, dtype=torch.float64)), torch.zeros(3).double(), RATES)
    assert (found.loss_range, found.predictiveness, found.beta) == (0.0, 0.0, 0.0)


def test_the_stack_of_steps_is_each_step_alone() -> None:
    """A deep network with batch normalisation: one stack gives what a loop over steps gives."""
    deep = problem("deep_mlp(depth=4, width=8, norm=batch, activation=tanh)")
    ground = batch_surfaces(deep, seed=2)(7)
    assert ground.batch_norm == "batch"
    x = torch.cat([p.flatten() for p in deep.start(2).values()]).double()
    found = smoothness(ground, x, RATES)
    value, g = loss_and_gradient(ground, x)
    for i, rate in enumerate(RATES):
        value, slope = loss_and_gradient(ground, x - rate * g)
        assert found.losses[i] == pytest.approx(value.item(), rel=1e-10)
        assert found.changes[i] == pytest.approx((slope - g).norm().item(), rel=1e-8)


def test_along_a_run_each_point_is_measured_on_its_own_batch_and_loss() -> None:
    """The losses are those that the run descended, batch by batch, dropout masks and all."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 4), torch.randint(3, (64,))

    def net() -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3)
        )

    user = ModuleProblem(net, (x, y), functional.cross_entropy, batch_size=16, budget=12)
    sgd = Setting(method("sgd(lr=0.1)"))
    for source in (user, problem("mnist_mlp(widths=(8,))"), problem("gaussian_noise")):
        way = walk(source, sgd, 1, 12, keep=(0, 3, 7))
        path = smoothness_along(source, way, 0.1)
        assert path.steps == (0, 3, 7, 12)
        assert [m.loss for m in path.measures] == pytest.approx(way.losses, rel=1e-5)
        assert all(m.rates[0] == 0.05 and m.rates[-1] == 0.4 for m in path.measures)
        again = smoothness_along(source, way, 0.1)
        assert again.measures == path.measures
        assert path.frame().height == 4


def test_where_a_run_diverged_is_left_out() -> None:
    """The point at which a run left all bounds is not measured; the record says when it was."""
    steep = problem("sphere(dim=2)")
    way = walk(steep, Setting(method("sgd(lr=10.0)")), 0, 100, keep=tuple(range(100)))
    path = smoothness_along(steep, way, 10.0)
    assert path.diverged == way.diverged is not None
    assert path.steps == way.steps[:-1]


def test_rates_cover_half_to_four_times_the_learning_rate() -> None:
    """Both ends are exact and the steps between have one ratio; nonsense is refused."""
    rates = rates_around(0.3)
    assert (rates[0], rates[-1], len(rates)) == (0.15, 1.2, 8)
    ratios = [b / a for a, b in pairwise(rates)]
    assert ratios == pytest.approx([8 ** (1 / 7)] * 7)
    with pytest.raises(BadValue, match="a positive rate"):
        rates_around(0.0)
    with pytest.raises(BadValue, match="`rates` must be positive"):
        smoothness(bowl(torch.ones(1)), torch.ones(1), (0.1, -0.1))


@pytest.mark.slow
def test_batch_normalisation_smooths_a_deep_network() -> None:
    """At the same rate, all three medians over the run are smaller with batch normalisation.

    The seed is fixed, hence no false alarms.
    """
    plain, norm = {}, {}
    for id, medians in (("deep_plain_20", plain), ("deep_norm_20", norm)):
        net = problem(id)
        way = walk(net, Setting(method("sgd(lr=0.1)")), 0, 150, keep=tuple(range(0, 151, 15)))
        frame = smoothness_along(net, way, 0.1).frame()
        medians |= {name: frame[name].median() for name in MEASURES}
    assert norm["loss_range"] < 0.3 * plain["loss_range"]
    assert norm["predictiveness"] < 0.6 * plain["predictiveness"]
    assert norm["beta"] < plain["beta"]


def test_a_surface_of_a_step_has_the_problems_noise() -> None:
    """Two steps of a noisy formula differ, from each other and from the surface without noise."""
    noisy = problem("gaussian_noise")
    at = batch_surfaces(noisy, 0)
    x = torch.cat([p.flatten() for p in noisy.start(0).values()])
    first, second = (loss_and_gradient(at(step), x)[1] for step in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, loss_and_gradient(at(0), x)[1])
    clean = loss_and_gradient(surface(noisy, seed=0), x)[1]
    assert not torch.equal(first, clean)
