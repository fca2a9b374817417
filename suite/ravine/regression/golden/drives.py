"""What gives the gradients of a golden run, and the run itself."""

from dataclasses import dataclass, replace
from functools import cache

import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.engine.walk import walk
from ravine.optimizers.base import Layout, Method, Setting
from ravine.optimizers.capabilities import capabilities, undisturbed
from ravine.optimizers.trajectories import View, descend, ground
from ravine.problems import problem
from ravine.regression.golden.tape import MATRICES, MIXED, STEPS, play
from ravine.regression.scenarios import setting

KEPT = (1, 2, 3, 5, 10, 20, 50, 100, 101, 102, 200, 230)
"""Steps whose points are kept: the first, both sides of a hundredth, the last."""

TAPE = "tape"
WHOLE_TAPE = "tape in one group"
MATRIX_TAPE = "tape of matrices"
WELLS = "coupled wells"
PROBLEMS = ("rotated_ellipsoid", "rosenbrock", "himmelblau")

FAR = 1e12
"""A way as long as this is taken for diverged."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Where a golden run was.

    Args:
        start: length of the start's vector.
        steps: those of `KEPT` that it got to.
        ways: displacements from the start.
    """

    start: float
    steps: tuple[int, ...]
    ways: Float64[Tensor, "steps n"]


@cache
def drives(method: Method) -> tuple[str, ...]:
    """Choose the drives that a method can run on.

    A tape has no curvature, so that a method that differentiates gradients gets none; one that
    takes matrices alone gets those, and the wells, whose parameter is a matrix.

    Args:
        method: one that steps.

    Returns:
        Their names.
    """
    needs = capabilities(method)
    if needs.matrix_only:
        return (MATRIX_TAPE, WELLS)
    if needs.graph:
        return (WELLS, *PROBLEMS)
    grouped = needs.layout is Layout.PARAMETERS and takes_groups(setting(method, {}))
    return (TAPE if grouped else WHOLE_TAPE, WELLS, *PROBLEMS)


def takes_groups(setting: Setting) -> bool:
    """Whether a constructor takes groups of parameters: L-BFGS and wrappers take a list only."""
    parameters = [torch.zeros(shape).requires_grad_() for shape in MIXED]
    try:
        with undisturbed():
            setting.optimizer([{"params": [p]} for p in parameters], steps=STEPS)
    except Exception:
        return False
    return True


def run(
    drive: str, setting: Setting, dtype: torch.dtype = torch.float64, shake: float = 0.0
) -> Run:
    """Run a method on a drive.

    Args:
        drive: one of `drives`.
        setting: the method.
        dtype: of the parameters.
        shake: relative change of the start, or of the gradients on a tape; of either sign.

    Returns:
        The run, up to where it is not finite or very far.

    Raises:
        Exception: whatever the constructor or a step raises.
    """
    with undisturbed():
        torch.default_generator.manual_seed(0)
        if drive in PROBLEMS:
            return _walked(drive, setting, dtype, shake)
        if drive == WELLS:
            start = ground().starts[1]
            moved = replace(start, point=start.point * _shaken(len(start.point), shake))
            points = descend(setting, moved, View(shapes=((4, 3),), dtype=dtype), STEPS).points
            return _kept(list(points[: STEPS + 1]))
        shapes = MATRICES if drive == MATRIX_TAPE else MIXED
        grouped = drive != WHOLE_TAPE and capabilities(setting).layout is Layout.PARAMETERS
        return _kept(play(setting, shapes, grouped=grouped, dtype=dtype, shake=shake))


def _walked(drive: str, setting: Setting, dtype: torch.dtype, shake: float) -> Run:
    ground = problem(drive)
    begin = {name: p * _shaken(p.numel(), shake) for name, p in ground.start(0).items()}
    way = walk(ground, setting, 0, STEPS, keep=KEPT, start=begin, dtype=dtype)
    found = dict(zip(way.steps, way.points.detach().double(), strict=True))
    if way.diverged:
        found.pop(way.diverged, None)
    return _run(found)


def _shaken(n: int, shake: float) -> Float64[Tensor, " n"]:
    return 1 + shake * torch.cos(torch.arange(n, dtype=torch.float64) ** 2)


def _kept(points: list[Tensor]) -> Run:
    return _run({step: points[step] for step in (0, *KEPT) if step < len(points)})


def _run(points: dict[int, Tensor]) -> Run:
    start = points.pop(0)
    steps, ways = [], []
    for step, point in points.items():
        way = point - start
        if not float(torch.linalg.vector_norm(way)) < FAR:
            break
        steps.append(step)
        ways.append(way)
    size = float(torch.linalg.vector_norm(start))
    return Run(size, tuple(steps), torch.stack(ways) if ways else start.new_zeros(0, len(start)))
