"""What a step does with gradients: zero ones, absent ones, reused ones, those of a closure."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import Mismatch
from ravine.optimizers.driving import closure
from ravine.regression.contracts.tape import (
    STEPS,
    Run,
    Seen,
    Subject,
    advance,
    begin,
    differing,
    loss,
    parting,
    plain,
    point,
    refresh,
    seed,
    slopes,
)

ROUNDING = 1e-6
"""Share by which a length may grow by rounding, single precision included."""


def stays(subject: Subject) -> Seen | None:
    """Nothing moves where all gradients are zero, but what weight decay draws to the origin."""
    if subject.needs.random:
        raise Mismatch("its steps are random")
    run = begin(subject)
    run.slope = 0.0
    start = point(run.parameters)
    lengths = [_lengths(run)]
    end = advance(run, STEPS, after=lambda r: lengths.append(_lengths(r)))[-1]
    moved = float((end - start).abs().max())
    if not subject.decays():
        # what is projected back to a sphere is rounded
        return Seen(f"a way of {moved:.2g}", moved) if not moved <= ROUNDING else None
    growth = float((torch.stack(lengths) / lengths[0]).max()) - 1
    if not growth <= ROUNDING:
        return Seen(f"|x| longer by a share of {growth:.2g}", growth)
    return None if moved else Seen("a weight decay that does nothing")


def _lengths(run: Run) -> Float[Tensor, " parameters"]:
    return torch.stack([p.detach().double().norm() for p in run.parameters])


def skips(subject: Subject) -> Seen | None:
    """Parameters without a gradient, or that ask for none, stay, and all others move."""
    shapes = ((3, 2),) if subject.matrices else ((3, 2), (4,))
    idle = [torch.full(shape, 1.5, dtype=subject.dtype) for shape in shapes]
    waiting = [x.clone().requires_grad_() for x in idle]
    run = begin(subject, idle=[*waiting, *idle])
    start = point(run.parameters)
    advance(run, STEPS)
    if not all(bool((x == 1.5).all()) for x in idle):
        return Seen("a step on a parameter that requires no gradient")
    if not all(bool((x == 1.5).all()) for x in waiting):
        return Seen("a step on a parameter that has no gradient")
    return None if _all_moved(run, start) else Seen("no step on parameters beside those")


def _all_moved(run: Run, start: Float[Tensor, " n"]) -> bool:
    ways = torch.split(point(run.parameters) - start, [p.numel() for p in run.parameters])
    return all(bool((way != 0).any()) for way in ways)


def waits(subject: Subject) -> Seen | None:
    """Before there is any gradient it can be printed, saved, cleared, and stepped in vain."""
    run = begin(subject)
    start = point(run.parameters)
    run.optimizer.zero_grad()
    repr(run.optimizer)
    run.optimizer.state_dict()
    if not subject.needs.closure:
        run.optimizer.step()
    same = torch.equal(point(run.parameters), start)
    return None if same else Seen("a step without a gradient")


def forgets(subject: Subject) -> Seen | None:
    """A gradient is read in its step alone: it may be overwritten as soon as that is over."""
    path = plain(subject)

    def spoil(run: Run) -> None:
        for p in run.parameters:
            if p.grad is not None:
                grad = p.grad.detach()
                (grad._values() if grad.is_sparse else grad).fill_(torch.nan)

    return parting(path, advance(begin(subject), STEPS, after=spoil))


def refills(subject: Subject) -> Seen | None:
    """Gradients that are filled again in place, as `zero_grad(set_to_none=False)` has them."""
    if subject.curved or subject.needs.sparse_only:
        raise Mismatch("its gradients are made anew for each step")
    path = plain(subject)

    def refill(run: Run) -> None:
        run.optimizer.zero_grad(set_to_none=False)
        for p, gradient in zip(run.parameters, slopes(run), strict=True):
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            p.grad.copy_(gradient)

    return parting(path, advance(begin(subject), STEPS, refill))


def keeps(subject: Subject) -> Seen | None:
    """A step leaves the gradients as they are, for whoever logs or accumulates them."""
    if subject.curved or subject.needs.sparse_only or subject.needs.closure:
        raise Mismatch("its gradients are made anew within the step")
    before: list[Tensor] = []
    worst = 0.0

    def note(run: Run) -> None:
        refresh(run)
        before[:] = [p.grad.detach().clone() for p in run.parameters if p.grad is not None]

    def compare(run: Run) -> None:
        nonlocal worst
        after = [p.grad for p in run.parameters]
        gone = len([g for g in after if g is not None]) < len(before)
        pairs = zip(before, (g for g in after if g is not None), strict=False)
        worst = max(worst, torch.inf if gone else 0.0, *(_apart(g, h) for g, h in pairs))

    advance(begin(subject), STEPS, note, compare)
    if worst == torch.inf:
        return Seen("gradients that are gone, or no numbers any more")
    return Seen(f"gradients changed by up to {worst:.2g} of their size", worst) if worst else None


def _apart(before: Tensor, after: Tensor) -> float:
    """How far a gradient is from what it was, as a share of it."""
    if torch.equal(before, after):
        return 0.0
    gap = (after.detach().double() - before.double()).norm() / before.double().norm()
    return float(gap) if gap.isfinite() else torch.inf


def reads_strided(subject: Subject) -> Seen | None:
    """Gradients whose numbers lie in another order in memory are the same gradients."""
    if subject.curved or subject.needs.sparse_only:
        raise Mismatch("its gradients cannot be laid out otherwise")
    path = plain(subject)

    def strided(run: Run) -> None:
        refresh(run)
        for p in run.parameters:
            if p.grad is not None and p.dim() == 2:
                p.grad = p.grad.T.contiguous().T

    return differing(path, advance(begin(subject), STEPS, strided), subject)


def evaluates(subject: Subject) -> Seen | None:
    """`step(closure)` evaluates with gradients on, returns the loss, and steps as without."""
    needs = subject.needs
    path = None if needs.closure else plain(subject)
    run = begin(subject)
    said: Seen | None = None
    points = []
    for _ in range(STEPS):
        for p in run.parameters:
            p.grad = None
        inner = closure(run.optimizer, run.parameters, needs, lambda: loss(run), None)
        values, modes, watched = _watched(inner)
        seed(run.at + 1)
        returned = run.optimizer.step(watched)
        points.append(point(run.parameters))
        run.at += 1
        if not values:
            return Seen("a closure that was never called")
        if not all(modes):
            return Seen("a closure that was called without gradients")
        if returned is None or float(returned) not in values:
            found = "nothing" if returned is None else str(returned)
            said = said or Seen(f"{found} returned where the loss was due")
    return said or (None if path is None else parting(path, torch.stack(points)))


def _watched(inner: Callable[[], Any]) -> tuple[list[float], list[bool], Callable[[], Any]]:
    values: list[float] = []
    modes: list[bool] = []

    def watched() -> Any:
        modes.append(torch.is_grad_enabled())
        found = inner()
        values.append(float(found))
        return found

    return values, modes, watched
