"""Paths and solutions at the command line: tables, pictures, JSON, and errors in one sentence."""

import json
from pathlib import Path

import pytest

from ravine.cli import main

NET = """
import torch
from torch import nn
from ravine import ModuleProblem


def make_problem() -> ModuleProblem:
    x = torch.randn(96, 5, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] * x[:, 1] > x[:, 2]).long()

    def net() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2))

    def right(outputs, targets):
        return (outputs.argmax(-1) == targets).double().mean()

    return ModuleProblem(
        net, (x[:64], y[:64]), nn.CrossEntropyLoss(), test=(x[64:], y[64:]), accuracy=right
    )
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one, with a user's network in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path


def ask(*words: str) -> int:
    """Run the command and return its exit status."""
    try:
        main(("landscape", *words))
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_paths_on_a_formula_are_drawn_on_its_surface(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two coordinates need no components; the path that diverges is left out by name."""
    methods = ["adam(lr=0.1)", "sgd(lr=1)"]
    assert ask("path", "rosenbrock", "--methods", *methods, "--steps", "40", "--grid", "9") == 0
    out = capsys.readouterr().out
    assert "Checkpoints on rosenbrock\n" in out
    assert "Components" not in out
    assert "left out: sgd(lr=1) diverges at step" in out
    assert "off the line by" in out
    for name in ("", "-adam_lr_0.1_-residual"):
        picture = place / "ravine-out" / f"path-rosenbrock{name}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert len((place / "ravine-out" / "path-rosenbrock-plane.csv").read_text().split("\n")) == 13


def test_paths_of_a_user_s_network_lie_on_their_plane(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON holds every checkpoint's true loss beside the plane's, and the shares."""
    words = ["path", "net.py:make_problem", "--methods", "sgd(lr=0.1)", "adam(lr=0.01)"]
    assert ask(*words, "--steps", "30", "--checkpoints", "11", "--grid", "5", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert [path["method"] for path in record["paths"]] == ["sgd(lr=0.1)", "adam(lr=0.01)"]
    assert sum(record["uncentred"]) == pytest.approx(1.0)
    assert record["held"] == pytest.approx(sum(record["uncentred"][:2]))
    for path in record["paths"]:
        assert path["steps"] == list(range(0, 31, 3))
        assert len(path["plane_losses"]) == len(path["losses"]) == 11
        line = path["line"]
        assert (line["projections"][0], line["residuals"][0]) == (0.0, 0.0)
        for t in line["on_surface"]:
            assert line["surface_losses"][t] == pytest.approx(path["losses"][t], rel=1e-5)
    # both begin at one point
    assert record["paths"][0]["losses"][0] == record["paths"][1]["losses"][0]
    shares = (place / "ravine-out" / "path-net.py_make_problem-components.csv").read_text()
    assert shares.startswith("component,about the end,so far,about the mean,so far\n1,")


def test_solutions_of_a_user_s_network_are_compared(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two optimizers from two starts: four solutions, six pairs of three kinds, three figures."""
    methods = ["sgd(lr=0.1)", "adam(lr=0.01)", "sgd(lr=1e30)"]
    words = ["solutions", "net.py:make_problem", "--methods", *methods, "--seeds", "0", "3"]
    assert ask(*words, "--steps", "20") == 0
    out = capsys.readouterr().out
    for line in (
        "Distances of solutions, and cosines",
        "test accuracy",
        "left out: sgd(lr=1e+30) from start 3 diverges at step",
    ):
        assert line in out
    folder = place / "ravine-out"
    for name in ("map", "thresholds", "norms"):
        picture = folder / f"solutions-net.py_make_problem-{name}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert len((folder / "solutions-net.py_make_problem.csv").read_text().splitlines()) == 5
    pairs = (folder / "solutions-net.py_make_problem-pairs.csv").read_text()
    assert [row.rsplit('"', 1)[1][:3] for row in pairs.splitlines()[1:]] == [",2,"] * 3


def test_solutions_of_a_formula_lie_on_one_instance(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From all starts the runs end in the same minimum, that of the instance of `--data-seed`."""
    words = ["solutions", "sphere(dim=3)", "--methods", "sgd(lr=0.3)", "--seeds", "0", "1"]
    assert ask(*words, "--data-seed", "5", "--steps", "60", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert max(record["losses"]) < 1e-12
    assert record["distances"][0][1] < 1e-6
    assert record["test_accuracies"] is None
    assert record["norm_variance"]["ratio"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["path", "rosenbrock", "--methods", "sgd"], "leaves lr to be tuned"),
        (["path", "rosenbrock", "--methods", "sgd(lr=1)"], "all runs diverge on `rosenbrock`"),
        (["path", "rosenbrok", "--methods", "sgd(lr=1)"], "rosenbrock"),
        (["path", "sphere(dim=1)", "--methods", "sgd(lr=0.1)"], "has one coordinate"),
        (["path", "rosenbrock", "--methods", "sgd(lr=1)", "--steps", "0"], "`steps` must be"),
        (["path", "rosenbrock", "--methods", "sgd(lr=0.1)", "--grid", "1"], "`grid` must be"),
        (
            ["solutions", "rosenbrock", "--methods", "sgd(lr=0.1)", "--seeds", "1"],
            "nothing to be compared with",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """It says what is wrong on standard error, with exit status 2."""
    assert ask(*words) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
