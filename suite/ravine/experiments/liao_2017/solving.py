"""Networks with more parameters than residuals, and their solutions without error."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from ravine.landscape.operators import hessians
from ravine.landscape.sources import module_surface
from ravine.landscape.surface import Surface, loss
from ravine.problems.draws import generator

DEGREE = 6


FLAT = 1e-12
"""An eigenvalue that counts as zero, as a share of the largest."""


class Power(nn.Module):
    """A polynomial of degree 6: 1 + z + z^2 / 2 + ... + z^6 / 720, times a half."""

    def forward(self, z: Tensor) -> Tensor:
        """Elementwise."""
        found = torch.ones_like(z)
        for k in range(DEGREE, 0, -1):
            found = 1 + z * found / k
        return found / 2


class Rectified(nn.Module):
    """The polynomial of degree 6 that is nearest to ReLU on [-3, 3], by least squares."""

    def __init__(self) -> None:
        super().__init__()
        x = np.linspace(-3, 3, 601)
        fitted = np.polynomial.polynomial.polyfit(x, np.maximum(x, 0), DEGREE)
        self.coefficients = [float(c) for c in fitted]

    def forward(self, z: Tensor) -> Tensor:
        """Elementwise."""
        found = torch.zeros_like(z)
        for c in reversed(self.coefficients):
            found = found * z + c
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """Solutions of one network from several starts.

    Args:
        surface: half the mean squared error.
        points: where the loss is zero.
        losses: there.
        eigenvalues: of the Hessian there, over the largest, descending.
        residuals: examples times outputs.
    """

    surface: Surface
    points: Float64[Tensor, "seeds P"]
    losses: Float64[np.ndarray, " seeds"]
    eigenvalues: Float64[np.ndarray, "seeds P"]
    residuals: int

    @property
    def gap(self) -> list[float]:
        """The first eigenvalue behind as many as there are residuals, over the last of these."""
        sizes = np.sort(np.abs(self.eigenvalues), 1)[:, ::-1]
        found: list[float] = (sizes[:, self.residuals] / sizes[:, self.residuals - 1]).tolist()
        return found

    @property
    def nullity(self) -> list[int]:
        """Eigenvalues that are zero to rounding."""
        found: list[int] = (np.abs(self.eigenvalues) <= FLAT).sum(1).tolist()
        return found


def solve(
    surface: Surface, module: nn.Module, seeds: range, residuals: int, spread: float = 0.5
) -> Solved:
    """Solutions from the starts of all seeds, with all eigenvalues there."""
    points = torch.stack([descend(module, surface, start(module, seed, spread)) for seed in seeds])
    losses = loss(surface, points).numpy()
    eigenvalues = torch.linalg.eigvalsh(hessians(surface, points)).flip(-1).numpy()
    largest = np.abs(eigenvalues).max(1, keepdims=True)
    return Solved(surface, points, losses, eigenvalues / largest, residuals)


def start(module: nn.Module, seed: int, spread: float = 0.5) -> Float64[Tensor, " P"]:
    """Gaussian weights of variance 2 / inputs, Gaussian biases of some spread."""
    rows = []
    for name, p in module.named_parameters():
        draw = torch.from_numpy(generator("valley", name, *p.shape, seed).standard_normal(p.shape))
        size = spread if p.dim() == 1 else math.sqrt(2 / p.shape[1])
        rows.append((size * draw).flatten())
    return torch.cat(rows)


def errors(module: nn.Module, surface: Surface, x: Float64[Tensor, " P"]) -> Float64[Tensor, " n"]:
    """Outputs minus targets."""
    point = {n: x[s].view(surface.shapes[n]) for n, s in surface.slices.items()}
    data = surface.parts[0].data
    outputs: Tensor = functional_call(module, point, (data["inputs"],))
    return (outputs - data["targets"]).flatten()


def descend(
    module: nn.Module, surface: Surface, x: Float64[Tensor, " P"], steps: int = 300
) -> Float64[Tensor, " P"]:
    """Levenberg and Marquardt's steps, the shortest that there are, down to rounding."""

    def f(y: Float64[Tensor, " P"]) -> Float64[Tensor, " n"]:
        return errors(module, surface, y)

    error, damping, moved = f(x).detach(), 1e-3, True
    values = right = pulled = error
    for _ in range(steps):
        if float(error.square().mean()) < 1e-28 or damping > 1e6:
            break
        if moved:
            jacobian = jacrev(f)(x).detach()
            # not by J J', whose small eigenvalues drown in rounding
            left, values, right = torch.linalg.svd(jacobian, full_matrices=False)
            pulled = values * (left.T @ error)
        new = x - right.T @ (pulled / (values.square() + damping * values[0] ** 2))
        after = f(new).detach()
        moved = bool(after.norm() < error.norm())
        damping = max(damping / 10, 1e-30) if moved else 4 * damping
        if moved:
            x, error = new, after
    return x


def _half_mean(outputs: Tensor, targets: Tensor) -> Tensor:
    found: Tensor = (outputs - targets).square().mean() / 2
    return found


def network(module: nn.Module, x: Tensor, y: Tensor) -> tuple[Surface, nn.Module]:
    """A network in float64 with half its mean squared error.

    Args:
        module: the network.
        x: inputs, `[examples, features]`.
        y: targets, `[examples, outputs]`.
    """
    module = module.double()
    ground, _ = module_surface(module, (x, y), _half_mean)
    return ground, module
