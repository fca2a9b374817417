"""What every figure shares: the style, the looks of methods, the place of legends, the bytes."""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib.resources import as_file, files
from typing import Any, ParamSpec

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

P = ParamSpec("P")

# Okabe and Ito (2008), "Color Universal Design": told apart by all common kinds of colour
# vision; their yellow is left out, being too pale for a line on white
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

CROWD = 4
"""More bands than this only hide the lines."""

_LEGEND_CHARACTERS = 34
_INCHES_PER_CHARACTER = 0.066
_INCHES_PER_TITLE_CHARACTER = 0.092
_INCHES_PER_LINE = 0.165


@dataclass(frozen=True, slots=True)
class Look:
    """How one method is drawn."""

    color: str
    dash: Any
    marker: str


@contextmanager
def style() -> Iterator[None]:
    """The project's style on top of matplotlib's defaults, whatever the user's settings."""
    source = files("ravine.reporting") / "ravine.mplstyle"
    with as_file(source) as path, matplotlib.style.context(["default", path]):
        yield


def at_rest() -> AbstractContextManager[None]:
    """No layout engine, so that saving a figure does not draw it once more beforehand."""
    return matplotlib.rc_context({"figure.constrained_layout.use": False})


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorate a function that draws a figure: it draws in the project's style."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with style():
            figure = draw(*args, **kwargs)
            # the layout creeps a little each time; here it comes to rest, so that a file
            # does not depend on what was saved before
            if engine := figure.get_layout_engine():
                engine.execute(figure)
                engine.execute(figure)
            with at_rest():
                figure.set_layout_engine(None)
            return figure

    return inner


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """The look of each method, by its place in the order given.

    Seven colours, then the same with another dash, so that 28 methods differ; after that
    looks repeat.  Give the same methods to every figure of a report and a method looks the
    same in all of them.
    """
    return {
        method: Look(
            COLORS[i % len(COLORS)],
            DASHES[i // len(COLORS) % len(DASHES)],
            MARKERS[i % len(MARKERS)],
        )
        for i, method in enumerate(dict.fromkeys(methods))
    }


def wrapped(text: str, width: int = _LEGEND_CHARACTERS, indent: str = "  ") -> str:
    """An id broken over lines, after a comma, bracket or slash where it has one."""
    lines = [""]
    for piece in re.findall(r"[^,(/\s]*[,(/]?\s*", text):
        if len(lines[-1]) + len(piece.rstrip()) > width and lines[-1].strip():
            lines.append(indent)
        while len(lines[-1]) + len(piece.rstrip()) > width:
            room = width - len(lines[-1])
            lines[-1] += piece[:room]
            piece = piece[room:]
            lines.append(indent)
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def breadth(texts: Iterable[str]) -> float:
    """Inches that the longest line of any of the texts takes at most, as a label."""
    longest = max((len(line) for text in texts for line in text.split("\n")), default=0)
    return _INCHES_PER_CHARACTER * longest


def canvas(
    title: str,
    labels: Sequence[str] = (),
    *,
    width: float = 6.0,
    height: float = 4.0,
) -> Figure:
    """An empty figure with a title and room for a legend on its right.

    Args:
        title: of the whole figure.
        labels: what the legend will hold.
        width: of the part without the legend, inches.
        height: inches; grown when the legend needs more.
    """
    legend = list(map(wrapped, labels))
    lines = sum(label.count("\n") + 1 for label in legend)
    beside = breadth(legend) + 0.6 if legend else 0.0
    figure = Figure(figsize=(width + beside, max(height, _INCHES_PER_LINE * lines + 0.9)))
    FigureCanvasAgg(figure)
    # above the plots alone, for the legend begins at the top
    room = int(width / _INCHES_PER_TITLE_CHARACTER)
    figure.suptitle(wrapped(title, room, indent=""), x=0.01, ha="left")
    return figure


def legend_outside(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Put one legend for the whole figure on its right, where it covers nothing."""
    if handles:
        figure.legend(handles, [wrapped(label) for label in labels], loc="outside right upper")


def legend_beside(figure: Figure, axes: Axes) -> None:
    """Put the legend of one plot on the right of the figure."""
    legend_outside(figure, *axes.get_legend_handles_labels())


def plain_decades(axis: Axis) -> None:
    """Label a logarithmic axis by plain numbers where they are short, without clutter."""
    low, high = sorted(axis.get_view_interval())
    if high < 4 * low:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    elif high < 30 * low:
        axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def nothing(axes: Axes, sentence: str) -> None:
    """Say in an empty plot why it is empty."""
    axes.text(0.5, 0.5, sentence, ha="center", va="center", transform=axes.transAxes)
    # the ticks themselves may be shared with another plot
    axes.tick_params(which="both", bottom=False, left=False, labelbottom=False, labelleft=False)
    axes.grid(visible=False)


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG; the same figure gives the same bytes, on any day."""
    return _saved(figure, "svg", {"Date": None, "Creator": None})


def to_png(figure: Figure) -> bytes:
    """The figure as PNG, 150 pixels an inch."""
    return _saved(figure, "png", {"Software": None})


def _saved(figure: Figure, form: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    with style(), at_rest():
        figure.savefig(buffer, format=form, metadata=metadata)
    return buffer.getvalue()
