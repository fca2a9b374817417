"""One algorithm in other forms: precision, many tensors at once, the loss turned over."""

import torch

from ravine.errors import Mismatch
from ravine.optimizers.capabilities import one_line
from ravine.optimizers.hyperparameters import hyperparameters
from ravine.regression.contracts.tape import (
    STEPS,
    Seen,
    Subject,
    advance,
    apart,
    begin,
    differing,
    parting,
)

SINGLE = 3e-2
"""What single precision may part a path from that in double by, as a share of its extent: some
turn matrices in bfloat16 inside, which rounds by 1 %."""


def follows_single(subject: Subject) -> Seen | None:
    """Parameters keep their precision, and in single precision go the way of double."""
    paths = []
    for dtype in (torch.float64, torch.float32):
        if dtype is torch.float64 and subject.dtype is torch.float32:
            continue
        run = begin(Subject(subject.setting, subject.needs, dtype))
        paths.append(advance(run, STEPS))
        if any(p.dtype is not dtype for p in run.parameters):
            return Seen(f"parameters that were {dtype} before")
    if len(paths) < 2 or subject.needs.random:
        return None
    far = apart(*paths)
    return Seen(f"paths {far:.2g} of the way apart", far) if far > SINGLE else None


def keeps_half(subject: Subject) -> Seen | None:
    """Parameters in bfloat16 stay so, and finite."""
    try:
        run = begin(Subject(subject.setting, subject.needs, torch.bfloat16))
        path = advance(run, STEPS)
    except Exception as error:
        raise Mismatch(f"it does not step in bfloat16: {one_line(error)}") from None
    if any(p.dtype is not torch.bfloat16 for p in run.parameters):
        return Seen("parameters in another precision")
    return None if bool(path.isfinite().all()) else Seen("parameters that are not finite")


def maximizes(subject: Subject) -> Seen | None:
    """Maximizing -f is minimizing f."""
    _insist(subject, "maximize")
    falling, rising = (begin(subject.changed({"maximize": up})) for up in (False, True))
    rising.slope = -1.0
    return parting(advance(falling, STEPS), advance(rising, STEPS))


def stacks(subject: Subject) -> Seen | None:
    """`foreach=True` goes the way of the loop over parameters."""
    return _alike(subject, "foreach")


def fuses(subject: Subject) -> Seen | None:
    """`fused=True` goes the way of the loop over parameters."""
    return _alike(subject, "fused")


def _alike(subject: Subject, form: str) -> Seen | None:
    _insist(subject, form)
    try:
        run = begin(subject.changed({form: True}))
    except (RuntimeError, ValueError) as error:
        raise Mismatch(f"it refuses `{form}=True`: {one_line(error)}") from None
    loop = begin(subject.changed({form: False}))
    return differing(advance(loop, STEPS), advance(run, STEPS), subject)


def _insist(subject: Subject, name: str) -> None:
    if name not in hyperparameters(subject.setting.method.build):
        raise Mismatch(f"its constructor takes no `{name}`")
