"""Stacked ways are those of single runs."""

import pytest
import torch

from ravine.engine.walk import walk
from ravine.engine.walks import walks
from ravine.errors import BadValue
from ravine.optimizers import method, trials
from ravine.optimizers.base import Setting
from ravine.problems import Problem, problem


def small() -> Problem:
    return problem("mnist_mlp(widths=(6, 5), batch=16)")


def setting(id: str) -> Setting:
    return trials(method(id), 1)[0]


def test_kept_points_and_losses_are_those_of_the_plain_loop() -> None:
    """Two settings from two seeds, at every kept step, as `walk` has them."""
    net, settings = small(), [setting("sgd(lr=0.1)"), setting("adam(lr=0.01)")]
    found = walks(net, settings, [0, 3], 8, keep=[5])
    assert found.steps == (0, 5, 8)
    assert found.losses.shape == (2, 2, 9)
    for k, one in enumerate(settings):
        for j, seed in enumerate((0, 3)):
            way = walk(net, one, seed, 8, keep=[0, 5, 8])
            torch.testing.assert_close(found.points[k, j], way.points, atol=1e-5, rtol=0)
            wanted = torch.tensor(way.losses)
            torch.testing.assert_close(found.losses[k, j, [0, 5, 8]], wanted, atol=1e-5, rtol=0)


def test_a_run_that_goes_on_is_one_with_a_switch() -> None:
    """From SGD's points, with the minibatches that come next: the plain loop's switch."""
    net, sgd, adam = small(), setting("sgd(lr=0.1)"), setting("adam(lr=0.01)")
    where = walks(net, [sgd], [1, 2], 5).ends[0]
    found = walks(net, [adam], [1, 2], 4, starts=where, first=5)
    for seed, end in zip((1, 2), found.ends[0], strict=True):
        wanted = walk(net, sgd, seed, 9, then=[(5, adam)]).end
        torch.testing.assert_close(end, wanted, atol=1e-5, rtol=0)


def test_double_precision_is_kept() -> None:
    """Points have the precision that was asked for, and starts are taken in it."""
    found = walks(small(), [setting("sgd(lr=0.1)")], [0], 2, dtype=torch.float64)
    assert found.points.dtype is torch.float64
    assert torch.equal(found.at(2), found.ends)


def test_what_cannot_share_a_stack_is_refused() -> None:
    """L-BFGS evaluates within its step; the message names what does it instead."""
    with pytest.raises(BadValue, match="take `walk`"):
        walks(small(), [setting("lbfgs")], [0, 1], 2)


def test_steps_to_keep_lie_within_the_run() -> None:
    """A step after the end is refused."""
    with pytest.raises(BadValue, match="between 0 and 2"):
        walks(small(), [setting("sgd(lr=0.1)")], [0], 2, keep=[3])
