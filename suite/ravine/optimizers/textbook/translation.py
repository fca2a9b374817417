"""From the hyperparameters of a torch optimizer to the textbook's rule that it follows.

Each function below takes what a class of `torch.optim` takes, under torch's names and with
torch's defaults, and says in its docstring where torch differs from the paper.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ravine.errors import BadValue, unknown
from ravine.optimizers.textbook import adaptive, first_order, matrix, moments, second_order
from ravine.optimizers.textbook.rule import Array, Rule

SWITCHES = frozenset({"foreach", "fused", "capturable", "differentiable"})
"""What decides how torch computes, not what."""

Betas = tuple[float, float]


def translate(name: str, **hyper: Any) -> Rule:
    """Find the textbook's rule that a torch optimizer follows with these hyperparameters.

    `maximize` negates the gradient.  Coupled weight decay adds weight_decay x to the
    gradient, decoupled decay multiplies x by 1 - lr weight_decay before the rule sees it.
    SparseAdam is translated for a gradient with an entry everywhere.

    Args:
        name: a class of `torch.optim`.
        hyper: its hyperparameters; torch's defaults for the rest.

    Returns:
        The rule in float64; torch's own steps differ from it by rounding, where its
        averages and counters are float64 too.

    Raises:
        UnknownName: there is no rule for the class.
        BadValue: the class does not take a hyperparameter, or it asks for a search.

    Example:
        >>> rule = translate("SGD", lr=0.5, momentum=0.9)
        >>> x, state = rule(np.array([1.0]), None, np.array([1.0]))
        >>> rule(x, state, np.array([0.0]))[0]
        array([0.05])
    """
    build = _find(name)
    maximize = hyper.pop("maximize", False)
    accepted = inspect.signature(build).parameters
    hyper = {key: value for key, value in hyper.items() if key not in SWITCHES}
    for key in hyper:
        if key not in accepted:
            raise BadValue(
                f"`{name}` has no hyperparameter `{key}` that changes its rule; "
                f"it has {', '.join(accepted)}"
            )
    rule = build(**hyper)
    return (lambda x, state, g: rule(x, state, -g)) if maximize else rule


def difference(name: str) -> str:
    """Say in a sentence where a torch optimizer differs from its paper.

    Args:
        name: a class of `torch.optim`.

    Raises:
        UnknownName: there is no rule for the class.

    Example:
        >>> difference("Adam")
        'As in algorithm 1 of the paper; AMSGrad is corrected for the start, after its maximum.'
    """
    return " ".join((inspect.getdoc(_find(name)) or "").split())


def _find(name: str) -> Callable[..., Rule]:
    if name not in TRANSLATIONS:
        raise unknown("torch optimizer", name, TRANSLATIONS, "no formula of it is in the textbook")
    return TRANSLATIONS[name]


def _coupled(rule: Rule, weight_decay: float) -> Rule:
    return lambda x, state, g: rule(x, state, g + weight_decay * x)


def _decoupled(rule: Rule, share: float) -> Rule:
    return lambda x, state, g: rule((1 - share) * x, state, g)


def _either(rule: Rule, lr: float, weight_decay: float, decoupled: bool) -> Rule:
    if decoupled:
        return _decoupled(rule, lr * weight_decay)
    return _coupled(rule, weight_decay)


def _adadelta(
    lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
) -> Rule:
    """The paper's step is multiplied by a rate, 1 by default, which the paper does not have."""
    return _coupled(partial(adaptive.adadelta, lr=lr, rho=rho, eps=eps), weight_decay)


def _adafactor(
    lr: float = 1e-2,
    beta2_decay: float = -0.8,
    eps: tuple[float | None, float] = (None, 1e-3),
    d: float = 1.0,
    weight_decay: float = 0.0,
) -> Rule:
    """No eps1 is added to g^2; it is a floor under the mean of R, and eps1^2 one under V.

    By default it is the spacing of floating-point numbers at 1.  The rate, 0.01 in the
    paper, bounds the relative step and multiplies a decoupled decay.
    """
    eps1 = np.finfo(float).eps if eps[0] is None else eps[0]
    return partial(
        matrix.adafactor,
        lr=lr,
        decay_power=beta2_decay,
        eps1=float(eps1),
        eps2=eps[1],
        clip=d,
        weight_decay=weight_decay,
        eps_inside=False,
    )


def _adagrad(
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> Rule:
    """The constant is outside the root."""

    def rule(x: Array, state: adaptive.Sum | None, g: Array) -> tuple[Array, adaptive.Sum]:
        state = state or adaptive.Sum(0, np.full_like(x, initial_accumulator_value))
        return adaptive.adagrad(x, state, g, lr, eps, lr_decay, eps_inside=False)

    return _coupled(rule, weight_decay)


def _adam(
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    decoupled_weight_decay: bool = False,
) -> Rule:
    """As in algorithm 1 of the paper; AMSGrad is corrected for the start, after its maximum."""
    rule = (
        partial(moments.amsgrad, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, corrected=True)
        if amsgrad
        else partial(moments.adam, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps)
    )
    return _either(rule, lr, weight_decay, decoupled_weight_decay)


def _adamw(
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
) -> Rule:
    """The decay is multiplied by the rate: the paper's lambda is lr weight_decay."""
    if amsgrad:
        return _adam(lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=True)
    decay = lr * weight_decay
    return partial(moments.adamw, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, decay=decay)


def _adamax(
    lr: float = 2e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0
) -> Rule:
    """A constant is added to |g| before the maximum; the paper has none."""
    rule = partial(moments.adamax, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps)
    return _coupled(rule, weight_decay)


def _asgd(
    lr: float = 1e-2,
    lambd: float = 1e-4,
    alpha: float = 0.75,
    t0: float = 1e6,
    weight_decay: float = 0.0,
) -> Rule:
    """The mean begins one step later than t0 says.

    Its weight and the rate are rounded to torch's default dtype, mostly float32, whatever
    the parameters are.
    """
    rule = partial(first_order.asgd, lr=lr, decay=lambd, power=alpha, start=t0 + 1)
    return _coupled(rule, weight_decay)


def _lbfgs(
    lr: float = 1.0,
    max_iter: int = 20,
    max_eval: int | None = None,
    tolerance_grad: float = 1e-7,
    tolerance_change: float = 1e-9,
    history_size: int = 100,
    line_search_fn: str | None = None,
) -> Rule:
    """Without a search the first step is lr min(1, 1 / |g|_1) g.

    A pair needs y's > 1e-10, below its two tolerances it stands still, and a step is up to
    `max_iter` iterations.
    """
    del max_eval, tolerance_grad, tolerance_change
    if max_iter != 1 or line_search_fn is not None:
        raise BadValue(
            "`LBFGS` is translated for one iteration a step and no line search, which need the "
            "function itself; give `max_iter=1`, and the length a search has found as `lr`"
        )
    return partial(
        second_order.lbfgs, lr=lr, history=history_size, curvature=1e-10, short_start=True
    )


def _muon(
    lr: float = 1e-3,
    weight_decay: float = 0.1,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    eps: float = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> Rule:
    """The momentum is an average, (1 - mu) times the published sum.

    The iteration forgets the factor, but for eps, which is a floor under the norm.  It runs
    in bfloat16, to 8 bits.
    """
    step = partial(
        matrix.muon,
        mu=momentum,
        nesterov=nesterov,
        steps=ns_steps,
        coefficients=ns_coefficients,
        eps=eps / (1 - momentum),
        eps_floor=True,
    )

    def rule(
        x: matrix.Matrix, state: first_order.Velocity | None, g: matrix.Matrix
    ) -> tuple[matrix.Matrix, first_order.Velocity]:
        rows, columns = x.shape
        adjusted = adjust_lr_fn == "match_rms_adamw"
        factor = 0.2 * max(rows, columns) ** 0.5 if adjusted else max(1.0, rows / columns) ** 0.5
        return step(x, state, g, lr * factor)

    return _decoupled(rule, lr * weight_decay)


def _nadam(
    lr: float = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> Rule:
    """The gradient is averaged with beta1 instead of mu_t.

    The product of the mu_t is rounded to torch's default dtype, mostly float32, whatever
    the parameters are.
    """
    rule = partial(
        moments.nadam,
        lr=lr,
        beta1=betas[0],
        beta2=betas[1],
        eps=eps,
        psi=momentum_decay,
        scheduled=False,
    )
    return _either(rule, lr, weight_decay, decoupled_weight_decay)


def _radam(
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> Rule:
    """It adapts above n_t = 5 where the paper says 4, and adds eps to sqrt(v)."""
    rule = partial(moments.radam, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, tractable=5.0)
    return _either(rule, lr, weight_decay, decoupled_weight_decay)


def _rmsprop(
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> Rule:
    """The constant is outside the root, also in the centered form."""
    rule = partial(
        adaptive.rmsprop,
        lr=lr,
        gamma=alpha,
        eps=eps,
        momentum=momentum,
        centered=centered,
        eps_inside=False,
    )
    return _coupled(rule, weight_decay)


def _rprop(lr: float = 1e-2, etas: Betas = (0.5, 1.2), step_sizes: Betas = (1e-6, 50.0)) -> Rule:
    """It is iRprop- of 2000, not the Rprop of 1993, which also takes a step back."""
    (shrink, grow), (smallest, largest) = etas, step_sizes
    return partial(
        first_order.rprop, lr=lr, shrink=shrink, grow=grow, smallest=smallest, largest=largest
    )


def _sgd(
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> Rule:
    """The rate is outside the momentum buffer.

    Dampening, which no paper has, spares the first step, and Nesterov's momentum is at the
    point looked ahead to.
    """
    rule: Rule = (
        partial(first_order.nesterov, lr=lr, gamma=momentum, rate_outside=True)
        if nesterov
        else partial(
            first_order.momentum, lr=lr, gamma=momentum, dampening=dampening, rate_outside=True
        )
    )
    if not momentum:  # then torch has no buffer, and forgets the dampening
        rule = partial(first_order.gradient_descent, lr=lr)
    return _coupled(rule, weight_decay)


def _sparse_adam(lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8) -> Rule:
    """It changes only what the gradient has entries for, and eps is the paper's eps-hat."""

    def rule(x: Array, state: moments.Moments | None, g: Array) -> tuple[Array, moments.Moments]:
        return moments.lazy_adam(x, state, g, np.full(x.shape, True), lr, *betas, eps)

    return rule


TRANSLATIONS: dict[str, Callable[..., Rule]] = {
    "ASGD": _asgd,
    "Adadelta": _adadelta,
    "Adafactor": _adafactor,
    "Adagrad": _adagrad,
    "Adam": _adam,
    "AdamW": _adamw,
    "Adamax": _adamax,
    "LBFGS": _lbfgs,
    "Muon": _muon,
    "NAdam": _nadam,
    "RAdam": _radam,
    "RMSprop": _rmsprop,
    "Rprop": _rprop,
    "SGD": _sgd,
    "SparseAdam": _sparse_adam,
}
"""By the name of the class."""
