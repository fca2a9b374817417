"""The registry of methods, and the way from an id to a method."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any, TypeVar

import torch

from ravine.errors import BadValue
from ravine.loading import load_object
from ravine.optimizers.base import Build, Hyper, Layout, Method, ruled
from ravine.optimizers.capabilities import TINY, undisturbed
from ravine.optimizers.hyperparameters import described, hyperparameters, specialise, template
from ravine.optimizers.layouts import arrange, join_alone
from ravine.optimizers.space import trials
from ravine.optimizers.zoo import FAMILIES
from ravine.registry import Entry, Id, Registry, parse

methods: Registry[Method] = Registry(
    "method",
    modules=(
        "ravine.optimizers.torch_builtin",
        "ravine.optimizers.newton",
        "ravine.optimizers.wrappers",
    ),
    group="ravine.methods",
    families=FAMILIES,
)
"""Methods by name; an entry is a function returning a `Method`, an entry point may also be
an optimizer class."""

Constructor = TypeVar("Constructor", bound=Build)


def register(
    *tags: str,
    name: str | None = None,
    fixed: Hyper | None = None,
    summary: str | None = None,
    source: str | None = None,
    needs: str = "",
) -> Callable[[Constructor], Constructor]:
    """Decorate an optimizer class, or a function returning an optimizer, to register it.

    Args:
        tags: words by which `--methods TAG` selects it.
        name: the class's name in lower case if None.
        fixed: hyperparameters that differ from the constructor's defaults.
        summary: one line; the constructor's docstring if None.
        source: paper or module; the constructor's own place if None.
        needs: the distribution that the class comes from, where ravine does without.

    Raises:
        BadValue: the name is taken.
    """

    def add(build: Constructor) -> Constructor:
        key = name or build.__name__.lower()
        factory = _factory(key, build, fixed, source)
        factory.__doc__ = summary or inspect.getdoc(build)
        methods.add(Entry(key, factory, frozenset(tags), needs))
        return build

    return add


def _factory(
    name: str, build: Build, fixed: Hyper | None, source: str | None
) -> Callable[..., Method]:
    # the signature is read when the method is asked for, not when it is registered
    def factory(*positional: Any, **hyper: Any) -> Method:
        return _constructed(
            template(name, build, fixed, source), Id(name, positional, tuple(hyper.items()))
        )

    return factory


def method(id: str | Id) -> Method:
    """Find the method that an id names.

    Args:
        id: `adamw(lr=1e-3)` from the registry, `package.module:Class(...)` or
            `path/to/file.py:Class(...)`. A hyperparameter given a value is not tuned any
            more; `tune` or `tune(low, high)` as value asks to tune it.

    Returns:
        The method, under its canonical name.

    Raises:
        UnknownName: no such method; with close matches.
        BadValue: a hyperparameter is unknown, missing or refused by the constructor, or
            the object named is no optimizer.

    Example:
        >>> method("sgd( momentum=0.9 )").name
        'sgd(momentum=0.9)'
        >>> method("adam(lr=1e-2)").knobs
        ()
    """
    parsed = parse(id) if isinstance(id, str) else id
    if ":" in parsed.name:
        return _from_object(load_object(parsed.name, "method"), parsed)
    entry = methods.find(parsed)
    if "plugin" in entry.tags:
        return _from_object(entry.factory, parsed)
    return replace(entry.call(parsed), name=str(parsed))


def _from_object(thing: object, id: Id) -> Method:
    """Make a method of whatever a user's file or an entry point holds.

    That is a method, an optimizer class, a function that returns a method and says so by
    its annotation `-> Method`, or a function that takes parameters and returns an optimizer.
    """
    if isinstance(thing, Method):
        return _constructed(thing, id)
    if isinstance(thing, type) and not issubclass(thing, torch.optim.Optimizer):
        raise _no_optimizer(id, f"the class `{thing.__name__}`")
    if not callable(thing):
        raise _no_optimizer(id, f"a value of type {type(thing).__name__}")
    try:
        signature = inspect.signature(thing)
    except ValueError:
        raise _no_optimizer(id, "a function without a signature") from None
    if signature.return_annotation is Method or signature.return_annotation == "Method":
        entry: Entry[Method] = Entry(id.name, thing, frozenset())
        return replace(entry.call(id), name=str(id))
    return _constructed(template(id.name, thing), id)


def _no_optimizer(id: Id, found: str) -> BadValue:
    return BadValue(
        f"`{id.name}` must be a subclass of torch.optim.Optimizer or a function that takes "
        f"parameters and returns one, not {found}; derive it from torch.optim.Optimizer"
    )


def _constructed(base: Method, id: Id) -> Method:
    """Specialise a method and build it once, so that a bad value is met here."""
    made = specialise(base, id)
    if made.fixed == base.fixed and ":" not in id.name:
        return made  # nothing of the user's to check, and listing must not fail
    (setting,) = trials(made, 1)
    refusal: Exception | None = None
    with undisturbed():
        lonely = False
        for again, layout, shape in product((False, True), Layout, TINY):
            # some take matrices only, or a model, or talk to other processes
            if again and not lonely:
                break
            try:
                if again:
                    join_alone()
                x = torch.zeros(shape, device="cpu", requires_grad=True)
                given = {**ruled(made.build, 1000), **setting.hyper}
                built: object = made.build(*arrange([x], layout), **given)
            except Exception as error:
                refusal = error if layout is Layout.PARAMETERS and not again else refusal
                lonely |= "process group" in str(error)
            else:
                if not isinstance(built, torch.optim.Optimizer):
                    raise _no_optimizer(id, f"one returning {type(built).__name__}")
                return made
    accepted = hyperparameters(made.build)
    usual = described({k: accepted[k] for k, _ in id.kwargs if k in accepted})
    remedy = (
        f"try the default, {usual}"
        if usual
        else "it must take a list of parameters and return a torch.optim.Optimizer"
    )
    said = " ".join(str(refusal).split()).rstrip(".") or type(refusal).__name__
    raise BadValue(f"`{id}`: {said}; {remedy}") from refusal
