"""What any optimizer promises by being a `torch.optim.Optimizer`, whatever it computes.

Gradients are those of a tape, decades apart and some of them zero, so that a path that should
be the same is the same bit for bit.  What depends on the algorithm is looked at under each of
the method's scenarios: a momentum that is lost is not seen where there is none.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch

from ravine.errors import Mismatch
from ravine.optimizers.base import Capabilities, Method
from ravine.optimizers.capabilities import capabilities, one_line, undisturbed
from ravine.regression.contracts import (
    domain,
    forms,
    gradients,
    groups,
    persistence,
    surroundings,
)
from ravine.regression.contracts.tape import Seen, Subject, begin, plain
from ravine.regression.decisions import Case, Decision, Gate, Status
from ravine.regression.scenarios import scenarios, setting, words

__all__ = ["CONTRACTS", "Contract", "decide", "hold"]

SAME_PATH = "the same path bit for bit"


@dataclass(frozen=True, slots=True)
class Contract:
    """A promise.

    Args:
        expected: what should be, in words.
        look: says what was seen instead, None where it holds; raises `Mismatch` where it
            cannot be looked at.
        everywhere: whether all scenarios are looked at, not only the method's own.
    """

    expected: str
    look: Callable[[Subject], Seen | None]
    everywhere: bool = False


CONTRACTS: Mapping[str, Contract] = MappingProxyType(
    {
        "resumes from its state dict": Contract(SAME_PATH, persistence.resumes, everywhere=True),
        "resumes with a changed rate": Contract(
            "the rate that was saved", persistence.resumes_with_rate
        ),
        "deep copy": Contract(SAME_PATH, persistence.copies_deeply),
        "pickle": Contract(SAME_PATH, persistence.pickles),
        "zero gradient": Contract(
            "no movement, but what weight decay draws to the origin",
            gradients.stays,
            everywhere=True,
        ),
        "parameters without a gradient": Contract(
            "that they stay, and all others move", gradients.skips
        ),
        "before any gradient": Contract(
            "no movement, and a state that can be saved", gradients.waits
        ),
        "gradients overwritten after the step": Contract(
            SAME_PATH, gradients.forgets, everywhere=True
        ),
        "gradients refilled in place": Contract(SAME_PATH, gradients.refills),
        "gradients left alone": Contract(
            "the gradients as they were before the step", gradients.keeps, everywhere=True
        ),
        "strided gradients": Contract("the same path within rounding", gradients.reads_strided),
        "closure": Contract(
            "the closure's loss, evaluated with gradients on, and the same path",
            gradients.evaluates,
        ),
        "two groups": Contract(
            "that all are stepped, as in one group", groups.groups_alike, everywhere=True
        ),
        "a rate for each group": Contract("each group at its own", groups.groups_apart),
        "a group added later": Contract(
            "that it is stepped, and the first goes on", groups.groups_added
        ),
        "a rate that is scheduled": Contract("the new rate in the next step", groups.follows_rate),
        "maximize": Contract(
            "maximizing -f to be minimizing f bit for bit", forms.maximizes, everywhere=True
        ),
        "single precision": Contract(
            "the precision kept, and the path of double precision",
            forms.follows_single,
            everywhere=True,
        ),
        "bfloat16": Contract("finite parameters in bfloat16", forms.keeps_half),
        "foreach": Contract("the path of the loop within rounding", forms.stacks, everywhere=True),
        "fused": Contract("the path of the loop within rounding", forms.fuses, everywhere=True),
        "global state": Contract(
            "random generators and gradient mode left alone", surroundings.leaves_surroundings
        ),
        "beside another optimizer": Contract(SAME_PATH, surroundings.ignores_others),
        "negative rate": Contract("the constructor to refuse it", domain.refuses_rate),
        "values outside the domain": Contract("the constructor to refuse them", domain.refuses),
        "descends a bowl": Contract(
            f"half the loss within {domain.PATIENCE} steps at some rate",
            domain.descends,
        ),
    }
)
"""Every contract by its name, in the order in which they are decided."""

EXCUSED = 10.0
"""Factor by which a candidate may break a contract more than what it is held against does."""


def decide(case: Case) -> Iterator[Decision]:
    """Hold an optimizer to every contract.

    No baseline is needed, and nothing is random.  What the method that the baseline is of
    breaks as much is left out.

    Args:
        case: the candidate.

    Returns:
        A decision for each contract.
    """
    for done, name in enumerate(CONTRACTS, 1):
        yield hold(name, case)
        case.tick(done / len(CONTRACTS))


def hold(name: str, case: Case) -> Decision:
    """Hold an optimizer to one contract.

    Args:
        name: of the contract.
        case: the candidate.

    Returns:
        The decision; its `n` counts the scenarios that were looked at.

    Example:
        >>> from ravine.optimizers import method
        >>> hold("maximize", Case(method=method("adam"))).status
        <Status.SAME: 'same'>
    """
    with undisturbed():
        found = _look(CONTRACTS[name], case.method, case.dtype)
        known = None
        if found.broken and case.claim is not None:
            alike = case.claim == case.method
            known = found if alike else _look(CONTRACTS[name], case.claim, case.dtype)
    if not found.looked:
        status = Status.LEFT_OUT
    elif not found.broken:
        status = Status.SAME
    elif known is not None and _no_worse(found, known):
        status, found = (
            Status.LEFT_OUT,
            replace(
                found, seen=f"for {case.claim and case.claim.name} breaks it too: {found.seen}"
            ),
        )
    else:
        status = Status.DIFFERENT
    return Decision(
        gate=Gate.CONTRACT,
        name=name,
        status=status,
        expected=CONTRACTS[name].expected,
        seen=found.seen,
        size=found.size,
        n=found.looked,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at all scenarios came to, its `looked` the number of them."""

    looked: int
    broken: bool
    seen: str
    size: float | None = None


def _look(contract: Contract, method: Method, dtype: torch.dtype) -> _Found:
    reasons: list[str] = []
    looked = 0
    needs = capabilities(method)
    if needs.reason:
        return _Found(0, False, needs.reason)
    precision = _precision(method, needs, dtype)
    for hyper in scenarios(method) if contract.everywhere else ({},):
        seen: Seen | None
        try:
            subject = Subject(setting(method, hyper), needs, precision)
            begin(subject)
        except Exception as error:
            # a scenario that the constructor refuses is none
            reasons.append(one_line(error))
            continue
        try:
            seen = contract.look(subject)
        except Mismatch as mismatch:
            reasons.append(str(mismatch))
            continue
        except Exception as error:
            seen = Seen(f"that it raised {one_line(error)}")
        looked += 1
        if seen is not None:
            place = f"with {words(hyper)} " if hyper else ""
            return _Found(looked, True, place + seen.words, seen.size)
    return _Found(looked, False, "just that" if looked else reasons[0])


def _precision(method: Method, needs: Capabilities, dtype: torch.dtype) -> torch.dtype:
    """The precision in which a method is looked at: single where it steps in no other."""
    single = Subject(setting(method, {}), needs, torch.float32)
    if dtype is torch.float32 or needs.single_only:
        return torch.float32
    try:
        plain(replace(single, dtype=dtype))
    except Exception:
        # some step on a vector in double precision and on a matrix in single alone
        try:
            plain(single)
        except Exception:
            return dtype
        return torch.float32
    return dtype


def _no_worse(found: _Found, known: _Found) -> bool:
    """Whether a contract is broken no worse than by the method that is known."""
    if not known.broken or (found.size is None) is not (known.size is None):
        return False
    return found.size is None or known.size is None or found.size <= EXCUSED * known.size
