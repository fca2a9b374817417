"""The check kills wrong optimizers and spares right ones; the whole zoo is in the benchmarks."""

import pytest

from ravine.optimizers import method
from ravine.regression import Gate, Status, check

DETERMINISTIC = (Gate.CONTRACT, Gate.GOLDEN, Gate.THEORY)

ZOO = "ravine.testing.mutants"


@pytest.mark.parametrize(
    ("mutant", "parent", "gate"),
    [
        ("adam_state_lost", "adam", Gate.CONTRACT),
        ("adam_gradients_zeroed", "adam", Gate.CONTRACT),
        ("sgd_rate_1_percent_high", "sgd", Gate.GOLDEN),
        pytest.param("amsgrad_maximum_forgotten", "amsgrad", Gate.GOLDEN, marks=pytest.mark.slow),
        pytest.param("adam_no_second_correction", "adam", Gate.THEORY, marks=pytest.mark.slow),
        ("rprop_etas_swapped", "rprop", Gate.THEORY),
    ],
)
def test_a_wrong_optimizer_is_killed_by_the_gate_that_should(
    mutant: str, parent: str, gate: Gate
) -> None:
    """Lost state breaks a contract, a rate off by 1 % a trace, a missing correction a law."""
    report = check(f"{ZOO}:{mutant}", parent, gates=(gate,))
    assert report.of(Status.DIFFERENT)
    assert not report.passed


@pytest.mark.slow
@pytest.mark.parametrize("parent", ["adamw", "heavy_ball"])
def test_an_unchanged_copy_passes(parent: str) -> None:
    """The same code under another name differs in nothing (deterministic: no false alarm)."""
    report = check(f"{ZOO}:{parent}_unchanged", parent, gates=DETERMINISTIC)
    assert report.of(Status.DIFFERENT) == ()
    assert len(report.of(Status.SAME)) > 30


@pytest.mark.slow
@pytest.mark.parametrize("parent", ["sgd", "adam"])
def test_a_whole_check_of_what_did_not_change_passes(parent: str) -> None:
    """All four gates on the same seeds: no difference, and nothing better either."""
    report = check(method(parent))
    assert report.of(Status.DIFFERENT) == report.of(Status.BETTER) == ()
    assert {d.gate for d in report.of(Status.SAME)} == set(Gate)


@pytest.mark.slow
def test_statistics_see_a_rate_that_is_far_off() -> None:
    """A rate of a third is worse on some problem at a chance of 0.001, by steps or gap."""
    report = check("sgd", gates=(Gate.STATISTICS,))
    assert report.passed
    slower = check(f"{ZOO}:adam_update_clamped", "adam", gates=(Gate.STATISTICS,))
    assert slower.of(Status.DIFFERENT)
    assert all(d.chance <= 1e-3 for d in slower.of(Status.DIFFERENT))
