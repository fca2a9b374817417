"""Gradients that are read from a tape, whatever the point is: no feedback, so no chaos."""

import random
from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Capabilities, Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.driving import differentiate, formed, set_mode
from ravine.optimizers.driving import step as take_step

STEPS = 230

MIXED = ((4, 3), (5,))
"""A matrix and a vector."""

MATRICES = ((4, 3), (5, 1))
"""As many numbers for methods that take nothing but matrices."""

COUNT = 17
LARGEST, SMALLEST = 1.0, -11.0
"""Exponents of ten between which the coordinates' gradients lie: about eps, below and above."""

BURST, BURST_FACTOR = 60, 30.0
SHRINKING = range(102, 199)
"""Steps along which gradients shrink, so that the largest second moment is an old one."""

SCHEDULED, SCHEDULE_FACTOR = 120, 0.1
"""When the rate is divided by ten: a momentum that holds the rate is another from there on."""

SHRUNK = -3.0
"""Exponent of ten by which they have shrunk in the end."""


@cache
def gradients() -> Float64[Tensor, "230 17"]:
    """The tape, a row for each step.

    g_ti = s_i e_t (z_ti + b_i): sizes s_i spread over twelve decades, an envelope e_t, uniform
    z from -1 to 1, and a lean b_i; one entry in ten is exactly 0.  The numbers are those of
    Python's own generator, which stay the same from version to version.
    """
    draw = random.Random(0)

    def uniform() -> float:
        return 2 * draw.random() - 1

    order = sorted(range(COUNT), key=lambda _: draw.random())
    width = (SMALLEST - LARGEST) / (COUNT - 1)
    sizes = [10 ** (LARGEST + width * rank) for rank in order]
    leans = [0.5 * uniform() for _ in range(COUNT)]
    rows = [
        [
            size * _envelope(at) * (uniform() + lean) * (draw.random() > 0.1)
            for size, lean in zip(sizes, leans, strict=True)
        ]
        for at in range(STEPS)
    ]
    return torch.tensor(rows, dtype=torch.float64)


def _envelope(at: int) -> float:
    if at == BURST:
        return BURST_FACTOR
    if at in SHRINKING:
        share: float = 10 ** (SHRUNK * (at - SHRINKING.start) / len(SHRINKING))
        return share
    return 1.0


@cache
def beginning() -> Float64[Tensor, "17"]:
    """Where the tape is played from: no coordinate is near 0, and signs alternate."""
    size = torch.linspace(0.5, 1.5, COUNT, dtype=torch.float64)
    return size * (-1.0) ** torch.arange(COUNT)


def play(
    setting: Setting,
    shapes: Sequence[tuple[int, ...]],
    *,
    grouped: bool,
    dtype: torch.dtype,
    shake: float = 0.0,
) -> list[Float64[Tensor, "17"]]:
    """Run a method on the tape.

    Gradients are written into the same tensors at every step, so that a method that keeps one
    without copying it keeps another.  A closure's loss is the product of gradient and point.

    Args:
        setting: the method.
        shapes: of the parameters.
        grouped: each parameter is in a group of its own; the second has half the rate and
            twice the weight decay.
        dtype: of the parameters.
        shake: relative change of the gradients, of either sign.

    Returns:
        The start, the points after each step, and the solution of a method that tells it from
        where gradients are taken; up to the first that is not finite.

    Raises:
        Exception: whatever the constructor or a step raises.
    """
    needs = capabilities(setting)
    lengths = [torch.Size(shape).numel() for shape in shapes]
    parameters = [
        piece.reshape(shape).to(dtype, copy=True).requires_grad_()
        for piece, shape in zip(torch.split(beginning(), lengths), shapes, strict=True)
    ]
    optimizer = _grouped(setting, parameters) if grouped else assemble(setting, parameters, STEPS)

    def here() -> Tensor:
        return torch.cat([p.detach().flatten().double() for p in parameters])

    points = [here()]
    signs = torch.cos(torch.arange(STEPS * COUNT, dtype=torch.float64) ** 2).reshape(STEPS, COUNT)
    for at, row in enumerate((gradients() * (1 + shake * signs)).to(dtype)):
        if at == SCHEDULED:
            for group in optimizer.param_groups:
                if "lr" in group:
                    group["lr"] = SCHEDULE_FACTOR * group["lr"]
        pieces = [
            g.reshape(shape) for g, shape in zip(torch.split(row, lengths), shapes, strict=True)
        ]
        _drive(optimizer, parameters, pieces, needs)
        points.append(here())
        if not points[-1].isfinite().all():
            return points[:-1]
    if needs.modes:
        set_mode(optimizer, training=False)
        points[-1] = here()
    return points


def _grouped(setting: Setting, parameters: Sequence[Tensor]) -> torch.optim.Optimizer:
    built = setting.optimizer([{"params": [p]} for p in parameters], steps=STEPS)
    second = built.param_groups[1]
    for key, factor in (("lr", 0.5), ("weight_decay", 2.0)):
        if key in second:
            second[key] = factor * second[key]
    set_mode(built, training=True)
    return built


def _drive(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    pieces: Sequence[Tensor],
    needs: Capabilities,
) -> None:
    def evaluate() -> Tensor:
        terms = [(p * g).sum() for p, g in zip(parameters, pieces, strict=True)]
        return torch.stack(terms).sum()

    if needs.closure:
        loss = evaluate()
        differentiate(loss, parameters, needs)
        take_step(optimizer, parameters, needs, evaluate, loss)
        return
    for p, g in zip(parameters, pieces, strict=True):
        given = formed(g, p, needs)
        if p.grad is None or needs.sparse_only or needs.graph:
            p.grad = given.clone() if given is g else given
        else:
            p.grad.copy_(given)
    take_step(optimizer, parameters, needs, evaluate)
