"""A user's own f(x) as a problem: `path/to/file.py:function` or `package.module:function`."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.loading import load_object
from ravine.problems.analytic import Analytic, Interval
from ravine.problems.base import Facts, Goal
from ravine.registry import Id

TAKES = ("dim", "start", "spread", "domain", "minimum")


def from_file(id: Id) -> Analytic:
    """Make a problem of a plain function of one point.

    The function takes a tensor `[n]` and returns a scalar tensor; it is stacked by
    `torch.func.vmap`, so it may not branch on values in Python.  Without a stated minimum
    there are no targets, and reports compare final values.

    Args:
        id: `file.py:function`, with any of `dim` (2, or the length of the start), `start`
            and `spread` (half-width of the box around it that seeds begin in, 0.5; without
            a start, seeds begin anywhere in the domain), `domain` ((low, high) or one such
            pair for each coordinate, (-5, 5)) and `minimum` (the lowest value, if known).

    Returns:
        The problem, named as the id; its version changes with the file.

    Raises:
        UnknownName: no such file, module or function; with close matches.
        BadValue: an argument is wrong, or the function fails at its start.
    """
    function = load_object(id.name, "problem")
    if not callable(function):
        raise BadValue(f"`{id.name}` is no function but {function!r}; name a function of x")
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
