"""A barrier is the highest point of a line over the chord of its ends."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from ravine.engine.walk import Walk, walk
from ravine.errors import BadValue
from ravine.landscape.barriers import RESOLUTION, barrier, barriers
from ravine.landscape.lines import line, lines, profile
from ravine.landscape.sources import surface
from ravine.landscape.surface import Part, Surface, accuracy, loss, pack, unpack
from ravine.optimizers import Setting
from ravine.optimizers.catalogue import method
from ravine.problems import problem
from ravine.problems.draws import generator
from ravine.problems.modules.module import ModuleProblem


def of(f: Callable[[Tensor], Tensor], dim: int) -> Surface:
    """A formula of one vector as a surface."""
    return Surface(
        name="formula",
        shapes={"x": (dim,)},
        parts=(Part({}),),
        mean=lambda point, data, moments: f(point["x"]),
    )


def at(*x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


PRODUCT = of(lambda x: (x[..., 0] * x[..., 1] - 1) ** 2, 2)
WAVE = of(lambda x: torch.sin(3 * x[..., 0]) + x[..., 0] ** 2 / 3 + torch.cos(2 * x[..., 1]), 2)
finite = st.floats(-3, 3)
pair = st.tuples(finite, finite)


def test_between_the_branches_of_the_hyperbola_the_barrier_is_one() -> None:
    """(w1 w2 - 1)^2 from (1, 1) to (-1, -1) passes the saddle at 0, whose value is 1, exactly."""
    found = barrier(PRODUCT, at(1, 1), at(-1, -1))
    assert (found.loss.height, found.loss.at, found.loss.ends) == (1.0, 0.5, (0.0, 0.0))
    assert found.error is None
    # from (t, 1/t) to (1/t, t) the way leaves the branch: w1 w2 - 1 = -(c^2 - 1) at most
    t = 3.0
    assert barrier(PRODUCT, at(t, 1 / t), at(1 / t, t)).loss.height == pytest.approx(
        (((t + 1 / t) / 2) ** 2 - 1) ** 2, rel=1e-12
    )


@given(pair, pair)
def test_a_bowl_has_no_barrier(a: tuple[float, float], b: tuple[float, float]) -> None:
    """A convex loss stays below its chord, wherever the ends are."""
    bowl = of(lambda x: (x**2).sum(-1) + x.exp().sum(-1), 2)
    assert 0 <= barrier(bowl, at(*a), at(*b)).loss.height <= 1e-12


def test_the_maximum_is_refined_between_the_points() -> None:
    """An uneven quartic and a kink: height and place to what the width allows, not the grid."""
    ends = at(0.0), at(1.0)
    skew = of(lambda x: (x * (1 - x) ** 3)[..., 0], 1)  # highest at 1/4
    tent = of(lambda x: torch.minimum(x / 0.377, (1 - x) / 0.623)[..., 0], 1)
    for ground, where, height, order in ((skew, 0.25, 27 / 256, 2), (tent, 0.377, 1.0, 1)):
        found = barrier(ground, *ends, points=26).loss
        assert abs(found.at - where) <= found.width <= RESOLUTION
        assert 0 <= height - found.height <= 3 * RESOLUTION**order
        rough = barrier(ground, *ends, points=26, refine=False).loss
        assert rough.height < found.height
        assert rough.width == pytest.approx(2 / 25)


@given(pair, pair)
def test_a_barrier_is_the_same_from_either_end(
    a: tuple[float, float], b: tuple[float, float]
) -> None:
    """Exchanging the ends mirrors the place and leaves the height, 0 for equal ends."""
    one, two = barrier(WAVE, at(*a), at(*b)).loss, barrier(WAVE, at(*b), at(*a)).loss
    assert one.height == pytest.approx(two.height, rel=1e-7, abs=1e-9)
    assert one.ends == two.ends[::-1]
    # not the alphas of the highest points, for two may be equally high
    over = loss(WAVE, at(*b) + two.at * (at(*a) - at(*b)))
    chord = (1 - two.at) * two.ends[0] + two.at * two.ends[1]
    assert two.height == pytest.approx(float(over) - chord, abs=1e-12)


@given(pair, pair, st.floats(0.01, 100), st.floats(-50, 50))
def test_a_constant_is_no_barrier_and_a_factor_scales_it(
    a: tuple[float, float], b: tuple[float, float], factor: float, constant: float
) -> None:
    """The barrier of c f + d is c times that of f; and f + a linear function has that of f."""
    tilted = of(lambda x: factor * WAVE.mean({"x": x}, {}, None) + constant + x[..., 0], 2)
    one, two = barrier(WAVE, at(*a), at(*b)).loss, barrier(tilted, at(*a), at(*b)).loss
    assert two.height == pytest.approx(factor * one.height, rel=1e-6, abs=1e-7)


@settings(max_examples=5)
@given(st.lists(pair, min_size=2, max_size=4))
def test_all_pairs_at_once_are_each_pair_alone(solutions: list[tuple[float, float]]) -> None:
    """The stacked barriers have the heights of single ones, on every surface."""
    grounds = {"one": WAVE, "two": PRODUCT}
    found = barriers(grounds, torch.tensor(solutions, dtype=torch.float64))
    places = range(len(solutions))
    assert list(found) == list(itertools.combinations(places, 2))
    for (i, j), both in found.items():
        for name, ground in grounds.items():
            alone = barrier(ground, at(*solutions[i]), at(*solutions[j])).loss
            assert both[name].loss == alone
            alphas = both[name].line.alphas
            assert bool((alphas.diff() > 0).all())
            assert (alphas[0], alphas[-1]) == (0.0, 1.0)


def test_values_that_are_not_finite_are_counted() -> None:
    """A hole in the way leaves a lower bound and its count; an end without value, no height."""
    hole = of(lambda x: torch.where((x - 0.5).abs() < 0.2, torch.nan, x * (1 - x))[..., 0], 1)
    found = barrier(hole, at(0.0), at(1.0)).loss
    assert found.nonfinite > 0
    assert found.height == pytest.approx(0.3 * 0.7, abs=1e-3)
    lost = barrier(of(lambda x: x.log()[..., 0], 1), at(0.0), at(1.0)).loss
    assert math.isnan(lost.height)
    assert lost.nonfinite == 1


def test_too_little_is_refused_in_one_sentence() -> None:
    """Fewer than 25 points, a single solution, and points of another surface."""
    with pytest.raises(BadValue, match="at least 25, got 24"):
        barrier(PRODUCT, at(1, 1), at(0, 0), points=24)
    with pytest.raises(BadValue, match="between two solutions, got 1"):
        barriers({"": PRODUCT}, at(1, 1)[None])
    with pytest.raises(BadValue, match="has 2 coordinates, got 3"):
        barrier(PRODUCT, at(1, 1, 1), at(0, 0, 0))


def right(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(-1) == targets).double().mean()


def mixture(norm: bool = False) -> ModuleProblem:
    """Ten overlapping Gaussian clouds in 20 dimensions, told apart by a network of 32-32."""
    draw = generator("mixture", 0)
    centres, y = draw.normal(size=(10, 20)), draw.integers(10, size=2000)
    x, y = torch.tensor(centres[y] + 1.3 * draw.normal(size=(2000, 20))), torch.tensor(y)
    x = x + 3 if norm else x  # so that moments matter

    def net() -> nn.Module:
        hidden = [nn.BatchNorm1d(32), nn.ReLU()] if norm else [nn.ReLU()]
        layers = [nn.Linear(20, 32), *hidden, nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)]
        return nn.Sequential(*layers).double()

    return ModuleProblem(
        net,
        (x[:1500], y[:1500]),
        functional.cross_entropy,
        test=(x[1500:], y[1500:]),
        accuracy=right,
        batch_size=50,
    )


@pytest.fixture(scope="module")
def trained() -> tuple[dict[str, Surface], list[Walk]]:
    """The mixture's surfaces, and ten epochs of gradient descent from two starts."""
    torch.set_num_threads(1)
    clouds = mixture()
    descent = Setting(method("sgd(lr=0.1)"))
    walks = [walk(clouds, descent, seed, 300, keep=()) for seed in (0, 1)]
    # the first start again, by other batches
    first = unpack(surface(clouds), walks[0].start)
    walks.append(walk(clouds, descent, 0, 300, keep=(), start=first, data_seed=5))
    grounds = {name: surface(clouds, split=name) for name in ("train", "test")}  # type: ignore[arg-type]
    return grounds, walks


def test_the_way_from_start_to_solution_is_monotone(
    trained: tuple[dict[str, Surface], list[Walk]],
) -> None:
    """From its start to its end the loss never rises, on training and on test examples."""
    grounds, walks = trained
    starts, ends = (torch.stack([getattr(w, k) for w in walks]) for k in ("start", "end"))
    for found in lines(grounds, starts, ends):
        for name in grounds:
            shape = profile(found[name])
            assert shape.monotone
            assert shape.rise <= 1e-3 * shape.ends[0]
            assert shape.final_rise == 0.0
            assert shape.ends[1] < 0.2 * shape.ends[0]


def test_two_starts_end_in_two_basins(trained: tuple[dict[str, Surface], list[Walk]]) -> None:
    """Between them lies a barrier above 0.5, and the only minima of the line are near them."""
    grounds, walks = trained
    (found,) = lines(grounds, walks[0].end[None], walks[1].end[None], torch.linspace(-1, 2, 151))
    high = barriers(grounds, torch.stack([w.end for w in walks[:2]]))[0, 1]
    for name, ground in grounds.items():
        shape = profile(found[name])
        assert shape.minima == pytest.approx((0.0, 1.0), abs=0.1)
        assert high[name].loss.height > 0.5
        assert high[name].loss.height >= shape.height
        # the record is the surface at that point, errors included
        error = high[name].error
        assert error is not None
        x = torch.lerp(walks[0].end, walks[1].end, error.at)
        chord = (1 - error.at) * error.ends[0] + error.at * error.ends[1]
        assert error.height == pytest.approx(1 - accuracy(ground, x).item() - chord, abs=2e-3)
        assert error.height > 0.1


def test_one_start_and_two_orders_of_batches_end_in_one_basin(
    trained: tuple[dict[str, Surface], list[Walk]],
) -> None:
    """Their barrier is at most a hundredth, far below that of two starts."""
    grounds, walks = trained
    found = barriers(grounds, torch.stack([walks[0].end, walks[2].end]))[0, 1]
    assert (walks[0].end - walks[2].end).norm() > 0.01 * walks[0].end.norm()
    assert 0 <= found["train"].loss.height <= 1e-2


def test_policies_of_batch_normalisation_see_different_barriers() -> None:
    """Between two solutions, moments kept from one end make a higher barrier than own ones."""
    clouds = mixture(norm=True)
    descent = Setting(method("sgd(lr=0.1)"))
    ends = [walk(clouds, descent, seed, 60, keep=()).end for seed in (0, 1)]
    anchor = unpack(surface(clouds), ends[0])
    found = {}
    for policy in ("recomputed", "batch", "frozen"):
        ground = surface(clouds, examples=500, batch_norm=policy, anchor=anchor)
        found[policy] = barrier(ground, *ends, refine=False)
        assert found[policy].line.batch_norm == policy
    # the moments of one end are not those of the other, nor of what lies between
    one, two = (found[p].loss for p in ("recomputed", "frozen"))
    assert one.ends[0] == pytest.approx(two.ends[0], rel=1e-6)
    assert two.ends[1] > 1.2 * one.ends[1]
    assert one.height != pytest.approx(two.height, rel=0.05)


def test_a_network_of_the_catalogue_without_a_stack_dimension() -> None:
    """Two starts of a small MNIST network: the barrier is over the chord of their losses."""
    digits = problem("mnist_mlp(widths=(8,))")
    ground = surface(digits, examples=200)
    a, b = (pack(ground, digits.start(seed)) for seed in (0, 1))
    found = barrier(ground, a, b)
    top = line(ground, a, b, [found.loss.at])
    value = top.losses[top.alphas == found.loss.at].item()
    chord = (1 - found.loss.at) * found.loss.ends[0] + found.loss.at * found.loss.ends[1]
    assert found.loss.height == pytest.approx(value - chord, abs=1e-6)
    assert found.loss.ends[0] == pytest.approx(loss(ground, a).item(), rel=1e-6)
    assert found.error is not None
