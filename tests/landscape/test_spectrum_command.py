"""`ravine landscape spectrum` answers in tables, figures and JSON, and refuses bad input."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ravine.cli import main
from ravine.landscape.operators import of_matrix
from ravine.landscape.spectrum.density import density
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.spectrum.trace import trace
from ravine.reporting.drawing import to_png
from ravine.reporting.landscape.spectrum import (
    density_figure,
    eigenvalue_figure,
    eigenvalue_table,
    moment_table,
    trace_table,
)


def test_a_formulas_spectrum_is_that_of_its_closed_form(tmp_path: Path, capsys) -> None:
    """At Rosenbrock's minimum the eigenvalues are the roots of x^2 - 1002 x + 400."""
    status = main(
        [
            "landscape", "spectrum", "rosenbrock", "--at", "1,1", "--density", "--groups",
            "--json", "--out", str(tmp_path),
        ]
    )  # fmt: skip
    assert status in (0, None)
    found = json.loads(capsys.readouterr().out)
    root = (501**2 - 400) ** 0.5
    assert found["eigenvalues"]["values"] == pytest.approx([501 + root, 501 - root], rel=1e-9)
    assert found["trace"]["value"] == pytest.approx(1002.0)
    assert found["density"]["moments"][1]["value"] == pytest.approx((1002**2 - 800) / 2)
    assert found["groups"][0]["name"] == "x"
    names = {path.name for path in tmp_path.iterdir()}
    assert {"spectrum-rosenbrock-1_1.png", "spectrum-rosenbrock-1_1-density.svg"} <= names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sphere", "--top", "0", "--bottom", "0"], "both 0"),
        (["sphere", "--tol", "2"], "`tol` must lie between 0 and 1"),
        (["sphere", "--at", "1,2,3"], "has 2 coordinates, got 3"),
        (["sphere", "--matrix", "fisher"], "is no mean over examples"),
        (["sphere", "--matrix", "gauss-newton"], "has no outputs"),
        (["sphere", "--density", "--bandwidth", "-1"], "`bandwidth` must be positive"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], message: str, capsys, tmp_path) -> None:
    """Each is refused with a remedy and exit status 2."""
    with pytest.raises(SystemExit) as left:
        raise SystemExit(main(["landscape", "spectrum", *words, "--out", str(tmp_path)]))
    assert left.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_what_did_not_converge_is_told_and_drawn() -> None:
    """The table, the note and the figure's legend say so."""
    draw = torch.randn(400, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    operator = of_matrix(draw + draw.T, "matrix")
    short = extreme(operator, 3, 2, tol=1e-9, most=20)
    table = eigenvalue_table(short, "somewhere")
    assert [row[-1] for row in table.rows] == ["did not converge"] * 5
    assert "stopped after 20 products" in table.footer
    figure = eigenvalue_figure(short, "somewhere")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["did not converge"]
    assert "did not converge" in trace_table(trace(operator, most=32), "somewhere").footer


def test_densities_of_all_kinds_are_drawn() -> None:
    """Estimated with outliers on both sides, exact, of zero, and one that is not a number."""
    draw = torch.randn(1000, 1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = (draw + draw.T) / 50
    matrix[0, 0], matrix[1, 1] = 20.0, -20.0
    for found in (
        density(of_matrix(matrix), largest=1, smallest=1, probes=2, steps=30),
        density(of_matrix(matrix[:50, :50])),
        density(of_matrix(torch.zeros(400, 400))),
        density(of_matrix(torch.full((400, 400), torch.nan))),
    ):
        assert to_png(density_figure(found, "somewhere"))
    wrong = replace(found, note="odd")
    assert "odd" in moment_table(wrong, "somewhere").footer
