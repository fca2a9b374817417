"""Methods that divide each coordinate by a root mean square of its gradients in other ways."""

from ravine.optimizers.agreement.base import Algorithm, Amendment, Kind, Member
from ravine.optimizers.agreement.common import (
    ADAM,
    DECAY,
    DECAY_LAST,
    EARLY,
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

BOLD = "lr=0.1, betas=(0.8, 0.95), eps=0.01"
"""So large a rate that gradients grow at times and are clipped."""
NESTEROV = "lr=0.02, betas=(0.9, 0.85, 0.95), eps=0.01, weight_decay=0.1"
SQUARES = "lr=0.01, alpha=0.9, eps=0.01"

_TENSORFLOW, _TENSORFLOW_CENTRED = (
    named(
        "the mean square begins at 1, and eps is inside the root, as in TensorFlow",
        Amendment(
            "timm.optim.rmsprop_tf:RMSpropTF.step", "torch.ones_like(p)", "torch.zeros_like(p)"
        ),
        Amendment(
            "timm.optim.rmsprop_tf:_single_tensor_rmsprop_tf",
            f"{mean}.add(eps).sqrt_()",
            f"{mean}.sqrt().add_(eps)",
        ),
    )
    for mean in ("square_avg", "value=-1)")
)
_LAPROP = named(
    f"{EARLY}; its step's factor, and timm's bias correction, are in single precision",
    Amendment(f"{KOZISTR}.laprop:LaProp._step_foreach", "group['eps']", SHRUNK),
    Amendment(
        f"{KOZISTR}.laprop:LaProp._get_step_sizes",
        "torch.tensor(step_sizes, dtype=torch.float32",
        "torch.tensor(step_sizes, dtype=torch.float64",
    ),
    double=True,
)
_DEAF = Amendment(
    "heavyball.chainable:update_by_laprop",
    'group.get("cautious_weight_decay", False),',
    'group.get("cautious_weight_decay", False), eps=group["eps"],',
)
ALGORITHMS = (
    Algorithm(
        "RMSprop",
        f"rmsprop({SQUARES})",
        (
            Member(f"pytorch_optimizer.rmsprop({SQUARES})"),
            Member(f"timm.rmsproptf({SQUARES})", _TENSORFLOW),
            heavyball(
                f"heavyball.rmsprop(lr=0.01, betas=(0.0, 0.9), eps=0.01, {WIDE})",
                f"the mean square is corrected for its start, as its docstring says; {MAXIMUM}",
                SUM,
                place="heavyball:RMSprop.__init__",
                reference="adam(lr=0.01, betas=(0.0, 0.9), eps=0.01)",
            ),
        ),
    ),
    Algorithm(
        "RMSprop with momentum",
        f"rmsprop({SQUARES}, {DECAY}, momentum=0.8)",
        (Member(f"timm.rmsproptf({SQUARES}, {DECAY}, momentum=0.8)", _TENSORFLOW),),
    ),
    Algorithm(
        "RMSprop, centred",
        f"rmsprop({SQUARES}, centered=True)",
        (Member(f"timm.rmsproptf({SQUARES}, centered=True)", _TENSORFLOW_CENTRED),),
    ),
    Algorithm(
        "Adadelta",
        f"adadelta(lr=0.5, rho=0.8, eps=0.001, {DECAY})",
        (Member(f"pytorch_optimizer.adadelta(lr=0.5, rho=0.8, eps=0.001, {DECAY})"),),
    ),
    # SM3 with an accumulator for each coordinate, as on a vector
    Algorithm(
        "Adagrad",
        "adagrad(lr=0.1, eps=0.01)",
        (
            Member(
                "pytorch_optimizer.sm3(lr=0.1, eps=0.01)",
                named(
                    "eps is inside the root",
                    Amendment(
                        f"{KOZISTR}.sm3:SM3._get_update",
                        "update.add_(group['eps']).rsqrt_()",
                        "update.sqrt_().add_(group['eps']).reciprocal_()",
                    ),
                ),
            ),
        ),
    ),
    Algorithm(
        "Adan",
        f"timm.adan({NESTEROV})",
        (Member(f"optimi.adan({NESTEROV})"), Member(f"pytorch_optimizer.adan({NESTEROV})")),
    ),
    Algorithm(
        "Adan, decay as in AdamW",
        f"timm.adan({NESTEROV}, no_prox=True)",
        (
            Member(
                f"optimi.adan({NESTEROV}, adam_wd=True)",
                named(
                    "`adam_wd=True` does nothing: `step` does not hand it on",
                    Amendment(
                        "optimi.adan:Adan.step",
                        "gradient_release=False,",
                        'gradient_release=False, adam_wd=group["adam_wd"],',
                    ),
                    kind=Kind.DEFECT,
                ),
            ),
            Member(f"pytorch_optimizer.adan({NESTEROV}, weight_decouple=True)"),
        ),
    ),
    Algorithm(
        "AdaBelief",
        f"timm.adabelief({ADAM}, rectify=False)",
        (Member(f"pytorch_optimizer.adabelief({ADAM})"),),
    ),
    Algorithm(
        "AdaBelief, rectified",
        f"timm.adabelief({ADAM}, rectify=True)",
        (Member(f"pytorch_optimizer.adabelief({ADAM}, rectify=True)"),),
    ),
    Algorithm(
        "AdaBelief, as AMSGrad",
        f"timm.adabelief({ADAM}, rectify=False, amsgrad=True)",
        (Member(f"pytorch_optimizer.adabelief({ADAM}, ams_bound=True)"),),
    ),
    Algorithm(
        "StableAdamW",
        f"optimi.stableadamw({ADAM})",
        (
            Member(f"pytorch_optimizer.stableadamw({ADAM})"),
            Member(f"timm.adamwlegacy({ADAM}, clipping_threshold=1.0)"),
        ),
    ),
    Algorithm(
        "AdEMAMix",
        f"pytorch_optimizer.ademamix({MIX}, alpha=2.0, {DECAY}, weight_decouple=True)",
        (heavyball(f"heavyball.ademamix({MIX}, alpha=2.0, {DECAY}, {WIDE})", MAXIMUM, SUM),),
    ),
    Algorithm(
        "LaProp",
        f"timm.laprop({MOMENTS})",
        (
            Member(f"pytorch_optimizer.laprop({MOMENTS})", _LAPROP),
            heavyball(
                f"heavyball.laprop({MOMENTS}, {WIDE})",
                f"`eps` does nothing, it is not handed on, and 1e-8 is used; {MAXIMUM}",
                _DEAF,
                SUM,
                kind=Kind.DEFECT,
            ),
        ),
    ),
    Algorithm(
        "LaProp with decay",
        f"timm.laprop({ADAM})",
        (
            Member(f"pytorch_optimizer.laprop({ADAM})", _LAPROP),
            heavyball(
                f"heavyball.laprop({ADAM}, {WIDE})",
                f"`eps` does nothing, it is not handed on, and 1e-8 is used; {MAXIMUM}; the decay "
                "precedes the step, in timm it follows",
                _DEAF,
                SUM,
                DECAY_LAST,
                kind=Kind.DEFECT,
            ),
        ),
    ),
    Algorithm(
        "ADOPT",
        f"timm.adopt({BOLD}, clip_exp=0.25)",
        (
            Member(
                f"pytorch_optimizer.adopt({BOLD})",
                named(
                    "the clipping bound t^(1/4) counts the first gradient, which takes no step; in "
                    "the paper and in timm it does not",
                    Amendment(
                        f"{KOZISTR}.adopt:ADOPT.step",
                        "self.clip_lambda(group['step']) if",
                        "self.clip_lambda(group['step'] - 1) if",
                    ),
                ),
            ),
        ),
    ),
    Algorithm(
        "ADOPT, not clipped",
        f"timm.adopt({ADAM}, clip_exp=None, decoupled=True)",
        (
            Member(
                f"pytorch_optimizer.adopt({ADAM}, weight_decouple=True)",
                named(
                    "the first gradient, which takes no step, decays the weights all the same",
                    Amendment(
                        f"{KOZISTR}.adopt:ADOPT._step_foreach",
                        "weight_decay=group['weight_decay']",
                        "weight_decay=0.0 if first_step else group['weight_decay']",
                    ),
                ),
            ),
            heavyball(
                f"heavyball.adopt({ADAM}, {WIDE})",
                "both averages are corrected for their start, in the paper neither is",
                *(
                    Amendment("heavyball.utils:_fused_compilable_adopt_", line, "")
                    for line in (
                        "beta1 = beta_debias(beta1, step)",
                        "beta2 = beta_debias(beta2, step + 1)",
                    )
                ),
            ),
        ),
    ),
)
"""The adaptive methods, by what people call them."""
