"""Networks over images, against torch.nn and in every shape of stack."""

import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ravine.errors import BadValue, StoreError
from ravine.problems.base import Goal, Point
from ravine.problems.datasets import mnist
from ravine.problems.networks import Network
from ravine.problems.networks import network as network_module
from ravine.problems.networks.images import permutation
from ravine.problems.networks.perceptron import Perceptron, mnist_mlp, mnist_softmax
from ravine.problems.networks.targets import REFERENCE_TARGETS

NETWORKS: dict[str, Callable[[], Network]] = {
    "relu": lambda: mnist_mlp(widths=(9,), batch=16),
    "tanh": lambda: mnist_mlp(widths=(7, 5), activation="tanh", batch=16),
    "softmax": lambda: mnist_softmax(batch=16),
    "matrix": lambda: mnist_softmax(batch=16, bias=False),
}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    """Each kind of network, small."""
    return NETWORKS[request.param]()


def stacked(network: Network, settings: int, seeds: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Different networks for all settings and seeds, `[settings, seeds, *shape]`."""
    points = [[network.start(100 * g + s) for s in range(seeds)] for g in range(settings)]
    return {
        name: torch.stack([torch.stack([p[name].to(dtype) for p in row]) for row in points])
        for name in network.shapes
    }


def seeds_first(point: Point) -> dict[str, Tensor]:
    """The same values, with the seeds outermost in memory."""
    return {name: p.transpose(0, 1).contiguous().transpose(0, 1) for name, p in point.items()}


def gradient(network: Network, point: Point, data: Point) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses and the gradient of their sum, in the memory layout of the point."""
    leaves = {name: p.detach().requires_grad_() for name, p in point.items()}
    losses = network.loss(leaves, data)
    grads = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return losses.detach(), dict(zip(leaves, grads, strict=True))


def module(network: Network, point: Point) -> nn.Sequential:
    """The same network as torch's own modules."""
    model = network.model
    assert isinstance(model, Perceptron)
    layers: list[nn.Module] = []
    for layer in range(len(model.sizes) - 1):
        if layer:
            layers.append(nn.ReLU() if model.activation == "relu" else nn.Tanh())
        weight = point[f"{layer}.weight"]
        linear = nn.Linear(weight.shape[1], weight.shape[0], model.bias, dtype=weight.dtype)
        with torch.no_grad():
            linear.weight.copy_(weight)
            if model.bias:
                linear.bias.copy_(point[f"{layer}.bias"])
        layers.append(linear)
    return nn.Sequential(*layers)


def assert_close(ours: Tensor, wanted: Tensor) -> None:
    """Equal to rounding, relative to the largest entry."""
    scale = float(wanted.detach().abs().max())
    torch.testing.assert_close(ours, wanted, rtol=0, atol=TOLERANCE[wanted.dtype] * scale)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_single_network_equals_torch_modules(network: Network, dtype: torch.dtype) -> None:
    """Loss and gradient of a point without stack are those of nn.Sequential."""
    point = {name: p.to(dtype) for name, p in network.start(3).items()}
    data = {name: d[0] for name, d in network.batch([3], 5).items()}
    loss, grads = gradient(network, point, data)
    oracle = module(network, point)
    wanted = nn.functional.cross_entropy(oracle(data["inputs"].to(dtype)), data["targets"])
    wanted.backward()
    assert loss.dtype == dtype
    assert_close(loss, wanted.detach())
    parameters = list(oracle.parameters())
    assert len(parameters) == len(grads)
    for grad, parameter in zip(grads.values(), parameters, strict=True):
        assert parameter.grad is not None
        assert_close(grad, parameter.grad)


@pytest.mark.parametrize("layout", [dict, seeds_first], ids=["plain", "seeds first"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_stack_equals_singles(
    network: Network, dtype: torch.dtype, layout: Callable[[Point], Point]
) -> None:
    """Every network of [settings, seeds] has the loss and gradient it has alone."""
    point = layout(stacked(network, 3, 2, dtype))
    data = network.batch([0, 1], 2)
    losses, grads = gradient(network, point, data)
    assert losses.shape == (3, 2)
    for g in range(3):
        for s in range(2):
            alone, grad = gradient(
                network,
                {name: p[g, s] for name, p in point.items()},
                {name: d[s] for name, d in data.items()},
            )
            assert_close(losses[g, s], alone)
            for name in grads:
                assert_close(grads[name][g, s], grad[name])


@settings(max_examples=15)
@given(
    settings_dims=st.lists(st.integers(1, 3), max_size=2),
    seeds=st.one_of(st.none(), st.integers(1, 3)),
)
def test_any_stack_of_settings_and_seeds(settings_dims: list[int], seeds: int | None) -> None:
    """Stacks [*settings] with one seed's data and [*settings, seeds] agree with singles."""
    network = mnist_mlp(widths=(3,), batch=4)
    seed_dims = [] if seeds is None else [seeds]
    stack = (*settings_dims, *seed_dims)
    generator = torch.Generator().manual_seed(1)
    point = {
        name: torch.randn(*stack, *shape, generator=generator, dtype=torch.float64)
        for name, shape in network.shapes.items()
    }
    data = network.batch(range(seeds or 1), 0)
    if seeds is None:
        data = {name: d[0] for name, d in data.items()}
    losses = network.loss(point, data)
    assert losses.shape == stack
    for at in np.ndindex(stack):
        alone = {name: p[at] for name, p in point.items()}
        own = data if seeds is None else {name: d[at[-1]] for name, d in data.items()}
        assert_close(losses[at], network.loss(alone, own))


def test_gradient_keeps_the_layout_without_copies() -> None:
    """With seeds first in memory, no matrix is copied forward or backward."""
    network = mnist_mlp(widths=(32, 16), batch=8)
    point = seeds_first(stacked(network, 3, 2, torch.float32))
    point = {name: p.requires_grad_() for name, p in point.items()}
    data = network.batch([0, 1], 0)
    with torch.profiler.profile(record_shapes=True) as profile:
        grads = torch.autograd.grad(network.loss(point, data).sum(), list(point.values()))
    assert [g.stride() for g in grads] == [p.stride() for p in point.values()]
    smallest = min(math.prod(network.shapes[f"{layer}.weight"]) for layer in range(3))
    copied = [
        shapes
        for event in profile.events()
        if event.name == "aten::clone"
        for shapes in event.input_shapes[:1]
        if math.prod(shapes) >= smallest
    ]
    assert copied == []
    # the same question finds the copies that another layout needs
    plain = {name: p.detach().contiguous().requires_grad_() for name, p in point.items()}
    with torch.profiler.profile(record_shapes=True) as profile:
        network.loss(plain, data)
    assert any(event.name == "aten::clone" for event in profile.events())


def test_second_derivatives_exist() -> None:
    """The loss can be differentiated twice, for curvature."""
    network = mnist_mlp(widths=(4,), activation="tanh", batch=8)
    point = {name: p.double() for name, p in network.start(0).items()}
    data = {name: d[0] for name, d in network.batch([0], 0).items()}

    def loss(bias: Tensor) -> Tensor:
        return network.loss({**point, "1.bias": bias}, data)

    hessian = torch.autograd.functional.hessian(loss, point["1.bias"])
    logits = module(network, point)(data["inputs"].double())
    p = torch.softmax(logits, 1).detach()
    wanted = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]).mean(0)
    torch.testing.assert_close(hessian, wanted, rtol=1e-10, atol=1e-12)


def test_start_is_torch_default_initialisation() -> None:
    """Weights and biases are uniform in +-1 / sqrt(fan_in), and belong to the seed.

    The mean of 100,352 uniform numbers lies within 5 standard errors: false alarm 6e-7.
    """
    network = mnist_mlp()
    point = network.start(0)
    assert {name: tuple(p.shape) for name, p in point.items()} == network.shapes
    assert list(network.shapes) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    reference = nn.Sequential(nn.Linear(784, 128), nn.Linear(128, 10)).state_dict()
    for name, p in point.items():
        assert p.dtype == torch.float32
        assert p.shape == reference[name].shape
        bound = 1 / math.sqrt(784 if name.startswith("0") else 128)
        assert p.abs().max() <= bound
        assert p.abs().max() > 0.7 * bound
    weight, bound = point["0.weight"].double(), 1 / 28
    assert abs(weight.mean()) < 5 * bound / math.sqrt(3 * weight.numel())
    assert all(torch.equal(p, network.start(0)[name]) for name, p in point.items())
    assert not torch.equal(point["0.weight"], network.start(1)["0.weight"])


def test_batch_is_a_pure_function_of_seed_and_step() -> None:
    """Neither the other seeds, nor the order of calls, nor the widths change a batch."""
    together = mnist_mlp(widths=(5,)).batch([4, 9], 470)
    permutation.cache_clear()
    for row, seed in enumerate([4, 9]):
        alone = mnist_softmax().batch([seed], 470)
        assert torch.equal(alone["inputs"][0], together["inputs"][row])
        assert torch.equal(alone["targets"][0], together["targets"][row])
    assert together["inputs"].shape == (2, 128, 784)
    assert together["inputs"].dtype == torch.float32
    assert not torch.equal(together["inputs"][0], together["inputs"][1])


def test_epoch_covers_each_image_at_most_once() -> None:
    """An epoch of 468 full batches uses 59,904 images, none twice; the next differs."""
    network = mnist_mlp()
    assert network.traits.budget == 468
    order = permutation(60_000, 0, 0)
    assert torch.equal(order.long().sort().values, torch.arange(60_000))
    images = mnist().train_images
    for step in (0, 1, 467):
        rows = order[128 * step : 128 * (step + 1)]
        assert len(rows) == 128
        assert torch.equal(network.batch([0], step)["inputs"][0], images[rows.long()])
    following = network.batch([0], 468)["inputs"][0]
    assert torch.equal(following, images[permutation(60_000, 0, 1)[:128].long()])
    assert not torch.equal(following, network.batch([0], 0)["inputs"][0])


def test_labels_belong_to_their_images() -> None:
    """Every image of a batch carries the label that MNIST gives it."""
    data = mnist_mlp().batch([2], 7)
    rows = permutation(60_000, 2, 0)[7 * 128 : 8 * 128].long()
    assert torch.equal(data["targets"][0], mnist().train_labels[rows])


def test_evaluation_equals_torch_modules(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test loss and accuracy are those of nn.Sequential, whatever the parts' size."""
    point = seeds_first(stacked(network, 2, 2, torch.float32))
    result = network.evaluate(point, {})
    images = mnist()
    for g in range(2):
        for s in range(2):
            alone = {name: p[g, s] for name, p in point.items()}
            with torch.no_grad():
                logits = module(network, alone)(images.test_images)
            loss = nn.functional.cross_entropy(logits, images.test_labels)
            accuracy = (logits.argmax(1) == images.test_labels).float().mean()
            assert result["test_loss"][g, s].item() == pytest.approx(loss.item(), rel=1e-5)
            # one image in 10,000 may lie on a boundary that rounding moves
            assert result["accuracy"][g, s].item() == pytest.approx(accuracy.item(), abs=1.01e-4)
    monkeypatch.setattr(network_module, "LIVE_FLOATS", 4 * network.model.width * 3001)
    parts = network.evaluate(point, {})
    for name, values in result.items():
        assert values.shape == (2, 2)
        torch.testing.assert_close(parts[name], values, rtol=1e-5, atol=1.01e-4)


def test_untrained_network_guesses() -> None:
    """Before training, accuracy is near a tenth and the loss near log 10."""
    network = mnist_mlp()
    starts = [network.start(seed) for seed in range(8)]
    point = {name: torch.stack([p[name] for p in starts]) for name in network.shapes}
    result = network.evaluate(point, {})
    assert 0.05 < result["accuracy"].mean() < 0.2
    assert ((result["test_loss"] - math.log(10)).abs() < 0.2).all()


def test_a_hundred_steps_of_sgd_learn() -> None:
    """Plain SGD at rate 0.1 through the stacked loss reaches 80 % in 100 steps."""
    network = mnist_mlp()
    assert network.facts.goal is Goal.REFERENCE
    starts = {
        name: torch.stack([network.start(s)[name] for s in range(2)]) for name in network.shapes
    }
    point = {name: p[None].requires_grad_() for name, p in starts.items()}
    for step in range(100):
        losses = network.loss(point, {**network.instance([0, 1]), **network.batch([0, 1], step)})
        grads = torch.autograd.grad(losses.sum(), list(point.values()))
        with torch.no_grad():
            for p, grad in zip(point.values(), grads, strict=True):
                p -= 0.1 * grad
    assert (network.evaluate(point, {})["accuracy"] > 0.8).all()


def test_folder_sets_the_sizes(tmp_path: Path) -> None:
    """Pixels, classes and budget are those of the folder's images."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 6)):
        for kind, shape, high in (
            ("images-idx3", (count, 3, 5), 256),
            ("labels-idx1", (count,), 4),
        ):
            values = np.resize(rng.integers(0, high, shape, dtype=np.uint8), shape)
            if kind == "labels-idx1":
                values[0] = 3
            sizes = b"".join(size.to_bytes(4, "big") for size in shape)
            content = bytes((0, 0, 8, len(shape))) + sizes + values.tobytes()
            (tmp_path / f"{part}-{kind}-ubyte").write_bytes(content)
    network = mnist_mlp(widths=6, batch=8, data=str(tmp_path))
    assert network.shapes["0.weight"] == (6, 15)
    assert network.shapes["1.bias"] == (4,)
    assert network.traits.budget == 2
    data = network.batch([0, 1], 3)
    assert data["inputs"].shape == (2, 8, 15)
    point = stacked(network, 2, 2, torch.float64)
    assert network.loss(point, data).shape == (2, 2)
    assert network.evaluate(point, {})["accuracy"].shape == (2, 2)


def test_arguments_outside_their_domain_are_refused(tmp_path: Path) -> None:
    """Each bad argument raises a sentence that names it."""
    for widths in ((0,), -3, True):
        with pytest.raises(BadValue, match=r"`widths` must be positive whole numbers"):
            mnist_mlp(widths=widths)
    with pytest.raises(
        BadValue, match="`activation` must be one of relu, tanh, sigmoid, gelu, got selu"
    ):
        mnist_mlp(activation="selu")
    for batch in (0, 60_001):
        with pytest.raises(BadValue, match=r"`batch` must be a whole number from 1 to the 60000"):
            mnist_softmax(batch=batch)
    with pytest.raises(StoreError, match="is missing"):
        mnist_mlp(data=str(tmp_path))


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (mnist_mlp(), "mnist_mlp"),
        (mnist_mlp(widths=128, batch=128), "mnist_mlp"),
        (mnist_mlp(widths=(), activation="tanh"), "mnist_mlp(widths=(), activation=tanh)"),
        (mnist_mlp((32, 16), batch=64), "mnist_mlp(widths=(32, 16), batch=64)"),
        (mnist_softmax(128, False), "mnist_softmax(bias=False)"),
    ],
)
def test_name_leaves_defaults_out(network: Network, name: str) -> None:
    """However a network was written, its own name and so its targets are the same."""
    assert network.name == name
    assert network.facts.targets == REFERENCE_TARGETS.get(name, ())


def test_network_travels_between_processes() -> None:
    """A pickled network is equal to the first and sees the same batches."""
    network = mnist_mlp(widths=(8,), batch=4)
    copy = pickle.loads(pickle.dumps(network))
    assert copy == network
    assert torch.equal(copy.batch([1], 2)["inputs"], network.batch([1], 2)["inputs"])
