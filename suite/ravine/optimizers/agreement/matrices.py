"""Methods for matrices: orthogonal steps, and preconditioners of rows and of columns."""

from ravine.optimizers.agreement.base import MATRIX, Algorithm, Amendment, Kind, Member, Shapes
from ravine.optimizers.agreement.common import (
    DECAY,
    DECAY_LAST,
    KOZISTR,
    MAXIMUM,
    SUM,
    WIDE,
    heavyball,
    named,
)

MUON = f"lr=0.005, momentum=0.9, {DECAY}"
EMA = f"lr=0.005, betas=(0.9, 0.95), {DECAY}, nesterov=True"
ADAMUON = f"lr=0.005, betas=(0.8, 0.95), eps=0.01, {DECAY}"
NORMUON = f"lr=0.005, muon_beta1=0.9, muon_beta2=0.95, {DECAY}, use_normuon=True"
SOAP = (
    f"lr=0.02, betas=(0.8, 0.95), shampoo_beta=0.9, eps=0.01, {DECAY}, precondition_frequency=1, "
    "merge_dims=False"
)
KRON = "lr=0.005, momentum=0.9, pre_conditioner_update_probability=1.0, balance_prob=0.0"
PSGD = (
    "lr=0.005, betas=(0.9, 0.99), preconditioner_update_probability=1.0, precond_init_scale=1.0, "
    "store_triu_as_line=False, q_dtype=float64"
)

SQUARE: Shapes = ((5, 5),)
"""Where the first gradient has full rank, no eigenvector of its squares is arbitrary."""

_FULL_TORCH = Amendment(
    "torch.optim._muon:_zeropower_via_newtonschulz", "grad.bfloat16()", "grad.clone()"
)
_FULL_TIMM = Amendment(
    "timm.optim.muon:zeropower_via_newtonschulz", "G.to(dtype=dtype, copy=True)", "G.clone()"
)
_FULL_KOZISTR = Amendment(
    f"{KOZISTR}.utils.matrix:zero_power_via_newton_schulz_5",
    "x.to(dtype=dtype, copy=True",
    "x.to(dtype=g.dtype, copy=True",
)
_FULL = "the Newton-Schulz iteration keeps the parameters' type"
_PSGD = f"{KOZISTR}.psgd"

ALGORITHMS = (
    Algorithm(
        "Muon",
        f"muon({MUON}, nesterov=True)",
        (
            Member(f"pytorch_optimizer.muon({MUON}, nesterov=True)"),
            Member(
                f"timm.muon({MUON}, nesterov=True, ns_coefficients=original, adjust_lr_fn=original)"
            ),
        ),
        MATRIX,
    ),
    Algorithm(
        "Muon without Nesterov",
        f"muon({MUON}, nesterov=False)",
        (
            Member(f"pytorch_optimizer.muon({MUON}, nesterov=False)"),
            Member(f"timm.muon({MUON}, ns_coefficients=original, adjust_lr_fn=original)"),
            # there are no attention logits to clip
            Member(
                f"pytorch_optimizer.muonclip({MUON}, use_adjusted_lr=False)",
                named(
                    "the momentum is a sum, in torch an average, which is the same direction but "
                    "for its rounding to bfloat16 before the Newton-Schulz iteration",
                    _FULL_TORCH,
                    _FULL_KOZISTR,
                    kind=Kind.PRECISION,
                    place=f"{KOZISTR}.muon.muon_clip:MuonClip._momentum_updates",
                ),
            ),
        ),
        MATRIX,
    ),
    Algorithm(
        "Muon, sized as AdamW",
        f"muon_match_rms_adamw({MUON}, nesterov=False)",
        (
            Member(f"pytorch_optimizer.muon({MUON}, nesterov=False, use_adjusted_lr=True)"),
            Member(f"timm.muon({MUON}, ns_coefficients=original, adjust_lr_fn=match_rms_adamw)"),
            Member(
                f"adam_atan2_pytorch.muonadamatan2(lr=0.005, muon_beta1=0.9, {DECAY})",
                named(
                    f"{_FULL}, in torch bfloat16",
                    _FULL_TORCH,
                    kind=Kind.PRECISION,
                    place="adam_atan2_pytorch.muon_adam_atan2:newtonschulz5",
                ),
            ),
        ),
        MATRIX,
    ),
    Algorithm(
        "Muon, five quintics",
        f"timm.muon({MUON}, nesterov=True, ns_coefficients=quintic, adjust_lr_fn=original)",
        (
            heavyball(
                f"heavyball.muon({EMA}, heavyball_momentum=True, {WIDE})",
                f"{_FULL} if that is double precision, in timm bfloat16",
                _FULL_TIMM,
                kind=Kind.PRECISION,
                place="heavyball.utils:zeropower_via_newtonschulz5",
            ),
            heavyball(
                f"heavyball.muon({EMA}, {WIDE})",
                "what is orthogonalised is g + m, in timm (1 - momentum) g + momentum m, as with "
                f"`heavyball_momentum=True`; {_FULL} if that is double precision, in timm bfloat16",
                _FULL_TIMM,
                place="heavyball.utils:_compilable_nesterov_ema_",
                other=f"heavyball.muon({EMA}, heavyball_momentum=True, {WIDE})",
            ),
        ),
        MATRIX,
    ),
    Algorithm(
        "AdaMuon",
        f"timm.muon({ADAMUON}, momentum=0.8, algo=adamuon, ns_coefficients=original, "
        "adjust_lr_fn=match_rms_adamw)",
        (
            Member(
                f"pytorch_optimizer.adamuon({ADAMUON})",
                named(
                    "the second moment is corrected for its start, which timm's is not; the step "
                    "is rounded to bfloat16",
                    Amendment(
                        f"{KOZISTR}.muon.adamuon:AdaMuon.step",
                        "(v / bias_correction2).sqrt_()",
                        "v.sqrt()",
                    ),
                    _FULL_TIMM,
                    _FULL_KOZISTR,
                ),
            ),
        ),
        MATRIX,
    ),
    Algorithm(
        "NorMuon",
        f"pytorch_optimizer.normuon({MUON}, beta2=0.95, nesterov=False, use_adjusted_lr=True)",
        (
            Member(
                f"adam_atan2_pytorch.muonadamatan2({NORMUON})",
                named(
                    f"{_FULL}, in pytorch-optimizer bfloat16",
                    _FULL_KOZISTR,
                    kind=Kind.PRECISION,
                    place="adam_atan2_pytorch.muon_adam_atan2:newtonschulz5",
                ),
            ),
        ),
        MATRIX,
    ),
    Algorithm(
        "Scion",
        "pytorch_optimizer.scion(lr=0.005, momentum=0.1)",
        (
            heavyball(
                f"heavyball.scion(lr=0.005, betas=(0.9, 0.9), {WIDE})",
                "the first step throws the parameters away and begins at a random orthogonal "
                f"matrix; the Newton-Schulz coefficients are others; {_FULL} if that is double "
                "precision, in pytorch-optimizer bfloat16",
                Amendment("heavyball.chainable:scion_auto_norm", 'not ctx["initialized"]', "False"),
                Amendment(
                    "heavyball.utils:_compilable_orthogonal_",
                    "y = zeropower_via_newtonschulz5(x, 5)",
                    "y = legacy_zeropower_via_newtonschulz5(x, 5)",
                ),
                _FULL_KOZISTR,
            ),
        ),
        MATRIX,
    ),
    Algorithm(
        "SOAP",
        f"pytorch_optimizer.soap({SOAP})",
        (
            heavyball(
                f"heavyball.soap({SOAP}, {WIDE})",
                f"{MAXIMUM}; pytorch-optimizer adds eps before the bias correction, and its QR is "
                "in single precision; the decay precedes the step; of the old basis 1e-8 is kept",
                SUM,
                Amendment(
                    f"{KOZISTR}.soap:SOAP.step",
                    "de_nom = exp_avg_sq.sqrt().add_(group['eps'])",
                    "de_nom = exp_avg_sq.sqrt().add_(group['eps'] * bias_correction2_sq)",
                ),
                Amendment(
                    f"{KOZISTR}.soap:SOAP.get_orthogonal_matrix_qr",
                    "power_iter.to(torch.float32)",
                    "power_iter",
                ),
                DECAY_LAST,
                Amendment(
                    "heavyball.utils:get_orthogonal_matrix_QR",
                    "work = gram_basis + (lift * magnitude).unsqueeze(-1) * q_old",
                    "work = gram_basis",
                ),
            ),
        ),
        SQUARE,
    ),
    # both draw the same random directions, one at each step
    Algorithm(
        "PSGD Kron",
        f"pytorch_optimizer.kron({KRON}, precondition_dtype=None)",
        (
            heavyball(
                f"heavyball.psgdkron({PSGD}, {WIDE})",
                "steps are bent by log and tanh, in pytorch-optimizer scaled down to a root mean "
                "square of 1.1; the norm that divides the preconditioner's step is found by power "
                "iteration and may only sink slowly; random noise of 1e-7 is added to gradients; "
                "pytorch-optimizer solves triangular systems in single precision",
                Amendment(
                    "heavyball.utils:trust_region_clip_",
                    "_compilable_trust_region_clip_(grad, lerp, scale)",
                    "[g.mul_((1.1 / (g.square().mean().sqrt() + 1e-6)).clamp(max=1)) "
                    "for g in grad]",
                ),
                Amendment(
                    "heavyball.utils:psgd_update_precond",
                    "max_eigenvalue_spd(term1 + term2, power_iter=power_iter)",
                    "torch.linalg.matrix_norm(term1 + term2, 2)",
                ),
                Amendment(
                    f"{_PSGD}:update_precondition",
                    "norm_lower_bound(term1 + term2).add_(eps)",
                    "torch.linalg.matrix_norm(term1 + term2, 2)",
                ),
                Amendment(
                    "heavyball.utils:_update_lb",
                    "ell = ell.maximum(promote(lb_state) + (ell - promote(lb_state)) * (1 - beta))",
                    "",
                ),
                Amendment("heavyball.utils:dampen_grad", "g + damping * v", "g"),
                *(
                    Amendment(
                        f"{_PSGD}:solve_triangular_right",
                        f"{name} = {name}.to(dtype=torch.float32, non_blocking=True)",
                        "",
                    )
                    for name in ("x", "a")
                ),
            ),
        ),
        MATRIX,
    ),
)
"""The methods of matrices, by what people call them."""
