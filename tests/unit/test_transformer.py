"""Transformers on letters, against torch.nn, and the text they read."""

import math
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ravine.errors import BadValue, StoreError
from ravine.problems.base import Data, Point
from ravine.problems.networks import Network
from ravine.problems.networks import text as text_module
from ravine.problems.networks.text import TextSupply, novel
from ravine.problems.networks.transformer import Transformer, char_transformer

ROUNDING = 1e-11
"""Relative to the largest entry, in float64."""


@pytest.fixture(params=[False, True], ids=["own output", "tied"])
def network(request: pytest.FixtureRequest) -> Network:
    """A small transformer of each kind."""
    return char_transformer(layers=2, width=6, heads=3, context=5, tied=request.param, batch=4)


class Oracle(nn.Module):
    """The same network as torch's own modules, whose parameters are filled from a point."""

    def __init__(self, model: Transformer, point: Point) -> None:
        super().__init__()
        n = model.units
        self.letters = nn.Embedding(model.letters, n)
        self.positions = nn.Embedding(model.context, n)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                n, model.heads, 4 * n, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(model.layers)
        )
        self.norm = nn.LayerNorm(n)
        self.output = nn.Linear(n, model.letters, bias=False)
        if model.tied:
            self.output.weight = self.letters.weight
        self.double()
        self.named: dict[str, Tensor] = {
            "letters": self.letters.weight,
            "positions": self.positions.weight,
            "norm.weight": self.norm.weight,
            "norm.bias": self.norm.bias,
        }
        if not model.tied:
            self.named["output"] = self.output.weight
        for i, layer in enumerate(self.layers):
            attention = layer.self_attn
            self.named |= {
                f"{i}.attention.weight": attention.in_proj_weight,
                f"{i}.attention.bias": attention.in_proj_bias,
            }
            for name, part in (
                ("attention.norm", layer.norm1),
                ("gather", attention.out_proj),
                ("expand.norm", layer.norm2),
                ("expand", layer.linear1),
                ("contract", layer.linear2),
            ):
                self.named[f"{i}.{name}.weight"] = part.weight
                self.named[f"{i}.{name}.bias"] = part.bias
        assert set(self.named) == set(point)
        with torch.no_grad():
            for name, value in point.items():
                self.named[name].copy_(value)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [batch, positions, letters]."""
        size = tokens.shape[1]
        x = self.letters(tokens) + self.positions(torch.arange(size))
        mask = nn.Transformer.generate_square_subsequent_mask(size, dtype=torch.float64)
        for layer in self.layers:
            x = layer(x, src_mask=mask)
        return self.output(self.norm(x))


def expected(network: Network, point: Point, data: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradient of one network, from torch's modules."""
    assert isinstance(network.model, Transformer)
    oracle = Oracle(network.model, point)
    logits = oracle(data["inputs"])
    loss = functional.cross_entropy(logits.flatten(0, 1), data["targets"].flatten())
    grads = torch.autograd.grad(loss, [oracle.named[name] for name in point])
    return loss.detach(), dict(zip(point, grads, strict=True))


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
        + 0.2 * torch.randn(settings, seeds, *shape, generator=generator, dtype=torch.float64)
        for name, shape in network.shapes.items()
    }


def assert_close(ours: Tensor, wanted: Tensor, tolerance: float = ROUNDING) -> None:
    """Equal to rounding, relative to the largest entry."""
    scale = max(float(wanted.detach().abs().max()), 1e-3)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=tolerance * scale)


def test_networks_equal_torch_modules(network: Network) -> None:
    """A single network, [settings] with one seed's data and [settings, seeds] are torch's."""
    point, data = stacked(network, 2, 3), network.batch([0, 1, 2], 2)
    losses, grads = found(network, point, data)
    assert losses.shape == (2, 3)
    for s in range(3):
        own = {n: d[s] for n, d in data.items()}
        of_seed, of_seed_grads = found(network, {n: p[:, s] for n, p in point.items()}, own)
        assert of_seed.shape == (2,)
        for g in range(2):
            alone = {n: p[g, s] for n, p in point.items()}
            wanted, wanted_grads = expected(network, alone, own)
            single, single_grads = found(network, alone, own)
            for loss in (losses[g, s], of_seed[g], single):
                assert_close(loss, wanted)
            for name, grad in wanted_grads.items():
                for ours in (grads[name][g, s], of_seed_grads[name][g], single_grads[name]):
                    assert_close(ours, grad)


def test_second_derivatives(network: Network) -> None:
    """The Hessian times a vector is the difference of gradients along it."""
    point = {n: p[0, 0] for n, p in stacked(network, 1, 1).items()}
    data = {n: d[0] for n, d in network.batch([0], 0).items()}
    generator = torch.Generator().manual_seed(1)
    along = {n: torch.randn(p.shape, generator=generator).to(p) for n, p in point.items()}
    leaves = {n: p.clone().requires_grad_() for n, p in point.items()}
    grads = torch.autograd.grad(
        network.loss(leaves, data), list(leaves.values()), create_graph=True
    )
    slope = sum((g * v).sum() for g, v in zip(grads, along.values(), strict=True))
    product = torch.autograd.grad(slope, list(leaves.values()))
    ahead, behind = (
        found(network, {n: p + t * along[n] for n, p in point.items()}, data)[1]
        for t in (1e-5, -1e-5)
    )
    for (n, high), hvp in zip(ahead.items(), product, strict=True):
        assert_close(hvp, (high - behind[n]) / 2e-5, 1e-5)


def test_predictions_see_no_later_letter(network: Network) -> None:
    """Another letter changes all predictions from its position on, and none before it."""
    point = {n: p.transpose(0, 1) for n, p in stacked(network, 2, 1).items()}
    tokens = network.batch([0], 0)["inputs"]
    logits = network.model.outputs(point, tokens).view(1, 2, 75, 4, 5)
    for position in range(5):
        other = tokens.clone()
        other[..., position] = (other[..., position] + 1) % 75
        changed = network.model.outputs(point, other).view(1, 2, 75, 4, 5)
        assert torch.equal(changed[..., :position], logits[..., :position])
        assert ((changed - logits)[..., position:].abs().amax(2) > 1e-9).all()


def test_evaluation_equals_torch_modules() -> None:
    """Test loss and accuracy over the last tenth of the text are torch's, for every network."""
    network = char_transformer(layers=1, width=4, heads=2, batch=2)
    point = stacked(network, 1, 2)
    result = network.evaluate(point, {})
    inputs, targets = network.supply.test()
    assert inputs.shape == (1458, 32)
    assert isinstance(network.model, Transformer)
    for s in range(2):
        oracle = Oracle(network.model, {n: p[0, s] for n, p in point.items()})
        with torch.no_grad():
            logits = oracle(inputs).flatten(0, 1)
        assert_close(result["test_loss"][0, s], functional.cross_entropy(logits, targets.flatten()))
        right = (logits.argmax(1) == targets.flatten()).double().mean()
        assert_close(result["accuracy"][0, s], right, 1e-4)


def test_windows_lie_in_their_part_of_the_text() -> None:
    """Training windows are runs of the first nine tenths; tests tile the rest, letter by letter."""
    numbers, letters = novel()

    def read(numbers: Tensor) -> str:
        return "".join(letters[i] for i in numbers.tolist())

    text = read(numbers)
    assert sorted(letters) == list(letters)
    assert text.startswith("Persuasion\n")
    assert len(text) == 466_854
    cut = int(0.9 * len(text))
    supply = TextSupply(context=40, batch_size=8)
    data = supply.batch([3, 4], 7)
    assert data["inputs"].shape == data["targets"].shape == (2, 8, 40)
    for window, following in zip(
        data["inputs"].flatten(0, 1), data["targets"].flatten(0, 1), strict=True
    ):
        assert text[:cut].count(read(window) + read(following[-1:])) >= 1
        assert torch.equal(window[1:], following[:-1])
    inputs, targets = supply.test()
    tested = "".join(map(read, inputs))
    assert text[cut:].startswith(tested)
    assert text[cut + 1 :].startswith("".join(map(read, targets)))
    assert len(text) - cut - len(tested) <= 40
    assert text[:cut].startswith(read(supply.calibration().flatten()))


def test_batches_are_pure_functions_of_seed_and_step() -> None:
    """Other seeds, other calls and other networks change nothing; steps and seeds do."""
    first = char_transformer(context=9, batch=6)
    together = first.batch([4, 9], 11)
    first.batch([1], 0)
    for row, seed in enumerate([4, 9]):
        alone = char_transformer(context=9, batch=6, layers=1, width=8).batch([seed], 11)
        for name, values in together.items():
            assert values.dtype == torch.int64
            assert torch.equal(alone[name][0], values[row])
    inputs = together["inputs"]
    assert not torch.equal(inputs[0], inputs[1])
    assert not torch.equal(inputs[0], first.batch([4], 12)["inputs"][0])


def test_start() -> None:
    """Matrices have their stated variance, and a start belongs to its seed.

    Mean squares of 4,096 normal numbers lie within 5 standard errors: false alarm 6e-7 each.
    """
    network = char_transformer()
    point = network.start(0)
    assert {n: tuple(p.shape) for n, p in point.items()} == network.shapes
    assert {p.dtype for p in point.values()} == {torch.float32}
    for name, variance in (("0.expand.weight", 1 / 32), ("1.contract.weight", 1 / 128 / 4)):
        ratio = point[name].double().square().mean() / variance
        assert abs(ratio - 1) < 5 * math.sqrt(2 / 4096)
    assert (point["0.expand.norm.weight"] == 1).all()
    assert (point["0.expand.norm.bias"] == 0).all()
    assert all(torch.equal(p, network.start(0)[name]) for name, p in point.items())
    assert not torch.equal(point["letters"], network.start(1)["letters"])


def test_sgd_learns() -> None:
    """From seeds 0 and 1 plain SGD learns more than how frequent each letter is."""
    network = char_transformer(layers=1, width=16, heads=2, context=16)
    starts = [network.start(seed) for seed in (0, 1)]
    point = {n: torch.stack([s[n] for s in starts])[None] for n in network.shapes}
    for step in range(200):
        _, grads = found(network, point, network.batch([0, 1], step))
        point = {n: p - 0.5 * grads[n] for n, p in point.items()}
    numbers, letters = novel()
    share = torch.bincount(numbers, minlength=len(letters)) / len(numbers)
    entropy = -(share * share.log()).sum()
    assert (network.evaluate(point, {})["test_loss"] < entropy - 0.2).all()


def test_damaged_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is not the published one, or is not there, is an error and never read."""
    novel.cache_clear()
    try:
        monkeypatch.setattr(text_module, "NOVEL_SHA256", "0" * 64)
        with pytest.raises(StoreError, match=r"must have SHA-256 0{12}\.\.\. unpacked, got 8061"):
            novel()
        monkeypatch.setattr(text_module, "NOVEL", "nothing.txt")
        with pytest.raises(StoreError, match=r"bundled `nothing\.txt\.gz` cannot be read"):
            novel()
    finally:
        novel.cache_clear()


def test_arguments_outside_their_domain_are_refused() -> None:
    """Each bad argument raises a sentence that names it."""
    for name in ("layers", "width", "heads", "context", "batch"):
        with pytest.raises(BadValue, match=f"`{name}` must be a whole number of at least 1, got 0"):
            char_transformer(**{name: 0})
    with pytest.raises(BadValue, match="`width` must be a multiple of `heads`, got 30 and 4"):
        char_transformer(width=30)
    with pytest.raises(BadValue, match="`context` must be at most 1024, got 1025"):
        char_transformer(context=1025)


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (char_transformer(2, 32, 4), "char_transformer"),
        (char_transformer(tied=True, batch=8), "char_transformer(tied=True, batch=8)"),
    ],
)
def test_name_leaves_defaults_out(network: Network, name: str) -> None:
    """However a network was written, its own name is the same; it travels between processes."""
    assert network.name == name
    assert pickle.loads(pickle.dumps(network)) == network
