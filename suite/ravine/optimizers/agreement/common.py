"""Hyperparameters and differences that several algorithms share."""

from ravine.optimizers.agreement.base import Amendment, Difference, Kind, Member

MOMENTS = "lr=0.02, betas=(0.8, 0.95), eps=0.01"
"""No constant is so small that its place would not matter."""

DECAY = "weight_decay=0.1"
ADAM = f"{MOMENTS}, {DECAY}"

MIX = "lr=0.02, betas=(0.8, 0.95, 0.99), eps=0.01"
"""AdEMAMix has a second, longer momentum."""

WIDE = "storage_dtype=float64"
"""heavyball keeps its averages in single precision unless told otherwise."""

KOZISTR = "pytorch_optimizer.optimizer"
"""The modules of pytorch-optimizer."""

SHRUNK = "group['eps'] * (1 - beta2 ** group['step']) ** 0.5"
"""What eps must be before the bias correction to be eps after it."""

EARLY = "eps is added before the second moment's bias correction and counts eps / sqrt(1 - beta2^t)"
MAXIMUM = "the denominator is max(sqrt(v), eps), not sqrt(v) + eps"

SUM = Amendment("heavyball.utils:eps_sqrt", "clamp(min=eps)", "add(eps)")
"""Makes the maximum of sqrt(v) and eps their sum."""

DECAY_LAST = Amendment(
    "heavyball.utils:_compilable_update_",
    "p32_ * (1 - d * lr) + u_ * -lr",
    "(p32_ + u_ * -lr) * (1 - d * lr)",
)
"""Makes the decay follow the step."""

SCALARS = "the rate and the powers of beta are computed in single precision"
"""heavyball multiplies and raises them by an integer tensor, which gives torch's default type
whatever the parameters have."""

IDLE = "`weight_decouple=False` does nothing"


def named(
    cause: str,
    *amendments: Amendment,
    kind: Kind = Kind.RULE,
    place: str = "",
    other: str = "",
    reference: str = "",
    double: bool = False,
) -> Difference:
    """A difference, at the place of its first amendment if no other is given."""
    return Difference(
        kind=kind,
        cause=cause,
        place=place or amendments[0].place,
        amendments=amendments,
        other=other,
        reference=reference,
        double=double,
    )


def heavyball(
    id: str,
    cause: str = "",
    *amendments: Amendment,
    kind: Kind = Kind.RULE,
    place: str = "",
    other: str = "",
    reference: str = "",
) -> Member:
    """A method of heavyball, whose scalars are in single precision whatever else differs."""
    if not cause:
        place, kind = "heavyball.chainable:ChainOpt._step_inner", Kind.PRECISION
    said = f"{cause}; besides, {SCALARS}" if cause else SCALARS
    difference = named(
        said,
        *amendments,
        kind=kind,
        place=place,
        other=other,
        reference=reference,
        double=True,
    )
    return Member(id, difference)
