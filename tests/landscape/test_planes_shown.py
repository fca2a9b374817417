"""What planes show: curvature, widths, spread, ratios, and files that can be read back."""

import io
import json
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from ravine.cli.landscape.plane import plane as command
from ravine.errors import BadValue
from ravine.landscape.planes.directions import along, random
from ravine.landscape.planes.export import parquet, vtk
from ravine.landscape.planes.plane import Plane, centred, coordinates
from ravine.landscape.planes.ratio import ratios
from ravine.landscape.planes.shape import curvature, spread, width
from ravine.landscape.sources import module_surface, surface
from ravine.problems import problem
from ravine.reporting.drawing import to_png
from ravine.reporting.landscape.planes import figures as drawn

ALONG = torch.eye(2, dtype=torch.float64)


def of(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> Plane:
    here = values[np.ix_(y == 0, x == 0)]
    zero = torch.zeros(2, dtype=torch.float64)
    return Plane(
        problem="made",
        centre=zero,
        u=ALONG[0],
        v=ALONG[1],
        x=x,
        y=y,
        loss=values,
        centre_loss=float(here.ravel()[0]) if here.size else np.nan,
    )


def quadratic(a: float, b: float, c: float) -> Plane:
    """A x^2 / 2 + b x y + c y^2 / 2 on unequal steps."""
    x, y = np.array([-2.0, -1.0, 0.0, 0.5, 2.0]), np.array([-1.0, 0.0, 0.25, 3.0])
    p, q = np.meshgrid(x, y)
    return of(a * p**2 / 2 + b * p * q + c * q**2 / 2, x, y)


def test_curvature_of_a_quadratic_is_exact_at_every_inner_cell() -> None:
    """Both eigenvalues are those of [[a, b], [b, c]] on any grid; its sign decides the share."""
    for a, b, c in ((3.0, 1.0, 2.0), (1.0, 2.0, 1.0), (-1.0, 0.0, -2.0)):
        bent = curvature(quadratic(a, b, c))
        low, high = np.linalg.eigvalsh([[a, b], [b, c]])
        inner = (slice(1, -1), slice(1, -1))
        assert np.allclose(bent.smallest[inner], low, atol=1e-12)
        assert np.allclose(bent.largest[inner], high, atol=1e-12)
        assert bent.cells == 6
        assert bent.negative == float(low < 0)
        assert bent.undecided == 0
    flat = curvature(quadratic(0.0, 0.0, 1.0))
    assert (flat.negative, flat.undecided) == (0.0, 1.0)


def test_cells_beside_what_is_not_finite_have_no_curvature() -> None:
    """One infinite corner takes one inner cell away, and no number leaks from it."""
    made = quadratic(1.0, 0.0, 1.0)
    made.loss[0, 0] = np.inf
    bent = curvature(made)
    assert bent.cells == 5
    assert np.isnan(bent.smallest[1, 1])


def test_the_width_of_a_parabola_is_that_of_half_its_height() -> None:
    """x^2 on [-1, 1] is half as high at +-sqrt(1/2), to the error of linear interpolation."""
    side = centred(1.0, 201)
    p, q = np.meshgrid(side, side)
    made = of(p**2 + 4 * q**2, side, side)
    assert width(made, 0) == pytest.approx(np.sqrt(2), abs=1e-4)
    assert width(made, 1) == pytest.approx(np.sqrt(2), abs=1e-4)
    assert np.isnan(width(of(p + 0 * q, side, side), 0))


def test_spread_is_over_seeds_cell_by_cell() -> None:
    """Median and quartiles are those of the planes; the centre has none; seeds must differ."""
    torch.manual_seed(0)
    data = (torch.randn(30, 6).double(), torch.randint(3, (30,)))
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    ground, x = module_surface(module, data, nn.functional.cross_entropy)
    draw = partial(random, ground, x)
    told: list[tuple[float, float]] = []
    side = centred(1.0, 3)
    found = spread(ground, x, draw, side, side, range(5), listener=lambda *t: told.append(t))  # type: ignore[arg-type]
    stack = np.stack([one.loss for one in found.planes])
    assert np.array_equal(found.median, np.median(stack, 0))
    assert found.upper[1, 1] == found.lower[1, 1] == found.planes[0].centre_loss
    assert (found.upper > found.lower).sum() == 8
    assert told[-1][0] == 1
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    with pytest.raises(BadValue, match="different numbers"):
        spread(ground, x, draw, side, side, [1, 1])  # type: ignore[arg-type]


def test_eigenvalue_ratios_are_those_of_the_hessian() -> None:
    """On Rosenbrock's plane they agree with its 2 x 2 Hessian; all cells converge."""
    ground = surface(problem("rosenbrock"))
    centre = torch.tensor([0.5, 1.0], dtype=torch.float64)
    a, b = coordinates(-1.0, 1.0, 3), coordinates(0.0, 1.0, 2)
    found = ratios(ground, centre, *ALONG, a, b)
    assert found.converged.all()
    for j, i in np.ndindex(found.ratio.shape):
        x, y = 0.5 + a[i], 1.0 + b[j]
        low, high = np.linalg.eigvalsh([[2 - 400 * (y - 3 * x**2), -400 * x], [-400 * x, 200.0]])
        assert found.smallest[j, i] == pytest.approx(low, rel=1e-9)
        assert found.ratio[j, i] == pytest.approx(max(-low, 0) / high, rel=1e-9)
    assert (found.ratio > 0).any()
    assert (found.ratio == 0).any()


def bad() -> Plane:
    made = quadratic(1.0, 0.0, 1.0)
    made.loss[0, 1], made.loss[3, 4] = np.nan, np.inf
    return made


def test_vtk_is_read_back_to_the_bit() -> None:
    """Dimensions, coordinates, losses with x fastest, and status, by the format's grammar."""
    made = bad()
    text = vtk(made).decode()
    assert text.startswith("# vtk DataFile Version 3.0\nravine made ")
    words = iter(text.split("\n", 2)[2].split())

    def take(*expected: str) -> None:
        assert [next(words) for _ in expected] == list(expected)

    take("ASCII", "DATASET", "RECTILINEAR_GRID", "DIMENSIONS", "5", "4", "1")
    for axis, values in (("X", made.x), ("Y", made.y), ("Z", np.zeros(1))):
        take(f"{axis}_COORDINATES", str(len(values)), "double")
        assert [float(next(words)) for _ in values] == values.tolist()
    take("POINT_DATA", "20", "SCALARS", "loss", "double", "1", "LOOKUP_TABLE", "default")
    losses = np.array([float(next(words)) for _ in range(20)]).reshape(4, 5)
    assert np.array_equal(losses, made.loss, equal_nan=True)
    take("SCALARS", "status", "int", "1", "LOOKUP_TABLE", "default")
    assert [int(next(words)) for _ in range(20)] == made.status.ravel().tolist()
    assert next(words, None) is None


def test_parquet_is_read_back_with_all_that_was_said() -> None:
    """A row for each cell, and metadata as JSON."""
    made = bad()
    data = parquet(made)
    frame = pl.read_parquet(io.BytesIO(data))
    assert frame["x"].to_list() == made.x.tolist() * 4
    assert np.array_equal(frame["loss"].to_numpy(), made.loss.ravel(), equal_nan=True)
    assert frame["status"].to_list() == made.status.ravel().tolist()
    said = pl.read_parquet_metadata(io.BytesIO(data))
    assert json.loads(said["problem"]) == "made"
    assert json.loads(said["points"]) == [5, 4]


def test_figures_hold_for_ordinary_and_for_odd_planes() -> None:
    """Logarithmic, gapped, flat and empty planes are drawn without a warning."""
    side = centred(1.0, 5)
    p, q = np.meshgrid(side, side)
    for values in (np.exp(8 * p + q) * 1e-3, p**2 + q**2, 0 * p + 1.0, p * np.nan, bad().loss):
        made = bad() if values.shape == (4, 5) else of(values, side, side)
        for draw in (drawn.plane_figure, drawn.surface_figure):
            assert to_png(draw(made, "a title", [drawn.Mark(0.5, 0.0, "there")]))[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "given",
    [
        {"at": "start", "problem": "mnist_softmax"},
        {"directions": "eigenvectors", "ratio": True, "ratio_points": 2},
        {"through": ["0,0,0", "1,1,1", "0,1,0"]},
    ],
    ids=["random", "eigenvectors", "through"],
)
def test_the_command_writes_what_it_promises(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: dict[str, object]
) -> None:
    """JSON with every cell, figures and tables in the folder; repeated, it reads its cells."""
    id = given.pop("problem", "rosenbrock(dim=3)")
    run = partial(command, id, points=3, seeds=2, examples=64, out=tmp_path, json=True, **given)  # type: ignore[arg-type]
    run(export=["vtk", "parquet"])
    first = json.loads(capsys.readouterr().out)
    run()
    second = json.loads(capsys.readouterr().out)
    assert [one["loss"] for one in first["planes"]] == [one["loss"] for one in second["planes"]]
    assert {one["known"] for one in second["planes"]} == {9}
    assert len(first["planes"]) == (2 if "at" in given else 1)
    names = {path.name for path in tmp_path.iterdir()}
    assert sum(name.endswith(".png") for name in names) == 2 + len(first["planes"]) // 2 + (
        "ratio" in given
    )
    assert sum(name.endswith((".vtk", ".parquet")) for name in names) == 2 * len(first["planes"])
    assert ("ratios" in first) == ("ratio" in given)


def test_the_command_refuses_what_makes_no_plane(tmp_path: Path) -> None:
    """Even counts, two places, one place thrice: each is one sentence."""
    for given, said in (
        ({"points": 4}, "must be odd"),
        ({"through": ["start", "start@1"]}, "takes three places, got 2"),
        ({"through": ["start", "start", "start@1"]}, "are the same"),
        ({"seeds": 0}, "--seeds must be 1"),
    ):
        with pytest.raises(BadValue, match=said):
            command("mnist_softmax", examples=16, out=tmp_path, **given)  # type: ignore[arg-type]


def test_a_formula_of_two_coordinates_is_shown_in_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plane of Himmelblau's function around a minimizer is the function itself."""
    command("himmelblau", at="3,2", points=3, span=1.0, out=tmp_path, json=True)
    (found,) = json.loads(capsys.readouterr().out)["planes"]
    assert found["loss"][1][1] == 0.0
    assert found["loss"][1][2] == (4.0**2 + 2 - 11) ** 2 + (4.0 + 2**2 - 7) ** 2
    assert along(*ALONG).cosine == 0.0
