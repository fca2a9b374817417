"""Deep perceptrons and autoencoders, against torch's own layers."""

import math
import statistics
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ravine import problem
from ravine.engine.task import Choice, Task, run
from ravine.errors import BadValue
from ravine.problems.base import Data, Point
from ravine.problems.catalogue import problems
from ravine.problems.draws import generator
from ravine.problems.networks import Network
from ravine.problems.networks import network as network_module
from ravine.problems.networks.autoencoder import mnist_autoencoder
from ravine.problems.networks.deep import CORNERS, DEPTHS, deep_mlp
from ravine.problems.networks.initial import INITS
from ravine.problems.networks.layers import ACTIVATIONS, EPSILON, batch_norm, layer_norm
from ravine.problems.networks.perceptron import NORMS, Perceptron

MODULES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}


class Reference(nn.Module):
    """A deep perceptron of torch's own layers, with the parameters of one network."""

    def __init__(self, model: Perceptron, point: Point) -> None:
        super().__init__()
        make = {
            "none": lambda width: nn.Identity(),
            "batch": lambda width: nn.BatchNorm1d(width, track_running_stats=False),
            "layer": nn.LayerNorm,
        }[model.norm]
        width, depth = model.sizes[1], len(model.sizes) - 1
        biased = [model.norm != "batch" or layer == depth - 1 for layer in range(depth)]
        self.linears = nn.ModuleList(
            nn.Linear(model.sizes[layer], model.sizes[layer + 1], biased[layer])
            for layer in range(depth)
        )
        self.norms = nn.ModuleList(make(width) for _ in range(depth - 1))
        self.activation = MODULES[model.activation]()
        self.skip, self.scale = model.skip, 1 / math.sqrt(max(1, depth - 2))
        self.double()
        self.named = {}
        for layer in range(depth):
            parts = [(f"{layer}", self.linears[layer])]
            if layer < depth - 1:
                parts.append((f"{layer}.norm", self.norms[layer]))
            for prefix, part in parts:
                for name, parameter in part.named_parameters():
                    self.named[f"{prefix}.{name}"] = parameter
        assert set(self.named) == set(point)
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(point[name])

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, `[batch, classes]`."""
        x = self.linears[0](x)
        for layer in range(1, len(self.linears)):
            product = self.linears[layer](self.activation(self.norms[layer - 1](x)))
            inner = layer < len(self.linears) - 1
            x = x + self.scale * product if self.skip and inner else product
        return x


def small(norm: str, skip: bool, activation: str = "tanh", depth: int = 5) -> Network:
    """A deep perceptron that costs nothing."""
    return deep_mlp(depth=depth, width=6, activation=activation, norm=norm, skip=skip, batch=8)


def drawn(network: Network, *stack: int, scale: float = 1.0) -> dict[str, Tensor]:
    """Parameters near the start, all different, gains and shifts too, `[*stack, *shape]`."""
    start = {name: p.double() for name, p in network.start(0).items()}
    return {
        name: p
        + 0.3
        * scale
        * torch.from_numpy(generator("test", name).standard_normal((*stack, *p.shape)))
        / math.sqrt(p.shape[-1])
        for name, p in start.items()
    }


def gradient(network: Network, point: Point, data: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses, and the gradient of their sum."""
    leaves = {name: p.detach().requires_grad_() for name, p in point.items()}
    losses = network.loss(leaves, data)
    grads = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return losses.detach(), dict(zip(leaves, grads, strict=True))


def alike(ours: Tensor, wanted: Tensor) -> None:
    """Equal to rounding, relative to the largest entry."""
    scale = max(1e-3, float(wanted.detach().abs().max()))
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_networks_equal_torch_layers(norm: str, skip: bool, activation: str) -> None:
    """Loss and gradient are those of nn.Module, alone and in a stack, in double precision."""
    network = small(norm, skip, activation)
    model = network.model
    assert isinstance(model, Perceptron)
    stacked, data = drawn(network, 2, 2), network.batch([4, 9], 3)
    losses, grads = gradient(network, stacked, data)
    for g in range(2):
        for s in range(2):
            point = {name: p[g, s] for name, p in stacked.items()}
            oracle = Reference(model, point)
            logits = oracle(data["inputs"][s].double())
            wanted = nn.functional.cross_entropy(logits, data["targets"][s])
            wanted.backward()
            alone, own = gradient(network, point, {name: d[s] for name, d in data.items()})
            alike(losses[g, s], wanted.detach())
            alike(alone, wanted.detach())
            for name, parameter in oracle.named.items():
                assert parameter.grad is not None
                alike(grads[name][g, s], parameter.grad)
                alike(own[name], parameter.grad)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_autoencoder_equals_torch_layers(activation: str) -> None:
    """Loss and gradient are those of nn.Sequential with a linear code, pixels in and out."""
    network = mnist_autoencoder(widths=(7, 3), activation=activation, batch=8)
    stacked, data = drawn(network, 2, 2), network.batch([4, 9], 3)
    assert torch.equal(data["inputs"], data["targets"])
    assert torch.equal(data["inputs"] * 255, (data["inputs"] * 255).round())
    assert (data["inputs"].min(), data["inputs"].max()) == (0.0, 1.0)
    losses, grads = gradient(network, stacked, data)
    for g in range(2):
        for s in range(2):
            oracle = nn.Sequential(
                nn.Linear(784, 7),
                MODULES[activation](),
                nn.Linear(7, 3),
                nn.Linear(3, 7),
                MODULES[activation](),
                nn.Linear(7, 784),
            ).double()
            with torch.no_grad():
                for parameter, p in zip(oracle.parameters(), stacked.values(), strict=True):
                    parameter.copy_(p[g, s])
            x = data["inputs"][s].double()
            wanted = nn.BCEWithLogitsLoss(reduction="sum")(oracle(x), x) / 8
            wanted.backward()
            alike(losses[g, s], wanted.detach())
            for ours, parameter in zip(grads.values(), oracle.parameters(), strict=True):
                assert parameter.grad is not None
                alike(ours[g, s], parameter.grad)


def test_best_constant_image_is_the_plateau() -> None:
    """An autoencoder that only knows the mean image has the error 206 that is stated."""
    images = mnist_autoencoder().supply.test()[1].double()
    mean = images.mean(0)
    entropy = torch.special.entr(mean) + torch.special.entr(1 - mean)
    assert 205.5 < entropy.sum() < 207.5


def test_autoencoder_has_a_test_loss_and_no_accuracy() -> None:
    """A run stores the error of test images, and nothing is right or wrong."""
    task = Task(
        ("mnist_autoencoder(widths=(4,))",), (Choice("sgd(lr=0.01)"),), (0,), 3, "float32", audit=1
    )
    frame, found, _ = run(task)
    assert found.agreed == found.audited == 1
    assert frame["accuracy"].to_list() == [None]
    assert 100 < frame["test_loss"][0] < 784


def normalised(oracle: Reference, images: Tensor) -> list[Tensor]:
    """What each normalisation of the reference is given."""
    seen: list[Tensor] = []
    hooks = [n.register_forward_pre_hook(lambda _, x: seen.append(x[0])) for n in oracle.norms]
    with torch.no_grad():
        oracle(images)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("skip", [False, True])
def test_moments_normalise_the_calibration_images(skip: bool) -> None:
    """Recomputed moments are those of torch's layers, and of each layer once they are used."""
    network = small("batch", skip)
    model, point = network.model, drawn(network, 2)
    assert isinstance(model, Perceptron)
    moments = network.moments(point)
    images = network.supply.calibration().double()
    every = {name: p[None] for name, p in point.items()}
    record: dict[str, tuple[Tensor, Tensor]] = {}
    model.outputs(every, images[None], moments=moments, record=record)
    assert list(moments) == list(record) == ["0", "1", "2", "3"]
    for layer, (mean, variance) in moments.items():
        assert mean.shape == (1, 2, 6)
        assert variance.min() > 0
        for given, seen in zip((mean, variance), record[layer], strict=True):
            torch.testing.assert_close(seen, given, rtol=1e-10, atol=1e-12)
    for g in range(2):
        oracle = Reference(model, {name: p[g] for name, p in point.items()})
        for (mean, variance), x in zip(moments.values(), normalised(oracle, images), strict=True):
            torch.testing.assert_close(mean[0, g], x.mean(0), rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(
                variance[0, g], x.var(0, correction=0), rtol=1e-9, atol=1e-12
            )


def test_frozen_moments_leave_examples_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An example's outputs depend on the others beside it by batch moments, not by frozen ones."""
    network = small("batch", skip=True)
    point = drawn(network, 2)
    moments = network.moments(point)
    every = {name: p[None] for name, p in point.items()}
    images = network.supply.test()[0][None, :40].double()
    outputs = network.model.outputs
    whole, part = outputs(every, images, moments), outputs(every, images[:, 10:20], moments)
    torch.testing.assert_close(part, whole[..., 10:20], rtol=1e-12, atol=1e-12)
    whole, part = outputs(every, images), outputs(every, images[:, 10:20])
    assert (part - whole[..., 10:20]).abs().max() > 1e-2

    frozen = network.score(point, moments)
    evaluated = network.evaluate(point, {})
    monkeypatch.setattr(network_module, "LIVE_FLOATS", 2 * network.model.width * 3001)
    in_parts = network.score(point, moments)
    by_batch = network.score(point, None)
    for name, values in frozen.items():
        torch.testing.assert_close(in_parts[name], values, rtol=1e-12, atol=0)
        torch.testing.assert_close(evaluated[name], values, rtol=1e-12, atol=0)
    assert ((by_batch["test_loss"] - frozen["test_loss"]).abs() > 1e-6).all()


def test_networks_in_blocks_have_the_same_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many networks are calibrated at a time changes nothing."""
    network = small("batch", skip=False)
    point = drawn(network, 3, 2)
    together = network.moments(point)
    monkeypatch.setattr(network_module, "LIVE_FLOATS", 4 * network.model.width * 10_000)
    for layer, pair in network.moments(point).items():
        for ours, wanted in zip(pair, together[layer], strict=True):
            assert ours.shape == (1, 6, 6)
            torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("norm", NORMS)
def test_two_layers_have_nothing_to_skip(norm: str) -> None:
    """Depth 2 has no two hidden layers, so skip connections change nothing; depth 3 has one."""
    for depth, same in ((2, True), (3, False)):
        without, with_skips = (small(norm, skip, depth=depth) for skip in (False, True))
        point, data = drawn(without, 2, 1), without.batch([0], 0)
        assert with_skips.shapes == without.shapes
        equal = torch.equal(with_skips.loss(point, data), without.loss(point, data))
        assert equal == same


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("torch", 1 / (3 * 784)),
        ("xavier", 2 / (784 + 64)),
        ("he", 2 / 784),
        ("small", 2 / 784 / 25),
        ("large", 2 / 784 * 25),
    ],
)
def test_initial_variances(init: str, variance: float) -> None:
    """Each way to draw has mean 0 and the variance that it states.

    The variance of n = 50,176 normal numbers has the relative standard error sqrt(2 / n), and
    of uniform ones less; both it and the mean lie within 5 of them: false alarm 1.2e-6.
    """
    network = deep_mlp(init=init)
    weight = network.start(7)["0.weight"].double()
    assert weight.shape == (64, 784)
    n = weight.numel()
    assert abs(weight.var() / variance - 1) < 5 * math.sqrt(2 / n)
    assert abs(weight.mean()) < 5 * math.sqrt(variance / n)
    largest = network.start(7)["0.bias"].abs().max()
    assert (largest > 0) == (init == "torch")
    assert set(INITS) == {"torch", "xavier", "he", "small", "large"}


def first_to_last(network: Network, seed: int) -> tuple[float, float]:
    """The loss of the first batch, and its gradient's norm at the first over the last layer."""
    data = {name: d[0] for name, d in network.batch([seed], 0).items()}
    loss, grads = gradient(network, network.start(seed), data)
    weights = [grad for name, grad in grads.items() if name.endswith("weight") and grad.dim() == 2]
    return loss.item(), float(weights[0].norm() / weights[-1].norm())


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("corner", CORNERS)
def test_corners_start_sensibly(corner: str, depth: int) -> None:
    """Losses begin near log 10 = 2.3; only batch normalisation alone lets gradients explode.

    By its theory the norm grows as (pi / (pi - 1))^(1/2) = 1.21 each layer under ReLU.
    """
    network = problem(f"deep_{corner}_{depth}")
    assert isinstance(network, Network)
    found = [first_to_last(network, seed) for seed in range(3)]
    assert all(2.2 < loss < 5.0 for loss, _ in found)
    ratio = statistics.median(ratio for _, ratio in found)
    if corner == "norm":
        growth = math.sqrt(math.pi / (math.pi - 1)) ** (depth - 2)
        assert growth / 2 < ratio < 8 * growth
    else:
        assert 0.5 < ratio < 20


def test_gradients_vanish_where_it_is_said() -> None:
    """Sigmoid with Xavier and ReLU with torch's weights lose the gradient; a skip keeps it."""
    for activation, init, low, high in (
        ("sigmoid", "xavier", 1e-13, 1e-10),
        ("relu", "torch", 1e-7, 1e-4),
    ):
        plain = deep_mlp(activation=activation, init=init)
        assert low < first_to_last(plain, 0)[1] < high
        skipping = deep_mlp(activation=activation, init=init, skip=True)
        assert 0.3 < first_to_last(skipping, 0)[1] < 30


def test_skips_bound_the_growth_of_activations() -> None:
    """From He's weights the mean square of ReLU networks' outputs grows about e-fold."""
    shallow, deep = deep_mlp(depth=2), deep_mlp(depth=50, skip=True)
    squares = []
    for network in (shallow, deep):
        starts = [network.start(seed) for seed in range(16)]
        point = {name: torch.stack([s[name] for s in starts])[None] for name in network.shapes}
        inputs = network.batch([0], 0)["inputs"]
        squares.append(network.model.outputs(point, inputs).square().mean())
    assert 0.6 * math.e < squares[1] / squares[0] < 1.6 * math.e


@pytest.mark.parametrize("corner", CORNERS)
def test_named_entries_are_deep_perceptrons(corner: str) -> None:
    """Each entry is `deep_mlp` with its switches, under its own name, with a stated budget."""
    norm, skip, _ = CORNERS[corner]
    for depth, budget in ((20, 468), (50, 234)):
        name = f"deep_{corner}_{depth}"
        entry, whole = problem(name), deep_mlp(depth=depth, norm=norm, skip=skip)
        assert isinstance(entry, Network)
        assert (entry.model, entry.supply) == (whole.model, whole.supply)
        assert entry.name == name
        assert entry.traits == whole.traits
        assert entry.traits.budget == budget
        assert len([n for n, shape in entry.shapes.items() if len(shape) == 2]) == depth
        assert name in problems.tagged("deep")
        assert problem(f"{name}(batch=64)").name == f"{name}(batch=64)"
    assert deep_mlp(depth=20, init="he").name == "deep_mlp"
    assert deep_mlp(norm="layer", skip=True).name == "deep_mlp(norm=layer, skip=True)"


def test_only_batch_moments_need_recomputing() -> None:
    """Networks say whether a batch normalises them, and where their loss has kinks."""
    assert small("batch", skip=False).model.normalised
    assert not small("layer", skip=False).model.normalised
    assert not Perceptron(sizes=(4, 2), norm="batch").normalised
    assert not deep_mlp().traits.smooth
    assert deep_mlp(activation="gelu").traits.smooth
    assert Perceptron(sizes=(4, 2, 4), code=1).smooth


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_second_derivatives_equal_torch_layers(norm: str, skip: bool) -> None:
    """Products of the Hessian with a vector are those of nn.Module."""
    network = small(norm, skip)
    assert isinstance(network.model, Perceptron)
    point = {name: p.requires_grad_() for name, p in drawn(network).items()}
    data = {name: d[0] for name, d in network.batch([1], 0).items()}
    oracle = Reference(network.model, point)
    loss = nn.functional.cross_entropy(oracle(data["inputs"].double()), data["targets"])
    products = []
    for value, leaves in ((network.loss(point, data), point), (loss, oracle.named)):
        parameters = [leaves[name] for name in point]
        slopes = torch.autograd.grad(value, parameters, create_graph=True)
        along = sum((g * g.detach().sign()).sum() for g in slopes)
        products.append(torch.autograd.grad(along, parameters))
    for ours, wanted in zip(*products, strict=True):
        scale = max(1e-2, float(wanted.abs().max()))
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("norm", [batch_norm, layer_norm])
def test_normalisation_can_be_differentiated_twice(norm: Callable[..., Tensor]) -> None:
    """First and second derivatives equal finite differences, for curvature."""
    make = torch.Generator().manual_seed(0)
    shapes = (1, 2, 3, 4), (1, 2, 3), (1, 2, 3)
    x, gain, shift = (
        torch.randn(shape, generator=make, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    )
    more = ("0",) if norm is batch_norm else ()

    def normalised(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        return norm(x, gain, shift, *more)

    assert torch.autograd.gradcheck(normalised, (x, gain, shift))
    assert torch.autograd.gradgradcheck(normalised, (x, gain, shift))


def test_normalisation_has_torch_epsilon() -> None:
    """Where a feature does not vary, the variance is as small as torch's epsilon lets it be."""
    x = torch.full((1, 1, 1, 4), 3.0, dtype=torch.float64)
    x[..., 0] += 1e-3
    one, none = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)
    expected = (x - x.mean()) / torch.sqrt(x.var(correction=0) + EPSILON)
    torch.testing.assert_close(batch_norm(x, one, none, "0"), expected)
    moments = {"0": (x.mean().view(1, 1, 1), x.var(correction=0).view(1, 1, 1))}
    torch.testing.assert_close(batch_norm(x, one, none, "0", moments), expected)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"depth": 1}, "`depth` must be a whole number of at least 2, got 1"),
        ({"depth": 101}, "`depth` must be at most 100, got 101"),
        ({"width": 0}, "`width` must be a whole number of at least 1, got 0"),
        ({"activation": "selu"}, "`activation` must be one of relu, tanh, sigmoid, gelu"),
        ({"norm": "group"}, "`norm` must be one of none, batch, layer, got group"),
        ({"init": "zero"}, "`init` must be one of torch, xavier, he, small, large, got zero"),
        ({"batch": 0}, "`batch` must be a whole number from 1 to the 60000"),
        ({"batch": 1, "norm": "batch"}, "`batch` must be at least 2 for a variance over it"),
    ],
)
def test_bad_arguments_are_refused(given: dict[str, object], sentence: str) -> None:
    """Each raises one sentence that names the argument."""
    with pytest.raises(BadValue, match=sentence) as caught:
        deep_mlp(**given)
    assert "\n" not in str(caught.value)


def test_single_images_train_without_batch_norm() -> None:
    """A batch of one is refused only where a batch normalises."""
    network = deep_mlp(depth=3, width=4, norm="layer", batch=1)
    assert network.loss(drawn(network, 1, 1), network.batch([0], 0)).shape == (1, 1)


@pytest.mark.parametrize("widths", [(), (0,), (30, -1), (True,)])
def test_bad_widths_of_an_autoencoder_are_refused(widths: tuple[int, ...]) -> None:
    """A code is needed, and widths are positive whole numbers."""
    with pytest.raises(BadValue, match="`widths` must be positive whole numbers"):
        mnist_autoencoder(widths=widths)


def test_autoencoder_is_mirrored() -> None:
    """The sizes go down to the code and up again, also for the classic."""
    model = mnist_autoencoder(widths=(1000, 500, 250, 30)).model
    assert isinstance(model, Perceptron)
    assert model.sizes == (784, 1000, 500, 250, 30, 250, 500, 1000, 784)
    assert model.sizes[model.code] == 30
    assert mnist_autoencoder(widths=(30,)).shapes["0.weight"] == (30, 784)
