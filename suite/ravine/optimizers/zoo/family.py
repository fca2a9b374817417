"""How the optimizer classes of a package become methods."""

import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType

import torch

from ravine.optimizers.base import Build
from ravine.optimizers.catalogue import register


def classes(module: ModuleType, package: str, skip: Iterable[str] = ()) -> dict[str, Build]:
    """Find the optimizer classes that a package exports and has written itself.

    Args:
        module: where they are exported.
        package: whose they must be, so that what is passed on from torch is left out.
        skip: names of classes that are no optimizers by themselves.

    Returns:
        Classes by their name in lower case.
    """
    left_out = set(skip)
    return {
        name.lower(): thing
        for name, thing in sorted(vars(module).items())
        if inspect.isclass(thing)
        and issubclass(thing, torch.optim.Optimizer)
        and thing.__module__.partition(".")[0] == package
        and not name.startswith("_")
        and name not in left_out
    }


def register_family(family: str, distribution: str, builds: Mapping[str, Build]) -> None:
    """Register constructors as `family.name`.

    Args:
        family: what stands before the dot.
        distribution: what `pip` calls the package.
        builds: constructors by name.

    Raises:
        BadValue: a name is taken.
    """
    for name, build in builds.items():
        said = (inspect.getdoc(build) or "").partition("\n")[0].strip()
        inherited = said == (inspect.getdoc(torch.optim.Optimizer) or "").partition("\n")[0]
        register(
            "zoo",
            distribution,
            name=f"{family}.{name}",
            summary=said if said and not inherited else f"{build.__name__} of {distribution}",
            needs=distribution,
        )(build)
