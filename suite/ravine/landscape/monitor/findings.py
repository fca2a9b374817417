"""What the looks at a run say of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ravine.landscape.monitor.watching import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Ill-conditioning, the edge of stability, and the gradient, over all looks at a run.

    Args:
        looks: how many there were.
        ill_conditioned: of them, those where curvature took back more than the gradient gained.
        gradient_first: median |g| of the first quarter of looks.
        gradient_last: of the last quarter.
        loss_first: median loss of the first quarter.
        loss_last: of the last quarter.
        edge_first: sharpness over its threshold where it was first computed; NaN without.
        edge_highest: its highest value.
        edge_late: its median over the second half of the looks.
        edge_step: the first step at which it was 1 or more; None if at none.
        unconverged: looks whose sharpness did not reach its tolerance.
        error: median of |actual - predicted| / |actual| of the optimizer's own steps.
    """

    looks: int
    ill_conditioned: int
    gradient_first: float
    gradient_last: float
    loss_first: float
    loss_last: float
    edge_first: float
    edge_highest: float
    edge_late: float
    edge_step: int | None
    unconverged: int
    error: float

    @property
    def shrinks(self) -> bool:
        """Whether the gradient became shorter from the first quarter to the last."""
        return self.gradient_last < self.gradient_first


def findings(looks: Sequence[Look]) -> Findings:
    """Sum up a run from what its monitor saw; NaN where nothing was."""
    seen = [look.gradient for look in looks]
    quarter, half = max(1, len(seen) // 4), len(seen) // 2
    norms = [math.sqrt(one.gg) for one in seen]
    losses = [one.loss for one in seen]
    edges = [one.sharpness / one.threshold for one in seen]
    known = [e for e in edges if not math.isnan(e)]
    moves = [look.move for look in looks if look.move is not None and look.move.actual]
    crossed = [look.step for look, e in zip(looks, edges, strict=True) if e >= 1]
    return Findings(
        looks=len(seen),
        ill_conditioned=sum(one.ill_conditioned for one in seen),
        gradient_first=_median(norms[:quarter]),
        gradient_last=_median(norms[-quarter:]),
        loss_first=_median(losses[:quarter]),
        loss_last=_median(losses[-quarter:]),
        edge_first=known[0] if known else math.nan,
        edge_highest=max(known, default=math.nan),
        edge_late=_median([e for e in edges[half:] if not math.isnan(e)]),
        edge_step=crossed[0] if crossed else None,
        unconverged=sum(not one.converged for one in seen),
        error=_median([abs((m.actual - m.predicted) / m.actual) for m in moves]),
    )


def _median(values: Sequence[float]) -> float:
    return median(values) if values else math.nan
