"""What is none of an optimizer's business stays as it is, and other optimizers do too."""

import numpy as np
import torch

from ravine.errors import Mismatch
from ravine.regression.contracts.tape import (
    STEPS,
    Run,
    Seen,
    Subject,
    advance,
    begin,
    parting,
    plain,
    refresh,
)


def leaves_surroundings(subject: Subject) -> Seen | None:
    """A step draws no random numbers that it does not use, and leaves the gradient mode."""
    if subject.needs.graph:
        # a random probe of a diagonal Hessian gives the same whatever is drawn
        raise Mismatch("it may probe the curvature at random")
    run = begin(subject)
    before = _generators()
    said: list[str] = []

    def fill(run: Run) -> None:
        nonlocal before
        refresh(run)
        before = _generators()

    def look(run: Run) -> None:
        if not subject.needs.random and _generators() != before:
            said.append("random numbers drawn by a step that does not depend on them")

    advance(run, STEPS, fill, look)
    if said:
        return Seen(said[0])
    if not subject.needs.closure:
        refresh(run)
        run.optimizer.step()
        if not torch.is_grad_enabled():
            torch.set_grad_enabled(True)
            return Seen("gradients turned off by a step")
    return None


def _generators() -> tuple[bytes, bytes]:
    # not Python's own, which run-time type checkers draw from
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), legacy["state"]["key"].tobytes()


def ignores_others(subject: Subject) -> Seen | None:
    """Two optimizers of a class that step in turn go the way of each alone."""
    alone = [plain(subject, track) for track in (0, 1)]
    runs = [begin(subject, track=track) for track in (0, 1)]
    turns = [[advance(run, 1) for run in runs] for _ in range(STEPS)]
    for path, steps in zip(alone, zip(*turns, strict=True), strict=True):
        if part := parting(path, torch.cat(steps)):
            return part
    return None
