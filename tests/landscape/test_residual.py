"""Projection and residual of a path, and the surface over them that contains it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.engine.walk import walk
from ravine.errors import BadValue
from ravine.landscape.residual import projection, residual_surface
from ravine.landscape.sources import surface
from ravine.landscape.surface import loss
from ravine.optimizers import Setting
from ravine.optimizers.catalogue import method
from ravine.problems import problem
from ravine.problems.draws import generator

seeds = st.integers(0, 10_000)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(generator("test residual", seed, *shape).standard_normal(shape))


@given(seeds)
def test_projection_and_residual_make_a_right_triangle(seed: int) -> None:
    """(p_t L)^2 + r_t^2 = |theta_t - theta_0|^2; p from 0 to 1; r = 0 at both ends."""
    points = drawn(seed, 9, 5).cumsum(0)
    found = projection(points)
    sides = (found.projections * found.length).square() + found.residuals.square()
    whole = (points - points[0]).norm(dim=1)
    assert torch.allclose(sides.sqrt(), whole, rtol=1e-10, atol=1e-10)
    assert torch.allclose(found.distances, whole, rtol=1e-12)
    assert found.projections[0] == 0.0
    assert float(found.projections[-1]) == pytest.approx(1.0, abs=1e-12)
    assert found.residuals[0] == 0.0
    assert float(found.residuals[-1]) < 1e-12 * found.length


@given(seeds)
def test_a_rotation_changes_neither_projection_nor_residual(seed: int) -> None:
    """Nor does a shift of all points."""
    points = drawn(seed, 9, 5).cumsum(0)
    turn, _ = torch.linalg.qr(drawn(seed + 1, 5, 5))
    one, two = projection(points), projection(points @ turn.T + drawn(seed, 5))
    assert torch.allclose(one.projections, two.projections, atol=1e-9)
    assert torch.allclose(one.residuals, two.residuals, atol=1e-9)


def bow(points: int = 21) -> torch.Tensor:
    """A half circle from (-1, 0, 0) over (0, 1, 0) to (1, 0, 0), bent into the third axis."""
    angle = math.pi * (1 - torch.linspace(0, 1, points, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin(), 0.3 * angle.sin() * angle.cos()], 1)


def test_the_surface_runs_through_the_path_s_own_points() -> None:
    """Where projections increase every point lies on it: its value is the true loss."""
    ground = surface(problem("rosenbrock(dim=3)"))
    points = bow()
    found = residual_surface(ground, points, grid=64)
    assert found.on_surface == tuple(range(21))
    assert torch.allclose(found.under, found.losses, rtol=1e-9)
    place = {round(c, 9): i for i, c in enumerate(found.columns.tolist())}
    for t in range(1, 20):
        column = found.grid[:, place[round(float(found.path.projections[t]), 9)]]
        w = points[t] - points[0]
        w = w - w @ found.path.direction * found.path.direction
        w = w / w.norm()
        foot = points[0] + found.path.projections[t] * found.path.length * found.path.direction

        assert torch.allclose(column, loss(ground, foot + found.heights[:, None] * w), rtol=1e-9)


def test_a_path_that_doubles_back_is_told_apart_from_the_surface() -> None:
    """Points that are passed over keep their true loss beside what the surface shows there."""
    points = torch.tensor(
        [[0.0, 0, 0], [1.0, 1, 0], [3.0, 1, 0], [1.0, 0, 2], [4.0, 0, 0]], dtype=torch.float64
    )
    ground = surface(problem("rosenbrock(dim=3)"))
    found = residual_surface(ground, points, grid=40)
    assert found.on_surface == (0, 1, 2, 4)
    true = torch.allclose(found.under[[0, 1, 2, 4]], found.losses[[0, 1, 2, 4]], rtol=1e-9)
    assert true
    # point 3 projects upon point 1, whose residual points along the second axis
    at = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)

    assert float(found.under[3]) == pytest.approx(float(loss(ground, at)), rel=1e-9)
    assert float(found.losses[3]) == pytest.approx(float(loss(ground, points[3])), rel=1e-12)


def test_the_loss_at_no_residual_is_the_line_s() -> None:
    """The bottom row and `line` are the straight path from start to end."""
    ground = surface(problem("rosenbrock(dim=3)"))
    points = bow()
    found = residual_surface(ground, points, grid=11)

    line = points[0] + found.path.projections[:, None] * (points[-1] - points[0])
    assert torch.allclose(found.line, loss(ground, line), rtol=1e-9)
    feet = points[0] + found.columns[:, None] * (points[-1] - points[0])
    assert torch.allclose(found.grid[0], loss(ground, feet), rtol=1e-9)


def test_a_straight_path_says_so_and_has_still_a_surface() -> None:
    """Its residual direction is drawn, and every point lies on the surface."""
    points = torch.linspace(1, 0, 5, dtype=torch.float64)[:, None] * drawn(3, 4)
    found = residual_surface(surface(problem("sphere(dim=4)")), points, grid=4)
    assert found.path.straight
    assert len(found.on_surface) == 5
    assert torch.allclose(found.under, found.losses, atol=1e-12)
    assert bool(found.grid.isfinite().all())


def test_paths_without_a_line_are_refused() -> None:
    """Closed paths, single coordinates, numbers that are not finite."""
    with pytest.raises(BadValue, match="ends where it began"):
        projection(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(BadValue, match="not finite"):
        projection(torch.tensor([[0.0, 0.0], [math.nan, 0.0]]))
    with pytest.raises(BadValue, match="one coordinate"):
        residual_surface(surface(problem("sphere(dim=1)")), torch.tensor([[0.0], [1.0]]))


def test_a_network_s_path_bends_but_stays_near_its_line() -> None:
    """From 0 to 1 in projection, the residual below 0.6 of the way, no loss higher on it."""
    net = problem("mnist_mlp(widths=(16,), activation=tanh)")
    way = walk(net, Setting(method("sgd(lr=0.1)")), 0, 200, keep=range(0, 201, 5))
    found = residual_surface(surface(net, examples=512), way.points, "sgd", way.steps, grid=6)
    assert 0.01 < float(found.path.residuals.max()) / found.path.length < 0.6
    own = list(found.on_surface)
    assert torch.allclose(found.under[own], found.losses[own], rtol=1e-5)
    assert float(found.line.max()) <= float(found.line[0]) * 1.001
