"""Faults of SGD, heavy ball, Nesterov's momentum, ASGD and Rprop."""

from ravine.testing.mutants.mutant import Edit, Mutant

_SGD = "_single_tensor_sgd"
_MOVE = "        else:\n            param.add_(grad, alpha=-lr)"
_GRADIENT = "grad = grads[i] if not maximize else -grads[i]"
_CLONED = "buf = grad.detach().clone()"
_UPDATED = "buf.mul_(momentum).add_(grad, alpha=1 - dampening)"
_ADDED = "grad = grad.add(param, alpha=weight_decay)"
_KEPT = 'state["momentum_buffer"] = momentum_buffer'
_COUNTED = 'self.calls = self.__dict__.get("calls", 0) + 1'


def _moved(factor: str) -> Edit:
    return Edit(_SGD, _MOVE, _MOVE.replace("-lr", f"-{factor} * lr"))


SGD = (
    Mutant("sgd_rate_1_percent_high", "sgd", "the rate is 1 % too high", (_moved("1.01"),)),
    Mutant("sgd_rate_5_percent_high", "sgd", "the rate is 5 % too high", (_moved("1.05"),)),
    Mutant("sgd_rate_20_percent_low", "sgd", "the rate is 20 % too low", (_moved("0.8"),)),
    Mutant(
        "sgd_decay_wrong_sign",
        "sgd",
        "weights grow where they should decay",
        (Edit(_SGD, _ADDED, _ADDED.replace("weight_decay", "-weight_decay"), times=2),),
    ),
    Mutant(
        "sgd_decay_rate_twice",
        "sgd",
        "weight decay is multiplied by the rate twice",
        (Edit(_SGD, _ADDED, _ADDED.replace("weight_decay", "lr * weight_decay"), times=2),),
    ),
    Mutant(
        "sgd_decay_in_place",
        "sgd",
        "weight decay is added to the gradient in place",
        (Edit(_SGD, _ADDED, _ADDED.replace("add(", "add_("), times=2),),
    ),
    Mutant(
        "sgd_maximize_ignored",
        "sgd",
        "maximize is ignored",
        (Edit(_SGD, _GRADIENT, "grad = grads[i]"),),
    ),
    Mutant(
        "sgd_gradient_clamped",
        "sgd",
        "the gradient is clamped at 1e-3",
        (Edit(_SGD, _GRADIENT, f"{_GRADIENT}\n        grad = grad.clamp(-1e-3, 1e-3)"),),
    ),
    Mutant(
        "sgd_update_clamped",
        "sgd",
        "the update is clamped at 1e-3",
        (Edit(_SGD, _MOVE, _MOVE.replace("grad, alpha=-lr", "(-lr * grad).clamp(-1e-3, 1e-3)")),),
    ),
    Mutant(
        "sgd_100th_step_skipped",
        "sgd",
        "every 100th step does nothing",
        (
            Edit(
                "SGD.step",
                "for group in self.param_groups:",
                f"{_COUNTED}\n        for group in self.param_groups if self.calls % 100 else ():",
            ),
        ),
    ),
    Mutant(
        "sgd_stale_gradient",
        "sgd",
        "steps by the gradient of the step before",
        (
            Edit(
                "SGD._init_group",
                "grads.append(p.grad)",
                'stale = self.__dict__.setdefault("stale", {})\n'
                "                grads.append(stale.get(p, p.grad))\n"
                "                stale[p] = p.grad.clone()",
            ),
        ),
    ),
    Mutant(
        "sgd_second_group_ignored",
        "sgd",
        "only the first parameter group is stepped on",
        (Edit("SGD.step", "in self.param_groups:", "in self.param_groups[:1]:"),),
    ),
    Mutant(
        "sgd_second_rate_ignored",
        "sgd",
        "all groups are stepped on at the first one's rate",
        (Edit("SGD.step", 'lr=group["lr"]', 'lr=self.param_groups[0]["lr"]'),),
    ),
    Mutant(
        "sgd_rate_cached",
        "sgd",
        "the rate is the constructor's, whatever a schedule sets",
        (Edit("SGD.step", 'lr=group["lr"]', 'lr=self.defaults["lr"]'),),
    ),
    Mutant(
        "sgd_first_parameter_only",
        "sgd",
        "only the first parameter of a group is stepped on",
        (Edit(_SGD, "in enumerate(params):", "in enumerate(params[:1]):"),),
    ),
    Mutant(
        "sgd_loss_not_returned",
        "sgd",
        "the closure's loss is not returned",
        (Edit("SGD.step", "return loss", "return None"),),
    ),
)

HEAVY_BALL = (
    Mutant(
        "heavy_ball_buffer_not_cloned",
        "heavy_ball",
        "the momentum buffer is the gradient's own memory",
        (Edit(_SGD, _CLONED, "buf = grad.detach()"),),
    ),
    Mutant(
        "heavy_ball_buffer_reset",
        "heavy_ball",
        "the momentum is forgotten every 25 steps",
        (
            Edit("SGD.step", "loss = None", f"{_COUNTED}\n        loss = None"),
            Edit("SGD.step", _KEPT, f"{_KEPT} if self.calls % 25 else None"),
        ),
    ),
    Mutant(
        "heavy_ball_first_gradient_lost",
        "heavy_ball",
        "the momentum buffer begins at zero, without the first gradient",
        (Edit(_SGD, _CLONED, "buf = torch.zeros_like(grad)"),),
    ),
    Mutant(
        "heavy_ball_first_dampened",
        "heavy_ball",
        "the first gradient is dampened too",
        (Edit(_SGD, _CLONED, f"{_CLONED}.mul_(1 - dampening)"),),
    ),
    Mutant(
        "heavy_ball_dampening_ignored",
        "heavy_ball",
        "dampening is ignored",
        (Edit(_SGD, _UPDATED, _UPDATED.replace("1 - dampening", "1")),),
    ),
    Mutant(
        "heavy_ball_averaged",
        "heavy_ball",
        "the buffer is a moving average of gradients, not their sum",
        (Edit(_SGD, _UPDATED, _UPDATED.replace("1 - dampening", "1 - momentum")),),
    ),
    Mutant(
        "heavy_ball_decay_decoupled",
        "heavy_ball",
        "weight decay is decoupled from the momentum",
        (
            Edit(_SGD, _ADDED, "pass", times=2),
            Edit(_SGD, _MOVE, f"{_MOVE}\n            param.mul_(1 - lr * weight_decay)"),
        ),
    ),
    Mutant(
        "heavy_ball_buffer_bfloat16",
        "heavy_ball",
        "the momentum buffer is rounded to bfloat16",
        (Edit(_SGD, _UPDATED, f"{_UPDATED}\n                buf.copy_(buf.bfloat16())"),),
    ),
    Mutant(
        "heavy_ball_state_lost",
        "heavy_ball",
        "loading a state dict drops the momentum",
        (
            Edit(
                "SGD",
                "    def __setstate__(self, state):",
                "    def load_state_dict(self, state_dict):\n"
                '        super().load_state_dict({**state_dict, "state": {}})\n\n'
                "    def __setstate__(self, state):",
            ),
        ),
    ),
    Mutant(
        "heavy_ball_state_shared",
        "heavy_ball",
        "an optimizer begins with the momentum that another one left in the class",
        (
            Edit("SGD", "class SGD(Optimizer):\n", "class SGD(Optimizer):\n    shared = {}\n\n"),
            Edit(
                "SGD._init_group",
                'state.get("momentum_buffer")',
                'state.get("momentum_buffer", self.shared.get((len(params), p.shape, p.dtype)))',
            ),
            Edit(
                "SGD.step",
                _KEPT,
                f"{_KEPT}\n                    at = [q is p for q in params].index(True) + 1\n"
                "                    self.shared[at, p.shape, p.dtype] = momentum_buffer",
            ),
        ),
    ),
    Mutant(
        "heavy_ball_rate_in_buffer",
        "heavy_ball",
        "the buffer holds steps and not gradients, so that a change of rate comes late",
        (
            Edit(_SGD, _CLONED, "buf = (lr * grad).detach()"),
            Edit(_SGD, _UPDATED, "buf.mul_(momentum).add_(grad, alpha=lr * (1 - dampening))"),
            Edit(
                _SGD,
                "grad = grad.add(buf, alpha=momentum)",
                "grad = (lr * grad).add(buf, alpha=momentum)",
            ),
            Edit(
                _SGD,
                _MOVE,
                "        else:\n            param.sub_(grad if momentum else lr * grad)",
            ),
        ),
    ),
)

NESTEROV = (
    Mutant(
        "nesterov_lookahead_dropped",
        "nesterov",
        "it steps along the buffer, as heavy ball does",
        (Edit(_SGD, "if nesterov:", "if False:"),),
    ),
    Mutant(
        "nesterov_lookahead_whole",
        "nesterov",
        "the look-ahead is not multiplied by the momentum",
        (Edit(_SGD, "grad.add(buf, alpha=momentum)", "grad.add(buf)"),),
    ),
    Mutant(
        "nesterov_lookahead_in_place",
        "nesterov",
        "the look-ahead is added to the gradient in place",
        (Edit(_SGD, "grad.add(buf, alpha=momentum)", "grad.add_(buf, alpha=momentum)"),),
    ),
    Mutant("nesterov_rate_5_percent_low", "nesterov", "the rate is 5 % too low", (_moved("0.95"),)),
)

_ASGD = "_single_tensor_asgd"

ASGD = (
    Mutant(
        "asgd_rate_schedule",
        "asgd",
        "the rate falls with lambd t where it should with lambd lr t",
        (
            Edit(
                _ASGD,
                "lr / ((1 + lambd * lr * step) ** alpha)",
                "lr / ((1 + lambd * step) ** alpha)",
            ),
        ),
    ),
    Mutant(
        "asgd_shrinking_dropped",
        "asgd",
        "weights are not shrunk by 1 - lambd eta",
        (Edit(_ASGD, "param.mul_(1 - lambd * eta_value)", "pass"),),
    ),
    Mutant(
        "asgd_average_late",
        "asgd",
        "averaging begins ten steps late; only the average shows it",
        (Edit(_ASGD, "max(1, step - t0)", "max(1, step - t0 - 10)"),),
    ),
)

_RPROP = "_single_tensor_rprop"

RPROP = (
    Mutant(
        "rprop_etas_swapped",
        "rprop",
        "step sizes shrink where they should grow",
        (Edit("Rprop.step", "etaminus, etaplus =", "etaplus, etaminus ="),),
    ),
    Mutant(
        "rprop_bounds_swapped",
        "rprop",
        "the bounds of step sizes are swapped",
        (Edit("Rprop.step", "step_size_min, step_size_max =", "step_size_max, step_size_min ="),),
    ),
    Mutant(
        "rprop_sign_error",
        "rprop",
        "step sizes grow where the gradient turned",
        (Edit(_RPROP, "sign[sign.lt(0)] = etaminus", "sign[sign.lt(0)] = etaplus"),),
    ),
    Mutant(
        "rprop_steps_after_turn",
        "rprop",
        "it moves also where the gradient turned",
        (Edit(_RPROP, "grad[sign.eq(etaminus)] = 0", "pass"),),
    ),
    Mutant(
        "rprop_turn_remembered",
        "rprop",
        "the gradient that turned is kept where zero should be",
        (Edit(_RPROP, "prev.copy_(grad)", "prev.copy_(-grads[i] if maximize else grads[i])"),),
    ),
)

MUTANTS = (*SGD, *HEAVY_BALL, *NESTEROV, *ASGD, *RPROP)
