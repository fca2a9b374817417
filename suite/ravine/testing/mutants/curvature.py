"""Faults of L-BFGS, Muon and Adafactor."""

from ravine.testing.mutants.mutant import Edit, Mutant

_STEP = "LBFGS.step"

LBFGS = (
    Mutant(
        "lbfgs_history_shorter",
        "lbfgs",
        "the memory holds one pair less than it should",
        (Edit(_STEP, "len(old_dirs) == history_size:", "len(old_dirs) == history_size - 1:"),),
    ),
    Mutant(
        "lbfgs_curvature_unchecked",
        "lbfgs",
        "pairs of negative curvature enter the memory",
        (Edit(_STEP, "if ys > 1e-10:", "if True:"),),
    ),
    Mutant(
        "lbfgs_scaling_forgotten",
        "lbfgs",
        "the first Hessian is the identity, not scaled by the last pair",
        (Edit(_STEP, "H_diag = ys / y.dot(y)", "H_diag = 1.0"),),
    ),
    Mutant(
        "lbfgs_sign_error",
        "lbfgs",
        "a sign is wrong in the second loop of the recursion",
        (Edit(_STEP, "alpha=al[i] - be_i", "alpha=al[i] + be_i"),),
    ),
    Mutant(
        "lbfgs_first_step_unscaled",
        "lbfgs",
        "the first step is not shortened by the gradient's size",
        (Edit(_STEP, "t = min(1.0, 1.0 / flat_grad.abs().sum()) * lr", "t = lr"),),
    ),
    Mutant(
        "lbfgs_wolfe_strict",
        "lbfgs_strong_wolfe",
        "the line search asks for a tenth of the slope that is allowed",
        (Edit("_strong_wolfe", "<= -c2 * gtd", "<= -0.1 * c2 * gtd", times=2),),
    ),
)

_ITERATION = "_zeropower_via_newtonschulz"
_MUON = "_single_tensor_muon"

MUON = (
    Mutant(
        "muon_wrong_coefficient",
        "muon",
        "a coefficient of the Newton-Schulz iteration is 5 % off",
        (Edit(_ITERATION, "beta=b,", "beta=0.95 * b,"),),
    ),
    Mutant(
        "muon_iteration_shorter",
        "muon",
        "the Newton-Schulz iteration takes one step less",
        (Edit(_ITERATION, "range(ns_steps)", "range(ns_steps - 1)"),),
    ),
    Mutant(
        "muon_lookahead_dropped",
        "muon",
        "Nesterov's look-ahead is dropped",
        (Edit(_MUON, "grad.lerp(buf, momentum) if nesterov else buf", "buf"),),
    ),
    Mutant(
        "muon_sides_swapped",
        "muon",
        "the rate grows with wide matrices, not with tall ones",
        (Edit("_adjust_lr", "max(1, A / B)", "max(1, B / A)"),),
    ),
    Mutant(
        "muon_decay_coupled",
        "muon",
        "weight decay is added to the gradient",
        (
            Edit(_MUON, "grad = grads[i]", "grad = grads[i].add(param, alpha=weight_decay)"),
            Edit(_MUON, "        param.mul_(1 - lr * weight_decay)\n", ""),
        ),
    ),
    Mutant(
        "muon_rate_5_percent_high",
        "muon",
        "the rate is 5 % too high",
        (Edit(_MUON, "alpha=-adjusted_lr", "alpha=-1.05 * adjusted_lr"),),
    ),
)

_ADAFACTOR = "_single_tensor_adafactor"

ADAFACTOR = (
    Mutant(
        "adafactor_rate_falls_faster",
        "adafactor",
        "the rate is bounded by 1 / t, not by the root of it",
        (Edit(_ADAFACTOR, "1 / (step_float**0.5)", "1 / step_float"),),
    ),
    Mutant(
        "adafactor_not_clipped",
        "adafactor",
        "updates are not clipped at their root mean square",
        (
            Edit(
                _ADAFACTOR,
                "max(1.0, update.norm(2).item() / ((update.numel() ** 0.5) * d))",
                "1.0",
            ),
        ),
    ),
    Mutant(
        "adafactor_not_normalised",
        "adafactor",
        "the product of row and column moments is not divided by their mean",
        (
            Edit(
                _ADAFACTOR,
                "var_estimate.div_(row_var.mean(dim=-2, keepdim=True).clamp_(min=eps1))",
                "pass",
            ),
        ),
    ),
    Mutant(
        "adafactor_step_early",
        "adafactor",
        "the decay of the second moment is that of the next step",
        (Edit(_ADAFACTOR, "step_float**beta2_decay", "(step_float + 1) ** beta2_decay"),),
    ),
    Mutant(
        "adafactor_scale_dropped",
        "adafactor",
        "steps do not scale with the parameter",
        (
            Edit(
                _ADAFACTOR,
                "max(eps2, param.norm(2).item() / (param.numel() ** 0.5)) * rho_t",
                "rho_t",
            ),
        ),
    ),
)

MUTANTS = (*LBFGS, *MUON, *ADAFACTOR)
