"""What the signs of a Hessian's eigenvalues say of a critical point."""

from enum import StrEnum

import numpy as np
from jaxtyping import Float, Int64, Shaped
from torch import Tensor


class Label(StrEnum):
    """What a point is; the first four are those of `ravine.problems.Kind`."""

    MINIMUM = "minimum"
    SADDLE = "saddle"
    MAXIMUM = "maximum"
    DEGENERATE = "degenerate"
    NOT_CRITICAL = "not critical"
    """The gradient is not zero, or nothing near is a point where it is."""
    NOT_CERTIFIED = "not certified"
    """Too many coordinates to know all eigenvalues."""


def kinds(
    eigenvalues: Float[Tensor, "*stack P"], tolerance: Float[Tensor, "*stack"]
) -> tuple[Shaped[np.ndarray, "*stack"], Int64[Tensor, "*stack"], Int64[Tensor, "*stack"]]:
    """Classify critical points by the eigenvalues of their Hessians.

    With tau the tolerance: all above tau are a minimum, all below -tau a maximum.  One on
    either side makes a saddle, whatever lies between.  One sign beside zeros, or zeros
    alone, are degenerate.  Whether the points are critical is not asked.

    Args:
        eigenvalues: in any order.
        tolerance: tau of each point, not negative.

    Returns:
        Labels, an array of strings, `not critical` where an eigenvalue is not finite; the
        index, eigenvalues below -tau; the nullity, eigenvalues within tau of zero.

    Example:
        >>> import torch
        >>> rows = torch.tensor([[1.0, 2.0], [-1.0, 0.0], [-1.0, 2.0]])
        >>> labels, index, nullity = kinds(rows, torch.zeros(3))
        >>> labels.tolist(), index.tolist(), nullity.tolist()
        (['minimum', 'degenerate', 'saddle'], [0, 1, 1], [0, 1, 0])
    """
    tau = tolerance[..., None]
    up, down = (eigenvalues > tau).any(-1), (eigenvalues < -tau).any(-1)
    flat = (eigenvalues.abs() <= tau).any(-1)
    finite = eigenvalues.isfinite().all(-1)
    labels = np.select(
        [~finite.numpy(), (up & down).numpy(), (flat | ~(up | down)).numpy(), up.numpy()],
        [Label.NOT_CRITICAL.value, Label.SADDLE.value, Label.DEGENERATE.value, Label.MINIMUM.value],
        Label.MAXIMUM.value,
    )
    index = (eigenvalues < -tau).sum(-1)
    return labels, index, (eigenvalues.abs() <= tau).sum(-1)
