"""What experiments on pictures of loss surfaces compute anew, against second ways to get it."""

import math

import numpy as np
import pytest
import torch

from ravine.experiments.li_2018 import decay, normalised, paths, skips
from ravine.experiments.running import network
from ravine.landscape.planes.directions import random
from ravine.landscape.sources import surface
from ravine.landscape.surface import loss
from ravine.landscape.symmetry.networks import groups
from ravine.landscape.symmetry.rescaling import rescale
from ravine.landscape.trajectory import components


def test_means_over_a_window_are_numpys() -> None:
    """Of every window of so many steps, the first after as many."""
    rows = np.random.default_rng(0).normal(size=(3, 50))
    found = skips.smoothed(rows)
    assert found.shape == (3, 50 - skips.WINDOW + 1)
    for k, row in enumerate(rows):
        kernel = np.ones(skips.WINDOW) / skips.WINDOW
        np.testing.assert_allclose(found[k], np.convolve(row, kernel, "valid"), atol=1e-12)


def test_ground_is_the_loss_around_the_point() -> None:
    """Its centre is the end itself, and its corner what the directions say."""
    net = network("deep_plain_20(batch=64)")
    ground = surface(net, examples=16)
    x = torch.cat([p.flatten() for p in net.start(0).values()])
    found = skips.look(ground, ground, x, 3, (3, 3))
    way = random(ground, x, 3)
    assert found.plane.loss[1, 1] == float(loss(ground, x))
    corner = float(loss(ground, x + way.u + way.v))
    assert found.plane.loss[2, 2] == pytest.approx(corner, rel=1e-5)
    assert found.lowest == pytest.approx(found.plane.loss.min() / float(loss(ground, x)))
    assert found.ratios.ratio.shape == (3, 3)


def test_filters_are_as_long_as_the_weights() -> None:
    """A direction that is twice as long has an error of one."""
    net = network(SMALL)
    ground = surface(net, examples=8)
    x = torch.cat([p.double().flatten() for p in net.start(0).values()])
    way = random(ground, x, 0)
    assert normalised.filter_error(ground, x, way) < 1e-12
    doubled = type(way)(u=2 * way.u, v=way.v, kind="")
    assert normalised.filter_error(ground, x, doubled) == pytest.approx(1.0)


def test_planes_see_three_sets_of_weights_of_one_function() -> None:
    """All three agree in the middle, and the layer's is that of the scaled point."""
    net = network(SMALL)
    ground, own = surface(net, examples=8), groups(net)
    x = torch.cat([p.double().flatten() for p in net.start(1).values()])
    found = normalised.look(ground, own, x, 1, "none")
    middle = (normalised.ACROSS // 2, normalised.ALONG // 2)
    assert found.layer[middle] == pytest.approx(found.own[middle], rel=1e-12)
    assert found.units[middle] == pytest.approx(found.own[middle], rel=1e-12)
    (layer,) = own.scalable
    factors = torch.full((layer.size,), normalised.FACTOR, dtype=torch.float64)
    y = rescale(own, x, {layer.name: factors})
    way = random(ground, y, 1, scale="none")
    corner = float(loss(ground, y + normalised.SPANS["none"] * (way.u + way.v)))
    assert found.layer[-1, -1] == pytest.approx(corner, rel=1e-12)
    assert found.change(found.own + 0.5) == pytest.approx(0.5)


def test_components_of_a_straight_path_hold_all_of_it() -> None:
    """And a random walk's first two, about its end, what its covariance says."""
    straight = components(torch.linspace(1, 0, 20)[:, None] * torch.ones(1, 400))
    assert straight.held == pytest.approx(1.0)
    found = components(paths.random_walk(0, 20_000))
    steps = paths.CHECKPOINTS + 1
    # of many coordinates the Gram matrix is P min(i, j), counted back from the end
    back = torch.arange(steps - 1, -1, -1, dtype=torch.float64)
    values = torch.linalg.eigvalsh(torch.minimum(back[:, None], back)).flip(0)
    assert found.held == pytest.approx(float(values[:2].sum() / values.sum()), abs=0.01)


def test_widths_of_a_parabola_are_its_closed_form() -> None:
    """A loss of a x^2 reaches the level at sqrt(level / a), up to the grid."""
    at = decay.distances("none", 400)
    for a in (10.0, 1e3):
        found = decay.width(at, a * at**2)
        assert found == pytest.approx(math.sqrt(decay.LEVEL / a), rel=1e-3)
    assert decay.width(at, 0 * at) == math.inf
    assert decay.width(at, 0 * at + 3) == 0.0


def test_rises_beyond_both_ends_of_a_line() -> None:
    """Of a parabola around each solution, one four times as steep, over half a distance."""
    at = np.array(decay.ALPHAS)
    rows = np.where(at < 0.5, 4 * at**2, (at - 1) ** 2)[None]
    assert decay.beyond(rows).tolist() == [pytest.approx(4.0)]
    assert (at[0], at[-1]) == (-0.5, 1.5)


def test_a_scan_is_the_mean_over_both_signs() -> None:
    """By the loss at the points themselves."""
    ground = surface(decay.subject(600, 60), examples=50)
    x = torch.cat([p.flatten() for p in network(NORMED).start(0).values()])
    found = decay.scan(ground, x, 2, "filter", 4)
    u = random(ground, x, 2).u
    for step, value in zip(decay.distances("filter", 4), found, strict=True):
        pair = torch.stack([x + float(step) * u, x - float(step) * u])
        assert value == pytest.approx(float(loss(ground, pair).mean()), rel=1e-4)


def test_fewer_images_are_the_first_ones() -> None:
    """Batches of the smaller supply hold its own images alone, each once in an epoch."""
    net = decay.subject(600, 60)
    whole = network(NORMED).supply.calibration()
    assert torch.equal(net.supply.calibration(), whole[: decay.MOMENTS])
    seen = torch.cat([net.batch([0], step)["inputs"][0] for step in range(10)])
    first = network("mnist_softmax").supply.calibration()[:600]
    assert torch.equal(seen.sort(0).values, first.sort(0).values)


SMALL = "mnist_mlp(widths=(16,))"
NORMED = "deep_mlp(depth=3, width=32, norm=batch)"
