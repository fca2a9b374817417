"""Adam and what keeps its two moments: decays, corrections, Nesterov's momentum, rectification."""

from ravine.optimizers.agreement.base import MIXED, Algorithm, Amendment, Kind, Member
from ravine.optimizers.agreement.common import (
    ADAM,
    DECAY,
    EARLY,
    IDLE,
    KOZISTR,
    MAXIMUM,
    MIX,
    MOMENTS,
    SHRUNK,
    SUM,
    WIDE,
    heavyball,
    named,
)

FIXED = f"{MOMENTS}, weight_decay=0.01"
"""For a decay that the rate does not multiply."""

_SINGLE, _DOUBLE = (f"torch.zeros((1,), dtype=torch.float{bits}" for bits in (32, 64))

_ADAMC = named(EARLY, Amendment(f"{KOZISTR}.adamc:AdamC._step_foreach", "group['eps']", SHRUNK))
_ADAMP = named(
    EARLY,
    Amendment(f"{KOZISTR}.adamp:AdamP.step", "add_(group['eps'])", f"add_({SHRUNK})"),
)

ALGORITHMS = (
    Algorithm(
        "Adam",
        f"adam({MOMENTS})",
        (
            Member(f"optimi.adam({MOMENTS})"),
            Member(f"pytorch_optimizer.adam({MOMENTS})"),
            Member(f"pytorch_optimizer.ademamix({MIX}, alpha=0.0)"),
            Member(
                f"pytorch_optimizer.padam({MOMENTS}, partial=0.5)",
                named(
                    EARLY,
                    Amendment(f"{KOZISTR}.padam:PAdam._step_foreach", "group['eps']", SHRUNK),
                ),
            ),
            Member(
                f"pytorch_optimizer.qhadam({MOMENTS})",
                named(
                    "the weights of its averages are kept in single precision",
                    *(
                        Amendment(
                            f"{KOZISTR}.qhadam:QHAdam.init_group",
                            f"state['{name}'] = {_SINGLE}",
                            f"state['{name}'] = {_DOUBLE}",
                        )
                        for name in ("beta1_weight", "beta2_weight")
                    ),
                    kind=Kind.PRECISION,
                ),
            ),
            Member(
                f"sparseadam({MOMENTS})",
                named(
                    EARLY,
                    Amendment(
                        "torch.optim._functional:sparse_adam",
                        "sqrt_().add_(eps)",
                        "sqrt_().add_(eps * (1 - beta2**step) ** 0.5)",
                    ),
                ),
            ),
            Member(f"timm.adamp({MOMENTS})"),
        ),
    ),
    Algorithm(
        "Adam, coupled decay",
        f"adam({ADAM})",
        (
            Member(f"optimi.adam({ADAM})"),
            Member(f"pytorch_optimizer.ademamix({MIX}, alpha=0.0, {DECAY})"),
            Member(
                f"pytorch_optimizer.adamp({ADAM}, weight_decouple=False)",
                named(
                    f"{IDLE}: the decay is added to a gradient that has been used; {EARLY}",
                    *_ADAMP.amendments,
                    kind=Kind.DEFECT,
                    reference=f"adam({MOMENTS})",
                ),
            ),
        ),
    ),
    Algorithm(
        "AdamW",
        f"adamw({ADAM})",
        (
            Member(f"adam({ADAM}, decoupled_weight_decay=True)"),
            Member(f"optimi.adam({ADAM}, decouple_wd=True)"),
            Member(f"optimi.adamw({ADAM})"),
            Member(f"pytorch_optimizer.adamc({ADAM})", _ADAMC),
            Member(f"pytorch_optimizer.adamp({ADAM})", _ADAMP),
            Member(f"pytorch_optimizer.adamw({ADAM})"),
            Member(f"pytorch_optimizer.flashadamw({ADAM}, quantize=False)"),
            Member(f"timm.adamp({ADAM})"),
            Member(f"timm.adamwlegacy({ADAM})"),
            heavyball(f"heavyball.adamc({ADAM}, {WIDE})", MAXIMUM, SUM),
            heavyball(f"heavyball.adamw({ADAM}, {WIDE})", MAXIMUM, SUM),
        ),
    ),
    Algorithm(
        "AdamW, decay apart from the rate",
        f"optimi.adamw({FIXED}, decouple_lr=True)",
        (Member(f"pytorch_optimizer.adamc({FIXED}, fixed_decay=True)", _ADAMC),),
    ),
    Algorithm(
        "AdamW, cautious",
        f"timm.adamwlegacy({ADAM}, caution=True)",
        (heavyball(f"heavyball.adamw({ADAM}, {WIDE}, caution=True)", MAXIMUM, SUM),),
    ),
    Algorithm(
        "AMSGrad",
        f"adamw({ADAM}, amsgrad=True)",
        (
            Member(f"pytorch_optimizer.adamc({ADAM}, ams_bound=True)", _ADAMC),
            Member(f"timm.adamwlegacy({ADAM}, amsgrad=True)"),
        ),
    ),
    Algorithm(
        "AdamP",
        f"timm.adamp({ADAM})",
        (Member(f"pytorch_optimizer.adamp({ADAM})", _ADAMP),),
        MIXED,
    ),
    Algorithm(
        "RAdam",
        f"radam({ADAM}, decoupled_weight_decay=True)",
        (
            Member(
                f"optimi.radam({ADAM}, decouple_wd=True)",
                named(
                    "eps is added after the second moment's bias correction, in torch before it",
                    Amendment(
                        "optimi.radam:radam",
                        "eps=eps,",
                        "eps=eps / debias(beta2, step_int) ** 0.5,",
                    ),
                ),
            ),
            Member(f"pytorch_optimizer.radam({ADAM}, degenerated_to_sgd=True)"),
            Member(
                f"timm.radamlegacy({ADAM})",
                named(
                    "parameters and gradients are converted to single precision",
                    *(
                        Amendment(
                            "timm.optim.radam:RAdamLegacy.step", f"{of}.float()", f"{of}.double()"
                        )
                        for of in ("p.grad", "= p")
                    ),
                    kind=Kind.PRECISION,
                ),
            ),
        ),
    ),
    Algorithm(
        "RAdam, coupled decay",
        f"radam({ADAM})",
        (
            Member(
                f"pytorch_optimizer.radam({ADAM}, degenerated_to_sgd=True, weight_decouple=False)",
                named(
                    f"{IDLE}: nothing adds the decay to the gradient",
                    kind=Kind.DEFECT,
                    place=f"{KOZISTR}.radam:RAdam._step_foreach",
                    reference=f"radam({MOMENTS})",
                ),
            ),
        ),
    ),
    Algorithm(
        "NAdam",
        f"nadam({MOMENTS}, momentum_decay=0.004)",
        (
            Member(f"pytorch_optimizer.nadam({MOMENTS}, momentum_decay=0.004)"),
            Member(
                f"timm.nadamlegacy({MOMENTS}, schedule_decay=0.004)",
                named(
                    "torch keeps its product of momenta in its default type, single precision",
                    kind=Kind.PRECISION,
                    place="torch.optim.nadam:NAdam._init_group",
                    double=True,
                ),
            ),
            Member(
                f"timm.nadamw({MOMENTS}, weight_decay=0.0)",
                named(
                    "the momentum is constant, and gradient and average are both divided by "
                    "1 - beta1^t; torch's momentum has a schedule, and its average is divided by 1 "
                    "minus the product of the next step",
                    Amendment(
                        "torch.optim.nadam:_single_tensor_nadam",
                        "(1.0 - mu_product_next)),",
                        "(1.0 - _get_value(mu_product))),",
                    ),
                    place="timm.optim.nadamw:_single_tensor_nadamw",
                    reference=f"nadam({MOMENTS}, momentum_decay=1e6)",
                    double=True,
                ),
            ),
            heavyball(f"heavyball.nadam({MOMENTS}, momentum_decay=0.004, {WIDE})", MAXIMUM, SUM),
        ),
    ),
    Algorithm(
        "NAdam, coupled decay",
        f"nadam({ADAM})",
        (
            heavyball(
                f"heavyball.nadam({ADAM}, {WIDE})",
                "the decay is added to the gradient, and then subtracted from the finished step, "
                f"which lets weights grow; {MAXIMUM}",
                Amendment(
                    "heavyball.utils:_nadam_finish_weight_decay",
                    "weight_decay != 0 and not decoupled",
                    "False",
                ),
                SUM,
                kind=Kind.DEFECT,
            ),
        ),
    ),
    Algorithm(
        "NAdamW",
        f"nadam({ADAM}, decoupled_weight_decay=True)",
        (heavyball(f"heavyball.nadam({ADAM}, {WIDE}, decoupled_weight_decay=True)", MAXIMUM, SUM),),
    ),
    Algorithm(
        "Adamax",
        f"adamax({ADAM})",
        (Member(f"pytorch_optimizer.adamax({ADAM})"),),
    ),
)
"""Adam's kin, by what people call them."""
