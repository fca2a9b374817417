"""Faults of RMSprop, Adagrad and Adadelta."""

from ravine.testing.mutants.mutant import Edit, Mutant

_RMSPROP = "_single_tensor_rmsprop"
_SQUARE = "square_avg.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)"

RMSPROP = (
    Mutant(
        "rmsprop_epsilon_inside_root",
        "rmsprop",
        "epsilon is added under the root",
        (
            Edit(_RMSPROP, "avg = square_avg.sqrt()", "avg = square_avg.add(eps).sqrt()"),
            Edit(_RMSPROP, "avg = avg.add_(eps)", "pass"),
        ),
    ),
    Mutant(
        "rmsprop_epsilon_hundredfold",
        "rmsprop",
        "epsilon is 100 times as large",
        (Edit(_RMSPROP, "avg.add_(eps)", "avg.add_(100 * eps)"),),
    ),
    Mutant(
        "rmsprop_alpha_complement",
        "rmsprop",
        "1 - alpha in place of alpha",
        (Edit(_RMSPROP, _SQUARE, "square_avg.mul_(1 - alpha).addcmul_(grad, grad, value=alpha)"),),
    ),
    Mutant(
        "rmsprop_root_forgotten",
        "rmsprop",
        "the root of the mean square is not taken",
        (Edit(_RMSPROP, "avg = square_avg.sqrt()", "avg = square_avg.clone()"),),
    ),
    Mutant(
        "rmsprop_begins_at_one",
        "rmsprop",
        "the mean square begins at one",
        (
            Edit(
                "RMSprop._init_group",
                'state["square_avg"] = torch.zeros_like(',
                'state["square_avg"] = torch.ones_like(',
            ),
        ),
    ),
    Mutant(
        "rmsprop_average_bfloat16",
        "rmsprop",
        "the mean square is rounded to bfloat16",
        (Edit(_RMSPROP, _SQUARE, f"{_SQUARE}\n        square_avg.copy_(square_avg.bfloat16())"),),
    ),
    Mutant(
        "rmsprop_maximize_ignored",
        "rmsprop",
        "maximize is ignored",
        (Edit(_RMSPROP, "grad = grad if not maximize else -grad", "pass"),),
    ),
    Mutant(
        "rmsprop_centered_sign",
        "rmsprop_centered",
        "the mean's square is added where it should be subtracted",
        (Edit(_RMSPROP, "grad_avg, grad_avg, value=-1)", "grad_avg, grad_avg, value=1)"),),
    ),
    Mutant(
        "rmsprop_centered_ignored",
        "rmsprop",
        "centered is ignored",
        (Edit(_RMSPROP, "addcmul(grad_avg, grad_avg, value=-1)", "clone()"),),
    ),
    Mutant(
        "rmsprop_momentum_unscaled",
        "rmsprop_momentum",
        "the buffer gathers gradients and is scaled afterwards",
        (
            Edit(_RMSPROP, ".addcdiv_(grad, avg)", ".add_(grad)"),
            Edit(_RMSPROP, "param.add_(buf, alpha=-lr)", "param.addcdiv_(buf, avg, value=-lr)"),
        ),
    ),
)

_ADAGRAD = "_single_tensor_adagrad"
_SUM = "state_sum.addcmul_(grad, grad, value=1)"

ADAGRAD = (
    Mutant(
        "adagrad_rate_decay_early",
        "adagrad",
        "lr_decay counts from the first step on, not from the second",
        (Edit(_ADAGRAD, "(step - 1) * lr_decay", "step * lr_decay"),),
    ),
    Mutant(
        "adagrad_epsilon_inside_root",
        "adagrad",
        "epsilon is added under the root",
        (Edit(_ADAGRAD, "state_sum.sqrt().add_(eps)", "state_sum.add(eps).sqrt()"),),
    ),
    Mutant(
        "adagrad_sum_forgets",
        "adagrad",
        "the sum of squares forgets 1 % a step",
        (Edit(_ADAGRAD, _SUM, f"state_sum.mul_(0.99)\n            {_SUM}"),),
    ),
    Mutant(
        "adagrad_begins_at_zero",
        "adagrad",
        "initial_accumulator_value is ignored",
        (Edit("Adagrad.__init__", "else initial_accumulator_value", "else 0.0"),),
    ),
    Mutant(
        "adagrad_root_forgotten",
        "adagrad",
        "the root of the sum of squares is not taken",
        (Edit(_ADAGRAD, "std = state_sum.sqrt().add_(eps)", "std = state_sum.add(eps)"),),
    ),
    Mutant(
        "adagrad_sum_late",
        "adagrad_accumulator",
        "the step is scaled by the sum of squares of the steps before",
        (
            Edit(_ADAGRAD, f"            {_SUM}\n", ""),
            Edit(
                _ADAGRAD,
                "param.addcdiv_(grad, std, value=-clr)",
                f"param.addcdiv_(grad, std, value=-clr)\n            {_SUM}",
            ),
        ),
    ),
)

_ADADELTA = "_single_tensor_adadelta"
_STEPS = "acc_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)"

ADADELTA = (
    Mutant(
        "adadelta_epsilon_outside_root",
        "adadelta",
        "epsilon is added to the root of the mean square step, not under it",
        (Edit(_ADADELTA, "acc_delta.add(eps).sqrt_()", "acc_delta.sqrt().add_(eps)"),),
    ),
    Mutant(
        "adadelta_gathers_gradients",
        "adadelta",
        "the mean square of steps is that of gradients",
        (Edit(_ADADELTA, _STEPS, _STEPS.replace("delta, delta", "grad, grad")),),
    ),
    Mutant(
        "adadelta_rho_complement",
        "adadelta",
        "1 - rho in place of rho for the mean square of gradients",
        (
            Edit(
                _ADADELTA,
                "square_avg.mul_(rho).addcmul_(grad, grad, value=1 - rho)",
                "square_avg.mul_(1 - rho).addcmul_(grad, grad, value=rho)",
            ),
        ),
    ),
    Mutant(
        "adadelta_rate_5_percent_high",
        "adadelta",
        "the rate is 5 % too high",
        (Edit(_ADADELTA, "param.add_(delta, alpha=-lr)", "param.add_(delta, alpha=-1.05 * lr)"),),
    ),
)

MUTANTS = (*RMSPROP, *ADAGRAD, *ADADELTA)
