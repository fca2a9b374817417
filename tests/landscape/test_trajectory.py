"""Principal components of trajectories are the singular vectors, however they are found."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.engine.walk import walk
from ravine.errors import BadValue
from ravine.landscape import trajectory
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, loss
from ravine.landscape.trajectory import components, orthonormal, trajectories
from ravine.optimizers import Setting
from ravine.optimizers.catalogue import method
from ravine.problems import problem
from ravine.problems.draws import generator

seeds = st.integers(0, 10_000)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(generator("test trajectory", seed, *shape).standard_normal(shape))


def wandering(seed: int, points: int = 12, size: int = 7) -> torch.Tensor:
    """A path whose components are far from equal."""
    return drawn(seed, points, size).cumsum(0) * 0.5 ** torch.arange(size)


@given(seeds)
def test_components_about_the_end_are_the_singular_vectors_of_the_differences(seed: int) -> None:
    """Directions, coordinates, shares and residuals are those of an SVD."""
    path = wandering(seed)
    found = components(path)
    u, s, v = np.linalg.svd((path - path[-1]).numpy())
    assert np.allclose(np.abs(found.directions.numpy()), np.abs(v[:2]), atol=1e-8)
    assert np.allclose(found.coordinates.abs().numpy(), np.abs(u[:, :2] * s[:2]), atol=1e-8)
    assert np.allclose(found.uncentred[:7], s**2 / (s**2).sum(), atol=1e-12)
    assert found.held == pytest.approx(float((s[:2] ** 2).sum() / (s**2).sum()), rel=1e-10)
    rest = (u[:, :7] * s)[:, 2:]
    assert np.allclose(found.residuals, np.linalg.norm(rest, axis=1), atol=1e-10)
    centred = np.linalg.svd((path - path.mean(0)).numpy(), compute_uv=False)
    assert np.allclose(found.centred[:7], centred**2 / (centred**2).sum(), atol=1e-12)
    assert found.residuals[-1] == 0.0
    assert found.distances[-1] == 0.0


@given(seeds)
def test_components_about_the_mean_are_those_of_the_covariance(seed: int) -> None:
    """The coordinates' variances are the covariance's largest eigenvalues, their means zero."""
    path = wandering(seed)
    found = components(path, "mean", count=3)
    values = np.linalg.eigvalsh(np.cov(path.T.numpy()))[::-1]
    assert np.allclose(found.coordinates.var(0), values[:3], rtol=1e-8)
    assert np.allclose(found.coordinates.mean(0), 0, atol=1e-12)
    assert found.held == pytest.approx(float(found.centred[:3].sum()), rel=1e-10)


def test_descent_on_a_quadratic_has_the_components_of_its_geometric_sums() -> None:
    """x_t = m^t x_0 by coordinate: the shares are the eigenvalues of sums in closed form."""
    rates, start, T = torch.tensor([0.97, 0.8, 0.3], dtype=torch.float64), drawn(1, 3), 60
    path = rates ** torch.arange(T + 1)[:, None] * start
    product = rates[:, None] * rates
    end = rates**T
    first, both = (
        (1 - r ** (T + 1)) / (1 - r) for r in (rates, product)
    )  # sums of m_i^t, and of (m_i m_j)^t, over t = 0 ... T
    about_end = both - first[:, None] * end - end[:, None] * first + (T + 1) * end[:, None] * end
    about_mean = both - first[:, None] * first / (T + 1)
    found = components(path)
    for sums, shares in ((about_end, found.uncentred), (about_mean, found.centred)):
        values = torch.linalg.eigvalsh(start[:, None] * sums * start).flip(0)
        assert torch.allclose(shares[:3], values / values.sum(), atol=1e-12)


@given(seeds)
def test_a_rotation_turns_the_directions_and_nothing_else(seed: int) -> None:
    """Coordinates, residuals and shares are the same in rotated and shifted parameters."""
    path = wandering(seed)
    turn, _ = torch.linalg.qr(drawn(seed + 1, 7, 7))
    one, two = components(path), components(path @ turn.T + drawn(seed, 7))
    assert torch.allclose(one.coordinates, two.coordinates, atol=1e-8)
    assert torch.allclose(one.residuals, two.residuals, atol=1e-8)
    assert torch.allclose(one.uncentred, two.uncentred, atol=1e-10)
    assert torch.allclose(one.directions @ turn.T, two.directions, atol=1e-8)


def test_blocks_of_coordinates_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streaming over three coordinates at a time changes nothing but rounding."""
    paths = [wandering(3, 12, 40), wandering(4, 9, 40).float()]
    whole = components(paths)
    monkeypatch.setattr(trajectory, "BLOCK", 3 * 21)
    parts = components(paths)
    for name in ("coordinates", "residuals", "distances", "directions", "uncentred"):
        assert torch.allclose(getattr(whole, name), getattr(parts, name), atol=1e-12), name


def test_several_paths_share_one_plane_about_the_mean_of_their_ends() -> None:
    """Two paths within one plane have no residual, each has its own points, path after path."""
    plane, _ = torch.linalg.qr(drawn(5, 9, 2))
    paths = [wandering(6, 8, 2) @ plane.T, wandering(7, 5, 2) @ plane.T]
    found = components(paths)
    assert found.lengths == (8, 5)
    assert torch.allclose(found.origin, (paths[0][-1] + paths[1][-1]) / 2, atol=1e-14)
    assert found.residuals.max() < 1e-12
    assert found.held == pytest.approx(1.0, rel=1e-12)
    back = found.origin + found.coordinates @ found.directions
    assert torch.allclose(back, torch.cat(paths), atol=1e-12)


def test_a_straight_path_has_one_direction_and_says_so() -> None:
    """The second direction is drawn at right angles and holds nothing."""
    path = torch.linspace(1, 0, 9, dtype=torch.float64)[:, None] * drawn(8, 6)
    found = components(path)
    assert found.rank == 1
    assert found.uncentred[0] == pytest.approx(1.0, abs=1e-12)
    assert found.coordinates[:, 1].abs().max() < 1e-12
    assert torch.allclose(found.directions @ found.directions.T, torch.eye(2).double(), atol=1e-12)


def test_a_random_walk_has_components_without_any_landscape() -> None:
    """In many dimensions its shares are 6 / (pi k)^2; within 3 %, several deviations, at 20,000."""
    found = components(drawn(9, 400, 20_000).cumsum(0), "mean")
    for k in (1, 2):
        assert float(found.centred[k - 1]) == pytest.approx(6 / (math.pi * k) ** 2, rel=0.03)


def test_what_is_no_path_is_refused_in_one_sentence() -> None:
    """Points that do not move, are not finite, or are too narrow."""
    with pytest.raises(BadValue, match="no path moves"):
        trajectories(quadratic(3), [torch.ones(4, 3)], ["still"], [range(4)])
    with pytest.raises(BadValue, match="not finite"):
        components(torch.tensor([[0.0, math.inf], [0.0, 1.0]]))
    with pytest.raises(BadValue, match="2 directions need as many coordinates, got 1"):
        components(torch.ones(4, 1))
    with pytest.raises(BadValue, match="of one width"):
        components([torch.ones(4, 3), torch.ones(4, 2)])
    with pytest.raises(BadValue, match="`about=axes` is for points of 2 coordinates, got 3"):
        components(wandering(1, 4, 3), "axes")


def test_points_that_are_all_the_same_have_no_component_of_their_own() -> None:
    """Rank 0, nothing held, all at the origin of a plane that is drawn at random."""
    found = components(torch.ones(4, 3))
    assert found.rank == 0
    assert math.isnan(found.held)
    assert found.uncentred.sum() == 0.0
    assert found.coordinates.abs().max() == 0.0


def quadratic(size: int) -> Surface:
    return surface(problem(f"sphere(dim={size})"))


def test_the_plane_s_loss_is_short_of_the_true_one_by_the_residual() -> None:
    """On |x|^2 about an end at the minimum, loss = loss on the plane + squared residual."""
    path = wandering(11, 15, 6)
    path = path - path[-1]
    ground = quadratic(6)
    scale = float(loss(ground, path[:1])[0] / path[0].square().sum())
    found = trajectories(ground, [path], ["way"], [range(15)], grid=7)
    aside = scale * found.plane.residuals.square()
    assert torch.allclose(found.losses, found.plane_losses + aside, rtol=1e-10)
    assert found.losses[-1] == found.plane_losses[-1]
    height = scale * (found.x**2 + found.y[:, None] ** 2)
    assert torch.allclose(found.grid, height, rtol=1e-10, atol=1e-12)
    for axis, c in ((found.x, 0), (found.y, 1)):
        assert axis[0] < found.plane.coordinates[:, c].min()
        assert axis[-1] > found.plane.coordinates[:, c].max()


def test_a_path_in_two_coordinates_is_seen_in_them_and_loses_nothing() -> None:
    """About the axes the plane is the whole space: coordinates, losses and grid are the real."""
    himmelblau = problem("himmelblau")
    ground = surface(himmelblau, seed=0)
    way = walk(himmelblau, Setting(method("sgd(lr=0.01)")), 0, 50)
    found = trajectories(ground, [way.points], ["sgd"], [way.steps], about="axes", grid=5)
    assert torch.equal(found.plane.coordinates, way.points)
    assert torch.equal(found.losses, found.plane_losses)
    corner = torch.stack([found.x[4], found.y[0]])
    assert found.grid[0, 4] == loss(ground, corner)


@pytest.fixture(scope="module")
def trained() -> torch.Tensor:
    net = problem("mnist_mlp(widths=(16,), activation=tanh)")
    keep = range(0, 301, 3)
    return walk(net, Setting(method("sgd(lr=0.1)")), 0, 300, keep=keep).points


def test_a_network_s_path_lies_near_a_plane_that_chance_does_not_find(
    trained: torch.Tensor,
) -> None:
    """Two components hold 0.4 at least, random ones at most 10 times 2/P (Li et al. 2018)."""
    found = components(trained)
    assert float(found.uncentred[:2].sum()) >= 0.4
    assert float(found.centred[:2].sum()) >= 0.4
    assert found.by_chance <= 10 * 2 / trained.shape[1]
    for seed in range(5):
        two = orthonormal(torch.zeros(0, trained.shape[1], dtype=torch.float64), 2, seed)
        moved = trained.double() - trained[-1]
        share = (moved @ two.T).square().sum() / moved.square().sum()
        assert float(share) <= 10 * 2 / trained.shape[1]
