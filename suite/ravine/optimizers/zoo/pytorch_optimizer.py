"""Every optimizer that `pytorch-optimizer` supports.

References:
    Kim (2021-2026). pytorch_optimizer. github.com/kozistr/pytorch_optimizer.
"""

from typing import Any

import pytorch_optimizer
import torch

from ravine.optimizers.zoo.family import register_family


def magma(
    params: Any, lr: float = 1e-3, mask_prob: float = 0.5, tau: float = 2.0, **options: Any
) -> torch.optim.Optimizer:
    """Magma around AdamW: momentum aligned gradient masking, with AdamW's rate by its name."""
    built: torch.optim.Optimizer = pytorch_optimizer.Magma(
        params, lr=lr, mask_prob=mask_prob, tau=tau, **options
    )
    return built


register_family(
    "pytorch_optimizer",
    "pytorch-optimizer",
    {
        name: magma if name == "magma" else pytorch_optimizer.load_optimizer(name)
        for name in sorted(pytorch_optimizer.get_supported_optimizers())
    },
)
