"""Surfaces, starts and measures of critical points, against second ways to get them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ravine.experiments import dauphin_2014
from ravine.landscape.critical.classify import classify
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient, loss, unpack
from ravine.problems.catalogue import analytic


def test_a_field_is_a_sum_of_waves() -> None:
    """It has mean 0 and variance 1 over far points."""
    ground = surface(dauphin_2014.field(0))
    make = torch.Generator().manual_seed(0)
    x = 50 * torch.randn(4000, ground.size, generator=make, dtype=torch.float64)
    values = loss(ground, x)
    assert abs(float(values.mean())) < 0.1
    assert float(values.var()) == pytest.approx(1.0, abs=0.1)


def test_a_network_is_half_its_squared_error_and_its_decay() -> None:
    """By hand, on inputs of unit variance."""
    ground = dauphin_2014.network(1, 0.01)
    bare = dauphin_2014.network(1, 0.0)
    x = torch.randn(3, ground.size, generator=torch.Generator().manual_seed(0)).double()
    inputs, targets = bare.parts[0].data.values()
    torch.testing.assert_close(inputs.square().mean(0), torch.ones(3).double())
    for row, value in zip(x, loss(ground, x), strict=True):
        w, b, v, c = unpack(ground, row).values()
        outputs = torch.tanh(inputs @ w.T + b) @ v.T + c
        wanted = (outputs - targets).square().mean() / 2
        assert float(loss(bare, row)) == pytest.approx(float(wanted))
        assert float(value) == pytest.approx(float(wanted + 0.005 * row.square().sum()))


def test_networks_of_other_seeds_have_other_images() -> None:
    """None in common."""
    one, other = (dauphin_2014.network(seed, 0.0).parts[0].data for seed in (0, 1))
    assert not torch.equal(next(iter(one.values())), next(iter(other.values())))


@pytest.mark.slow
def test_starts_lie_on_descents() -> None:
    """The first is as it was drawn, the last after all steps; seeds side by side are as alone."""
    ground = dauphin_2014.network(0, 0.01)
    found = dauphin_2014.on_the_way(ground, [4, 5], 6)
    assert found.shape == (12, ground.size)
    torch.testing.assert_close(found[6:], dauphin_2014.on_the_way(ground, [5], 6))
    draw = dauphin_2014.generator("on the way", 4).standard_normal((6, ground.size))
    torch.testing.assert_close(found[0], torch.from_numpy(draw[0]))
    x = torch.from_numpy(draw[5])
    for _ in range(dauphin_2014.STEPS):
        x = x - dauphin_2014.RATE * gradient(ground, x)
    torch.testing.assert_close(found[5], x)


def test_measures_of_points() -> None:
    """On the eleven kinds of a linear autoencoder, and copies of them."""
    encoder = analytic("linear_autoencoder")
    x = torch.tensor([p.x for p in encoder.facts.critical_points], dtype=torch.float64)
    points = classify(surface(encoder), x, higher=False)
    values, indices = (np.array([getattr(p, n) for p in points]) for n in ("value", "index"))
    ranks = [a.argsort().argsort() for a in (values, indices)]
    assert dauphin_2014.rank_correlation(points) == pytest.approx(
        np.corrcoef(ranks[0], _average_ranks(indices))[0, 1]
    )
    copies = [replace(p, value=p.value + 1e-9) for p in points]
    assert len(dauphin_2014.distinct([*points, *copies])) == len(points)
    low, saddles = points[int(values.argmin())], values[indices > 0]
    assert low.index == 0
    assert dauphin_2014.highest_minimum(points) == pytest.approx(
        low.value - float(np.median(saddles))
    )
    assert low.value == dauphin_2014.linear_least()


def _average_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks in which equals share their mean."""
    return np.array([(values < v).sum() + ((values == v).sum() - 1) / 2 for v in values])
