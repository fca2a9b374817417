"""Newton's method and its saddle-free variant: exact where they must be, and honest where not."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.optimizers import newton as module
from ravine.optimizers import textbook
from ravine.optimizers.hyperparameters import template
from ravine.optimizers.newton import Newton, SaddleFreeNewton, hessian
from ravine.problems import problem
from ravine.problems.analytic import Analytic

Loss = Callable[[Float[Tensor, "n"]], Float[Tensor, ""]]

both = pytest.mark.parametrize("kind", [Newton, SaddleFreeNewton])

seeds = st.integers(0, 2**32 - 1)


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Give every parameter its gradient with a graph, and step."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    gradients = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    for p, gradient in zip(parameters, gradients, strict=True):
        p.grad = gradient
    optimizer.step()


def point(*x: float) -> Tensor:
    """A float64 parameter."""
    return torch.tensor(x, dtype=torch.float64, requires_grad=True)


def turned(random: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """A symmetric matrix of these eigenvalues in coordinates turned at random."""
    q, _ = np.linalg.qr(random.normal(size=(len(values), len(values))))
    return q * values @ q.T


class Quartic:
    """f(x) = sum_k c_k (a_k'x)^4 / 4 + x'Ax / 2 + b'x, of any curvature, with its derivatives."""

    def __init__(self, seed: int, n: int) -> None:
        random = np.random.default_rng(seed)
        self.a, self.c = random.normal(size=(3, n)), random.normal(size=3)
        self.A = turned(random, random.uniform(-2, 2, n))
        self.b, self.start = random.normal(size=(2, n))

    def loss(self, x: Tensor) -> Tensor:
        """The value, for autograd."""
        a, c, A, b = (torch.from_numpy(z) for z in (self.a, self.c, self.A, self.b))
        return (c * (a @ x) ** 4).sum() / 4 + x @ A @ x / 2 + b @ x

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """By hand."""
        return self.a.T @ (self.c * (self.a @ x) ** 3) + self.A @ x + self.b

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """By hand."""
        return (self.a.T * (3 * self.c * (self.a @ x) ** 2)) @ self.a + self.A

    def size(self, x: np.ndarray) -> float:
        """The norm of the Hessian if none of its terms cancelled."""
        a = np.abs(self.a)
        terms = (a.T * (3 * np.abs(self.c) * (self.a @ x) ** 2)) @ a + np.abs(self.A)
        return float(np.linalg.norm(terms))


@both
@given(seed=seeds, n=st.integers(1, 8), decades=st.floats(0, 6))
def test_one_step_solves_a_convex_quadratic(kind: type, seed: int, n: int, decades: float) -> None:
    """From anywhere, at lr 1, whatever the condition: both land on the minimum.

    Rounding of the eigenvectors is amplified by the condition, up to 1e6.
    """
    random = np.random.default_rng(seed)
    A = turned(random, 10 ** random.uniform(-decades, 0, n))
    start, best = random.normal(size=(2, n))
    x = point(*start)
    z, matrix = x - torch.from_numpy(best), torch.from_numpy(A)
    step(kind([x]), z @ matrix @ z / 2)
    error = np.linalg.norm(x.detach().numpy() - best)
    assert error <= 1e-13 * n * 10**decades * np.linalg.norm(start - best)


@given(x=st.floats(-2, 2), y=st.floats(1e-6, 0.1))
def test_a_saddle_attracts_newton_and_repels_the_saddle_free(x: float, y: float) -> None:
    """On x^2 - y^2 Newton is at the saddle after one step; the other doubles y in every step."""
    caught, free = point(x, y), point(x, y)
    step(Newton([caught]), caught[0] ** 2 - caught[1] ** 2)
    assert caught.abs().max() < 1e-15
    escaping = SaddleFreeNewton([free])
    for _ in range(20):
        step(escaping, free[0] ** 2 - free[1] ** 2)
    assert abs(free[0]) < 1e-14
    assert free[1].item() == pytest.approx(2**20 * y, rel=1e-12)


@both
@given(
    seed=seeds,
    n=st.integers(1, 5),
    lr=st.sampled_from([1.0, 0.3]),
    damping=st.just(0.0) | st.floats(1e-3, 3.0),
)
@example(seed=3171, n=1, lr=1.0, damping=0.0)  # terms that cancel
def test_steps_are_the_textbooks(kind: type, seed: int, n: int, lr: float, damping: float) -> None:
    """On quartics of any curvature every step is the formula's, Hessian by hand.

    An eigenvalue near 0 amplifies the rounding of the Hessian's terms, so the tolerance is 1e-13
    times their size over the smallest eigenvalue of the matrix inverted.
    """
    f = Quartic(seed, n)
    x = point(*f.start)
    optimizer = kind([x], lr=lr, damping=damping)
    rule = textbook.newton if kind is Newton else textbook.saddle_free_newton
    for _ in range(5):
        before = x.detach().numpy().copy()
        H = f.hessian(before)
        new = rule(before, f.gradient(before), H, lr, damping)
        step(optimizer, f.loss(x))
        inverted = H + damping * np.eye(n) if kind is Newton else H
        least = np.abs(np.linalg.eigvalsh(inverted)).min()
        condition = (f.size(before) + damping) / least
        scale = np.abs(before).max() + np.abs(new).max()
        np.testing.assert_allclose(
            x.detach().numpy(), new, rtol=0, atol=1e-13 * n * condition * scale
        )


@both
def test_parameters_and_groups_are_one_vector(kind: type) -> None:
    """Split over shapes and groups, a point moves as it does in one piece, rates by group."""
    f = Quartic(1, 7)
    whole = point(*f.start)
    step(kind([whole], damping=0.1), f.loss(whole))
    head, matrix, unused = point(*f.start[:1]), point(*f.start[1:]), point(5.0)
    matrix = matrix.detach().reshape(2, 3).requires_grad_()
    empty = torch.zeros(0, dtype=torch.float64, requires_grad=True)
    optimizer = kind(
        [{"params": [head, empty, unused]}, {"params": [matrix], "lr": 0.5}], damping=0.1
    )
    step(optimizer, f.loss(torch.cat([head, empty, matrix.flatten()])))
    moved = torch.cat([head, matrix.flatten()]).detach().numpy() - f.start
    expected = whole.detach().numpy() - f.start
    np.testing.assert_allclose(moved, expected * np.array([1.0] + [0.5] * 6), rtol=1e-12)
    assert unused.item() == 5
    step(kind([empty]), (empty**2).sum())  # nothing to move is no error


@both
def test_a_constant_gradient_has_no_curvature(kind: type) -> None:
    """Where the loss is linear in a parameter its rows are 0: it stays, and the rest is solved."""
    x, slope = point(3.0), point(1.0)
    step(kind([x, slope]), ((x - 2) ** 2).sum() + 4 * slope.sum())
    assert x.item() == 2
    assert slope.item() == 1
    # a floor under the curvature lets it go downhill all the same
    step(kind([x, slope], damping=0.5), ((x - 2) ** 2).sum() + 4 * slope.sum())
    assert slope.item() == pytest.approx(1 - 4 / 0.5)


@both
def test_a_singular_hessian_moves_where_it_curves(kind: type) -> None:
    """Along a valley's level floor nothing moves; across it the step is exact."""
    x = point(3.0, 1.0)
    step(kind([x]), (x[0] + x[1] - 2) ** 2)
    np.testing.assert_allclose(x.detach(), [2.0, 0.0], atol=1e-14)


@both
def test_flat_ground_is_no_reason_to_move(kind: type) -> None:
    """Where the whole Hessian is 0 the point stays, though the gradient is not 0."""
    x = point(0.0)
    step(kind([x]), (x**3 + x).sum())
    assert x.item() == 0


@both
def test_a_plain_gradient_is_refused(kind: type) -> None:
    """Without a graph there is no curvature, and the message says how to get one."""
    x = point(1.0)
    (x**2).sum().backward()
    with pytest.raises(BadValue) as caught:
        kind([x]).step()
    message = str(caught.value)
    assert f"`{kind.__name__}` needs a gradient with a graph" in message
    assert "loss.backward(create_graph=True)" in message
    assert "\n" not in message


@both
def test_the_gradient_is_detached(kind: type) -> None:
    """After a step the graph is gone, so a second one on the same gradient is refused."""
    x = point(1.0)
    optimizer = kind([x])
    step(optimizer, (x**4).sum())
    assert x.grad is not None
    assert not x.grad.requires_grad
    assert x.grad.item() == 4
    with pytest.raises(BadValue, match="needs a gradient with a graph"):
        optimizer.step()


@both
def test_a_closure_is_evaluated(kind: type) -> None:
    """A closure sets the gradients, its loss is returned, and without gradients nothing moves."""
    x = point(3.0)
    optimizer = kind([x])
    assert optimizer.step() is None

    def closure() -> Tensor:
        loss = (x**2).sum()
        (x.grad,) = torch.autograd.grad(loss, [x], create_graph=True)
        return loss

    assert optimizer.step(closure).item() == 9
    assert x.item() == 0


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ([3], {"lr": -1.0}, "`lr` must not be negative, not -1.0"),
        ([3], {"lr": math.nan}, "`lr` must not be negative, not nan"),
        ([3], {"damping": -0.5}, "`damping` must not be negative, not -0.5"),
        ([3, 4], {"largest": 6}, "dense Hessian for at most 6 parameters, not 7"),
    ],
)
@both
def test_refusals(kind: type, groups: list[int], options: dict, message: str) -> None:
    """Bad hyperparameters and too many parameters are refused in one sentence."""
    parameters = [torch.ones(n, requires_grad=True) for n in groups]
    with pytest.raises(BadValue, match=message) as caught:
        step(kind(parameters, **options), sum((p**2).sum() for p in parameters))
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)


@both
def test_groups_must_agree(kind: type) -> None:
    """What is one for all parameters cannot differ by group."""
    x, y = point(1.0), point(2.0)
    optimizer = kind([{"params": [x], "damping": 0.1}, {"params": [y]}])
    with pytest.raises(BadValue, match=r"needs one `damping` for all groups, not \[0.0, 0.1\]"):
        step(optimizer, (x**2 + y**2).sum())


@both
def test_what_is_not_finite_makes_the_step_so(kind: type) -> None:
    """An overflow shows as NaN, as it does with any first-order method, and raises nothing."""
    x = point(400.0, 400.0, 1.0)
    step(kind([x]), torch.exp(x[0] + x[1]) + x[2] ** 2)
    assert x.isnan().all()


@both
def test_the_rate_is_a_knob(kind: type) -> None:
    """As methods they have their learning rate tuned, and all else at its default."""
    made = template("newton", kind)
    assert [knob.name for knob in made.knobs] == ["lr"]
    assert made.build([point(1.0)], lr=0.5).defaults == {"lr": 0.5, "damping": 0, "largest": 2000}


FORMULAS = [
    "himmelblau",
    "rosenbrock",
    "monkey_saddle",
    "rosenbrock(dim=20)",
    "styblinski_tang(dim=20)",
    "rastrigin(dim=20)",
    "rotated_ellipsoid(dim=20)",
]


def differences(loss: Loss, x: Tensor, h: float = 1e-5) -> Tensor:
    """The Hessian by central differences of the gradient."""

    def gradient(z: Tensor) -> Tensor:
        z = z.detach().requires_grad_()
        return torch.autograd.grad(loss(z), z)[0]

    return torch.stack(
        [(gradient(x + h * e) - gradient(x - h * e)) / (2 * h) for e in torch.eye(len(x)).double()]
    )


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("name", FORMULAS)
def test_the_hessian_of_a_formula(
    name: str, batched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It equals differences of the gradient, rows taken at once or, where that fails, singly.

    Differences err by h^2 / 6 times a fifth derivative and by rounding over h: below 1e-6
    of the largest entry here.
    """
    taken = []
    product = module._product

    def spy(*args):
        taken.append(args[-1])
        if args[-1] and not batched:
            raise RuntimeError("cannot be batched")
        return product(*args)

    monkeypatch.setattr(module, "_product", spy)
    f = problem(name)
    assert isinstance(f, Analytic)
    data = {key: value[0] for key, value in f.instance([1]).items()}
    x = f.start(1)["x"].requires_grad_()

    def loss(z: Tensor) -> Tensor:
        return f.loss({"x": z}, data)

    found = hessian([x], torch.autograd.grad(loss(x), [x], create_graph=True))
    expected = differences(loss, x.detach())
    assert taken == ([True] if batched else [True] + [False] * f.dim)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 * expected.abs().max().item())
    assert torch.equal(found, found.T)


def test_rows_are_taken_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a batch holds give the same matrix."""
    f = Quartic(2, 7)
    x = point(*f.start)
    monkeypatch.setattr(module, "ROWS", 3)
    found = hessian([x], torch.autograd.grad(f.loss(x), [x], create_graph=True))
    np.testing.assert_allclose(found, f.hessian(f.start), rtol=1e-12, atol=1e-12)
