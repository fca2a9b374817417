"""The spectrum of a network's parts: its layers, or its single parameters."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ravine.errors import BadValue
from ravine.landscape.operators import Operator, restrict
from ravine.landscape.spectrum.lanczos import Eigenpairs, extreme
from ravine.landscape.spectrum.trace import Trace, trace
from ravine.problems import arguments

By = Literal["layer", "parameter"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Group:
    """What is known of one diagonal block.

    Args:
        name: of the layer or parameter.
        parameters: their names.
        pairs: eigenpairs of the block; vectors have its own coordinates alone.
        trace: of the block.
    """

    name: str
    parameters: tuple[str, ...]
    pairs: Eigenpairs
    trace: Trace


def grouped(slices: Mapping[str, slice], by: By = "layer") -> dict[str, tuple[str, ...]]:
    """Names of parameters by layer, which is what stands before the last dot, or by themselves.

    Example:
        >>> grouped({"0.weight": slice(0, 6), "0.bias": slice(6, 8)})
        {'0': ('0.weight', '0.bias')}
    """
    arguments.choice("by", by, ("layer", "parameter"))
    names: dict[str, tuple[str, ...]] = {}
    for name in slices:
        group = name.rpartition(".")[0] or name if by == "layer" else name
        names[group] = (*names.get(group, ()), name)
    return names


def by_group(
    operator: Operator,
    groups: Mapping[str, Sequence[str]] | None = None,
    *,
    largest: int = 1,
    smallest: int = 1,
    tol: float = 1e-3,
    rtol: float = 0.05,
    seed: int = 0,
    most: int = 200,
    listener: Callable[[float], None] = lambda share: None,
) -> tuple[Group, ...]:
    """Extreme eigenvalues and the trace of the matrix's diagonal block of every group.

    Traces of groups that part the parameters add up to that of the whole; the largest
    eigenvalue of the whole is at least that of each block.

    Args:
        operator: of a surface, whose parameters have names.
        groups: names of parameters by group; the layers by default.
        largest: eigenvalues from the upper end of each.
        smallest: from the lower end.
        tol: see `extreme`.
        rtol: see `trace`.
        seed: of all random directions.
        most: products at most for each of the two, of each group.
        listener: told the share of groups that are done.

    Raises:
        BadValue: a parameter is unknown, or the operator has none.

    References:
        Ghorbani, Krishnan and Xiao (2019). An investigation into neural net optimization via
        Hessian eigenvalue density. arXiv 1901.10159.
    """
    if not operator.slices:
        raise BadValue("the operator has no named parameters; take the Hessian of a surface")
    chosen = grouped(operator.slices) if groups is None else groups
    found = []
    for i, (name, parameters) in enumerate(chosen.items()):
        for parameter in parameters:
            arguments.choice("groups", parameter, tuple(operator.slices))
        block = restrict(operator, [operator.slices[parameter] for parameter in parameters])
        found.append(
            Group(
                name=name,
                parameters=tuple(parameters),
                pairs=extreme(block, largest, smallest, tol=tol, seed=seed, most=most),
                trace=trace(block, rtol=rtol, seed=seed, most=most),
            )
        )
        listener((i + 1) / len(chosen))
    return tuple(found)
