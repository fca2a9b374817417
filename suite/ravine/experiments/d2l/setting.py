"""What the experiments on difficulties share: one rate, the families, where runs begin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.experiments.running import only
from ravine.optimizers.base import Setting
from ravine.optimizers.catalogue import method, methods
from ravine.problems.analytic import Analytic
from ravine.problems.base import Point

SOURCE = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning, 12.1, d2l.ai"


RATE = 0.1
"""Of every method, so that they differ by what they make of a gradient alone."""


SHOWN = ("sgd", "heavy_ball", "adagrad", "adadelta", "rmsprop", "adam")


FAMILIES = (
    *("sgd", "heavy_ball", "nesterov", "asgd", "rprop", "adagrad", "adadelta", "adafactor"),
    *("rmsprop", "adam", "adamw", "amsgrad", "nadam", "radam", "adamax"),
)
"""Whose paths are drawn: one of each kind that torch has and that can share a tensor."""


@dataclass(frozen=True, kw_only=True)
class Begun(Analytic):
    """A formula whose run with seed k begins at the k-th of given places, all in one stack."""

    places: tuple[tuple[float, ...], ...]

    def start(self, seed: int) -> Point:
        """The place of that number."""
        return {"x": torch.tensor(self.places[seed], dtype=torch.float64)}


def begun(problem: Analytic, places: Sequence[tuple[float, ...]]) -> Begun:
    """The same formula, begun elsewhere."""
    kept = {field.name: getattr(problem, field.name) for field in fields(problem)}
    return Begun(**kept, places=tuple(places))


def torch_settings() -> dict[str, Setting]:
    """All optimizers of torch whose runs can share a tensor, at one rate, by name."""
    names = [name for name in methods.tagged("torch") if method(name).knobs]
    stack = [name for name in names if probe(method(name)) is not Level.ALONE]
    return {name: only(f"{name}(lr={RATE})") for name in stack}


def spoken(count: float) -> str:
    """A number of steps, `never` where it is infinite."""
    return f"{count:,.0f}" if math.isfinite(count) else "never"
