"""Runs along gradients that are written down beforehand, so that nothing can drift apart."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.optimizers.base import Capabilities, Layout, Setting
from ravine.optimizers.driving import differentiate, set_mode
from ravine.optimizers.driving import step as take_step
from ravine.optimizers.layouts import construct, join_alone
from ravine.regression.scenarios import setting

STEPS = 12
"""Of a run: each half more than a lookahead takes, and than a rectified average waits."""

LENGTH = 60
"""Of the tape; a run beyond it begins it again."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is held to a contract: an optimizer that can be built again and again.

    Args:
        setting: with all its hyperparameters.
        needs: what it demands of whoever drives it.
        dtype: of its parameters.
    """

    setting: Setting
    needs: Capabilities
    dtype: torch.dtype = torch.float64

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the parameters: a matrix and a vector, or matrices alone where it takes no other."""
        return ((4, 3), (2, 5)) if self.matrices else ((4, 3), (5,))

    @property
    def matrices(self) -> bool:
        """Whether it takes matrices alone."""
        return self.needs.matrix_only or self.needs.layout in (Layout.FLAGGED, Layout.SPLIT)

    @property
    def curved(self) -> bool:
        """Whether the loss must have a curvature: a line has no place to search for."""
        return self.needs.graph or self.needs.closure

    def changed(self, hyper: Mapping[str, Any]) -> "Subject":
        """The same method with other hyperparameters."""
        return replace(self, setting=setting(self.setting.method, hyper))

    def decays(self) -> bool:
        """Whether its parameters shrink by themselves."""
        groups = begin(self).optimizer.param_groups
        return any(bool(group.get(name)) for group in groups for name in DECAYS)


DECAYS = ("weight_decay", "lambd", "wd")
"""Names of what draws parameters to the origin."""


@dataclass(slots=True, eq=False)
class Run:
    """An optimizer on its way along a tape.

    Args:
        subject: what runs.
        parameters: that it steps on.
        optimizer: over them.
        at: steps taken.
        slope: what the tape's gradients are multiplied by.
        track: which tape.
    """

    subject: Subject
    parameters: list[Float[Tensor, "..."]]
    optimizer: torch.optim.Optimizer
    at: int = 0
    slope: float = 1.0
    track: int = 0


@cache
def tape(shape: tuple[int, ...], track: int) -> Float[Tensor, "steps ..."]:
    """Gradients over four decades, a tenth of them zero, exact in single precision.

    Args:
        shape: of the parameter.
        track: which tape.
    """
    draw = torch.Generator().manual_seed(1000 * track + 10 * len(shape) + shape[0])
    size = (LENGTH, *shape)
    decades = 4 * torch.rand(size, generator=draw) - 3
    found = torch.randn(size, generator=draw).sign() * 10**decades
    return found.where(torch.rand(size, generator=draw) > 0.1, 0.0)


def places(subject: Subject, track: int = 0) -> list[Float[Tensor, "..."]]:
    """Where parameters begin: of either sign, between 1 and 2 away from the origin.

    Args:
        subject: whose parameters.
        track: which start.
    """
    draw = torch.Generator().manual_seed(7 + track)
    found = []
    for shape in subject.shapes:
        x = 1 + torch.rand(shape, generator=draw)
        x = x * torch.randn(shape, generator=draw).sign()
        found.append(x.to(subject.dtype).requires_grad_())
    return found


def begin(
    subject: Subject,
    parameters: Sequence[Float[Tensor, "..."]] | None = None,
    *,
    idle: Sequence[Float[Tensor, "..."]] = (),
    track: int = 0,
) -> Run:
    """Build an optimizer at its start.

    Args:
        subject: what runs.
        parameters: that are stepped on; the subject's own by default.
        idle: that it is given too, the first before all others, and that never get a gradient.
        track: which tape.

    Raises:
        Exception: whatever the constructor raises.
    """
    held = places(subject, track) if parameters is None else list(parameters)
    return Run(subject, held, build(subject, [*idle[:1], *held, *idle[1:]]), track=track)


def build(subject: Subject, parameters: Sequence[Float[Tensor, "..."]]) -> torch.optim.Optimizer:
    """Build the optimizer in training mode, from generators in a known state.

    Raises:
        Exception: whatever the constructor raises.
    """
    if subject.needs.distributed:
        join_alone()
    seed(0)
    # what it needs is known: finding it for every change of a hyperparameter takes too long
    optimizer = construct(subject.setting, parameters, subject.needs.layout, 4 * LENGTH)
    set_mode(optimizer, training=True)
    return optimizer


def seed(number: int) -> None:
    """Put the global generators, which a method may draw from, to a known place."""
    torch.default_generator.manual_seed(number)
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002


def loss(run: Run) -> Float[Tensor, ""]:
    """The loss of the step that comes: slope (g . x + |x|² / 4 where it must be curved)."""
    terms = [
        (gradient * p).sum() + (p.square().sum() / 4 if run.subject.curved else 0.0)
        for p, gradient in zip(run.parameters, slopes(run), strict=True)
    ]
    return run.slope * torch.stack(terms).sum()


def slopes(run: Run) -> list[Float[Tensor, "..."]]:
    """The tape's gradients of the step that comes."""
    at = run.at % LENGTH
    return [tape(tuple(p.shape), run.track)[at].to(p.dtype) for p in run.parameters]


def refresh(run: Run) -> None:
    """Put fresh gradients into `.grad`."""
    if run.subject.curved:
        differentiate(loss(run), run.parameters, run.subject.needs)
        return
    for p, gradient in zip(run.parameters, slopes(run), strict=True):
        found = run.slope * gradient
        p.grad = found.to_sparse() if run.subject.needs.sparse_only else found


Act = Callable[[Run], None]
"""Done to a run at each step."""


def advance(
    run: Run, steps: int, fill: Act = refresh, after: Act | None = None
) -> Float[Tensor, "steps n"]:
    """Take steps.

    Args:
        run: goes on.
        steps: how many.
        fill: puts the gradients in place.
        after: done when a step is.

    Returns:
        All parameters after each step, in one vector each.

    Raises:
        Exception: whatever a step raises.
    """
    points = []
    for _ in range(steps):
        seed(run.at + 1)
        fill(run)
        if run.subject.needs.closure:
            take_step(run.optimizer, run.parameters, run.subject.needs, lambda: loss(run))
        else:
            run.optimizer.step()
        if after is not None:
            after(run)
        run.at += 1
        points.append(point(run.parameters))
    return torch.stack(points)


def point(parameters: Sequence[Float[Tensor, "..."]]) -> Float[Tensor, " n"]:
    """All parameters in one vector."""
    return torch.cat([p.detach().flatten().to(torch.float64) for p in parameters])


@lru_cache(maxsize=64)
def plain(subject: Subject, track: int = 0) -> Float[Tensor, "steps n"]:
    """The path that other ways to take the same steps are held to."""
    return advance(begin(subject, track=track), STEPS)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen instead of what should be.

    Args:
        words: the end of the sentence "seen ...".
        size: by how much, where it is a number.
    """

    words: str
    size: float | None = None


def parting(path: Float[Tensor, "steps n"], other: Float[Tensor, "steps n"]) -> Seen | None:
    """Say where two paths that should be equal part, nothing if they do not.

    Bits are compared; what is no number on both is equal.
    """
    alike = (path == other) | (path.isnan() & other.isnan())
    if bool(alike.all()):
        return None
    first, far = int((~alike.all(1)).nonzero()[0]), apart(path, other)
    return Seen(f"paths {far:.2g} of the way apart, from step {first + 1} of {len(path)}", far)


def apart(path: Float[Tensor, "steps n"], other: Float[Tensor, "steps n"]) -> float:
    """The largest distance of two paths as a share of the extent of the first.

    max_t |x'_t - x_t| / max_t |x_t - x_1|; infinite where the other is not finite and the
    first is.
    """
    if not bool(other.isfinite().all()):
        return 0.0 if not bool(path.isfinite().all()) else torch.inf
    gap = (other - path).abs().max()
    extent = (path - path[0]).abs().max()
    return 0.0 if gap == 0 else float(gap / extent) if extent > 0 else torch.inf


ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-3}
"""What rounding may part two paths by, as a share of their extent."""


def differing(
    path: Float[Tensor, "steps n"], other: Float[Tensor, "steps n"], subject: Subject
) -> Seen | None:
    """Say how far two paths are apart that should be equal but for rounding."""
    far = apart(path, other)
    within = far <= ROUNDING[subject.dtype]
    return None if within else Seen(f"paths {far:.2g} of the way apart", far)
