"""Optimizers of other packages, `pip install "ravine[zoo]"`: a module for each package.

A package is imported when one of its methods is asked for by name, `timm.adan`, or when
all methods are listed; importing `ravine` imports none of them.
"""

from types import MappingProxyType

FAMILIES = MappingProxyType(
    {
        name: f"ravine.optimizers.zoo.{name}"
        for name in (
            "adam_atan2_pytorch",
            "heavyball",
            "lion_pytorch",
            "optimi",
            "prodigyopt",
            "pytorch_optimizer",
            "schedulefree",
            "timm",
        )
    }
)
"""What stands before the dot in a method's name, and the module that registers its methods."""
