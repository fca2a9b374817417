"""The optimizers of `heavyball`, without compilation.

Compiling their steps takes minutes on a CPU and needs a C++ compiler; the arithmetic is the
same without it.
"""

import heavyball
import heavyball.utils

from ravine.optimizers.zoo.family import classes, register_family

heavyball.utils.compile_mode = None

register_family(
    "heavyball",
    "heavyball",
    classes(heavyball, "heavyball", skip=("BaseOpt", "PSGDBase", "SOAPBase")),
)
