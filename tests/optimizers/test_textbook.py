"""Every torch built-in follows its textbook formula, and the formulas do what is said of them.

Tolerance: both sides are float64 and differ in the order of a few operations a step, each
good to 2^-53.  Over a dozen steps, with averages that may decay by some decades, that stays
below 1e-10 of the largest coordinate seen so far on the way; a misplaced constant shows far
above it, for starts and steps are of the size of the rate.
"""

import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from ravine.errors import BadValue, UnknownName
from ravine.optimizers import method, textbook
from ravine.optimizers.textbook import difference, translate
from ravine.optimizers.textbook.translation import SWITCHES, TRANSLATIONS
from ravine.optimizers.torch_builtin import ONE_ITERATION, VARIANTS, builtin_classes

TOLERANCE = 1e-10

SEARCHING = {"lbfgs_strong_wolfe"}
"""What looks at the function within its step, and so has a test of its own."""

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name.lower(): (name, {}) for name in builtin_classes()},
    **{name: (parent, dict(fixed)) for name, (parent, fixed, _) in VARIANTS.items()},
}
"""Every built-in and every variant: the class, and what is fixed."""


def decades(low: float, high: float) -> SearchStrategy[float]:
    """Numbers whose logarithm is uniform."""
    return st.floats(math.log10(low), math.log10(high)).map(lambda power: 10**power)


def or_zero(numbers: SearchStrategy[float]) -> SearchStrategy[float]:
    """The numbers, or exactly 0."""
    return st.just(0.0) | numbers


past = st.floats(0.5, 0.9999)

HYPER: dict[str, SearchStrategy[Any]] = {
    "lr": decades(1e-3, 1.0),
    "weight_decay": or_zero(decades(1e-3, 0.3)),
    "momentum": or_zero(st.floats(0.1, 0.99)),
    "dampening": or_zero(st.floats(0.1, 0.9)),
    "nesterov": st.booleans(),
    "betas": st.tuples(st.floats(0.0, 0.99), past),
    "eps": decades(1e-12, 1e-2),
    "alpha": past,
    "rho": past,
    "amsgrad": st.booleans(),
    "centered": st.booleans(),
    "decoupled_weight_decay": st.booleans(),
    "lr_decay": or_zero(decades(1e-3, 1.0)),
    "initial_accumulator_value": or_zero(decades(1e-3, 1.0)),
    "momentum_decay": decades(1e-3, 1.0),
    "lambd": decades(1e-4, 0.3),
    "t0": st.integers(0, 8).map(float),
    "etas": st.tuples(st.floats(0.1, 0.9), st.floats(1.05, 2.0)),
    "step_sizes": st.tuples(decades(1e-6, 1e-3), decades(1.0, 50.0)),
    "beta2_decay": st.floats(-1.0, -0.5),
    "d": st.floats(1.0, 2.0),
    "ns_coefficients": st.just((3.4445, -4.7750, 2.0315)) | st.just((2.0, -1.5, 0.5)),
    "ns_steps": st.integers(0, 6),
    "adjust_lr_fn": st.sampled_from([None, "original", "match_rms_adamw"]),
    "maximize": st.booleans(),
    "history_size": st.integers(1, 5),
}
"""What each hyperparameter of a built-in is drawn from."""

OWN: dict[str, dict[str, SearchStrategy[Any]]] = {
    "Adafactor": {"eps": st.tuples(st.none() | decades(1e-8, 1e-2), decades(1e-4, 1.0))},
    "ASGD": {"alpha": st.floats(0.5, 1.0)},
    # a momentum of 0 in a sum, and 1 - 0.99 in an average, are both fine
    "Muon": {"momentum": st.floats(0.0, 0.99)},
    "LBFGS": {
        "max_iter": st.just(1),
        "max_eval": st.none(),
        "line_search_fn": st.none(),
        # where torch stands still is not part of the formula
        "tolerance_grad": st.just(0.0),
        "tolerance_change": st.just(0.0),
    },
}
"""Where a class means something else by a name."""


def names(parent: str) -> list[str]:
    """The hyperparameters that change what a class computes."""
    signature = inspect.signature(builtin_classes()[parent].__init__)
    return [name for name in signature.parameters if name not in {"self", "params", *SWITCHES}]


def drawn(data: DataObject, case: str) -> dict[str, Any]:
    """Hyperparameters for a case, all of them, what it fixes left as it is."""
    parent, fixed = CASES[case]
    strategies = {**HYPER, **OWN.get(parent, {})}
    hyper = {
        name: data.draw(strategies[name], label=name) for name in names(parent) if name not in fixed
    } | fixed
    if hyper.get("nesterov") and parent == "SGD":
        assume(hyper["momentum"])
        hyper["dampening"] = 0.0
    return hyper


def gradients(data: DataObject, shape: tuple[int, ...], steps: int) -> np.ndarray:
    """Gradients of either sign over several decades, some entries and some steps exactly 0."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    low, width = data.draw(st.tuples(st.integers(-6, 2), st.integers(0, 4)), label="decades")
    sparse = data.draw(st.sampled_from([0.0, 0.3, 0.9]), label="zeros")
    size = (steps, *shape)
    g = random.normal(size=size) * 10 ** random.uniform(low, low + width, size=size)
    g[random.random(size) < sparse] = 0
    g[random.random(steps) < sparse / 3] = 0
    return g


def shapes(parent: str) -> SearchStrategy[tuple[int, ...]]:
    """Vectors and matrices, matrices alone for Muon, and three dimensions for Adafactor."""
    side = st.integers(1, 5)
    matrices = st.tuples(side, side)
    if parent == "Muon":
        return matrices
    vectors = st.tuples(side)
    if parent == "Adafactor":
        return vectors | matrices | st.tuples(st.integers(1, 2), side, side)
    return vectors | matrices


def tensor(x: np.ndarray) -> torch.Tensor:
    """A copy as a float64 tensor."""
    return torch.from_numpy(np.array(x))


def entries(g: np.ndarray, touched: np.ndarray) -> torch.Tensor:
    """A sparse tensor with an entry wherever it is touched, zeros among them."""
    where = torch.from_numpy(np.stack(np.nonzero(touched)))
    values = torch.from_numpy(g[touched])
    return torch.sparse_coo_tensor(where, values, g.shape, check_invariants=False).coalesce()


def walk(parent: str, hyper: dict[str, Any], x: np.ndarray, g: np.ndarray) -> Iterator[np.ndarray]:
    """The points after each step of the torch optimizer, gradients given."""
    p = tensor(x).requires_grad_()
    optimizer = builtin_classes()[parent]([p], **hyper)
    for row in g:
        p.grad = entries(row, np.full(x.shape, True)) if parent == "SparseAdam" else tensor(row)
        optimizer.step()
        yield p.detach().numpy().copy()


def assert_same(found: np.ndarray, expected: np.ndarray, scale: float) -> None:
    """Finite, and equal within the tolerance relative to a scale."""
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * scale)


@pytest.fixture
def wide_counters() -> Iterator[None]:
    """Let torch keep its counters, rates and products in float64, as its parameters here are."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def exact_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Muon iterate in float64: its rounding to bfloat16 leaves the tensor as it is."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


@pytest.mark.usefixtures("wide_counters", "exact_iteration")
@pytest.mark.parametrize("case", [c for c in CASES if CASES[c][0] != "LBFGS"])
@given(data=st.data())
def test_a_builtin_follows_its_formula(case: str, data: DataObject) -> None:
    """Step by step over any gradients, with all hyperparameters drawn, decay and sign included."""
    parent, _ = CASES[case]
    hyper = drawn(data, case)
    shape = data.draw(shapes(parent), label="shape")
    steps = data.draw(st.integers(1, 12), label="steps")
    g = gradients(data, shape, steps)
    start = data.draw(st.sampled_from([0.0, 1.0, -3.0]), label="start") * hyper["lr"]
    x, state = np.linspace(start / 2, start, math.prod(shape)).reshape(shape), None
    rule, scale = translate(parent, **hyper), float(np.abs(x).max())
    for row, found in zip(g, walk(parent, hyper, x, g), strict=True):
        x, state = rule(x, state, row)
        scale = max(scale, float(np.abs(x).max()))
        assert_same(found, x, scale)


def quadratic(data: DataObject) -> tuple[np.ndarray, np.ndarray]:
    """A convex quadratic of condition up to 1e4 with coordinates turned, and a start."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    n = data.draw(st.integers(1, 6), label="n")
    q, _ = np.linalg.qr(random.normal(size=(n, n)))
    spread = data.draw(st.floats(0, 4), label="decades")
    return q * 10 ** random.uniform(-spread, 0, n) @ q.T, random.normal(size=n)


@given(data=st.data())
def test_lbfgs_follows_the_two_loops(data: DataObject) -> None:
    """On convex quadratics, where every pair tells of curvature, each step agrees with the formula.

    The recursion divides by y's, so that rounding grows with the condition; each step is
    taken from torch's own point, and held to 1e-10 times the condition's square root.
    """
    hyper = drawn(data, "lbfgs")
    A, start = quadratic(data)
    p = tensor(start).requires_grad_()
    optimizer = torch.optim.LBFGS([p], **hyper)
    rule, state = translate("LBFGS", **hyper), None
    slack = math.sqrt(np.linalg.cond(A))
    for _ in range(10):
        x = p.detach().numpy().copy()
        g = A @ x
        if np.abs(g).max() < 1e-4:  # then y's is about torch's bound of 1e-10 or below
            break
        p.grad = tensor(g)
        optimizer.step(lambda: torch.tensor(0.0))
        new, state = rule(x, state, g)
        assert_same(p.detach().numpy(), new, slack * (np.abs(x).max() + np.abs(new).max()))


@given(data=st.data())
def test_a_search_goes_along_the_two_loops(data: DataObject) -> None:
    """With a search torch moves along the formula's direction, to where both Wolfe conditions hold.

    The conditions do not decide the length, so it is read off torch's state.
    """
    A, start = quadratic(data)
    assume(np.linalg.norm(A @ start) > 1e-2)
    p = tensor(start).requires_grad_()
    _, fixed, _ = VARIANTS["lbfgs_strong_wolfe"]
    lr = data.draw(decades(1e-2, 1e2), label="lr")
    optimizer = torch.optim.LBFGS([p], lr=lr, **fixed, tolerance_change=0.0)
    H = tensor(A)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = p @ H @ p / 2
        loss.backward()
        return loss

    state, moved = None, 0
    for _ in range(6):
        x = p.detach().numpy().copy()
        g = A @ x
        if np.linalg.norm(g) < 1e-3:
            break
        optimizer.step(closure)
        length = float(optimizer.state[p]["t"])
        new, state = textbook.lbfgs(x, state, g, lr=length, history=100, curvature=1e-10)
        assert state is not None
        scale = np.abs(x).max() + np.abs(new).max()
        assert_same(p.detach().numpy(), new, math.sqrt(np.linalg.cond(A)) * scale)
        direction = (new - x) / length
        ends = [(float(z @ A @ z / 2), float(A @ z @ direction)) for z in (x, new)]
        assert textbook.wolfe(ends[0], ends[1], length)
        moved += 1
    assert moved


def test_no_builtin_is_without_an_oracle() -> None:
    """Every class has a formula and a difference; every case but the search is compared."""
    assert set(TRANSLATIONS) == set(builtin_classes())
    assert all(difference(name).endswith(".") for name in builtin_classes())
    assert {name for name in CASES if "line_search_fn" in CASES[name][1]} == SEARCHING


@pytest.mark.parametrize("name", builtin_classes())
def test_translations_have_torchs_hyperparameters(name: str) -> None:
    """Names and defaults are torch's, so that a default changed in torch is noticed."""
    torchs = inspect.signature(builtin_classes()[name].__init__).parameters
    own = inspect.signature(TRANSLATIONS[name]).parameters
    wanted = {key: torchs[key].default for key in names(name) if key != "maximize"}
    assert {key: parameter.default for key, parameter in own.items()} == wanted


def test_what_cannot_be_translated_says_so() -> None:
    """An unknown class or hyperparameter, and a search, are refused with the remedy."""
    with pytest.raises(UnknownName, match="did you mean `AdamW`"):
        translate("adamW")
    with pytest.raises(
        BadValue, match=r"`SGD` has no hyperparameter `beta` .* it has lr, momentum"
    ):
        translate("SGD", beta=0.9)
    for hyper in ({}, {**ONE_ITERATION, "line_search_fn": "strong_wolfe"}):
        with pytest.raises(BadValue, match="give `max_iter=1`"):
            translate("LBFGS", **hyper)
    assert translate("Adam", foreach=True, fused=None)


@given(data=st.data())
def test_sparse_adam_is_lazy(data: DataObject) -> None:
    """Where a sparse gradient has no entry, SparseAdam does as the lazy formula: nothing."""
    hyper = drawn(data, "sparseadam")
    g = gradients(data, (6,), 8)
    touched = gradients(data, (6,), 8) > 0
    p = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SparseAdam([p], **hyper)
    x, state, scale = np.zeros(6), None, 0.0
    sign, (beta1, beta2) = -1 if hyper["maximize"] else 1, hyper["betas"]
    for row, seen in zip(g, touched, strict=True):
        p.grad = entries(row, seen)
        optimizer.step()
        x, state = textbook.lazy_adam(
            x, state, sign * row, seen, hyper["lr"], beta1, beta2, hyper["eps"]
        )
        scale = max(scale, float(np.abs(x).max()))
        assert_same(p.detach().numpy(), x, scale)


@given(data=st.data())
def test_lion_follows_its_formula(data: DataObject) -> None:
    """The Lion that README brings as one file takes the textbook's steps."""
    path = Path(__file__).parents[2] / "lion.py"
    hyper = {name: data.draw(HYPER[name], label=name) for name in ("lr", "betas", "weight_decay")}
    g = gradients(data, (5,), 10)
    p = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = method(f"{path}:Lion").build([p], **hyper)
    x, state = np.zeros(5), None
    for row in g:
        p.grad = tensor(row)
        optimizer.step()
        x, state = textbook.lion(x, state, row, hyper["lr"], *hyper["betas"], hyper["weight_decay"])
        assert_same(p.detach().numpy(), x, 10 * hyper["lr"])


@pytest.mark.parametrize("name", ["ASGD", "NAdam"])
def test_counters_of_narrow_type_cost_digits(name: str) -> None:
    """With torch's usual default dtype, two classes are only as good as float32 in float64.

    Their rate and their product of momenta are rounded to 2^-24; at lambd = 0.1 and
    psi = 0.1 that is seen above 1e-10, and stays below 1e-6.
    """
    hyper = {"ASGD": {"lambd": 0.1, "lr": 0.3}, "NAdam": {"momentum_decay": 0.1, "lr": 0.3}}[name]
    g = np.random.default_rng(0).normal(size=(20, 4))
    rule, x, state = translate(name, **hyper), np.ones(4), None
    for row in g:
        x, state = rule(x, state, row)
    *_, last = walk(name, hyper, np.ones(4), g)
    assert 1e-10 < np.abs(last - x).max() / np.abs(x).max() < 1e-6


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 6), columns=st.integers(1, 6))
def test_muon_in_eight_bits_stays_near_the_formula(seed: int, rows: int, columns: int) -> None:
    """Where all singular values are equal, bfloat16 changes a step by less than a quarter.

    They are at least 0.4 then, the norm of six equal ones being 2.5, so that no direction
    is lost to 2^-8.  Over 12,000 draws the median change was 0.016 and the largest 0.14.
    """
    random = np.random.default_rng(seed)
    u, _, v = np.linalg.svd(random.normal(size=(rows, columns)), full_matrices=False)
    g = (u @ v)[None]
    hyper = {"lr": 1.0, "weight_decay": 0.0}
    x, _ = translate("Muon", **hyper)(np.zeros((rows, columns)), None, g[0])
    (found,) = walk("Muon", hyper, np.zeros((rows, columns)), g)
    assert np.linalg.norm(found - x, 2) < 0.25 * np.linalg.norm(x, 2)


# What the books say of these rules.


def descend(rule: Any, curvatures: list[float], x: list[float], steps: int) -> np.ndarray:
    """The points that a rule visits on f(x) = sum_i a_i x_i^2 / 2, the start included."""
    path, state = [np.array(x)], None
    for _ in range(steps):
        point, state = rule(path[-1], state, np.array(curvatures) * path[-1])
        path.append(point)
    return np.array(path)


@given(share=st.floats(0.05, 1.95))
def test_gradient_descent_converges_below_its_threshold(share: float) -> None:
    """On x1^2 + 2 x2^2 rates below 0.5, 2 / lambda_max, shrink x2, and rates above do not."""
    path = descend(translate("SGD", lr=share * 0.5), [2.0, 4.0], [-5.0, -2.0], 50)
    sizes = np.abs(path[:, 1])
    shrinks = (sizes[1:] <= sizes[:-1]).all()
    assert shrinks == (share <= 1)


def test_momentum_lets_a_rate_through_that_descent_cannot_take() -> None:
    """On 0.1 x1^2 + 2 x2^2: 0.4 crawls, 0.6 diverges, and 0.6 with momentum 0.5 converges."""
    curvatures, start = [0.2, 4.0], [-5.0, -2.0]
    crawl = descend(translate("SGD", lr=0.4), curvatures, start, 20)[-1]
    burst = descend(translate("SGD", lr=0.6), curvatures, start, 20)[-1]
    calm = descend(translate("SGD", lr=0.6, momentum=0.5), curvatures, start, 20)[-1]
    assert abs(crawl[0]) == pytest.approx(5 * 0.92**20)
    assert abs(crawl[1]) < 1e-3 < abs(crawl[0])
    assert abs(burst[1]) == pytest.approx(2 * 1.4**20)
    assert np.abs(calm).max() < 0.15


@given(gamma=st.floats(0, 0.99), lr=decades(1e-4, 1.0), steps=st.integers(1, 60))
def test_momentum_is_a_geometric_sum(gamma: float, lr: float, steps: int) -> None:
    """Under a constant gradient the step tends to 1 / (1 - gamma) times that of descent."""
    x, state = np.zeros(1), None
    for _ in range(steps):
        before = x
        x, state = textbook.momentum(x, state, np.ones(1), lr, gamma)
    np.testing.assert_allclose(state.v, lr * (1 - gamma**steps) / (1 - gamma), rtol=1e-12)
    np.testing.assert_allclose(before - x, state.v, rtol=1e-9)


@given(data=st.data())
def test_where_the_rate_stands_matters_only_when_it_changes(data: DataObject) -> None:
    """Outside the buffer or inside: equal at a constant rate, and not after a change of rate."""
    g = np.random.default_rng(data.draw(st.integers(0, 999))).normal(size=(10, 3))
    gamma = data.draw(st.floats(0.1, 0.95))
    for rates, same in ((np.full(10, 0.1), True), (np.geomspace(1.0, 0.01, 10), False)):
        ends = []
        for outside in (False, True):
            x, state = np.zeros(3), None
            for row, lr in zip(g, rates, strict=True):
                x, state = textbook.momentum(x, state, row, float(lr), gamma, rate_outside=outside)
            ends.append(x)
        assert np.allclose(*ends, rtol=1e-12, atol=1e-14) == same


@given(
    gamma=st.floats(0, 0.95), lr=decades(1e-3, 0.5), x=st.floats(-5, 5), curvature=st.floats(0.1, 2)
)
def test_nesterovs_two_forms_meet(gamma: float, lr: float, x: float, curvature: float) -> None:
    """The form that torch has walks through the points that the published form looks ahead to."""
    point, state = np.array([x]), None
    ahead, other = np.array([x]), None
    for _ in range(20):
        point, state = textbook.nesterov_lookahead(
            point, state, lambda z: curvature * np.sin(z), lr, gamma
        )
        ahead, other = textbook.nesterov(ahead, other, curvature * np.sin(ahead), lr, gamma)
        np.testing.assert_allclose(ahead, point - gamma * state.v, rtol=1e-9, atol=1e-12)


@given(data=st.data())
def test_adagrads_rates_never_increase(data: DataObject) -> None:
    """A coordinate's rate lr / sqrt(s + eps) only falls, whatever the gradients are."""
    g = gradients(data, (4,), 12)
    eps = data.draw(decades(1e-10, 1e-2), label="eps")
    x, state, last = np.zeros(4), None, np.full(4, 1 / math.sqrt(eps))
    for row in g:
        x, state = textbook.adagrad(x, state, row, 1.0, eps)
        rates = 1 / textbook.root(state.s, eps, inside=True)
        assert (rates <= last).all()
        last = rates


@given(lr=decades(1e-4, 1.0), eps=decades(1e-10, 1e-2), g=st.floats(-10, 10))
def test_rmsprop_without_forgetting_learns_nothing_of_the_gradient(
    lr: float, eps: float, g: float
) -> None:
    """With gamma = 1 the average stays 0 and every step is lr g / sqrt(eps)."""
    x, state = np.zeros(1), None
    for step in range(1, 5):
        x, state = textbook.rmsprop(x, state, np.array([g]), lr, gamma=1.0, eps=eps)
        assert state.s == 0
        np.testing.assert_allclose(x, -step * lr * g / math.sqrt(eps), rtol=1e-12)


def test_rmsprop_without_forgetting_blows_up() -> None:
    """At rate 0.01 and eps 1e-6, on the bowl x^2 / 2, it grows ninefold a step, to NaN."""
    with np.errstate(all="ignore"):
        path = descend(
            lambda x, state, g: textbook.rmsprop(x, state, g, 0.01, gamma=1.0), [1.0], [1.0], 400
        )
    np.testing.assert_allclose(path[1:101] / path[:100], -9)
    assert np.isnan(path[-1]).all()
    # and torch's does the same, its constant outside the root: 1 - 0.01 / 1e-3 with 1e-3 there
    p = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.RMSprop([p], lr=0.01, alpha=1.0, eps=1e-3)
    for _ in range(400):
        p.grad = p.detach().clone()
        optimizer.step()
    assert p.isnan().all()


@given(data=st.data())
def test_adam_without_momentum_is_rmsprop(data: DataObject) -> None:
    """With beta1 = 0 a step is RMSProp's, lr and eps both times sqrt(1 - beta2^t)."""
    g = gradients(data, (4,), 10)
    lr, eps, beta2 = (data.draw(HYPER[k], label=k) for k in ("lr", "eps", "alpha"))
    (x, state), (y, other) = (np.zeros(4), None), (np.zeros(4), None)
    scale = 0.0
    for t, row in enumerate(g, 1):
        x, state = textbook.adam(x, state, row, lr, 0.0, beta2, eps)
        c = math.sqrt(1 - beta2**t)
        y, other = textbook.rmsprop(y, other, row, lr * c, beta2, eps * c, eps_inside=False)
        scale = max(scale, float(np.abs(x).max()))
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-13 * scale)
        np.testing.assert_array_equal(state.v, other.s)


@given(s=or_zero(decades(1e-12, 1e6)), eps=decades(1e-10, 1e2))
def test_a_constant_outside_the_root_is_nearly_its_square_inside(s: float, eps: float) -> None:
    """sqrt(s + eps^2) lies between (sqrt(s) + eps) / sqrt(2) and sqrt(s) + eps."""
    ratio = textbook.root(np.array([s]), eps, False) / textbook.root(np.array([s]), eps**2, True)
    assert 1 - 1e-12 <= ratio[0] <= math.sqrt(2) + 1e-12


def test_adadeltas_first_step_is_the_root_of_its_constant() -> None:
    """The first step is sqrt(eps / (1 - rho)) long, whatever the gradient's size."""
    for size in (1.0, 1e6):
        x, _ = textbook.adadelta(np.zeros(1), None, np.array([size]), rho=0.9, eps=1e-6)
        assert -x[0] == pytest.approx(math.sqrt(1e-6 / 0.1), rel=1e-4)


def test_amsgrads_rate_can_rise_only_when_corrected() -> None:
    """After one large gradient the published rate stays, and the corrected one, torch's, rises."""
    for corrected, rises in ((False, False), (True, True)):
        x, state, moves = np.zeros(1), None, []
        for g in [100.0] + [1.0] * 30:
            before = x
            x, state = textbook.amsgrad(x, state, np.array([g]), 1.0, 0.0, corrected=corrected)
            moves.append((before - x)[0] / g)
        assert (moves[-1] > 2 * moves[0]) == rises
        assert (np.diff(moves) <= 1e-12).all() != rises


def test_asgds_mean_is_the_mean_of_its_points() -> None:
    """The state holds the plain mean of the points after its start; torch begins one later."""
    g = np.random.default_rng(3).normal(size=(9, 2))
    x, state, path = np.ones(2), None, []
    for row in g:
        x, state = textbook.asgd(x, state, row, lr=0.1, start=4.0)
        path.append(x)
    np.testing.assert_allclose(state.mean, np.mean(path[4:], axis=0), rtol=1e-12)
    p = torch.ones(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.ASGD([p], lr=0.1, t0=4.0)
    rule, x, state = translate("ASGD", lr=0.1, t0=4.0), np.ones(2), None
    for row in g:
        p.grad = tensor(row)
        optimizer.step()
        x, state = rule(x, state, row)
        # its weight 1 / 3 is rounded to float32
        np.testing.assert_allclose(optimizer.state[p]["ax"], state.mean, rtol=1e-6)
    np.testing.assert_allclose(state.mean, np.mean(path[5:], axis=0), rtol=1e-12)


def test_newton_schulz_brings_singular_values_near_one() -> None:
    """Values from 0.002 to 1 end between 0.68 and 1.21, and the singular vectors stay."""
    random = np.random.default_rng(0)
    u, _, v = np.linalg.svd(random.normal(size=(40, 60)), full_matrices=False)
    values = np.geomspace(0.002, 0.9, 40)
    x = u * values @ v
    norm = float(np.linalg.norm(x))
    after = np.diag(u.T @ textbook.newton_schulz(x / norm * 0.9, eps=0.0) @ v.T)
    kept = values / norm >= 0.002
    assert kept.sum() > 20
    assert after[kept].min() > 0.68
    assert after[kept].max() < 1.21
    np.testing.assert_allclose(
        u.T @ textbook.newton_schulz(x) @ v.T, np.diag(after), rtol=1e-4, atol=1e-12
    )
