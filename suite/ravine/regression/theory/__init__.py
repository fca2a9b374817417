"""Hold an optimizer to what theorems say of what it claims to be.

Rates and thresholds that are exact, closed forms of single steps, the published formula,
and failures that a theorem promises.  A law speaks of a class of `torch.optim`, or of
ravine's own; it is asked of the claim, and tested on the candidate.
"""

from collections.abc import Iterator

import torch

from ravine.optimizers.capabilities import one_line, undisturbed
from ravine.regression.check import with_dtype
from ravine.regression.decisions import Case, Decision, Gate, Status
from ravine.regression.theory.adaptive import LAWS as ADAPTIVE
from ravine.regression.theory.descent import LAWS as DESCENT
from ravine.regression.theory.failures import LAWS as FAILURES
from ravine.regression.theory.formulas import LAWS as FORMULAS
from ravine.regression.theory.law import Finding, Law, Subject, Unseen
from ravine.regression.theory.matrices import LAWS as MATRICES
from ravine.regression.theory.moments import LAWS as MOMENTS
from ravine.regression.theory.second_order import LAWS as SECOND_ORDER
from ravine.regression.theory.steps import LAWS as STEPS

__all__ = ["LAWS", "Finding", "Law", "Subject", "decide", "hold"]

LAWS: tuple[Law, ...] = (
    *FORMULAS,
    *DESCENT,
    *MOMENTS,
    *ADAPTIVE,
    *STEPS,
    *MATRICES,
    *SECOND_ORDER,
    *FAILURES,
)
"""All laws, family by family."""


def decide(case: Case) -> Iterator[Decision]:
    """Hold a candidate to every law that speaks of what it claims to be.

    Args:
        case: the candidate, and the claim; without one only laws for all are looked at.
    """
    case = with_dtype(case)
    subject = Subject(case.method, case.claim, case.dtype)
    laws = [law for law in LAWS if law.universal or (case.claim and law.applies(case.claim))]
    for done, law in enumerate(laws, 1):
        yield hold(law, subject)
        case.tick(done / len(laws))
    if all(law.universal for law in laws):
        reason = (
            "no baseline, so no theory beyond what holds for all"
            if case.claim is None
            else f"no theorem is known here of `{case.claim.name}`"
        )
        yield Decision(
            gate=Gate.THEORY,
            name="theory of its algorithm",
            status=Status.LEFT_OUT,
            expected="what theorems say of it",
            seen=reason,
        )


def hold(law: Law, subject: Subject) -> Decision:
    """Hold a candidate to one law, whether or not it speaks of the claim.

    Args:
        law: the law.
        subject: who is held to it.

    Returns:
        Same, different, or left out; global generators stay as they were.
    """
    try:
        if law.double and not subject.double:
            raise Unseen("it needs double precision")
        with undisturbed():
            torch.manual_seed(0)
            found = law.test(subject)
    except Unseen as reason:
        return Decision(
            gate=Gate.THEORY,
            name=law.name,
            status=Status.LEFT_OUT,
            expected="",
            seen=str(reason),
            source=law.source,
        )
    except Exception as error:  # whatever an optimizer raises is a result
        found = Finding(holds=False, expected="steps", seen=f"it raised {one_line(error)}")
    return Decision(
        gate=Gate.THEORY,
        name=law.name,
        status=Status.SAME if found.holds else Status.DIFFERENT,
        expected=found.expected,
        seen=found.seen,
        size=found.size,
        n=found.n,
        chance=found.chance,
        source=law.source,
    )
