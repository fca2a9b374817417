"""The optimizers of `torch-optimi`."""

import optimi

from ravine.optimizers.zoo.family import classes, register_family

register_family("optimi", "torch-optimi", classes(optimi, "optimi"))
