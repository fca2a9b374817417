"""The optimizers of `timm`, loaded without the rest of it.

`import timm` brings image models and torchvision, which take seconds and fail where
torchvision was built for another torch; its optimizers need neither.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from ravine.optimizers.zoo.family import classes, register_family


@contextmanager
def _without_models() -> Iterator[None]:
    """`timm` as a package of which nothing has run, for as long as its optimizers load."""
    spec = find_spec("timm")
    if "timm" in sys.modules or spec is None or spec.submodule_search_locations is None:
        yield
        return
    bare, models = ModuleType("timm"), ModuleType("timm.models")
    bare.__path__ = list(spec.submodule_search_locations)
    # the one name that the optimizers' parameter groups import; nothing here calls it
    models.group_parameters = None  # type: ignore[attr-defined]
    sys.modules.update({"timm": bare, "timm.models": models})
    try:
        yield
    finally:
        # a later `import timm` is to find the real ones
        for name in ("timm", "timm.models"):
            sys.modules.pop(name, None)


with _without_models():
    _optim = import_module("timm.optim")

register_family("timm", "timm", classes(_optim, "timm", skip=("Lookahead",)))
