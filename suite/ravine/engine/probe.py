"""Finds how far a method's runs may be stacked, by comparing bits; nothing is declared."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ravine.engine.rows import ORDER, Level, build_row
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Method, Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.driving import formed, set_mode
from ravine.optimizers.space import trials
from ravine.problems.analytic import Analytic
from ravine.problems.base import Data

STEPS = 24
"""Enough to pass warm-up branches such as RAdam's sixth step."""

HORIZON = 4 * STEPS
"""Length of the run that the methods are told, for those that plan ahead."""

SIZES = [1, 2, 3, 5, 10, 2]
"""Dimensions of the vectors that are laid side by side for formulas."""

POINTS, SEEDS = 64, 8
"""Settings and seeds of the stack on which a formula is compared with itself alone."""

Shapes = tuple[tuple[int, ...], ...]

_found: dict[tuple[str, Shapes | None], Level] = {}


def probe(method: Method, shapes: Shapes | None = None) -> Level:
    """Find the highest level at which stacked and single runs agree bit for bit.

    Random gradients over many scales, zeros among them, are fed to the method stacked
    and alone.  A finding is not a proof: every grid is also audited.

    Args:
        method: the method.
        shapes: of a network's parameters; None for formulas, whose vectors of all sizes
            share one tensor.

    Returns:
        The level; `Level.ALONE` where the step evaluates the loss itself, differentiates its
        gradient, takes it sparse or draws random numbers, or where nothing can be shared.
    """
    key = (method.name, shapes)
    if key not in _found:
        needs = capabilities(method)
        # torch 2.13 adds a sparse tensor to a view past the view's place in its storage
        single = needs.closure or needs.graph or needs.random or needs.sparse_only
        _found[key] = Level.ALONE if single else _highest(method, shapes)
    return _found[key]


def _highest(method: Method, shapes: Shapes | None) -> Level:
    candidates = trials(method, 16)
    setting = candidates[len(candidates) // 2]
    shared = (level for level in ORDER if level is not Level.ALONE)
    return next((lv for lv in shared if _agrees(setting, lv, shapes)), Level.ALONE)


def _agrees(setting: Setting, level: Level, shapes: Shapes | None) -> bool:
    make = torch.Generator().manual_seed(0)
    values, gradients = _storage(shapes, make), _storage(shapes, make)
    shared, runs = _views(values, gradients, shapes)
    alone = [[v.clone().requires_grad_() for v, _ in run] for run in runs]
    try:
        row = build_row(
            setting,
            level,
            [(v, partial(_itself, g)) for v, g in shared],
            lambda: [[(v, partial(_itself, g)) for v, g in run] for run in runs],
            HORIZON,
        )
        singles = [assemble(setting, run, HORIZON) for run in alone]
        needs = capabilities(setting)
        for step in range(STEPS):
            for gradient in gradients:
                _draw(gradient, make, step)
            for run, single in zip(runs, alone, strict=True):
                for (_, gradient), leaf in zip(run, single, strict=True):
                    leaf.grad = formed(gradient.clone(), leaf, needs)
            row.step()
            for optimizer in singles:
                optimizer.step()
        for optimizer in (*row.optimizers, *singles):
            set_mode(optimizer, training=False)
    except Exception:  # an optimizer that cannot take this layout says so in its own way
        return False
    return all(
        torch.equal(view, leaf)
        for run, single in zip(runs, alone, strict=True)
        for (view, _), leaf in zip(run, single, strict=True)
    )


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _storage(shapes: Shapes | None, make: torch.Generator) -> list[Tensor]:
    if shapes is None:
        return [torch.randn(sum(SIZES), generator=make, dtype=torch.float64)]
    return [torch.randn(3, *shape, generator=make) for shape in shapes]


def _views(
    values: Sequence[Tensor], gradients: Sequence[Tensor], shapes: Shapes | None
) -> tuple[list[tuple[Tensor, Tensor]], list[list[tuple[Tensor, Tensor]]]]:
    shared = list(zip(values, gradients, strict=True))
    if shapes is None:
        pieces = zip(torch.split(values[0], SIZES), torch.split(gradients[0], SIZES), strict=True)
        return shared, [[piece] for piece in pieces]
    seeds = range(values[0].shape[0])
    return shared, [[(v[s], g[s]) for v, g in shared] for s in seeds]


def _draw(gradient: Tensor, make: torch.Generator, step: int) -> None:
    """Fill with normal numbers over seven decades; every fourth step has zeros."""
    decades = torch.randint(-3, 4, gradient.shape, generator=make).to(gradient)
    gradient.copy_(torch.randn(gradient.shape, generator=make).to(gradient) * 10**decades)
    if step % 4 == 3:
        gradient[torch.rand(gradient.shape, generator=make) < 0.3] = 0.0


def stacks(problem: Analytic) -> bool:
    """Say whether a formula gives the same bits stacked and one point at a time.

    Those of the catalogue do; a user's own may use operations that round by shape, such as
    `sum` or `sigmoid`.  Hundreds of single evaluations are made, so it is asked only when an
    audit has found a difference and somebody is to blame.

    Args:
        problem: the formula; its noise, which is data, is left out.
    """
    make = torch.Generator().manual_seed(0)
    starts = torch.stack([problem.start(seed)["x"] for seed in range(SEEDS)]).double()
    spread = torch.randn(POINTS, *starts.shape, generator=make, dtype=torch.float64)
    x = (starts + spread).movedim(-1, 0).contiguous().movedim(0, -1)
    instance = problem.instance(range(SEEDS))
    loss, gradient = _slopes(problem, x, instance)
    for g in range(POINTS):
        for s in range(SEEDS):
            own = {name: value[s] for name, value in instance.items()}
            alone = _slopes(problem, x[g, s].clone(), own)
            for one, many in zip(alone, (loss[g, s], gradient[g, s]), strict=True):
                if not torch.equal(one.nan_to_num(), many.nan_to_num()):
                    return False
    return True


def _slopes(problem: Analytic, x: Tensor, data: Data) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    loss = problem.loss({"x": x}, data)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    return loss.detach(), gradient
