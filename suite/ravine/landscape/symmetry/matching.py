"""Find the exchange of units that brings one network close to another."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.surface import Surface
from ravine.landscape.symmetry.activations import correlations
from ravine.landscape.symmetry.groups import Group, Groups, named
from ravine.landscape.symmetry.permutation import (
    exchange,
    permute,
    permute_state,
    random_permutations,
)
from ravine.problems.draws import generator

RESTARTS = 4
"""Coordinate descents from the identity and from random permutations."""

SWEEPS = 100
"""Rounds of a coordinate descent at most."""

TIE = 1e-12
"""The preference for staying in place, over the largest entry of a table of similarities."""


SILENT = 1e-6
"""The weight of preactivations: above rounding, and below what activations can tell."""


@dataclass(frozen=True, eq=False)
class Match:
    """The permutation of network B that brings it close to network A.

    Args:
        by: `weights` or `activations`.
        permutations: for each group, which of B's units stands at each place.
        identity: share of units that stay in place, by group.
        objective: what was maximised, before and after each round; the sum of products of A's
            and B's weights, or of correlations of units.
        restarts: the objective that each restart ended with; one for activations.
        settled: whether the descent came to rest within its rounds.
        seed: of the restarts.
        before: the distance between A and B.
        after: the distance between A and the permuted B.
        point: B permuted, flat.
    """

    by: str
    permutations: Mapping[str, Tensor]
    identity: Mapping[str, float]
    objective: tuple[float, ...]
    restarts: tuple[float, ...]
    settled: bool
    seed: int
    before: float
    after: float
    point: Float[Tensor, " P"]

    @property
    def share(self) -> float:
        """Share of all units that stay in place."""
        sizes = {name: len(order) for name, order in self.permutations.items()}
        total = sum(sizes.values())
        return sum(self.identity[n] * sizes[n] for n in sizes) / total if total else 1.0


def match_weights(
    groups: Groups,
    a: Float[Tensor, " P"],
    b: Float[Tensor, " P"],
    *,
    restarts: int = RESTARTS,
    seed: int = 0,
    listener: Callable[[float], None] = lambda share: None,
) -> Match:
    """Match units by their weights: maximise <a, permuted b>, which minimises the distance.

    Coordinate descent: one group after another, in random order, gets the permutation that is
    best with all others held, by a linear assignment.  A group is only moved where that raises
    the objective, so that it never falls.  The first restart begins at the identity, the
    others at random permutations; the best end is taken.  The end is a local optimum, and the
    global one where there is one group (and no parameter has two axes in it).

    Args:
        groups: of the network.
        a: the point that stays.
        b: the point whose units are exchanged.
        restarts: descents.
        seed: of orders and beginnings.
        listener: told the share of restarts that are done.

    Raises:
        BadValue: a point does not fit or is not finite, or there is nothing to be exchanged.

    References:
        Ainsworth, Hayase and Srinivasa (2023). Git Re-Basin. arXiv 2209.04836, algorithm 1.
        Kuhn (1955). The Hungarian method. doi 10.1002/nav.3800020109.
    """
    _check(groups, a, b)
    if restarts < 1:
        raise BadValue(f"`restarts` must be at least 1, got {restarts}; use {RESTARTS}")
    fixed, moving = named(groups, a.double()), named(groups, b.double())
    best: tuple[float, list[float], dict[str, Tensor], bool] | None = None
    ends = []
    for restart in range(restarts):
        begun = (
            {g.name: torch.arange(g.size) for g in groups.permutable}
            if restart == 0
            else random_permutations(groups, "restart", seed, restart)
        )
        found, trace, settled = _descend(groups, fixed, moving, begun, seed, restart)
        ends.append(trace[-1])
        if best is None or trace[-1] > best[0] + TIE * abs(best[0]):
            best = trace[-1], trace, found, settled
        listener((restart + 1) / restarts)
    assert best is not None
    return _result("weights", groups, a, b, best[2], best[1], ends, best[3], seed)


def match_activations(
    groups: Groups,
    surface: Surface,
    a: Float[Tensor, " P"],
    b: Float[Tensor, " P"],
) -> Match:
    """Match units by what they answer to the same examples: maximise their correlations.

    For each group, the correlation of every unit of A with every unit of B, wherever a later
    layer sees them, in float64 and streamed over the data; then one linear assignment, which
    is globally optimal.  A unit that hardly varies, as a rectified one that no example turns
    on, correlates with none, and two that one example alone turns on correlate perfectly.
    Among such equals the preactivations decide, by 1e-6 of their correlations; they differ
    also where all answers are zero, and need no order of the layer before, as weights would.

    Args:
        groups: of the network.
        surface: whose data the networks see.
        a: the point that stays.
        b: the point whose units are exchanged.

    Raises:
        BadValue: a point does not fit or is not finite, or there is nothing to be exchanged.

    References:
        Li, Yosinski, Clune, Lipson and Hopcroft (2016). Convergent learning. arXiv 1511.07543.
        Singh and Jaggi (2020). Model fusion via optimal transport. arXiv 1910.05653; their
        program aligns by either, before or behind the nonlinearity.
    """
    _check(groups, a, b)
    tables, before = correlations(groups, surface, a, b)
    found = {name: assign(table + SILENT * before[name]) for name, table in tables.items()}
    held = sum(float(np.trace(table)) for table in tables.values())
    total = sum(
        float(table[range(len(table)), found[name].numpy()].sum()) for name, table in tables.items()
    )
    return _result("activations", groups, a, b, found, [held, total], [total], True, 0)


def assign(table: Float64[np.ndarray, "units units"]) -> Tensor:
    """For every row the column of its own that makes the sum of entries largest.

    Among equal sums, places are kept.

    Example:
        >>> assign(np.array([[1.0, 5.0], [4.0, 1.0]])).tolist()
        [1, 0]
    """
    largest = float(np.abs(table).max())
    preferred = table + TIE * (largest or 1.0) * np.eye(len(table))
    return torch.from_numpy(linear_sum_assignment(preferred, maximize=True)[1])


def agreement(fixed: Mapping[str, Tensor], moving: Mapping[str, Tensor]) -> float:
    """The sum of products of two points' parameters."""
    return sum(float((tensor * moving[name]).sum()) for name, tensor in fixed.items())


def similarities(
    groups: Groups, group: Group, fixed: Mapping[str, Tensor], moving: Mapping[str, Tensor]
) -> Float64[np.ndarray, "units units"]:
    """Products of every unit's weights in one point with those of every unit in another."""
    table = torch.zeros(group.size, group.size, dtype=torch.float64)
    for slot in group.slots:
        if slot.name in groups.shapes:
            ours, theirs = (
                point[slot.name].movedim(slot.axis, 0).reshape(group.size, -1)
                for point in (fixed, moving)
            )
            table += ours @ theirs.T
    return table.numpy()


def _descend(
    groups: Groups,
    fixed: Mapping[str, Tensor],
    moving: Mapping[str, Tensor],
    begun: Mapping[str, Tensor],
    seed: int,
    restart: int,
) -> tuple[dict[str, Tensor], list[float], bool]:
    """One coordinate descent; the objective after each round, and whether it came to rest."""
    draw = generator("matching", seed, restart)
    found, here = dict(begun), permute_state(groups, moving, begun)
    trace = [agreement(fixed, here)]
    slack = TIE * math.sqrt(agreement(fixed, fixed) * agreement(moving, moving))
    for _ in range(SWEEPS):
        value = trace[-1]
        for i in draw.permutation(len(groups.permutable)):
            group = groups.permutable[i]
            order = assign(similarities(groups, group, fixed, here))
            trial = exchange(group, here, order, groups)
            reached = agreement(fixed, trial)
            if reached > value + slack:
                value, here = reached, trial
                found[group.name] = found[group.name][order]
        assert value >= trace[-1], "the objective of a coordinate descent never falls"
        if value == trace[-1]:
            return found, trace, True
        trace.append(value)
    return found, trace, False


def _result(
    by: str,
    groups: Groups,
    a: Tensor,
    b: Tensor,
    found: Mapping[str, Tensor],
    trace: list[float],
    ends: list[float],
    settled: bool,
    seed: int,
) -> Match:
    point = permute(groups, b, found)
    return Match(
        by=by,
        permutations=found,
        identity={
            name: float((order == torch.arange(len(order))).double().mean())
            for name, order in found.items()
        },
        objective=tuple(trace),
        restarts=tuple(ends),
        settled=settled,
        seed=seed,
        before=float((a.double() - b.double()).norm()),
        after=float((a.double() - point.double()).norm()),
        point=point,
    )


def _check(groups: Groups, a: Tensor, b: Tensor) -> None:
    if not groups.permutable:
        why = f": {groups.held[0]}" if groups.held else ""
        raise BadValue(f"`{groups.name}` has no units to be exchanged{why}; give another network")
    for x in (a, b):
        if not bool(x.isfinite().all()):
            raise BadValue(f"a point of `{groups.name}` to be matched is not finite; give another")
