"""Stacks of optimizers whose points are kept, and what is measured of their solutions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.experiments.im_2016.causes import variance_ratios
from ravine.experiments.im_2016.normalisation import share_above
from ravine.experiments.im_2016.solutions import (
    group_ratios,
    relative_distances,
    threshold_of,
    units_in_place,
)
from ravine.landscape.sources import surface
from ravine.landscape.surface import pack
from ravine.landscape.symmetry.networks import groups
from ravine.landscape.symmetry.permutation import permute
from ravine.problems.catalogue import problem
from ravine.problems.draws import generator
from ravine.problems.networks.network import Network

SMALL = "mnist_mlp(widths=(6, 5), batch=16)"


def small() -> Network:
    net = problem(SMALL)
    assert isinstance(net, Network)
    return net


def test_distances_are_over_the_larger_norm() -> None:
    """Pairs in the order of the upper triangle, for each start."""
    x = torch.from_numpy(generator("test im", 0).standard_normal((4, 3, 7)))
    expected = [
        [
            float((x[i, s] - x[j, s]).norm() / max(x[i, s].norm(), x[j, s].norm()))
            for i in range(4)
            for j in range(i + 1, 4)
        ]
        for s in range(3)
    ]
    assert relative_distances(x) == pytest.approx(np.array(expected), rel=1e-12)


def test_groups_that_lie_apart() -> None:
    """Points 0 and 1, and 10 and 12: 1 / 9 and 2 / 9."""
    at = torch.tensor([[0.0, 10.0], [1.0, 12.0]])
    apart = (at[:, :, None, None] - at[None, None]).abs()
    assert group_ratios(apart) == pytest.approx([1 / 9, 2 / 9])


def test_near_twins_keep_their_distance() -> None:
    """In float32, points that differ in the seventh digit are not at distance zero."""
    one = torch.ones(1, 1, 1000)
    other = one * (1 + 2.0**-20)
    found = relative_distances(torch.cat([one, other]))
    assert found[0, 0] == pytest.approx(2.0**-20 / (1 + 2.0**-20), rel=1e-9)


@given(st.floats(0.01, 0.99))
def test_threshold_of_a_share_that_falls_with_the_logarithm(share: float) -> None:
    """Where the share is -log10(t) / 3 on 1e-3 to 1, it is at t = 10^(-3 share)."""
    marks = np.logspace(-3, 0, 13)
    shares = -np.log10(marks) / 3
    assert threshold_of(marks.tolist(), shares, share) == pytest.approx(10 ** (-3 * share))


def test_variance_over_optimizers_and_over_starts() -> None:
    """Two optimizers at 0 and 6, starts at -1, 0 and 1 around: 18 over 1, whatever the start."""
    values = np.array([[-1.0, 0.0, 1.0], [5.0, 6.0, 7.0]])
    assert variance_ratios(values) == pytest.approx([18.0] * 3)


@given(st.integers(0, 200), st.floats(0.05, 0.95))
def test_share_above_is_that_of_a_fine_grid(seed: int, level: float) -> None:
    """The same as counting points on the curve joined by lines."""
    over = generator("test share above", seed).random(9)
    fine = np.interp(np.linspace(0, 8, 80_001), np.arange(9), over)
    assert share_above(over, level) == pytest.approx((fine > level * over.max()).mean(), abs=3e-4)


def test_share_above_of_a_plateau() -> None:
    """A trapezoid of slopes 1 wide and a top of 2 is half up over 3 of 4."""
    assert share_above(np.array([0.0, 1.0, 1.0, 1.0, 0.0]), 0.5) == 0.75
    assert math.isclose(share_above(np.array([0.0, 1.0, 1.0, 1.0, 0.0]), 0.9), 0.55)


def test_exchanged_units_are_counted() -> None:
    """Two of eleven units changed places: nine are where they were."""
    net = small()
    units, point = groups(net), pack(surface(net), net.start(0))
    order = {"0": torch.tensor([1, 0, 2, 3, 4, 5]), "1": torch.arange(5)}
    assert [g.name for g in units.permutable] == ["0", "1"]
    assert units_in_place(units, point, permute(units, point, order)) == pytest.approx(9 / 11)
    assert units_in_place(units, point, point) == 1.0
