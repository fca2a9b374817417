"""Methods that look at a whole tensor: its norm, its rows and columns, its Hessian's diagonal."""

from ravine.optimizers.agreement.base import MIXED, Algorithm, Amendment, Kind, Member
from ravine.optimizers.agreement.common import (
    ADAM,
    DECAY,
    EARLY,
    KOZISTR,
    MAXIMUM,
    SUM,
    WIDE,
    heavyball,
    named,
)

SLOW = f"lr=0.001, betas=(0.8, 0.95), eps=0.01, {DECAY}"
"""A trust ratio makes steps that do not grow smaller near the minimum."""
FACTORS = "betas=(None, 0.999), relative_step=False"
OUTER = "lr=0.01, eps=0.01, min_dim_size_to_factor=1"
MADGRAD = f"lr=0.02, momentum=0.8, eps=0.001, {DECAY}"
MARS = "gamma=0.025, optimize_1d=True"

_LAMB = f"{KOZISTR}.lamb:Lamb._step_foreach"
_MARS = f"{KOZISTR}.mars:MARS._step_foreach"
_UNCORRECTED = (
    "the second moment is not corrected for its start, the first only after the trust ratio, and "
    "eps is added to the norm in the ratio"
)
_CORRECTIONS = (
    Amendment(
        _LAMB,
        "torch._foreach_sqrt(exp_avg_sqs)",
        "torch._foreach_sqrt(torch._foreach_div(exp_avg_sqs, 1 - beta2 ** group['step']))",
    ),
    Amendment(
        _LAMB,
        "torch._foreach_mul_(updates, exp_avgs)",
        "torch._foreach_mul_(updates, torch._foreach_div(exp_avgs, 1 - beta1 ** group['step']))",
    ),
    Amendment(_LAMB, "(p_norms + eps)", "p_norms"),
    Amendment(_LAMB, "alpha=-step_size", "alpha=-group['lr']"),
)
_SCALED = (
    "the decay is multiplied by the parameter's root mean square as the rate is, in torch by the "
    "rate alone"
)

ALGORITHMS = (
    Algorithm(
        "LAMB",
        f"timm.lamb({SLOW}, max_grad_norm=None)",
        (
            Member(
                f"pytorch_optimizer.lamb({SLOW}, weight_decouple=False)",
                named(_UNCORRECTED, *_CORRECTIONS),
            ),
        ),
        MIXED,
    ),
    Algorithm(
        "LAMB, decoupled decay",
        f"timm.lamb({SLOW}, max_grad_norm=None, decoupled_decay=True)",
        (
            # where no decay is added, the ratio takes the first moment's correction out again
            Member(
                f"pytorch_optimizer.lamb({SLOW})",
                named(
                    "the second moment is not corrected for its start, the first is after the "
                    "trust ratio, which then does not take it out, and eps is added to the norm "
                    "in the ratio",
                    *(a for a in _CORRECTIONS if "exp_avgs)" not in a.text),
                ),
            ),
        ),
        MIXED,
    ),
    Algorithm(
        "LAMB, clipped",
        f"timm.lamb({SLOW}, max_grad_norm=1.0)",
        (
            Member(
                f"pytorch_optimizer.lamb({SLOW}, weight_decouple=False, pre_norm=True)",
                named(
                    f"{_UNCORRECTED}, and to the norm that clips, which is in single precision",
                    *_CORRECTIONS,
                    Amendment(
                        f"{KOZISTR}.lamb:Lamb.get_global_gradient_norm",
                        ".add_(self.defaults['eps'])",
                        "",
                    ),
                    Amendment(
                        f"{KOZISTR}.utils.gradient:get_global_gradient_norm",
                        "for norm in norms]).float()",
                        "for norm in norms])",
                    ),
                ),
            ),
        ),
        MIXED,
    ),
    # timm's own rate without `lr`, and pytorch-optimizer's, are torch's with 0.01
    Algorithm(
        "Adafactor",
        "adafactor(lr=0.01)",
        (
            Member("pytorch_optimizer.adafactor(betas=(None, 0.999))"),
            Member(f"pytorch_optimizer.adafactor(lr=0.01, {FACTORS})"),
            Member("timm.adafactor(min_dim_size_to_factor=1)"),
            Member(
                "timm.adafactorbigvision(lr=0.01, momentum=None, clipping_threshold=1.0, "
                "min_dim_size_to_factor=1)",
                named(
                    "the rate is not multiplied by the parameter's root mean square",
                    Amendment(
                        "torch.optim._adafactor:_single_tensor_adafactor",
                        "max(eps2, param.norm(2).item() / (param.numel() ** 0.5)) * rho_t",
                        "rho_t",
                    ),
                    place="timm.optim.adafactor_bv:_single_tensor_adafactor",
                ),
            ),
        ),
        MIXED,
    ),
    Algorithm(
        "Adafactor with decay",
        f"adafactor(lr=0.01, {DECAY})",
        (
            Member(
                f"pytorch_optimizer.adafactor(lr=0.01, {FACTORS}, {DECAY})",
                named(
                    _SCALED,
                    Amendment(
                        f"{KOZISTR}.adafactor:AdaFactor._step_foreach",
                        "lr=lrs,",
                        "lr=relative_step_size,",
                    ),
                ),
            ),
            Member(
                f"timm.adafactor(min_dim_size_to_factor=1, {DECAY})",
                named(
                    _SCALED,
                    Amendment(
                        "timm.optim.adafactor:Adafactor.step",
                        "alpha=-group['weight_decay'] * lr_t",
                        "alpha=-group['weight_decay'] * 0.01",
                    ),
                ),
            ),
        ),
        MIXED,
    ),
    Algorithm(
        "Adafactor at a given rate",
        f"timm.adafactor({OUTER}, {DECAY})",
        (
            Member(
                f"pytorch_optimizer.adafactor(lr=0.01, eps1=0.01, {FACTORS}, "
                f"scale_parameter=False, {DECAY})"
            ),
            Member(
                f"timm.adafactorbigvision({OUTER}, momentum=None, clipping_threshold=1.0, {DECAY})"
            ),
        ),
        MIXED,
    ),
    Algorithm(
        "NovoGrad",
        f"timm.nvnovograd({ADAM})",
        (
            Member(
                f"pytorch_optimizer.novograd({ADAM})",
                named(
                    "timm keeps its average of norms in torch's default type, single precision",
                    kind=Kind.PRECISION,
                    place="timm.optim.nvnovograd:NvNovoGrad.step",
                    double=True,
                ),
            ),
        ),
        MIXED,
    ),
    Algorithm(
        "NovoGrad, gradients averaged",
        f"timm.nvnovograd({ADAM}, grad_averaging=True)",
        (
            Member(
                f"pytorch_optimizer.novograd({ADAM}, grad_averaging=True)",
                named(
                    "the first gradient enters the momentum whole, in timm times 1 - beta1",
                    Amendment(
                        f"{KOZISTR}.novograd:NovoGrad._step_foreach",
                        "torch._foreach_copy_(moments, grads)",
                        "torch._foreach_copy_(moments, torch._foreach_mul(grads, 1.0 - beta1))",
                    ),
                    double=True,
                ),
            ),
        ),
        MIXED,
    ),
    Algorithm(
        "MADGRAD",
        f"timm.madgrad({MADGRAD})",
        (Member(f"pytorch_optimizer.madgrad({MADGRAD})"),),
    ),
    Algorithm(
        "MADGRAD, decoupled decay",
        f"timm.madgrad({MADGRAD}, decoupled_decay=True)",
        (
            Member(
                f"pytorch_optimizer.madgrad({MADGRAD}, weight_decouple=True)",
                named(
                    "the decay follows the average with z, which does not diminish it, and is "
                    "multiplied by lr + eps",
                    Amendment(
                        f"{KOZISTR}.madgrad:MADGRAD._step_foreach",
                        "alpha=-lr * group['weight_decay']",
                        "alpha=-group['lr'] * momentum * group['weight_decay']",
                    ),
                ),
            ),
        ),
    ),
    Algorithm(
        "MARS",
        f"timm.mars({ADAM}, {MARS})",
        (
            Member(
                f"pytorch_optimizer.mars({ADAM}, {MARS})",
                named(
                    f"{EARLY}; the first gradient is compared with 0, in timm with itself",
                    Amendment(_MARS, "group['eps']", "group['eps'] * bias_correction2_sq"),
                    Amendment(
                        _MARS,
                        "torch._foreach_sub(grads, state['last_grad'])",
                        "torch._foreach_sub(grads, "
                        "state['last_grad'] if group['step'] > 1 else grads)",
                    ),
                ),
            ),
            heavyball(
                f"heavyball.adamw({ADAM}, mars=True, mars_gamma=0.025, {WIDE})",
                "`mars_gamma` is taken for beta1 and beta1 for gamma; what is corrected is not "
                f"clipped; the first gradient is compared with 0, in timm with itself; {MAXIMUM}",
                Amendment(
                    "heavyball.chainable:mars",
                    'group["mars_gamma"], utils.get_beta1(group)',
                    'utils.get_beta1(group), group["mars_gamma"]',
                ),
                Amendment(
                    "heavyball.utils:_compilable_mars_correction_",
                    "copy_stochastic_list_(old_g, g_copy)",
                    "copy_stochastic_list_(old_g, g_copy); "
                    "[x.div_(x.norm().clamp(min=1)) for x in g]",
                ),
                Amendment(
                    "timm.optim.mars:_mars_single_tensor_step",
                    "c_t = grad\n",
                    "c_t = grad * (1 + gamma * beta1 / one_minus_beta1)\n",
                ),
                SUM,
                kind=Kind.DEFECT,
            ),
        ),
        MIXED,
    ),
    Algorithm(
        "MARS, of signs",
        f"timm.mars({ADAM}, {MARS}, mars_type=lion)",
        (Member(f"pytorch_optimizer.mars({ADAM}, {MARS}, mars_type=lion)"),),
        MIXED,
    ),
    Algorithm(
        "AdaHessian",
        f"timm.adahessian({ADAM})",
        (Member(f"pytorch_optimizer.adahessian({ADAM})"),),
        separable=True,
    ),
)
"""The methods of tensors, by what people call them."""
