"""What a person meets at `ravine landscape line` and `barrier`."""

import csv
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from ravine.cli import main
from ravine.engine import walk as engine
from ravine.problems import problem

BOWL = """
def bowl(x):
    return x[0] ** 2 + 4 * x[1] ** 2
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(*words: str) -> int:
    """Run the command and return its exit status."""
    try:
        main(["landscape", *words])
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_a_line_is_drawn_told_and_given_as_numbers(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are there, the words are right, and JSON holds every value."""
    (place / "bowl.py").write_text(BOWL)
    words = ("bowl.py:bowl", "--from=-1,1", "--to", "0,0", "--alphas", "-2:2:41")
    assert ask("line", *words) == 0
    out = capsys.readouterr().out
    assert "loss monotone between them   yes" in out
    assert "loss barrier over the chord  none" in out
    assert "loss convex between them     yes, smallest second divided difference 10" in out
    assert "1, at α = 1" in out
    (png,) = (place / "ravine-out").glob("line-*.png")
    assert png.read_bytes().startswith(b"\x89PNG")
    (table,) = (place / "ravine-out").glob("line-*.csv")
    assert next(csv.reader(table.read_text().splitlines())) == ["line", "what", "value"]

    assert ask("line", *words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (one,) = found["lines"]
    assert (one["from"], one["to"]) == ("-1,1", "0,0")
    on = one["on"][""]
    assert on["alphas"] == pytest.approx(np.linspace(-2, 2, 41), abs=1e-9)
    assert on["losses"] == pytest.approx(5 * (1 - np.linspace(-2, 2, 41)) ** 2, abs=1e-9)
    assert on["loss"]["monotone"] is True
    assert on["loss"]["bend"] == pytest.approx(10)


def test_several_starts_share_one_run(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two starts to one end on training and test images: the end is trained once."""
    runs = []
    plain = engine.walk

    def counted(*args: object, **kwargs: object) -> object:
        runs.append(args[3])
        return plain(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(import_module("ravine.cli.landscape.places"), "walk", counted)
    words = ["mnist_softmax", "--from", "start@0", "start@1", "--to", "sgd(lr=0.1)@0"]
    assert ask("line", *words, "--steps", "30", "--examples", "200", "--alphas", "0,0.5,1") == 0
    shown = capsys.readouterr()
    assert runs == [30]
    assert "6 points: about" in shown.err
    assert "200 train examples; 10,000 test examples" in shown.out
    assert "start@0\n" in shown.out
    assert "start@1\n" in shown.out
    assert "loss monotone between them" in shown.out
    assert "error at the ends" in shown.out


def test_barriers_of_all_pairs_are_a_matrix(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three minima of Himmelblau: symmetric heights, as tables and as JSON."""
    places = [",".join(map(str, x)) for x in problem("himmelblau").facts.minimizers[:2]]
    # also a state dict, as torch.save has written it
    third = problem("himmelblau").facts.minimizers[2]
    torch.save({"x": torch.tensor(third, dtype=torch.float64)}, place / "third.pt")
    between = [f"--between={p}" for p in [*places, "third.pt"]]
    assert ask("barrier", "himmelblau", *between, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    heights = {tuple(one["between"]): one["on"][""]["loss"]["height"] for one in found["barriers"]}
    assert len(heights) == 3
    assert min(heights.values()) > 1
    assert ask("barrier", "himmelblau", *between) == 0
    out = capsys.readouterr().out
    assert "3: third.pt" in out
    rows = [line.split() for line in out.splitlines() if line.lstrip()[:2] in ("1:", "2:", "3:")]
    matrix = [row[2:] for row in rows]
    assert all(matrix[i][j] == matrix[j][i] for i in range(3) for j in range(3))
    assert float(matrix[0][1]) == pytest.approx(heights[tuple(places)], rel=1e-2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("line", "sphere", "--from", "start", "--to", "0,0,0"), "has 2 coordinates, got 3"),
        (("line", "sphere", "--from", "0,0", "--to", "1,1", "--alphas", "0:1"), "`alphas` must be"),
        (
            ("line", "sphere", "--from", "0,0", "1,0", "2,0", "--to", "1,1", "0,1"),
            "--from names 3 places and --to 2",
        ),
        (
            ("line", "sphere", "--from", "sgd(lr=0.1)@0", "--to", "sgd(lr=0.1)@1"),
            "seeds 0, 1 are on as many instances",
        ),
        (("line", "sphere", "--from", "0,0", "--to", "sgd"), "leaves lr to be tuned"),
        (("line", "sphere", "--from", "0,0", "--to", "sgd(lr=1e9)"), "diverges on `sphere`"),
        (("barrier", "sphere", "--between", "0,0"), "two places or more"),
        (("barrier", "sphere", "--between", "0,0", "1,1", "--points", "5"), "at least 25, got 5"),
    ],
)
def test_bad_input_is_one_sentence(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is said with a remedy on standard error; the status is 2."""
    assert ask(*words) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_places_on_two_instances_of_a_formula_have_no_common_ground(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shifted formula is another surface for each seed; runs of two seeds are not mixed."""
    assert ask("line", "sphere", "--from", "start@0", "--to", "sgd(lr=0.1)@1", "--steps", "3") == 2
    assert "seeds 0, 1 are on as many instances of `sphere`" in capsys.readouterr().err
    assert ask("sharpness", "sphere", "--at", "sgd(lr=0.4)@2", "--steps", "200", "--json") == 0
    found = json.loads(capsys.readouterr().out)["places"]["sgd(lr=0.4)@2"]
    assert abs(found["loss"]) < 1e-12  # the minimum of the run's own instance
