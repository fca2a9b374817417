"""What each gate will decide of a case, known before anything is run."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

from ravine.regression.check import decide
from ravine.regression.decisions import Case, Decision, Gate
from ravine.testing.plugin import gauntlet

ALL = "all"
"""The one item of a gate that has nothing to name; it stands for all that is decided."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A gate as a list of tests.

    Args:
        name: `contract`, `golden`, `theory`, `statistics` or `gauntlet`.
        names: of the decisions, in the order in which they are shown.
        decide: makes them.
    """

    name: str
    names: tuple[str, ...]
    decide: Callable[[Case], Iterator[Decision]]


def layers(case: Case, gates: Collection[Gate]) -> list[Layer]:
    """List what will be decided.

    Args:
        case: the candidate and its baseline; without one a gauntlet replaces the statistics.
        gates: which decide.

    Returns:
        The layers in the order of the gates.
    """
    found = []
    for gate in (g for g in Gate if g in gates):
        if gate is Gate.STATISTICS and case.baseline is None:
            found.append(Layer("gauntlet", gauntlet.names(case), gauntlet.decide))
            continue
        names = tuple(dict.fromkeys(_names(gate, case))) or (ALL,)
        found.append(Layer(gate.name.lower(), names, partial(decide, gate)))
    return found


def _names(gate: Gate, case: Case) -> Iterator[str]:
    match gate:
        case Gate.CONTRACT:
            from ravine.regression.contracts import CONTRACTS

            yield from CONTRACTS
        case Gate.GOLDEN:
            from ravine.regression.scenarios import words

            for trace in case.baseline.traces if case.baseline else ():
                yield f"{trace.drive}, {words(trace.hyper)}"
        case Gate.THEORY:
            from ravine.regression.theory import LAWS

            for law in LAWS:
                if law.universal or (case.claim and law.applies(case.claim)):
                    yield law.name
        case Gate.STATISTICS:
            from ravine.regression.race.deciding import MEASURES

            for race in case.baseline.races if case.baseline else ():
                yield from (f"{race.problem}: {measure}" for measure in MEASURES)
