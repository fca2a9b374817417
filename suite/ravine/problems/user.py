"""A user's own problem: `path/to/file.py:function` or `package.module:function`.

The function is an f(x), or makes a problem.
"""

import copy
import hashlib
import inspect
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue, RavineError
from ravine.loading import load_object
from ravine.problems.analytic import Analytic, Interval
from ravine.problems.base import Facts, Goal, Problem
from ravine.registry import Id

TAKES = ("dim", "start", "spread", "domain", "minimum")


def from_file(id: Id) -> Problem:
    """Make a problem of what a file defines.

    A function that can be called without an argument, or whose return annotation is a
    `Problem`, makes one (`make_problem() -> ModuleProblem`, say), and is called with the
    arguments of the id; so is a class of problems.  Any other function is an f(x).

    Args:
        id: `file.py:function`; see `of_function` for what an f(x) takes.

    Returns:
        The problem, named as the id; its version changes with the file.  What a file makes
        is made once in a process.

    Raises:
        UnknownName: no such file, module or function; with close matches.
        BadValue: an argument is wrong, the function fails at its start, or it makes no problem.
    """
    found = load_object(id.name, "problem")
    if isinstance(found, Problem):
        if id.args or id.kwargs:
            raise BadValue(
                f"`{id.name}` is a problem already and takes no arguments; leave them out"
            )
        return _named(found, id, 1)
    if not callable(found):
        raise BadValue(f"`{id.name}` is no function but {found!r}; name a function of x")
    return _made(found, id) if makes_problem(found) else of_function(found, id)


def makes_problem(function: Callable[..., Any]) -> bool:
    """Whether a function makes a problem, and is not an f(x).

    Example:
        >>> makes_problem(lambda x: x.sum()), makes_problem(lambda width=32: ...)
        (False, True)
    """
    if isinstance(function, type) and issubclass(function, Problem):
        return True
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built in
        return False
    said = signature.return_annotation
    if isinstance(said, str):
        # as written, where annotations are not evaluated
        said = getattr(inspect.unwrap(function), "__globals__", {}).get(said.strip("\"'"))
    if isinstance(said, type) and issubclass(said, Problem):
        return True
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(
        p.default is not p.empty or p.kind in free for p in signature.parameters.values()
    ) and not any(p.kind is free[0] for p in signature.parameters.values())


@lru_cache(maxsize=4)
def _made(function: Callable[..., Any], id: Id) -> Problem:
    """The problem that a function makes; its data are read once in a process."""
    signature = inspect.signature(function)
    try:
        signature.bind(*id.args, **dict(id.kwargs))
    except TypeError as error:
        takes = ", ".join(signature.parameters) or "no arguments"
        raise BadValue(f"`{id}`: {error}; `{id.name}` takes {takes}") from None
    try:
        built = function(*id.args, **dict(id.kwargs))
    except BadValue as error:
        raise BadValue(f"`{id}`: {error}") from error
    except RavineError:
        raise
    except Exception as error:
        raise BadValue(
            f"`{id}` fails: {_line(error)}; mend the function, which must return a problem"
        ) from error
    if not isinstance(built, Problem):
        raise BadValue(
            f"`{id}` must return a problem such as a ModuleProblem, got one {type(built).__name__} "
            f"(an f(x) takes its point without a default); mend what it returns"
        )
    return _named(built, id, _version(function))


def _named(built: Problem, id: Id, version: int) -> Problem:
    """A copy of a problem under an id."""
    named = copy.copy(built)
    for name, value in (("name", str(id)), ("version", version)):
        object.__setattr__(named, name, value)
    return named


def of_function(function: Callable[..., Any], id: Id) -> Analytic:
    """Make a problem of a plain function of one point.

    The function takes a tensor `[n]` and returns a scalar tensor; it is stacked by
    `torch.func.vmap`, so it may not branch on values in Python.  Without a stated minimum
    there are no targets, and reports compare final values.

    Args:
        function: f.
        id: `file.py:function`, with any of `dim` (2, or the length of the start), `start`
            and `spread` (half-width of the box around it that seeds begin in, 0.5; without
            a start, seeds begin anywhere in the domain), `domain` ((low, high) or one such
            pair for each coordinate, (-5, 5)) and `minimum` (the lowest value, if known).

    Raises:
        BadValue: an argument is wrong, or the function fails at its start.
    """
    given = dict(id.kwargs)
    odd = [str(a) for a in id.args] + [k for k in given if k not in TAKES]
    if odd:
        raise BadValue(f"`{id.name}` cannot take `{odd[0]}`; give {', '.join(TAKES)} by name")
    start = _numbers("start", given["start"]) if "start" in given else None
    dim = given.get("dim", len(start) if start else 2)
    if not isinstance(dim, int) or dim < 1:
        raise BadValue(f"`dim` must be a whole number of at least 1, got {dim}; give such a one")
    if start is not None and len(start) != dim:
        raise BadValue(f"`start` must have {dim} numbers, got {len(start)}; give as many as `dim`")
    minimum = given.get("minimum")
    built = Analytic(
        f=_stacked(function),
        dim=dim,
        domain=_domain(given["domain"], dim) if "domain" in given else (-5.0, 5.0),
        start_at=start,
        spread=_numbers("spread", given.get("spread", 0.5))[0],
        facts=Facts(goal=Goal.ESCAPE, targets=())
        if minimum is None
        else Facts(minimum=_numbers("minimum", minimum)[0]),
        name=str(id),
        version=_version(function),
    )
    _try(id.name, function, built)
    return built


def _stacked(
    function: Callable[..., Any],
) -> Callable[[Float[Tensor, "*stack n"]], Float[Tensor, "*stack"]]:
    """The function over all leading dimensions; a single point is passed as it is."""

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        if x.ndim == 1:
            value: Tensor = function(x)
            return value
        flat = x.reshape(-1, x.shape[-1])
        values: Tensor = torch.func.vmap(function)(flat)
        return values.reshape(x.shape[:-1])

    return f


def _try(name: str, function: Callable[..., Any], built: Analytic) -> None:
    """Evaluate at two starts, alone and together, so that mistakes show here and now."""
    points = torch.stack([built.start(seed)["x"] for seed in (0, 1)])
    try:
        value = function(points[0].clone().requires_grad_())
    except Exception as error:
        raise BadValue(
            f"`{name}` fails at {points[0].tolist()}: {_line(error)}; it must "
            f"take a tensor of {built.dim} numbers (set `dim`, `start` or `domain` to suit it)"
        ) from error
    if not isinstance(value, Tensor) or value.ndim:
        shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise BadValue(
            f"`{name}` must return a scalar tensor, got {shape}; reduce it, as by .sum()"
        )
    if not value.requires_grad:
        raise BadValue(
            f"`{name}` has no gradient; compute it from x by torch operations, without .item()"
        )
    try:
        built.f(points)
    except Exception as error:
        raise BadValue(
            f"`{name}` cannot be evaluated at many points at once: {_line(error)} (write it "
            f"without Python branches on values, as by torch.where)"
        ) from error


def _line(error: Exception) -> str:
    """An error of the user's own code in one line."""
    return f"{type(error).__name__}: {str(error).strip()}".partition("\n")[0]


def _numbers(name: str, value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, tuple) else (value,)
    if not values or not all(isinstance(v, (int, float)) and abs(v) < torch.inf for v in values):
        raise BadValue(f"`{name}` must be made of finite numbers, got {value}; give such numbers")
    return tuple(float(v) for v in values)


def _domain(value: Any, dim: int) -> Interval | tuple[Interval, ...]:
    several = isinstance(value, tuple) and value and isinstance(value[0], tuple)
    pairs = value if several else (value,)
    intervals = [_numbers("domain", pair) for pair in pairs]
    if len(intervals) not in (1, dim) or not all(len(i) == 2 and i[0] < i[1] for i in intervals):
        raise BadValue(
            f"`domain` must be (low, high) or {dim} such pairs, got {value}; give low < high"
        )
    low_high = tuple((i[0], i[1]) for i in intervals)
    return low_high[0] if len(low_high) == 1 else low_high


def _version(function: Callable[..., Any]) -> int:
    """A number that changes with the function's file, so that old runs are not reused."""
    try:
        source = Path(inspect.getfile(inspect.unwrap(function))).read_bytes()
    except (TypeError, OSError):  # built-in or compiled
        return 1
    return int.from_bytes(hashlib.sha256(source).digest()[:4], "big") >> 1
