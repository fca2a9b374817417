"""Gradient descent and its momenta, steps of signs, and rates fitted to each layer."""

from ravine.optimizers.agreement.base import MATRIX, MIXED, Algorithm, Amendment, Kind, Member
from ravine.optimizers.agreement.common import IDLE, KOZISTR, WIDE, heavyball, named

PLAIN = "lr=0.02, weight_decay=0.1"
BALL = "lr=0.02, momentum=0.8, weight_decay=0.1"
DAMPENED = "lr=0.1, momentum=0.8, dampening=0.8"
NESTEROV = "lr=0.02, momentum=0.8, nesterov=True"
SIGNS = "lr=0.013, betas=(0.9, 0.9), weight_decay=0.1"
LION = "lr=0.013, betas=(0.8, 0.95)"
LARS = "lr=0.1, momentum=0.8, weight_decay=0.1"

FIRST = "the momentum begins at 0 and the first gradient is dampened too, which torch's is not"

ALGORITHMS = (
    Algorithm(
        "SGD",
        f"sgd({PLAIN})",
        (
            Member(f"optimi.sgd({PLAIN})"),
            Member(f"pytorch_optimizer.sgd({PLAIN})"),
            Member(f"pytorch_optimizer.sgdw({PLAIN})"),
            Member(f"timm.sgdw({PLAIN})"),
            heavyball(f"heavyball.sgd(lr=0.02, beta=0, weight_decay=0.1, {WIDE})"),
        ),
    ),
    Algorithm(
        "SGD with momentum",
        f"sgd({BALL})",
        (
            Member(f"optimi.sgd({BALL})"),
            Member(f"pytorch_optimizer.sgdw({BALL}, weight_decouple=False)"),
            # its average is 1 - momentum times torch's sum
            Member("pytorch_optimizer.qhm(lr=0.1, momentum=0.8, weight_decay=0.1)"),
            Member(
                f"pytorch_optimizer.sgdp({BALL}, weight_decouple=False)",
                named(
                    f"{IDLE}: the decay is added to a gradient that has been used",
                    kind=Kind.DEFECT,
                    place=f"{KOZISTR}.adamp:SGDP.step",
                    reference="sgd(lr=0.02, momentum=0.8)",
                ),
            ),
        ),
    ),
    Algorithm(
        "SGD with momentum, dampened",
        f"sgd({DAMPENED})",
        (
            Member(f"timm.sgdw({DAMPENED})"),
            Member(f"pytorch_optimizer.sgdw({DAMPENED})"),
            Member(
                "optimi.sgd(lr=0.1, momentum=0.8, dampening=True)",
                named(
                    f"{FIRST}; with `torch_init=True` it is not",
                    place="optimi.sgd:SGD._init_state",
                    other="optimi.sgd(lr=0.1, momentum=0.8, dampening=True, torch_init=True)",
                ),
            ),
            Member(
                f"timm.sgdp({DAMPENED})",
                named(
                    FIRST,
                    Amendment(
                        "timm.optim.sgdp:SGDP.step",
                        "state['momentum'] = torch.zeros_like(p)",
                        "state['momentum'] = grad * (dampening / momentum)",
                    ),
                ),
            ),
            Member(
                f"pytorch_optimizer.sgdp({DAMPENED})",
                named(
                    FIRST,
                    Amendment(
                        f"{KOZISTR}.adamp:SGDP.step",
                        "alpha=1.0 - group['dampening']",
                        "alpha=1.0 - group['dampening'] * (group['step'] > 1)",
                    ),
                ),
            ),
        ),
    ),
    Algorithm(
        "SGD with Nesterov's momentum",
        f"sgd({NESTEROV})",
        (
            Member(f"timm.sgdw({NESTEROV})"),
            Member(f"timm.sgdp({NESTEROV})"),
            Member(f"pytorch_optimizer.sgdw({NESTEROV})"),
            Member(f"pytorch_optimizer.sgdp({NESTEROV})"),
        ),
    ),
    Algorithm(
        "SGDW",
        f"timm.sgdw({BALL})",
        (
            Member(f"optimi.sgd({BALL}, decouple_wd=True)"),
            Member(f"pytorch_optimizer.sgdw({BALL})"),
            heavyball(f"heavyball.sgd(lr=0.02, beta=0.8, weight_decay=0.1, {WIDE})"),
        ),
    ),
    Algorithm(
        "SGDP",
        f"timm.sgdp({BALL})",
        (Member(f"pytorch_optimizer.sgdp({BALL})"),),
        MIXED,
    ),
    # Lion with equal betas
    Algorithm(
        "Signum",
        f"lion_pytorch.lion({SIGNS})",
        (
            Member("pytorch_optimizer.signsgd(lr=0.013, momentum=0.9, weight_decay=0.1)"),
            Member("pytorch_optimizer.tiger(lr=0.013, beta=0.9, weight_decay=0.1)"),
        ),
    ),
    Algorithm(
        "Lion",
        f"lion_pytorch.lion({LION}, weight_decay=0.1)",
        (
            Member(f"optimi.lion({LION}, weight_decay=0.1)"),
            Member(f"pytorch_optimizer.lion({LION}, weight_decay=0.1)"),
            Member(f"timm.lion({LION}, weight_decay=0.1)"),
        ),
    ),
    Algorithm(
        "Lion, decay apart from the rate",
        f"lion_pytorch.lion({LION}, weight_decay=0.01, decoupled_weight_decay=True)",
        (
            Member(f"optimi.lion({LION}, weight_decay=0.01, decouple_lr=True)"),
            Member(f"pytorch_optimizer.lion({LION}, weight_decay=0.01, fixed_decay=True)"),
        ),
    ),
    Algorithm(
        "LARS, a matrix",
        f"timm.lars({LARS}, trust_coeff=0.1, eps=0.0)",
        (Member(f"pytorch_optimizer.lars({LARS}, trust_coefficient=0.1)"),),
        MATRIX,
    ),
    Algorithm(
        "LARS, a matrix and a vector",
        f"timm.lars({LARS}, trust_coeff=0.1, eps=0.0)",
        (
            Member(
                f"pytorch_optimizer.lars({LARS}, trust_coefficient=0.1)",
                named(
                    "vectors get neither the trust ratio nor weight decay",
                    Amendment(f"{KOZISTR}.lars:LARS._step_foreach", "p.ndim > 1", "p.ndim > 0"),
                ),
            ),
        ),
        MIXED,
    ),
)
"""The methods of momentum, by what people call them."""
