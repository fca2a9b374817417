"""Every optimizer that `pytorch-optimizer` supports.

References:
    Kim (2021-2026). pytorch_optimizer. github.com/kozistr/pytorch_optimizer.
"""

import pytorch_optimizer

from ravine.optimizers.zoo.family import register_family

register_family(
    "pytorch_optimizer",
    "pytorch-optimizer",
    {
        name: pytorch_optimizer.load_optimizer(name)
        for name in sorted(pytorch_optimizer.get_supported_optimizers())
    },
)
