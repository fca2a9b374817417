"""The registry of problems; entries live in one file for each difficulty."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.registry import Id, Registry, Value, parse

problems: Registry[Problem] = Registry(
    "problem",
    modules=(
        "ravine.problems.formulas.critical_points",
        "ravine.problems.formulas.saddles",
        "ravine.problems.formulas.wells",
        "ravine.problems.formulas.planar",
        "ravine.problems.formulas.separable",
        "ravine.problems.formulas.coupled",
        "ravine.problems.formulas.valleys",
        "ravine.problems.formulas.fits",
        "ravine.problems.formulas.few_basins",
        "ravine.problems.formulas.ripples",
        "ravine.problems.formulas.peaks",
        "ravine.problems.formulas.uneven",
        "ravine.problems.formulas.multimodal",
        "ravine.problems.formulas.plateaus",
        "ravine.problems.formulas.saturation",
        "ravine.problems.formulas.cliffs",
        "ravine.problems.formulas.nonsmooth",
        "ravine.problems.formulas.kinked_valleys",
        "ravine.problems.formulas.transforms",
        "ravine.problems.formulas.noisy",
        "ravine.problems.formulas.theory",
        "ravine.problems.formulas.factorisations",
        "ravine.problems.formulas.small_networks",
        "ravine.problems.formulas.regressions",
        "ravine.problems.regression",
        "ravine.problems.networks.perceptron",
        "ravine.problems.networks.deep",
        "ravine.problems.networks.autoencoder",
        "ravine.problems.networks.convolution",
        "ravine.problems.networks.sequences",
        "ravine.problems.networks.transformer",
    ),
    group="ravine.problems",
)


def problem(id: str | Id) -> Problem:
    """Build the problem that an id names.

    Args:
        id: `rosenbrock(dim=10)`, or `path/to/file.py:function` for a plain f(x)
            or for a function that makes a problem.

    Returns:
        The problem, under its canonical name.

    Raises:
        UnknownName: no such problem; with close matches.
        BadValue: an argument is outside its domain.

    Example:
        >>> problem("sphere( dim=3 )").name
        'sphere(dim=3)'
    """
    parsed = parse(id) if isinstance(id, str) else id
    if ":" in parsed.name:
        from ravine.problems.user import from_file

        return from_file(parsed)
    entry = problems.find(parsed)
    built = entry.call(parsed)
    # every problem is a dataclass with a name, which the abstract class cannot say
    return cast(Problem, replace(cast(Any, built), name=str(entry.canonical(parsed))))


def short_id(factory: Callable[..., Problem], given: Mapping[str, Value]) -> str:
    """The id without default arguments, one for each problem however it was written."""
    defaults = inspect.signature(factory).parameters
    kept = tuple((k, v) for k, v in given.items() if v != defaults[k].default)
    return str(Id(factory.__name__, kwargs=kept))


def analytic(base: str | Id | Problem) -> Analytic:
    """Build a problem and insist that it is a formula, for wrappers over any base.

    Raises:
        BadValue: the base is a network.
    """
    built = base if isinstance(base, Problem) else problem(base)
    if not isinstance(built, Analytic):
        raise BadValue(
            f"`{built.name}` is no formula over a vector; wrap one of "
            f"`ravine list problems --tag analytic`"
        )
    return built
