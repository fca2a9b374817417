"""Lines and barriers as pictures, tables and plain records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from ravine.landscape.barriers import Barrier, Height
from ravine.landscape.lines import Line, Measure, Profile, profile
from ravine.reporting.cells import decimal, percent
from ravine.reporting.drawing import COLORS, DASHES, canvas, legend_outside, plain_decades, styled
from ravine.reporting.layout import Align, Table

_WIDE = 30.0  # a ratio of high to low values that equal steps cannot show
_SEEN = 0.01  # of the range of all curves; a lower barrier cannot be seen
_CROWD = 3  # with more curves than this, chords of the first split alone


@styled
def line_figure(lines: Mapping[str, Mapping[str, Line]], title: str) -> Figure:
    """Draw loss, and accuracy where there is any, against alpha.

    The ends are marked, and chord and barrier drawn where there is one.  The loss has a
    logarithmic axis where equal steps would hide its low parts.  Values that are not finite
    are marked by crosses at the upper edge.

    Args:
        lines: by label and by split.
        title: of the figure.
    """
    curves = [(label, split, one) for label, each in lines.items() for split, one in each.items()]
    several = len(lines) > 1
    splits = list(dict.fromkeys(split for _, split, _ in curves))
    labels = list(lines) if several else [split or "loss" for split in splits]
    right = any(one.errors is not None for *_, one in curves)
    keys = [*labels, *(splits if several and len(splits) > 1 else ()), "chord and barrier"]
    figure = canvas(title, keys, width=6.2, height=5.6 if right else 4.0)
    axes = figure.subplots(2 if right else 1, sharex=True, squeeze=False)[:, 0]
    if right:
        axes[0].get_gridspec().set_height_ratios([3, 2])
    colors = {name: COLORS[i % (len(COLORS) - 1)] for i, name in enumerate(labels)}
    dashes = dict(zip(splits, DASHES, strict=False))
    finite = np.concatenate([one.losses[one.losses.isfinite()].numpy() for *_, one in curves])
    span = np.ptp(finite) if len(finite) else 0.0
    chords = False
    for label, split, one in curves:
        color = colors[label if several else split or "loss"]
        alphas = one.alphas.numpy()
        shape = profile(one) if len(curves) <= _CROWD or split == splits[0] else None
        shape = shape if shape and shape.height > _SEEN * span else None
        _draw(axes[0], alphas, one.losses.numpy(), shape, color, dashes[split])
        chords |= shape is not None
        if one.errors is not None:
            share = 100 * (1 - one.errors.numpy())
            _draw(axes[1], alphas, share, None, color, dashes[split])
    _scale(axes[0], [one.losses.numpy() for *_, one in curves])
    axes[0].set_ylabel("loss")
    if right:
        axes[1].set_ylabel("accuracy [%]")
    axes[-1].set_xlabel("α, from 0 at the start of a line to 1 at its end")
    for panel in axes:
        for end in (0, 1):
            panel.axvline(end, color="#555555", lw=0.8, zorder=0.5)
        panel.margins(x=0.02)
    _legend(figure, colors, dashes, splits if several and len(splits) > 1 else (), chords)
    return figure


def line_table(lines: Mapping[str, Mapping[str, Line]], title: str) -> Table:
    """What is measured of lines, in words."""
    splits = list(dict.fromkeys(split for each in lines.values() for split in each))
    rows: list[tuple[str, ...]] = []
    for label, each in lines.items():
        measures: tuple[Measure, ...] = ("loss", "error")
        for measure in measures:
            found = {s: _measured(each[s], measure) for s in splits if s in each}
            if any(found.values()):
                words = {s: dict(_words(p, measure)) if p else {} for s, p in found.items()}
                names = dict.fromkeys(name for w in words.values() for name in w)
                rows += [
                    (label, name, *(words.get(s, {}).get(name, "") for s in splits))
                    for name in names
                ]
    columns = ("line", "what", *(split or "value" for split in splits))
    every = [one for each in lines.values() for one in each.values()]
    return Table(title, columns, tuple(rows), _footer(every))


def barrier_table(
    barriers: Mapping[tuple[int, int], Mapping[str, Barrier]], names: Sequence[str], title: str
) -> Table:
    """The heights of all barriers as a matrix for each split and measure."""
    first = next(iter(barriers.values()))
    rows: list[tuple[str, ...]] = []
    for split, one in first.items():
        for measure in ("loss", "error") if one.error is not None else ("loss",):
            what = f"{split} {measure}".strip()
            for i, name in enumerate(names):
                cells = [
                    _height(_of(barriers[min(i, j), max(i, j)][split], measure), measure)
                    if i != j
                    else "-"
                    for j in range(len(names))
                ]
                rows.append((what, f"{i + 1}: {name}", *cells))
    columns = ("barrier in", "between", *(str(i + 1) for i in range(len(names))))
    right: Align = "right"
    sides: tuple[Align, ...] = ("left", "left", *(right for _ in names))
    every = [b for each in barriers.values() for b in each.values()]
    widest = max(h.width for b in every for h in (b.loss, b.error) if h is not None)
    points = min(len(b.line.alphas) for b in every)
    found = f"at least {points} points a pair, the highest one known to {decimal(widest, 1)} in α"
    footer = f"{_footer([b.line for b in every])}; {found}"
    return Table(title, columns, tuple(rows), footer, sides)


def line_record(line: Line) -> dict[str, Any]:
    """Every number of a line but its ends, for JSON."""
    return {
        **about(line),
        "alphas": line.alphas.tolist(),
        "losses": line.losses.tolist(),
        "errors": None if line.errors is None else line.errors.tolist(),
        "loss": asdict(profile(line)),
        "error": None if line.errors is None else asdict(profile(line, "error")),
    }


def barrier_record(barrier: Barrier) -> dict[str, Any]:
    """Every number of a barrier but its ends, for JSON."""
    return {
        **about(barrier.line),
        "loss": asdict(barrier.loss),
        "error": None if barrier.error is None else asdict(barrier.error),
        "alphas": barrier.line.alphas.tolist(),
        "losses": barrier.line.losses.tolist(),
        "errors": None if barrier.line.errors is None else barrier.line.errors.tolist(),
    }


def about(line: Line) -> dict[str, Any]:
    """Of what a line is, for JSON."""
    return {
        "problem": line.problem,
        "split": line.split,
        "examples": line.examples,
        "batch_norm": line.batch_norm,
        "way": line.way,
        "reason": line.reason,
        "dtype": str(line.start.dtype).removeprefix("torch."),
        "distance": line.distance,
    }


def _draw(
    axes: Axes,
    alphas: Float64[np.ndarray, " A"],
    values: Float64[np.ndarray, " A"],
    shape: Profile | None,
    color: str,
    dash: Any,
) -> None:
    """Draw one curve with its ends, and its barrier if its shape is given."""
    finite = np.isfinite(values)
    axes.plot(alphas, np.where(finite, values, np.nan), color=color, ls=dash)
    ends = np.isin(alphas, [0, 1])
    axes.plot(alphas[ends], values[ends], "o", color=color, ms=5, mec="white", mew=0.8, zorder=5)
    if not finite.all():
        top = axes.get_xaxis_transform()
        lost = alphas[~finite]
        axes.plot(lost, np.ones(len(lost)), "x", color=color, ms=4, transform=top, clip_on=False)
    if shape is None:
        return
    x = np.linspace(0, 1, 101)
    axes.plot(x, (1 - x) * shape.ends[0] + x * shape.ends[1], color=color, lw=0.9, ls=":")
    foot = (1 - shape.at) * shape.ends[0] + shape.at * shape.ends[1]
    axes.annotate(
        "",
        (shape.at, foot + shape.height),
        (shape.at, foot),
        arrowprops={"arrowstyle": "<->", "color": color, "lw": 0.9, "shrinkA": 0, "shrinkB": 0},
    )
    axes.annotate(
        decimal(shape.height),
        (shape.at, foot + shape.height),
        xytext=(4, 3),
        textcoords="offset points",
        color=color,
        fontsize=8,
    )


def _scale(axes: Axes, curves: Sequence[Float64[np.ndarray, " A"]]) -> None:
    """A logarithmic axis where low and high values differ much; zeros need a linear foot."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values)]
    sizes = np.sort(np.abs(values))[int(0.02 * len(values)) :]  # but the very foot of a minimum
    sizes = sizes[sizes > 0]
    if not len(sizes) or sizes[-1] < _WIDE * sizes[0]:
        return
    if values.min() > 1e-3 * sizes[0]:
        axes.set_yscale("log")
        plain_decades(axes.yaxis)
    elif sizes[-1] > _WIDE * np.quantile(sizes, 0.25):
        axes.set_yscale("symlog", linthresh=10.0 ** np.floor(np.log10(np.quantile(sizes, 0.1))))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.axhline(0, color="#555555", lw=0.6, zorder=0.5)


def _legend(
    figure: Figure,
    colors: Mapping[str, str],
    dashes: Mapping[str, Any],
    splits: Sequence[str],
    chord: bool,
) -> None:
    handles = [
        Line2D([], [], color=color, ls=dashes.get(name, "-")) for name, color in colors.items()
    ]
    names = list(colors)
    for split in splits:
        handles.append(Line2D([], [], color="#555555", ls=dashes[split]))
        names.append(split)
    handles.append(Line2D([], [], color="#555555", marker="o", mec="white", ls="none"))
    names.append("ends, at α = 0 and 1")
    if chord:
        handles.append(Line2D([], [], color="#555555", lw=0.9, ls=":"))
        names.append("chord, and the barrier over it")
    legend_outside(figure, handles, names)


def _measured(line: Line, measure: Measure) -> Profile | None:
    return profile(line, measure) if measure == "loss" or line.errors is not None else None


def _words(shape: Profile, measure: Measure) -> Iterator[tuple[str, str]]:
    """What is measured of a curve: a name, and what was found."""
    number = percent if measure == "error" else decimal
    unknown = f"not known, {shape.nonfinite} values are not finite"
    yield f"{measure} at the ends", f"{number(shape.ends[0])} → {number(shape.ends[1])}"
    rise = f"no, rises by {number(shape.rise)}"
    if shape.final_rise > shape.tolerance:
        rise += f", {number(shape.final_rise)} of it at the end"
    yield (
        f"{measure} monotone between them",
        unknown if shape.monotone is None else "yes" if shape.monotone else rise,
    )
    bounded = "at least " if shape.nonfinite else ""
    yield (
        f"{measure} barrier over the chord",
        unknown
        if np.isnan(shape.height)
        else f"{bounded}{number(shape.height)} at α = {decimal(shape.at, 4)}"
        if shape.height > shape.tolerance
        else "none",
    )
    if measure == "loss":
        bend = f"smallest second divided difference {decimal(shape.bend)}"
        convex = "yes" if shape.convex else "no"
        yield (
            "loss convex between them",
            unknown if shape.convex is None else f"{convex}, {bend}",
        )
        yield "local minima of the loss", _places(shape.minima)
        yield "local maxima of the loss", _places(shape.maxima)
    yield (
        f"lowest {measure}",
        "none is finite"
        if np.isnan(shape.lowest)
        else f"{number(shape.lowest)} at α = {decimal(shape.lowest_at, 4)}",
    )
    if shape.nonfinite:
        yield f"{measure} not finite", f"{shape.nonfinite} values, left out"


def _places(alphas: Sequence[float]) -> str:
    if not alphas:
        return "none"
    shown = ", ".join(decimal(round(a, 9), 4) for a in alphas[:6])
    return f"{len(alphas)}, at α = {shown}{', ...' if len(alphas) > 6 else ''}"


def _of(barrier: Barrier, measure: str) -> Height:
    found = barrier.loss if measure == "loss" else barrier.error
    assert found is not None
    return found


def _height(height: Height, measure: str) -> str:
    shown = (percent if measure == "error" else decimal)(height.height)
    return f">= {shown}, {height.nonfinite} not finite" if height.nonfinite else shown


def _footer(lines: Sequence[Line]) -> str:
    """Data, policy and distances."""
    splits = {one.split: one.examples for one in lines if one.split}
    data = [f"{count:,} {split} examples" for split, count in splits.items()]
    norms = dict.fromkeys(one.batch_norm for one in lines if one.batch_norm)
    policy = [f"moments of batch normalisation {', '.join(norms)}"] if norms else []
    far = sorted(one.distance for one in lines)
    span = decimal(far[0]) if far[0] == far[-1] else f"{decimal(far[0])} to {decimal(far[-1])}"
    shared = dict.fromkeys(one.reason for one in lines if one.way == "shared")
    how = [f"first layers shared ({', '.join(shared)})"] if shared else []
    words = [*data, *policy, *how, f"distance of the ends {span}"]
    return "; ".join(words)
