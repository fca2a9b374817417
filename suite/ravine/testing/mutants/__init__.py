"""Wrong optimizers, to measure what a test suite kills.

Each is an optimizer of torch with one small change: a forgotten bias correction, a step
counter that is late, a momentum buffer that is not cloned.  A suite that passes one of them
would pass your own optimizer with the same fault:

    from ravine.testing.mutants import build, mutants

    for mutant in mutants():
        if my_tests_pass(build(mutant)):
            print("survives:", mutant.name, mutant.what)

Each is a class of this module and a method by its id, `ravine.testing.mutants:adam_step_late`,
and is held against its parent by

    ravine check ravine.testing.mutants:adam_step_late --against adam

`NAME_unchanged` is a copy of the parent NAME that is right: who kills it raises a false alarm.

References:
    DeMillo, Lipton, Sayward 1978, doi:10.1109/C-M.1978.218136 (mutants as a measure of tests).
"""

from functools import cache

import torch

from ravine.errors import BadValue
from ravine.testing.mutants import adam, adaptive, curvature, first_order, moments
from ravine.testing.mutants.mutant import Edit, Mutant, build

__all__ = ["Edit", "Mutant", "build", "controls", "mutants"]

UNCHANGED = "_unchanged"
"""Ends the name of a copy that is right."""


@cache
def _all() -> dict[str, Mutant]:
    modules = (adam, moments, first_order, adaptive, curvature)
    return {mutant.name: mutant for module in modules for mutant in module.MUTANTS}


def mutants() -> tuple[Mutant, ...]:
    """List all mutants that can be made of the torch that is installed.

    Returns:
        Mutants; another version of torch than the one they were written for may lack some.

    Example:
        >>> first = mutants()[0]
        >>> first.name, first.parent, first.what
        ('adam_no_first_correction', 'adam', 'the first moment is not corrected for its bias')
    """
    return tuple(filter(_applies, _all().values()))


def controls() -> tuple[Mutant, ...]:
    """A copy of each parent that is made as mutants are, and is right."""
    parents = dict.fromkeys(mutant.parent for mutant in _all().values())
    return tuple(_unchanged(parent) for parent in parents)


def _unchanged(parent: str) -> Mutant:
    return Mutant(f"{parent}{UNCHANGED}", parent, "nothing is wrong", ())


def _applies(mutant: Mutant) -> bool:
    try:
        build(mutant)
    except BadValue:
        return False
    return True


def __getattr__(name: str) -> type[torch.optim.Optimizer]:
    if name in _all():
        return build(_all()[name])
    parent = name.removesuffix(UNCHANGED)
    if parent != name and any(parent == mutant.parent for mutant in _all().values()):
        return build(_unchanged(parent))
    raise AttributeError(f"module `{__name__}` has no mutant `{name}`")


def __dir__() -> list[str]:
    return [*__all__, *_all()]
