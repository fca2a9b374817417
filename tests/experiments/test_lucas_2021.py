"""Numbers that are taken of lines to trained networks, against second ways to get them."""

import numpy as np
import pytest

from ravine.engine.walks import walks
from ravine.experiments.lucas_2021 import (
    area,
    bent_share,
    best,
    movement,
    perceptron,
    rank,
)
from ravine.experiments.running import network, only
from ravine.landscape.sources import surface


def test_shares_of_lines_that_are_not_monotone() -> None:
    """Only trained networks count, and none at all is no number."""
    bent = np.array([[True, True, True], [False, True, False]])
    solved = np.array([[True, False, False], [True, True, False]])
    np.testing.assert_array_equal(bent_share(bent, solved), [0.5, 1.0, np.nan])


def test_the_area_of_a_straight_fall_is_a_half() -> None:
    """Whatever its ends; a curve that stays high until its last point has nearly all."""
    assert area(np.linspace(2.3, 0.1, 51)[None])[0] == pytest.approx(0.5)
    assert area(np.array([[2.0, 2.0, 2.0, 1.0]]))[0] == pytest.approx(0.75)


def test_movement_is_in_units_of_the_start() -> None:
    """By the norms of one run."""
    net = network("mnist_mlp(widths=(8,), batch=16)")
    runs = walks(net, [only("sgd(lr=0.1)"), only("adam(lr=0.01)")], [0, 1], 5)
    moved = float((runs.ends[1, 0] - runs.starts[1, 0]).norm() / runs.starts[1, 0].norm())
    assert movement(runs)[1, 0] == pytest.approx(moved, rel=1e-5)


def test_ranks_agree_by_order_alone() -> None:
    """A monotone relation has the rank correlation 1, a constant side 0."""
    heights = np.array([0.1, 0.2, 0.5, 0.6])
    assert rank(heights, np.exp(-heights)) == pytest.approx(-1.0)
    assert rank(heights, np.array([1.0, 2.0, 4.0, 3.0])) == pytest.approx(0.8)
    assert rank(heights, np.zeros(4)) == 0.0


def test_networks_with_and_without_norm() -> None:
    """Batch normalisation by all images that are trained on, and these are the line's."""
    net = perceptron("batch", 48, 8, 16)
    assert net.model.normalised
    seen = surface(net, examples=48).parts[0].data["inputs"]
    assert sorted(seen.sum(1).tolist()) == sorted(net.supply.calibration().sum(1).tolist())
    assert not perceptron("none", 48, 8, 16).model.normalised


def test_the_best_of_some() -> None:
    """Of those that count; of none there is no number."""
    right = np.array([0.9, 0.7, 0.8])
    assert best(right, np.array([False, True, True])) == 0.8
    assert np.isnan(best(right, np.zeros(3, bool)))
