"""What an assertion is about: methods and problems, in any of the forms that a test has."""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ravine.engine.mismatch import mismatch
from ravine.errors import BadValue, Mismatch
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, pack
from ravine.optimizers.base import Method, Setting
from ravine.optimizers.catalogue import method
from ravine.optimizers.hyperparameters import specialise, template
from ravine.optimizers.space import trials
from ravine.optimizers.textbook.rule import Rule
from ravine.problems.base import Facts, Point, Problem
from ravine.problems.catalogue import problem
from ravine.registry import Id

Subject: TypeAlias = str | Method | Setting | Callable[..., Any]
"""A method's id, a method, a setting, an optimizer class, a function from parameters to an
optimizer, or a textbook rule (x, state, gradient) -> (x, state) in NumPy."""

Ground: TypeAlias = str | Problem | Surface
"""A problem's id, a problem, or a surface."""

Place: TypeAlias = Sequence[int | float] | Tensor | Point
"""A point: coordinates in one flat vector, or parameters by name."""

_named: dict[str, object] = {}
"""Whose name is taken, for what is found out of a method is remembered by its name."""


class Ruled(torch.optim.Optimizer):
    """A textbook rule as an optimizer: it is given each parameter by itself, in NumPy.

    Args:
        params: the parameters.
        rule: from point, state and gradient to the next point and state.
    """

    def __init__(self, params: Any, rule: Rule) -> None:
        super().__init__(params, {})
        self.rule = rule

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step."""
        del closure
        for p in (p for group in self.param_groups for p in group["params"]):
            if p.grad is not None:
                past = self.state[p].get("state")
                there, past = self.rule(p.double().numpy(), past, p.grad.double().numpy())
                self.state[p]["state"] = past
                p.copy_(torch.as_tensor(there))


def as_setting(subject: Subject) -> Setting:
    """A method with all its hyperparameters; its own defaults where it leaves them open.

    Args:
        subject: see `Subject`.  A function whose first three arguments are required is a
            textbook rule.

    Raises:
        RavineError: it is no optimizer, or cannot be built.

    Example:
        >>> as_setting("adam").name, as_setting(torch.optim.Adam).hyper
        ('adam(lr=0.001)', {'lr': 0.001})
    """
    if isinstance(subject, Setting):
        return subject
    return trials(as_method(subject), 1)[0]


def as_method(subject: Subject) -> Method:
    """A method; the values of a setting become its fixed hyperparameters.

    Raises:
        RavineError: it is no optimizer, or cannot be built.
    """
    if isinstance(subject, str):
        return method(subject)
    if isinstance(subject, Method):
        return subject
    if isinstance(subject, Setting):
        made = subject.method
        return (
            specialise(made, Id(made.name.partition("(")[0], (), subject.values))
            if (subject.values)
            else made
        )
    wrong = isinstance(subject, type) and not issubclass(subject, torch.optim.Optimizer)
    if wrong or not callable(subject):
        raise BadValue(
            f"a method must be an id, an optimizer class or a function that returns an "
            f"optimizer, got {subject!r}; give one of these"
        )
    name = _name(subject)
    if _is_rule(subject):
        return Method(name, lambda params: Ruled(params, subject), (), source="a textbook rule")
    return specialise(template(name, subject), Id(name))


def _is_rule(function: Callable[..., Any]) -> bool:
    if isinstance(function, type):
        return False
    required = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) >= 3


def _name(thing: Callable[..., Any]) -> str:
    """A name that no other thing has had."""
    plain = inspect.unwrap(getattr(thing, "func", thing))
    words = getattr(plain, "__qualname__", type(plain).__name__).replace("<locals>.", "")
    name = base = f"{getattr(plain, '__module__', '')}:{words}"
    count = 1
    while _named.setdefault(name, thing) is not thing:
        count += 1
        name = f"{base}#{count}"
    return name


def as_problem(ground: str | Problem) -> Problem:
    """A problem.

    Raises:
        RavineError: no such problem, or something else.

    Example:
        >>> as_problem("sphere( dim=3 )").name
        'sphere(dim=3)'
    """
    if isinstance(ground, str):
        return problem(ground)
    if not isinstance(ground, Problem):
        raise BadValue(f"a problem must be an id or a `Problem`, got {ground!r}; give one of these")
    return ground


def insist_on_pair(ground: Problem, setting: Setting) -> None:
    """Insist that a method can run on a problem.

    Raises:
        Mismatch: it cannot.
    """
    if reason := mismatch(ground, setting.method):
        raise Mismatch(f"`{setting.name}` cannot run on `{ground.name}`: {reason}; choose another")


def with_facts(ground: Problem, facts: Facts) -> Problem:
    """A copy of a problem of which something else is known."""
    other = copy.copy(ground)
    object.__setattr__(other, "facts", facts)
    return other


def as_surface(ground: Ground) -> Surface:
    """The ground as a surface: a formula's in its own coordinates.

    Raises:
        RavineError: it is none.
    """
    return ground if isinstance(ground, Surface) else surface(as_problem(ground))


def as_point(ground: Surface, place: Place, name: str = "point") -> Tensor:
    """A flat point of a surface.

    Args:
        ground: the surface.
        place: see `Place`.
        name: of the argument, for messages.

    Raises:
        BadValue: it has other coordinates than the surface, or one is not finite.

    Example:
        >>> as_point(as_surface("sphere(dim=2)"), (1, 2)).tolist()
        [1.0, 2.0]
    """
    try:
        if isinstance(place, dict):
            x = pack(ground, place)
        elif isinstance(place, Tensor):
            x = place
        else:
            x = torch.as_tensor(place, dtype=ground.dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, BadValue):
            raise
        raise BadValue(f"`{name}` must be numbers, got {place!r}; give one vector") from None
    x = x.detach().reshape(-1)
    if len(x) != ground.size or not x.is_floating_point() or not bool(x.isfinite().all()):
        raise BadValue(
            f"`{name}` must be {ground.size} finite numbers, as `{ground.name}` has coordinates, "
            f"got {len(x)}; give such a point"
        )
    return x
