"""Implementations of one algorithm by different packages: the same trajectory, or a known cause."""

import csv
import dataclasses
from collections.abc import Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ravine.errors import BadValue
from ravine.optimizers import method
from ravine.optimizers.agreement import (
    ALGORITHMS,
    SAME,
    Agreement,
    Algorithm,
    Difference,
    Kind,
    Member,
    agreement,
    measured,
    restored,
)
from ravine.optimizers.agreement.amend import amended, function_at
from ravine.optimizers.agreement.base import VECTOR, Amendment
from ravine.optimizers.agreement.measure import landscape, run
from ravine.optimizers.zoo import FAMILIES

ROOT = Path(__file__).parent.parent.parent

SOON = 12
"""Steps within which every named difference shows."""

LONG = 40
"""Steps over which equality is asked for at once; over all 100 it is where time is given."""

GROWTH = 10.0
"""By how much a reference may multiply an error; rounding then stays far below `SAME`."""

Pair = tuple[Algorithm, Member]
PAIRS = [(algorithm, member) for algorithm in ALGORITHMS for member in algorithm.members]
ALIKE = [pair for pair in PAIRS if pair[1].difference is None]
FOLLOWED = list(dict.fromkeys(algorithm for algorithm, _ in ALIKE))
DIFFERENT = [pair for pair in PAIRS if pair[1].difference is not None]


def label(pair: Pair) -> str:
    return f"{pair[0].name}: {pair[1].id}"


def installed(*ids: str) -> None:
    """Skip the test where a package that an id names is missing."""
    missing = [name for name in FAMILIES if f"{name}." in " ".join(ids) and not find_spec(name)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def difference(pair: Pair) -> Difference:
    found = pair[1].difference
    assert found is not None
    return found


def parts(difference: Difference) -> Iterator[tuple[str, Difference]]:
    """The difference with one part of what undoes it left out."""
    kept = difference.amendments
    for left_out in kept:
        rest = tuple(a for a in kept if a is not left_out)
        yield left_out.text, dataclasses.replace(difference, amendments=rest)
    if difference.double:
        yield "double", dataclasses.replace(difference, double=False)
    if difference.reference:
        yield "reference", dataclasses.replace(difference, reference="")
    if difference.other:
        yield "other", dataclasses.replace(difference, other="")


@pytest.mark.parametrize("pair", ALIKE, ids=label)
def test_what_is_listed_as_the_same_follows_the_same_trajectory(pair: Pair) -> None:
    """From both starts nothing but double precision's rounding differs."""
    installed(pair[0].reference, pair[1].id)
    assert measured(*pair, steps=LONG).deviation <= SAME


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(pair, marks=[pytest.mark.slow] if k % 2 else [])
        for k, pair in enumerate(DIFFERENT)
    ],
    ids=label,
)
def test_a_named_difference_is_there_and_is_the_only_one(pair: Pair) -> None:
    """The runs part within a few steps, and are the same with the named cause undone."""
    installed(pair[0].reference, pair[1].id)
    found = measured(*pair, steps=SOON)
    assert found.deviation > SAME
    assert found.first > 0
    assert restored(*pair, steps=SOON).deviation <= SAME


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids=label)
def test_runs_stay_the_same_to_the_end(pair: Pair) -> None:
    """Over all 100 steps, too, the runs are the same, with a named cause undone if there is one."""
    installed(pair[0].reference, pair[1].id)
    found = restored(*pair) if pair[1].difference else measured(*pair)
    assert found.deviation <= SAME


@pytest.mark.slow
@pytest.mark.parametrize("pair", DIFFERENT, ids=label)
def test_no_part_of_a_named_cause_is_idle(pair: Pair) -> None:
    """With any one of the things that undo a difference left out, it is still there."""
    installed(pair[0].reference, pair[1].id)
    for left_out, partly in parts(difference(pair)):
        member = dataclasses.replace(pair[1], difference=partly)
        assert restored(pair[0], member).deviation > SAME, left_out


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", FOLLOWED, ids=lambda algorithm: algorithm.name)
def test_references_do_not_spread_errors(algorithm: Algorithm) -> None:
    """A reference that others follow, begun a little apart, stays near: rounding stays small."""
    installed(algorithm.reference)
    nudge = 1e-9
    for start in (0, 1):
        there, near = (
            run(algorithm.reference, algorithm.shapes, algorithm.separable, start, nudge=by)
            for by in (0.0, nudge)
        )
        apart = torch.linalg.vector_norm(near - there, dim=1)
        assert apart.max() <= GROWTH * apart[0]


@pytest.mark.parametrize("pair", DIFFERENT, ids=label)
def test_a_named_place_is_a_function_that_is_there(pair: Pair) -> None:
    """Whoever looks the cause up finds the function."""
    installed(pair[0].reference, pair[1].id, difference(pair).place)
    assert function_at(difference(pair).place).__code__.co_filename.endswith(".py")


def test_all_is_fixed_and_nothing_listed_twice() -> None:
    """Every id fixes all its hyperparameters but for rates with no number, and names one pair."""
    installed(*(id for a, m in PAIRS for id in (a.reference, m.id)))
    names = [algorithm.name for algorithm in ALGORITHMS]
    assert len(set(names)) == len(names)
    pairs = [(algorithm.reference, member.id, algorithm.shapes) for algorithm, member in PAIRS]
    assert len(set(pairs)) == len(pairs)
    for algorithm, member in PAIRS:
        for id in (algorithm.reference, member.id):
            assert method(id).name == id
            # the rate is found by the method itself
            assert not method(id).knobs or "prodigy" in id or "adafactor" in id, id


def test_a_cause_is_a_phrase_for_a_table() -> None:
    """It begins small, ends without a full stop, and says so where it is one of precision."""
    for pair in DIFFERENT:
        said = difference(pair).cause
        assert said[0].islower() or said[0] == "`"
        assert not said.endswith(".")
        if difference(pair).kind is Kind.PRECISION:
            assert "precision" in said or "bfloat16" in said


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = spec_from_file_location("differences", ROOT / "benchmarks" / "differences.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_says_what_the_catalogue_says(writer: ModuleType) -> None:
    """Every pair is in the committed table with its verdict, cause and place, and no other is."""
    installed(*(id for a, m in PAIRS for id in (a.reference, m.id)))
    with (writer.OUT / "differences.csv").open(encoding="utf-8", newline="") as file:
        rows = [{name: row[name] for name in writer.SAID} for row in csv.DictReader(file)]
    said = [writer.said(algorithm, member) for algorithm, member in PAIRS]

    def key(row: dict[str, str]) -> list[str]:
        return [row[name] for name in writer.SAID]

    assert sorted(rows, key=key) == sorted(said, key=key)


def test_the_table_explains_every_difference_and_shows_it_undone(writer: ModuleType) -> None:
    """Nothing in the committed table is unexplained, and the gravest differences come first."""
    with (writer.OUT / "differences.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    verdicts = [row["verdict"].removeprefix("differs: ") for row in rows]
    assert writer.UNEXPLAINED not in verdicts
    assert verdicts == sorted(verdicts, key=writer.GRAVITY.index)
    for row in rows:
        same = row["verdict"] == "same"
        assert (float(row["largest deviation"]) <= SAME) is same
        assert (row["first step that differs"] == "") is same
        assert (row["once undone"] == "") is same
        assert same or float(row["once undone"]) <= SAME


def test_a_method_agrees_with_itself_and_a_first_difference_is_found() -> None:
    """Deviation is 0 against oneself; momentum first shows at the second step."""
    assert agreement("adam(lr=0.1)", "adam(lr=0.1)", steps=5) == Agreement(
        "adam(lr=0.1)", "adam(lr=0.1)", 0.0, 0
    )
    found = agreement("sgd(lr=0.01)", "sgd(lr=0.01, momentum=0.9)", steps=5)
    assert found.first == 2
    assert not found.same


def test_a_deviation_is_a_share_of_the_longest_way() -> None:
    """One step at twice the rate ends one way farther; a run that diverges is infinitely far."""
    twice = agreement("sgd(lr=0.01)", "sgd(lr=0.02)", steps=1)
    assert twice.deviation == pytest.approx(1.0, rel=1e-12)
    assert agreement("sgd(lr=0.01)", "sgd(lr=10.0)", steps=20).deviation == float("inf")


def test_the_landscape_has_its_minimum_where_it_says() -> None:
    """The gradient is 0 at the minimizer alone, and coordinates couple unless they are apart."""
    for separable in (False, True):
        place = landscape(12, separable)
        x = place.minimizer.clone().requires_grad_()
        hessian = torch.autograd.functional.hessian(place.loss, place.minimizer)
        (gradient,) = torch.autograd.grad(place.loss(x), x)
        assert torch.equal(gradient, torch.zeros(12, dtype=torch.float64))
        assert torch.linalg.eigvalsh(hessian).min() > 0.2
        assert (hessian - torch.diag(hessian.diagonal()) == 0).all() == separable


def test_an_amendment_lasts_as_long_as_its_context() -> None:
    """A changed function behaves otherwise inside, and as before outside, also after an error."""
    with pytest.raises(BadValue, match="is no function"), amended([Amendment("json:no", "", "")]):
        pass
    change = Amendment("textwrap:shorten", "w.fill(' '.join(text.strip().split()))", "'changed'")
    shorten = function_at(change.place)

    def fail() -> None:
        with amended([change]):
            assert shorten("some words", 20) == "changed"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert shorten("some words", 20) == "some words"


def test_an_amendment_insists_on_its_text() -> None:
    """Text that is not in the function exactly once is an error that names the place."""
    with (
        pytest.raises(BadValue, match="must stand in `textwrap:shorten` once, and does so 0 times"),
        amended([Amendment("textwrap:shorten", "no such text", "")]),
    ):
        pass


def test_what_agrees_has_nothing_to_undo() -> None:
    """To undo a difference that is not there is an error."""
    algorithm = Algorithm("SGD", "sgd(lr=0.1)", (Member("sgd(lr=0.1)"),), VECTOR)
    with pytest.raises(BadValue, match="has no difference to undo"):
        restored(algorithm, algorithm.members[0])
