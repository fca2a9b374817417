"""The optimizers of `lion-pytorch`."""

import lion_pytorch

from ravine.optimizers.zoo.family import classes, register_family

register_family("lion_pytorch", "lion-pytorch", classes(lion_pytorch, "lion_pytorch"))
