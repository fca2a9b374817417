"""How much asv measures: RAVINE_PROFILE is `fast` (the default), `regular` or `large`.

A larger profile holds all of a smaller one, and what they differ in are parameters of the
benchmarks, never names, steps or seeds; so a result has one meaning in all of them, and a
history may be of any.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """What benchmarks run over.

    Args:
        methods: optimizers.
        problems: formulas with a known minimum.
        networks: whose end is looked at, and on whose ground products and planes are taken.
        deep: networks whose smoothness is measured.
        elements: of the tensor that is stepped.
        seeds: runs of each setting and problem in a grid that is timed.
    """

    methods: tuple[str, ...]
    problems: tuple[str, ...]
    networks: tuple[str, ...]
    deep: tuple[str, ...]
    elements: tuple[int, ...]
    seeds: tuple[int, ...]


_FAST = Profile(
    methods=("sgd", "heavy_ball", "adam", "adamw"),
    problems=("sphere", "rosenbrock", "himmelblau"),
    networks=("mnist_mlp(widths=(16,), activation=tanh)",),
    deep=("deep_mlp(depth=8, width=16)", "deep_mlp(depth=8, norm=batch, width=16)"),
    elements=(1_000, 100_000),
    seeds=(25,),
)

_REGULAR = Profile(
    methods=(*_FAST.methods, "rmsprop", "adagrad", "nadam", "adafactor"),
    problems=(*_FAST.problems, "ellipsoid_1e4", "beale", "rotated_ellipsoid"),
    networks=(*_FAST.networks, "mnist_mlp(widths=(64, 64), activation=tanh)"),
    deep=(*_FAST.deep, "deep_mlp(depth=8, skip=True, width=16)"),
    elements=_FAST.elements,
    seeds=(*_FAST.seeds, 100),
)

_LARGE = Profile(
    methods=(*_REGULAR.methods, "adadelta", "adamax", "radam", "rprop", "asgd", "nesterov"),
    problems=(*_REGULAR.problems, "booth", "trid", "zakharov", "ellipsoid_1e6"),
    networks=(*_REGULAR.networks, "mnist_mlp(widths=(256, 256), activation=tanh)"),
    deep=(*_REGULAR.deep, "deep_plain_20", "deep_norm_20", "deep_skip_20"),
    elements=(*_REGULAR.elements, 1_000_000),
    seeds=(*_REGULAR.seeds, 400),
)

PROFILES = {"fast": _FAST, "regular": _REGULAR, "large": _LARGE}


def chosen() -> Profile:
    """The profile that the environment asks for.

    Raises:
        ValueError: there is none of this name.
    """
    name = os.environ.get("RAVINE_PROFILE", "fast")
    if name not in PROFILES:
        raise ValueError(f"RAVINE_PROFILE must be one of {', '.join(PROFILES)}, got `{name}`")
    return PROFILES[name]


@contextmanager
def since_it_exists() -> Iterator[None]:
    """Skip a benchmark on a version of ravine that has no such module yet.

    Any other error is one.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("ravine."):
            raise
        raise NotImplementedError(f"this version has no {error.name}") from error


def marked(unit: str, version: str = "1") -> Callable[[Callable], Callable]:
    """Give a benchmark its unit, and a version of its own.

    asv would take the hash of the source for a version, and throw a history away whenever a
    comment changes.  Raise the version when what is measured changes.
    """

    def mark(benchmark: Callable) -> Callable:
        benchmark.unit, benchmark.version = unit, version  # type: ignore[attr-defined]
        return benchmark

    return mark
