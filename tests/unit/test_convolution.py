"""Convolutional networks, against torch.nn and in every shape of stack."""

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ravine.errors import BadValue
from ravine.problems.base import Data, Point
from ravine.problems.datasets import mnist
from ravine.problems.networks import Network
from ravine.problems.networks.convolution import (
    DeepConvolution,
    LeNet,
    deep_conv,
    lenet,
    mnist_plain_conv,
    mnist_resnet,
)
from ravine.problems.networks.maps import convolve, spread
from ravine.problems.networks.perceptron import mnist_mlp

NETWORKS: dict[str, Callable[[], Network]] = {
    "lenet": lambda: lenet(batch=5),
    "tanh average": lambda: lenet(activation="tanh", pooling="average", batch=5),
    "gelu": lambda: lenet(activation="gelu", batch=5),
    "plain": lambda: deep_conv(depth=8, width=2, batch=5),
    "skip": lambda: deep_conv(depth=8, width=2, skip=True, batch=5, init="torch"),
    "layer": lambda: deep_conv(depth=8, width=2, norm="layer", batch=5),
    "layer skip": lambda: deep_conv(depth=14, width=3, norm="layer", skip=True, batch=5),
    "plain twin": lambda: mnist_plain_conv(depth=8, width=2, batch=5),
    "resnet": lambda: mnist_resnet(depth=8, width=2, batch=5),
}
ROUNDING = 1e-10
"""Relative to the largest entry, in float64."""


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    """Each kind of network, small."""
    return NETWORKS[request.param]()


class Block(nn.Module):
    """A block as the paper draws it, of torch's own modules."""

    def __init__(self, model: DeepConvolution, fan_in: int, fan_out: int) -> None:
        super().__init__()
        stride = 1 if fan_in == fan_out else 2
        self.inside = nn.Sequential(
            *layer(model, fan_in, fan_out, stride),
            nn.ReLU(),
            *layer(model, fan_out, fan_out, 1),
        )
        self.fan_in, self.fan_out, self.stride = fan_in, fan_out, stride
        self.skip = model.skip
        self.scale = 1.0 if model.norm != "none" else 1 / math.sqrt(3 * model.blocks)

    def forward(self, x: Tensor) -> Tensor:
        """relu(shortcut + scale * inside), or relu(inside)."""
        h = self.inside(x)
        if not self.skip:
            return torch.relu(h)
        wider = torch.zeros(len(x), self.fan_out, *h.shape[2:], dtype=x.dtype)
        wider[:, : self.fan_in] = x[:, :, :: self.stride, :: self.stride]
        return torch.relu(wider + self.scale * h)


def layer(model: DeepConvolution, fan_in: int, fan_out: int, stride: int) -> list[nn.Module]:
    """A convolution and its normalisation."""
    conv = nn.Conv2d(fan_in, fan_out, 3, stride, 1, bias=model.norm != "batch")
    norms: dict[str, list[nn.Module]] = {
        "none": [],
        "batch": [nn.BatchNorm2d(fan_out, momentum=None)],
        "layer": [nn.GroupNorm(1, fan_out)],
    }
    return [conv, *norms[model.norm]]


def module(network: Network, point: Point) -> nn.Module:
    """The same network as torch's own modules, whose parameters come in the same order."""
    model = network.model
    if isinstance(model, LeNet):
        act = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}[model.activation]
        pool = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[model.pooling]
        built = nn.Sequential(
            *(nn.Conv2d(1, 6, 5, padding=2), act(), pool(2)),
            *(nn.Conv2d(6, 16, 5), act(), pool(2), nn.Flatten()),
            *(nn.Linear(400, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, 10)),
        )
    else:
        assert isinstance(model, DeepConvolution)
        w = model.channels
        sizes = [w] * (model.blocks + 1) + [2 * w] * model.blocks + [4 * w] * model.blocks
        blocks = [Block(model, a, b) for a, b in pairwise(sizes)]
        stem = [*layer(model, 1, w, 2), nn.ReLU()]
        end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * w, 10)]
        built = nn.Sequential(*stem, *blocks, *end)
    built = built.to(next(iter(point.values())).dtype)
    parameters = list(built.parameters())
    assert [tuple(p.shape) for p in parameters] == list(network.shapes.values())
    with torch.no_grad():
        for parameter, value in zip(parameters, point.values(), strict=True):
            parameter.copy_(value)
    return built


def expected(network: Network, point: Point, data: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradient of one network, from torch's modules."""
    oracle = module(network, point)
    outputs = oracle(data["inputs"].to(next(iter(point.values()))))
    loss = functional.cross_entropy(outputs, data["targets"])
    grads = torch.autograd.grad(loss, list(oracle.parameters()))
    return loss.detach(), dict(zip(network.shapes, grads, strict=True))


def found(network: Network, point: Point, data: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses, and the gradient of their sum."""
    leaves = {name: p.detach().requires_grad_() for name, p in point.items()}
    losses = network.loss(leaves, data)
    grads = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return losses.detach(), dict(zip(leaves, grads, strict=True))


def stacked(network: Network, settings: int, seeds: int) -> dict[str, Tensor]:
    """Different networks for all settings and seeds, in which no parameter is at a constant."""
    generator = torch.Generator().manual_seed(4)
    starts = [network.start(seed) for seed in range(settings * seeds)]
    return {
        name: torch.stack([s[name].double() for s in starts]).view(settings, seeds, *shape)
        + 0.1 * torch.randn(settings, seeds, *shape, generator=generator, dtype=torch.float64)
        for name, shape in network.shapes.items()
    }


def assert_close(ours: Tensor, wanted: Tensor, tolerance: float = ROUNDING) -> None:
    """Equal to rounding, relative to the largest entry."""
    scale = max(float(wanted.detach().abs().max()), 1e-3)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=tolerance * scale)


def test_single_network_equals_torch_modules(network: Network) -> None:
    """Loss and gradient of a point without stack are those of torch's modules."""
    point = {name: p[0, 0] for name, p in stacked(network, 1, 1).items()}
    data = {name: d[0] for name, d in network.batch([3], 5).items()}
    loss, grads = found(network, point, data)
    wanted, wanted_grads = expected(network, point, data)
    assert loss.shape == ()
    assert_close(loss, wanted)
    for name, grad in grads.items():
        assert_close(grad, wanted_grads[name])


@pytest.mark.parametrize("layout", ["plain", "seeds first"])
def test_stack_equals_torch_modules(network: Network, layout: str) -> None:
    """Every network of [settings, seeds] has the loss and gradient that it has alone."""
    point = stacked(network, 2, 3)
    if layout == "seeds first":
        point = {n: p.transpose(0, 1).contiguous().transpose(0, 1) for n, p in point.items()}
    data = network.batch([0, 1, 2], 2)
    losses, grads = found(network, point, data)
    assert losses.shape == (2, 3)
    for g in range(2):
        for s in range(3):
            alone = {name: p[g, s] for name, p in point.items()}
            wanted, wanted_grads = expected(network, alone, {n: d[s] for n, d in data.items()})
            assert_close(losses[g, s], wanted)
            for name, grad in grads.items():
                assert_close(grad[g, s], wanted_grads[name])


def test_settings_share_one_seeds_data(network: Network) -> None:
    """A stack [settings] with one seed's images equals [settings, 1]."""
    point = stacked(network, 3, 1)
    data = network.batch([7], 1)
    losses, grads = found(network, point, data)
    alone, alone_grads = found(
        network, {n: p[:, 0] for n, p in point.items()}, {n: d[0] for n, d in data.items()}
    )
    assert alone.shape == (3,)
    assert_close(alone, losses[:, 0])
    for name, grad in alone_grads.items():
        assert_close(grad, grads[name][:, 0])


def test_shared_maps_serve_all_settings() -> None:
    """Maps with one group for each seed give what repeating them for each setting gives."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 4, 3, 6, 5, generator=generator, dtype=torch.float64)
    weight = torch.randn(2, 3, 5, 3, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64)
    shared = convolve(spread(images), weight, bias, stride=2, padding=1)
    repeated = spread(images.repeat_interleave(3, 0))
    assert_close(shared, convolve(repeated, weight, bias, stride=2, padding=1))
    for s in range(2):
        for g in range(3):
            first = 15 * s + 5 * g
            wanted = functional.conv2d(images[s], weight[s, g], bias[s, g], 2, 1)
            assert_close(shared[:, first : first + 5], wanted)


@pytest.mark.parametrize("name", ["tanh average", "resnet", "layer skip"])
def test_second_derivatives(name: str) -> None:
    """The Hessian times a vector is the difference of gradients along it."""
    network = NETWORKS[name]()
    point = {n: p[0, 0] for n, p in stacked(network, 1, 1).items()}
    data = {n: d[0] for n, d in network.batch([0], 0).items()}
    generator = torch.Generator().manual_seed(1)
    along = {n: torch.randn(p.shape, generator=generator).to(p) for n, p in point.items()}
    leaves = {n: p.clone().requires_grad_() for n, p in point.items()}
    loss = network.loss(leaves, data)
    grads = torch.autograd.grad(loss, list(leaves.values()), create_graph=True)
    slope = sum((g * v).sum() for g, v in zip(grads, along.values(), strict=True))
    product = torch.autograd.grad(slope, list(leaves.values()), materialize_grads=True)
    step = 1e-7
    ahead, behind = (
        found(network, {n: p + t * along[n] for n, p in point.items()}, data)[1]
        for t in (step, -step)
    )
    for (n, high), hvp in zip(ahead.items(), product, strict=True):
        assert_close(hvp, (high - behind[n]) / (2 * step), 1e-5)


@dataclass(frozen=True)
class Few:
    """A handful of images, as a supply."""

    example: tuple[int, ...] = (1, 28, 28)

    def batch(self, seeds: range, step: int) -> Data:
        """Not asked for here."""
        raise NotImplementedError

    def calibration(self) -> Tensor:
        """The first 60 training images."""
        return mnist().train_images[:60].view(-1, 1, 28, 28)

    def test(self) -> tuple[Tensor, Tensor]:
        """The first 40 test images."""
        return mnist().test_images[:40].view(-1, 1, 28, 28), mnist().test_labels[:40]


def calibrated(network: Network, point: Point) -> nn.Module:
    """Torch's modules, whose running moments are those of the calibration images."""
    oracle = module(network, point)
    with torch.no_grad():
        oracle(network.supply.calibration().to(torch.float64))
    counts = {14: 60 * 14**2, 7: 60 * 7**2, 4: 60 * 4**2}
    sides = iter([14, *[14] * 2, *[7] * 2, *[4] * 2])
    for part in oracle.modules():
        if isinstance(part, nn.BatchNorm2d):
            count = counts[next(sides)]
            assert part.running_var is not None
            part.running_var *= (count - 1) / count  # torch's running variance is unbiased
    return oracle.eval()


def test_policies_of_moments() -> None:
    """Moments are recomputed over the calibration images, frozen, or those of the batch."""
    network = replace(mnist_resnet(depth=8, width=2), supply=Few())
    point = stacked(network, 2, 2)
    recomputed = network.evaluate(point, {})
    by_batch = network.score(point, None)
    frozen = network.moments(point)
    assert set(frozen) == {str(layer) for layer in range(7)}
    moved = {name: 1.1 * p for name, p in point.items()}
    kept = network.score(moved, frozen)
    images, labels = network.supply.test()
    with torch.no_grad():
        for i in range(4):
            g, s = divmod(i, 2)
            alone = {name: p[g, s] for name, p in point.items()}
            oracle = calibrated(network, alone)
            norms = [m for m in oracle.modules() if isinstance(m, nn.BatchNorm2d)]
            for layer, norm in enumerate(norms):
                mean, variance = frozen[str(layer)]
                assert norm.running_mean is not None
                assert norm.running_var is not None
                assert_close(mean[0, i], norm.running_mean)
                assert_close(variance[0, i], norm.running_var)
            outputs = oracle(images.double())
            assert_close(recomputed["test_loss"][g, s], functional.cross_entropy(outputs, labels))
            right = (outputs.argmax(1) == labels).double().mean()
            assert recomputed["accuracy"][g, s] == right
            for parameter in oracle.parameters():
                parameter *= 1.1
            loss = functional.cross_entropy(oracle(images.double()), labels)
            assert_close(kept["test_loss"][g, s], loss)
            outputs = module(network, alone)(images.double())
            assert_close(by_batch["test_loss"][g, s], functional.cross_entropy(outputs, labels))
    assert not torch.allclose(recomputed["test_loss"], by_batch["test_loss"])


def test_evaluation_equals_torch_modules() -> None:
    """Test loss and accuracy of LeNet over the 10,000 test images are torch's."""
    network = lenet()
    point = network.start(0)
    result = network.evaluate(point, {})
    images, labels = mnist().test_images.view(-1, 1, 28, 28), mnist().test_labels
    with torch.no_grad():
        outputs = module(network, point)(images)
    loss = functional.cross_entropy(outputs, labels)
    assert result["test_loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    # one image in 10,000 may lie on a boundary that rounding moves
    right = (outputs.argmax(1) == labels).double().mean()
    assert result["accuracy"].item() == pytest.approx(right.item(), abs=1.01e-4)


def test_minibatches_are_those_of_other_networks() -> None:
    """The images are those that a perceptron sees with the same batch size, seed and step."""
    ours, theirs = lenet(batch=16).batch([5, 2], 3), mnist_mlp(batch=16).batch([5, 2], 3)
    assert ours["inputs"].shape == (2, 16, 1, 28, 28)
    assert torch.equal(ours["inputs"].flatten(2), theirs["inputs"])
    assert torch.equal(ours["targets"], theirs["targets"])
    alone = mnist_resnet(batch=16).batch([2], 3)
    assert torch.equal(alone["inputs"][0], ours["inputs"][1])


def test_starts() -> None:
    """Weights are He's, twins start alike, and a start belongs to its seed.

    The mean square of 9,216 normal numbers lies within 5 standard errors: false alarm 6e-7.
    """
    point, twin = mnist_resnet().start(3), mnist_plain_conv().start(3)
    assert all(torch.equal(p, twin[name]) for name, p in point.items())
    assert {name: tuple(p.shape) for name, p in point.items()} == mnist_resnet().shapes
    assert {p.dtype for p in point.values()} == {torch.float32}
    weight = point["12.weight"]
    assert weight.shape == (32, 32, 3, 3)
    ratio = weight.double().square().mean() / (2 / (32 * 9))
    assert abs(ratio - 1) < 5 * math.sqrt(2 / weight.numel())
    assert (point["12.norm.weight"] == 1).all()
    assert (point["12.norm.bias"] == 0).all()
    assert not torch.equal(weight, mnist_resnet().start(4)["12.weight"])
    small, large = (deep_conv(init=init).start(0)["3.weight"] for init in ("small", "large"))
    torch.testing.assert_close(25 * small, large)
    first = lenet().start(0)
    assert 0.7 / 5 < first["0.weight"].abs().max() <= 1 / 5
    assert first["4.bias"].abs().max() <= 1 / math.sqrt(84)


@pytest.mark.parametrize(
    ("build", "rate", "reached"),
    [
        (lambda: lenet(batch=32), 0.1, 1.3),
        (lambda: mnist_resnet(depth=8, width=4), 0.3, 1.2),
        (lambda: deep_conv(depth=8, width=4, skip=True), 0.2, 1.95),
    ],
    ids=["lenet", "resnet", "skip"],
)
def test_sgd_learns(build: Callable[[], Network], rate: float, reached: float) -> None:
    """Two seeds of plain SGD go from about log 10 below `reached` in 100 steps."""
    network = build()
    starts = [network.start(seed) for seed in (0, 1)]
    point = {n: torch.stack([s[n] for s in starts])[None] for n in network.shapes}
    recent = []
    for step in range(100):
        losses, grads = found(network, point, network.batch([0, 1], step))
        recent.append(losses)
        point = {n: p - rate * grads[n] for n, p in point.items()}
    assert (recent[0] > 2.2).all()
    assert (torch.stack(recent[-20:]).mean(0) < reached).all()


def test_arguments_outside_their_domain_are_refused() -> None:
    """Each bad argument raises a sentence that names it."""
    for depth in (7, 9, 2):
        with pytest.raises(BadValue, match=r"`depth` must be 6 n \+ 2 layers"):
            deep_conv(depth=depth)
    with pytest.raises(BadValue, match="`width` must be a whole number of at least 1, got 0"):
        mnist_resnet(width=0)
    with pytest.raises(BadValue, match="`norm` must be one of none, batch, layer, got group"):
        deep_conv(norm="group")
    with pytest.raises(BadValue, match=r"`init` must be one of .*, got zero"):
        deep_conv(init="zero")
    with pytest.raises(BadValue, match=r"`activation` must be one of .*, got selu"):
        lenet(activation="selu")
    with pytest.raises(BadValue, match="`pooling` must be one of max, average, got min"):
        lenet(pooling="min")
    for build in (lenet, mnist_plain_conv):
        with pytest.raises(BadValue, match="`batch` must be a whole number from 1 to the 60000"):
            build(batch=0)


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (lenet("relu", "max", 64), "lenet"),
        (lenet(pooling="average"), "lenet(pooling=average)"),
        (deep_conv(depth=20, skip=True), "deep_conv(depth=20, skip=True)"),
        (mnist_resnet(14, 8, 32), "mnist_resnet"),
        (mnist_plain_conv(width=4), "mnist_plain_conv(width=4)"),
    ],
)
def test_name_leaves_defaults_out(network: Network, name: str) -> None:
    """However a network was written, its own name is the same; it travels between processes."""
    assert network.name == name
    assert pickle.loads(pickle.dumps(network)) == network
