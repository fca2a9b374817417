"""What counts as reaching a better basin."""

import numpy as np
import pytest

from ravine import method, problem
from ravine.engine.grid import run_grid
from ravine.engine.rows import Level
from ravine.engine.run import targets
from ravine.optimizers.base import Setting
from ravine.problems.base import Goal

NAMES = ("bad_local_minimum", "egg_crate", "tilted_double_well", "cosine_wave")


@pytest.mark.parametrize("name", NAMES)
def test_rest_in_a_minimum_is_not_a_better_basin(name: str) -> None:
    """A run that ends in the minimum whose value is the target has not hit that target."""
    p = problem(name)
    assert p.facts.goal is Goal.BASIN
    pairs = [
        (Setting(method("sgd"), (("lr", lr),)), Level.ELEMENTWISE) for lr in (1e-3, 1e-2, 1e-1)
    ]
    grid = run_grid([p], pairs, range(20), 1000)  # type: ignore[list-item]
    runs = grid.runs[0]
    for k, value in enumerate(p.facts.targets):
        resting = np.abs(runs.best - value) < 1e-10 * max(1.0, abs(value))
        assert (runs.hits[..., k][resting] == -1).all()


def test_the_margin_is_far_smaller_than_any_gap_between_basins() -> None:
    """Targets of basins move by a billionth, and those of other goals do not."""
    for name in NAMES:
        facts = problem(name).facts
        moved = np.array(facts.targets) - np.array(targets(problem(name), 1.0))
        assert (moved > 0).all()
        assert (moved <= 1e-9 * np.maximum(1, np.abs(facts.targets))).all()
    escape = problem("saddle")
    assert targets(escape, 1.0) == escape.facts.targets
