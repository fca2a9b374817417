"""Baselines as files, and what lies between two of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.errors import BadValue, StoreError
from ravine.optimizers import method
from ravine.regression.baseline import (
    Baseline,
    Race,
    Trace,
    all_shipped,
    filename,
    read_baseline,
    shipped,
    write_baseline,
)
from ravine.regression.diff import diff
from ravine.regression.scenarios import setting

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(max_size=8)
HYPER = st.dictionaries(
    WORDS, NUMBERS | st.booleans() | st.none() | WORDS | st.tuples(NUMBERS, NUMBERS), max_size=3
)
SEEDS = st.lists(st.integers(0, 99), max_size=3).map(tuple)
SCORES = st.lists(NUMBERS, max_size=4).map(tuple)
TRACES = st.builds(
    Trace,
    drive=WORDS,
    hyper=HYPER,
    steps=st.lists(st.integers(1, 999), max_size=3).map(tuple),
    ways=st.lists(SCORES, max_size=3).map(tuple),
)
RACES = st.builds(
    Race,
    problem=WORDS,
    hyper=HYPER,
    budget=st.integers(1, 999),
    seeds=SEEDS,
    fresh=SEEDS,
    runtime=SCORES,
    gap=SCORES,
)
BASELINES = st.builds(
    Baseline,
    method=WORDS,
    versions=st.dictionaries(WORDS, WORDS, max_size=3),
    traces=st.lists(TRACES, max_size=3).map(tuple),
    races=st.lists(RACES, max_size=3).map(tuple),
)

OLD = Baseline(
    method="sgd",
    versions={"torch": "2.12", "numpy": "2.0"},
    traces=(
        Trace(drive="tape", hyper={}, steps=(1, 2), ways=((3.0, 4.0), (6.0, 8.0))),
        Trace(drive="tape", hyper={"lr": 0.1}, steps=(1,), ways=((1.0,),)),
    ),
    races=(
        Race(
            problem="bowl",
            hyper={"lr": 0.1},
            budget=9,
            seeds=(0,),
            fresh=(1,),
            runtime=(1.0, 2.0),
            gap=(0.0, 0.0),
        ),
    ),
)


@given(baseline=BASELINES)
def test_round_trip(tmp_path_factory: Any, baseline: Baseline) -> None:
    """What is read is what was written, tuples in hyperparameters included."""
    path = tmp_path_factory.mktemp("baseline") / "new folder" / "file.json"
    write_baseline(baseline, path)
    assert read_baseline(path) == baseline
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_a_trace_or_a_race_is_a_line(tmp_path: Path) -> None:
    """A diff of two files shows which traces and races changed."""
    write_baseline(OLD, tmp_path / "a.json")
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert sum(line.startswith('{"drive"') for line in lines) == 2
    assert sum(line.startswith('{"problem"') for line in lines) == 1


def test_interrupted_writing_leaves_the_old(tmp_path: Path, monkeypatch: Any) -> None:
    """A file that cannot be exchanged stays whole, and nothing lies beside it."""
    path = tmp_path / "a.json"
    write_baseline(OLD, path)

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StoreError, match="No space left on device; choose another place"):
        write_baseline(replace(OLD, method="adam"), path)
    assert read_baseline(path) == OLD
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no baseline"),
        ("[1, 2]", "is no baseline"),
        ('{"method": "adam"}', "is no baseline: .*versions"),
        ('{"method": "adam", "versions": {}, "traces": [{"drive": 1}]}', "is no baseline"),
        ('{"method": "adam", "versions": {}, "format": 99}', "has format 99"),
    ],
)
def test_wrong_files_are_told(tmp_path: Path, text: str, said: str) -> None:
    """A wrong file is one sentence with the remedy."""
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(BadValue, match=said) as error:
        read_baseline(path)
    assert "save it again" in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there is told with what writes one."""
    with pytest.raises(StoreError, match="ravine baseline save"):
        read_baseline(tmp_path / "none.json")


def test_shipped_files_go_by_their_methods() -> None:
    """Every shipped file is found by its method's id, whose every trace can be set up."""
    for name in all_shipped():
        found = shipped(name)
        assert found is not None
        assert (found.method, method(name).name) == (name, name)
        assert {"ravine", "torch", "numpy", "python", "machine"} == set(found.versions)
        for trace in found.traces:
            assert setting(method(name), trace.hyper).method.build is not None
            assert len(trace.steps) == len(trace.ways) > 0
    assert shipped("adam(lr=0.123)") is None


def test_files_are_named_apart() -> None:
    """A wrapped method, a fixed rate and a path make different names."""
    names = ["sam(sgd)", "sgd(momentum=0.9)", "sgd", "my.py:Opt", "sam(adam)"]
    assert len({filename(n) for n in names}) == len(names)


def test_wrapped_methods_keep_what_they_wrap() -> None:
    """A scenario of a wrapped method is one of it."""
    made = setting(method("lookahead(adamw)"), {"lr": 0.01})
    assert made.name == "lookahead(adamw, lr=0.01)"
    assert method(made.name).build is made.method.build


@given(baseline=BASELINES)
def test_no_difference_from_itself(baseline: Baseline) -> None:
    """Nothing lies between a baseline and itself."""
    assert diff(baseline, baseline) == ()


def test_differences_are_told() -> None:
    """A version, a way that moved by a tenth, and a race twice as long are named with sizes."""
    first, second = OLD.traces
    (race,) = OLD.races
    new = replace(
        OLD,
        versions={"torch": "2.13", "numpy": "2.0"},
        traces=(
            replace(first, ways=((3.0, 4.0), (6.0, 9.0))),
            replace(second, hyper={"lr": 0.2}),
        ),
        races=(replace(race, runtime=(2.0, 3.0)),),
    )
    assert [(c.part, c.name, c.size) for c in diff(OLD, new)] == [
        ("version", "torch", None),
        ("trace", "tape, its defaults", 0.1),
        ("trace", "tape, lr=0.1", None),
        ("trace", "tape, lr=0.2", None),
        ("race", "bowl", 1.0),
    ]
    assert [c.words for c in diff(OLD, new)] == [
        "2.12, now 2.13",
        "1.0e-01 of the way apart after step 2",
        "gone",
        "new",
        "2 times the steps to target",
    ]


def test_kinds_of_races_and_traces_are_told() -> None:
    """A shorter trace, another rate, other seeds and another final gap have words of their own."""
    (race,) = OLD.races
    short = replace(OLD.traces[0], steps=(1,), ways=((3.0, 4.0),))
    wide = replace(OLD.traces[0], ways=((3.0,), (6.0,)))

    def said(**new: Any) -> str:
        (change,) = diff(OLD, replace(OLD, **new))
        return change.words

    assert said(traces=(short, OLD.traces[1])) == "kept up to step 2, now 1"
    assert "other coordinates" in said(traces=(wide, OLD.traces[1]))
    assert said(races=(replace(race, hyper={"lr": 1.0}),)) == "run with lr=0.1, now lr=1.0"
    assert said(races=(replace(race, seeds=(5,)),)) == "other seeds, or another budget"
    assert "another final gap" in said(races=(replace(race, gap=(1.0, 0.0)),))
