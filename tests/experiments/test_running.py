"""Networks on fewer images."""

import torch

from ravine.experiments.running import network, on_fewer
from ravine.problems.networks.images import ImageSupply


def test_fewer_images_are_the_first_ones() -> None:
    """An epoch over 32 images in batches of 16 has two steps, and shows each once."""
    net = network("mnist_mlp(widths=(3,),batch=16)")
    few = on_fewer(net, count=32)
    seen = torch.cat([few.batch([0], step)["inputs"][0] for step in (0, 1)])
    first = net.supply.calibration()[:32]
    assert sorted(seen.sum(1).tolist()) == sorted(first.sum(1).tolist())
    assert len(few.supply.calibration()) == len(net.supply.calibration())


def test_moments_are_taken_over_as_many_images_as_are_asked_for() -> None:
    """Their count leaves the training images alone."""
    net = on_fewer(network("deep_mlp(depth=3,width=4,norm=batch,batch=16)"), calibrated=100)
    assert len(net.supply.calibration()) == 100
    assert isinstance(net.supply, ImageSupply)
    assert net.supply.count == 60_000
