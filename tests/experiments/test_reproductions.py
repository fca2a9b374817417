"""Every experiment says again what stands in the repository.

Seeds are fixed, so on one machine the outcome is the same each time.  On another, rounding may
move a measurement; a claim's interval of 93 % would then lie on the wrong side of its bound with a
probability of at most 1/32 if the truth were at the bound itself, and ever less away from it.
"""

import pytest

from ravine.experiments.experiment import Scale, experiments
from ravine.experiments.run import run
from ravine.experiments.standing import changes, recorded

RECORDS = recorded()

FAST = 2.0
"""Seconds that an experiment may have taken to be run with every change."""


def cases() -> list[object]:
    """Every experiment, the long ones among the slow tests."""
    return [
        pytest.param(id, marks=[] if id in RECORDS and RECORDS[id].seconds <= FAST else SLOW)
        for id in experiments()
    ]


SLOW = pytest.mark.slow


@pytest.mark.parametrize("id", cases())
def test_claims_stand_as_written(id: str) -> None:
    """Each claim comes to the verdict that the repository has for it, in the same words."""
    result = run(experiments()[id], Scale.QUICK)
    assert changes(id, result.claims, RECORDS.get(id)) == []
    assert set(result.pictures) == set(RECORDS[id].figures)
    said = {claim.key: claim.statement for claim in result.claims}
    assert said == {key: claim.statement for key, claim in RECORDS[id].claims.items()}


def test_every_experiment_is_on_record() -> None:
    """No experiment is missing from the record, and none is in it that is gone."""
    assert set(RECORDS) == set(experiments())


def test_every_experiment_has_at_least_five_seeds_somewhere_or_is_exact() -> None:
    """A claim about chance rests on five seeds or more; others are computed."""
    counts = [claim.n for record in RECORDS.values() for claim in record.claims.values()]
    assert all(n == 1 or n >= 5 for n in counts)
