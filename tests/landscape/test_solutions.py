"""Ends of many runs: distances, angles, shares of differing parameters, variances of norms."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.engine.walk import walk
from ravine.errors import BadValue
from ravine.landscape.solutions import Solutions, kinds_of_pairs, solutions, spread
from ravine.landscape.sources import surface
from ravine.landscape.surface import accuracy, loss, pack
from ravine.optimizers import Setting
from ravine.optimizers.catalogue import method
from ravine.problems import problem
from ravine.problems.draws import generator


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(generator("test solutions", seed, *shape).standard_normal(shape))


def compared(points: torch.Tensor, thresholds: tuple[float, ...] = (0.01, 0.1, 1.0)) -> Solutions:
    ground = surface(problem(f"sphere(dim={points.shape[1]})"))
    names = [f"m{i}" for i in range(len(points))]
    return solutions(ground, points, names, [0] * len(points), thresholds=thresholds)


@given(st.integers(0, 20), st.sampled_from([1e-3, 0.05, 0.3, 1.5]))
def test_ends_that_differ_in_k_parameters_have_that_share(k: int, change: float) -> None:
    """A relative change of k in 20 is seen below its size and not above, whatever the size."""
    a = torch.linspace(1, 2, 20, dtype=torch.float64)
    b = a.clone()
    b[:k] *= 1 + change
    other = drawn(0, 20)
    marks = (1e-4, 9e-4, 0.02, 0.1, 0.25, 0.7, 1.0)
    found = compared(torch.stack([a, b, other]), marks)
    size = change / (1 + change)
    expected = [k / 20 if size > t else 0.0 for t in marks]
    assert found.relative[0, 1].tolist() == pytest.approx(expected, abs=1e-12)
    largest = max(float(a.max()), float(b.max()))
    by_place = [sum(float(a[i]) * change > t * largest for i in range(k)) / 20 for t in marks]
    assert found.absolute[0, 1].tolist() == pytest.approx(by_place, abs=1e-12)


def test_identical_solutions_are_at_distance_zero_and_cosine_one() -> None:
    """No parameter differs at any threshold."""
    a = drawn(1, 30)
    found = compared(torch.stack([a, a, -a]))
    assert found.distances[0, 1] == 0.0
    assert float(found.cosines[0, 1]) == pytest.approx(1.0, abs=1e-14)
    assert float(found.cosines[0, 2]) == pytest.approx(-1.0, abs=1e-14)
    assert found.relative[0, 1].sum() == 0.0
    assert found.relative[0, 2].tolist() == [1.0, 1.0, 1.0]
    assert float(found.distances[0, 2]) == pytest.approx(2 * float(a.norm()), rel=1e-14)


def test_zeros_on_both_sides_do_not_differ_and_zero_has_no_angle() -> None:
    """0 and 0 are the same at every threshold; the cosine with the zero vector is no number."""
    found = compared(torch.tensor([[0.0, 0.0], [0.0, 3.0]], dtype=torch.float64))
    assert found.relative[0, 1].tolist() == [0.5, 0.5, 0.0]
    assert math.isnan(float(found.cosines[0, 1]))
    assert math.isnan(float(found.cosines[0, 0]))


@given(st.integers(0, 1000))
def test_the_map_keeps_distances_where_the_ends_lie_in_a_plane(seed: int) -> None:
    """Rotated into 8 dimensions, points of a plane are mapped at their true distances."""
    turn, _ = torch.linalg.qr(drawn(seed, 8, 2))
    flat = drawn(seed + 1, 6, 2)
    found = compared(flat @ turn.T)
    apart = torch.cdist(found.map.coordinates, found.map.coordinates)
    assert torch.allclose(apart, torch.cdist(flat, flat), atol=1e-7)
    assert torch.allclose(found.distances, torch.cdist(flat, flat), atol=1e-7)
    assert found.map.residuals.max() < 1e-9


@given(st.integers(0, 1000))
def test_shares_fall_with_the_threshold(seed: int) -> None:
    """A curve over thresholds never rises; between solutions it is the same both ways."""
    found = compared(drawn(seed, 4, 25), tuple(float(t) for t in torch.logspace(-3, 0, 9)))
    for share in (found.relative, found.absolute):
        assert bool((share.diff(dim=-1) <= 0).all())
        assert torch.equal(share, share.transpose(0, 1))


def test_variances_between_and_within_optimizers_are_those_of_an_analysis_of_variance() -> None:
    """Two optimizers with means 2 and 6 and own variances 2 and 8: between 8, within 5."""
    points = torch.tensor([[1.0], [3.0], [4.0], [8.0]]).double() * torch.tensor([0.6, 0.8])
    ground = surface(problem("sphere(dim=2)"))
    found = solutions(ground, points.double(), ["a", "a", "b", "b"], [0, 1, 0, 1])
    norms = spread(found, found.norms)
    assert norms.means == pytest.approx({"a": 2.0, "b": 6.0})
    assert norms.between == pytest.approx(8.0)
    assert norms.within == pytest.approx(5.0)
    assert norms.ratio == pytest.approx(1.6)
    assert kinds_of_pairs(found) == {
        "other start, same optimizer": [(0, 1), (2, 3)],
        "same start, other optimizer": [(0, 2), (1, 3)],
        "other start, other optimizer": [(1, 2), (0, 3)],
    }


def test_one_start_leaves_the_variance_within_unknown() -> None:
    """It is not a number, and so is the ratio; never zero."""
    found = compared(drawn(2, 3, 4))
    assert math.isnan(spread(found, found.norms).within)
    assert math.isnan(spread(found, found.norms).ratio)


def test_losses_and_accuracies_are_those_of_each_solution_alone() -> None:
    """On train and on test examples, evaluated as one stack."""
    net = problem("mnist_mlp(widths=(8,))")
    train, test = surface(net, examples=200), surface(net, split="test")
    points = torch.stack([pack(train, net.start(s)) for s in (0, 1)])
    found = solutions(train, points, ["start", "start"], [0, 1], test=test)
    assert found.accuracies is not None
    assert found.test_losses is not None
    assert found.test_accuracies is not None
    for i in (0, 1):
        assert float(found.losses[i]) == pytest.approx(float(loss(train, points[i])), rel=1e-6)
        assert float(found.test_losses[i]) == pytest.approx(float(loss(test, points[i])), rel=1e-6)
        assert float(found.accuracies[i]) == pytest.approx(float(accuracy(train, points[i])))
        assert float(found.test_accuracies[i]) == pytest.approx(float(accuracy(test, points[i])))


def test_labels_must_fit_and_one_solution_is_no_comparison() -> None:
    """Each is refused in one sentence."""
    ground = surface(problem("sphere(dim=2)"))
    with pytest.raises(BadValue, match="two points at least"):
        solutions(ground, torch.ones(1, 2), ["a"], [0])
    with pytest.raises(BadValue, match="got 2 points, 1 optimizers, 2 seeds"):
        solutions(ground, torch.eye(2), ["a"], [0, 1])


def test_norms_tell_the_optimizers_of_a_network_apart_more_than_its_starts() -> None:
    """Their variance between optimizers is over ten times that within (Im et al. 2016)."""
    net = problem("mnist_mlp(widths=(16,), activation=tanh)")
    ways = [
        walk(net, Setting(method(id)), seed, 100, keep=(), data_seed=0)
        for id in ("sgd(lr=0.1)", "adam(lr=0.001)", "rmsprop(lr=0.001)")
        for seed in (0, 1)
    ]
    found = solutions(
        surface(net, examples=256),
        torch.stack([way.end for way in ways]),
        [way.setting for way in ways],
        [way.seed for way in ways],
    )
    assert spread(found, found.norms).ratio > 10
    kinds = kinds_of_pairs(found)
    apart = {
        name: float(torch.stack([found.distances[i, j] for i, j in pairs]).mean())
        for name, pairs in kinds.items()
    }
    # another optimizer leads elsewhere, yet nearer than another start does
    assert 0.1 < apart["same start, other optimizer"] < apart["other start, same optimizer"]
