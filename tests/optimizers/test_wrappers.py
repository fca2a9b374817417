"""Wrappers do what their formulas say, compose, resume, stack, and read back from their ids."""

import copy
import inspect
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, StepLR

from ravine import problem, solve
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.engine.task import Choice, Task, run
from ravine.errors import BadValue, Mismatch, UnknownName
from ravine.optimizers import Setting, method, methods, trials
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import LEARNING_RATE, Capabilities, Layout
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.driving import set_mode
from ravine.optimizers.hyperparameters import default, hyperparameters
from ravine.optimizers.wrappers.averaging import Averaged
from ravine.optimizers.wrappers.clipping import Clipped
from ravine.optimizers.wrappers.lookahead import Lookahead
from ravine.optimizers.wrappers.schedules import (
    cosine,
    linear_decay,
    step_decay,
    warmup,
    warmup_stable_decay,
)
from ravine.optimizers.wrappers.sharpness import SharpnessAware

BASES = '''
import torch


class Rateless(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {})

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(0.1 * p.grad)


class Slope(torch.optim.SGD):
    """Steps by the derivative of the sum of its gradients."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                (second,) = torch.autograd.grad(p.grad.sum(), p)
                p.data.sub_(group["lr"] * second)


class Planner(torch.optim.SGD):
    def __init__(self, params, num_iterations, lr=0.5, restarts=1):
        super().__init__(params, lr=lr / num_iterations)
'''

SCHEDULES = ("cosine", "linear_decay", "step_decay", "warmup", "warmup_stable_decay")
WRAPPERS = ("clip", "ema", "lookahead", "sam", *SCHEDULES)

RATES = st.floats(1e-3, 1.0)
SEEDS = st.integers(0, 2**31)


@pytest.fixture
def bases(tmp_path, monkeypatch):
    """A user's file `bases.py` in the current folder."""
    (tmp_path / "bases.py").write_text(BASES)
    monkeypatch.chdir(tmp_path)


def only(id):
    """The only setting of a method without knobs."""
    (setting,) = trials(method(id))
    return setting


def draw(seed, *shape):
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape)


def leaf(values):
    """A parameter in double precision."""
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def follow(optimizer, parameters, gradients):
    """The points after steps along given gradients, one array for each parameter and step."""
    points = []
    for step in gradients:
        for p, g in zip(parameters, step, strict=True):
            p.grad = torch.as_tensor(g, dtype=p.dtype)
        optimizer.step()
        points.append([p.detach().clone().numpy() for p in parameters])
    return points


@given(
    k=st.integers(1, 6),
    alpha=st.floats(0.01, 1),
    lr=RATES,
    momentum=st.floats(0, 0.9),
    seed=SEEDS,
)
def test_lookahead_is_its_formula(k, alpha, lr, momentum, seed):
    """The loop: slow <- slow + alpha (x - slow), x <- slow after every k steps of heavy ball."""
    x, gradients = draw(seed, 4), draw(seed + 1, 20, 1, 4)
    p = leaf(x)
    optimizer = Lookahead(torch.optim.SGD([p], lr=lr, momentum=momentum), k=k, alpha=alpha)
    points = follow(optimizer, [p], gradients)
    slow, velocity = x.copy(), np.zeros(4)
    for t, (g,) in enumerate(gradients):
        velocity = momentum * velocity + g
        x = x - lr * velocity
        if (t + 1) % k == 0:
            slow = slow + alpha * (x - slow)
            x = slow
        np.testing.assert_allclose(points[t][0], x, rtol=1e-10, atol=1e-12)


@given(decay=st.floats(0, 1), lr=RATES, steps=st.integers(1, 25), seed=SEEDS)
def test_ema_is_the_average_of_the_iterates(decay, lr, steps, seed):
    """In evaluation it is sum d^(t - i) x_i / sum d^(t - i); in training plain Adam."""
    start, gradients = draw(seed, 3), draw(seed + 1, steps, 1, 3)
    p, q = leaf(start), leaf(start)
    optimizer = Averaged(torch.optim.Adam([p], lr=lr), decay=decay)
    found = follow(optimizer, [p], gradients)
    plain = follow(torch.optim.Adam([q], lr=lr), [q], gradients)
    np.testing.assert_array_equal(found, plain)
    weights = np.array([decay ** (steps - 1 - i) for i in range(steps)])
    average = weights @ np.array(plain)[:, 0] / weights.sum()
    set_mode(optimizer, training=False)
    np.testing.assert_allclose(p.detach().numpy(), average, rtol=1e-9, atol=1e-12)
    set_mode(optimizer, training=True)
    assert torch.equal(p, q)


def test_ema_may_be_asked_again_and_before_the_first_step():
    """A second `eval` or `train` changes nothing, and without steps there is no average."""
    p = leaf([1.0, 2.0])
    optimizer = assemble(only("ema(sgd(lr=0.1))"), [p])
    set_mode(optimizer, training=False)
    assert p.tolist() == [1.0, 2.0]
    set_mode(optimizer, training=True)
    follow(optimizer, [p], [[[1.0, 1.0]], [[1.0, 1.0]]])
    iterate = p.detach().clone()
    set_mode(optimizer, training=False)
    averaged = p.detach().clone()
    set_mode(optimizer, training=False)
    assert torch.equal(p, averaged)
    with pytest.raises(RuntimeError, match=r"call `train\(\)` before"):
        optimizer.step()
    for _ in range(2):
        set_mode(optimizer, training=True)
        assert torch.equal(p, iterate)


def test_ema_switches_what_it_averages():
    """Of an average of averages, each is put in and taken out, the inner one first."""
    p, q = leaf([1.0, -2.0]), leaf([1.0, -2.0])
    gradients = draw(3, 9, 1, 2)
    outer = assemble(only("ema(ema(sgd(lr=0.1), decay=0.5), decay=1)"), [p])
    plain = follow(torch.optim.SGD([q], lr=0.1), [q], gradients)
    follow(outer, [p], gradients)
    set_mode(outer, training=False)
    np.testing.assert_allclose(p.detach().numpy(), np.mean(plain, axis=0)[0], rtol=1e-12)
    (inner,) = outer.parts
    assert "iterate" in inner.state[p]
    set_mode(outer, training=True)
    assert torch.equal(p, q)
    assert "iterate" not in inner.state[p]


def valley(x, y):
    """A curved valley, over two parameters."""
    return (1 - x).square().sum() + 10 * (y - x.square()).square().sum()


def valley_slopes(x, y):
    """Its gradient, by hand."""
    gap = y - x**2
    return -2 * (1 - x) - 40 * gap * x, 20 * gap


def drive(optimizer, parameters, loss, steps):
    """Step through a closure, as anyone would."""

    def closure():
        optimizer.zero_grad()
        value = loss(*parameters)
        value.backward()
        return value

    return [optimizer.step(closure).item() for _ in range(steps)]


@given(
    rho=st.floats(0.001, 0.5),
    adaptive=st.booleans(),
    lr=st.floats(1e-5, 1e-3),
    momentum=st.floats(0, 0.9),
    seed=SEEDS,
)
def test_sam_is_two_gradients(rho, adaptive, lr, momentum, seed):
    """Heavy ball by the gradient at x + rho T^2 g / |T g|, with the norm over both parameters."""
    point = [np.tanh(draw(seed, 2)), np.tanh(draw(seed + 1, 2))]
    parameters = [leaf(point[0]), leaf(point[1])]
    base = torch.optim.SGD(parameters, lr=lr, momentum=momentum)
    losses = drive(SharpnessAware(base, rho=rho, adaptive=adaptive), parameters, valley, 6)
    velocity = [np.zeros(2), np.zeros(2)]
    for loss in losses:
        here = float(valley(*map(torch.tensor, point)))
        assert loss == pytest.approx(here, rel=1e-9, abs=1e-12)
        slopes = valley_slopes(*point)
        scales = [np.abs(x) if adaptive else np.ones(2) for x in point]
        length = math.sqrt(
            sum(float(((t * g) ** 2).sum()) for t, g in zip(scales, slopes, strict=True))
        )
        above = [x + rho * t**2 * g / length for x, t, g in zip(point, scales, slopes, strict=True)]
        velocity = [momentum * v + g for v, g in zip(velocity, valley_slopes(*above), strict=True)]
        point = [x - lr * v for x, v in zip(point, velocity, strict=True)]
    for p, x in zip(parameters, point, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), x, rtol=1e-9, atol=1e-12)


def test_sam_comes_back_to_the_bit_and_rests_at_critical_points():
    """Climbing is undone exactly, and where the gradient is 0 nothing is divided by it."""
    parameters = [leaf(draw(1, 3)), leaf(draw(2, 3))]
    before = [p.detach().clone() for p in parameters]
    optimizer = assemble(only("sam(sgd(lr=0.1), rho=0.3)"), parameters)
    optimizer.param_groups[0]["lr"] = 0.0
    drive(optimizer, parameters, valley, 3)
    assert all(map(torch.equal, parameters, before))
    rest = [leaf([1.0, 1.0]), leaf([1.0, 1.0])]
    drive(assemble(only("sam(sgd(lr=0.1))"), rest), rest, valley, 2)
    assert all(p.tolist() == [1.0, 1.0] for p in rest)
    with pytest.raises(BadValue, match="give `step` a closure"):
        assemble(only("sam(sgd(lr=0.1))"), rest).step()


def test_sam_that_maximises_is_sam_that_minimises_the_negative():
    """What is worse lies downhill there; other parameters of the same optimizer still climb."""
    ways = []
    for sign in (1.0, -1.0):
        up, down = leaf(draw(1, 2)), leaf(draw(2, 2))
        groups = [{"params": [up], "maximize": sign < 0}, {"params": [down]}]
        optimizer = SharpnessAware(torch.optim.SGD(groups, lr=0.01), rho=0.3)
        drive(optimizer, [up, down], lambda a, b, s=sign: s * a.sin().sum() + b.sin().sum(), 5)
        ways.append((up.tolist(), down.tolist()))
    assert ways[0] == ways[1]


def test_sam_around_a_search_gives_it_perturbed_gradients():
    """L-BFGS's first step goes down the gradient at x + e, in both of its evaluations."""
    p = leaf([3.0, -1.0])
    (setting,) = trials(method("sam(lbfgs(lr=0.01), rho=0.5)"))
    drive(assemble(setting, [p]), [p], lambda x: (x.square() * torch.tensor([1.0, 5.0])).sum(), 1)
    x, scale = np.array([3.0, -1.0]), np.array([2.0, 10.0])
    g = scale * x
    g = scale * (x + 0.5 * g / np.linalg.norm(g))
    np.testing.assert_allclose(p.detach().numpy(), x - 0.01 * min(1, 1 / abs(g).sum()) * g)


@given(bound=st.floats(0.01, 10), size=st.floats(0.001, 100), seed=SEEDS)
def test_clip_cuts_the_gradient(bound, size, seed):
    """It is g min(1, norm / |g|), with the norm over all parameters, or each coordinate alone."""
    start = [draw(seed, 3), draw(seed + 1, 2, 2)]
    gradients = [size * draw(seed + 2, 3), size * draw(seed + 3, 2, 2)]
    whole = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    shorter = [g * min(1, bound / whole) for g in gradients]
    boxed = [np.clip(g, -bound, bound) for g in gradients]
    for option, clipped in (("norm", shorter), ("value", boxed)):
        parameters = [leaf(x) for x in start]
        optimizer = Clipped(torch.optim.SGD(parameters, lr=1.0), **{option: bound})
        (found,) = follow(optimizer, parameters, [gradients])
        for p, x, g in zip(found, start, clipped, strict=True):
            np.testing.assert_allclose(p, x - g, rtol=1e-12, atol=1e-12)


def test_clip_of_what_is_short_or_zero_changes_nothing():
    """Within the bound every bit stays, and a zero gradient is not divided by."""
    p, q = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    gradients = [[[0.3, -0.1]], [[0.0, 0.0]], [[0.6, 0.79]]]
    found = follow(assemble(only("clip(sgd(lr=0.1))"), [p]), [p], gradients)
    np.testing.assert_array_equal(found, follow(torch.optim.SGD([q], lr=0.1), [q], gradients))


def test_clip_leaves_the_callers_gradient_and_the_second_derivative(bases):
    """A gradient that cannot be written to will do, and its graph is that of the loss."""
    p = leaf([1.0, 1.0])
    p.grad = torch.tensor(7.0, dtype=torch.float64).expand(2)
    mine = p.grad
    assemble(only("clip(sgd(lr=1), value=0.5)"), [p]).step()
    assert p.tolist() == [0.5, 0.5]
    assert mine.tolist() == [7.0, 7.0]
    x = leaf([1.0, 2.0])
    (x.grad,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    clipped = assemble(only("clip(bases.py:Slope(lr=1), norm=0.001)"), [x])
    clipped.step()
    assert x.tolist() == [1.0 - 6.0, 2.0 - 12.0]
    assert torch.linalg.vector_norm(x.grad.detach()).item() == pytest.approx(0.001)


def test_clip_within_a_search():
    """Every gradient that L-BFGS asks for is clipped, not the first alone."""
    p = leaf([300.0, -100.0])
    seen = []
    optimizer = assemble(only("clip(lbfgs(lr=0.5, max_iter=4), norm=2)"), [p])

    def closure():
        if p.grad is not None:
            seen.append(torch.linalg.vector_norm(p.grad).item())
        optimizer.zero_grad()
        value = p.square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    assert len(seen) >= 2
    assert all(length == pytest.approx(2) for length in seen)


def test_sparse_gradients_are_clipped_by_what_they_store():
    """Two entries at one place are one coordinate."""
    for option, factor in (("norm=5", 5 / math.sqrt(7**2 + 24**2)), ("value=7", None)):
        p = torch.zeros(4, requires_grad=True)
        p.grad = torch.sparse_coo_tensor([[1, 1, 3]], [3.0, 4.0, 24.0], (4,), check_invariants=True)
        optimizer = assemble(only(f"clip(sgd(lr=1), {option})"), [p])
        optimizer.step()
        expected = [0, 7 * factor, 0, 24 * factor] if factor else [0, 7, 0, 7]
        assert (-p.detach()).tolist() == pytest.approx(expected, rel=1e-6)


def rates_of(id, steps, lr=0.7):
    """The rates that SGD steps with: how far it goes along a gradient of 1."""
    p = leaf([0.0])
    optimizer = assemble(only(id), [p], steps)
    points = [0.0, *(float(x[0][0]) for x in follow(optimizer, [p], [[[1.0]]] * steps))]
    assert optimizer.param_groups[0]["lr"] == lr  # between steps it is the base's own
    return -np.diff(points)


def torch_rates(steps, scheduler, lr=0.7):
    """The rates of one of torch's schedulers."""
    optimizer = torch.optim.SGD([leaf([0.0])], lr=lr)
    schedule = scheduler(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("id", "scheduler"),
    [
        ("cosine(sgd(lr=0.7))", lambda o: CosineAnnealingLR(o, 40)),
        ("cosine(sgd, floor=0.1, lr=0.7)", lambda o: CosineAnnealingLR(o, 40, eta_min=0.07)),
        ("linear_decay(sgd(lr=0.7))", lambda o: LinearLR(o, 1.0, 0.0, 40)),
        ("linear_decay(sgd(lr=0.7), floor=0.2)", lambda o: LinearLR(o, 1.0, 0.2, 40)),
        ("step_decay(sgd(lr=0.7), every=12, by=0.1)", lambda o: StepLR(o, 12, 0.1)),
        ("step_decay(sgd(lr=0.7), every=0.3, by=0.5)", lambda o: StepLR(o, 12, 0.5)),
        ("warmup(sgd(lr=0.7), steps=10)", lambda o: LinearLR(o, 0.1, 1.0, 9)),
        ("warmup(sgd(lr=0.7), steps=0.25)", lambda o: LinearLR(o, 0.1, 1.0, 9)),
    ],
)
def test_schedules_are_torchs(id, scheduler):
    """Where torch has the same schedule, the rates of 40 steps are the same to rounding."""
    np.testing.assert_allclose(rates_of(id, 40), torch_rates(40, scheduler), atol=1e-12)


def test_warmup_stable_decay_is_its_formula():
    """It rises for 5 steps, holds, and falls in the last 8 by one minus a root."""
    t = np.arange(40)
    expected = np.minimum(1, (t + 1) / 5) * (1 - np.sqrt(np.maximum(0, t - 32) / 8))
    found = rates_of("warmup_stable_decay(sgd(lr=0.7), rise=5, fall=0.2)", 40)
    np.testing.assert_allclose(found, 0.7 * expected, atol=1e-12)


def test_schedules_multiply_and_keep_a_change_of_the_rate():
    """Around each other their factors multiply, and a rate that is set is scheduled too."""
    both = rates_of("warmup(cosine(sgd(lr=0.7)), steps=10)", 40)
    each = rates_of("warmup(sgd(lr=0.7), steps=10)", 40) * rates_of("cosine(sgd(lr=0.7))", 40)
    np.testing.assert_allclose(both, each / 0.7, atol=1e-12)
    p = leaf([0.0])
    optimizer = assemble(only("lookahead(linear_decay(sgd(lr=1.0)), k=100)"), [p], 4)
    optimizer.param_groups[0]["lr"] = 8.0
    points = [x[0][0] for x in follow(optimizer, [p], [[[1.0]]] * 6)]
    assert points == [-8.0, -14.0, -18.0, -20.0, -20.0, -20.0]  # at its end it stays


def test_a_step_that_fails_leaves_the_rate():
    """The rate between steps is the base's own even if a step raises."""
    optimizer = assemble(only("cosine(sgd(lr=0.7), floor=0.5)"), [leaf([0.0])])

    def closure():
        raise KeyError

    with pytest.raises(KeyError):
        optimizer.step(closure)
    assert optimizer.param_groups[0]["lr"] == 0.7


@given(total=st.integers(1, 150), share=st.floats(0.001, 0.999), floor=st.floats(0, 1))
def test_factors_are_shares_that_rise_or_fall(total, share, floor):
    """Factors lie in [0, 1]; decays fall and warmups rise; no step before the end has rate 0."""
    steps = range(total + 1)
    falling = [
        [cosine(t, total, floor=floor) for t in steps],
        [linear_decay(t, total, floor=floor) for t in steps],
        [step_decay(t, total, every=share, by=0.5) for t in steps],
    ]
    rising = [warmup(t, total, steps=share) for t in steps]
    both = [warmup_stable_decay(t, total, rise=share, fall=1 - share) for t in steps]
    for factors in (*falling, rising, both):
        assert all(0 <= f <= 1 for f in factors)
        assert all(f > 0 for f in factors[:-1])
    assert all(a >= b for factors in falling for a, b in pairwise(factors))
    assert all(a <= b for a, b in pairwise(rising))
    assert falling[0][-1] == pytest.approx(floor)
    assert both[-1] == 0


COMPOSED = [
    "lookahead(adamw, k=3)",
    "lookahead(lookahead(sgd(momentum=0.9), k=2), k=3)",
    "ema(adam)",
    "sam(adamw, adaptive=True)",
    "sam(lookahead(heavy_ball, k=2))",
    "clip(adam, norm=0.1)",
    "clip(lbfgs)",
    "step_decay(rmsprop, every=3, by=0.5)",
    "warmup(cosine(clip(adamw, norm=1)), steps=4)",
    "ema(warmup_stable_decay(radam))",
    "lookahead(muon, k=2)",
    "clip(ema(muon))",
]


def quadratic(*parameters):
    """A loss of a vector and a matrix that ties them together."""
    x, w = parameters
    return (w @ x - 1).square().sum() + x.square().sum() / 10


@pytest.mark.parametrize("evaluating", [False, True])
@pytest.mark.parametrize("id", COMPOSED)
def test_a_run_resumes_to_the_bit(id, evaluating):
    """Loaded in the middle, training or evaluating, a copy goes on as the original does."""
    (setting,) = trials(method(id), 1)
    needs = capabilities(setting)

    def go(optimizer, parameters, steps):
        for _ in range(steps):
            for p in parameters:
                p.grad = None
            if needs.closure:
                drive(optimizer, parameters, quadratic, 1)
            else:
                quadratic(*parameters).backward()
                optimizer.step()

    start = [leaf(draw(1, 3)), leaf(draw(2, 4, 3))]
    optimizer = assemble(setting, start, 20)
    go(optimizer, start, 7)
    if evaluating:
        set_mode(optimizer, training=False)
    saved = copy.deepcopy(optimizer.state_dict())
    again = [p.detach().clone().requires_grad_() for p in start]
    other = assemble(setting, again, 20)
    other.load_state_dict(saved)
    for one in (optimizer, other):
        set_mode(one, training=True)
    go(optimizer, start, 8)
    go(other, again, 8)
    assert all(map(torch.equal, start, again))
    for one in (optimizer, other):
        set_mode(one, training=False)
    assert all(map(torch.equal, start, again))


NEUTRAL = [
    ("lookahead(adam(lr=0.01), alpha=1)", "adam(lr=0.01)"),
    ("clip(adam(lr=0.01), norm=1e9)", "adam(lr=0.01)"),
    ("clip(adam(lr=0.01), value=1e9)", "adam(lr=0.01)"),
    ("cosine(adam(lr=0.01), floor=1)", "adam(lr=0.01)"),
    ("clip(heavy_ball(lr=0.01), norm=1e9, nesterov=True)", "nesterov(lr=0.01)"),
    ("warmup(lbfgs(lr=0.01), steps=1)", "lbfgs(lr=0.01)"),
    ("step_decay(muon(lr=0.01), every=100)", "muon(lr=0.01)"),
    ("ema(lookahead(muon(lr=0.01), alpha=1))", "muon(lr=0.01)"),
]


@pytest.mark.parametrize(("id", "base"), NEUTRAL)
def test_options_without_effect_give_the_base_to_the_bit(id, base):
    """A wrapper that has nothing to do leaves every bit of a run on a vector and a matrix."""
    ends = []
    for one in (id, base):
        parameters = [leaf(draw(1, 3)), leaf(draw(2, 4, 3))]
        drive(assemble(only(one), parameters, 90), parameters, quadratic, 12)
        ends.append(parameters)
    assert all(map(torch.equal, *ends))


def test_what_steps_beside_a_method_for_matrices_is_wrapped_too():
    """Lookahead with k = 1 halves the way of Muon's matrix and of its companion's vector."""
    ways = []
    for id in ("lookahead(muon(lr=0.01), k=1, alpha=0.5)", "muon(lr=0.01)"):
        start = draw(1, 3), draw(2, 4, 3)
        parameters = [leaf(x) for x in start]
        follow(assemble(only(id), parameters), parameters, [[draw(3, 3), draw(4, 4, 3)]])
        ways.append([p.detach().numpy() - x for p, x in zip(parameters, start, strict=True)])
    for half, whole in zip(*ways, strict=True):
        assert np.abs(whole).min() > 0
        np.testing.assert_allclose(2 * half, whole, atol=1e-12)


DEMANDS = [
    ("lookahead(lbfgs)", Capabilities(closure=True)),
    ("cosine(sam(adam))", Capabilities(closure=True)),
    ("clip(sparseadam)", Capabilities(sparse_only=True)),
    ("ema(lookahead(sparseadam))", Capabilities(sparse_only=True, modes=True)),
    ("lookahead(ema(sgd))", Capabilities(modes=True)),
    ("cosine(muon)", Capabilities(matrix_only=True, layout=Layout.SPLIT)),
    ("sam(clip(muon))", Capabilities(closure=True, matrix_only=True, layout=Layout.SPLIT)),
    ("clip(bases.py:Slope)", Capabilities(graph=True)),
    ("warmup(lookahead(bases.py:Slope))", Capabilities(graph=True)),
]


@pytest.mark.parametrize(("id", "demands"), DEMANDS)
def test_demands_are_those_of_the_base(bases, id, demands):
    """What a base demands its wrapper demands, and what it demands itself beside that."""
    assert capabilities(method(id)) == demands


@pytest.mark.slow
def test_levels():
    """Wrappers stack as far as their formula and their base do."""
    expected = {
        **dict.fromkeys(SCHEDULES, Level.ELEMENTWISE),
        "lookahead(adamw)": Level.ELEMENTWISE,
        "ema(adam)": Level.ELEMENTWISE,
        "clip(sgd, value=1)": Level.ELEMENTWISE,
        "warmup(cosine(lookahead(ema(sgd))))": Level.ELEMENTWISE,
        "lookahead(adafactor)": Level.TENSORWISE,
        "clip(sgd, norm=1)": Level.GLOBAL,
        "warmup(cosine(clip(adamw, norm=1)))": Level.GLOBAL,
        "sam(sgd)": Level.ALONE,
    }
    assert {id: probe(method(id)) for id in expected} == expected
    shapes = ((3,), (4, 3))
    assert probe(method("lookahead(muon)"), shapes) is probe(method("muon"), shapes)
    assert probe(method("clip(muon)"), shapes) is Level.GLOBAL


@pytest.mark.slow
def test_grids_agree_with_the_plain_loop():
    """Stacked runs of wrappers on two formulas are those of `solve`, bit for bit."""
    ids = ["lookahead(adamw)", "ema(adam)", "clip(sgd, norm=1)", "sam(sgd, rho=0.1)"]
    ids += ["cosine(heavy_ball)", "warmup(cosine(clip(adamw, norm=1)), steps=9)"]
    choices = tuple(Choice(id, s.values) for id in ids for s in trials(method(id), 5)[2:4])
    task = Task(("himmelblau", "rosenbrock(dim=4)"), choices, (0, 1), 30, "float64", audit=40)
    frame, found, remarks = run(task)
    assert frame.height == task.size == 48
    assert found.audited == found.agreed >= 20
    assert found.standard == "bit-identical"
    assert not remarks
    assert set(frame["reason"]) == {""}


def test_the_last_loss_is_that_of_the_average():
    """`solve` ends an averaged run at its solution, and goes there as the base does."""
    average = solve(problem("himmelblau"), only("ema(sgd(lr=0.01), decay=1)"), steps=30)
    plain = solve(problem("himmelblau"), only("sgd(lr=0.01)"), steps=30)
    assert average.trace[:-1] == plain.trace[:-1]
    assert average.final != plain.final


READ = [
    *WRAPPERS,
    "lookahead(adamw, k=3)",
    "lookahead(lookahead(adamw(weight_decay=tune)), alpha=tune(0.1, 0.9))",
    "sam(sgd(momentum=0.9), rho=tune(0.01, 1), adaptive=True)",
    "warmup(cosine(clip(adamw, norm=tune(0.1, 10))), steps=tune(0.01, 0.5))",
    "clip(heavy_ball, momentum=0.5)",
    "step_decay(base=adam, lr=tune(0.01, 1))",
    "ema(muon, weight_decay=tune)",
]


@pytest.mark.parametrize("id", READ)
def test_settings_read_back(id):
    """A setting's name is a method without knobs, with the same constructor and values."""
    made = method(id)
    for setting in trials(made, 5):
        again = only(setting.name)
        assert again.name == setting.name
        assert again.method.knobs == ()
        assert again.hyper == setting.hyper
        assert again.method.build is made.build
    assert made.name == id
    rebuilt = Choice(made.name, setting.values).setting()  # as a worker process does
    assert rebuilt == setting


@pytest.mark.parametrize("id", ["lookahead(adamw, lr=0.02)", "warmup(lookahead(adamw), lr=0.02)"])
def test_a_rate_beside_the_base_is_the_bases(id):
    """`lookahead(adamw, lr=...)` builds what `lookahead(adamw(lr=...))` does."""
    inside = id.replace(", lr=0.02", "").replace("adamw", "adamw(lr=0.02)")
    ends = []
    for one in (
        only(id),
        only(inside),
        Setting(method(id.replace(", lr=0.02", "")), (("lr", 0.02),)),
    ):
        p = leaf(draw(1, 4))
        follow(assemble(one, [p]), [p], draw(2, 12, 1, 4))
        ends.append(p)
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[0], ends[2])


def test_knobs_and_defaults_are_the_bases():
    """One trial is the base's own default, however deep, and fixed values become defaults."""
    for base in ("adamw", "sgd", "lbfgs", "adadelta", "muon"):
        wrapped = method(f"warmup(lookahead({base}))")
        assert wrapped.knobs == method(base).knobs == (LEARNING_RATE,)
        assert trials(wrapped, 1)[0].values == trials(method(base), 1)[0].values
    nested = method("clip(lookahead(heavy_ball(lr=0.3)))")
    assert nested.knobs == ()
    assert default(nested, LEARNING_RATE) == 0.3
    assert hyperparameters(nested.build)["momentum"].default == 0.9
    assert inspect.unwrap(nested.build) is torch.optim.SGD


def test_rules_fill_what_a_base_requires(bases):
    """The length of the run reaches a base within wrappers."""
    p = leaf([0.0])
    optimizer = assemble(only("cosine(lookahead(bases.py:Planner(lr=1.0)))"), [p], 8)
    assert optimizer.param_groups[0]["lr"] == 0.125
    assert "num_iterations" not in hyperparameters(method("ema(bases.py:Planner)").build)


@pytest.mark.parametrize("name", WRAPPERS)
def test_every_wrapper_is_a_method_by_its_name(name):
    """All have a base by default, a paper, a summary and tags."""
    made = method(name)
    assert made.name == name
    assert made.knobs == (LEARNING_RATE,)
    assert "arXiv" in made.source or "doi" in made.source
    assert methods[name].summary.endswith(".")
    assert methods[name].tags == {"wrapper", *(["schedule"] if name in SCHEDULES else [])}


WRONG = [
    ("lookahead(adamm)", UnknownName, "did you mean `adam`"),
    ("cosine(5)", BadValue, "`cosine` wraps a method, not 5; write `cosine(adamw)`"),
    ("cosine((adamw, sgd))", BadValue, "not (adamw, sgd)"),
    ("lookahead(adamw, 5)", BadValue, "`lookahead` takes base, k, alpha"),
    ("lookahead(adamw, kk=3)", BadValue, "did you mean `k`? (`lookahead` takes k=5, alpha=0.5)"),
    ("lookahead(adamw, lrr=3)", BadValue, "did you mean `lr`?"),
    ("lookahead(adamw, lr=-1)", BadValue, "try the default, lr=0.001"),
    ("lookahead(adamw(lr=0.1), lr=0.2)", BadValue, "gives `lr` twice; keep one of them"),
    ("warmup(lookahead(adamw(lr=0.1)), lr=1)", BadValue, "gives `lr` twice"),
    ("sam(adadelta(rho=tune))", BadValue, "two knobs `rho`"),
    ("lookahead(k=0)", BadValue, "`lookahead(adamw, k=0)`: `k` must be a whole number from 1 up"),
    ("lookahead(k=tune(1, 9))", BadValue, "`k` is no continuous number; give it a value"),
    ("lookahead(alpha=1.5)", BadValue, "`alpha` must be above 0 and at most 1, not 1.5; try 0.5"),
    ("clip(sgd, norm=-1)", BadValue, "`clip(sgd, norm=-1)`: `norm` must be above 0, not -1"),
    ("clip(sgd, norm=1, value=2)", BadValue, "cannot both be given"),
    ("sam(sgd, rho=0)", BadValue, "`rho` must be above 0, not 0; try 0.05"),
    ("sam(bases.py:Slope)", Mismatch, "wrap a first-order method"),
    ("ema(adam, decay=2)", BadValue, "`decay` must be from 0 to 1, not 2; try 0.99"),
    ("cosine(adamw, floor=-0.1)", BadValue, "`floor` must be from 0 to 1, not -0.1; try 0.0"),
    ("step_decay(sgd, by=0)", BadValue, "`by` must be above 0 and at most 1, not 0; try 0.1"),
    ("step_decay(sgd, every=inf)", BadValue, "or a share of the run between 0 and 1, not inf"),
    ("warmup(muon, steps=0)", BadValue, "`steps` must be a number of steps"),
    ("cosine(bases.py:Rateless)", BadValue, "wrap a method that takes `lr`"),
    ("warmup(lookahead(bases.py:Rateless))", BadValue, "wrap a method that takes `lr`"),
]


@pytest.mark.parametrize(("id", "kind", "remedy"), WRONG)
def test_wrong_input_is_answered_with_a_remedy(bases, id, kind, remedy):
    """Each mistake is met by one sentence that names it in backticks and says the remedy."""
    with pytest.raises(kind) as caught:
        method(id)
    message = str(caught.value)
    assert remedy in message
    assert "`" in message
    assert "\n" not in message
    assert ". " not in message
    assert not message.endswith(".")
