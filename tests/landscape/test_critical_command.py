"""`ravine landscape classify` answers in words, tables, pictures and JSON."""

import json
from pathlib import Path

import pytest
import torch

from ravine.cli import main
from ravine.landscape.critical.classify import classify
from ravine.landscape.sources import surface
from ravine.problems import problem
from ravine.reporting.landscape.critical import point_table, sentence, spectrum_figure


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(["landscape", "classify", *words])
    return capsys.readouterr().out


def test_all_points_of_a_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a place all nine points of Himmelblau's function are listed, and drawn."""
    words = ["himmelblau", "--starts", "200", "--out", str(tmp_path)]
    said = answer(capsys, *words)
    assert said.startswith("9 critical points from 200 starts in the domain: 4 minima, 4 saddles")
    assert said.count("-0.2708446, -0.9230386") == 1
    assert {p.suffix for p in tmp_path.iterdir()} == {".png", ".svg", ".csv"}
    record = json.loads(answer(capsys, *words, "--json"))
    assert sum(p["starts"] for p in record["points"]) + sum(record["rejected"].values()) == 200
    assert record["kinds"] == {"minimum": 4, "saddle": 4, "maximum": 1}


@pytest.mark.parametrize(
    ("id", "place", "said"),
    [
        (
            "himmelblau",
            "3,2",
            "minimum: eigenvalues 25.72, 82.28; the label is the same",
        ),
        ("monkey_saddle", "0,0", "degenerate of nullity 2: eigenvalues 0, 0; neither minimum nor"),
        ("bounded_saddle", "-0.0,0", "saddle of index 1: eigenvalues -1, 1; the label"),
        ("quartic_bowl", "0,0", "degenerate of nullity 2: eigenvalues 0, 0; minimum by fourth"),
        ("himmelblau", "1,1", "not critical: |g| is "),
        ("himmelblau", "sgd(lr=0.01)@2", "minimum: "),
    ],
)
def test_one_place(
    id: str, place: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A place is answered in one sentence first."""
    assert answer(capsys, id, f"--at={place}", "--out", str(tmp_path)).startswith(said)


def test_a_continuum_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a ring of minima a few are written out, and how many more there are."""
    said = answer(capsys, "sombrero", "--starts", "50", "--out", str(tmp_path))
    assert "more places" in said
    assert len(said.splitlines()) < 25


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A problem without a domain and a place elsewhere end with status 2 and a remedy."""
    for words in (["mnist_mlp"], ["himmelblau", "--at", "1,2,3"], ["ackley"]):
        with pytest.raises(SystemExit) as left:
            main(["landscape", "classify", *words, "--out", str(tmp_path)])
        assert left.value.code == 2
        assert "give" in capsys.readouterr().err


def test_a_label_that_depends_on_the_tolerance_is_said() -> None:
    """The sentence names the other labels, the table tau's parts, the figure every sign."""
    values = torch.tensor([3e-9, 1.0, 2.0], dtype=torch.float64)
    form = problem("quadratic(eigenvalues=(3e-9, 1.0, 2.0))")
    (point,) = classify(surface(form), torch.zeros_like(values))
    assert sentence(point).endswith("at a tenth of tau it is minimum, at ten times tau degenerate")
    cells = dict(point_table(point, "f").rows)
    assert cells["tau, zero up to"].startswith("2.0e-09 (")
    labels = [text.get_text() for text in spectrum_figure(point, "f").legends[0].get_texts()]
    assert labels == ["positive: 3", "zero within tau"]
