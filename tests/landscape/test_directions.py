"""Directions are as long as the filters they move, at right angles, and drawn by seed alone."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ravine.errors import BadValue
from ravine.landscape.planes.directions import along, cosine, filters, random, through
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.surface import pack, unpack
from ravine.problems import problem
from ravine.problems.modules.module import ModuleProblem

torch.manual_seed(3)
X = torch.randn(6, 4, 5, 5, dtype=torch.float64)
Y = torch.randn(6, 6, 7, 7, dtype=torch.float64)


def rows(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.flatten(1).norm(dim=1)


def test_every_filter_is_as_long_as_its_weights_and_both_axes_are_orthogonal() -> None:
    """Norms of rows and kernels agree to 1e-12, vectors stay, and the cosine is rounding."""
    for id in ("mnist_mlp(widths=(9, 7))", "lenet"):
        shape = problem(id)
        ground = surface(shape, examples=64)
        x = pack(ground, shape.start(0)).double()
        sides = random(ground, x, seed=5)
        point = unpack(ground, x)
        for d in (sides.u, sides.v):
            for name, part in unpack(ground, d).items():
                if part.dim() < 2:
                    assert not part.any()
                else:
                    assert torch.allclose(rows(part), rows(point[name]), rtol=1e-12, atol=0)
        assert abs(sides.cosine) < 1e-14
        assert torch.equal(random(ground, x, seed=5).v, sides.v)
        assert abs(cosine(random(ground, x, seed=6).u, sides.u)) < 0.2


def test_a_filter_of_zeros_does_not_move_and_one_of_one_number_leaves_a_cosine() -> None:
    """A zero row has a zero direction; one number cannot be orthogonal, and the cosine says so."""
    module = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    module[2].weight.data[0] = 0
    ground, x = module_surface(module, (X[:, :1, 0, 0], Y[:, :2, 0, 0]), nn.functional.mse_loss)
    sides = random(ground, x)
    assert not unpack(ground, sides.u)["2.weight"][0].any()
    assert torch.allclose(unpack(ground, sides.v)["0.weight"].abs(), module[0].weight.abs())
    assert 1e-3 < abs(sides.cosine) < 1


def test_a_joined_bias_is_a_part_of_its_filter() -> None:
    """The norm of row and bias together is that of the weights' row and bias."""
    shape = problem("mnist_mlp(widths=(9, 7))")
    ground = surface(shape, examples=64)
    x = pack(ground, shape.start(0)).double()
    point, u = unpack(ground, x), unpack(ground, random(ground, x, bias="join").u)
    for layer in range(3):
        wanted, got = (
            torch.cat([p[f"{layer}.weight"], p[f"{layer}.bias"][:, None]], 1).norm(dim=1)
            for p in (point, u)
        )
        assert torch.allclose(got, wanted, rtol=1e-12)
        assert u[f"{layer}.bias"].all()


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_has_its_filters_on_its_outputs(groups: int) -> None:
    """The norm over inputs of the group and kernel, for every output, is that of the weights."""
    layer = nn.ConvTranspose2d(4, 6, 3, groups=groups, dtype=torch.float64)
    made = ModuleProblem(lambda: layer, (X, Y), nn.functional.mse_loss, batch_size=3)
    ground = surface(made)
    x = pack(ground, made.start(0))
    u = unpack(ground, random(ground, x, filters=filters(made)).u)["weight"]

    def norms(weight: torch.Tensor) -> torch.Tensor:
        grouped = weight.view(groups, 4 // groups, 6 // groups, 9)
        return grouped.square().sum((1, 3)).sqrt().flatten()

    assert torch.allclose(norms(u), norms(layer.weight), rtol=1e-12)
    assert not torch.allclose(rows(u), rows(layer.weight), rtol=1e-3)


@given(st.integers(0, 1000))
def test_three_points_lie_where_the_plane_says(seed: int) -> None:
    """Theta + a u + b v at each place is the point, u and v are orthonormal."""
    draw = torch.Generator().manual_seed(seed)
    points = torch.randn(3, 20, dtype=torch.float64, generator=draw)
    found = through(*points)
    u, v = found.directions.u, found.directions.v
    for point, (a, b) in zip(points, found.places, strict=True):
        assert torch.allclose(points[0] + a * u + b * v, point, atol=1e-12)
    assert abs(float(u @ v)) < 1e-14
    assert math.isclose(float(v @ v), 1, rel_tol=1e-12)


def test_what_spans_no_plane_is_refused() -> None:
    """Points on a line, equal points, parallel, zero or infinite vectors, nothing to move."""
    e, f = torch.eye(3, dtype=torch.float64)[:2]
    with pytest.raises(BadValue, match="lie on a line"):
        through(e, 2 * e, 3 * e)
    with pytest.raises(BadValue, match="are the same"):
        through(e, e, f)
    with pytest.raises(BadValue, match="parallel"):
        along(e, -2 * e)
    with pytest.raises(BadValue, match="finite and not zero"):
        along(e, torch.inf * f)
    sphere = surface(problem("sphere(dim=3)"))
    with pytest.raises(BadValue, match="no weights of two dimensions"):
        random(sphere, e)
    with pytest.raises(BadValue, match="are zero here"):
        random(sphere, 0 * e, bias="free")
    assert torch.allclose(along(3 * e, f).u, e)
