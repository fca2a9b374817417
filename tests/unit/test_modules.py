"""A user's own module becomes a problem: stacked or one by one, a pure function, explained."""

import functools
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from ravine.engine.network_grid import run_network_grid
from ravine.engine.rows import Level
from ravine.engine.solo import solve
from ravine.errors import BadValue
from ravine.optimizers import Setting, method
from ravine.problems.base import Goal
from ravine.problems.modules import scoring
from ravine.problems.modules.module import ModuleProblem
from ravine.problems.networks.images import ImageSupply

GEN = torch.Generator().manual_seed(1)
X = torch.randn(60, 6, generator=GEN)
LABELS = torch.randint(3, (60,), generator=GEN)
TEST = (torch.randn(20, 6, generator=GEN) + 1, torch.randint(3, (20,), generator=GEN))
TOKENS = torch.randint(7, (24, 5), generator=GEN)


def right(outputs: Tensor, labels: Tensor) -> Tensor:
    """Share of right answers."""
    return (outputs.argmax(1) == labels).double().mean()


def plain() -> nn.Module:
    """A perceptron without anything random or normalised."""
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def normalised() -> nn.Module:
    """A perceptron with batch normalisation, whose running moments are not the trivial ones."""
    net = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5), nn.BatchNorm1d(5),
        nn.Tanh(), nn.Linear(5, 3),
    )  # fmt: skip
    for layer in net:
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
    return net


def dropping() -> nn.Module:
    """As many kinds of dropout as fit into a perceptron, one of them used twice."""
    drop = nn.Dropout(0.3)
    return nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), drop, nn.SELU(), nn.AlphaDropout(0.2),
        nn.Linear(8, 8), nn.ReLU(inplace=True), drop, nn.Linear(8, 3),
    )  # fmt: skip


def convolving() -> nn.Module:
    """Convolution, with normalisation and dropout of channels."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4),
        nn.Dropout2d(0.3), nn.GELU(), nn.Flatten(), nn.Linear(24, 3),
    )  # fmt: skip


class Attending(nn.Module):
    """Embedded tokens that attend to each other, dropped by functions; weights are tied."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.norm = nn.LayerNorm(4)
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.embed.weight
        self.register_buffer("places", torch.randn(5, 4))

    def forward(self, tokens: Tensor) -> Tensor:
        """Outputs of a batch."""
        x = self.norm(self.embed(tokens) + self.places)
        p = 0.2 if self.training else 0.0
        x = x + functional.scaled_dot_product_attention(x, x, x, dropout_p=p, is_causal=True)
        return self.out(functional.dropout(x, 0.2, self.training)).transpose(1, 2)


class Encoder(nn.Module):
    """Torch's own transformer layer, whose attention has a fused kernel."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout, batch_first=True)
        self.out = nn.Linear(4, 7)

    def forward(self, tokens: Tensor) -> Tensor:
        """Outputs of a batch."""
        return self.out(self.layer(self.embed(tokens))).transpose(1, 2)


class Branching(nn.Module):
    """Looks at a value in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of a batch."""
        h = self.a(x)
        if not h.isfinite().all():
            raise ValueError("no numbers")
        return self.b(torch.tanh(h) if self.b.weight.sum() > 0 else h)


class Recurrent(nn.Module):
    """A recurrent layer, for which torch has no batching rule."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of a batch."""
        return self.out(self.layer(x.view(-1, 3, 2))[0][:, -1])


class Noisy(nn.Module):
    """Draws its noise from torch's generator."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of a batch."""
        return self.out(x + torch.randn_like(x) if self.training else x)


def made(factory: Callable[[], nn.Module], **more: Any) -> ModuleProblem:
    """A problem of labelled vectors."""
    given = {"test": TEST, "accuracy": right, "batch_size": 12, **more}
    return ModuleProblem(factory, (X, LABELS), cross_entropy, **given)


def fitted() -> ModuleProblem:
    """A problem of numbers that are to be foretold, by the mean squared error."""
    targets = (X[:, :2] ** 2, TEST[0][:, :2] ** 2)
    net = functools.partial(nn.Linear, 6, 2)
    return ModuleProblem(
        net, (X, targets[0]), functional.mse_loss, test=(TEST[0], targets[1]), batch_size=12
    )


class Late(nn.Linear):
    """Looks at a value in Python, in evaluation only."""

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of a batch."""
        turned = not self.training and self.weight.sum() > 0
        return super().forward(-x if turned else x)


def read(factory: Callable[[], nn.Module]) -> ModuleProblem:
    """A problem of tokens that are to be foretold."""
    shifted = TOKENS.roll(-1, 1)
    return ModuleProblem(
        factory, (TOKENS, shifted), cross_entropy, test=(TOKENS, shifted), batch_size=6
    )


STACKED: dict[str, Callable[[], ModuleProblem]] = {
    "plain": lambda: made(plain),
    "normalised": lambda: made(normalised),
    "frozen": lambda: made(normalised, batch_norm="frozen"),
    "fitted": fitted,
    "dropping": lambda: made(dropping),
    "convolving": lambda: made(convolving),
    "attending": lambda: read(Attending),
    "encoder": lambda: read(Encoder),
}
ALONE: dict[str, tuple[Callable[[], ModuleProblem], str]] = {
    "branching": (lambda: made(Branching), "data-dependent control flow"),
    "late": (lambda: made(lambda: Late(6, 3)), "data-dependent control flow"),
    "recurrent": (lambda: made(Recurrent), "Batching rule not implemented for aten::gru"),
    "noisy": (lambda: made(Noisy), "draws random numbers by other means than the dropout"),
    "encoder": (lambda: read(lambda: Encoder(0.2)), "draws random numbers by other means"),
}
EVERY = {**STACKED, **{f"{name} alone": make for name, (make, _) in ALONE.items()}}


@functools.cache
def every(name: str) -> ModuleProblem:
    """Any of these, made once."""
    return EVERY[name]()


def stack(problem: ModuleProblem, settings: int, seeds: int) -> dict[str, Tensor]:
    """Different networks for all settings and seeds, `[settings, seeds, *shape]`, float64."""
    points = [[problem.start(100 * g + s) for s in range(seeds)] for g in range(settings)]
    return {
        name: torch.stack([torch.stack([p[name] for p in row]) for row in points]).double()
        for name in problem.shapes
    }


def slopes(
    problem: ModuleProblem, point: dict[str, Tensor], data: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses, and the gradient of their sum."""
    leaves = {name: p.detach().requires_grad_() for name, p in point.items()}
    losses = problem.loss(leaves, data)
    found = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return losses.detach(), dict(zip(leaves, found, strict=True))


def data_of(problem: ModuleProblem, seeds: list[int], step: int = 3) -> dict[str, Tensor]:
    """Instance and batch."""
    return {**problem.instance(seeds), **problem.batch(seeds, step)}


def assert_close(ours: Tensor, wanted: Tensor) -> None:
    """Equal to rounding in double precision."""
    torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-11)


def loaded(factory: Callable[[], nn.Module], seed: int) -> nn.Module:
    """The user's own module as a plain loop would begin with it, in float64."""
    torch.manual_seed(seed)
    return factory().double()


@pytest.mark.parametrize("name", EVERY)
def test_a_stack_gives_each_network_its_loss_and_gradient(name: str) -> None:
    """Stacked or looped over, every network has the loss and gradient that it has alone."""
    problem = every(name)
    point, data = stack(problem, 3, 2), data_of(problem, [4, 9])
    losses, gradients = slopes(problem, point, data)
    assert losses.shape == (3, 2)
    for g in range(3):
        for s in range(2):
            own = {n: t[s] for n, t in data.items()}
            loss, gradient = slopes(problem, {n: p[g, s] for n, p in point.items()}, own)
            assert_close(losses[g, s], loss)
            for n, found in gradient.items():
                assert_close(gradients[n][g, s], found)


@pytest.mark.parametrize("name", EVERY)
def test_stacks_of_any_shape(name: str) -> None:
    """More stack dimensions, one, or one seed's data for all networks give the same losses."""
    problem = every(name)
    point, data = stack(problem, 4, 2), data_of(problem, [4, 9])
    losses = problem.loss(point, data)
    folded = {n: p.reshape(2, 2, *p.shape[1:]) for n, p in point.items()}
    assert_close(problem.loss(folded, data), losses.view(2, 2, 2))
    assert_close(problem.loss({n: p[1] for n, p in point.items()}, data), losses[1])
    column = {n: p[:, 1] for n, p in point.items()}
    assert_close(problem.loss(column, {n: t[1] for n, t in data.items()}), losses[:, 1])


@pytest.mark.parametrize("name", STACKED)
def test_what_can_be_stacked_is(name: str) -> None:
    """No reason is given where there is none, nor told to the engine."""
    problem = every(name)
    assert problem.alone is None
    assert problem.traits.unstacked == ""


@pytest.mark.parametrize("name", ALONE)
def test_what_cannot_be_stacked_says_why(name: str) -> None:
    """The reason is one line, an attribute and a trait."""
    _, reason = ALONE[name]
    problem = every(f"{name} alone")
    assert problem.alone is not None
    assert reason in problem.alone
    assert "\n" not in problem.alone
    assert problem.traits.unstacked == problem.alone


@pytest.mark.parametrize(
    "factory", [plain, normalised, convolving, Branching, Recurrent], ids=lambda f: f.__name__
)
def test_training_is_what_the_plain_module_does(factory: Callable[[], nn.Module]) -> None:
    """Loss and gradient are those of the module itself in `train()`, from its own start."""

    def undropped() -> nn.Module:
        module = factory()
        for part in module.modules():
            if isinstance(part, nn.Dropout2d):
                part.p = 0.0
        return module

    problem = made(undropped)
    module = loaded(undropped, 7).train()
    data = {n: t[0] for n, t in data_of(problem, [7]).items()}
    point = {n: p.double() for n, p in problem.start(7).items()}
    loss, gradient = slopes(problem, point, data)
    wanted = cross_entropy(module(data["inputs"].double()), data["targets"])
    wanted.backward()
    assert_close(loss, wanted.detach())
    for n, p in module.named_parameters():
        assert_close(point[n], p.detach())
        assert_close(gradient[n], p.grad)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.BatchNorm1d, (3,)),
        (nn.BatchNorm1d, (3, 4)),
        (nn.BatchNorm2d, (3, 2, 4)),
        (nn.BatchNorm3d, (3, 2, 2, 2)),
    ],
)
def test_every_batch_norm_is_torchs_own(layer: Any, shape: tuple[int, ...]) -> None:
    """In each dimension: training, frozen training, and evaluation by the batch or by none."""
    x = torch.randn(40, *shape, generator=torch.Generator().manual_seed(2)) * 3 + 1

    def net() -> nn.Module:
        norm = layer(3)
        norm.running_mean.copy_(torch.tensor([1.0, 2.0, -1.0]))
        norm.running_var.copy_(torch.tensor([4.0, 0.5, 2.0]))
        nn.init.uniform_(norm.weight, 0.5, 2)
        return norm

    def square(outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs - targets) ** 3).mean()

    for policy in ("batch", "frozen"):
        problem = ModuleProblem(
            net, (x, x.flip(0)), square, test=(x[:9], x[9:18]), batch_size=8, batch_norm=policy
        )
        module = loaded(net, 0).train(policy == "batch")
        data = {n: t[0].double() for n, t in problem.batch([0], 0).items()}
        point = {n: p.double() for n, p in problem.start(0).items()}
        loss, gradient = slopes(problem, point, data)
        wanted = square(module(data["inputs"]), data["targets"])
        wanted.backward()
        assert_close(loss, wanted.detach())
        assert_close(gradient["weight"], module.weight.grad)
        tested = square(module(x[:9].double()), x[9:18].double())
        assert_close(problem.evaluate(point, {})["test_loss"], tested.detach())


def test_recomputed_moments_are_those_of_the_training_inputs() -> None:
    """Evaluation equals a module whose running moments are set, layer by layer, by hand."""
    problem = made(normalised)
    point = {n: p.double() for n, p in problem.start(3).items()}
    module = loaded(normalised, 3).eval()
    for depth, layer in enumerate(module):
        if isinstance(layer, nn.BatchNorm1d):
            with torch.no_grad():
                seen = module[:depth](X.double())
                layer.running_mean.copy_(seen.mean(0))
                layer.running_var.copy_(seen.var(0, correction=0))
    outputs = module(TEST[0].double()).detach()
    own = {n: t[0] for n, t in problem.instance([3]).items()}
    found = problem.evaluate(point, own)
    assert_close(found["test_loss"], cross_entropy(outputs, TEST[1]))
    assert_close(found["accuracy"], right(outputs, TEST[1]).double())


def test_the_policies_differ_where_they_should() -> None:
    """In training only `frozen` differs; in evaluation each is another."""
    problems = {p: made(normalised, batch_norm=p) for p in ("recomputed", "batch", "frozen")}
    data = data_of(problems["batch"], [0])
    point = {n: p[None] for n, p in problems["batch"].start(0).items()}
    losses = {}
    for name, p in problems.items():
        own = {**data, **p.instance([0])}
        losses[name] = (p.loss(point, own).item(), p.evaluate(point, own)["test_loss"].item())
    assert losses["recomputed"][0] == losses["batch"][0]
    assert abs(losses["frozen"][0] - losses["batch"][0]) > 1e-3
    tested = sorted(test for _, test in losses.values())
    assert min(np.diff(tested)) > 1e-3


def test_a_layer_that_the_user_has_frozen_stays_frozen() -> None:
    """A batch norm that refuses training mode uses its own moments under every policy."""

    class Still(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> Any:
            return super().train(False)

    def net() -> nn.Module:
        norm = Still(6)
        norm.running_mean.fill_(0.5)
        return nn.Sequential(norm.eval(), nn.Linear(6, 3))

    problem = made(net)
    module = loaded(net, 0)
    data = {n: t[0] for n, t in data_of(problem, [0]).items()}
    point = {n: p.double() for n, p in problem.start(0).items()}
    wanted = cross_entropy(module(data["inputs"].double()), data["targets"])
    assert_close(problem.loss(point, data), wanted.detach())
    wanted = cross_entropy(module(TEST[0].double()), TEST[1])
    assert_close(problem.evaluate(point, problem.instance([0]))["test_loss"], wanted.detach())


@pytest.mark.parametrize("name", EVERY)
def test_evaluation_is_that_of_each_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stack, and any division into parts, scores a network as it is scored alone."""
    problem = every(name)
    seeds = [0, 1]
    point, instance = stack(problem, 3, 2), problem.instance(seeds)
    found = problem.evaluate(point, instance)
    assert set(found) == {"test_loss"} | ({"accuracy"} if problem.accuracy else set())
    for measure, values in found.items():
        assert values.shape == (3, 2)
        for g in range(3):
            for s in range(2):
                own = {n: t[s] for n, t in instance.items()}
                single = problem.evaluate({n: p[g, s] for n, p in point.items()}, own)
                assert_close(values[g, s], single[measure])
    monkeypatch.setattr(scoring, "LIVE_FLOATS", 7 * problem.findings.width)
    for measure, values in problem.evaluate(point, instance).items():
        assert_close(values, found[measure])


def test_a_plain_module_is_evaluated_in_eval_mode() -> None:
    """Without batch norm, the scores are those of the module itself in `eval()`."""
    for factory in (plain, Branching, Noisy):
        problem = made(factory)
        module = loaded(factory, 5).eval()
        point = {n: p.double() for n, p in problem.start(5).items()}
        outputs = module(TEST[0].double()).detach()
        found = problem.evaluate(point, {})
        assert_close(found["test_loss"], cross_entropy(outputs, TEST[1]))
        assert_close(found["accuracy"], right(outputs, TEST[1]).double())
    assert made(plain, test=None, accuracy=None).evaluate(problem.start(5), {}) == {}


def test_diverged_networks_are_not_asked() -> None:
    """A network without finite numbers has losses of NaN, though its module would raise."""
    problem = made(Branching)
    point, data = stack(problem, 2, 2), data_of(problem, [0, 1])
    for p in point.values():
        p[1, 0] = torch.nan
    losses, gradients = slopes(problem, point, data)
    assert losses.isnan().tolist() == [[False, False], [True, False]]
    assert all(g[1, 0].isnan().all() and g[0].isfinite().all() for g in gradients.values())
    found = problem.evaluate(point, {})
    assert found["test_loss"].isnan().tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize("name", EVERY)
def test_the_loss_is_a_pure_function(name: str) -> None:
    """Nothing global is used or moved: two problems made apart agree to the bit, in any order."""
    state = torch.get_rng_state()
    one, two = every(name), EVERY[name]()
    point = stack(one, 2, 2)
    first = one.loss(point, data_of(one, [4, 9], step=11))
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    two.loss(point, data_of(two, [4, 9], step=12))
    assert torch.equal(two.loss(point, data_of(two, [4, 9], step=11)), first)
    for seed in (4, 9):
        for n, p in one.start(seed).items():
            assert torch.equal(two.start(seed)[n], p)


def test_randomness_is_common_to_settings_and_differs_otherwise() -> None:
    """Equal networks of a seed have one loss; other seeds and steps drop other units."""
    for problem in (made(dropping), read(Attending), made(Noisy), read(lambda: Encoder(0.2))):
        one = problem.start(0)
        equal = {n: p.expand(3, 2, *p.shape) for n, p in one.items()}
        data = data_of(problem, [0, 1])
        data = {n: t if n == "dropout" else t[:1].expand_as(t) for n, t in data.items()}
        losses = problem.loss(equal, data)
        assert torch.equal(losses, losses[:1].expand(3, 2))
        assert losses[0, 0] != losses[0, 1]
        later = {**data, "dropout": problem.batch([0, 1], 4)["dropout"]}
        assert (problem.loss(equal, later) != losses).all()


def test_a_seed_decides_start_constants_and_order() -> None:
    """Starts are those of `torch.manual_seed`, buffers are a seed's own, batches permute."""
    problem = read(Attending)
    for seed in (3, 8):
        torch.manual_seed(seed)
        module = Attending()
        assert torch.equal(problem.start(seed)["embed.weight"], module.embed.weight)
        places = problem.instance([1, seed])["constant:places"]
        assert torch.equal(places[1], module.places)
    assert list(problem.shapes) == ["embed.weight", "norm.weight", "norm.bias"]
    plain_problem = made(plain)
    assert plain_problem.instance([0, 1]) == {}
    epochs = [
        torch.cat([plain_problem.batch([seed], 5 * epoch + k)["inputs"][0] for k in range(5)])
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    for order in epochs:
        assert torch.equal(order[:, 0].sort().values, X[:, 0].sort().values)
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0], epochs[2])


def test_frozen_parameters_are_constants() -> None:
    """A parameter without gradient is not trained, and is drawn by the seed."""

    def net() -> nn.Module:
        module = plain()
        module[0].requires_grad_(False)
        return module

    problem = made(net)
    assert list(problem.shapes) == ["2.weight", "2.bias"]
    torch.manual_seed(4)
    assert torch.equal(problem.instance([4])["constant:0.weight"][0], net()[0].weight)
    module = loaded(net, 4)
    data = {n: t[0] for n, t in data_of(problem, [4]).items()}
    wanted = cross_entropy(module(data["inputs"].double()), data["targets"])
    point = {n: p.double() for n, p in problem.start(4).items()}
    # the first layer's numbers were drawn in single precision, in both
    assert_close(problem.loss(point, data), wanted.detach())


@pytest.mark.parametrize("factory", [normalised, dropping, Branching, Noisy])
def test_the_users_module_is_left_alone(factory: Callable[[], nn.Module]) -> None:
    """One module handed out again and again keeps its numbers, mode and gradients."""
    module = factory().eval()
    before = pickle.dumps(module)
    problem = made(lambda: module)
    point, data = stack(problem, 2, 2), data_of(problem, [0, 1])
    slopes(problem, point, data)
    problem.evaluate(point, problem.instance([0, 1]))
    assert pickle.dumps(module) == before
    assert all(p.grad is None for p in module.parameters())
    assert not module.training


@pytest.mark.parametrize("name", ["normalised", "dropping", "attending", "branching alone"])
def test_the_grid_trains_as_the_plain_loop_does(name: str) -> None:
    """Runs of the engine's grid follow the plain loop within rounding."""
    problem = every(name)
    settings = [Setting(method("sgd"), (("lr", lr),)) for lr in (0.05, 0.2)]
    pairs = [(s, Level.ELEMENTWISE) for s in settings]
    grid, measured = run_network_grid(problem, pairs, [0, 1], 12, torch.float64)
    assert measured["test_loss"].shape == (2, 2)
    for g, setting in enumerate(settings):
        for s, seed in enumerate((0, 1)):
            alone, stacked = solve(problem, setting, seed, 12), grid.runs[0].at(g, s)
            assert alone.final != alone.start
            np.testing.assert_allclose(stacked.trace, alone.trace, rtol=1e-7)


def test_data_in_every_form_are_the_same_examples() -> None:
    """Tensors, arrays and datasets give the same batches; a supply gives its own."""
    wanted = made(plain).batch([0, 5], 2)

    class Items:
        def __len__(self) -> int:
            return len(X)

        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            return X[i], int(LABELS[i])

    forms = ((X.numpy(), LABELS.numpy()), [X, LABELS], TensorDataset(X, LABELS), Items())
    for data in forms:
        problem = ModuleProblem(plain, data, cross_entropy, batch_size=12)
        for name, tensor in problem.batch([0, 5], 2).items():
            assert torch.equal(tensor, wanted[name])
    images = ImageSupply(batch_size=16)
    problem = ModuleProblem(lambda: nn.Linear(784, 10), images, cross_entropy, accuracy=right)
    assert problem.traits.budget == images.epoch
    assert torch.equal(problem.batch([1], 7)["inputs"], images.batch([1], 7)["inputs"])
    point = {n: torch.stack([problem.start(s)[n] for s in (0, 1)]) for n in problem.shapes}
    assert problem.evaluate(point, {})["accuracy"].shape == (2,)


def test_what_an_engine_is_told() -> None:
    """Traits and goal: stochastic, noisy, one epoch unless told otherwise, targets as given."""
    problem = made(plain)
    traits = problem.traits
    assert (traits.stochastic, traits.noisy_value, traits.smooth) == (True, True, False)
    assert traits.budget == 60 // 12
    assert (problem.facts.goal, problem.facts.targets) == (Goal.REFERENCE, ())
    told = made(plain, budget=7, targets=(1.0, 0.5), smooth=True)
    assert (told.traits.budget, told.facts.targets, told.traits.smooth) == (7, (1.0, 0.5), True)


def test_a_module_that_writes_into_its_inputs_does_no_harm() -> None:
    """Inputs are handed out as copies, so that training and test examples stay as they are."""

    class Writing(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            x -= 1.0
            return super().forward(x)

    inputs, tested = X.clone(), TEST[0].clone()
    problem = ModuleProblem(
        lambda: Writing(6, 3), (inputs, LABELS), cross_entropy, test=(tested, TEST[1])
    )
    point = stack(problem, 2, 1)
    problem.loss(point, data_of(problem, [0]))
    first, again = (problem.evaluate(point, {})["test_loss"] for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(inputs, X)
    assert torch.equal(tested, TEST[0])


def test_a_problem_can_be_pickled() -> None:
    """A copy sent elsewhere gives the same losses."""
    problem = made(dropping, name="mine", version=5)
    sent = pickle.loads(pickle.dumps(problem))
    assert (sent.name, sent.version, sent.traits) == ("mine", 5, problem.traits)
    point = stack(problem, 2, 2)
    data = data_of(problem, [0, 1])
    assert torch.equal(sent.loss(point, data_of(sent, [0, 1])), problem.loss(point, data))


class Stateful(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(6, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of a batch."""
        self.calls += 1
        return self.out(x)


class Remembering(nn.Module):
    """Adds up in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.before = nn.Linear(6, 3), 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of a batch."""
        self.before = self.before + 1.0
        return self.out(x) * self.before


class Idle(nn.Module):
    """Has a parameter too many."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.extra = nn.Linear(6, 3), nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of a batch."""
        return self.out(x)


class Rerun(nn.Module):
    """Computes again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.out = plain()

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of a batch."""
        return torch.utils.checkpoint.checkpoint(self.out, x, use_reentrant=False)


def infinite() -> nn.Module:
    """Begins with a weight that is not finite."""
    net = nn.Linear(6, 3)
    nn.init.constant_(net.weight, torch.inf)
    return net


def fails() -> nn.Module:
    """Cannot be made."""
    raise RuntimeError("no luck\nat all")


def unseeded() -> nn.Module:
    """Draws its parameters from another generator."""
    net = nn.Linear(6, 3)
    draw = np.random.default_rng()
    nn.init.constant_(net.weight, draw.random())
    return net


class Shaken:
    """A dataset with random augmentation."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return torch.rand(6), 0


def with_nan() -> Tensor:
    """Inputs of which one is no number."""
    x = X.clone()
    x[7, 1] = torch.nan
    return x


def lazy() -> nn.Module:
    """Does not know its sizes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of lazy modules
        return nn.LazyLinear(3)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "module": (lambda: made(nn.Linear(6, 3)), "`module_factory` must be a function"),
    "raises": (lambda: made(fails), "`module_factory` fails: RuntimeError: no luck"),
    "no module": (lambda: made(lambda: 3), "must return a torch.nn.Module, got 3; return"),
    "no parameters": (lambda: made(nn.ReLU), "`ReLU` has no parameters to train"),
    "unseeded": (lambda: made(unseeded), "other numbers each time its factory is called"),
    "lazy": (lambda: made(lazy), "`LazyLinear` has lazy parameters, such as `weight`"),
    "stateful": (lambda: made(Stateful), "changes its buffer `calls` as it runs"),
    "remembering": (lambda: made(Remembering), "gives another loss each time"),
    "idle": (lambda: made(Idle), "`Idle` does not use its parameter `extra`"),
    "rerun": (lambda: made(Rerun), "gradient by `out.0.weight` that is not finite"),
    "sparse": (
        lambda: read(
            lambda: nn.Sequential(
                nn.Embedding(7, 5, sparse=True),
                nn.Flatten(),
                nn.Linear(25, 35),
                nn.Unflatten(1, (7, 5)),
            )
        ),
        "`Sequential` has a sparse gradient by `0.weight`.*make its layer with sparse=False",
    ),
    "infinite": (lambda: made(infinite), "starts with a loss of (nan|inf)"),
    "narrow": (lambda: made(lambda: nn.Linear(5, 3)), "fails on a batch of inputs .12, 6."),
    "labels": (lambda: made(lambda: nn.Linear(6, 2)), "fails on a batch .*Target .* out of bounds"),
    "vector": (
        lambda: ModuleProblem(
            plain, (X, LABELS), lambda o, t: cross_entropy(o, t, reduction="none")
        ),
        r"`criterion` must return a scalar tensor for a batch, got \[32\]",
    ),
    "number": (
        lambda: ModuleProblem(plain, (X, LABELS), lambda o, t: 1.0),
        "`criterion` must return a scalar tensor for a batch, got float",
    ),
    "detached": (
        lambda: ModuleProblem(plain, (X, LABELS), lambda o, t: cross_entropy(o.detach(), t)),
        "has no gradient; compute it from the outputs",
    ),
    "lengths": (lambda: made(plain, test=(X, LABELS[:7])), "`test` must have a target for every"),
    "test shape": (lambda: made(plain, test=(X[:, :4], LABELS)), "`test` must have inputs of the"),
    "nan": (lambda: ModuleProblem(plain, (with_nan(), LABELS), cross_entropy), "in example 7;"),
    "empty": (lambda: made(plain, test=(X[:0], LABELS[:0])), "`test` holds no examples"),
    "three": (lambda: made(plain, test=(X, LABELS, X)), "`test` must be a pair, got 3 things"),
    "words": (lambda: made(plain, test=("a", "b")), "`test` holds a str that is no array"),
    "endless": (lambda: made(plain, test=iter([1])), "`test` must be data of known length"),
    "loader": (
        lambda: made(plain, test=DataLoader(TensorDataset(X, LABELS))),
        "`test` is a DataLoader, .*give its `.dataset`",
    ),
    "shaken": (lambda: made(plain, test=Shaken()), "gives another input each time it is read"),
    "big batch": (lambda: made(plain, batch_size=61), "from 1 to the 60 training examples, got 61"),
    "no batch": (lambda: made(plain, batch_size=0), "`batch_size` must be a whole number"),
    "policy": (lambda: made(plain, batch_norm="running"), "`batch_norm` must be one of recomputed"),
    "lonely": (
        lambda: made(normalised, batch_size=1),
        "ValueError: a batch of .1, 8. has one value",
    ),
    "untracked": (
        lambda: made(
            lambda: nn.Sequential(nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 3)),
            batch_norm="frozen",
        ),
        "^`batch_norm=frozen` needs running moments, and `0` tracks none",
    ),
    "budget": (lambda: made(plain, budget=0), "`budget` must be a whole number of at least 1"),
    "targets": (lambda: made(plain, targets=(0.1, 0.2)), "`targets` must be finite losses in desc"),
    "percent": (
        lambda: made(plain, accuracy=lambda o, t: 100 * right(o, t) + 2),
        "`accuracy` must return the share of right answers",
    ),
    "nothing to count": (lambda: made(plain, test=None), "`accuracy` is counted on test examples"),
    "accuracy": (lambda: made(plain, accuracy=lambda o, t: o["x"]), "fails on test examples"),
    "supply and test": (
        lambda: ModuleProblem(plain, ImageSupply(), cross_entropy, test=(X, LABELS)),
        "`test` is given beside a Supply",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_explained(name: str) -> None:
    """Every mistake is one line that says what is wrong and what to do."""
    make, message = WRONG[name]
    with pytest.raises(BadValue, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value) or "must be" in str(caught.value)


def test_a_failure_in_the_middle_of_a_run_names_the_problem() -> None:
    """What fails at a later batch is explained too, for a run that has begun."""
    problem = made(plain, name="mine")
    point = problem.start(0)
    data = {n: t[0] for n, t in problem.batch([0], 0).items()}
    with pytest.raises(BadValue, match="`mine` fails in training: IndexError: Target 9"):
        problem.loss(point, {**data, "targets": torch.full_like(data["targets"], 9)})
