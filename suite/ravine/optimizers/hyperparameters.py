"""What an optimizer's constructor takes, and how an id fixes or tunes it."""

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ravine.errors import BadValue
from ravine.optimizers.base import LEARNING_RATE, RULES, Build, Hyper, Knob, Method, Scale
from ravine.registry import Id, Value, show

TUNE = "tune"
"""The word that, as a hyperparameter's value, asks for it to be tuned."""

KNOWN = {
    knob.name: knob
    for knob in (
        LEARNING_RATE,
        Knob("weight_decay", 1e-5, 1.0),
        Knob("eps", 1e-12, 1.0),
        Knob("momentum", 0.0, 0.999, Scale.COMPLEMENT),
        Knob("beta1", 0.0, 0.999, Scale.COMPLEMENT),
        Knob("beta2", 0.5, 0.9999, Scale.COMPLEMENT),
        Knob("alpha", 0.5, 0.9999, Scale.COMPLEMENT),
        Knob("rho", 0.5, 0.9999, Scale.COMPLEMENT),
    )
}
"""Ranges of the hyperparameters whose name says what they are."""

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def hyperparameters(build: Build) -> Mapping[str, inspect.Parameter]:
    """Read which hyperparameters a constructor takes, the parameters to optimize left out.

    Where a class passes `**kwargs` on, what its parent class takes is added.  It does not
    see through a function that takes `**kwargs`.

    Args:
        build: an optimizer class, or a function that returns an optimizer.

    Returns:
        Signature parameters (with default and annotation) by name, in order.
    """
    return _signature(build)[0]


def _signature(build: Build) -> tuple[dict[str, inspect.Parameter], bool]:
    """The hyperparameters, and whether any other name is passed on too."""
    found: dict[str, inspect.Parameter] = {}
    for rank, function in enumerate(_constructors(build)):
        parameters = list(inspect.signature(function).parameters.values())
        if isinstance(build, type):
            parameters = parameters[1:]  # self
        if parameters and parameters[0].kind not in (
            inspect.Parameter.KEYWORD_ONLY,
            inspect.Parameter.VAR_KEYWORD,
        ):
            parameters = parameters[1:]  # what is optimized, whatever it is called
        for parameter in parameters:
            # what a parent requires, its child gives; `params` may come after the matrices
            given = parameter.default is parameter.empty and (rank or parameter.name == "params")
            if parameter.kind in _NAMED and not given:
                found.setdefault(parameter.name, parameter)
        if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
            return found, False
    return found, True


def _constructors(build: Build) -> list[Any]:
    if not isinstance(build, type):
        return [build]
    if build is torch.optim.Optimizer:
        return [build.__init__]
    own = [base for base in build.__mro__ if "__init__" in vars(base)]
    return [vars(b)["__init__"] for b in own[: own.index(torch.optim.Optimizer)]]


def template(
    name: str, build: Build, fixed: Hyper | None = None, source: str | None = None
) -> Method:
    """Make a method of a constructor: the learning rate is tuned if there is one.

    Args:
        name: the name in the registry, or the reference to the constructor.
        build: the constructor.
        fixed: hyperparameters that differ from the constructor's defaults.
        source: paper or module; the constructor's own place if None.
    """
    fixed = fixed or {}
    tuned = "lr" in hyperparameters(build) and "lr" not in fixed
    place = f"{build.__module__}.{getattr(build, '__qualname__', name)}"
    return Method(name, build, (LEARNING_RATE,) if tuned else (), fixed, source or place)


def specialise(method: Method, id: Id) -> Method:
    """Fix the hyperparameters that an id gives, and tune those that it asks to tune.

    A hyperparameter with a value is no longer tuned.  `tune` stands for the range that
    the name is known by, `tune(low, high)` for one log-spaced, and
    `tune(low, high, scale=linear)` for one spaced otherwise.

    Args:
        method: what the id's name stands for.
        id: the name with hyperparameters.

    Returns:
        The method under the id as its name.

    Raises:
        BadValue: a hyperparameter is unknown, missing, or cannot be tuned.
    """
    accepted, open_ended = _signature(method.build)
    if id.args:
        raise BadValue(
            f"`{id}`: hyperparameters are given by name; "
            f"write `{Id(id.name, (), tuple(zip(accepted, id.args, strict=False)))}`"
        )
    fixed = dict(method.fixed)
    knobs = {knob.name: knob for knob in method.knobs}
    for key, value in id.kwargs:
        if key not in accepted and not open_ended:
            raise _unknown(key, id, accepted)
        if _asks_to_tune(value):
            knobs[key] = _knob(key, value, accepted.get(key), id)
            fixed.pop(key, None)
        else:
            if isinstance(value, tuple) and any(map(_asks_to_tune, value)):
                raise BadValue(
                    f"`{id}`: only a whole hyperparameter can be tuned, `{key}` is a tuple; "
                    f"give it numbers"
                )
            fixed[key] = value
            knobs.pop(key, None)
    missing = [
        key
        for key, parameter in accepted.items()
        if parameter.default is parameter.empty and key not in (*fixed, *knobs, *RULES)
    ]
    if missing:
        example = ", ".join(f"{key}=..." for key in missing)
        raise BadValue(
            f"`{id}`: the constructor needs {' and '.join(f'`{key}`' for key in missing)}; "
            f"give it in brackets, `{id.name}({example})`"
        )
    return replace(method, name=str(id), knobs=tuple(knobs.values()), fixed=fixed)


def default(method: Method, knob: Knob) -> float | None:
    """The constructor's default for a knob, None if it has none within the range."""
    parameter = hyperparameters(method.build).get(knob.name)
    value = parameter.default if parameter is not None else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if knob.low <= value <= knob.high else None


def described(accepted: Mapping[str, inspect.Parameter]) -> str:
    """Print what a constructor takes with its defaults: `lr=0.001, momentum=0`."""
    return ", ".join(
        key if p.default is p.empty else f"{key}={show(p.default)}" for key, p in accepted.items()
    )


def _unknown(key: str, id: Id, accepted: Mapping[str, inspect.Parameter]) -> BadValue:
    close = difflib.get_close_matches(key, list(accepted), n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(f'`{c}`' for c in close)}?" if close else ""
    takes = described(accepted) or "no hyperparameters"
    return BadValue(f"unknown hyperparameter `{key}` in `{id}`{hint} (it takes {takes})")


def _asks_to_tune(value: Value) -> bool:
    return value == TUNE or (isinstance(value, Id) and value.name == TUNE)


def _knob(key: str, value: Value, parameter: inspect.Parameter | None, id: Id) -> Knob:
    """The knob that `tune` or `tune(low, high)` asks for."""
    preset = None if parameter is None or parameter.default is parameter.empty else parameter
    if isinstance(preset and preset.default, bool | tuple | str) or (
        parameter is not None and parameter.annotation in (int, "int", bool, "bool")
    ):
        raise BadValue(f"`{id}`: `{key}` is no continuous number; give it a value")
    if isinstance(value, Id) and (value.args or value.kwargs):
        return _range(key, value, id)
    known = KNOWN.get(key)
    usual = preset.default if preset else None
    # `rho` is an averaging factor in Adadelta and a radius elsewhere: the default tells
    if known and (not usual or known.low <= usual <= known.high):
        return known
    raise BadValue(
        f"`{id}`: no range is known for `{key}`; write `{key}=tune(low, high)` with numbers"
    )


def _range(key: str, asked: Id, id: Id) -> Knob:
    numbers = [
        float(a) for a in asked.args if isinstance(a, int | float) and not isinstance(a, bool)
    ]
    options = dict(asked.kwargs)
    scale = options.pop("scale", Scale.LOG)
    if len(asked.args) != 2 or len(numbers) != 2 or options or scale not in tuple(Scale):
        raise BadValue(
            f"`{id}`: cannot read `{asked}`; write `{key}=tune(low, high)` with two numbers, "
            f"and `scale=` log, linear or complement if you like"
        )
    return Knob(key, numbers[0], numbers[1], Scale(scale))
