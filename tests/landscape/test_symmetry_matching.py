"""Planted permutations are found exactly, and matched networks are closer and better connected."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from ravine.engine.walk import walk
from ravine.errors import BadValue
from ravine.landscape.barriers import over_chord
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, loss, pack
from ravine.landscape.symmetry.activations import correlations, play, units
from ravine.landscape.symmetry.alignment import aligned
from ravine.landscape.symmetry.connection import connect
from ravine.landscape.symmetry.groups import Groups, named
from ravine.landscape.symmetry.matching import (
    agreement,
    assign,
    match_activations,
    match_weights,
)
from ravine.landscape.symmetry.networks import groups, trace
from ravine.landscape.symmetry.permutation import inverse, permute, random_permutations
from ravine.landscape.symmetry.repair import repaired
from ravine.landscape.symmetry.rescaling import random_scales, rescale
from ravine.optimizers import Setting, method
from ravine.problems import problem
from ravine.problems.base import Problem
from ravine.problems.modules.module import ModuleProblem


class Net(nn.Module):
    """Convolutions with batch normalisation around a stream."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.inner = nn.Conv2d(5, 7, 3, padding=1)
        self.back = nn.Conv2d(7, 5, 3, padding=1)
        self.head = nn.Linear(5 * 4, 6)
        self.out = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs."""
        x = functional.relu(self.norm(self.stem(x)))
        x = x + self.back(functional.relu(self.inner(x)))
        x = functional.avg_pool2d(x, 2).flatten(1)
        return self.out(torch.tanh(self.head(x)))


def images(make: object, shape: tuple[int, ...]) -> ModuleProblem:
    """A small problem of random images."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(60, *shape, generator=draw, dtype=torch.float64)
    y = torch.randint(3, (60,), generator=draw)
    return ModuleProblem(make, (x, y), functional.cross_entropy, test=(x, y), batch_size=20)


def plain() -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 3)
    ).double()


PROBLEMS = {
    "mlp": lambda: images(plain, (4,)),
    "residual": lambda: images(lambda: Net().double(), (1, 4, 4)),
    "catalogue": lambda: problem("deep_mlp(depth=4, width=12, norm=batch, skip=True)"),
    "convolutions": lambda: problem("deep_conv(depth=8, width=4, norm=batch)"),
}


def ground(given: Problem, seed: int = 1) -> tuple[Groups, Surface, torch.Tensor]:
    """Groups, surface, and a point that is not special."""
    where = surface(given, examples=60)
    x = pack(where, given.start(seed)).double()
    noise = torch.from_numpy(np.random.default_rng(seed).normal(size=len(x)))
    return groups(given), where, x + 0.02 * noise


@pytest.mark.parametrize("name", PROBLEMS)
def test_planted_permutations_are_found_exactly(name: str) -> None:
    """Both matchers undo a random permutation; the barrier is gone, and so is the distance."""
    found, where, a = ground(PROBLEMS[name]())
    planted = random_permutations(found, "planted")
    b = permute(found, a, planted)
    expected = inverse(planted)
    for match in (match_weights(found, a, b), match_activations(found, where, a, b)):
        for group in found.permutable:
            assert torch.equal(match.permutations[group.name], expected[group.name])
        assert match.before > 0.1
        assert match.after == 0.0
        assert torch.equal(match.point, a)
        if name in ("catalogue", "convolutions"):
            continue  # moments are recomputed over thousands of images
        ways = connect(found, {"train": where}, a, b, match.point).ways
        naive, matched = (
            over_chord(way.alphas, way.losses).abs().max()
            for way in (ways["naive"]["train"], ways["matched"]["train"])
        )
        assert naive > 1e-3
        assert matched < 1e-8


@pytest.mark.parametrize("examples", [8, 200])
def test_units_that_never_fire_are_matched_by_what_they_would_answer(examples: int) -> None:
    """On few images some of LeNet's units are zero throughout; a permutation is still undone."""
    lenet = problem("lenet")
    found, where = groups(lenet), surface(lenet, examples=examples)
    a = pack(where, lenet.start(0)).double()
    planted = random_permutations(found, "planted", examples)
    match = match_activations(found, where, a, permute(found, a, planted))
    answers, _ = correlations(found, where, a, a)
    assert max(int((~table.any(1)).sum()) for table in answers.values()) >= 2
    assert match.after == 0.0
    assert torch.equal(match.point, a)


@settings(max_examples=25)
@given(
    inputs=st.integers(1, 4),
    width=st.integers(2, 5),
    outputs=st.integers(1, 3),
    seed=st.integers(0, 10**6),
)
def test_one_hidden_layer_is_matched_globally(
    inputs: int, width: int, outputs: int, seed: int
) -> None:
    """The objective and the distance are the best of all permutations, tried one by one."""
    module = nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, outputs))
    found = trace(module, torch.zeros(2, inputs))
    a, b = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, found.size)))
    match = match_weights(found, a, b, restarts=2)
    every = [
        permute(found, b, {"0": torch.tensor(order)})
        for order in itertools.permutations(range(width))
    ]
    best = max(agreement(named(found, a), named(found, x)) for x in every)
    assert match.objective[-1] == pytest.approx(best, rel=1e-10, abs=1e-12)
    assert match.after == pytest.approx(min(float((a - x).norm()) for x in every), rel=1e-10)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_the_objective_never_falls_and_is_the_distance(seed: int) -> None:
    """Rounds rise; ||a - b||^2 = ||a||^2 + ||b||^2 - 2 objective; restarts only help."""
    found = trace(plain(), torch.zeros(2, 4, dtype=torch.float64))
    a, b = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, found.size)))
    match = match_weights(found, a, b, restarts=3, seed=seed)
    assert match.settled
    assert all(x <= y for x, y in itertools.pairwise(match.objective))
    assert match.objective[-1] == pytest.approx(max(match.restarts), rel=1e-9)
    assert match.after**2 == pytest.approx(
        float(a.square().sum() + b.square().sum()) - 2 * match.objective[-1], rel=1e-9
    )
    again = match_weights(found, a, b, restarts=3, seed=seed)
    assert torch.equal(again.point, match.point)


def test_a_stream_that_meets_itself_is_matched_without_falling() -> None:
    """A weight with both axes in one group makes the objective quadratic; it still rises."""
    found = groups(PROBLEMS["catalogue"]())
    a, b = torch.from_numpy(np.random.default_rng(0).normal(size=(2, found.size)))
    match = match_weights(found, a, b, restarts=2)
    assert all(x <= y for x, y in itertools.pairwise(match.objective))
    assert match.after < match.before


def test_places_are_kept_among_equals() -> None:
    """Units that are alike stay where they are."""
    assert assign(np.zeros((4, 4))).tolist() == [0, 1, 2, 3]
    assert assign(np.ones((3, 3))).tolist() == [0, 1, 2]


def test_activations_are_compared_by_centred_correlation() -> None:
    """Streamed correlations are those of numpy; a unit that does not vary has none."""
    given = images(plain, (4,))
    found, where, a = ground(given)
    b = a.flip(0)
    weights = named(found, a)
    weights["0.weight"][2] = 0.0
    weights["0.bias"][2] = -1.0
    answers, before = correlations(found, where, a, b)
    table = answers["0"]
    seen = []
    for x in (a, b):
        kept = {}
        play(found, x, where.parts[0].data["inputs"], lambda n, v, kept=kept: kept.setdefault(n, v))
        tap = next(t for t in found.taps if t.group == "0")
        seen.append(units(kept[tap.node], tap.axis, tap.block).numpy())
    live = [[i for i in range(9) if s[:, i].std() > 0] for s in seen]
    assert 2 not in live[0]
    assert not table[2].any()
    expected = np.corrcoef(seen[0][:, live[0]].T, seen[1][:, live[1]].T)
    count = len(live[0])
    assert np.allclose(table[np.ix_(*live)], expected[:count, count:], atol=1e-10)
    x = where.parts[0].data["inputs"].numpy()
    entering = [
        np.delete(x @ p["0.weight"].numpy().T + p["0.bias"].numpy(), 2, 1)
        for p in (weights, named(found, b))
    ]
    expected = np.corrcoef(entering[0].T, entering[1].T)[:8, 8:]
    kept = [i for i in range(9) if i != 2]
    assert np.allclose(before["0"][np.ix_(kept, kept)], expected, atol=1e-10)


@pytest.fixture(scope="module")
def trained() -> tuple[Groups, Surface, torch.Tensor]:
    """Four short runs on MNIST from two starts: by Adam from 0 and 1, by others from 0."""
    given = problem("mnist_mlp(widths=(64,))")
    ways = [
        walk(given, Setting(method(name)), seed, 100, keep=())
        for name, seed in (
            ("adam(lr=0.003)", 0),
            ("adam(lr=0.003)", 1),
            ("sgd(lr=0.1)", 0),
            ("heavy_ball(lr=0.03)", 0),
        )
    ]
    return groups(given), surface(given), torch.stack([w.end for w in ways])


def test_optimizers_from_one_start_need_no_permutation(
    trained: tuple[Groups, Surface, torch.Tensor],
) -> None:
    """Weight matching leaves at least 99 % of the units of same-start pairs in place."""
    found, _, ends = trained
    for i, j in itertools.combinations((0, 2, 3), 2):
        match = match_weights(found, ends[i], ends[j], restarts=2)
        assert match.share >= 0.99
        assert match.before > 0.1


def test_matching_lowers_the_barrier_between_two_starts(
    trained: tuple[Groups, Surface, torch.Tensor],
) -> None:
    """By weights and by activations: at most half the naive barrier, and repair does not hurt."""
    found, where, ends = trained
    for match in (
        match_weights(found, ends[0], ends[1]),
        match_activations(found, where, ends[0], ends[1]),
    ):
        assert match.share < 0.5
        assert match.after < match.before
        way = connect(
            found, {"train": where}, ends[0], ends[1], match.point, repair=True, points=25
        )
        naive, matched, mended = (
            way.height(name, "train").height for name in ("naive", "matched", "repaired")
        )
        assert naive > 0.1
        assert matched <= 0.5 * naive
        assert mended <= matched + 0.02


def test_a_repair_gives_units_the_moments_between_those_of_the_ends() -> None:
    """Means and deviations are the chord's at every alpha; at the ends no bit changes."""
    found, where, a = ground(images(plain, (4,)), 1)
    b = ground(images(plain, (4,)), 2)[2]
    alphas = [0.0, 0.3, 1.0]
    mended = repaired(found, where, a, b, alphas)
    assert torch.equal(mended[0], a)
    assert torch.equal(mended[2], b)
    inputs = where.parts[0].data["inputs"]

    def moments(x: torch.Tensor) -> torch.Tensor:
        seen = {}
        play(found, x, inputs, lambda node, value: seen.setdefault(node, value))
        rows = [units(seen[layer.node], layer.axis, 1) for layer in found.layers]
        return torch.cat([torch.stack([r.mean(0), r.std(0, correction=0)]) for r in rows], 1)

    assert [layer.weight for layer in found.layers] == ["0.weight", "2.weight"]
    chord = 0.7 * moments(a) + 0.3 * moments(b)
    assert torch.allclose(moments(mended[1]), chord, atol=1e-10)
    straight = moments(torch.lerp(a, b, 0.3))
    assert not torch.allclose(straight, chord, atol=1e-2)


def test_a_network_that_is_normalised_throughout_is_not_repaired() -> None:
    """Recomputed moments are its repair, and the message says so."""
    found, where, a = ground(PROBLEMS["convolutions"]())
    with pytest.raises(BadValue, match="recomputed at each point are its repair"):
        repaired(found, where, a, a + 1, [0.5])


def test_alignment_undoes_a_scaling() -> None:
    """Scaled units come back to the point; the function never changes, the distance never grows."""
    found, where, a = ground(images(plain, (4,)), 1)
    scaled = rescale(found, a, random_scales(found, 3))
    back, factors = aligned(found, a, scaled)
    assert torch.allclose(back, a, atol=1e-5)
    assert float((back - a).norm()) < 1e-5 * float((scaled - a).norm())
    undone = rescale(found, scaled, factors)
    assert torch.allclose(undone, back, rtol=1e-9)
    other = ground(images(plain, (4,)), 2)[2]
    closer, _ = aligned(found, a, other)
    assert float((a - closer).norm()) < float((a - other).norm())
    values = loss(where, torch.stack([other, closer]))
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-10)


def test_points_that_cannot_be_matched_are_refused() -> None:
    """No units, points that are not finite or of another size, no restarts."""
    found, _, a = ground(images(plain, (4,)))
    with pytest.raises(BadValue, match="not finite"):
        match_weights(found, a, a * torch.nan)
    with pytest.raises(BadValue, match="coordinates, got 3"):
        match_weights(found, a[:3], a[:3])
    with pytest.raises(BadValue, match="`restarts` must be at least 1"):
        match_weights(found, a, a, restarts=0)
    softmax = problem("mnist_softmax")
    flat = pack(surface(softmax), softmax.start(0))
    with pytest.raises(BadValue, match="no units to be exchanged"):
        match_weights(groups(softmax), flat, flat)
