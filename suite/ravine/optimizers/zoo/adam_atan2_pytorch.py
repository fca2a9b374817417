"""The optimizers of `adam-atan2-pytorch`."""

import adam_atan2_pytorch

from ravine.optimizers.zoo.family import classes, register_family

register_family(
    "adam_atan2_pytorch", "adam-atan2-pytorch", classes(adam_atan2_pytorch, "adam_atan2_pytorch")
)
