"""Units that may be exchanged or scaled are found in a network, and its outputs stay the same."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from ravine.errors import BadValue
from ravine.landscape.operators import dense, hessian
from ravine.landscape.sources import module_surface
from ravine.landscape.symmetry.counts import counts
from ravine.landscape.symmetry.groups import Groups, flat, named
from ravine.landscape.symmetry.networks import difference, groups, trace, verified
from ravine.landscape.symmetry.permutation import (
    inverse,
    permute,
    permute_state,
    random_permutations,
)
from ravine.landscape.symmetry.rescaling import random_scales, rescale, rescale_state
from ravine.landscape.symmetry.tracing.graph import symbolic, wire
from ravine.problems import problem
from ravine.problems.modules.module import ModuleProblem
from ravine.problems.networks.network import Network

EXACT = 1e-10


class Residual(nn.Module):
    """Convolutions around a stream, with every kind of normalisation."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.first = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.inner = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.second = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Linear(6 * 4, 5)
        self.gain = nn.Parameter(torch.rand(5) + 0.5)
        self.out = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs."""
        x = functional.relu(self.norm(self.stem(x)))
        x = x + self.second(functional.relu(self.inner(self.first(x)), inplace=True))
        x = functional.max_pool2d(x, 2)
        x = functional.relu(self.head(x.view(x.size(0), -1))) * self.gain
        return self.out(x)


class Heads(nn.Module):
    """Features divided into heads and put together again."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs."""
        h = self.into(x).view(-1, 4, 2).softmax(-1)
        return self.out(h.transpose(1, 2).transpose(1, 2).reshape(-1, 8))


class Cut(nn.Module):
    """Some features are joined to others."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(3, 4), nn.Linear(3, 5), nn.Linear(9, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs."""
        return self.out(torch.cat([self.a(x).relu(), self.b(x).relu()], 1))


def placed() -> nn.Module:
    """Treats a unit by its place, in a way that a graph does not show."""
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    net[1].register_forward_hook(lambda layer, given, out: out * torch.arange(4).to(out))
    return net


class Branching(nn.Module):
    """Depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs."""
        return self.out(x if x.sum() > 0 else -x)


def stirred(module: nn.Module) -> nn.Module:
    """In float64, with moments and gains that are not those of a new layer."""
    torch.manual_seed(3)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point() and tensor.dim() == 1:
            tensor.data = torch.rand_like(tensor) + (0.5 if "var" in name else -0.2)
    return module.double().eval()


def changes(module: nn.Module, found: Groups, x: torch.Tensor, state: dict) -> float:
    """How far the module's outputs are from those at another state."""
    with torch.no_grad():
        return difference(module(x), torch.func.functional_call(module, state, (x,)))


MODULES = {
    "mlp": (
        lambda: nn.Sequential(
            nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)
        ),
        (3,),
    ),
    "batch": (
        lambda: nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.GELU(), nn.Linear(6, 2)),
        (3,),
    ),
    "layer": (
        lambda: nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 2)),
        (3,),
    ),
    "grouped": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.LeakyReLU(),
            nn.Conv2d(4, 8, 3, groups=4),
            nn.GroupNorm(2, 8),
            nn.ReLU(),
            nn.Conv2d(8, 4, 1, groups=2),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 2),
        ),
        (1, 8, 8),
    ),
    "residual": (Residual, (1, 4, 4)),
    "heads": (Heads, (3,)),
    "transposed": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 2),
            nn.PReLU(4),
            nn.ConvTranspose2d(4, 3, 2),
            nn.ReLU(),
            nn.Conv2d(3, 1, 2),
        ),
        (1, 5, 5),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_outputs_stay_the_same_under_permutations_and_scalings(name: str) -> None:
    """Random permutations, then scalings and signs, of parameters and buffers: to 1e-10."""
    make, shape = MODULES[name]
    module = stirred(make())
    x = torch.randn(4, *shape, dtype=torch.float64)
    found = trace(module, x)
    assert found.permutable
    state = {n: t.detach() for n, t in (*module.named_parameters(), *module.named_buffers())}
    moved = permute_state(found, state, random_permutations(found, 0))
    assert any(not torch.equal(state[n], moved[n]) for n in found.shapes)
    assert changes(module, found, x, moved) < EXACT
    scaled = rescale_state(found, moved, random_scales(found, 0))
    assert changes(module, found, x, scaled) < EXACT


def test_the_groups_of_a_residual_network() -> None:
    """A stream is one group with all that adds to it, its norm's buffers, and flat features."""
    found = {g.name: g for g in trace(Residual(), torch.randn(2, 1, 4, 4)).permutable}
    assert {name: g.size for name, g in found.items()} == {"stem": 6, "first": 8, "head": 5}
    stream = {(s.name, s.axis): s.block for s in found["stem"].slots}
    assert stream == {
        ("stem.weight", 0): 1,
        ("stem.bias", 0): 1,
        ("norm.weight", 0): 1,
        ("norm.bias", 0): 1,
        ("norm.running_mean", 0): 1,
        ("norm.running_var", 0): 1,
        ("first.weight", 1): 1,
        ("second.weight", 0): 1,
        ("second.bias", 0): 1,
        ("head.weight", 1): 4,
    }
    # a batch-normalised layer without a bias
    assert ("first.weight", 0) in {(s.name, s.axis) for s in found["first"].slots}


def test_what_cannot_move_is_held_or_refused_in_a_sentence() -> None:
    """Outputs, joined features and frozen parameters stay; branches and places are refused."""
    x = torch.randn(4, 3)
    cut = trace(Cut(), x)
    assert cut.permutable == ()
    assert any("`a` are cut or joined" in why for why in cut.held)
    frozen = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    frozen[0].requires_grad_(False)
    assert any("are not trained" in why for why in trace(frozen, x).held)
    with pytest.raises(BadValue, match="`Branching` cannot be traced"):
        trace(Branching(), x)
    with pytest.raises(BadValue, match=r"`MultiheadAttention`.*not known"):
        trace(Attending(), torch.randn(2, 5, 4))
    with pytest.raises(BadValue, match="changes its outputs by"):
        trace(placed(), x)
    with pytest.raises(BadValue, match="fails on the examples"):
        trace(nn.Linear(4, 2), x)
    with pytest.raises(BadValue, match="is no network"):
        groups(problem("sphere"))
    with pytest.raises(BadValue, match="symmetries of `recurrent"):
        groups(problem("recurrent_adding"))
    found = trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), x)
    point = torch.zeros(found.size)
    for wrong, message in (
        ({"7": torch.arange(4)}, "no group `7`"),
        ({"0": torch.tensor([0, 0, 1, 2])}, "each of 0 to 3 once"),
    ):
        with pytest.raises(BadValue, match=message):
            permute(found, point, wrong)
    for scales, message in (
        ({"0": -torch.ones(4)}, "above zero"),
        ({"0": torch.ones(3)}, "has 4 units"),
        ({"2": torch.ones(2)}, "no units `2`"),
    ):
        with pytest.raises(BadValue, match=message):
            rescale(found, point, scales)


class Attending(nn.Module):
    """Attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs."""
        return self.attend(x, x, x)[0]


def test_groups_that_are_wrong_do_not_pass_the_check() -> None:
    """If one slot of a group is forgotten, the outputs change and the groups are refused."""
    module = stirred(Residual())
    x = torch.randn(4, 1, 4, 4, dtype=torch.float64)
    shapes = {n: tuple(p.shape) for n, p in module.named_parameters()}
    found = wire(symbolic(module), x, name="net", shapes=shapes)
    state = {n: t.detach() for n, t in (*module.named_parameters(), *module.named_buffers())}

    def outputs(point: dict) -> torch.Tensor:
        return torch.func.functional_call(module, dict(point), (x,))

    assert verified(found, outputs, state).deviation < EXACT
    first, *others = found.permutable
    for left_out in range(len(first.slots)):
        slots = first.slots[:left_out] + first.slots[left_out + 1 :]
        broken = type(first)(first.name, first.size, slots)
        wrong = Groups(
            **{
                **{n: getattr(found, n) for n in Groups.__dataclass_fields__},
                "permutable": (broken, *others),
            }
        )
        with pytest.raises(BadValue, match="changes its outputs"):
            verified(wrong, outputs, state)


@given(
    widths=st.lists(st.integers(2, 6), min_size=1, max_size=4),
    kinds=st.lists(st.sampled_from(["relu", "tanh", "gelu"]), min_size=4, max_size=4),
    norms=st.lists(st.sampled_from(["none", "batch", "layer"]), min_size=4, max_size=4),
    bias=st.booleans(),
)
def test_any_stack_of_layers(
    widths: list[int], kinds: list[str], norms: list[str], bias: bool
) -> None:
    """One group for each hidden layer; permuting and undoing it gives the same bits."""
    layers: list[nn.Module] = []
    sizes = [3, *widths]
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        layers.append(nn.Linear(before, after, bias=bias))
        if norms[i] != "none":
            layers.append({"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[norms[i]](after))
        layers.append({"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}[kinds[i]]())
    module = stirred(nn.Sequential(*layers, nn.Linear(sizes[-1], 2)))
    found = trace(module, torch.randn(3, 3, dtype=torch.float64))
    assert [g.size for g in found.permutable] == widths
    assert counts(found).total % math.prod(map(math.factorial, widths)) == 0
    x = torch.randn(2, 4, found.size, dtype=torch.float64)
    order = random_permutations(found, 1)
    there = permute(found, x, order)
    assert torch.equal(permute(found, there, inverse(order)), x)
    # a stack is moved as each of its points
    assert torch.equal(there[1, 2], permute(found, x[1, 2], order))
    assert torch.equal(flat(found, named(found, x)), x)


@pytest.mark.parametrize(
    ("id", "sizes"),
    [
        ("mnist_mlp(widths=(16, 8))", {"0": 16, "1": 8}),
        ("deep_mlp(depth=4, width=8, norm=batch, skip=True)", {"0": 8}),
        ("deep_mlp(depth=4, width=8, norm=layer)", {"0": 8, "1": 8, "2": 8}),
        ("mnist_autoencoder(widths=(12, 5))", {"0": 12, "1": 5, "2": 12}),
        ("lenet(pooling=average)", {"0": 6, "1": 16, "2": 120, "3": 84}),
        (
            "deep_conv(depth=8, width=4, norm=layer)",
            {f"{i}": 4 * 2 ** (max(0, i - 1) // 2) for i in range(7)},
        ),
        ("mnist_resnet(depth=8, width=4)", {"1": 4, "3": 8, "5": 16}),
    ],
)
def test_networks_of_the_catalogue(id: str, sizes: dict[str, int]) -> None:
    """Their groups are known, their twins compute what they do, and scalings change nothing."""
    network = problem(id)
    assert isinstance(network, Network)
    found = groups(network)
    assert {g.name: g.size for g in found.permutable} == sizes
    assert found.deviation < EXACT
    data = {n: t[0, :16] for n, t in network.batch([0], 0).items()}
    point = {n: t.double() for n, t in network.start(0).items()}
    ours = network.answers(point, data)[0][0, 0].T
    if not network.model.normalised:
        numbers = {**dict(found.graph.named_buffers()), **point}
        theirs = torch.func.functional_call(found.graph, numbers, (data["inputs"].double(),))
        assert difference(ours, theirs) < EXACT
    exact = {s.name for s in found.scalable if s.eps == 0}
    scales = {n: f for n, f in random_scales(found, 0).items() if n in exact}
    scaled = named(found, rescale(found, flat(found, point), scales))
    assert difference(ours, network.answers(scaled, data)[0][0, 0].T) < EXACT


def test_a_users_problem_is_checked_on_its_own_outputs() -> None:
    """A ModuleProblem's groups are those of its module, and its loss does not change."""
    x, y = torch.randn(40, 1, 4, 4), torch.randint(3, (40,))
    user = ModuleProblem(Residual, (x, y), functional.cross_entropy, batch_size=10)
    found = groups(user)
    assert [g.name for g in found.permutable] == ["stem", "first", "head"]
    point = flat(found, user.start(1)).double()
    data = {n: t[0] for n, t in user.batch([0], 0).items()}
    values = [
        user.loss(named(found, p), data)
        for p in (point, permute(found, point, random_permutations(found, 2)))
    ]
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-12)


def test_equivalents_are_counted_exactly() -> None:
    """For tiny layers every permutation and sign is enumerated, and each leads elsewhere."""
    module = stirred(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)))
    x = torch.randn(5, 2, dtype=torch.float64)
    found = trace(module, x)
    here = flat(found, dict(module.named_parameters())).detach()
    seen = set()
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((-1.0, 1.0), repeat=3):
            there = permute(found, here, {"0": torch.tensor(order)})
            there = rescale(found, there, {"0": torch.tensor(signs, dtype=torch.float64)})
            state = named(found, there)
            assert changes(module, found, x, state) < EXACT
            seen.add(tuple(there.tolist()))
    counted = counts(found)
    assert len(seen) == counted.total == 48
    assert counted.log10 == pytest.approx(math.log10(48))
    assert (counted.permutations, counted.signs, counted.scales) == ({"0": 6}, {"0": 8}, {})
    slopes = nn.Sequential(nn.Linear(2, 3), nn.PReLU(3), nn.Linear(3, 1))
    assert counts(trace(slopes, torch.zeros(2, 2))).scales == {"0": 3}
    wide = counts(groups(problem("mnist_mlp(widths=(256, 256))")))
    assert wide.total == math.factorial(256) ** 2
    assert wide.dimension == 512
    assert wide.log10 == pytest.approx(2 * math.lgamma(257) / math.log(10))


def test_rescaling_sharpens_a_minimum_without_changing_the_function() -> None:
    """Dinh et al. (2017): the top eigenvalue grows with the scale, the outputs stay."""
    module = stirred(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)))
    x, y = torch.randn(20, 3, dtype=torch.float64), torch.randint(2, (20,))
    ground, here = module_surface(module, (x, y), functional.cross_entropy)
    found = trace(module, x)
    tops = []
    for factor in (1.0, 10.0, 100.0):
        there = rescale(found, here, {"0": torch.full((5,), factor, dtype=torch.float64)})
        assert changes(module, found, x, named(found, there)) < EXACT
        tops.append(float(torch.linalg.eigvalsh(dense(hessian(ground, there)))[-1]))
    # the block of the outgoing weights grows by the square of the scale
    assert tops[1] > 10 * tops[0]
    assert tops[2] > 50 * tops[1]
