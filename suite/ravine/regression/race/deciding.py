"""Race a candidate against the stored scores of a baseline, in two looks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import log2, log10
from typing import Any

import numpy as np
import torch

from ravine.engine.mismatch import mismatch
from ravine.errors import RavineError
from ravine.optimizers.base import Method
from ravine.optimizers.hyperparameters import hyperparameters
from ravine.problems.analytic import Analytic
from ravine.problems.base import Goal
from ravine.problems.catalogue import problem
from ravine.regression.baseline import Race
from ravine.regression.decisions import Case, Decision, Gate, Status
from ravine.regression.race.rule import Look, least_seeds, levels, look
from ravine.regression.race.scores import DIGITS, Entry, Scores, score
from ravine.regression.scenarios import setting
from ravine.statistics.verdicts import Thresholds

FLOORS = {torch.float64: -12.0, torch.float32: -5.0}
"""log10 of the gaps below which a run is at the minimum, as far as its precision can tell."""


class Measure(StrEnum):
    """What a race is decided by."""

    STEPS = "steps to target"
    GAP = "final gap"


MEASURES = tuple(Measure)

LIMITS = np.array([log2(Thresholds().steps), log10(Thresholds().gap)])
"""Smallest effect that matters, of each measure in the unit of its differences."""


@dataclass(frozen=True, slots=True)
class _Heat:
    """A race that the candidate runs."""

    race: Race
    entry: Entry

    def differences(self, scores: Scores, fresh: bool, floor: float) -> np.ndarray:
        """Candidate - baseline, measures by seeds, of the first or the second look."""
        n = len(self.race.seeds)
        part = slice(n, None) if fresh else slice(n)
        steps = scores.runtime - np.array(self.race.runtime[part])
        gap = np.maximum(scores.gap, floor) - np.maximum(np.array(self.race.gap[part]), floor)
        return np.round(np.stack([steps, gap]), DIGITS)


def decide(case: Case) -> Iterator[Decision]:
    """Hold a candidate against its baseline by the scores of races, seed by seed.

    Every race is two decisions, one by the steps to target and one by the final gap.  The
    rule is that of `ravine.regression.race.rule.levels`: worse in a first look, by a factor
    of at least 1.1 in steps or 2 in the gap, and worse again on fresh seeds.  The chance of
    any false alarm in a check is at most `case.alpha`.  It does not see what costs less than
    these factors; golden traces do.

    Args:
        case: what is held against what.

    Yields:
        Two decisions for each race of the baseline.

    References:
        Wilcoxon 1945, doi 10.2307/3001968; Hodges and Lehmann 1963,
        doi 10.1214/aoms/1177704172.
    """
    if case.baseline is None:
        yield _left_out("races", "there is no baseline to race against")
        return
    if not case.baseline.races:
        yield _left_out("races", f"the baseline of {case.baseline.method} holds no races")
        return
    count = len(MEASURES) * len(case.baseline.races)
    heats: list[_Heat] = []
    for race in case.baseline.races:
        heat = _heat(case, race, least_seeds(case.alpha, count))
        if isinstance(heat, _Heat):
            heats.append(heat)
        else:
            yield from (_left_out(f"{race.problem}: {m}", heat) for m in MEASURES)
    first = _scores(heats, False, case, lambda share: case.tick(0.5 * share))
    looks = [_looked(case, h, s, False) for h, s in zip(heats, first, strict=True)]
    at = levels(case.alpha, count)
    flagged = [
        bool(look.shows_worse(at.first, LIMITS).any() or look.shows_better(at.first, LIMITS).any())
        for look in looks
    ]
    again = [h for h, flag, s in zip(heats, flagged, first, strict=True) if flag and not s.failure]
    second = _scores(again, True, case, lambda share: case.tick(0.5 + 0.5 * share))
    confirmed = {
        h.race.problem: (s, _looked(case, h, s, True)) for h, s in zip(again, second, strict=True)
    }
    for heat, before, scores in zip(heats, looks, first, strict=True):
        fresh, after = confirmed.get(heat.race.problem, (None, None))
        if failure := scores.failure or (fresh.failure if fresh else ""):
            yield from _raised(case, heat, failure)
        else:
            yield from _judged(case, heat, before, after, count)
    case.tick(1.0)


def _heat(case: Case, race: Race, least: int) -> _Heat | str:
    """The race with the candidate in it, or why it cannot run."""
    if min(len(race.seeds), len(race.fresh)) < least:
        return (
            f"its {min(len(race.seeds), len(race.fresh))} seeds can show nothing at "
            f"alpha={case.alpha:g}, which needs {least}"
        )
    if lacking := _lacking(case.method, race.hyper):
        return lacking
    try:
        entry = Entry(problem(race.problem), setting(case.method, race.hyper))
    except RavineError as error:
        return str(error)
    reason = mismatch(entry.problem, case.method)
    return reason or _Heat(race, entry)


def _lacking(method: Method, hyper: dict[str, Any]) -> str:
    try:
        accepted = hyperparameters(method.build)
    except (TypeError, ValueError):  # a constructor without a signature says so when called
        return ""
    absent = [name for name in hyper if name not in accepted]
    return f"it takes no `{absent[0]}`, which the baseline sets" if absent else ""


def _scores(
    heats: Sequence[_Heat], fresh: bool, case: Case, tick: Callable[[float], None]
) -> list[Scores]:
    """Scores of one look; races of the same seeds and length share grids."""
    groups: dict[object, list[int]] = {}
    for k, heat in enumerate(heats):
        seeds = heat.race.fresh if fresh else heat.race.seeds
        groups.setdefault((seeds, heat.race.budget), []).append(k)
    found: dict[int, Scores] = {}
    for number, members in enumerate(groups.values()):
        race = heats[members[0]].race

        def part(share: float, number: int = number) -> None:
            tick((number + share) / len(groups))

        scores = score(
            [heats[k].entry for k in members],
            race.fresh if fresh else race.seeds,
            race.budget,
            case.dtype,
            part,
        )
        found |= dict(zip(members, scores, strict=True))
    return [found[k] for k in range(len(heats))]


def _blind(case: Case, heat: _Heat) -> bool:
    """Whether rounding alone may reach a target, which lies just below a local minimum."""
    return case.dtype is not torch.float64 and heat.entry.problem.facts.goal is Goal.BASIN


def _looked(case: Case, heat: _Heat, scores: Scores, fresh: bool) -> Look:
    formula = isinstance(heat.entry.problem, Analytic)
    floor = FLOORS.get(case.dtype if formula else torch.float32, FLOORS[torch.float32])
    differences = heat.differences(scores, fresh, floor)
    if _blind(case, heat):
        differences[0] = 0.0
    return look(differences)


def _judged(
    case: Case, heat: _Heat, first: Look, second: Look | None, count: int
) -> Iterator[Decision]:
    at = levels(case.alpha, count)
    baseline = case.baseline.method if case.baseline else ""
    for k, measure in enumerate(MEASURES):
        if measure is Measure.STEPS and _blind(case, heat):
            reason = "single precision cannot tell a basin's value from one just below it"
            yield _left_out(f"{heat.race.problem}: {measure}", reason)
            continue
        limit = float(LIMITS[k])
        status = Status.SAME
        last, chance, n = first, float(min(first.worse[k], first.better[k])), len(heat.race.seeds)
        up, down = (
            bool(first.shows_worse(at.first, LIMITS)[k]),
            bool(first.shows_better(at.first, LIMITS)[k]),
        )
        if second is not None and (up or down):
            last, n = second, n + len(heat.race.fresh)
            chance = float((first.worse * second.worse if up else first.better * second.better)[k])
            if up and second.shows_worse(at.second, limit)[k]:
                status = Status.DIFFERENT
            elif down and second.shows_better(at.second, limit)[k]:
                status = Status.BETTER
        yield Decision(
            gate=Gate.STATISTICS,
            name=f"{heat.race.problem}: {measure}",
            status=status,
            expected=f"no more than {_factor(measure)} times the {measure} of {baseline}",
            seen=_seen(measure, last, k),
            size=_ratio(measure, float(last.effect[k])),
            n=n,
            chance=min(1.0, count * chance),
        )


def _raised(case: Case, heat: _Heat, failure: str) -> Iterator[Decision]:
    baseline = case.baseline.method if case.baseline else ""
    for measure in MEASURES:
        yield Decision(
            gate=Gate.STATISTICS,
            name=f"{heat.race.problem}: {measure}",
            status=Status.DIFFERENT,
            expected=f"a run as of {baseline}",
            seen=f"it raised {failure}",
            n=len(heat.race.seeds),
        )


def _factor(measure: Measure) -> float:
    limits = Thresholds()
    return limits.steps if measure is Measure.STEPS else limits.gap


def _ratio(measure: Measure, effect: float) -> float:
    return float(2.0**effect if measure is Measure.STEPS else 10.0**effect)


def _seen(measure: Measure, look: Look, k: int) -> str:
    ratio, low, high = (
        _ratio(measure, float(value[k])) for value in (look.effect, look.low, look.high)
    )
    return f"{ratio:.3g} times as much [{low:.3g}, {high:.3g}]"


def _left_out(name: str, reason: str) -> Decision:
    return Decision(
        gate=Gate.STATISTICS,
        name=name,
        status=Status.LEFT_OUT,
        expected="no worse than the baseline",
        seen=reason,
        n=0,
    )
