"""Curvature and the highest rise, against closed forms."""

import pytest
import torch

from ravine.experiments.foret_2021 import RHO, leading, rise
from ravine.landscape.sources import surface
from ravine.problems.catalogue import problem


def test_rise_in_a_ball_and_curvature_of_a_bowl() -> None:
    """On |x|^2 the rise within rho is (|x| + rho)^2 - |x|^2, and the eigenvalue 2."""
    bowl = surface(problem("sphere(dim=3)"))
    x = torch.tensor([0.3, -0.4, 0.0], dtype=torch.float64)
    assert leading(bowl, x) == pytest.approx(2.0)
    assert rise(bowl, x, 0) == pytest.approx((0.5 + RHO) ** 2 - 0.25, rel=1e-3)


def test_curvature_in_units_of_the_coordinates() -> None:
    """On |x|^2, whose coordinates are filters of their own, T H T is 2 x_i^2."""
    bowl = surface(problem("sphere(dim=3)"))
    x = torch.tensor([0.3, -0.4, 0.0], dtype=torch.float64)
    assert leading(bowl, x, "filterwise") == pytest.approx(2 * 0.16)
