"""The targets of networks: stored for what exists, and ever harder."""

from itertools import pairwise

import pytest

from ravine.problems import problem, problems
from ravine.problems.base import Goal
from ravine.problems.networks.targets import REFERENCE_TARGETS


@pytest.mark.parametrize("name", REFERENCE_TARGETS)
def test_targets_belong_to_a_network_and_descend(name: str) -> None:
    """A stored reference is that of a catalogue entry, and later targets are lower."""
    facts = problem(name).facts
    assert facts.goal is Goal.REFERENCE
    assert facts.targets == REFERENCE_TARGETS[name]
    assert len(facts.targets) == 4
    assert all(earlier > later > 0 for earlier, later in pairwise(facts.targets))


def test_all_but_a_few_networks_have_a_reference() -> None:
    """Networks whose reference has not been measured are few, and known by name."""
    without = {
        name
        for name in problems
        if problem(name).facts.goal is Goal.REFERENCE and name not in REFERENCE_TARGETS
    }
    deepest = {f"deep_{corner}_50" for corner in ("plain", "norm", "skip", "norm_skip")}
    assert without <= {"deep_conv", *deepest}
