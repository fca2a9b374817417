"""Matched networks as a picture, tables and plain records."""

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


def ways_figure(found: Connection, title: str) -> Figure:
    """Draw the loss on each way between two networks, and the accuracy where there is any."""
    return line_figure(found.ways, title)


def units_table(groups: Groups, match: Match, title: str) -> Table:
    """Which share of each group's units a matching leaves in place."""
    number = counts(groups)
    rows = [
        (g.name, str(g.size), percent(match.identity[g.name]), f"{g.size}!")
        for g in groups.permutable
    ]
    total = sum(g.size for g in groups.permutable)
    rows.append(("all", str(total), percent(match.share), f"10^{number.log10:.1f} in all"))
    notes = [f"{why}, and stay" for why in groups.held if not why.endswith("are outputs")]
    if any(number.signs.values()):
        notes.append("signs of odd units are counted with the permutations in all")
    if number.scales:
        notes.append(f"{number.scales} of the units may be scaled besides")
    return Table(
        title,
        ("layer", "units", "stay in place", "equivalents"),
        tuple(rows),
        footer="; ".join(
            [f"outputs change by {groups.deviation:.0e} under random permutations", *notes]
        ),
        align=("left", "right", "right", "right"),
    )


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
                "permutation": match.permutations[group.name].tolist(),
                "slots": [asdict(slot) for slot in group.slots],
            }
            for group in groups.permutable
        ],
        "held": list(groups.held),
        "deviation": groups.deviation,
        "identity": match.share,
        "log10_equivalents": number.log10,
        "scalable": number.scales,
        "objective": list(match.objective),
        "restarts": list(match.restarts),
        "settled": match.settled,
        "distance": {"before": match.before, "after": match.after},
        "ways": {
            way: {split: line_record(line) for split, line in each.items()}
            for way, each in found.ways.items()
        },
    }
