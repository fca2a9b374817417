"""Smoothness along runs as a picture, a table and plain records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from matplotlib.figure import Figure

from ravine.landscape.smoothness import MEASURES, Path
from ravine.reporting.cells import decimal, interval, ratio
from ravine.reporting.drawing import (
    COLORS,
    DASHES,
    canvas,
    legend_outside,
    nothing,
    plain_decades,
    styled,
)
from ravine.reporting.layout import Align, Table

_PANELS = {
    "loss": "loss of the batch",
    "loss_range": "range of the loss",
    "predictiveness": "largest change of\nthe gradient, 2-norm",
    "beta": "largest change over\ndistance, effective β",
}

_WORDS = {
    "loss_range": "range of the loss",
    "predictiveness": "largest change of the gradient",
    "beta": "largest change over distance (effective beta)",
}


@styled
def smoothness_figure(paths: Sequence[Path]) -> Figure:
    """Draw the loss and the three measures against steps.

    A line is the median over seeds, its band reaches from the lowest to the highest.

    Args:
        paths: runs of any problems, with any seeds.
    """
    groups = _groups(paths)
    first = paths[0]
    seeds = max(map(len, groups.values()))
    low, high = first.measures[0].rates[0], first.measures[0].rates[-1]
    title = (
        f"Smoothness along the gradient, steps of {low:g} to {high:g}: {first.setting}"
        f"{f', {seeds} seeds' if seeds > 1 else ''}"
    )
    figure = canvas(title, list(groups), width=6.8, height=5.0)
    panels = figure.subplots(2, 2, sharex=True)
    for axes, (name, label) in zip(panels.flat, _PANELS.items(), strict=True):
        drawn = []
        for i, every in enumerate(groups.values()):
            steps, values = _stack(every, name)
            color, dash = COLORS[i % len(COLORS)], DASHES[i // len(COLORS) % len(DASHES)]
            (line,) = axes.plot(steps, np.nanmedian(values, 0), color=color, ls=dash)
            bounds = np.nanmin(values, 0), np.nanmax(values, 0)
            axes.fill_between(steps, *bounds, color=color, alpha=0.15, lw=0)
            drawn.append(line)
        axes.set_ylabel(label)
        low_, high_ = axes.dataLim.intervaly
        if not np.isfinite([low_, high_]).all():
            nothing(axes, "no finite values")
        elif low_ > 0:
            axes.set_yscale("log")
            axes.autoscale_view()
            plain_decades(axes.yaxis)
        if name == "loss":
            legend_outside(figure, drawn, list(groups))
    for axes in panels[-1]:
        axes.set_xlabel("steps")
    return figure


def smoothness_table(paths: Sequence[Path]) -> Table:
    """Medians over each run: their median over seeds, lowest and highest, and the ratio."""
    groups = _groups(paths)
    base = next(iter(groups.values()))
    rows = []
    for name in MEASURES:
        reference = median(_medians(base, name))
        for problem, every in groups.items():
            found = _medians(every, name)
            middle = median(found)
            low, high = (
                decimal(end) if len(found) > 1 else "n/a" for end in (min(found), max(found))
            )
            share = middle / reference if reference else float("nan")
            ended = [f"{p.seed} at {p.diverged}" for p in every if p.diverged is not None]
            rows.append(
                (
                    _WORDS[name],
                    problem,
                    interval(decimal(middle), low, high),
                    ratio(share),
                    f"diverged: seed {', '.join(ended)}" if ended else "",
                )
            )
    first = paths[0]
    norm = sorted({f"{p.problem} by {p.batch_norm}" for p in paths if p.batch_norm})
    footer = (
        f"{first.setting}; median over {len(first.steps)} steps of each run, then over seeds "
        f"{', '.join(sorted({str(p.seed) for p in paths}))}, with the lowest and the highest; at "
        f"each step {len(first.measures[0].rates)} steps of {first.measures[0].rates[0]:g} to "
        f"{first.measures[0].rates[-1]:g} along the gradient on the step's own batch"
        f"{'; batch normalisation: ' + ', '.join(norm) if norm else ''}"
    )
    right: Align = "right"
    return Table(
        "Smoothness along the gradient",
        ("measure", "problem", "median", "to the first", "note"),
        tuple(rows),
        footer,
        ("left", "left", right, right, "left"),
    )


def smoothness_record(path: Path) -> Mapping[str, Any]:
    """All of a path as plain values."""
    return {
        name: getattr(path, name)
        for name in ("problem", "setting", "seed", "rate", "batch_norm", "steps", "diverged")
    } | {
        "measures": [
            asdict(one) | {name: getattr(one, name) for name in MEASURES} for one in path.measures
        ]
    }


def _groups(paths: Sequence[Path]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(path.problem, []).append(path)
    return groups


def _stack(
    paths: Sequence[Path], name: str
) -> tuple[Int64[np.ndarray, " steps"], Float64[np.ndarray, "seeds steps"]]:
    """A measure of every seed at the steps of the longest run; NaN behind a run's end."""
    steps = max((p.steps for p in paths), key=len)
    values = np.full((len(paths), len(steps)), np.nan)
    for row, path in zip(values, paths, strict=True):
        found = np.array([getattr(one, name) for one in path.measures], float)
        row[: len(found)] = np.where(np.isfinite(found), found, np.nan)
    return np.array(steps, np.int64), values


def _medians(paths: Sequence[Path], name: str) -> list[float]:
    return [median(getattr(one, name) for one in path.measures) for path in paths]
