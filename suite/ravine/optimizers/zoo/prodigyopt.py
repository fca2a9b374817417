"""The optimizers of `prodigyopt`."""

import prodigyopt

from ravine.optimizers.zoo.family import classes, register_family

register_family("prodigyopt", "prodigyopt", classes(prodigyopt, "prodigyopt"))
