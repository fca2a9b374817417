"""Problems given by a formula over one vector of coordinates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.arithmetic import weighted
from ravine.problems.base import Data, Facts, Point, Problem, Traits
from ravine.problems.draws import generator
from ravine.problems.noise import Noise, disturb

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Analytic(Problem):
    """A formula f: R^n -> R, its start, its domain and its facts.

    A seed's instance may be shifted and rotated: f is then evaluated at
    z = R (x - s), with s uniform in [-shift, shift]^n and R a random orthogonal matrix,
    and the start moves along with s.  The facts speak of z.

    Where the formula's minimum is the origin, instances are shifted unless told otherwise:
    it changes nothing for a method that sees gradients alone, and takes a gift from one
    that is drawn to the origin anyway, as weight decay draws it.

    Args:
        f: the formula; takes `[*stack, n]`, returns `[*stack]`, built of the operations
            that `ravine.problems.arithmetic` calls safe.
        dim: n.
        domain: where points are drawn and where the facts speak, one interval for all
            coordinates or one for each.
        start: where runs begin, None for anywhere in the domain.
        spread: half-width of the box around `start` that seeds begin in.
        shift: half-width of the box of shifts, 0 for none; None for a tenth of the domain's
            width where a minimizer is the origin and no box binds, else 0.
        rotate: whether a seed rotates the coordinates.
        noise: what disturbs the gradient, None for nothing.
        name: canonical id, filled by the registry.
    """

    f: Callable[[Float[Tensor, "*stack n"]], Float[Tensor, "*stack"]]
    dim: int
    domain: Interval | tuple[Interval, ...] = (-5.0, 5.0)
    start_at: tuple[float, ...] | None = None
    spread: float = 0.5
    shift: float | None = None
    rotate: bool = False
    noise: Noise | None = None
    facts: Facts = field(default_factory=Facts)
    traits: Traits = field(default_factory=Traits)
    name: str = ""
    version: int = 1

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """One parameter, `x`."""
        return {"x": (self.dim,)}

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The domain, one (low, high) for each coordinate."""
        if isinstance(self.domain[0], tuple):
            return self.domain
        return (self.domain,) * self.dim

    @property
    def offset(self) -> float:
        """Half-width of the box that shifts are drawn from, 0 where there are none."""
        if self.shift is not None:
            return self.shift
        if self.traits.box is not None or not any(
            all(abs(v) < 1e-6 for v in x) for x in self.facts.minimizers
        ):
            return 0.0
        return 0.1 * min(high - low for low, high in self.intervals)

    def start(self, seed: int) -> Point:
        """Uniform in the box around the start, or in the domain."""
        draw = generator("start", self.dim, seed).random(self.dim)
        if self.start_at is None:
            low, high = np.array(self.intervals).T
            x = low + (high - low) * draw
        else:
            x = np.array(self.start_at) + self.spread * (2 * draw - 1)
        if self.offset:
            x = x + self._shift(seed)
        if self.traits.box is not None:
            x = np.clip(x, *np.array(self.traits.box).T)
        return {"x": torch.from_numpy(x)}

    def instance(self, seeds: Sequence[int]) -> Data:
        """Shift `[seeds, n]` and rotation `[seeds, n, n]`, where the problem has them."""
        data: dict[str, Tensor] = {}
        if self.offset:
            data["shift"] = torch.from_numpy(np.stack([self._shift(s) for s in seeds]))
        if self.rotate:
            data["rotation"] = torch.stack([rotation(self.dim, s) for s in seeds])
        return data

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """The noise of a step, `[seeds, n]` for each of its parts."""
        if self.noise is None:
            return {}
        return self.noise.draw(self.name, seeds, step, self.dim)

    def loss(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        """The formula at the instance's coordinates; noise changes the gradient, not the value.

        Without the data of a seed it is the plain formula.
        """
        x = point["x"]
        if self.noise is not None:
            x = disturb(x, self.noise, data)
        return self.f(self.locate(x, data))

    def locate(self, x: Float[Tensor, "*stack n"], data: Data) -> Float[Tensor, "*stack n"]:
        """Coordinates of the formula, z = R (x - s), for a point of the instance."""
        if "shift" in data:
            x = x - data["shift"]
        if "rotation" in data:
            x = weighted(data["rotation"], x)
        return x

    def _shift(self, seed: int) -> Float[np.ndarray, "n"]:
        return self.offset * (2 * generator("shift", self.dim, seed).random(self.dim) - 1)


def rotation(dim: int, seed: int) -> Float[Tensor, "n n"]:
    """A random orthogonal matrix, uniform in the Haar measure.

    References:
        Mezzadri (2007). How to generate random matrices from the classical compact
        groups. Notices of the AMS 54(5). arXiv math-ph/0609050.
    """
    normal = generator("rotation", dim, seed).standard_normal((dim, dim))
    q, r = np.linalg.qr(normal)
    return torch.from_numpy(q * np.sign(np.diag(r)))
