"""`ravine landscape match`: from two places to tables, a figure and numbers for programs."""

import json
from pathlib import Path

import pytest

from ravine.cli import main

CODE = """
import torch
from torch import nn
from torch.nn import functional as F
from ravine.problems.modules.module import ModuleProblem

draw = torch.Generator().manual_seed(0)
labels = torch.randint(3, (120,), generator=draw)
inputs = torch.randn(3, 1, 4, 4, generator=draw)[labels]
inputs = inputs + torch.randn(inputs.shape, generator=draw)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.inner, self.back = nn.Conv2d(6, 8, 1), nn.Conv2d(8, 6, 1)
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = x + self.back(F.relu(self.inner(x)))
        return self.out(x.mean((2, 3)))


class Branching(nn.Linear):
    def forward(self, x):
        x = x.flatten(1)
        return super().forward(x if self.weight.sum() > 0 else -x)


def right(outputs, labels):
    return (outputs.argmax(1) == labels).float().mean()


def make_problem():
    return ModuleProblem(
        Net, (inputs[:90], labels[:90]), F.cross_entropy, test=(inputs[90:], labels[90:]),
        accuracy=right, budget=60,
    )


def branching() -> ModuleProblem:
    return ModuleProblem(lambda: Branching(16, 3), (inputs, labels), F.cross_entropy)


def normalised() -> ModuleProblem:
    net = lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(16, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )
    return ModuleProblem(net, (inputs, labels), F.cross_entropy)
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of networks in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(CODE)


def run(*arguments: str) -> int:
    """The exit status of the command."""
    try:
        main(["landscape", "match", *arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_users_network_is_matched_and_repaired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables on standard output, figure and tables in the folder, all ways and both splits."""
    status = run(
        "nets.py:make_problem",
        *(
            "--between",
            "adam(lr=0.02)",
            "adam(lr=0.02)@1",
            "--repair",
            "--rescale",
            "--points",
            "9",
            "--out",
            "o",
        ),
    )
    shown = " ".join(capsys.readouterr().out.split())
    assert status == 0
    for word in (
        *("stem", "inner", "naive", "matched", "repaired", "train barrier", "test error"),
        # 6! and 8! permutations, no signs; the stem's units scale before and behind their norm
        *("720", "40,320", "29,030,400 points", "orbit of dimension 20"),
    ):
        assert word in shown
    names = sorted(path.suffix for path in (tmp_path / "o").iterdir())
    assert names == [".csv", ".csv", ".csv", ".png", ".svg"]


def test_one_place_twice_is_its_own_match(capsys: pytest.CaptureFixture[str]) -> None:
    """Every unit stays, the distance is 0, and no way has a barrier; read back from JSON."""
    status = run(
        "nets.py:make_problem", "--between", "start", "start", "--by", "activations", "--json"
    )
    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert found["identity"] == 1.0
    assert found["distance"] == {"before": 0.0, "after": 0.0}
    assert [g["name"] for g in found["groups"]] == ["stem", "inner"]
    assert found["equivalents"] == 720 * 40320
    assert found["orbit_dimension"] == 6 + 6 + 8
    for way in ("naive", "matched"):
        for split in ("train", "test"):
            assert found["ways"][way][split]["loss"]["height"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sphere", "--between", "start", "start@1"), "is no network"),
        (("mnist_softmax", "--between", "start", "start@1"), "no units to be exchanged"),
        (("mnist_mlp", "--between", "start"), "must name two places"),
        (("mnist_mlp", "--between", "start", "start@1", "--points", "2"), "at least 3"),
        (("mnist_mlp", "--between", "start", "start@1", "--restarts", "0"), "at least 1"),
        (("nets.py:branching", "--between", "start", "start@1"), "cannot be traced"),
        (("nets.py:normalised", "--between", "start", "start@1", "--repair"), "nothing to do"),
    ],
)
def test_what_cannot_be_matched_is_refused_in_a_sentence(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2 and one sentence on standard error."""
    assert run(*arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
