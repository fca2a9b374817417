"""Faults of AdamW, AMSGrad, NAdam, RAdam, Adamax and SparseAdam."""

from ravine.testing.mutants.adam import DENOMINATOR, GRADIENT, MOVE, STEP, moved
from ravine.testing.mutants.mutant import Edit, Mutant

_DECAY = "param.mul_(1 - lr * weight_decay)"
_MAXIMUM = "torch.maximum(max_exp_avg_sqs[i], exp_avg_sq, out=max_exp_avg_sqs[i])"
_OF_MAXIMUM = "denom = (max_exp_avg_sqs[i].sqrt() / bias_correction2_sqrt).add_(eps)"

ADAMW = (
    Mutant(
        "adamw_decay_coupled",
        "adamw",
        "weight decay is coupled, as in Adam",
        (Edit(STEP, "if decoupled_weight_decay:", "if False:"),),
    ),
    Mutant(
        "adamw_decay_after",
        "adamw",
        "weight decay is applied after the step",
        (
            Edit(STEP, _DECAY, "pass"),
            Edit(STEP, MOVE, f"{MOVE}\n            {_DECAY}"),
        ),
    ),
    Mutant(
        "adamw_decay_without_rate",
        "adamw",
        "weight decay is not multiplied by the rate",
        (Edit(STEP, _DECAY, "param.mul_(1 - weight_decay)"),),
    ),
    Mutant(
        "adamw_decay_wrong_sign",
        "adamw",
        "weights grow where they should decay",
        (Edit(STEP, _DECAY, "param.mul_(1 + lr * weight_decay)"),),
    ),
    Mutant(
        "adamw_decay_both",
        "adamw",
        "weight decay is decoupled and coupled at once",
        (
            Edit(
                STEP,
                _DECAY,
                f"{_DECAY}\n                grad = grad.add(param, alpha=weight_decay)",
            ),
        ),
    ),
    Mutant(
        "adamw_decay_without_gradient",
        "adamw",
        "parameters without a gradient are decayed",
        (
            Edit(
                "Adam._init_group",
                '        for p in group["params"]:\n',
                '        for p in group["params"]:\n            if p.grad is None:\n'
                '                p.mul_(1 - group["lr"] * group["weight_decay"])\n',
            ),
        ),
    ),
    Mutant(
        "adamw_epsilon_inside_root",
        "adamw",
        "epsilon is added under the root",
        (Edit(STEP, DENOMINATOR, "(exp_avg_sq / bias_correction2).add(eps).sqrt()"),),
    ),
    Mutant("adamw_rate_1_percent_low", "adamw", "the rate is 1 % too low", (moved("0.99"),)),
    Mutant(
        "adamw_second_decay_ignored",
        "adamw",
        "all groups decay as the first one does",
        (
            Edit(
                "Adam.step",
                'weight_decay=group["weight_decay"]',
                'weight_decay=self.param_groups[0]["weight_decay"]',
            ),
        ),
    ),
)

AMSGRAD = (
    Mutant(
        "amsgrad_maximum_forgotten",
        "amsgrad",
        "the largest second moment is the last one",
        (Edit(STEP, _MAXIMUM, "max_exp_avg_sqs[i].copy_(exp_avg_sq)"),),
    ),
    Mutant(
        "amsgrad_maximum_of_corrected",
        "amsgrad",
        "the maximum is taken of corrected second moments",
        (
            Edit(STEP, _MAXIMUM, _MAXIMUM.replace("exp_avg_sq,", "exp_avg_sq / bias_correction2,")),
            Edit(STEP, _OF_MAXIMUM, "denom = max_exp_avg_sqs[i].sqrt().add_(eps)"),
        ),
    ),
    Mutant(
        "amsgrad_maximum_late",
        "amsgrad",
        "the maximum is that of the step before",
        (
            Edit(STEP, _MAXIMUM, "pass"),
            Edit(STEP, _OF_MAXIMUM, f"{_OF_MAXIMUM}\n                {_MAXIMUM}"),
        ),
    ),
)

_NADAM = "_single_tensor_nadam"

NADAM = (
    Mutant(
        "nadam_momentum_decay",
        "nadam",
        "momentum is warmed up with base 0.9, not 0.96",
        (Edit(_NADAM, "0.96 **", "0.9 **", times=2),),
    ),
    Mutant(
        "nadam_next_momentum_late",
        "nadam",
        "the momentum of the next step is that of this step",
        (Edit(_NADAM, "(step + 1) * momentum_decay", "step * momentum_decay"),),
    ),
    Mutant(
        "nadam_no_second_correction",
        "nadam",
        "the second moment is not corrected for its bias",
        (Edit(_NADAM, "exp_avg_sq.div(bias_correction2).sqrt()", "exp_avg_sq.sqrt()"),),
    ),
    Mutant(
        "nadam_product_late",
        "nadam",
        "the first moment is corrected by the product of momenta up to this step",
        (Edit(_NADAM, "_get_value(mu_product) * mu_next", "_get_value(mu_product)"),),
    ),
    Mutant(
        "nadam_decay_decoupled",
        "nadam",
        "weight decay is decoupled",
        (Edit(_NADAM, "if decoupled_weight_decay:", "if True:"),),
    ),
)

_RADAM = "_single_tensor_radam"

RADAM = (
    Mutant(
        "radam_threshold",
        "radam",
        "the variance is taken to be tractable from rho_t > 4",
        (Edit(_RADAM, "rho_t > 5.0", "rho_t > 4.0", times=2),),
    ),
    Mutant(
        "radam_rectification_forgotten",
        "radam",
        "the step is not rectified",
        (
            Edit(
                _RADAM,
                "* _compute_adaptive_lr()\n                    * _compute_rect(),",
                "* _compute_adaptive_lr(),",
            ),
        ),
    ),
    Mutant(
        "radam_no_first_correction",
        "radam",
        "the first moment is not corrected for its bias",
        (Edit(_RADAM, "= exp_avg / bias_correction1", "= exp_avg"),),
    ),
    Mutant(
        "radam_longest_average",
        "radam",
        "rho_inf is 2 / (1 - beta2), one too long",
        (Edit(_RADAM, "2 / (1 - beta2) - 1", "2 / (1 - beta2)"),),
    ),
    Mutant(
        "radam_maximize_ignored",
        "radam",
        "maximize is ignored",
        (Edit(_RADAM, GRADIENT, "grad = grads[i]"),),
    ),
)

STEPAX = "_single_tensor_adamax"

ADAMAX = (
    Mutant(
        "adamax_no_correction",
        "adamax",
        "the first moment is not corrected for its bias",
        (Edit(STEPAX, "clr = lr / bias_correction", "clr = lr"),),
    ),
    Mutant(
        "adamax_sum",
        "adamax",
        "the norms are added where the larger should be taken",
        (Edit(STEPAX, "torch.maximum(", "torch.add("),),
    ),
    Mutant(
        "adamax_epsilon_dropped",
        "adamax",
        "epsilon is left out, so that a zero gradient gives no number",
        (Edit(STEPAX, "grad.abs().add_(eps),\n", "grad.abs(),\n"),),
    ),
)

_SPARSE = "sparse_adam"

SPARSE = (
    Mutant(
        "sparseadam_no_second_correction",
        "sparseadam",
        "the second moment is not corrected for its bias",
        (Edit(_SPARSE, "lr * math.sqrt(bias_correction2) /", "lr /"),),
    ),
    Mutant(
        "sparseadam_epsilon_inside_root",
        "sparseadam",
        "epsilon is added under the root",
        (Edit(_SPARSE, ".sqrt_().add_(eps)", ".add_(eps).sqrt_()"),),
    ),
    Mutant(
        "sparseadam_duplicates",
        "sparseadam",
        "entries of a gradient at one index are not added up first",
        (
            Edit(
                _SPARSE,
                "grad = grad.coalesce()",
                "grad = torch.sparse_coo_tensor(grad._indices(), grad._values(), grad.size(), "
                "is_coalesced=True)",
            ),
        ),
    ),
)

MUTANTS = (*ADAMW, *AMSGRAD, *NADAM, *RADAM, *ADAMAX, *SPARSE)
