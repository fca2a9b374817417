"""Faults of Adam."""

from ravine.testing.mutants.mutant import Edit, Mutant

STEP = "_single_tensor_adam"
_RATE = "step_size = lr / bias_correction1\n\n            bias_correction2_sqrt"
_ROOT = "bias_correction2_sqrt = bias_correction2**0.5"
DENOMINATOR = "(exp_avg_sq.sqrt() / bias_correction2_sqrt).add_(eps)"
MOVE = "param.addcdiv_(exp_avg, denom, value=-step_size)  # type: ignore[arg-type]"
_SQUARE = "exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  # type: ignore[arg-type]"
_COUNT = "step = _get_value(step_t)"
GRADIENT = "grad = grads[i] if not maximize else -grads[i]"


def moved(factor: str) -> Edit:
    """The step, multiplied by something."""
    return Edit(STEP, MOVE, MOVE.replace("-step_size", f"-{factor} * step_size"))


MUTANTS = (
    Mutant(
        "adam_no_first_correction",
        "adam",
        "the first moment is not corrected for its bias",
        (Edit(STEP, _RATE, _RATE.replace("lr / bias_correction1", "lr")),),
    ),
    Mutant(
        "adam_no_second_correction",
        "adam",
        "the second moment is not corrected for its bias",
        (Edit(STEP, _ROOT, "bias_correction2_sqrt = 1.0"),),
    ),
    Mutant(
        "adam_first_correction_doubled",
        "adam",
        "the first moment is corrected twice",
        (Edit(STEP, _RATE, _RATE.replace("bias_correction1", "bias_correction1**2")),),
    ),
    Mutant(
        "adam_second_correction_doubled",
        "adam",
        "the second moment is corrected twice",
        (Edit(STEP, _ROOT, "bias_correction2_sqrt = bias_correction2"),),
    ),
    Mutant(
        "adam_epsilon_inside_root",
        "adam",
        "epsilon is added under the root",
        (Edit(STEP, DENOMINATOR, "(exp_avg_sq / bias_correction2).add(eps).sqrt()"),),
    ),
    Mutant(
        "adam_epsilon_before_correction",
        "adam",
        "epsilon is added before the second moment is corrected",
        (Edit(STEP, DENOMINATOR, "exp_avg_sq.sqrt().add_(eps) / bias_correction2_sqrt"),),
    ),
    Mutant(
        "adam_epsilon_tenfold",
        "adam",
        "epsilon is 10 times as large",
        (Edit(STEP, DENOMINATOR, DENOMINATOR.replace("(eps)", "(10 * eps)")),),
    ),
    Mutant(
        "adam_epsilon_hundredth",
        "adam",
        "epsilon is a hundredth of what it should be",
        (Edit(STEP, DENOMINATOR, DENOMINATOR.replace("(eps)", "(eps / 100)")),),
    ),
    Mutant(
        "adam_betas_swapped",
        "adam",
        "beta1 and beta2 are swapped",
        (Edit("Adam.step", "beta1, beta2 =", "beta2, beta1 ="),),
    ),
    Mutant("adam_rate_1_percent_high", "adam", "the rate is 1 % too high", (moved("1.01"),)),
    Mutant("adam_rate_5_percent_low", "adam", "the rate is 5 % too low", (moved("0.95"),)),
    Mutant("adam_rate_20_percent_high", "adam", "the rate is 20 % too high", (moved("1.2"),)),
    Mutant(
        "adam_step_late",
        "adam",
        "the step counter is late by one",
        (Edit(STEP, _COUNT, "step = max(_get_value(step_t) - 1, 1)"),),
    ),
    Mutant(
        "adam_step_early",
        "adam",
        "the step counter is early by one",
        (Edit(STEP, _COUNT, "step = _get_value(step_t) + 1"),),
    ),
    Mutant(
        "adam_decay_decoupled",
        "adam",
        "weight decay is decoupled, as in AdamW",
        (Edit(STEP, "if decoupled_weight_decay:", "if True:"),),
    ),
    Mutant(
        "adam_decay_in_place",
        "adam",
        "weight decay is added to the gradient in place",
        (Edit(STEP, "grad = grad.add(param,", "grad = grad.add_(param,", times=2),),
    ),
    Mutant(
        "adam_moment_of_moment",
        "adam",
        "the second moment is that of the first moment, not of the gradient",
        (Edit(STEP, _SQUARE, _SQUARE.replace("grad, grad", "exp_avg, exp_avg")),),
    ),
    Mutant(
        "adam_beta1_complement",
        "adam",
        "1 - beta1 in place of beta1",
        (Edit(STEP, "exp_avg.lerp_(grad, 1 - device_beta1)", "exp_avg.lerp_(grad, device_beta1)"),),
    ),
    Mutant(
        "adam_beta2_complement",
        "adam",
        "1 - beta2 in place of beta2",
        (
            Edit(
                STEP,
                _SQUARE,
                "exp_avg_sq.mul_(1 - beta2).addcmul_(grad, grad, value=beta2)",
            ),
        ),
    ),
    Mutant(
        "adam_root_forgotten",
        "adam",
        "the root of the second moment is not taken",
        (Edit(STEP, DENOMINATOR, "(exp_avg_sq / bias_correction2).add_(eps)"),),
    ),
    Mutant(
        "adam_maximize_ignored",
        "adam",
        "maximize is ignored",
        (Edit(STEP, GRADIENT, "grad = grads[i]"),),
    ),
    Mutant(
        "adam_moments_bfloat16",
        "adam",
        "both moments are rounded to bfloat16",
        (
            Edit(
                STEP,
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
        (Edit(STEP, _SQUARE, f"{_SQUARE}\n        exp_avg_sq.copy_(exp_avg_sq.float())"),),
    ),
    Mutant(
        "adam_gradient_clamped",
        "adam",
        "the gradient is clamped at 1e-3",
        (Edit(STEP, GRADIENT, f"{GRADIENT}\n        grad = grad.clamp(-1e-3, 1e-3)"),),
    ),
    Mutant(
        "adam_update_clamped",
        "adam",
        "the update is clamped at 1e-3",
        (Edit(STEP, MOVE, "param.sub_((step_size * exp_avg / denom).clamp(-1e-3, 1e-3))"),),
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
                STEP,
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
        (Edit(STEP, "in enumerate(params):", "in enumerate(params[:1]):"),),
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
