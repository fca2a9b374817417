"""Experiments are found, chosen, run, written down, and held to what was written."""

import json
from pathlib import Path

import numpy as np
import pytest

from ravine.cli import main
from ravine.errors import BadValue, UnknownName
from ravine.experiments import experiment as registry
from ravine.experiments.claims import Standing, above, below, exact, median
from ravine.experiments.experiment import Experiment, Found, Scale, Tick, select
from ravine.experiments.pages import index, measured, page
from ravine.experiments.run import run, run_all
from ravine.experiments.standing import Record, changes, record, recorded, stand, write_records
from ravine.reporting.curves import Curve, Panel, curves_figure


def body(scale: Scale, tick: Tick) -> Found:
    """Numbers grow.

    They do so for ever.
    """
    tick(1.0)
    n = scale.choose(5, 50)
    values = [float(k) for k in range(1, n + 1)]
    curve = Curve(np.arange(1.0, n + 1), np.array(values))
    return Found(
        claims=(
            exact("one", "One is positive.", 1.0, above(0)),
            median("small", "They are small.", values, below(0.5), unit="steps"),
            median("middle", "They are below 3.", values, below(3)),
        ),
        figures={"line": curves_figure("numbers", Panel({"n": curve}, "n", "value"))},
        remark="Nothing stands in for anything.",
    )


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """One experiment, the only one there is."""
    found: dict[str, Experiment] = {}
    monkeypatch.setattr(registry, "_found", found)
    registry.experiment("Z1", "Numbers", "Nobody (2026)")(body)
    monkeypatch.setattr(registry, "experiments", lambda: found)
    return found["Z1"]


def test_an_experiment_is_what_its_docstring_says(sample: Experiment) -> None:
    """The line is the whole docstring, on one line."""
    assert sample.line == "Numbers grow. They do so for ever."


def test_verdicts_come_from_the_claims(sample: Experiment) -> None:
    """One claim holds, one fails, one lies across its bound."""
    claims = run(sample, Scale.QUICK).claims
    assert [c.standing for c in claims] == [
        Standing.HOLDS,
        Standing.FAILS,
        Standing.UNDECIDED,
    ]


def test_full_scale_has_more_seeds(sample: Experiment) -> None:
    """The scale reaches the experiment."""
    assert run(sample, Scale.FULL).claims[1].n == 50


def test_record_reads_back(sample: Experiment, tmp_path: Path) -> None:
    """What was written down is read back, and the same result is no change."""
    result = run(sample, Scale.QUICK)
    place = tmp_path / "standing.json"
    write_records({"Z1": record(result)}, place)
    found = recorded(place)
    assert found == {"Z1": record(result)}
    assert changes("Z1", result.claims, found["Z1"]) == []


def test_change_in_either_direction_is_seen(sample: Experiment) -> None:
    """A claim that no longer holds breaks; one that begins to hold, or is new, is a change."""
    result = run(sample, Scale.QUICK)
    before = record(result)
    turned = {"one": Standing.FAILS, "small": Standing.HOLDS}
    claims = {
        key: type(s)(**{**_fields(s), "standing": turned.get(key, s.standing)})
        for key, s in before.claims.items()
        if key != "middle"
    }
    moved = changes("Z1", result.claims, Record(seconds=1.0, claims=claims))
    assert {(c.key, c.broken) for c in moved} == {
        ("one", False),
        ("small", True),
        ("middle", False),
    }


def _fields(thing: object) -> dict[str, object]:
    return {name: getattr(thing, name) for name in type(thing).__dataclass_fields__}  # type: ignore[attr-defined]


def test_what_cannot_be_measured_is_not_infinite() -> None:
    """A seed that never got there is infinite, and one of which nothing is known says so."""
    for missing, said in ((np.inf, "3 [1, ∞]"), (np.nan, "n/a [1, n/a]")):
        claim = median("far", "It is far.", [1.0, 2.0, 3.0, 4.0, missing], above(0))
        assert measured(stand(claim)) == said


def test_pages_tell_all(sample: Experiment) -> None:
    """Page and index name the claims, their measurements, and what does not hold."""
    stands = record(run(sample, Scale.QUICK))
    text = page(sample, stands)
    assert "3 [1, 5] steps" in text
    assert "![Numbers: line](Z1-line.png)" in text
    whole = index([sample], {"Z1": stands})
    assert "1 holds, 1 does not hold here, 1 undecided" in whole
    assert "They are small." in whole
    assert '[<img src="reproductions/Z1-line.png" alt="Numbers" width="200">]' in whole


def test_one_failure_does_not_take_others_along(sample: Experiment) -> None:
    """An experiment that raises is named; the rest is run."""

    def broken(scale: Scale, tick: Tick) -> Found:
        """It fails."""
        raise RuntimeError("no luck")

    registry.experiment("Z2", "Trouble", "Nobody (2026)")(broken)
    found = run_all(list(registry.experiments().values()), Scale.QUICK, 1)
    assert found["Z2"].failure == "RuntimeError: no luck"
    assert len(found["Z1"].claims) == 3


def test_two_experiments_cannot_share_an_id(sample: Experiment) -> None:
    """An id is taken once."""
    with pytest.raises(BadValue, match="an id of its own"):
        registry.experiment("Z1", "Again", "Nobody (2026)")(body)


def test_unknown_names_have_a_hint(sample: Experiment) -> None:
    """A wrong word is one sentence with the list's place."""
    with pytest.raises(UnknownName, match="ravine reproduce"):
        select(["Z9z"])


def test_command_exits_1_when_a_claim_no_longer_holds(
    sample: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The record says that all hold; the run says otherwise, and names which."""
    result = run(sample, Scale.QUICK)
    claims = {
        key: type(s)(**{**_fields(s), "standing": Standing.HOLDS})
        for key, s in record(result).claims.items()
    }
    stands = {"Z1": Record(seconds=1.0, claims=claims)}
    monkeypatch.setattr("ravine.experiments.standing.recorded", lambda: stands)
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", "Z1", "--json", "--out", str(tmp_path)])
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert "Z1 `small`: stood as holds, now does not hold here" in err
    assert json.loads(out)["Z1"]["claims"]["small"]["measured"] == 3.0
    assert (tmp_path / "Z1.md").is_file()


def test_command_lists_without_a_name(
    sample: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a name nothing runs, and all are named."""
    main(["reproduce"])
    assert "Z1" in capsys.readouterr().out


def test_command_refuses_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong id is one sentence and exit status 2."""
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", "A99"])
    assert ended.value.code == 2
    assert "unknown experiment `A99`" in capsys.readouterr().err


def test_interrupted_run_keeps_what_is_finished(
    sample: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page of the experiment before is written, and the message says so."""

    def stopped(scale: Scale, tick: Tick) -> Found:
        """It is stopped."""
        raise KeyboardInterrupt

    registry.experiment("Z2", "Stopped", "Nobody (2026)")(stopped)
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", "all", "--jobs", "1", "--out", str(tmp_path)])
    assert ended.value.code == 130
    assert "pages of what is finished are written" in capsys.readouterr().err
    assert (tmp_path / "Z1.md").is_file()
