"""Tables as text: golden renderings, escapes, and CSV that reads back."""

import csv
import io
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.errors import BadValue
from ravine.reporting.layout import EMPTY, Form, Table, render

SMALL = Table(
    "Steps & shares",
    ("method", "steps", "share of 50%"),
    (("heavy_ball", "12 [10, 15]", "24/25"), ("a|b", "never in 1000", "<1%")),
    "plan: p_1; n = 25 per cell.",
    ("left", "right", "right"),
)

TERMINAL = """\
Steps & shares

method              steps    share of 50%
----------  -------------  --------------
heavy_ball    12 [10, 15]           24/25
a|b         never in 1000             <1%

plan: p_1; n = 25 per cell.
"""

MARKDOWN = r"""### Steps & shares

| method     |         steps |   share of 50% |
|:-----------|--------------:|---------------:|
| heavy_ball |   12 [10, 15] |          24/25 |
| a\|b       | never in 1000 |           \<1% |

plan: p_1; n = 25 per cell.
"""

LATEX = r"""\begin{table}
\centering
\caption{Steps \& shares}
\begin{tabular}{lrr}
\toprule
 method     &         steps &   share of 50\% \\
\midrule
 heavy\_ball &   12 [10, 15] &          24/25 \\
 a|b        & never in 1000 &            \ensuremath{<}1\% \\
\bottomrule
\end{tabular}
\par\smallskip{\footnotesize plan: p\_1; n = 25 per cell.}
\end{table}
"""

CSV = """\
method,steps,share of 50%
heavy_ball,"12 [10, 15]",24/25
a|b,never in 1000,<1%
"""

HTML = """\
<table>
<thead>
<tr><th>method</th><th style="text-align: right;">steps</th>\
<th style="text-align: right;">share of 50%</th></tr>
</thead>
<tbody>
<tr><td>heavy_ball</td><td style="text-align: right;">12 [10, 15]</td>\
<td style="text-align: right;">24/25</td></tr>
<tr><td>a|b</td><td style="text-align: right;">never in 1000</td>\
<td style="text-align: right;">&lt;1%</td></tr>
</tbody>
</table>
"""


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Form.TERMINAL, TERMINAL),
        (Form.MARKDOWN, MARKDOWN),
        (Form.LATEX, LATEX),
        (Form.CSV, CSV),
        (Form.HTML, HTML),
    ],
)
def test_golden_text(form: Form, expected: str) -> None:
    """A small table is rendered exactly so."""
    assert render(SMALL, form) == expected


def test_groups_are_named_once_in_the_terminal() -> None:
    """Rows that share their first cell stand under it, indented."""
    rows = (("bowl", "adam", "1"), ("bowl", "sgd", "2"), ("net", "adam", "3"), ("net", "sgd", "4"))
    table = Table("t", ("problem", "method", "steps"), rows)
    assert render(table, "terminal") == (
        "t\n\n"
        "  method    steps\n"
        "  --------  -------\n"
        "bowl\n"
        "  adam      1\n"
        "  sgd       2\n"
        "\n"
        "net\n"
        "  adam      3\n"
        "  sgd       4\n"
    )


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


@given(st.lists(st.tuples(TEXT, TEXT), max_size=4))
def test_csv_reads_back(rows: list[tuple[str, str]]) -> None:
    """Reading a CSV gives the cells that went in, whatever characters they hold."""
    table = Table("t", ("a,b", 'c"d'), tuple(rows))
    read = csv.reader(io.StringIO(render(table, Form.CSV), newline=""))
    assert list(map(tuple, read)) == [table.columns, *rows]


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells and data != "\n":
            self.cells[-1] += data


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_html_shows_every_cell_as_text(cells: list[str]) -> None:
    """No cell is taken for markup, and none loses more than surplus blanks."""
    parser = _Cells()
    parser.feed(render(Table("t", ("c",), tuple((cell,) for cell in cells)), Form.HTML))
    parser.close()
    assert [" ".join(cell.split()) for cell in parser.cells] == [
        "c",
        *(" ".join(cell.split()) for cell in cells),
    ]


@pytest.mark.parametrize("form", [f for f in Form if f is not Form.CSV])
def test_no_rows_are_said(form: Form) -> None:
    """A table without rows says so."""
    assert EMPTY in render(Table("t", ("a", "b"), (), "f"), form)


def test_multi_line_cells_stay_on_their_row() -> None:
    """The message of an error, with its line breaks, does not break a Markdown table."""
    text = render(Table("t", ("reason",), (("one\n  two",),)), Form.MARKDOWN)
    assert "| one two " in text


def test_unknown_form_names_the_known_ones() -> None:
    """A wrong form is answered with the right ones."""
    with pytest.raises(BadValue, match="terminal, markdown, latex, csv, html"):
        render(SMALL, "word")


@pytest.mark.parametrize(
    ("rows", "align"), [((("1",),), ()), ((("1", "2"),), ("left",))], ids=["row", "align"]
)
def test_wrong_shape_is_refused(rows: tuple[tuple[str, ...], ...], align: tuple[str, ...]) -> None:
    """Rows and alignments must fit the columns."""
    with pytest.raises(BadValue, match=r"`t`"):
        Table("t", ("a", "b"), rows, "", align)  # type: ignore[arg-type]


def test_sentences_are_broken_in_the_terminal() -> None:
    """A long sentence takes several lines, and a long id none but its own."""
    sentence = "a sentence that says far more than a line of a table may hold beside others"
    table = Table("Title", ("claim", "n"), ((sentence, "1"), ("id_" * 30, "2")))
    lines = render(table, "terminal").splitlines()[2:]
    assert " ".join(line[:50].strip() for line in lines[2:4]) == sentence
    assert lines[4].startswith("id_" * 30)
