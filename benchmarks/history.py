"""Draw what asv measured over commits: where optimizers get, and what it costs.

    python benchmarks/history.py

It reads the results that `asv run` left in `reports/history`, writes
`reports/figures/history.svg`, and prints which tracks changed and where.
"""

import argparse
import math
import subprocess
from ast import literal_eval
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise, product
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from ravine.reporting.drawing import (
    Look,
    canvas,
    legend_outside,
    looks,
    plain_decades,
    styled,
    to_png,
    to_svg,
)

SHOWN = ("sphere", "rosenbrock")
"""Problems with a plot of their own; every profile has them."""

STEP = "steps.Step.time_step"
GAP = "convergence.Convergence.track_log_gap"
GRID = "engine.Grid.time_grid"
TARGET = "convergence.Convergence.track_steps_to_target"

Key = tuple[str, ...]
"""A benchmark and its parameters."""


@dataclass(frozen=True, slots=True)
class History:
    """What was measured, commit by commit.

    Args:
        commits: short hashes with their dates, oldest first.
        series: for each benchmark and its parameters a value at every commit; not a number
            where the commit lacks it.
    """

    commits: tuple[str, ...]
    series: Mapping[Key, tuple[float, ...]]

    def of(self, benchmark: str) -> dict[Key, tuple[float, ...]]:
        """By the parameters of one benchmark."""
        return {key[1:]: values for key, values in self.series.items() if key[0] == benchmark}


def history(folder: Path, machine: str) -> History:
    """Read the results of one machine.

    Args:
        folder: where asv keeps results.
        machine: as asv knows it.
    """
    # not at the top: environments in which asv runs benchmarks, this file among them, lack it
    from asv.results import iter_results_for_machine

    results = sorted(iter_results_for_machine(str(folder), machine), key=lambda r: _place(r))
    found: dict[Key, list[float]] = {}
    for at, result in enumerate(results):
        for key, value in _values(result):
            found.setdefault(key, [math.nan] * len(results))[at] = value
    commits = tuple(
        f"{r.commit_hash[:7]}\n{datetime.fromtimestamp(r.date / 1000, UTC):%d %b %H:%M}"
        for r in results
    )
    return History(commits, {key: tuple(values) for key, values in sorted(found.items())})


def _place(result: Any) -> tuple[int, int]:
    """Dates may be equal; the number of ancestors then tells the order."""
    words = ("git", "rev-list", "--count", result.commit_hash)
    told = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parent)
    return result.date, int(told.stdout or 0)


def _values(result: Any) -> Iterator[tuple[Key, float]]:
    for name in result.get_all_result_keys():
        params = result.get_result_params(name)
        given = result.get_result_value(name, params)
        for which, value in zip(product(*params), given or [], strict=False):
            if value is not None:
                yield (name, *(str(literal_eval(word)) for word in which)), float(value)


def changes(found: History) -> dict[Key, tuple[int, ...]]:
    """Where each track that changed did so, as positions of commits.

    Rounding of single precision, one part in 10,000, is no change.
    """
    moved = {}
    for key, values in found.series.items():
        if ".track_" not in key[0]:
            continue
        known = [(i, v) for i, v in enumerate(values) if not math.isnan(v)]
        at = tuple(
            i
            for (_, before), (i, after) in pairwise(known)
            if not math.isclose(before, after, rel_tol=1e-4)
        )
        if at:
            moved[key] = at
    return moved


def sentence(found: History) -> str:
    """How many tracks changed over how many commits."""
    tracks = sum(".track_" in key[0] for key in found.series)
    moved = changes(found)
    if not moved:
        return f"all {tracks} tracks are the same at all {len(found.commits)} commits"
    places = sorted({found.commits[i].partition("\n")[0] for at in moved.values() for i in at})
    return (
        f"{len(moved)} of {tracks} tracks changed over {len(found.commits)} commits, "
        f"by {', '.join(places)}"
    )


@styled
def draw(found: History) -> Figure:
    """Where methods get, above; what a step and a grid take, below."""
    methods = sorted({which[0] for which in found.of(TARGET)})
    style = looks([*methods, "grid"])
    figure = canvas(
        f"ravine over its own commits: {sentence(found)}", list(style), width=9.5, height=5.6
    )
    plots = figure.subplots(2, 3, sharex=True)
    for axes, target in zip(plots[0], SHOWN, strict=False):
        _lines(axes, {m: v for (m, p), v in found.of(TARGET).items() if p == target}, style)
        axes.set_title(f"{target}: steps to a gap of 1e-4")
        axes.set_ylabel("steps (1,000: never)")
        axes.set_yscale("log")
        axes.set_ylim(1, 1500)
        plain_decades(axes.yaxis)
    gaps = {m: v for (m, p), v in found.of(GAP).items() if p == SHOWN[0]}
    _lines(plots[0, 2], gaps, style)
    plots[0, 2].set_title(f"{SHOWN[0]}: gap after 500 steps")
    plots[0, 2].set_ylabel("decades above 1e-16")
    plots[0, 2].set_ylim(-0.5, 16)
    for axes, size in zip(plots[1], ("1000", "100000"), strict=False):
        _lines(axes, {m: v for (m, n), v in found.of(STEP).items() if n == size}, style, 1e6)
        axes.set_title(f"a step on {int(size):,} elements")
        axes.set_ylabel("processor microseconds")
    grid = found.of(GRID).get(("25",), ())
    _lines(plots[1, 2], {"grid": grid}, style)
    plots[1, 2].set_title("a grid of 1,200 runs, 50 steps")
    plots[1, 2].set_ylabel("processor seconds")
    for axes in plots[1]:
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    for axes in plots.flat:
        axes.set_xlim(-0.3, len(found.commits) - 0.7)
        axes.xaxis.set_major_locator(FixedLocator(range(len(found.commits))))
        axes.set_xticklabels(_marks(found.commits), rotation=90, fontsize=6.5)
    plots[1, 1].set_xlabel("commit")
    handles = {label: line for axes in plots.flat for line, label in _drawn(axes)}
    ordered = [name for name in style if name in handles]
    legend_outside(figure, [handles[name] for name in ordered], ordered)
    return figure


def _marks(commits: Iterable[str]) -> list[str]:
    return [commit.replace("\n", ", ") for commit in commits]


def _drawn(axes: Axes) -> Iterator[tuple[object, str]]:
    return zip(*axes.get_legend_handles_labels(), strict=True)


def _lines(
    axes: Axes, lines: Mapping[str, Sequence[float]], style: Mapping[str, Look], scale: float = 1
) -> None:
    for name, values in lines.items():
        look = style[name]
        axes.plot(
            range(len(values)),
            [scale * value for value in values],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            label=name,
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=Path("reports/history"))
    parser.add_argument("--machine", default="two-cores")
    parser.add_argument("--out", type=Path, default=Path("reports/figures/history.svg"))
    asked = parser.parse_args()
    found = history(asked.results, asked.machine)
    if not found.commits:
        parser.error(f"{asked.results} has no results of {asked.machine}; run `asv run` first")
    figure = draw(found)
    asked.out.write_bytes(to_png(figure) if asked.out.suffix == ".png" else to_svg(figure))
    print(sentence(found))
    for key, at in changes(found).items():
        values = found.series[key]
        steps = ", ".join(
            f"{found.commits[i].partition(chr(10))[0]}: {values[i]:g}" for i in (0, *at)
        )
        print(f"  {key[0].rpartition('.')[2]}({', '.join(key[1:])}): {steps}")


if __name__ == "__main__":
    main()
