"""Planes are the surface itself on a grid: exact, whole, the same however they come about."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ravine.errors import BadValue, StoreError
from ravine.landscape.planes.directions import random
from ravine.landscape.planes.plane import Plane, Status, centred, coordinates, plane
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.surface import Surface, loss, pack
from ravine.problems import problem

torch.manual_seed(0)
X = torch.randn(60, 40, dtype=torch.float64)
Y = torch.randint(5, (60,))
IMAGES = torch.randn(20, 3, 9, 9, dtype=torch.float64)


class Skip(nn.Module):
    """A user's network: batch normalisation, a skip, and a second first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(40, 20), nn.Linear(20, 20), nn.Linear(40, 20)
        self.norm, self.out = nn.BatchNorm1d(20), nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs."""
        h = torch.tanh(self.a(x))
        h = h + self.b(torch.relu(self.norm(h))) + self.c(x)
        return self.out(h)


class Tied(nn.Module):
    """The first weight serves once more, on what depends on it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(40, 40) / 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs."""
        return functional.linear(torch.tanh(functional.linear(x, self.weight)), self.weight.T)


class Hidden(nn.Module):
    """What the second layer sees is written into a buffer, where nobody follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(40, 20), nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs."""
        seen = torch.zeros(len(x), 20, dtype=x.dtype)
        seen[:] = torch.tanh(self.a(x))
        return self.b(seen)


class Bent(nn.Module):
    """Which way it goes depends on what it sees, so that it cannot be taken down."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(40, 20), nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs."""
        h = self.a(x)
        return self.b(torch.tanh(h) if float(h.detach().sum()) > 0 else torch.relu(h))


def convolution() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)
    )


def users(module: nn.Module, data: Any = (X, Y), **given: Any) -> tuple[Surface, torch.Tensor]:
    return module_surface(module.double(), data, functional.cross_entropy, **given)


def catalogue(id: str) -> tuple[Surface, torch.Tensor]:
    shape = problem(id)
    ground = surface(shape, examples=64)
    return ground, pack(ground, shape.start(0)).double()


def axes(x: torch.Tensor, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    u, v = torch.randn(2, len(x), dtype=torch.float64, generator=draw) * 0.1
    return u, v


def test_a_quadratic_gives_the_exact_paraboloid() -> None:
    """Every cell is (theta + a u + b v)' H (theta + a u + b v) / 2, by [y, x], to 1e-12."""
    ground = surface(problem("sphere(dim=4)"))
    centre = torch.tensor([0.3, -1.0, 0.5, 2.0], dtype=torch.float64)
    u, v = axes(centre)
    found = plane(ground, centre, u, v, centred(2.0, 5), coordinates(0.0, 3.0, 7))
    a, b = np.meshgrid(found.x, found.y)
    at = loss(ground, centre).item()
    scale = at / float(centre @ centre)
    wanted = (
        at
        + 2 * scale * (a * float(centre @ u) + b * float(centre @ v) + a * b * float(u @ v))
        + scale * (a**2 * float(u @ u) + b**2 * float(v @ v))
    )
    assert found.loss.shape == (7, 5)
    assert np.abs(found.loss - wanted).max() < 1e-12
    assert found.centre_cell == (0, 2)
    assert found.loss[0, 2] == at == found.centre_loss


@pytest.mark.parametrize(
    "make",
    [
        lambda: catalogue("mnist_mlp(widths=(16, 8), activation=tanh)"),
        lambda: catalogue("deep_mlp(depth=4, width=16, skip=true)"),
        lambda: catalogue("deep_mlp(depth=3, width=16, norm=layer)"),
        lambda: catalogue("lenet"),
        lambda: users(Skip(), batch_norm="frozen"),
        lambda: users(Skip(), batch_norm="recomputed"),
        lambda: users(Skip(), batch_norm="batch"),
        lambda: users(convolution(), (IMAGES, Y[:20])),
        lambda: module_surface(Tied().double(), (X, X), functional.mse_loss),
        lambda: users(Bent()),
    ],
    ids=["mlp", "skip", "layer", "lenet", "frozen", "recomputed", "batch", "conv", "tied", "bent"],
)
def test_a_shared_first_layer_gives_the_plain_values(make: Any) -> None:
    """All cells agree with the plain evaluation to 1e-12, and the record says what is shared."""
    ground, x = make()
    u, v = axes(x)
    grid = (centred(1.0, 3), coordinates(-0.5, 1.0, 2))
    plain = plane(ground, x, u, v, *grid, way="plain")
    shared = plane(ground, x, u, v, *grid, way="shared")
    assert (plain.way, shared.way) == ("plain", "shared")
    assert "weight" in shared.reason
    assert np.abs(shared.loss / plain.loss - 1).max() < 1e-12
    assert np.ptp(plain.loss) > 1e-3


def test_what_is_shared_is_tried_before_it_is_believed() -> None:
    """A layer whose input is hidden from us gives other numbers, and the plane is plain."""
    ground, x = users(Hidden())
    u, v = axes(x)
    with pytest.raises(BadValue, match="its first layers give a loss of"):
        plane(ground, x, u, v, centred(1.0, 3), centred(1.0, 3), way="shared")
    found = plane(ground, x, u, v, centred(1.0, 3), centred(1.0, 3))
    assert found.way == "plain"
    with pytest.raises(BadValue, match="nothing can be shared on"):
        plane(
            surface(problem("sphere")),
            *torch.eye(2).double()[[0, 0, 1]],
            centred(1.0, 3),
            centred(1.0, 3),
            way="shared",
        )


def test_small_first_layers_are_not_shared_and_large_ones_are() -> None:
    """The choice rests on multiplications that are saved, never on a clock."""
    for examples, way in ((2048, "shared"), (16, "plain")):
        shape = problem("mnist_mlp(widths=(256,))")
        ground = surface(shape, examples=examples)
        x = pack(ground, shape.start(0))
        sides = random(ground, x)
        side = centred(1.0, 5)
        assert plane(ground, x, sides.u, sides.v, side, side).way == way


def rescaled(factor: float, last_bias: bool) -> tuple[Surface, torch.Tensor]:
    torch.manual_seed(7)
    module = nn.Sequential(nn.Linear(40, 12), nn.ReLU(), nn.Linear(12, 5, bias=last_bias)).double()
    for p in module[0].parameters():
        p.data *= factor
    module[2].weight.data /= factor
    return users(module)


@pytest.mark.parametrize("bias", ["zero", "join"])
def test_a_filter_normalised_plane_does_not_see_a_rescaling(bias: Any) -> None:
    """Scaling a rectified layer up and the next down changes no cell by 1e-8; unnormalised, all."""
    found: dict[str, list[Plane]] = {}
    for scale in ("filter", "none"):
        for factor in (1.0, 7.0):
            ground, x = rescaled(factor, last_bias=bias == "zero")
            sides = random(ground, x, scale=scale, bias=bias)  # type: ignore[arg-type]
            grid = centred(1.0, 5)
            found.setdefault(scale, []).append(plane(ground, x, sides.u, sides.v, grid, grid))
    one, two = found["filter"]
    assert np.abs(one.loss - two.loss).max() < 1e-8
    one, two = found["none"]
    assert np.abs(one.loss - two.loss).max() > 1e-2
    assert one.centre_loss == pytest.approx(two.centre_loss, rel=1e-12)


def test_an_interrupted_plane_goes_on_and_is_the_same_to_the_bit(tmp_path: Path) -> None:
    """Stopped after any row, it computes only the others; done, it is one file and is read."""
    ground, x = catalogue("mnist_mlp(widths=(16, 8), activation=tanh)")
    u, v = axes(x)
    grid = (centred(1.0, 5), centred(1.0, 7))

    class Stop(Exception):
        pass

    def stop(share: float, seconds: float) -> None:
        told.append((share, seconds))
        if len(told) == 3:
            raise Stop

    for way in ("plain", "shared"):
        told: list[tuple[float, float]] = []
        whole = plane(ground, x, u, v, *grid, way=way)  # type: ignore[arg-type]
        folder = tmp_path / way
        with pytest.raises(Stop):
            plane(ground, x, u, v, *grid, way=way, folder=folder, listener=stop)  # type: ignore[arg-type]
        assert [round(share * 7) for share, _ in told] == [1, 2, 3]
        assert all(seconds >= 0 for _, seconds in told)
        again = plane(ground, x, u, v, *grid, way=way, folder=folder)  # type: ignore[arg-type]
        assert again.known == 15
        assert np.array_equal(again.loss, whole.loss)
        assert len(list(folder.iterdir())) == 1
        assert plane(ground, x, u, v, *grid, way=way, folder=folder).known == 35  # type: ignore[arg-type]
        other = plane(ground, x, v, u, *grid, way=way, folder=folder)  # type: ignore[arg-type]
        assert other.known == 0


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """A truncated file is refused in a sentence that says what to do."""
    ground = surface(problem("sphere"))
    e, f = torch.eye(2).double()
    grid = centred(1.0, 3)
    plane(ground, e, e, f, grid, grid, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match="delete that file and repeat"):
        plane(ground, e, e, f, grid, grid, folder=tmp_path)


def test_cells_without_a_number_are_kept_beside_their_status() -> None:
    """Infinite and undefined losses stay what they are; the others are not touched."""
    ground, x = users(nn.Linear(40, 5))
    u, v = torch.zeros_like(x), torch.zeros_like(x)
    u[0], v[1] = 1e308, 1.0
    found = plane(ground, x, u, v, [0.0, 1.0, 1.5], [0.0, 1.0])
    assert found.status[:, 0].tolist() == [Status.FINITE] * 2
    bad = ~np.isfinite(found.loss)
    assert bad.any()
    assert np.array_equal(bad, found.status != Status.FINITE)
    assert np.array_equal(np.isnan(found.loss), found.status == Status.NOT_A_NUMBER)


def test_arguments_out_of_their_domain_are_refused() -> None:
    """Even counts, empty ranges, parallel directions, wrong lengths, unordered coordinates."""
    ground = surface(problem("sphere"))
    e, f = torch.eye(2).double()
    with pytest.raises(BadValue, match="use 51"):
        centred(1.0, 50)
    for call, said in (
        (lambda: centred(0.0, 5), "`span` must be positive"),
        (lambda: coordinates(1.0, 1.0, 5), "from a lower to a higher"),
        (lambda: plane(ground, e, f, f, [0.0], [0.0]), "must span a plane"),
        (lambda: plane(ground, *torch.eye(3).double(), [0.0], [0.0]), "must have the 2 coord"),
        (lambda: plane(ground, e, torch.nan * f, e, [0.0], [0.0]), "must be finite"),
        (lambda: plane(ground, e, f, e, [1.0, 0.0], [0.0]), "must ascend"),
        (lambda: plane(ground, e, f, e, [], [0.0]), "must be a list of finite numbers"),
    ):
        with pytest.raises(BadValue, match=said):
            call()
