"""The optimizers of `schedulefree`, but for the printing references of its own tests."""

import schedulefree

from ravine.optimizers.zoo.family import classes, register_family

SKIPPED = ("AdamWScheduleFreeReference", "SGDScheduleFreeReference")

register_family("schedulefree", "schedulefree", classes(schedulefree, "schedulefree", SKIPPED))
