"""Ways between networks whose units are matched, against single lines and known exchanges."""

import numpy as np
import pytest
import torch

from ravine.engine.walk import walk
from ravine.engine.walks import walks
from ravine.experiments.ainsworth_2023 import ALPHAS, KINDS, between_pairs, over, plant
from ravine.experiments.running import network, on_fewer, only
from ravine.landscape.lines import line
from ravine.landscape.sources import surface
from ravine.landscape.surface import loss
from ravine.landscape.symmetry.matching import match_activations, match_weights
from ravine.landscape.symmetry.networks import groups

SMALL = "mnist_mlp(widths=(6,5),batch=16)"


@pytest.mark.parametrize(
    "id", [SMALL, "deep_mlp(depth=3,width=5,norm=batch,skip=True,batch=16)", "lenet(batch=8)"]
)
def test_planted_exchange_is_undone(id: str) -> None:
    """Both matchings put the units back; the loss is the same at both ends and after that."""
    subject = on_fewer(network(id), calibrated=64)
    ground, found = surface(subject, examples=64), groups(subject)
    x = walk(subject, only("sgd(lr=0.1)"), 0, 2).end.double()
    planted = plant(found, ground, x, 0)
    assert planted.by_weights == planted.by_activations == 1
    assert planted.change < 1e-10
    assert planted.before[0] == pytest.approx(float(planted.before[-1]), rel=1e-10)
    assert float(planted.before[0]) == pytest.approx(float(loss(ground, x)), rel=1e-10)
    torch.testing.assert_close(planted.after, planted.after[:1].expand(11), rtol=1e-10, atol=0)
    assert not torch.allclose(planted.before, planted.after)


def test_ways_are_those_of_single_pairs() -> None:
    """Every straight way against the line of its pair; all ways share their ends."""
    subject = network(SMALL)
    ground, found = surface(subject, examples=64), groups(subject)
    ends = walks(subject, [only("adam(lr=0.01)")], range(4), 20).ends[0]
    a, b = ends[::2], ends[1::2]
    ways, shares = between_pairs(found, ground, a, b)
    matches = (
        b[1],
        match_weights(found, a[1], b[1], restarts=1).point,
        match_activations(found, ground, a[1], b[1]).point,
    )
    for kind, end in zip(KINDS, matches, strict=False):
        torch.testing.assert_close(ways[kind][1], line(ground, a[1], end, ALPHAS).losses)
    corners = np.array([ways[kind][:, [0, -1]].tolist() for kind in KINDS])
    np.testing.assert_allclose(corners, np.broadcast_to(corners[0], corners.shape), rtol=1e-5)
    assert all(0 <= share <= 1 for share in shares)


def test_a_rise_is_above_the_chord() -> None:
    """A tent of height 3 on a slope; a straight slope has none."""
    slope = 1 + 2 * ALPHAS
    tent = slope + 3 * (1 - (2 * ALPHAS - 1).abs())
    assert over([slope, tent]) == pytest.approx([0.0, 3.0], abs=1e-12)
