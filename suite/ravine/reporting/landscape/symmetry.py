"""Matched networks as a picture, tables and plain records."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from matplotlib.figure import Figure

from ravine.landscape.symmetry.connection import Connection
from ravine.landscape.symmetry.counts import counts
from ravine.landscape.symmetry.groups import Groups
from ravine.landscape.symmetry.matching import Match
from ravine.reporting.cells import decimal, percent
from ravine.reporting.landscape.lines import line_figure, line_record
from ravine.reporting.layout import Align, Table

EXACT = 2**53
"""Counts up to here are given exactly, for JSON's numbers are floats to many a reader."""


def ways_figure(found: Connection, title: str) -> Figure:
    """Draw the loss on each way between two networks, and the accuracy where there is any."""
    return line_figure(found.ways, title)


def units_table(groups: Groups, match: Match, title: str) -> Table:
    """Which share of each group's units a matching leaves in place."""
    rows = [(g.name, str(g.size), percent(match.identity[g.name])) for g in groups.permutable]
    total = sum(g.size for g in groups.permutable)
    rows.append(("all", str(total), percent(match.share)))
    notes = [f"{why}, and stay" for why in groups.held if not why.endswith("are outputs")]
    return Table(
        title,
        ("layer", "units", "stay in place"),
        tuple(rows),
        footer="; ".join(
            [f"outputs change by {groups.deviation:.0e} under random permutations", *notes]
        ),
        align=("left", "right", "right"),
    )


def equivalents_table(groups: Groups, title: str) -> Table:
    """How many points have one function by each layer's permutations and signs, and scales."""
    number = counts(groups)
    layers = dict.fromkeys([*number.permutations, *number.signs, *number.scales])
    rows = [
        (
            layer,
            whole(number.permutations.get(layer, 1)),
            whole(number.signs.get(layer, 1)),
            str(number.scales.get(layer, 0)),
        )
        for layer in layers
    ]
    notes = [f"{whole(number.total)} points have the function of one, at least"]
    if number.dimension:
        constants = any(s.eps for s in groups.scalable if s.positive)
        notes.append(
            f"scales above zero sweep an orbit of dimension {number.dimension} through each"
            + (", up to the constants that batch normalisation adds" if constants else "")
        )
    permutations, signs = (math.prod(n.values()) for n in (number.permutations, number.signs))
    rows.append(("all", whole(permutations), whole(signs), str(number.dimension)))
    return Table(
        title,
        ("layer", "permutations", "signs", "orbit dimension"),
        tuple(rows),
        footer="; ".join(notes),
        align=("left", "right", "right", "right"),
    )


def whole(count: int) -> str:
    """A count, exactly as long as a float can hold it, beyond as a power of ten.

    Example:
        >>> whole(math.factorial(18)), whole(math.factorial(19)), whole(math.factorial(3000))
        ('6,402,373,705,728,000', '10^17.09', '10^9130.62')
    """
    return f"{count:,}" if count <= EXACT else f"10^{math.log10(count):.2f}"


def ways_table(
    match: Match, found: Connection, title: str, distances: Mapping[str, float]
) -> Table:
    """Distance and barriers on each way, on training and test examples."""
    splits = list(next(iter(found.ways.values())))
    rows: list[tuple[str, ...]] = []
    for way, each in found.ways.items():
        heights = []
        for split in splits:
            loss = found.height(way, split)
            lost = f" ({loss.nonfinite} not finite)" if loss.nonfinite else ""
            heights += [decimal(loss.height) + lost, decimal(loss.at, 2)]
            if each[split].errors is not None:
                heights.append(percent(found.height(way, split, "error").height))
        rows.append((way, decimal(distances[way], 4), *heights))
    columns = ["way", "distance"]
    for split in splits:
        columns += [f"{split} barrier", "at"]
        if next(iter(found.ways.values()))[split].errors is not None:
            columns.append(f"{split} error")
    ends = {split: found.height("naive", split).ends for split in splits}
    said = ", ".join(f"{split} {a:.4g} and {b:.4g}" for split, (a, b) in ends.items())
    left: tuple[Align, ...] = ("left",)
    right: tuple[Align, ...] = ("right",)
    footer = [
        f"barrier: the most that the loss lies above the chord of its ends, at {found.points} "
        f"alphas; losses at the ends: {said}",
        f"matched by {match.by}"
        + (f", best of {len(match.restarts)} descents" if match.by == "weights" else ""),
    ]
    if not match.settled:
        footer.append("the descent did not come to rest")
    policy = next(iter(found.ways["naive"].values())).batch_norm
    if policy:
        footer.append(f"batch normalisation: {policy}")
    return Table(
        title,
        tuple(columns),
        tuple(rows),
        footer="; ".join(footer),
        align=left + right * (len(columns) - 1),
    )


def match_record(groups: Groups, match: Match, found: Connection) -> dict[str, Any]:
    """Every number of a matching but the points, for JSON."""
    number = counts(groups)
    return {
        "by": match.by,
        "seed": match.seed,
        "groups": [
            {
                "name": group.name,
                "units": group.size,
                "identity": match.identity[group.name],
                "log10_permutations": math.log10(number.permutations[group.name]),
                "permutation": match.permutations[group.name].tolist(),
                "slots": [asdict(slot) for slot in group.slots],
            }
            for group in groups.permutable
        ],
        "held": list(groups.held),
        "deviation": groups.deviation,
        "identity": match.share,
        "equivalents": number.total if number.total <= EXACT else None,
        "log10_equivalents": number.log10,
        "orbit_dimension": number.dimension,
        "objective": list(match.objective),
        "restarts": list(match.restarts),
        "settled": match.settled,
        "distance": {"before": match.before, "after": match.after},
        "ways": {
            way: {split: line_record(line) for split, line in each.items()}
            for way, each in found.ways.items()
        },
    }
