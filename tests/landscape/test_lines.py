"""The loss along a line is the loss at its points, and its profile says what shape it has."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from ravine.errors import BadValue
from ravine.landscape.along import interpolate
from ravine.landscape.lines import Alphas, Line, checked, line, lines, profile
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.surface import Part, Surface, accuracy, loss, unpack
from ravine.problems import problem
from ravine.problems.base import Point
from ravine.problems.networks.model import Moments

WIDE = np.linspace(-2, 2, 401)


def of(f: Callable[[Tensor], Tensor], dim: int, dtype: torch.dtype = torch.float64) -> Surface:
    """A formula of one vector as a surface."""
    return Surface(
        name="formula",
        shapes={"x": (dim,)},
        parts=(Part({}),),
        mean=lambda point, data, moments: f(point["x"]),
        dtype=dtype,
    )


def at(*x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


def product(x: Tensor) -> Tensor:
    return (x[..., 0] * x[..., 1] - 1) ** 2


def curve(f: Callable[[Tensor], Tensor], alphas: Alphas) -> Line:
    """The line along the only coordinate of f, whose alpha is that coordinate."""
    return line(of(lambda x: f(x[..., 0]), 1), at(0.0), at(1.0), alphas)


finite = st.floats(-3, 3)


@given(st.tuples(finite, finite), st.tuples(finite, finite))
def test_a_product_of_two_weights_has_a_quartic_along_every_line(
    a: tuple[float, float], b: tuple[float, float]
) -> None:
    """(w1 w2 - 1)^2 on a line is (p + q alpha + r alpha^2 - 1)^2 to 1e-12 of its size."""
    found = line(of(product, 2), at(*a), at(*b), WIDE)
    u, v = b[0] - a[0], b[1] - a[1]
    inner = a[0] * a[1] + (a[0] * v + a[1] * u) * WIDE + u * v * WIDE**2
    assert found.losses.numpy() == pytest.approx((inner - 1) ** 2, rel=1e-12, abs=1e-12 * 50)


def test_the_minima_of_a_line_lie_on_the_hyperbola() -> None:
    """Along (t, t) and along (t, 4t), w1 w2 = 1 at t = +-1 and t = +-1/2, with a hill at 0."""
    for slope in (1.0, 4.0):
        found = line(of(product, 2), at(0, 0), at(1, slope), np.linspace(-2, 2, 4001))
        root = 1 / math.sqrt(slope)
        shape = profile(found)
        assert shape.minima == pytest.approx((-root, root), abs=1e-9)
        assert shape.maxima == pytest.approx((0.0,), abs=1e-9)
        assert shape.lowest == pytest.approx(0.0, abs=1e-20)


def test_a_quadratic_is_convex_and_has_no_barrier() -> None:
    """Second divided differences are v' A v on any grid, and nothing rises above the chord."""
    matrix = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    bowl = of(lambda x: ((x @ matrix) * x).sum(-1) / 2, 2)
    uneven = np.sort(np.concatenate([[0.3, 0.301], np.geomspace(0.01, 1, 23), -WIDE[:50]]))
    for alphas in (WIDE, uneven):
        shape = profile(line(bowl, at(2, -1), at(0, 0), alphas))
        assert shape.convex
        assert shape.height == 0.0
        assert shape.bend == pytest.approx(10.0, rel=1e-6)  # (2, -1) A (2, -1)'
    # a straight line is convex, and so is a bowl seen from outside of its minimum
    shape = profile(curve(lambda t: 2 - t, WIDE))
    assert (shape.convex, shape.monotone, shape.minima) == (True, True, ())


def test_a_wave_has_as_many_minima_as_it_was_given() -> None:
    """The curve x cos(pi x) on [-4, 4]: its derivative's roots, minima and maxima in turn."""
    shape = profile(curve(lambda x: x * torch.cos(torch.pi * x), np.linspace(-4, 4, 80001)))
    expected = np.array([-3.0330, -1.0912, 0.2739, 2.0484])
    slope = np.cos(np.pi * np.array(shape.minima)) - np.pi * np.array(shape.minima) * np.sin(
        np.pi * np.array(shape.minima)
    )
    assert np.abs(slope).max() < 5e-3  # a root to half a step of 1e-4, at a curvature of 30
    assert len(shape.minima) + len(shape.maxima) == 8
    assert len(shape.minima) == len(expected)


def test_a_line_through_known_minima_counts_them() -> None:
    """Himmelblau through two of its minima: both are found, with the hill between them."""
    ground = surface(problem("himmelblau"))
    minima = [at(*x) for x in problem("himmelblau").facts.minimizers]  # type: ignore[attr-defined]
    for i in range(len(minima)):
        for j in range(i):
            shape = profile(line(ground, minima[i], minima[j], np.linspace(-0.5, 1.5, 201)))
            inside = [a for a in shape.minima if -0.01 < a < 1.01]
            assert {0.0, 1.0} <= set(inside)
            assert not shape.monotone
            assert shape.final_rise == pytest.approx(0.0, abs=1e-9)


def test_the_final_rise_counts() -> None:
    """A curve that falls and rises only at its very last step is not monotone."""
    found = curve(lambda t: torch.where(t < 0.995, 1 - t, 0.3 + 0 * t), np.linspace(0, 1, 101))
    shape = profile(found)
    assert shape.monotone is False
    assert shape.rise == pytest.approx(0.29)
    assert shape.final_rise == pytest.approx(0.29)
    slow = profile(curve(lambda t: (t - 0.8) ** 2, np.linspace(0, 1, 101)))
    assert slow.rise == pytest.approx(0.04)  # many small steps add up


def test_plateaus_are_one_minimum_and_the_ends_of_the_grid_are_none() -> None:
    """A flat floor counts once, by its middle; a floor that leaves the grid does not count."""
    floor = profile(curve(lambda t: (t.abs() - 0.5).clamp(min=0), np.linspace(-1, 1, 201)))
    assert floor.minima == (0.0,)
    outside = profile(curve(lambda t: (t - 0.5).clamp(min=0), np.linspace(-1, 1, 201)))
    assert outside.minima == outside.maxima == ()
    step = profile(curve(lambda t: -(t > 0.2).double(), np.linspace(-1, 2, 301)))
    assert (step.minima, step.monotone, step.convex) == ((), True, False)


def test_values_that_are_not_finite_are_kept_and_said() -> None:
    """Infinite and undefined losses stay in the record; the profile leaves them out."""
    found = curve(lambda t: torch.where(t > 0.5, torch.log(0.75 - t), t * t), WIDE)
    assert found.losses.isnan().any()
    shape = profile(found)
    assert shape.nonfinite == int((~found.losses.isfinite()).sum()) > 100
    assert shape.monotone is None
    assert shape.convex is None
    assert math.isnan(shape.height)
    assert shape.minima == (0.0,)
    wall = curve(lambda t: torch.where((t - 0.5).abs() < 0.1, torch.inf, t), WIDE)
    assert profile(wall).nonfinite == int(wall.losses.isinf().sum()) > 0
    assert profile(wall).height == pytest.approx(0.0, abs=1e-12)
    nothing = profile(curve(lambda t: t * torch.nan, WIDE))
    assert nothing.nonfinite == 401
    assert math.isnan(nothing.lowest)


def test_a_network_s_line_is_the_surface_at_its_points() -> None:
    """Losses and errors are those of single points, exactly at the ends; nothing is moved."""
    digits = problem("mnist_mlp(widths=(16,))")
    grounds = {"train": surface(digits, examples=300), "test": surface(digits, split="test")}
    ends = torch.stack([_start(grounds["train"], digits, s) for s in (0, 1, 2)])
    before = ends.clone()
    alphas = [0.3, -0.7, 1.9]
    found = lines(grounds, ends[:2], ends[1:], alphas)
    assert torch.equal(ends, before)
    for i, pair in enumerate(found):
        for name, ground in grounds.items():
            got = pair[name]
            assert got.alphas.tolist() == [-0.7, 0.0, 0.3, 1.0, 1.9]
            assert (got.split, got.examples) == (name, ground.examples)
            for alpha, value, wrong in zip(got.alphas, got.losses, got.errors, strict=True):
                x = ends[i] + alpha.float() * (ends[i + 1] - ends[i])
                assert value.item() == pytest.approx(loss(ground, x).item(), rel=2e-6)
                assert wrong.item() == pytest.approx(1 - accuracy(ground, x).item(), abs=2e-3)
            for alpha, x in ((0.0, ends[i]), (1.0, ends[i + 1])):
                value = got.losses[got.alphas == alpha].item()
                assert value == pytest.approx(loss(ground, x).item(), rel=1e-6)
                assert torch.equal(interpolate(ends[i], ends[i + 1], torch.tensor(alpha)), x)
    assert found[0]["train"].distance == pytest.approx((ends[1] - ends[0]).norm().item(), rel=1e-5)


def _start(ground: Surface, source: object, seed: int) -> Tensor:
    from ravine.landscape.surface import pack

    return pack(ground, source.start(seed))  # type: ignore[attr-defined]


def test_batch_normalisation_is_recomputed_at_each_point_unless_told_otherwise() -> None:
    """On a line of a module the policies differ between its ends, and each line says its own."""
    torch.manual_seed(0)
    x, y = 3 + 5 * torch.randn(60, 4, dtype=torch.float64), torch.randint(3, (60,))
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    found = {}
    for policy in ("recomputed", "frozen"):
        ground, here = module_surface(module, (x, y), functional.cross_entropy, batch_norm=policy)
        found[policy] = line(ground, here, 3 * here, [0.5])
        assert found[policy].batch_norm == policy
        assert found[policy].losses[1].item() == pytest.approx(loss(ground, 2 * here).item())
    assert abs(found["frozen"].losses[1] - found["recomputed"].losses[1]) > 1e-2
    ground, here = module_surface(nn.Linear(4, 3).double(), (x, y), functional.cross_entropy)
    assert line(ground, here, 2 * here, [0.5]).batch_norm == ""


def wave(x: Tensor) -> Tensor:
    return torch.sin(3 * x[..., 0]) + 0.3 * x[..., 0] ** 2 + torch.cos(2 * x[..., 1])


@given(st.floats(0.5, 2), st.floats(-1, 1), st.booleans())
def test_other_ends_on_the_same_line_only_rename_its_alphas(
    scale: float, shift: float, back: bool
) -> None:
    """With ends at alpha = shift and shift + scale the extremes are the same points."""
    scale = -scale if back else scale
    ground, a, b = of(wave, 2), at(-1.5, 0.2), at(2.0, 1.0)
    alphas = np.linspace(-2, 3, 501) + 0.00123
    whole = profile(line(ground, a, b, alphas))
    ends = [a + t * (b - a) for t in (shift, shift + scale)]
    other = profile(line(ground, *ends, (alphas - shift) / scale))
    for kind in ("minima", "maxima"):
        mapped = sorted(shift + scale * t for t in getattr(other, kind))
        # the grids differ by the alphas 0 and 1 that each has of its own
        assert mapped == pytest.approx(getattr(whole, kind), abs=0.011)
    assert other.lowest == pytest.approx(whole.lowest, abs=1e-3)


@given(st.floats(0.01, 100), st.floats(-50, 50))
def test_a_constant_and_a_factor_change_values_alone(factor: float, constant: float) -> None:
    """The loss c f + d has the alphas and answers of f, heights and bends c times as large."""
    ends = at(-1.5, 0.2), at(2.0, 1.0)
    alphas = np.linspace(-1, 2, 151)
    one = profile(line(of(wave, 2), *ends, alphas))
    two = profile(line(of(lambda x: factor * wave(x) + constant, 2), *ends, alphas))
    assert (two.monotone, two.convex, two.at) == (one.monotone, one.convex, one.at)
    assert (two.minima, two.maxima, two.lowest_at) == (one.minima, one.maxima, one.lowest_at)
    for name in ("rise", "final_rise", "height", "bend"):
        # what is left of a difference of values near the constant
        expected = factor * getattr(one, name)
        assert getattr(two, name) == pytest.approx(expected, rel=1e-7, abs=1e-9)
    assert two.ends == pytest.approx([factor * v + constant for v in one.ends])


def test_noise_of_rounding_makes_no_minima() -> None:
    """A float32 bowl high above zero is convex, with one minimum, on a fine grid."""
    bowl = of(lambda x: 1000 + ((x - 0.5) ** 2).sum(-1), 1, torch.float32)
    ends = torch.tensor([0.0]), torch.tensor([1.0])
    shape = profile(line(bowl, *ends, np.linspace(-4, 5, 2001)))
    assert len(shape.minima) == 1
    assert shape.minima[0] == pytest.approx(0.5, abs=0.1)
    assert shape.convex


def test_what_is_no_line_is_refused_in_one_sentence() -> None:
    """Ends of another size or number, alphas that are not finite, errors of a formula."""
    ground = of(product, 2)
    with pytest.raises(BadValue, match="has 2 coordinates, got 3"):
        line(ground, at(0, 0, 0), at(1, 1, 1))
    with pytest.raises(BadValue, match="as many starts as ends"):
        checked({"": ground}, torch.zeros(2, 2), torch.zeros(1, 2))
    with pytest.raises(BadValue, match="`alphas` must be a list of finite numbers"):
        line(ground, at(0, 0), at(1, 1), [0.0, math.inf])
    with pytest.raises(BadValue, match="nothing is right or wrong on `formula`"):
        profile(line(ground, at(0, 0), at(1, 1)), "error")
    with pytest.raises(BadValue, match="a line needs a surface"):
        lines({}, torch.zeros(1, 2), torch.zeros(1, 2))


def test_a_single_point_of_a_module_has_both_scores_at_once() -> None:
    """Loss and accuracy from one evaluation are those of two, with and without a stack."""
    x, y = torch.linspace(-1, 1, 48, dtype=torch.float64).view(12, 4), torch.arange(12) % 3

    def right(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.argmax(-1) == targets).double().mean()

    module = nn.Sequential(nn.Linear(4, 3)).double()
    ground, here = module_surface(module, (x, y), functional.cross_entropy, accuracy=right)
    for point in (here, torch.stack([here, -here])):
        assert ground.both is not None
        value, share = ground.both(unpack(ground, point), ground.parts[0].data, None)
        assert torch.equal(value, loss(ground, point))
        assert torch.equal(share, accuracy(ground, point))


def test_shared_first_layers_give_the_plain_line() -> None:
    """In float64 losses agree to 1e-12, errors to an answer; the ends are the surface itself."""
    digits = problem("mnist_mlp(widths=(16,))")
    grounds = {"train": surface(digits, examples=300), "test": surface(digits, split="test")}
    ends = torch.stack([_start(grounds["train"], digits, s) for s in (0, 1, 2)]).double()
    heard: list[float] = []
    ways = {
        way: lines(grounds, ends[:2], ends[1:], [-0.7, 0.3, 1.9], way=way, listener=heard.append)
        for way in ("plain", "shared")
    }
    assert all(0 < share <= 1 for share in heard)
    assert heard[-1] == 1.0
    for i, pair in enumerate(ways["shared"]):
        for name, ground in grounds.items():
            one, other = pair[name], ways["plain"][i][name]
            assert (one.way, one.reason) == ("shared", "0.weight")
            assert (other.way, other.reason) == ("plain", "asked for")
            assert (one.losses / other.losses - 1).abs().max() < 1e-12
            assert one.errors is not None
            assert other.errors is not None
            assert (one.errors - other.errors).abs().max() <= 1.0 / ground.examples
            for alpha, x in ((0.0, ends[i]), (1.0, ends[i + 1])):
                assert one.losses[one.alphas == alpha].item() == loss(ground, x).item()


def test_recomputed_moments_are_shared_too_and_taken_once_for_all_surfaces() -> None:
    """Both surfaces of a normalised network see the moments of the point, from one evaluation."""
    torch.manual_seed(1)
    x, y = torch.randn(60, 40, dtype=torch.float64), torch.randint(3, (60,))
    module = nn.Sequential(nn.Linear(40, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    ground, here = module_surface(module, (x, y), functional.cross_entropy)
    asked = 0
    own = ground.moments
    assert own is not None

    def moments(point: Point) -> Moments:
        nonlocal asked
        asked += 1
        return own(point)

    ground = replace(ground, moments=moments)
    half = replace(ground, parts=(Part({n: t[:30] for n, t in ground.parts[0].data.items()}, 30),))
    there = here + 0.3 * torch.randn_like(here)
    counts = {}
    for both in ({"a": ground}, {"a": ground, "b": half}):
        asked = 0
        (found,) = lines(both, here[None], there[None], [0.25, 0.75], way="shared")
        counts[len(both)] = asked
    assert counts[1] == counts[2]
    for name, one in (("a", ground), ("b", half)):
        plain = line(one, here, there, [0.25, 0.75], way="plain")
        assert (found[name].losses / plain.losses - 1).abs().max() < 1e-12
        assert "0.weight" in found[name].reason
    assert found["a"].losses[1] != found["b"].losses[1]


def test_what_cannot_be_shared_is_plain_and_says_why() -> None:
    """A formula has no layers; asked for by name that is an error, else a reason."""
    ground = of(product, 2)
    with pytest.raises(BadValue, match="nothing can be shared on `formula`: "):
        line(ground, at(0, 0), at(1, 1), way="shared")
    found = line(ground, at(0, 0), at(1, 1))
    assert (found.way, "not worth it" in found.reason) == ("plain", True)
    assert "fewer than" in line(ground, at(0, 0), at(1, 1), [0.5]).reason
