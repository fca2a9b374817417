"""How an optimizer around another optimizer becomes a method: `lookahead(adamw, k=5)`."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from inspect import Parameter, Signature
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue, Mismatch, RavineError
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import RULES, Build, Layout, Method, Setting
from ravine.optimizers.capabilities import TINY, capabilities, undisturbed
from ravine.optimizers.catalogue import method, methods
from ravine.optimizers.hyperparameters import described, hyperparameters, specialise
from ravine.optimizers.layouts import arrange
from ravine.optimizers.space import trials
from ravine.registry import Entry, Id, Value, parse, show

Wrap = Callable[..., torch.optim.Optimizer]
"""Takes an optimizer, and options as keywords; by the names `total_steps` and `needs` it may
ask for the length of the run and for what the optimizer demands."""

Wrapper = TypeVar("Wrapper", bound=Wrap)


@dataclass(frozen=True, slots=True)
class Wrapping:
    """A constructor: builds the optimizer of a base over all parameters, and wraps it.

    It takes a list of parameters.  Where the base is for matrices it takes the matrices, then
    all parameters, so that what steps on the others is wrapped with it.

    Args:
        wrap: makes one optimizer of another.
        options: hyperparameters of its own; all others are the base's.
        base: the method that is wrapped.
    """

    wrap: Wrap
    options: tuple[Parameter, ...]
    base: Method

    def __call__(self, *parameters: Any, total_steps: int, **hyper: Any) -> torch.optim.Optimizer:
        """Build the optimizer.

        Raises:
            Mismatch: the parameters are not in the form that is taken.
            Exception: whatever the constructors raise.
        """
        own = {
            option.name: hyper.pop(option.name) for option in self.options if option.name in hyper
        }
        setting = _at(self.base, hyper)
        needs = capabilities(setting)
        if len(parameters) != 1 + needs.matrix_only:
            raise Mismatch(
                "around a method for matrices it takes the matrices, then all parameters"
            )
        part = assemble(setting, parameters[-1], total_steps)
        context = {"total_steps": total_steps, "needs": needs}
        return self.wrap(part, **{key: context[key] for key in _asked(self.wrap)}, **own)

    @property
    def __signature__(self) -> Signature:
        """The options, then what the base takes, with the base's own defaults."""
        taken = {option.name: option for option in self.options}
        for name, parameter in hyperparameters(self.base.build).items():
            value = self.base.fixed.get(name, parameter.default)
            if name not in taken and not (name in RULES and value is Parameter.empty):
                taken[name] = parameter.replace(kind=Parameter.KEYWORD_ONLY, default=value)
        return Signature(
            [
                Parameter("parameters", Parameter.VAR_POSITIONAL),
                Parameter("total_steps", Parameter.KEYWORD_ONLY),
                *taken.values(),
                Parameter("hyper", Parameter.VAR_KEYWORD),
            ]
        )

    @property
    def __wrapped__(self) -> Build:
        """The base's constructor, whose code is part of what a run depends on."""
        return self.base.build


# settings of one method are to share one constructor
_wrapping = cache(Wrapping)


@cache
def _asked(wrap: Wrap) -> tuple[str, ...]:
    taken = inspect.signature(wrap).parameters
    return tuple(name for name in ("total_steps", "needs") if name in taken)


def _at(base: Method, hyper: Mapping[str, Any]) -> Setting:
    """The base's setting with these hyperparameters.

    Capabilities belong to a method with what is fixed in it, so numbers, which knobs have,
    are left out of it.
    """
    values = tuple((key, value) for key, value in hyper.items() if isinstance(value, float))
    rest = {key: value for key, value in hyper.items() if not isinstance(value, float)}
    return Setting(replace(base, fixed={**base.fixed, **rest}) if rest else base, values)


def wrapper(name: str, base: str, source: str) -> Callable[[Wrapper], Wrapper]:
    """Decorate a class of optimizers around another to register it as a method.

    Args:
        name: in the registry.
        base: what it wraps where an id names nothing, so that its name alone is a method.
        source: paper.
    """

    def add(wrap: Wrapper) -> Wrapper:
        enlist(name, wrap, wrap, base, source)
        return wrap

    return add


def enlist(
    name: str, wrap: Wrap, about: Callable[..., Any], base: str, source: str, *tags: str
) -> None:
    """Register a wrapper as a method.

    Args:
        name: in the registry.
        wrap: makes one optimizer of another.
        about: has the options as its keyword-only parameters, and the docstring.
        base: what it wraps where an id names nothing.
        source: paper.
        tags: words by which it is selected, beside "wrapper".

    Raises:
        BadValue: the name is taken.
    """
    found = inspect.signature(about).parameters.values()
    options = tuple(p for p in found if p.kind is Parameter.KEYWORD_ONLY)

    def factory(base: Value = base, **hyper: Value) -> Method:
        return _method(name, wrap, options, base, hyper, source)

    factory.__doc__ = inspect.getdoc(about)
    factory.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter("base", Parameter.POSITIONAL_OR_KEYWORD, default=base),
            *options,
            Parameter("hyperparameters", Parameter.VAR_KEYWORD),
        ]
    )
    methods.add(Entry(name, factory, frozenset({"wrapper", *tags})))


def _method(
    name: str,
    wrap: Wrap,
    options: tuple[Parameter, ...],
    base: Value,
    hyper: Mapping[str, Value],
    source: str,
) -> Method:
    if not isinstance(base, str | Id):
        raise BadValue(f"`{name}` wraps a method, not {show(base)}; write `{name}(adamw)`")
    inside = parse(base) if isinstance(base, str) else base
    inner = method(inside)
    whole = Id(name, (base,), tuple(hyper.items()))
    own = {option.name: option for option in options}
    _check_names(whole, own, inside, inner)
    passed = {key: value for key, value in hyper.items() if key not in own}
    if passed:  # the base says what is wrong with them
        method(replace(inside, kwargs=tuple({**dict(inside.kwargs), **passed}.items())))
    made = specialise(
        Method(name, _wrapping(wrap, options, inner), inner.knobs, {}, source),
        Id(name, (), tuple(hyper.items())),
    )
    if capabilities(inner).reason is None:
        _try(made, inner, whole)
    return made


def _check_names(whole: Id, own: Mapping[str, Parameter], inside: Id, inner: Method) -> None:
    """Insist that every hyperparameter belongs to one method, and has one value."""
    tuned = [knob.name for knob in inner.knobs]
    taken = hyperparameters(inner.build)
    for key in tuned:
        if key in own:
            raise BadValue(
                f"`{whole}` would have two knobs `{key}`, for `{whole.name}` itself has a "
                f"hyperparameter of that name; give that of `{inner.name}` a value"
            )
    for key, _ in whole.kwargs:
        if key in own:
            continue
        if key in dict(inside.kwargs) and key not in tuned:
            raise BadValue(f"`{whole}` gives `{key}` twice; keep one of them")
        close = [] if key in taken else difflib.get_close_matches(key, own)
        if close:
            raise BadValue(
                f"unknown hyperparameter `{key}` in `{whole}`; did you mean `{close[0]}`? "
                f"(`{whole.name}` takes {described(own)})"
            )


def _try(made: Method, inner: Method, whole: Id) -> None:
    """Build a method once, so that a bad value is met here."""
    matrix_only = capabilities(inner).matrix_only
    (setting,) = trials(made, 1)
    with undisturbed():
        x = torch.zeros(TINY[matrix_only], device="cpu", requires_grad=True)
        layout = Layout.SPLIT if matrix_only else Layout.PARAMETERS
        try:
            setting.optimizer(*arrange([x], layout))
        except RavineError as error:
            raise type(error)(f"`{whole}`: {error}") from None


def insist(holds: bool, name: str, rule: str, value: object, usual: object) -> None:
    """Raise the error for an option outside its domain, unless it holds.

    Raises:
        BadValue: it does not hold.

    Example:
        >>> insist(False, "k", "a whole number from 1 up", 0, 5)
        Traceback (most recent call last):
        ...
        ravine.errors.BadValue: `k` must be a whole number from 1 up, not 0; try 5
    """
    if not holds:
        raise BadValue(f"`{name}` must be {rule}, not {show(value)}; try {usual}")


def number(value: object) -> bool:
    """Whether a value is an int or a float."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def held(optimizer: torch.optim.Optimizer) -> list[Float[Tensor, "..."]]:
    """All parameters of an optimizer, in order."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def count_step(optimizer: torch.optim.Optimizer) -> int:
    """Count a step in the state of the first parameter, where it is saved with the rest.

    Returns:
        How many steps there have been before this one.
    """
    state = optimizer.state[held(optimizer)[0]]
    before: int = state.get("steps", 0)
    state["steps"] = before + 1
    return before
