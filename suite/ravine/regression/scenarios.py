"""The hyperparameters under which a method is looked at: its own, and each of them changed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from inspect import Parameter
from types import MappingProxyType
from typing import Any

from ravine.optimizers.base import Method, Setting
from ravine.optimizers.hyperparameters import hyperparameters, specialise
from ravine.optimizers.space import trials
from ravine.registry import Id, parse

CHANGES: Mapping[str, tuple[Mapping[str, Any], ...]] = MappingProxyType(
    {
        "weight_decay": ({"weight_decay": 0.2},),
        "decoupled_weight_decay": ({"decoupled_weight_decay": True, "weight_decay": 0.2},),
        "momentum": ({"momentum": 0.8},),
        "dampening": ({"momentum": 0.8, "dampening": 0.3},),
        "nesterov": ({"momentum": 0.8, "nesterov": True, "dampening": 0.0},),
        "betas": ({"betas": (0.7, 0.9)},),
        "beta1": ({"beta1": 0.7},),
        "beta2": ({"beta2": 0.9},),
        "eps": ({"eps": 0.01},),
        "amsgrad": ({"amsgrad": True, "betas": (0.7, 0.9)},),
        "centered": ({"centered": True},),
        "maximize": ({"maximize": True},),
        "rho": ({"rho": 0.7},),
        "alpha": ({"alpha": 0.7},),
        "lr_decay": ({"lr_decay": 0.1},),
        "initial_accumulator_value": ({"initial_accumulator_value": 0.1},),
        "momentum_decay": ({"momentum_decay": 0.05},),
        "lambd": ({"lambd": 0.05},),
        "t0": ({"t0": 5.0},),
        "etas": ({"etas": (0.4, 1.4)},),
        "step_sizes": ({"step_sizes": (0.001, 0.05)},),
        "beta2_decay": ({"beta2_decay": -0.5},),
        "d": ({"d": 1.2},),
        "ns_steps": ({"ns_steps": 3},),
        "history_size": ({"history_size": 2},),
    }
)
"""By the name of a hyperparameter, what it is changed to, with what it needs beside."""

STEEPER = 10.0
"""Factor of the rate in a scenario of its own."""


def scenarios(method: Method) -> tuple[dict[str, Any], ...]:
    """Choose the hyperparameters under which a method is looked at.

    Its own; its rate ten times as high; then each hyperparameter that it has changed alone,
    at its own rate.

    Args:
        method: the method; what it fixes stays fixed.

    Returns:
        Keywords that differ from the method's own, the first none.

    Example:
        >>> from ravine.optimizers import method
        >>> scenarios(method("adagrad"))[:3]
        ({}, {'lr': 0.1}, {'lr_decay': 0.1})
    """
    accepted = hyperparameters(method.build)
    rate = [{"lr": STEEPER * usual}] if (usual := _rate(method, accepted)) else []
    return ({}, *rate, *_changed(method, accepted))


def _rate(method: Method, accepted: Mapping[str, Parameter]) -> float | None:
    if "lr" not in accepted:
        return None
    (setting,) = trials(method, 1)
    value = setting.hyper.get("lr", accepted["lr"].default)
    return float(value) if isinstance(value, int | float) else None


def _changed(method: Method, accepted: Mapping[str, Parameter]) -> Iterator[dict[str, Any]]:
    for name in accepted:
        for change in CHANGES.get(name, ()):
            fits = name not in method.fixed and _alike(change[name], accepted[name].default)
            if fits and all(key in accepted for key in change):
                yield {k: v for k, v in change.items() if method.fixed.get(k) != v}


def _alike(value: Any, default: Any) -> bool:
    """Whether a hyperparameter is of the kind that its name says: `eps` may be a pair."""
    if isinstance(value, tuple):
        return isinstance(default, tuple) and len(default) == len(value)
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    return isinstance(default, int | float)


def setting(method: Method, hyper: Mapping[str, Any]) -> Setting:
    """A method at some hyperparameters, at its defaults elsewhere.

    Args:
        method: the method.
        hyper: keywords; they replace what the method fixes or tunes.

    Returns:
        Its only setting.

    Raises:
        BadValue: the constructor does not take a keyword.

    Example:
        >>> from ravine.optimizers import method
        >>> setting(method("adam"), {"eps": 0.01}).hyper
        {'eps': 0.01, 'lr': 0.001}
    """
    if not hyper:
        return trials(method, 1)[0]
    id = parse(method.name)
    given = tuple({**dict(id.kwargs), **hyper}.items())
    # what a wrapper wraps is in its constructor already
    made = specialise(method, Id(id.name, (), given))
    return trials(replace(made, name=str(Id(id.name, id.args, given))), 1)[0]


def words(hyper: Mapping[str, Any]) -> str:
    """A scenario for people: `weight_decay=0.1`, or `its defaults`."""
    return ", ".join(f"{key}={value}" for key, value in hyper.items()) or "its defaults"
