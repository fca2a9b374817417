"""Invariance cards against what is known of the methods, and when each known truth breaks."""

import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.optimizers import Method, Setting, method, trials
from ravine.optimizers.capabilities import undisturbed
from ravine.optimizers.changes import as_matrix, as_vector, changes, line_changes
from ravine.optimizers.invariance import (
    EXACT,
    NEARLY,
    Property,
    Verdict,
    invariance,
    judge,
    said,
)
from ravine.optimizers.trajectories import (
    DIM,
    Start,
    View,
    descend,
    deviation,
    ground,
    orthogonal,
)

P, V = Property, Verdict
LION = f"{Path(__file__).parents[2] / 'lion.py'}:Lion"
GEOMETRY = (P.PERMUTATION, P.SIGN_FLIPS, P.ROTATION, P.LINE_PERMUTATION, P.LINE_ROTATION)
ALWAYS = (P.LOSS_SHIFT, P.SEED, P.REPETITION)


def verdicts(id):
    """The whole card."""
    card = invariance(method(id) if isinstance(id, str) else id)
    assert not card.reason
    return {finding.property: finding.verdict for finding in card.findings}


def verdict(id, asked):
    """One property, as the card judges it."""
    home = (as_matrix if "muon" in id else as_vector)(torch.float64)
    views = dict(changes(home))[asked]
    apart = {v: max(deviation(run(id, home, n), run(id, v, n)) for n in (0, 1)) for v in views}
    return judge(asked, apart).verdict


@cache
def run(id, view, start=0, steps=20):
    with undisturbed():
        return descend(trials(method(id), 1)[0], ground().starts[start], view, steps)


def stepping(name, rule):
    """A method whose step is one function of a parameter and its state."""

    class Rule(torch.optim.Optimizer):
        def __init__(self, params, lr=0.01):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    rule(p, group["lr"], self.state[p])

    return Method(name, Rule)


class Polyak(torch.optim.Optimizer):
    """The step with which the linear model reaches a loss of 0."""

    def __init__(self, params):
        super().__init__(params, {})

    def step(self, closure):  # noqa: D102
        loss = closure()
        (x,) = self.param_groups[0]["params"]
        with torch.no_grad():
            x -= loss / x.grad.square().sum() * x.grad
        return loss


def noisy(p, lr, state):
    p.add_(torch.randn_like(p) * 0.1 - p.grad, alpha=lr)


NOISE = torch.Generator().manual_seed(0)


def unrepeatable(p, lr, state):
    p.add_(torch.randn(p.shape, generator=NOISE, dtype=p.dtype) * 0.1 - p.grad, alpha=lr)


def vectors_only(p, lr, state):
    if p.dim() > 1:
        raise ValueError("a vector, please.")
    p.add_(p.grad, alpha=-lr)


# what is known


def test_gradient_descent_knows_no_axes():
    """A sum of gradients turns with the coordinates; a scaled loss scales the rate."""
    found = verdicts("sgd")
    assert all(found[p] is V.YES for p in (*GEOMETRY, *ALWAYS, P.TRANSLATION, P.SHAPE, P.SPLIT))
    assert found[P.LOSS_SCALE] is found[P.COORDINATE_SCALE] is V.NO


@pytest.mark.parametrize("name", ["heavy_ball", "nesterov"])
def test_momentum_knows_no_axes(name):
    """A sum of earlier gradients is no more tied to the axes than the last."""
    assert verdict(name, P.ROTATION) is V.YES
    assert verdict(name, P.LOSS_SCALE) is V.NO


def test_adam_knows_its_axes():
    """Each coordinate is divided by its own history: no rotation, but any order and sign."""
    found = verdicts("adam")
    kept = (P.PERMUTATION, P.SIGN_FLIPS, P.LINE_PERMUTATION, P.TRANSLATION, P.SHAPE, P.SPLIT)
    assert all(found[p] is V.YES for p in (*kept, *ALWAYS))
    broken = (P.ROTATION, P.LINE_ROTATION, P.COORDINATE_SCALE)
    assert all(found[p] is V.NO for p in broken)
    assert found[P.LOSS_SCALE] is V.NEARLY


@pytest.mark.parametrize("name", ["adamax", "nadam", "rmsprop", "adagrad", "rprop", LION])
def test_elementwise_methods_know_their_axes(name):
    """What is done to each coordinate alone follows its sign, not a rotation or its unit."""
    assert verdict(name, P.SIGN_FLIPS) is V.YES
    assert verdict(name, P.ROTATION) is verdict(name, P.COORDINATE_SCALE) is V.NO


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adamax", V.NEARLY),
        ("nadam", V.NEARLY),
        ("rmsprop", V.NEARLY),
        ("adagrad", V.NEARLY),
        ("adam(eps=0)", V.YES),  # nothing but eps breaks it
        ("adadelta", V.NO),  # eps = 1e-6 is added to squares, which are smaller than that
        ("radam", V.NO),  # its first five steps are plain momentum
        ("rprop", V.YES),  # signs have no scale
        (LION, V.YES),
    ],
)
def test_who_knows_the_unit_of_the_loss(name, expected):
    """A quotient of gradients has no unit, but for the epsilon that guards it."""
    assert verdict(name, P.LOSS_SCALE) is expected


def test_sparse_adam_is_adam():
    """Gradients without zeros, stored sparsely, make no other card."""
    assert verdicts("sparseadam") == verdicts("adam")


def test_epsilon_shows_by_its_size():
    """A thousand times the epsilon is a thousand times the deviation, as long as both are small."""
    shrunk = View(factor=1 / 128)
    small, large = (
        deviation(*(run(f"adam(eps={eps})", view) for view in (View(), shrunk)))
        for eps in (1e-10, 1e-7)
    )
    assert large / small == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("name", ["adamw", "radamw", "asgd", "sgd(weight_decay=0.001)", "muon"])
def test_decay_has_an_origin(name):
    """Weights that decay decay towards zero, so it matters where zero is."""
    assert verdict(name, P.TRANSLATION) is V.NO


@pytest.mark.parametrize(
    "name", ["adamw(weight_decay=0)", "muon(weight_decay=0)", "asgd(lambd=0.0)"]
)
def test_no_decay_no_origin(name):
    """Without its decay, a method does not care where zero is."""
    assert verdict(name, P.TRANSLATION) is V.YES


def test_muon_sees_a_matrix():
    """Orthogonalising turns with rows and columns, to bfloat16's three digits, and not with all."""
    found = verdicts("muon")
    assert found[P.LINE_PERMUTATION] is V.YES
    assert found[P.LINE_ROTATION] is V.NEARLY
    assert found[P.LOSS_SCALE] is V.YES  # the gradient is divided by its norm
    broken = (P.PERMUTATION, P.SIGN_FLIPS, P.ROTATION, P.COORDINATE_SCALE, P.SHAPE, P.SPLIT)
    assert all(found[p] is V.NO for p in broken)


def test_adafactor_sees_a_matrix():
    """It averages over rows and columns, and its step is a share of the tensor's own size."""
    found = verdicts("adafactor")
    assert found[P.PERMUTATION] is found[P.SIGN_FLIPS] is found[P.LINE_PERMUTATION] is V.YES
    assert found[P.LOSS_SCALE] is V.YES
    assert found[P.SHAPE] is found[P.SPLIT] is found[P.TRANSLATION] is found[P.ROTATION] is V.NO


@pytest.mark.parametrize("name", ["lbfgs", "lbfgs_strong_wolfe"])
def test_lbfgs_knows_axes_by_its_first_step(name):
    """The first step of torch's has length |g|_2 / |g|_1, and a rotation changes the 1-norm."""
    assert verdict(name, P.ROTATION) is V.NO
    kept = (P.PERMUTATION, P.SIGN_FLIPS, P.TRANSLATION, P.LOSS_SHIFT, P.SHAPE, P.SPLIT)
    assert {p for p in kept if verdict(name, p) is not V.YES} == set()


@pytest.mark.parametrize("name", ["lbfgs", "lbfgs_strong_wolfe"])
def test_lbfgs_from_a_gentle_slope_knows_none(name):
    """Where |g|_1 <= 1 the first step is lr g, and the whole method turns with the coordinates."""
    turn = orthogonal(DIM, torch.Generator().manual_seed(3))
    plain = run(name, View(factor=2.0**-7))
    turned = run(name, View(factor=2.0**-7, linear=turn))
    assert plain.travelled > 0.1
    assert deviation(plain, turned) < 1e-9


@pytest.mark.parametrize("name", ["lbfgs", "lbfgs_strong_wolfe"])
def test_lbfgs_from_a_steep_slope_knows_no_scale(name):
    """Where |g|_1 >= 1 a larger loss changes neither the first step nor the curvature's ratios."""
    apart = deviation(run(name, View()), run(name, View(factor=2.0**7)))
    assert apart < NEARLY


def test_newton_knows_no_units():
    """H^-1 g transforms as the coordinates do, whatever their units."""
    found = verdicts("newton")
    others = (P.COORDINATE_SCALE, P.LOSS_SCALE, P.TRANSLATION, P.SHAPE, P.SPLIT)
    assert {p for p in (*GEOMETRY, *ALWAYS, *others) if found[p] is not V.YES} == set()


def test_polyak_steps_know_the_lowest_loss():
    """A step of f / |g|^2 scales as the loss, turns with the coordinates, and counts from zero."""
    found = verdicts(Method("polyak", Polyak, knobs=()))
    assert found[P.LOSS_SHIFT] is V.NO
    assert found[P.ROTATION] is found[P.LOSS_SCALE] is found[P.TRANSLATION] is V.YES
    assert found[P.COORDINATE_SCALE] is V.NO
    assert found[P.SPLIT] is V.FAILS  # it unpacks one parameter


# chance


def test_random_steps_are_judged_against_another_seed():
    """What the same draws leave is kept; what noise may have changed cannot be told."""
    found = verdicts(stepping("noisy", noisy))
    assert found[P.SEED] is V.NO
    assert found[P.REPETITION] is found[P.LOSS_SHIFT] is found[P.TRANSLATION] is V.YES
    assert found[P.PERMUTATION] is found[P.ROTATION] is V.UNKNOWN
    assert found[P.LOSS_SCALE] is V.NO  # no seed changes as much


def test_a_generator_that_goes_on():
    """Draws that no seed brings back are seen by running again."""
    card = invariance(stepping("unrepeatable", unrepeatable))
    assert card[P.REPETITION].verdict is card[P.SEED].verdict is V.NO


@pytest.mark.parametrize(
    ("measured", "noise", "expected"),
    [
        ((0.0,), 0.0, V.YES),
        ((EXACT[torch.float64],), 0.0, V.YES),
        ((2 * EXACT[torch.float64],), 0.0, V.NEARLY),
        ((NEARLY, 0.0), 0.0, V.NEARLY),
        ((1.1 * NEARLY, 0.0), 0.0, V.NO),
        ((float("inf"),), 0.0, V.NO),
        ((1.0,), 0.1, V.UNKNOWN),
        ((1.0,), 0.09, V.NO),
        ((NEARLY,), 1.0, V.NEARLY),
        ((0.0, "ValueError"), 0.0, V.FAILS),
        ((1.0, "ValueError"), 0.0, V.NO),
    ],
)
def test_verdicts(measured, noise, expected):
    """The largest deviation counts, noise excuses what is large, and an error what is small."""
    views = {View(str(index)): found for index, found in enumerate(measured)}
    assert judge(P.SHAPE, views, noise).verdict is expected


def test_bits_are_bits():
    """Where the same bits are asked for, the smallest difference is one."""
    assert judge(P.SEED, {View(): 1e-16}, bits=True).verdict is V.NO


# methods that make it difficult


def test_failing_on_a_view_is_a_finding():
    """A method that takes vectors only has a card, and says why matrices fail."""
    card = invariance(stepping("vectors_only", vectors_only))
    failing = {f.property: f.reason for f in card.findings if f.verdict is V.FAILS}
    assert set(failing) == {P.SHAPE, P.LINE_PERMUTATION, P.LINE_ROTATION}
    assert set(failing.values()) == {"ValueError: a vector, please"}
    assert card[P.ROTATION].verdict is V.YES
    assert said(card)["shape"] == "fails (4 x 3): ValueError: a vector, please"


def test_single_precision_only():
    """What takes no doubles is measured in floats, with what these can tell."""

    def floats(p, lr, state):
        if p.dtype is not torch.float32:
            raise TypeError("floats only")
        p.add_(p.grad, alpha=-lr)

    card = invariance(stepping("floats", floats))
    assert card[P.ROTATION].verdict is V.YES
    assert card[P.ROTATION].deviation > 1e-9
    assert any("single precision" in note for note in card.notes)


def test_doubles_for_vectors_only():
    """What takes no matrix of doubles is given floats there, and the finding says so."""

    def narrow(p, lr, state):
        if p.dim() > 1 and p.dtype is torch.float64:
            raise TypeError("no matrix of doubles")
        p.add_(p.grad.sign(), alpha=-lr)

    card = invariance(stepping("narrow", narrow))
    assert str(card[P.LINE_ROTATION]) == "no (in single precision)"
    assert card[P.LINE_PERMUTATION].verdict is V.YES


def test_the_solution_counts():
    """What a method with modes makes of its parameters at the end is part of the run."""

    class Reporting(torch.optim.SGD):
        def train(self):
            self.final = False

        def eval(self):
            with torch.no_grad():
                self.param_groups[0]["params"][0].flatten()[0] += 1.0

    found = verdicts(Method("reporting", Reporting))
    assert found[P.SIGN_FLIPS] is V.YES  # the first sign stays
    assert found[P.PERMUTATION] is V.NO


@pytest.mark.parametrize("rate", [3.0, 1000.0])
def test_a_diverging_rate_is_reduced(rate):
    """The card of a rate that diverges is that of one that does not, and says of which."""
    card = invariance(method(f"sgd(lr={rate})"))
    assert card[P.ROTATION].verdict is V.YES
    assert card.setting != f"sgd(lr={rate})"
    assert f"`sgd(lr={rate})` diverges" in said(card)["notes"]


def test_hopeless_methods_have_a_reason():
    """A method that runs away at any rate, never moves, or cannot step says so."""

    def explode(p, lr, state):
        p.mul_(1e30)

    def stay(p, lr, state):
        state["steps"] = state.get("steps", 0) + 1
        p.add_(p.grad, alpha=-lr if p.dtype is torch.float32 else 0.0)

    def refuse(p, lr, state):
        raise RuntimeError("no")

    reasons = [
        said(invariance(stepping(name, rule)))
        for name, rule in (("explode", explode), ("stay", stay), ("refuse", refuse))
    ]
    assert reasons == [
        {"reason": "it diverges"},
        {"reason": "it does not move"},
        {"reason": "RuntimeError: no"},
    ]


def test_slow_methods_are_given_time():
    """A method that hardly moves runs four times as long."""
    card = invariance(method("sgd(lr=4e-5)"))
    assert card.steps == 80
    assert card.travelled > 1e-3
    assert said(card)["notes"] == "measured over 80 steps, for in 20 it hardly moves"


def test_standstill_is_noted(monkeypatch):
    """A card of a method that comes nowhere says how far."""
    monkeypatch.setattr("ravine.optimizers.invariance.LONGEST", 20)
    card = invariance(method("sgd(lr=1e-7)"))
    assert card[P.ROTATION].verdict is V.YES
    assert said(card)["notes"] == f"it goes {card.travelled:.0e} of the way to the minimum"
    assert 1e-7 < card.travelled < 1e-5


def test_measuring_leaves_no_trace():
    """Generators, gradient mode and warnings are as before."""

    def messy(p, lr, state):
        torch.rand(3), np.random.rand()  # noqa: NPY002
        warnings.warn("I am noisy", stacklevel=1)
        p.add_(p.grad, alpha=-lr)

    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    subject = stepping("messy", messy)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        invariance(subject)
    assert not heard
    assert torch.is_grad_enabled()
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_measured_once():
    """The card of a method is that of its default setting, and is kept."""
    subject = method("sgd")
    assert invariance(subject) is invariance(trials(subject, 1)[0])
    assert invariance(subject) is not invariance(Setting(subject, (("lr", 0.01),)))


# the ground


def test_the_function_is_what_it_says():
    """Gradients are M^T (w sinh r); 0 at the minimizer, whatever the weights; convex."""
    place = ground()
    for start in place.starts:
        x = start.point.clone().requires_grad_()
        weights = start.weights[1]
        residuals = place.mixing @ (start.point - place.minimizer)
        (slope,) = torch.autograd.grad(place.loss(x, weights), x)
        torch.testing.assert_close(slope, place.mixing.T @ (weights * residuals.sinh()))
        assert place.loss(place.minimizer, weights) == 0
        hessian = torch.autograd.functional.hessian(lambda y, w=weights: place.loss(y, w), x)
        assert torch.linalg.eigvalsh(hessian).min() > 0


def test_a_run_is_the_plain_loop():
    """SGD on a matrix of floats, seen from elsewhere, is what NumPy makes of it."""
    draw = torch.Generator().manual_seed(4)
    view = replace(
        as_matrix(torch.float64),
        linear=torch.randn(DIM, DIM, generator=draw, dtype=torch.float64),
        offset=torch.ones(DIM, dtype=torch.float64),
        factor=3.0,
        shift=5.0,
    )
    found = run("sgd(lr=0.001)", view, 1, 4).points.numpy()
    place, start = ground(), ground().starts[1]
    mixing, linear = place.mixing.numpy(), view.linear.numpy()
    x = start.point.numpy()
    for step in range(4):
        np.testing.assert_allclose(found[step], x, rtol=1e-9)
        residuals = mixing @ (x - place.minimizer.numpy())
        slope = 3.0 * mixing.T @ (start.weights[step].numpy() * np.sinh(residuals))
        x = x - 0.001 * linear @ linear.T @ slope
    np.testing.assert_allclose(found[4], x, rtol=1e-9)


@given(seed=st.integers(0, 10_000))
def test_any_rotation_leaves_gradient_descent(seed):
    """No rotation is special: heavy-ball SGD turns with every one, and Adam with none."""
    view = View(linear=orthogonal(DIM, torch.Generator().manual_seed(seed)))
    for name, turns in (("heavy_ball", True), ("adam", False)):
        apart = deviation(run(name, View(), 0, 5), run(name, view, 0, 5))
        assert apart < 1e-9 if turns else apart > NEARLY


@given(seed=st.integers(0, 10_000))
def test_any_basis_leaves_newton(seed):
    """Newton's method follows every linear change of the coordinates."""
    draw = torch.Generator().manual_seed(seed)
    stretch = torch.diag(torch.linspace(0.5, 2.0, DIM, dtype=torch.float64))
    view = View(linear=orthogonal(DIM, draw) @ stretch @ orthogonal(DIM, draw))
    assert deviation(run("newton", View(), 0, 3), run("newton", view, 0, 3)) < 1e-9


def test_views_lead_there_and_back():
    """Each view's start is the start, and only a rotation or translation may round."""
    for home in (as_vector(torch.float64), as_matrix(torch.float64)):
        lines = line_changes(as_matrix(torch.float64))
        for asked, views in (*changes(home), *lines):
            for view in views:
                start = ground().starts[0].point
                back = view.there([view.here(start)])
                rounds = asked in (P.ROTATION, P.LINE_ROTATION, P.TRANSLATION)
                assert torch.allclose(back, start, rtol=0, atol=1e-13 if rounds else 0)


def test_deviation_by_hand():
    """The largest distance over the way gone by then; before the first step there is none."""

    def along(*places):
        points = torch.zeros(len(places), DIM, dtype=torch.float64)
        points[:, 0] = torch.tensor(places, dtype=torch.float64)
        return replace(run("sgd", View(), 0, 1), points=points)

    assert deviation(along(0, 1, 4), along(0, 1.5, 4.4)) == 0.5
    assert deviation(along(0, 4, 1), along(0, 4, 1.4)) == pytest.approx(0.1)
    assert deviation(along(0, 0, 1), along(0, 7, 1)) == 0
    assert deviation(along(0, 1), replace(along(0, 1), finite=False)) == float("inf")


def test_weights_begin_again():
    """A run longer than the weights goes on with the first."""
    start = ground().starts[1]
    short = Start(start.point, start.weights[:2])
    twice = Start(start.point, start.weights[[0, 1, 0, 1]])
    setting = trials(method("sgd"), 1)[0]
    first, second = (descend(setting, begin, View(), 4) for begin in (short, twice))
    assert torch.equal(first.points, second.points)
