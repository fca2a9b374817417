"""What a method's runs do not depend on, measured: the invariance card.

A method is run on a function and on views of it: other coordinates, other units, another
shape of the same numbers.  Carried back, the second run should be the first.  How far it is
from that, as a share of the way gone, is the deviation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from math import ceil, log10

import torch

from ravine.optimizers.base import Method, Setting
from ravine.optimizers.capabilities import capabilities, one_line, undisturbed
from ravine.optimizers.changes import (
    Property,
    as_matrix,
    as_vector,
    changes,
    line_changes,
    repeated,
    reseeded,
    single,
)
from ravine.optimizers.hyperparameters import hyperparameters
from ravine.optimizers.space import trials
from ravine.optimizers.trajectories import Trajectory, View, descend, deviation, ground

__all__ = ["Card", "Finding", "Property", "Verdict", "invariance", "judge", "said"]

STEPS = 20
"""Enough to pass warm-up branches such as RAdam's sixth step, and updates every ten steps."""

LONGEST = 320
"""Steps of the longest run; a method that hardly moves is given four times as many at once."""

LITTLE, FAR = 1e-3, 10.0
"""Shares of the way to the minimum: less is hardly a move, more has left all bounds."""

DIVISIONS = 6
"""How often the rate of a method that diverges is divided by ten."""

EXACT = {torch.float64: 1e-7, torch.float32: 1e-3}
"""Deviations that rounding makes.

They are about 1e-12 and grow with steps that double, as the first ones of Prodigy do (7e-9);
the most is 8e-7, of D-Adaptation.  Single precision rounds 2^29 times as much, so that little
is left between it and a difference.
"""

NEARLY = 0.05
"""The deviation up to which a method counts as nearly invariant.

Of 246 methods of torch and other libraries, those that only round or only guard a division
stay below: bfloat16 in Muon's iteration makes 0.036, an epsilon of 1e-8 in Adam's relatives
0.0014 at most.  What is small but real stays above: the decay of 1e-4 in ASGD makes 0.09, the
norms by which StableAdamW clips 0.07.  An epsilon of 1e-6 is on either side; with gradients of
1e-4 it is no mere guard.
"""

NOISE = 10.0
"""A deviation up to this many times that of another seed may be the seed's."""

Runs = tuple[Trajectory, ...]
"""From each start."""

Measured = float | str
"""A deviation, or why there is none."""


class Verdict(StrEnum):
    """Whether a method is invariant."""

    YES = "yes"
    """Up to rounding."""
    NEARLY = "nearly"
    """Up to what an epsilon, or rounding to fewer digits, makes."""
    NO = "no"
    UNKNOWN = "cannot tell"
    """Its steps are random, and another seed changes as much."""
    FAILS = "fails"
    """It raises an error on what the property asks of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a method has a property, and the view on which it was furthest from it.

    Args:
        property: what was tried.
        verdict: what came out.
        deviation: the largest over views and starts; None where nothing could be compared.
        case: the view, where it has a name.
        reason: the error, where there was one.
    """

    property: Property
    verdict: Verdict
    deviation: float | None = None
    case: str = ""
    reason: str = ""

    def __str__(self) -> str:
        # a power of ten above it: the digits of a deviation differ from machine to machine
        near = self.deviation if self.verdict is Verdict.NEARLY else None
        size = f", within {10 ** ceil(log10(near)):.0e}" if near else ""
        case = f" ({self.case})" if self.case else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.verdict}{size}{case}{reason}"


@dataclass(frozen=True, slots=True)
class Card:
    """All findings on a method.

    Args:
        setting: the id of what ran.
        findings: one for each property; none if nothing could be compared.
        steps: of each run.
        travelled: the least share of the way to the minimum that a run went.
        notes: how the setting, the steps or the precision differ from the usual.
        reason: why there are no findings, empty if there are.
    """

    setting: str
    findings: tuple[Finding, ...] = ()
    steps: int = 0
    travelled: float = 0.0
    notes: tuple[str, ...] = ()
    reason: str = ""

    def __getitem__(self, asked: Property) -> Finding:
        return {finding.property: finding for finding in self.findings}[asked]


def said(card: Card) -> dict[str, str]:
    """A card in words: a verdict for each property, and what else there is to know."""
    if card.reason:
        return {"reason": card.reason}
    verdicts = {str(f.property): str(f) for f in card.findings}
    return verdicts | ({"notes": "; ".join(card.notes)} if card.notes else {})


def invariance(subject: Method | Setting) -> Card:
    """Measure what a method's runs do not depend on.

    With x = A y + b, a run on c f(A y + b) + d, carried back, is compared with the run on f
    from the same start.  All hyperparameters stay as they are, but a rate at which the method
    diverges is divided by ten, and a method that hardly moves is given more steps.  It says
    nothing of how well a method descends, of random steps only what holds for every draw, and
    nothing of negative curvature: f is convex, where saddle-free Newton is Newton's method.
    A generator of the method's own, seeded alike each time, counts as no randomness.

    Args:
        subject: a method at its default setting, or a setting.

    Returns:
        The card; measured once for each setting.  Global random generators, the gradient
        mode and warning filters stay as they are.

    Example:
        >>> from ravine.optimizers import method
        >>> card = invariance(method("adam"))
        >>> str(card[Property.SIGN_FLIPS]), str(card[Property.ROTATION])
        ('yes', 'no')
    """
    return _card(subject if isinstance(subject, Setting) else trials(subject, 1)[0])


@cache
def _card(setting: Setting) -> Card:
    needs = capabilities(setting)
    if needs.reason is not None:
        return Card(setting.name, reason=needs.reason)
    dtype = torch.float32 if needs.single_only else torch.float64
    home = as_matrix(dtype) if needs.matrix_only else as_vector(dtype)
    with undisturbed():
        try:
            used, steps, runs = _settle(setting, home)
        except Exception as error:
            return Card(setting.name, reason=one_line(error))
        travelled = min(map(_share, runs))
        if not (travelled and _finite(runs)):
            reason = "it diverges" if travelled else "it does not move"
            return Card(used.name, (), steps, travelled, reason=reason)
        found = _findings(home, runs, lambda view: _runs(used, view, steps))
    return Card(used.name, found, steps, travelled, _notes(setting, used, steps, travelled))


def _settle(setting: Setting, home: View) -> tuple[Setting, int, Runs]:
    """Find a rate at which a method stays near, and a number of steps in which it moves."""
    steps = STEPS
    runs = _runs(setting, home, steps)
    for _ in range(DIVISIONS):
        rate = _rate(setting)
        if rate is None or all(_share(run) <= FAR for run in runs):
            break
        others = tuple((name, value) for name, value in setting.values if name != "lr")
        setting = Setting(setting.method, (*others, ("lr", float(f"{rate / 10:.6g}"))))
        runs = _runs(setting, home, steps)
    while min(map(_share, runs)) < LITTLE and steps < LONGEST:
        steps *= 4
        runs = _runs(setting, home, steps)
    return setting, steps, runs


def _runs(setting: Setting, view: View, steps: int) -> Runs:
    return tuple(descend(setting, start, view, steps) for start in ground().starts)


def _share(run: Trajectory) -> float:
    way = torch.linalg.vector_norm(run.points[0] - ground().minimizer)
    return run.travelled / float(way)


def _finite(runs: Runs) -> bool:
    return all(run.finite for run in runs)


def _rate(setting: Setting) -> float | None:
    known = hyperparameters(setting.method.build).get("lr")
    rate = setting.hyper.get("lr", None if known is None else known.default)
    return float(rate) if isinstance(rate, int | float) else None


def _notes(setting: Setting, used: Setting, steps: int, travelled: float) -> tuple[str, ...]:
    notes = []
    if used is not setting:
        notes.append(f"measured as `{used.name}`, for `{setting.name}` diverges")
    if steps > STEPS:
        notes.append(f"measured over {steps} steps, for in {STEPS} it hardly moves")
    if travelled < LITTLE:
        notes.append(f"it goes {travelled:.0e} of the way to the minimum")
    if capabilities(setting).single_only:
        notes.append("measured in single precision, for it takes no other")
    return tuple(notes)


def _findings(home: View, runs: Runs, rerun: Callable[[View], Runs]) -> tuple[Finding, ...]:
    @cache
    def met(view: View) -> Runs | str:
        if view is home:
            return runs
        try:
            return rerun(view)
        except Exception as error:
            return one_line(error)

    def tried(origin: View, view: View) -> tuple[View, Measured]:
        found = _apart(met(origin), met(view))
        if isinstance(found, str) and view.dtype is torch.float64:
            second = _apart(met(single(origin)), met(single(view)))
            if isinstance(second, float):
                return single(view), second
        return view, found

    matrix = as_matrix(home.dtype)
    noise, seeds, repetitions = {home: 0.0, matrix: 0.0}, {}, {}
    for origin in noise:
        view, found = tried(origin, reseeded(origin))
        if origin is home or isinstance(found, float):
            seeds[view] = found
            # a run that another seed does not change has been repeated by it
            repetitions[view] = tried(origin, repeated(origin))[1] if found else 0.0
        noise[origin] = found if isinstance(found, float) else 0.0
    asked = [(home, *change) for change in changes(home)]
    asked += [(matrix, *change) for change in line_changes(matrix)]
    return (
        *(judge(name, dict(tried(at, v) for v in views), noise[at]) for at, name, views in asked),
        judge(Property.SEED, seeds, bits=True),
        judge(Property.REPETITION, repetitions, bits=True),
    )


def _apart(before: Runs | str, after: Runs | str) -> Measured:
    """The largest deviation from any start, or what prevents it."""
    if isinstance(before, str) or isinstance(after, str):
        return before if isinstance(before, str) else str(after)
    if not _finite(before) or not all(run.travelled for run in before):
        return "it diverges or does not move"
    return max(deviation(*runs) for runs in zip(before, after, strict=True))


def judge(
    asked: Property, measured: Mapping[View, Measured], noise: float = 0.0, bits: bool = False
) -> Finding:
    """Make a verdict of deviations.

    Args:
        asked: the property.
        measured: by view a deviation, or why there is none.
        noise: the deviation from one seed to another.
        bits: whether nothing but the same bits will do.

    Example:
        >>> larger, smaller = View("loss x 128"), View("loss / 128")
        >>> str(judge(Property.LOSS_SCALE, {larger: 0.0, smaller: 2e-4}))
        'nearly, within 1e-03 (loss / 128)'
    """
    deviations = {view: d for view, d in measured.items() if isinstance(d, float)}
    failures = [(view, why) for view, why in measured.items() if isinstance(why, str)]
    worst = max(deviations, key=lambda view: deviations[view], default=None)
    if worst is not None and deviations[worst] > (0.0 if bits else NEARLY):
        random = deviations[worst] <= NOISE * noise
        verdict = Verdict.UNKNOWN if random else Verdict.NO
        return Finding(asked, verdict, deviations[worst], worst.words)
    if failures or worst is None:
        view, why = failures[0]
        return Finding(asked, Verdict.FAILS, None, view.words, why)
    exact = deviations[worst] <= EXACT[worst.dtype]
    verdict = Verdict.YES if exact else Verdict.NEARLY
    return Finding(asked, verdict, deviations[worst], "" if exact else worst.words)
