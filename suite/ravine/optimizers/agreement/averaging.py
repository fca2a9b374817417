"""Methods that average their iterates, look ahead or around, or find their rate themselves."""

from ravine.optimizers.agreement.base import Algorithm, Amendment, Kind, Member
from ravine.optimizers.agreement.common import (
    ADAM,
    DECAY,
    IDLE,
    KOZISTR,
    MAXIMUM,
    MOMENTS,
    SUM,
    WIDE,
    heavyball,
    named,
)

WARM = f"{ADAM}, warmup_steps=10"
BALL = f"lr=0.05, momentum=0.8, {DECAY}, warmup_steps=10"
FREE = "betas=(0.8, 0.95), eps=0.5, d0=0.001"
"""Prodigy multiplies eps by its estimate of the distance."""
AHEAD = f"{MOMENTS}, k=6, alpha=0.5"

_PAPER = "schedulefree.adamw_schedulefree_paper:AdamWScheduleFreePaper.step"
_SUMS = named(
    "the sums by which the rate is found are in torch's default type, single precision",
    kind=Kind.PRECISION,
    place=f"{KOZISTR}.prodigy:Prodigy.step",
    double=True,
)

ALGORITHMS = (
    Algorithm(
        "Schedule-free SGD",
        f"schedulefree.sgdschedulefree({BALL})",
        (
            Member(f"schedulefree.sgdschedulefreeclosure({BALL})"),
            Member(f"pytorch_optimizer.schedulefreesgd({BALL})"),
        ),
    ),
    Algorithm(
        "Schedule-free AdamW",
        f"schedulefree.adamwschedulefree({WARM})",
        (
            Member(f"schedulefree.adamwschedulefreeclosure({WARM})"),
            Member(
                f"schedulefree.adamwschedulefreepaper({WARM})",
                named(
                    "eps is added before the second moment's bias correction, and the root of that "
                    "multiplies the rate, so also the decay and the weights of the average",
                    Amendment(
                        _PAPER,
                        "lr = group['lr']*sched*math.sqrt(bias_correction2)",
                        "lr = group['lr']*sched",
                    ),
                    Amendment(
                        _PAPER,
                        "torch._foreach_sqrt(exp_avg_sq)",
                        "torch._foreach_sqrt(torch._foreach_div(exp_avg_sq, bias_correction2))",
                    ),
                ),
            ),
            Member(f"pytorch_optimizer.schedulefreeadamw({WARM})"),
            # it counts one warm-up step less
            heavyball(f"heavyball.sfadamw({ADAM}, warmup_steps=9, {WIDE})", MAXIMUM, SUM),
        ),
    ),
    Algorithm(
        "Schedule-free RAdam",
        f"schedulefree.radamschedulefree({ADAM})",
        (
            Member(f"schedulefree.radamschedulefreeclosure({ADAM})"),
            Member(f"pytorch_optimizer.schedulefreeradam({ADAM})"),
        ),
    ),
    Algorithm(
        "Prodigy",
        f"prodigyopt.prodigy({FREE}, {DECAY})",
        (Member(f"pytorch_optimizer.prodigy({FREE}, {DECAY})", _SUMS),),
    ),
    Algorithm(
        "Prodigy, bias corrected",
        f"prodigyopt.prodigy({FREE}, {DECAY}, use_bias_correction=True)",
        (Member(f"pytorch_optimizer.prodigy({FREE}, {DECAY}, bias_correction=True)", _SUMS),),
    ),
    Algorithm(
        "Prodigy, coupled decay",
        f"prodigyopt.prodigy({FREE}, {DECAY}, decouple=False)",
        (
            Member(
                f"pytorch_optimizer.prodigy({FREE}, {DECAY}, weight_decouple=False)",
                named(
                    f"{IDLE}: the decay is added to a gradient that has been used; besides, "
                    f"{_SUMS.cause}",
                    kind=Kind.DEFECT,
                    place=f"{KOZISTR}.prodigy:Prodigy._apply_update_foreach",
                    reference=f"prodigyopt.prodigy({FREE})",
                    double=True,
                ),
            ),
        ),
    ),
    # RAdam that looks ahead
    Algorithm(
        "Ranger",
        f"lookahead(radam({MOMENTS}), k=6, alpha=0.5)",
        (
            Member(
                f"optimi.ranger({AHEAD})",
                named(
                    "eps is added after the second moment's bias correction, in torch's RAdam "
                    "before it",
                    Amendment(
                        "optimi.ranger:ranger",
                        "eps=eps,",
                        "eps=eps / debias(beta2, step_int) ** 0.5,",
                    ),
                ),
            ),
            Member(f"pytorch_optimizer.ranger({AHEAD}, use_gc=False, degenerated_to_sgd=True)"),
        ),
    ),
    Algorithm(
        "Ranger, first steps left out",
        f"lookahead(pytorch_optimizer.radam({MOMENTS}), k=6, alpha=0.5)",
        (
            Member(
                f"pytorch_optimizer.ranger({AHEAD}, use_gc=False)",
                named(
                    "the first steps go uphill: the sign that means that there is to be none, with "
                    "`degenerated_to_sgd=False`, the default, is multiplied into the rate",
                    Amendment(
                        f"{KOZISTR}.ranger:Ranger._step_foreach",
                        "foreach_add_(params, exp_avgs, alpha=-step_size)",
                        "pass",
                    ),
                    kind=Kind.DEFECT,
                ),
            ),
        ),
    ),
    Algorithm(
        "ASAM",
        "sam(heavyball.adamw(lr=0.0025), rho=0.1, adaptive=True)",
        (
            Member(
                "heavyball.samwrapper(ball=0.1)",
                named(
                    "the way up is not divided by its norm, so that it grows with the gradient",
                    Amendment(
                        "heavyball.utils:_compilable_sam_step",
                        "grad = grad * promote(p).square()",
                        "grad = grad * promote(p).square() / (grad * promote(p)).norm()",
                    ),
                    kind=Kind.DEFECT,
                ),
            ),
        ),
    ),
)
"""The methods of several points, by what people call them."""
