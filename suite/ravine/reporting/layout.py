"""A table of text cells and its renderings; what goes into the cells is decided elsewhere."""

import csv
import io
import re
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Literal

from tabulate import LATEX_ESCAPE_RULES, tabulate

from ravine.errors import BadValue

Align = Literal["left", "right", "center"]


class Form(StrEnum):
    """What a table is rendered as."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    HTML = "html"


EMPTY = "no rows"
"""What stands for the body of a table without rows."""

_WIDTH = 88
_SENTENCE = 50
_MARKDOWN_SPECIAL = re.compile(r"([\\|*<>`])")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under named columns.

    Args:
        title: one line, without a full stop.
        columns: column names; units in brackets.
        rows: one text for each column.
        footer: where the numbers come from, one line.
        align: of each column; empty for all left.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    footer: str = ""
    align: tuple[Align, ...] = ()

    def __post_init__(self) -> None:
        if self.align and len(self.align) != len(self.columns):
            raise BadValue(
                f"`align` must name one side for each of the {len(self.columns)} columns of "
                f"`{self.title}`, got {len(self.align)}; leave it empty for all left"
            )
        for row in self.rows:
            if len(row) != len(self.columns):
                raise BadValue(
                    f"a row of `{self.title}` must have {len(self.columns)} cells, got "
                    f"{len(row)}; give an empty text for a cell with nothing to say"
                )

    @property
    def sides(self) -> tuple[Align, ...]:
        """The alignment of every column."""
        left: tuple[Align, ...] = ("left",)
        return self.align or left * len(self.columns)


def render(table: Table, form: Form | str = Form.TERMINAL) -> str:
    """Render a table; ends with a line break.

    LaTeX needs the package booktabs.  CSV holds the header and the rows alone, so that it
    reads back as a table.

    Args:
        table: what to render.
        form: `terminal`, `markdown`, `latex`, `csv` or `html`.

    Raises:
        BadValue: the form is none of these.

    Example:
        >>> print(render(Table("Steps", ("method", "steps"), (("sgd", "12"),)), "csv"), end="")
        method,steps
        sgd,12
    """
    if form not in tuple(Form):
        raise BadValue(f"`form` must be one of {', '.join(Form)}, got `{form}`; choose one of them")
    match Form(form):
        case Form.TERMINAL:
            return _terminal(table)
        case Form.MARKDOWN:
            return _markdown(table)
        case Form.LATEX:
            return _latex(table)
        case Form.CSV:
            return _csv(table)
        case Form.HTML:
            return _html(table)


def _body(style: str, rows: list[list[str]], columns: list[str], align: tuple[Align, ...]) -> str:
    return tabulate(
        rows,
        headers=columns,
        tablefmt=style,
        colalign=align,
        # cells are text already; tabulate must not read 1e-05 and print 0.00001
        disable_numparse=True,
    )


def _flat(table: Table) -> list[list[str]]:
    return [[" ".join(cell.split()) for cell in row] for row in table.rows]


def _terminal(table: Table) -> str:
    rows = _flat(table)
    groups = [name for name, _ in groupby(rows, key=itemgetter(0))]
    if not rows:
        body = EMPTY
    elif len(table.columns) > 1 and len(groups) <= len(rows) / 2:
        body = _grouped(table, rows)
    else:
        broken = [[_broken(first), *rest] for first, *rest in rows]
        body = _body("simple", broken, list(table.columns), table.sides)
    parts = [table.title, "", body]
    if table.footer:
        parts += ["", textwrap.fill(table.footer, _WIDTH, break_on_hyphens=False)]
    return "\n".join(parts) + "\n"


def _broken(text: str) -> str:
    """A sentence over several lines; what has no spaces stays whole."""
    return "\n".join(textwrap.wrap(text, _SENTENCE, break_long_words=False, break_on_hyphens=False))


def _grouped(table: Table, rows: list[list[str]]) -> str:
    """Rows under the name in their first column, said once: lines are that much shorter."""
    rest = [row[1:] for row in rows]
    head, rule, *lines = _body("simple", rest, list(table.columns[1:]), table.sides[1:]).split("\n")
    parts = [f"  {head}", f"  {rule}"]
    for before, row, line in zip([None, *rows], rows, lines, strict=False):
        if before is None or before[0] != row[0]:
            parts += ["", row[0]] if before else [row[0]]
        parts.append(f"  {line}")
    return "\n".join(parts)


def markdown(text: str) -> str:
    """Text that Markdown shows as it is; underscores within words need no escape."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", text)


def _markdown(table: Table) -> str:
    rows = [[markdown(cell) for cell in row] for row in _flat(table)]
    columns = [markdown(name) for name in table.columns]
    body = _body("pipe", rows, columns, table.sides) if rows else EMPTY
    parts = [f"### {markdown(table.title)}", body]
    if table.footer:
        parts.append(markdown(table.footer))
    return "\n\n".join(parts) + "\n"


def _latex(table: Table) -> str:
    def escape(text: str) -> str:
        return "".join(LATEX_ESCAPE_RULES.get(char, char) for char in text)

    body = _body("latex_booktabs", _flat(table), list(table.columns), table.sides)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.title)}}}",
        body if table.rows else EMPTY,
    ]
    if table.footer:
        lines.append(rf"\par\smallskip{{\footnotesize {escape(table.footer)}}}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([table.columns, *table.rows])
    return text.getvalue()


def _html(table: Table) -> str:
    rows = _flat(table)
    body = _body("html", rows, list(table.columns), table.sides) if rows else f"<p>{EMPTY}</p>"
    # tabulate pads cells for a reader of the source
    return re.sub(r" +(</t[dh]>)", r"\1", re.sub(r"(<t[dh][^>]*>) +", r"\1", body)) + "\n"
