"""What a person meets who checks an optimizer, or keeps a baseline of one."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from ravine.cli import main
from ravine.regression import Baseline, Case, Decision, Gate, Status, write_baseline
from ravine.regression import check as hold
from ravine.regression import record as recording
from ravine.regression.baseline import Race, Trace, versions

CHECKING = import_module("ravine.regression.check")
"""The module, which the function of its name hides."""

ADAMS = Path(__file__).with_name("adams.py").read_text()

KEPT = Baseline(
    method="adam",
    versions={**versions(), "torch": "1.0"},
    traces=(Trace(drive="tape", hyper={}, steps=(1, 2), ways=((1.0,), (-2.0,))),),
    races=(
        Race(
            problem="sphere",
            hyper={"lr": 0.1},
            budget=8,
            seeds=(0, 1),
            fresh=(5,),
            runtime=(3.0, 2.0, 1.0),
            gap=(-1.0, -2.0, -3.0),
        ),
    ),
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a user's optimizers as the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adams.py").write_text(ADAMS)
    (tmp_path / "broken.json").write_text('{"format": 1, "method"')
    return tmp_path


def ask(*words: str) -> int:
    """Run the command and return its exit status."""
    try:
        main(words)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def decided(status: Status, gate: Gate = Gate.CONTRACT, **more: object) -> Decision:
    """A decision, as a gate makes it."""
    known = {"name": "deep copy", "expected": "one", "seen": "another", "source": "Nobody 2026"}
    return Decision(**{"gate": gate, "status": status, **known, **more})  # type: ignore[arg-type]


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> dict[Gate, list[Decision]]:
    """Gates that decide what a test says, and remember their case."""
    said: dict[Gate, list[Decision]] = {gate: [] for gate in Gate}

    def decide(gate: Gate, case: Case) -> Iterator[Decision]:
        case.tick(0.5)
        yield from said[gate]

    monkeypatch.setattr(CHECKING, "decide", decide)
    return said


@pytest.mark.parametrize(
    ("statuses", "code", "verdict"),
    [
        ([Status.SAME, Status.LEFT_OUT], 0, "is the same in 1 of 2, 1 left out"),
        ([Status.SAME, Status.BETTER], 0, "is better in 1 of 2, else the same"),
        ([Status.BETTER, Status.DIFFERENT], 1, "is different in 1 of 2: 1 of contract"),
        ([Status.LEFT_OUT], 2, "cannot be told: 1 of 1 left out"),
        ([], 2, "cannot be told: 0 of 0 left out"),
    ],
)
def test_the_exit_status_is_the_verdict(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    gates: dict[Gate, list[Decision]],
    statuses: list[Status],
    code: int,
    verdict: str,
) -> None:
    """0 is the same or better, 1 different, 2 not to be told; JSON says the same."""
    gates[Gate.CONTRACT] += [decided(status) for status in statuses]
    assert ask("check", "adams.py:Fine") == code
    out = capsys.readouterr().out
    assert verdict in out.splitlines()[-1]
    assert ("Different: contract `deep copy`: expected one, seen another" in out) == (code == 1)
    assert ask("check", "adams.py:Fine", "--json") == code
    told = json.loads(capsys.readouterr().out)
    assert [d["status"] for d in told["decisions"]] == statuses
    assert told["passed"] == (code == 0)


def test_a_difference_is_said_with_its_source(
    place: Path, capsys: pytest.CaptureFixture[str], gates: dict[Gate, list[Decision]]
) -> None:
    """A sentence holds what was expected and seen, how sure that is, and who says so."""
    gates[Gate.STATISTICS] += [
        decided(Status.DIFFERENT, Gate.STATISTICS, size=float("inf"), chance=1e-5, n=25)
    ]
    assert ask("check", "adam", "--gates", "statistics", "contract", "--alpha", "0.01") == 1
    out = capsys.readouterr().out
    assert "(n = 25, probability by chance 1.0e-05) [Nobody 2026]" in out
    assert "0.01 for all together" in out
    assert ask("check", "adam", "--json") == 1
    assert json.loads(capsys.readouterr().out)["decisions"][0]["size"] is None


@pytest.mark.usefixtures("gates")
def test_a_user_s_own_baseline_comes_first(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What lies in `ravine-baselines/` is taken, said with its versions, and shown."""
    write_baseline(KEPT, place / "ravine-baselines" / "adam.json")
    ask("check", "adams.py:Fine", "--against", "adam")
    out = capsys.readouterr().out
    assert "against `ravine-baselines/adam.json`, a baseline of adam, made by ravine" in out
    assert f"Here it runs with torch {versions()['torch']}" in out
    ask("check", "adams.py:Fine", "--against", "ravine-baselines/adam.json", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["versions"]["baseline"]["torch"] == "1.0"
    assert ask("baseline", "show", "adam") == 0
    out = capsys.readouterr().out
    assert "sphere" in out
    assert "1.0e-02" in out  # the middle one of the final gaps
    assert ask("baseline", "show", "ravine-baselines/adam.json", "--json") == 0
    assert json.loads(capsys.readouterr().out)["races"][0]["runtime"] == [3.0, 2.0, 1.0]


def test_a_baseline_is_saved_where_a_check_looks(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`save` writes the method's traces and races, and `check` takes them."""
    monkeypatch.setattr(recording, "record_races", lambda method, tick: KEPT.races)
    monkeypatch.setattr(recording, "record_traces", lambda method: KEPT.traces)
    assert ask("baseline", "save", "adams.py:Fine") == 0
    assert "Saved 1 golden traces and 1 races of adams.py:Fine" in capsys.readouterr().out
    assert ask("baseline", "save", "adam", "--out", "kept/other.json") == 0
    assert "--against kept/other.json" in capsys.readouterr().out
    assert ask("check", "adams.py:Fine", "--gates", "golden") == 1  # the trace is made up
    out = capsys.readouterr().out
    assert "against `ravine-baselines/adams.py-Fine.json`" in out
    assert "Different: golden trace `tape, its defaults`" in out


def test_without_a_baseline_contracts_and_universal_theory_decide(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class of which nothing is kept can still break a contract; the remedy is said."""
    assert ask("check", "adams.py:Wrong", "--gates", "contract") == 1
    out = capsys.readouterr().out
    assert "`--against adam`" in out
    assert "Different: contract `zero gradient`" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "adamm"], "did you mean `adam`"),
        (["check", "adam", "--against", "adamm"], "did you mean `adam`"),
        (["check", "adam", "--against", "broken.json"], "is no baseline"),
        (["check", "adam", "--against", "nothing.json"], "cannot read `nothing.json`"),
        (["check", "adam", "--alpha", "2"], "`alpha` must lie between 0 and 1"),
        (["check", "adam", "--gates", "golde"], 'Did you mean "golden"'),
        (["check", "adams.py:Stuck"], "cannot step: RuntimeError: the belt is off"),
        (["check", "adams.py:Fin"], "did you mean `Fine`"),
        (["baseline", "save", "adam", "--out", "adam.txt"], "ends in .json"),
        (["baseline", "save", "adams.py:Stuck"], "cannot step"),
        (["baseline", "show", "adams.py:Fine"], "`ravine baseline save adams.py:Fine` makes one"),
        (["baseline", "show", "broken.json"], "is no baseline"),
    ],
)
def test_what_cannot_run_is_one_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """Bad input is a sentence with its remedy on standard error, and status 2."""
    assert ask(*words) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in err
    assert not out


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (ZeroDivisionError, 2)])
def test_a_check_that_breaks_off_is_no_verdict(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
    code: int,
) -> None:
    """An interruption or a fault of ravine's own never reads as same or different."""

    def decide(gate: Gate, case: Case) -> Iterator[Decision]:
        raise error

    monkeypatch.setattr(CHECKING, "decide", decide)
    assert ask("check", "adams.py:Fine") == code
    err = capsys.readouterr().err
    assert ("interrupted; nothing is written" in err) == (code == 130)


@pytest.mark.usefixtures("gates")
def test_a_method_in_single_precision_is_checked_in_it(place: Path) -> None:
    """The report says in which precision the candidate stepped."""
    (place / "single.py").write_text(
        ADAMS.replace(
            '    """Adam as it is."""\n',
            "    def step(self, closure=None):\n"
            "        assert self.param_groups[0]['params'][0].dtype is not torch.float64\n"
            "        return super().step(closure)\n",
        )
    )
    assert hold("single.py:Fine").dtype == "float32"
    assert hold("adams.py:Fine").dtype == "float64"
