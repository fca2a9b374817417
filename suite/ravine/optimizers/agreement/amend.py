"""Installed functions with a line changed, for as long as a comparison lasts."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any

from ravine.errors import BadValue
from ravine.optimizers.agreement.base import Amendment
from ravine.optimizers.zoo import FAMILIES


@contextmanager
def amended(amendments: Iterable[Amendment]) -> Iterator[None]:
    """Change functions, and change them back.

    The code object of a function is exchanged, so that whoever holds the function runs the
    change.  Several amendments may be made to one function.

    Args:
        amendments: what is changed.

    Raises:
        BadValue: the text is not in the function exactly once, as after an upgrade.
    """
    found: dict[str, list[Amendment]] = {}
    for amendment in amendments:
        found.setdefault(amendment.place, []).append(amendment)
    with ExitStack() as stack:
        for place, changes in found.items():
            function = function_at(place)
            code = _recompiled(function, _changed(function, changes))
            stack.callback(setattr, function, "__code__", function.__code__)
            function.__code__ = code
        yield


def function_at(place: str) -> FunctionType:
    """Find the function that a place names, without its decorators.

    Args:
        place: `module:qualified.name`.

    Raises:
        BadValue: there is no such function.
    """
    name, _, path = place.partition(":")
    family = name.partition(".")[0]
    try:
        if name not in sys.modules and family in FAMILIES:
            import_module(FAMILIES[family])  # which knows how to load it
        thing: Any = sys.modules.get(name) or import_module(name)
        for part in path.split("."):
            thing = inspect.getattr_static(thing, part)
        thing = inspect.unwrap(getattr(thing, "__func__", thing))
        while not isinstance(thing, FunctionType):
            thing = thing.fn  # heavyball's guards hold what they guard
    except (ImportError, AttributeError):
        thing = None
    if not isinstance(thing, FunctionType):
        raise BadValue(f"`{place}` is no function of an installed package; name another place")
    return thing


def _changed(function: Callable[..., Any], changes: Iterable[Amendment]) -> str:
    source = textwrap.dedent(inspect.getsource(function))
    for change in changes:
        if source.count(change.text) != 1:
            raise BadValue(
                f"`{change.text}` must stand in `{change.place}` once, and does so "
                f"{source.count(change.text)} times; read the source again"
            )
        source = source.replace(change.text, change.instead)
    return source


def _recompiled(function: FunctionType, source: str) -> CodeType:
    """The code of a changed source; it sees the same surrounding variables."""
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    free = function.__code__.co_freevars
    outer = ast.parse(f"def outer({', '.join(free)}): pass").body[0]
    assert isinstance(outer, ast.FunctionDef)
    # a function that calls itself looks itself up in its module
    outer.body = [ast.Global([definition.name]), definition]
    module = ast.fix_missing_locations(ast.Module([outer], []))
    place = function.__code__.co_filename
    (enclosing,) = _codes(compile(module, place, "exec"))
    return next(code for code in _codes(enclosing) if code.co_name == definition.name)


def _codes(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]
