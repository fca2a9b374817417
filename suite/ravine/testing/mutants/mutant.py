"""A wrong optimizer: the source of one of torch, with one small change."""

import ast
import inspect
import re
import sys
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any

import torch

from ravine.errors import BadValue
from ravine.optimizers.catalogue import method

HOME = "ravine.testing.mutants"
"""Where pickle finds the classes by name."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement in the source.

    Args:
        where: the function whose text is changed, `Adam.step`; the whole source if empty.
        old: what is replaced.
        new: by what.
        times: how often `old` is there, exactly.
    """

    where: str
    old: str
    new: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Mutant:
    """An optimizer with a known fault.

    Args:
        name: in `ravine.testing.mutants`.
        parent: id of the method that it was made from, and should be held against.
        what: is wrong, in one line.
        edits: that make it so; none makes a copy that is right.
    """

    name: str
    parent: str
    what: str
    edits: tuple[Edit, ...]

    @property
    def id(self) -> str:
        """The method's id, `ravine.testing.mutants:adam_root_forgotten`."""
        return f"{HOME}:{self.name}"


@cache
def build(mutant: Mutant) -> type[torch.optim.Optimizer]:
    """Compile a mutant.

    Its class takes what its parent's class does, and what the parent's method fixes
    (heavy ball its momentum, say) is its default.  The implementation over lists of tensors
    (`foreach=True`) and the fused one are unchanged.

    Args:
        mutant: whose class is made, once.

    Returns:
        The class, under the mutant's name.

    Raises:
        BadValue: a passage to replace is not in the source of the torch that is installed.
    """
    parent = method(mutant.parent)
    origin: Any = parent.build
    text = _source(origin)
    for edit in mutant.edits:
        text = _replaced(text, edit, mutant)
    # a relative import looks for its package
    names: dict[str, Any] = {"__name__": HOME, "__package__": "torch.optim"}
    exec(compile(text, f"<{mutant.name}>", "exec"), names)
    made: type[torch.optim.Optimizer] = names[origin.__name__]
    made.__name__ = made.__qualname__ = mutant.name
    _default(made.__init__, parent.fixed)
    return made


@cache
def _source(origin: type[torch.optim.Optimizer]) -> str:
    """The modules of a class and of its parent classes, the oldest first, as one."""
    line = [c for c in reversed(origin.__mro__) if issubclass(c, torch.optim.Optimizer)]
    text = "\n".join(inspect.getsource(sys.modules[c.__init__.__module__]) for c in line[1:])
    if origin is torch.optim.SparseAdam:  # its update has a file of its own
        from torch.optim import _functional

        update = inspect.getsource(_functional.sparse_adam)
        text = f"import math\n{text}\n{update}".replace("F.sparse_adam(", "sparse_adam(")
    # one decorator enters what it is given into the globals of torch
    return re.sub(
        r"^(from \.adam import .*|@_disable_dynamo_if_unsupported\(.*)$", "", text, flags=re.M
    )


def _replaced(text: str, edit: Edit, mutant: Mutant) -> str:
    first, last = _extent(text, edit.where)
    lines = text.splitlines(keepends=True)
    part = "".join(lines[first:last])
    if (found := part.count(edit.old)) != edit.times:
        raise BadValue(
            f"mutant `{mutant.name}`: torch {torch.__version__} has `{edit.old.strip()}` {found} "
            f"times in `{edit.where or 'the module'}`, not {edit.times}; leave it out"
        )
    return "".join([*lines[:first], part.replace(edit.old, edit.new), *lines[last:]])


@cache
def _extent(text: str, where: str) -> tuple[int, int | None]:
    """The lines of a function, the first and the one after its last."""
    if not where:
        return 0, None
    nodes: list[ast.stmt] = ast.parse(text).body
    node: Any = None
    for name in where.split("."):
        # an absent function has no lines, in which nothing is found
        node = next((n for n in nodes if getattr(n, "name", None) == name), None)
        if node is None:
            return 0, 0
        nodes = node.body
    return node.lineno - 1, node.end_lineno


def _default(function: Any, fixed: Any) -> None:
    """Give parameters of a function other defaults."""
    assert isinstance(function, FunctionType)
    for name, parameter in inspect.signature(function).parameters.items():
        if name in fixed and parameter.kind is parameter.KEYWORD_ONLY:
            function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), name: fixed[name]}
    positional = inspect.getfullargspec(function).args[-len(function.__defaults__ or ()) :]
    function.__defaults__ = tuple(
        fixed.get(name, value)
        for name, value in zip(positional, function.__defaults__ or (), strict=True)
    )
