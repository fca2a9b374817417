"""Exchange the units of a network."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.symmetry.groups import Group, Groups, flat, named
from ravine.problems.base import Point
from ravine.problems.draws import generator

Permutations = Mapping[str, Int[Tensor, " units"]]
"""For each group by name, which old unit stands at each new place; others stay."""


def permute(
    groups: Groups, x: Float[Tensor, "*stack P"], permutations: Permutations
) -> Float[Tensor, "*stack P"]:
    """The points with their units exchanged; the network's function stays what it is.

    New unit i of a group is old unit `permutations[name][i]`: its incoming weights, bias,
    gain, shift and outgoing weights all move.

    Args:
        groups: of the network.
        x: flat points.
        permutations: of the groups' units.

    Raises:
        BadValue: there is no such group, or its permutation is none.
    """
    return flat(groups, permute_state(groups, named(groups, x), permutations))


def permute_state(groups: Groups, state: Point, permutations: Permutations) -> dict[str, Tensor]:
    """As `permute`, for parameters and buffers by name, `[*stack, *shape]` each.

    Running moments of batch normalisation travel with their units.  Names that belong to no
    group are handed on as they are.

    Raises:
        BadValue: there is no such group, or its permutation is none.
    """
    _check(groups, permutations)
    found = dict(state)
    for group in groups.permutable:
        if group.name in permutations:
            found = exchange(group, found, permutations[group.name], groups)
    return found


def exchange(
    group: Group, state: Point, order: Int[Tensor, " units"], groups: Groups
) -> dict[str, Tensor]:
    """One group's units in another order, `order[i]` being the old unit at place i."""
    found = dict(state)
    for slot in group.slots:
        if slot.name not in state:
            continue
        # slots count axes without the stack
        dims = ranks(groups)[slot.name]
        tensor = found[slot.name]
        axis = tensor.dim() - dims + slot.axis
        entries = order[:, None] * slot.block + torch.arange(slot.block)
        found[slot.name] = tensor.index_select(axis, entries.flatten().to(tensor.device))
    return found


def ranks(groups: Groups) -> dict[str, int]:
    """Axes of every parameter and buffer."""
    graph = groups.graph
    return {n: t.dim() for n, t in (*graph.named_parameters(), *graph.named_buffers())}


def random_permutations(groups: Groups, *key: str | int) -> dict[str, Tensor]:
    """A uniform permutation of every group, a function of the key."""
    draw = generator("permutations", *key)
    return {g.name: torch.from_numpy(draw.permutation(g.size)) for g in groups.permutable}


def inverse(permutations: Permutations) -> dict[str, Tensor]:
    """The permutations that undo these.

    Example:
        >>> inverse({"0": torch.tensor([2, 0, 1])})["0"].tolist()
        [1, 2, 0]
    """
    return {name: order.argsort() for name, order in permutations.items()}


def _check(groups: Groups, permutations: Permutations) -> None:
    sizes = {group.name: group.size for group in groups.permutable}
    for name, order in permutations.items():
        if name not in sizes:
            raise BadValue(
                f"`{groups.name}` has no group `{name}`; its groups are "
                f"{', '.join(sizes) or 'none'}"
            )
        if sorted(order.tolist()) != list(range(sizes[name])):
            raise BadValue(
                f"the order of `{name}` must hold each of 0 to {sizes[name] - 1} once; give a "
                f"permutation of its {sizes[name]} units"
            )
