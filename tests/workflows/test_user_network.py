"""A user's own network, from a file to a report: named, rebuilt by workers, interrupted."""

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import polars as pl
import pytest
import torch

import ravine.records.store as shelf
from ravine.cli import main
from ravine.comparison import Question, compare
from ravine.errors import BadValue
from ravine.problems import Analytic, problem
from ravine.problems.modules.module import ModuleProblem

CODE = """
import torch
from torch import nn
from torch.nn import functional as F
from ravine.problems import Problem, problem
from ravine.problems.modules.module import ModuleProblem

draw = torch.Generator().manual_seed(0)
labels = torch.randint(3, (200,), generator=draw)
inputs = torch.randn(3, 4, generator=draw)[labels] + torch.randn(200, 4, generator=draw)
train, test = (inputs[:160], labels[:160]), (inputs[160:], labels[160:])


def right(outputs, labels):
    return (outputs.argmax(1) == labels).float().mean()


def make_problem(width=8):
    def net():
        return nn.Sequential(
            nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1),
            nn.Linear(width, 3),
        )
    return ModuleProblem(net, train, F.cross_entropy, test=test, accuracy=right)


class Branching(nn.Linear):
    def forward(self, x):
        return super().forward(x if self.weight.sum() > 0 else -x)


def branching() -> ModuleProblem:
    return ModuleProblem(lambda: Branching(4, 3), train, F.cross_entropy, batch_size=40)


def sized(width) -> "ModuleProblem":
    return make_problem(width)


def bowl(dim=3) -> Problem:
    return problem(f"sphere(dim={dim})")


ready = make_problem()


def valley(x):
    return x.square().sum()


def raises():
    raise RuntimeError("no data here")


def number():
    return 3


def narrow():
    return ModuleProblem(lambda: nn.Linear(5, 3), train, F.cross_entropy)
"""

NETS = ("nets.py:make_problem(width=6)", "nets.py:branching")


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of networks in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(CODE)
    return tmp_path / "nets.py"


def question(*problems: str) -> Question:
    """A small one."""
    return Question(methods=("adamw", "sgd"), problems=problems, trials=2, seeds=2)


def test_networks_of_a_file_are_compared_by_a_worker_process(tmp_path: Path) -> None:
    """Another process makes the problems from their ids; audited runs agree; all is kept."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        said = compare(question(*NETS), tmp_path / "store", executor=pool)
    assert said.computed == 2 * (2 * 2 * 2 + 2 * 2)
    assert said.problems == NETS
    assert all(a.audited == a.agreed > 0 for a in said.audit)
    tested = {row["problem"]: row["accuracy"] for row in said.summary.to_dicts()}
    assert 0.3 < tested[NETS[0]] <= 1.0
    assert tested[NETS[1]] is None
    again = compare(question(*NETS), tmp_path / "store")
    assert (again.computed, again.known) == (0, said.computed)
    assert again.verdicts.equals(said.verdicts)


def test_an_interrupted_comparison_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was finished before an interruption is not run again, and the answer is the same."""
    write, written = shelf.write_shard, []

    def interrupted(store: Path, frame: pl.DataFrame, notes: Mapping[str, str]) -> object:
        if written:
            raise KeyboardInterrupt
        written.append(frame.height)
        return write(store, frame, notes)

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "write_shard", interrupted)
        with pytest.raises(KeyboardInterrupt):
            compare(question(*NETS), tmp_path / "store")
    went_on = compare(question(*NETS), tmp_path / "store")
    fresh = compare(question(*NETS), tmp_path / "other")
    assert went_on.known == written[0] > 0
    assert went_on.computed == fresh.computed - written[0]
    assert went_on.verdicts.equals(fresh.verdicts)


def test_what_a_file_makes_is_named_by_its_id(file: Path) -> None:
    """Arguments are passed on, the id is the name, and the version changes with the file."""
    made = problem("nets.py:make_problem( width=5 )")
    assert isinstance(made, ModuleProblem)
    assert made.name == "nets.py:make_problem(width=5)"
    assert made.shapes["0.weight"] == (5, 4)
    assert problem("nets.py:sized(7)").shapes["0.weight"] == (7, 4)
    assert problem("nets.py:ready").name == "nets.py:ready"
    bowl = problem("nets.py:bowl(dim=4)")
    assert (bowl.name, bowl.shapes) == ("nets.py:bowl(dim=4)", {"x": (4,)})
    valley = problem("nets.py:valley(dim=4)")
    assert isinstance(valley, Analytic)
    assert valley.shapes == {"x": (4,)}
    before = problem("nets.py:make_problem").version
    assert before == problem("nets.py:make_problem(width=5)").version
    file.write_text(CODE.replace("width=8", "width=9"))
    edited = problem("nets.py:make_problem")
    assert edited.version != before
    assert edited.shapes["0.weight"] == (9, 4)


def test_a_problem_made_elsewhere_gives_the_same_losses(file: Path) -> None:
    """Two loads of one file, as by two processes, agree to the bit in starts and losses."""
    one = problem("nets.py:make_problem")
    file.write_text(CODE + "\n# loaded anew\n")
    two = problem("nets.py:make_problem")
    assert one is not two
    point = {n: p[None] for n, p in one.start(3).items()}
    assert all(torch.equal(p[0], two.start(3)[n]) for n, p in point.items())
    assert torch.equal(one.loss(point, one.batch([3], 9)), two.loss(point, two.batch([3], 9)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", "`nets.py:raises` fails: RuntimeError: no data here; mend the function"),
        ("number", "`nets.py:number` must return a problem such as a ModuleProblem, got one int"),
        ("sized", "missing a required argument: 'width'; `nets.py:sized` takes width"),
        ("make_problem(depth=3)", "unexpected keyword argument 'depth'; .* takes width"),
        ("narrow", "`nets.py:narrow`: `Linear` or its criterion fails on a batch of inputs"),
        ("ready(width=3)", "`nets.py:ready` is a problem already and takes no arguments"),
        ("make_problem(width=-1)", "`module_factory` fails: RuntimeError: Trying to create tensor"),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(name: str, said: str) -> None:
    """Whatever a file does wrong, the message names the id and the remedy, in one line."""
    with pytest.raises(BadValue, match=said) as caught:
        problem(f"nets.py:{name}")
    assert "\n" not in str(caught.value)


def test_a_mistake_ends_the_command_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line says the same sentence and nothing else."""
    with pytest.raises(SystemExit) as leaving:
        main(["compare", "adamw", "--problems", "nets.py:narrow"])
    said = capsys.readouterr()
    assert leaving.value.code == 2
    assert said.err.strip().startswith("ravine: `nets.py:narrow`: ")
    assert len(said.err.strip().splitlines()) == 1
    assert said.out == ""
