"""Linear and other small networks against computations that share nothing with them."""

import math
from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from jaxtyping import Float
from scipy.optimize import linprog
from scipy.special import log_expit
from torch import Tensor, nn

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.base import Kind
from ravine.problems.catalogue import analytic
from ravine.problems.draws import generator
from ravine.problems.formulas.regressions import _clouds

Kept = tuple[int, ...]
EIGENVALUES = (4.0, 2.0, 1.0, 0.5)


def predicted(values: tuple[float, ...], codes: int, loss: Callable[[float], float]) -> dict:
    """Loss and index at the critical points of every kept set of the descending `values`."""
    n = len(values)
    kept = [s for size in range(codes + 1) for s in combinations(range(n), size)]
    table = {}
    for s in kept:
        outside = [j for j in range(n) if j not in s]
        swaps = sum(values[j] > values[i] for i in s for j in outside)
        free = (codes - len(s)) * len(outside)
        table[s] = (sum(loss(values[j]) for j in outside), swaps + free)
    return table


def derivatives(
    p: Analytic, x: Float[Tensor, "count n"]
) -> tuple[Float[Tensor, "count n"], Float[Tensor, "count n n"]]:
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(p.f(x).sum(), x, create_graph=True)
    rows = [torch.autograd.grad(g.sum(), x, retain_graph=True)[0] for g in gradient.unbind(-1)]
    return gradient.detach(), torch.stack(rows, -2)


def indices(p: Analytic, x: Float[Tensor, "count n"]) -> list[int]:
    """How many eigenvalues of the Hessian are negative."""
    values = torch.linalg.eigvalsh(derivatives(p, x)[1])
    return (values < -1e-6).sum(-1).tolist()


def rests(p: Analytic, count: int) -> Float[Tensor, "found n"]:
    """Critical points of any kind, by Levenberg and Marquardt's method on |gradient|^2."""
    random = generator("rests", p.name)
    x = torch.from_numpy(random.standard_normal((count, p.dim)))
    damping = torch.ones(count, dtype=torch.float64)
    gradient, hessian = derivatives(p, x)
    for _ in range(80):
        values, vectors = torch.linalg.eigh(hessian)
        along = (vectors.mT @ gradient.unsqueeze(-1)).squeeze(-1)
        along = along * values / (values.square() + damping.unsqueeze(-1))
        tried = x - (vectors @ along.unsqueeze(-1)).squeeze(-1)
        new_gradient, new_hessian = derivatives(p, tried)
        better = new_gradient.norm(dim=-1) < gradient.norm(dim=-1)
        x = torch.where(better[:, None], tried, x)
        gradient = torch.where(better[:, None], new_gradient, gradient)
        hessian = torch.where(better[:, None, None], new_hessian, hessian)
        damping = torch.where(better, 0.2 * damping, 4 * damping).clamp(1e-18, 1e6)
    return x[gradient.norm(dim=-1) < 1e-10]


def test_autoencoder_has_the_eleven_losses_of_its_subsets() -> None:
    """Each listed point has the loss tr((I - BA) C (I - BA)') / 2 of its set, and its index."""
    p = analytic("linear_autoencoder")
    table = predicted(EIGENVALUES, 2, lambda e: e / 2)
    points = p.facts.critical_points
    assert len(points) == len(table) == 11
    x = torch.tensor([point.x for point in points], dtype=torch.float64)
    found = dict[Kept, tuple[float, int]]()
    for point, index in zip(points, indices(p, x), strict=True):
        encoder, decoder = np.reshape(point.x[:8], (2, 4)), np.reshape(point.x[8:], (4, 2))
        kept = tuple(int(i) for i in np.flatnonzero(encoder.sum(0)))
        missed = np.eye(4) - decoder @ encoder
        loss = float(np.trace(missed @ np.diag(EIGENVALUES) @ missed.T)) / 2
        assert point.value == pytest.approx(loss, rel=1e-12)
        found[kept] = (loss, index)
    assert found == table
    assert [point.kind for point in points].count(Kind.SADDLE) == 10
    assert p.facts.minimum == 0.75


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "values", "codes", "loss"),
    [
        ("linear_autoencoder", EIGENVALUES, 2, lambda e: e / 2),
        ("matrix_factorization", (4.0, 3.0, 2.0, 1.0), 2, lambda s: s * s / 2),
    ],
)
def test_searches_end_at_predicted_critical_points_only(
    name: str, values: tuple[float, ...], codes: int, loss: Callable[[float], float]
) -> None:
    """From 200 random starts: no loss but the predicted ones, each with its index, all found."""
    p = analytic(name)
    table = predicted(values, codes, loss)
    x = rests(p, 200)
    assert len(x) > 150
    found = list(zip(p.f(x).tolist(), indices(p, x), strict=True))
    for value, index in found:
        near = [i for level, i in table.values() if abs(level - value) < 1e-6]
        assert index in near, (value, index)
    for level, _ in table.values():
        assert any(abs(level - value) < 1e-6 for value, _ in found), level


@pytest.mark.parametrize(
    ("name", "sizes", "values"),
    [
        ("deep_linear", (3, 3, 3, 3), (3.0, 2.0, 1.0)),
        ("deep_linear(width=2)", (3, 2, 2, 3), (3.0, 2.0, 1.0)),
        ("deep_linear(depth=5, width=4)", (3, 4, 4, 4, 4, 3), (3.0, 2.0, 1.0)),
        ("matrix_factorization", (4, 2, 5), (4.0, 3.0, 2.0, 1.0)),
        ("matrix_factorization(rank=5)", (4, 5, 5), (4.0, 3.0, 2.0, 1.0)),
    ],
)
def test_products_are_the_parts_that_were_learnt(
    name: str, sizes: tuple[int, ...], values: tuple[float, ...]
) -> None:
    """A listed product holds some singular values of M, as numpy finds them, and misses the rest.

    The minimizer's is the truncated decomposition, the best product of its rank.
    """
    p = analytic(name)
    products = []
    for point in p.facts.critical_points:
        rest, product = np.array(point.x), np.eye(sizes[0])
        for a, b in pairwise(sizes):
            product = rest[: a * b].reshape(b, a) @ product
            rest = rest[a * b :]
        assert rest.size == 0
        products.append(product)
        learnt = np.linalg.svd(product, compute_uv=False)
        learnt = learnt[learnt > 1e-9]
        assert len(learnt) <= min(sizes)
        missed = sum(s**2 for s in values if not np.isclose(s, learnt).any())
        assert point.value == pytest.approx(missed / 2, abs=1e-12)
    # the residual at the origin is M itself: 2 f = |M|^2, and its rank is full
    rank = min(*sizes, len(values))
    tail = sum(s**2 for s in values[rank:]) / 2
    assert p.facts.minimum == pytest.approx(tail, abs=1e-12)
    np.testing.assert_allclose(
        np.linalg.svd(products[-1], compute_uv=False)[:rank], values[:rank], rtol=1e-12
    )


@pytest.mark.parametrize(
    "name", ["deep_linear", "deep_linear(width=2)", "matrix_factorization", "linear_autoencoder"]
)
def test_only_the_last_point_cannot_be_left_downhill(name: str) -> None:
    """From a little off any listed point but the last, descent goes below its value."""
    p = analytic(name)
    points = p.facts.critical_points
    x = torch.tensor([point.x for point in points], dtype=torch.float64)
    levels = torch.tensor([point.value for point in points], dtype=torch.float64)
    x = x + 0.1 * torch.from_numpy(generator("off", name).standard_normal(x.shape))
    x.requires_grad_()
    optimizer = torch.optim.SGD([x], lr=0.02, momentum=0.9)
    for _ in range(400):
        optimizer.zero_grad()
        p.f(x).sum().backward()
        optimizer.step()
    ends = p.f(x.detach())
    assert (ends[:-1] < levels[:-1] - 0.05).all()
    assert abs(ends[-1] - levels[-1]) < 1e-6


def test_kept_largest_is_degenerate_in_three_layers_and_strict_in_two() -> None:
    """The origin and the points that miss the smallest values only lose curvature with depth."""
    kinds = {
        depth: [p.kind for p in analytic(f"deep_linear(depth={depth})").facts.critical_points]
        for depth in (2, 3)
    }
    # sets by size: {}, {2}, {1}, {0}, {1,2}, {0,2}, {0,1}, all; {0} and {0,1} keep the largest
    assert kinds[2] == [Kind.SADDLE] * 7 + [Kind.DEGENERATE]
    assert [k is Kind.SADDLE for k in kinds[3]] == [False, True, True, False] + [True] * 2 + [
        False
    ] * 2


def test_xor_is_the_network_of_torch_modules() -> None:
    """The formula is the loss of Linear, Tanh, Linear, and its minimizer answers exactly."""
    p = analytic("xor")
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)).double()
    inputs = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    answers = -inputs.prod(1, keepdim=True)
    for x in (*torch.from_numpy(generator("xor").standard_normal((20, 9))), None):
        point = torch.tensor(p.facts.minimizers[0], dtype=torch.float64) if x is None else x
        nn.utils.vector_to_parameters(point, model.parameters())
        error = nn.functional.mse_loss(model(inputs), answers) / 2
        assert p.f(point).item() == pytest.approx(error.item(), rel=1e-12, abs=1e-28)
    torch.testing.assert_close(model(inputs), answers, rtol=1e-12, atol=1e-12)


def test_xor_has_strict_saddles_where_its_docstring_says() -> None:
    """With W = 0 and the output 0, 200 random points that meet the condition have a way down."""
    p = analytic("xor")
    random = generator("xor-saddles")
    biases = torch.from_numpy(random.uniform(-2, 2, (200, 2)))
    units = torch.tanh(biases)
    outer = torch.from_numpy(random.uniform(-1, 1, (200, 2)))
    bound = 2 * units.abs() / (1 - units.square())
    outer[:, 0] *= bound[:, 0]  # the first unit meets it, the second is as it may be
    shift = -(outer * units).sum(-1, keepdim=True)
    x = torch.cat([torch.zeros(200, 4).double(), biases, outer, shift], -1)
    gradient, hessian = derivatives(p, x)
    assert gradient.abs().max() < 1e-12
    torch.testing.assert_close(p.f(x), torch.full((200,), 0.5).double())
    assert (torch.linalg.eigvalsh(hessian)[:, 0] < 0).all()


def test_xor_leaves_the_origin_by_a_fourth_power() -> None:
    """At the origin only the last bias has curvature, and a path goes down as t^4."""
    p = analytic("xor")
    _, hessian = derivatives(p, torch.zeros(1, 9, dtype=torch.float64))
    assert torch.equal(hessian[0], torch.diag(torch.tensor([0.0] * 8 + [1.0]).double()))
    t = torch.tensor([0.05, 0.1], dtype=torch.float64)
    one = torch.tensor([1.0, 1, 1, 1, 1, -1, 1, -1, 0], dtype=torch.float64)
    x = t[:, None] * one
    # the output's constant part is taken away by the last bias
    x[:, 8] = -2 * t * torch.tanh(t)
    fall = 0.5 - p.f(x)
    assert (fall > 0).all()
    assert math.log2((fall[1] / fall[0]).item()) == pytest.approx(4, abs=0.2)


def test_bad_minimum_catches_most_descents() -> None:
    """Gradient descent rests at the bad minimum of a weight wherever it began on that side."""
    p = analytic("bad_local_minimum")
    bad, good, top = (
        next(q.x[0] for q in p.facts.critical_points if q.kind is kind and test(q.x))
        for kind, test in (
            (Kind.MINIMUM, lambda x: min(x) > 0),
            (Kind.MINIMUM, lambda x: max(x) < 0),
            (Kind.MAXIMUM, lambda x: True),
        )
    )
    start = torch.stack([p.start(seed)["x"] for seed in range(200)])
    x = start.clone()
    for _ in range(2000):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(p.f(x).sum(), x)
        x = (x - 0.4 * gradient).detach()
    wanted = torch.where(start > top, bad, good).double()
    torch.testing.assert_close(x, wanted, rtol=0, atol=0.01)
    assert (start > top).all(-1).double().mean() > 0.5
    # the outlier is answered 1 where 0.1 is right, and the loss is four times the better one's
    assert torch.sigmoid(torch.tensor(10 * bad)) > 0.999999
    levels = [p.f(torch.full((2,), v, dtype=torch.float64)).item() for v in (bad, good)]
    assert levels[0] / levels[1] == pytest.approx(4.09, abs=0.01)


@pytest.mark.parametrize("dim", range(2, 11))
@pytest.mark.parametrize("separable", [False, True])
def test_a_linear_program_tells_whether_classes_part(separable: bool, dim: int) -> None:
    """Some w has all margins at least 1 exactly where the data are called separable."""
    examples = _clouds(separable, dim)
    assert examples.shape == (10 * dim, dim)
    found = linprog(
        np.zeros(dim), A_ub=-examples, b_ub=-np.ones(len(examples)), bounds=(None, None)
    )
    assert found.status == (0 if separable else 2)
    p = analytic(f"logistic(separable={separable}, dim={dim})")
    w = generator("logistic-test", dim).standard_normal(dim)
    loss = -log_expit(examples @ w).mean()
    assert p.f(torch.from_numpy(w)).item() == pytest.approx(loss, rel=1e-12)
    assert (p.facts.minimum is None) == separable


@pytest.mark.parametrize("condition", [1.0, 37.0, 1e4, 1e8])
def test_least_squares_has_the_condition_asked_for(condition: float) -> None:
    """The Hessian's spectrum is log-spaced from 1 / condition to 1, and the minimum is 1/8."""
    p = analytic(f"least_squares(condition={condition}, dim=6)")
    wanted = np.logspace(-math.log10(condition), 0, 6)
    np.testing.assert_allclose(p.facts.eigenvalues, wanted, rtol=0, atol=1e-14)
    assert p.facts.condition == pytest.approx(condition, rel=1e-15 * condition + 1e-12)
    best = torch.tensor(p.facts.minimizers[0], dtype=torch.float64)
    assert p.f(best).item() == pytest.approx(0.125, rel=1e-12)
    away = torch.from_numpy(generator("away").standard_normal((50, 6)))
    rise = p.f(best + away) - 0.125
    squares = away.square().sum(-1)
    assert (rise <= 0.5 * squares * (1 + 1e-9)).all()
    assert (rise >= 0.5 * squares / condition * (1 - 1e-9)).all()


@pytest.mark.parametrize(
    ("id", "rule"),
    [
        ("deep_linear(depth=1)", "`depth` must be a whole number of at least 2, got 1"),
        ("deep_linear(width=0)", "`width` must be a whole number of at least 1, got 0"),
        ("deep_linear(singular_values=(1.0, 2.0))", "`singular_values` must be 1 to 8 numbers"),
        ("deep_linear(singular_values=(1.0, -2.0))", "`singular_values` must be positive"),
        ("matrix_factorization(rows=3)", "`rows` must be a whole number of at least 4, got 3"),
        ("linear_autoencoder(bottleneck=5)", "`bottleneck` must be at most 4, got 5"),
        ("linear_autoencoder(eigenvalues=())", "`eigenvalues` must be 1 to 8 numbers"),
        ("bad_local_minimum(dim=7)", "`dim` must be at most 6, got 7"),
        ("least_squares(condition=0.5)", "`condition` must be at least 1.0, got 0.5"),
    ],
)
def test_arguments_outside_their_domain_are_refused(id: str, rule: str) -> None:
    """A wrong argument is answered with the rule and the value."""
    with pytest.raises(BadValue) as caught:
        analytic(id)
    assert rule in str(caught.value)
