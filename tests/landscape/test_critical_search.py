"""Critical points are found from random starts, each once, and every start is accounted for."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.critical.classify import classify
from ravine.landscape.critical.kinds import Label
from ravine.landscape.critical.rest import rest
from ravine.landscape.critical.search import (
    GRADIENT_FLAT,
    LEFT,
    Found,
    critical_points,
    search,
)
from ravine.landscape.sources import surface
from ravine.problems import Analytic, problem
from ravine.problems.draws import generator


def accounted(found: Found) -> bool:
    return sum(found.hits) + sum(found.rejected.values()) == found.starts


@pytest.mark.parametrize(
    "id", ["himmelblau", "bounded_saddle", "monkey_saddle", "terraces", "log_plateau", "forrester"]
)
def test_all_listed_points_are_found_once(id: str) -> None:
    """Where the list is complete, the points found are the listed ones, with their kinds."""
    p = problem(id)
    found = critical_points(p, 300)
    assert accounted(found)
    listed = p.facts.critical_points
    assert len(found.points) == len(listed)
    for point in listed:
        x = torch.tensor(point.x, dtype=torch.float64)
        (same,) = [q for q in found.points if (q.x - x).abs().max() < 1e-6]
        assert same.label == point.kind
        assert same.value == pytest.approx(point.value, abs=1e-9)


def test_the_same_seed_finds_the_same() -> None:
    """Points, hits and rejections are functions of the seed; another seed has other hits."""
    first, again, other = (critical_points(problem("branin"), 100, seed) for seed in (1, 1, 2))
    assert (first.hits, first.rejected) == (again.hits, again.rejected)
    for one, two in zip(first.points, again.points, strict=True):
        assert torch.equal(one.x, two.x)
    assert first.kinds == other.kinds
    assert first.hits != other.hits


def test_points_outside_the_box_are_left_out_and_counted() -> None:
    """A box around two of Himmelblau's nine points holds these two; other starts are counted."""
    box = ((2.0, 4.5), (-3.0, 3.0))
    draws = torch.from_numpy(generator("box").uniform(-3.0, 3.0, (200, 2)))
    ground = surface(problem("himmelblau"))
    found = search(ground, draws, box=box)
    assert dict(found.kinds) == {"minimum": 2, "saddle": 1}
    assert found.rejected[LEFT] > 20
    assert accounted(found)
    free = search(ground, draws)
    assert len(free.points) == 9
    assert (free.box, dict(free.rejected)) == (None, {})


def test_minima_of_the_gradient_alone_are_rejected() -> None:
    """F = x^3 / 3 + x + y^2 has no critical point: |f'| has its minimum 1 at x = 0."""
    f = Analytic(f=lambda z: z[..., 0] ** 3 / 3 + z[..., 0] + z[..., 1] ** 2, dim=2, name="f")
    starts = torch.from_numpy(generator("starts").standard_normal((50, 2)))
    # downhill there is nothing either, and so a box is left
    found = search(surface(f), starts, box=((-3.0, 3.0), (-3.0, 3.0)))
    assert found.points == ()
    assert accounted(found)
    one = torch.ones(50, dtype=torch.float64)
    never: Callable[[Tensor], Tensor] = lambda x: torch.zeros(len(x), dtype=torch.bool)  # noqa: E731
    ended = rest(surface(f), starts, one, never, 100)
    assert ended.x.abs().max() < 1e-3
    np.testing.assert_allclose(ended.gradients.norm(dim=-1), 1.0, atol=1e-6)
    assert (ended.flatness < 1e-3).all()


def test_a_start_that_rests_without_a_zero_is_gradient_flat() -> None:
    """Sin x + 1.5 x falls for ever, and |f'| is 1/2 at least: every start is told so."""
    f = Analytic(f=lambda z: torch.sin(z[..., 0]) + 1.5 * z[..., 0], dim=1, name="f")
    found = search(surface(f), torch.linspace(-3, 3, 20, dtype=torch.float64)[:, None])
    assert found.points == ()
    assert dict(found.rejected) == {GRADIENT_FLAT: 20}


def test_a_ring_of_minima_is_degenerate_everywhere() -> None:
    """On the sombrero every start but those at the top ends on the ring, in a place of its own."""
    found = critical_points(problem("sombrero"), 40)
    assert found.kinds["degenerate"] > 30
    for point in found.points:
        if point.label is Label.DEGENERATE:
            assert point.x.norm().item() == pytest.approx(1.0, abs=1e-8)
            assert point.nullity == 1
            assert point.settled is not None
            assert point.settled.outcome == "unsettled"


VARIANCES = (4.0, 2.0, 1.0, 0.5)
BOTTLENECK = 2


def autoencoder(z: Float[Tensor, "*stack 16"]) -> Float[Tensor, "*stack"]:
    encoder = z[..., :8].unflatten(-1, (2, 4))
    decoder = z[..., 8:].unflatten(-1, (4, 2))
    missed = torch.eye(4, dtype=z.dtype) - decoder @ encoder
    return 0.5 * (missed.square() * torch.tensor(VARIANCES, dtype=z.dtype)).sum((-1, -2))


def losses_and_indices() -> dict[float, int]:
    """Each set S of kept components: half of what is lost, and the ways down from there."""
    table = {}
    for size in range(BOTTLENECK + 1):
        for kept in itertools.combinations(range(4), size):
            lost = [j for j in range(4) if j not in kept]
            swaps = sum(VARIANCES[j] > VARIANCES[i] for i in kept for j in lost)
            index = swaps + (BOTTLENECK - size) * (4 - size)
            table[sum(VARIANCES[j] for j in lost) / 2] = index
    return table


def test_the_linear_autoencoder_has_eleven_critical_losses() -> None:
    """From 400 starts all losses of Baldi and Hornik are found, each with its exact index."""
    table = losses_and_indices()
    assert len(table) == 11
    ground = surface(Analytic(f=autoencoder, dim=16, name="autoencoder"))
    random = generator("autoencoder")
    starts = torch.from_numpy(
        random.uniform(0.1, 1.2, (400, 1)) * random.standard_normal((400, 16))
    )
    found = search(ground, starts)
    assert accounted(found)
    assert sum(found.rejected.values()) <= 20
    seen = {}
    for point in found.points:
        value = min(table, key=lambda level: abs(level - point.value))
        assert abs(value - point.value) < 1e-6
        assert point.index == table[value], (value, point.index)
        assert point.label == ("saddle" if table[value] else "degenerate")
        seen[value] = point.index
    assert seen == table
    correlation = spearmanr([*seen.values()], [*seen])[0]
    assert correlation == pytest.approx(0.975, abs=5e-4)
    best = found.points[0]
    encoder, decoder = best.x[:8].view(2, 4), best.x[8:].view(4, 2)
    # B A does not change under A -> G A, B -> B G^-1
    directions = []
    for i, j in itertools.product(range(2), repeat=2):
        generator_ = torch.zeros(2, 2, dtype=torch.float64)
        generator_[i, j] = 1.0
        change = (generator_ @ encoder).flatten(), -(decoder @ generator_).flatten()
        directions.append(torch.cat(change))
    (alone,) = classify(ground, best.x, torch.stack(directions))
    assert (alone.label, alone.symmetries, len(alone.eigenvalues)) == ("minimum", 4, 12)


@pytest.mark.parametrize(
    ("id", "rule"),
    [("ackley", "`ackley` has kinks"), ("mnist_mlp", "`mnist_mlp` has no domain")],
)
def test_what_cannot_be_searched_is_refused(id: str, rule: str) -> None:
    """Kinks and networks are answered with the reason and a remedy."""
    with pytest.raises(BadValue, match=rule):
        critical_points(problem(id))
    with pytest.raises(BadValue, match="`starts` must be a whole number of at least 1"):
        critical_points(problem("himmelblau"), 0)
