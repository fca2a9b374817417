"""Faults of Adam, AdamW, AMSGrad, NAdam, RAdam, Adamax and SparseAdam."""

from ravine.testing.mutants.mutant import Edit, Mutant

_ADAM = "_single_tensor_adam"
_RATE = "step_size = lr / bias_correction1\n\n            bias_correction2_sqrt"
_ROOT = "bias_correction2_sqrt = bias_correction2**0.5"
_DENOMINATOR = "(exp_avg_sq.sqrt() / bias_correction2_sqrt).add_(eps)"
_MOVE = "param.addcdiv_(exp_avg, denom, value=-step_size)  # type: ignore[arg-type]"
_SQUARE = "exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  # type: ignore[arg-type]"
_COUNT = "step = _get_value(step_t)"
_GRADIENT = "grad = grads[i] if not maximize else -grads[i]"
_DECAY = "param.mul_(1 - lr * weight_decay)"
_MAXIMUM = "torch.maximum(max_exp_avg_sqs[i], exp_avg_sq, out=max_exp_avg_sqs[i])"
_OF_MAXIMUM = "denom = (max_exp_avg_sqs[i].sqrt() / bias_correction2_sqrt).add_(eps)"


def _moved(factor: str) -> Edit:
    return Edit(_ADAM, _MOVE, _MOVE.replace("-step_size", f"-{factor} * step_size"))


ADAM = (
    Mutant(
        "adam_no_first_correction",
        "adam",
        "the first moment is not corrected for its bias",
        (Edit(_ADAM, _RATE, _RATE.replace("lr / bias_correction1", "lr")),),
    ),
    Mutant(
        "adam_no_second_correction",
        "adam",
        "the second moment is not corrected for its bias",
        (Edit(_ADAM, _ROOT, "bias_correction2_sqrt = 1.0"),),
    ),
    Mutant(
        "adam_first_correction_doubled",
        "adam",
        "the first moment is corrected twice",
        (Edit(_ADAM, _RATE, _RATE.replace("bias_correction1", "bias_correction1**2")),),
    ),
    Mutant(
        "adam_second_correction_doubled",
        "adam",
        "the second moment is corrected twice",
        (Edit(_ADAM, _ROOT, "bias_correction2_sqrt = bias_correction2"),),
    ),
    Mutant(
        "adam_epsilon_inside_root",
        "adam",
        "epsilon is added under the root",
        (Edit(_ADAM, _DENOMINATOR, "(exp_avg_sq / bias_correction2).add(eps).sqrt()"),),
    ),
    Mutant(
        "adam_epsilon_before_correction",
        "adam",
        "epsilon is added before the second moment is corrected",
        (Edit(_ADAM, _DENOMINATOR, "exp_avg_sq.sqrt().add_(eps) / bias_correction2_sqrt"),),
    ),
    Mutant(
        "adam_epsilon_tenfold",
        "adam",
        "epsilon is 10 times as large",
        (Edit(_ADAM, _DENOMINATOR, _DENOMINATOR.replace("(eps)", "(10 * eps)")),),
    ),
    Mutant(
        "adam_epsilon_hundredth",
        "adam",
        "epsilon is a hundredth of what it should be",
        (Edit(_ADAM, _DENOMINATOR, _DENOMINATOR.replace("(eps)", "(eps / 100)")),),
    ),
    Mutant(
        "adam_betas_swapped",
        "adam",
        "beta1 and beta2 are swapped",
        (Edit("Adam.step", "beta1, beta2 =", "beta2, beta1 ="),),
    ),
    Mutant("adam_rate_1_percent_high", "adam", "the rate is 1 % too high", (_moved("1.01"),)),
    Mutant("adam_rate_5_percent_low", "adam", "the rate is 5 % too low", (_moved("0.95"),)),
    Mutant("adam_rate_20_percent_high", "adam", "the rate is 20 % too high", (_moved("1.2"),)),
    Mutant(
        "adam_step_late",
        "adam",
        "the step counter is late by one",
        (Edit(_ADAM, _COUNT, "step = max(_get_value(step_t) - 1, 1)"),),
    ),
    Mutant(
        "adam_step_early",
        "adam",
        "the step counter is early by one",
        (Edit(_ADAM, _COUNT, "step = _get_value(step_t) + 1"),),
    ),
    Mutant(
        "adam_decay_decoupled",
        "adam",
        "weight decay is decoupled, as in AdamW",
        (Edit(_ADAM, "if decoupled_weight_decay:", "if True:"),),
    ),
    Mutant(
        "adam_decay_in_place",
        "adam",
        "weight decay is added to the gradient in place",
        (Edit(_ADAM, "grad = grad.add(param,", "grad = grad.add_(param,", times=2),),
    ),
    Mutant(
        "adam_moment_of_moment",
        "adam",
        "the second moment is that of the first moment, not of the gradient",
        (Edit(_ADAM, _SQUARE, _SQUARE.replace("grad, grad", "exp_avg, exp_avg")),),
    ),
    Mutant(
        "adam_beta1_complement",
        "adam",
        "1 - beta1 in place of beta1",
        (
            Edit(
                _ADAM, "exp_avg.lerp_(grad, 1 - device_beta1)", "exp_avg.lerp_(grad, device_beta1)"
            ),
        ),
    ),
    Mutant(
        "adam_beta2_complement",
        "adam",
        "1 - beta2 in place of beta2",
        (
            Edit(
                _ADAM,
                _SQUARE,
                "exp_avg_sq.mul_(1 - beta2).addcmul_(grad, grad, value=beta2)",
            ),
        ),
    ),
    Mutant(
        "adam_root_forgotten",
        "adam",
        "the root of the second moment is not taken",
        (Edit(_ADAM, _DENOMINATOR, "(exp_avg_sq / bias_correction2).add_(eps)"),),
    ),
    Mutant(
        "adam_maximize_ignored",
        "adam",
        "maximize is ignored",
        (Edit(_ADAM, _GRADIENT, "grad = grads[i]"),),
    ),
    Mutant(
        "adam_moments_bfloat16",
        "adam",
        "both moments are rounded to bfloat16",
        (
            Edit(
                _ADAM,
                _SQUARE,
                f"{_SQUARE}\n        exp_avg.copy_(exp_avg.bfloat16())"
                "\n        exp_avg_sq.copy_(exp_avg_sq.bfloat16())",
            ),
        ),
    ),
    Mutant(
        "adam_moment_float32",
        "adam",
        "the second moment is rounded to float32",
        (Edit(_ADAM, _SQUARE, f"{_SQUARE}\n        exp_avg_sq.copy_(exp_avg_sq.float())"),),
    ),
    Mutant(
        "adam_gradient_clamped",
        "adam",
        "the gradient is clamped at 1e-3",
        (Edit(_ADAM, _GRADIENT, f"{_GRADIENT}\n        grad = grad.clamp(-1e-3, 1e-3)"),),
    ),
    Mutant(
        "adam_update_clamped",
        "adam",
        "the update is clamped at 1e-3",
        (Edit(_ADAM, _MOVE, "param.sub_((step_size * exp_avg / denom).clamp(-1e-3, 1e-3))"),),
    ),
    Mutant(
        "adam_state_lost",
        "adam",
        "loading a state dict drops the moments",
        (
            Edit(
                "Adam",
                "    def __setstate__(self, state):",
                "    def load_state_dict(self, state_dict):\n"
                '        super().load_state_dict({**state_dict, "state": {}})\n\n'
                "    def __setstate__(self, state):",
            ),
        ),
    ),
    Mutant(
        "adam_100th_step_skipped",
        "adam",
        "every 100th step does nothing",
        (
            Edit(
                _ADAM,
                "step_t += 1",
                "step_t += 1\n        if step_t % 100 == 0:\n            continue",
            ),
        ),
    ),
    Mutant(
        "adam_stale_gradient",
        "adam",
        "steps by the gradient of the step before",
        (
            Edit(
                "Adam._init_group",
                "grads.append(p.grad)",
                'stale = self.__dict__.setdefault("stale", {})\n'
                "                grads.append(stale.get(p, p.grad))\n"
                "                stale[p] = p.grad.clone()",
            ),
        ),
    ),
    Mutant(
        "adam_second_group_ignored",
        "adam",
        "only the first parameter group is stepped on",
        (Edit("Adam.step", "in self.param_groups:", "in self.param_groups[:1]:"),),
    ),
    Mutant(
        "adam_second_rate_ignored",
        "adam",
        "all groups are stepped on at the first one's rate",
        (Edit("Adam.step", 'lr=group["lr"]', 'lr=self.param_groups[0]["lr"]'),),
    ),
    Mutant(
        "adam_rate_cached",
        "adam",
        "the rate is the constructor's, whatever a schedule sets",
        (Edit("Adam.step", 'lr=group["lr"]', 'lr=self.defaults["lr"]'),),
    ),
    Mutant(
        "adam_first_parameter_only",
        "adam",
        "only the first parameter of a group is stepped on",
        (Edit(_ADAM, "in enumerate(params):", "in enumerate(params[:1]):"),),
    ),
    Mutant(
        "adam_random_drawn",
        "adam",
        "a step draws from the global random generator",
        (Edit("Adam.step", "loss = None", "torch.rand(1)\n        loss = None"),),
    ),
    Mutant(
        "adam_loss_not_returned",
        "adam",
        "the closure's loss is not returned",
        (Edit("Adam.step", "return loss", "return None"),),
    ),
    Mutant(
        "adam_closure_without_gradients",
        "adam",
        "the closure is evaluated without gradients enabled",
        (Edit("Adam.step", "with torch.enable_grad():", "if True:"),),
    ),
    Mutant(
        "adam_gradients_zeroed",
        "adam",
        "a step zeroes the gradients",
        (
            Edit(
                "Adam.step",
                "        return loss",
                "        self.zero_grad(set_to_none=False)\n        return loss",
            ),
        ),
    ),
    Mutant(
        "adam_copy_breaks",
        "adam",
        "a deep copy, or a pickle, lacks an attribute that steps need",
        (
            Edit(
                "Adam.__init__",
                "super().__init__(params, defaults)",
                "super().__init__(params, defaults)\n        self.calls = 0",
            ),
            Edit("Adam.step", "loss = None", "self.calls += 1\n        loss = None"),
        ),
    ),
)

ADAMW = (
    Mutant(
        "adamw_decay_coupled",
        "adamw",
        "weight decay is coupled, as in Adam",
        (Edit(_ADAM, "if decoupled_weight_decay:", "if False:"),),
    ),
    Mutant(
        "adamw_decay_after",
        "adamw",
        "weight decay is applied after the step",
        (
            Edit(_ADAM, _DECAY, "pass"),
            Edit(_ADAM, _MOVE, f"{_MOVE}\n            {_DECAY}"),
        ),
    ),
    Mutant(
        "adamw_decay_without_rate",
        "adamw",
        "weight decay is not multiplied by the rate",
        (Edit(_ADAM, _DECAY, "param.mul_(1 - weight_decay)"),),
    ),
    Mutant(
        "adamw_decay_wrong_sign",
        "adamw",
        "weights grow where they should decay",
        (Edit(_ADAM, _DECAY, "param.mul_(1 + lr * weight_decay)"),),
    ),
    Mutant(
        "adamw_decay_both",
        "adamw",
        "weight decay is decoupled and coupled at once",
        (
            Edit(
                _ADAM,
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
        (Edit(_ADAM, _DENOMINATOR, "(exp_avg_sq / bias_correction2).add(eps).sqrt()"),),
    ),
    Mutant("adamw_rate_1_percent_low", "adamw", "the rate is 1 % too low", (_moved("0.99"),)),
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
        (Edit(_ADAM, _MAXIMUM, "max_exp_avg_sqs[i].copy_(exp_avg_sq)"),),
    ),
    Mutant(
        "amsgrad_maximum_of_corrected",
        "amsgrad",
        "the maximum is taken of corrected second moments",
        (
            Edit(
                _ADAM, _MAXIMUM, _MAXIMUM.replace("exp_avg_sq,", "exp_avg_sq / bias_correction2,")
            ),
            Edit(_ADAM, _OF_MAXIMUM, "denom = max_exp_avg_sqs[i].sqrt().add_(eps)"),
        ),
    ),
    Mutant(
        "amsgrad_maximum_late",
        "amsgrad",
        "the maximum is that of the step before",
        (
            Edit(_ADAM, _MAXIMUM, "pass"),
            Edit(_ADAM, _OF_MAXIMUM, f"{_OF_MAXIMUM}\n                {_MAXIMUM}"),
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
        (Edit(_RADAM, _GRADIENT, "grad = grads[i]"),),
    ),
)

_ADAMAX = "_single_tensor_adamax"

ADAMAX = (
    Mutant(
        "adamax_no_correction",
        "adamax",
        "the first moment is not corrected for its bias",
        (Edit(_ADAMAX, "clr = lr / bias_correction", "clr = lr"),),
    ),
    Mutant(
        "adamax_sum",
        "adamax",
        "the norms are added where the larger should be taken",
        (Edit(_ADAMAX, "torch.maximum(", "torch.add("),),
    ),
    Mutant(
        "adamax_epsilon_dropped",
        "adamax",
        "epsilon is left out, so that a zero gradient gives no number",
        (Edit(_ADAMAX, "grad.abs().add_(eps),\n", "grad.abs(),\n"),),
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

MUTANTS = (*ADAM, *ADAMW, *AMSGRAD, *NADAM, *RADAM, *ADAMAX, *SPARSE)
