"""The kind of a point follows from its derivatives, by a stated tolerance."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor, nn

from ravine.errors import BadValue
from ravine.landscape.critical.classify import Classification, classify
from ravine.landscape.critical.kinds import Label, kinds
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.surface import Surface
from ravine.problems import Analytic, problem
from ravine.problems.draws import generator

Formula = Callable[[Float[Tensor, "*stack n"]], Float[Tensor, "*stack"]]

FLAT = ("degenerate", 0, 2)
BESIDE = ("saddle", 1, 1)


def ground(f: Formula, dim: int = 2) -> Surface:
    return surface(Analytic(f=f, dim=dim, name="f"))


def at(f: Formula, *x: float) -> Classification:
    (found,) = classify(ground(f, len(x)), torch.tensor(x, dtype=torch.float64))
    return found


def pair(f: Callable[[Tensor, Tensor], Tensor]) -> Formula:
    return lambda z: f(z[..., 0], z[..., 1])


@pytest.mark.parametrize(
    ("f", "x", "label", "index", "nullity", "settled"),
    [
        (pair(lambda x, y: x**2 / 2 + y**4 / 4 - y**2 / 2), (0, 0), "saddle", 1, 0, None),
        (pair(lambda x, y: x**2 / 2 + y**4 / 4 - y**2 / 2), (0, 1), "minimum", 0, 0, None),
        (pair(lambda x, y: -(x**2) - 3 * y**2), (0, 0), "maximum", 2, 0, None),
        (pair(lambda x, y: x**3 - 3 * x * y**2), (0, 0), "degenerate", 0, 2, ("neither", 3)),
        (pair(lambda x, y: x**2 + y**4), (0, 0), "degenerate", 0, 1, ("minimum", 4)),
        (pair(lambda x, y: x**2 - y**4), (0, 0), "degenerate", 0, 1, ("neither", 4)),
        (pair(lambda x, y: -(x**2) - y**4), (0, 0), "degenerate", 1, 1, ("maximum", 4)),
        (pair(lambda x, y: -(x**2) + y**4), (0, 0), "degenerate", 1, 1, ("neither", 4)),
        (pair(lambda x, y: x**4 + y**4), (0, 0), "degenerate", 0, 2, ("minimum", 4)),
        (pair(lambda x, y: -(x**4) - y**4), (0, 0), "degenerate", 0, 2, ("maximum", 4)),
        (pair(lambda x, y: x**4 - y**4), (0, 0), "degenerate", 0, 2, ("neither", 4)),
        # positive on both axes, negative between them
        (pair(lambda x, y: (x**2 - y**2) ** 2 - x**2 * y**2), (0, 0), *FLAT, ("neither", 4)),
        # nowhere negative, zero on two lines
        (pair(lambda x, y: (x**2 - 3 * y**2) ** 2), (0, 0), *FLAT, ("unsettled", None)),
        (lambda z: z[..., 0] ** 3, (0,), "degenerate", 0, 1, ("neither", 3)),
        (lambda z: z[..., 0] ** 6, (0,), "degenerate", 0, 1, ("unsettled", None)),
        (pair(lambda x, y: 0 * x * y), (1, 2), "degenerate", 0, 2, ("unsettled", None)),
        # one way down suffices beside a zero
        (lambda z: z[..., 0] ** 2 - z[..., 1] ** 2 + z[..., 2] ** 4, (0, 0, 0), *BESIDE, None),
    ],
)  # fmt: skip
def test_known_points(
    f: Formula,
    x: tuple[float, ...],
    label: str,
    index: int,
    nullity: int,
    settled: tuple[str, int | None] | None,
) -> None:
    """Textbook points have their label, index and nullity, and what higher derivatives say."""
    found = at(f, *map(float, x))
    assert (found.label, found.index, found.nullity) == (label, index, nullity)
    assert found.robust
    if settled is None:
        assert found.settled is None
    else:
        assert found.settled is not None
        assert (found.settled.outcome, found.settled.order) == settled


@pytest.mark.parametrize(("depth", "label"), [(2, "saddle"), (3, "degenerate"), (4, "degenerate")])
def test_product_networks_at_zero(depth: int, label: str) -> None:
    """(w1 ... wd - 1)^2 / 2 at 0 has eigenvalues -1 and 1 for depth 2, else none but zeros."""
    ground = surface(problem(f"linear_chain(depth={depth})"))
    (found,) = classify(ground, torch.zeros(depth, dtype=torch.float64))
    assert found.label == label
    expected = [-1.0, 1.0] if depth == 2 else [0.0] * depth
    assert found.eigenvalues.tolist() == pytest.approx(expected, abs=1e-15)
    if depth == 3:
        assert str(found.settled) == "neither minimum nor maximum by third derivative"


@pytest.mark.parametrize(
    ("a", "outcome"),
    [
        (0.0, "minimum"), (0.9, "minimum"), (-0.9, "minimum"), (1.0, "unsettled"),
        (-1.0, "unsettled"), (1.1, "neither"), (-1.1, "neither"), (5.0, "neither"),
    ],
)  # fmt: skip
def test_the_coupling_to_other_coordinates_is_removed(a: float, outcome: str) -> None:
    """y^2 + 2 a x^2 y + x^4 = (y + a x^2)^2 + (1 - a^2) x^4 has a minimum where |a| < 1."""
    found = at(pair(lambda x, y: y**2 + 2 * a * x**2 * y + x**4), 0.0, 0.0)
    assert (found.label, found.nullity) == (Label.DEGENERATE, 1)
    assert found.settled is not None
    assert found.settled.outcome == outcome
    assert found.settled.lowest == pytest.approx(24 * (1 - a**2), abs=1e-12)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3))
def test_planted_quartics_are_recovered(seed: int, flat: int, curved: int) -> None:
    """Whatever bends the curved coordinates, the quartic form planted on the kernel decides.

    f(z) = s (y - q(x))' D (y - q(x)) + p(x), with (x, y) = R z, q quadratic, D > 0 diagonal
    and p(x) = sum_i c_i x_i^4, whose signs say what the origin is.
    """
    random = generator("planted", seed)
    size = flat + curved
    turn = torch.from_numpy(np.linalg.qr(random.standard_normal((size, size)))[0])
    bend = torch.from_numpy(random.standard_normal((curved, flat, flat)))
    stiff = torch.from_numpy(random.uniform(0.5, 2, curved))
    signs = random.integers(0, 2, flat) * 2.0 - 1
    weights = torch.from_numpy(signs * random.uniform(0.3, 2, flat))
    side = float(random.integers(0, 2) * 2 - 1)

    def f(z: Tensor) -> Tensor:
        x, y = (z @ turn.T).split([flat, curved], -1)
        off = y - torch.einsum("cij,...i,...j->...c", bend, x, x)
        return side * (stiff * off.square()).sum(-1) + (weights * x**4).sum(-1)

    found = at(f, *[0.0] * size)
    assert (found.label, found.nullity) == (Label.DEGENERATE, flat)
    agree = (signs == side).all()
    expected = ("minimum" if side > 0 else "maximum") if agree else "neither"
    assert found.settled is not None
    assert (found.settled.outcome, found.settled.order) == (expected, 4)
    # the least of sum c_i x_i^4 on the sphere, 24 times
    if signs.min() > 0:
        lowest = 24 / float((1 / weights).sum())
        assert found.settled.lowest == pytest.approx(lowest, rel=1e-6)


def test_what_is_near_a_degenerate_point_is_degenerate() -> None:
    """Points that a search leaves next to x^3, x^4 + y^2 and x^5 + y^2 are no minima."""
    for power, outcome in ((3, "neither"), (4, "minimum")):
        for off in (1e-4, 1e-6, 1e-9):
            found = at(pair(lambda x, y, p=power: x**p + y**2), off, 0.0)  # type: ignore[misc]
            if found.label is not Label.NOT_CRITICAL:
                assert found.label is Label.DEGENERATE, (power, off)
                assert found.settled is not None
                assert found.settled.outcome == outcome, (power, off)


def test_plateaus_and_flat_gradients_are_no_critical_points() -> None:
    """A tail with a gradient of 1e-10 is not critical; a gradient without curvature is flat."""
    tail = at(lambda z: 1 - torch.exp(-z.square().sum(-1) / 2), 7.0, 0.0)
    assert tail.gradient_norm <= tail.gradient_tolerance
    assert tail.label is Label.NOT_CRITICAL
    flat = at(pair(lambda x, y: x + y**2), 0.0, 0.0)
    assert flat.label is Label.NOT_CRITICAL
    assert flat.flat
    steep = at(pair(lambda x, y: x**2 + y**2), 1.0, 0.0)
    assert steep.label is Label.NOT_CRITICAL
    assert not steep.flat
    assert steep.step == pytest.approx(1.0)
    assert steep.decrement == pytest.approx(2.0)


def test_directions_of_symmetry_are_projected_out() -> None:
    """On a ring of minima the direction along it, once known, leaves a minimum."""
    ring = ground(lambda z: (z.square().sum(-1) - 1).square())
    angles = torch.tensor([0.0, 1.0, 2.5], dtype=torch.float64)
    x = torch.stack([angles.cos(), angles.sin()], -1)
    along = 3 * torch.stack([-angles.sin(), angles.cos()], -1)[:, None]
    assert [p.label for p in classify(ring, x)] == ["degenerate"] * 3
    found = classify(ring, x, along.repeat(1, 2, 1))
    assert [p.label for p in found] == ["minimum"] * 3
    assert [p.symmetries for p in found] == [1] * 3
    assert found[1].eigenvalues == pytest.approx([8.0])
    product = surface(problem("linear_chain(depth=2)"))
    here = torch.ones(2, dtype=torch.float64)
    (rescaled,) = classify(product, here, torch.tensor([[1.0, -1.0]]))
    assert rescaled.label is Label.MINIMUM
    assert rescaled.tolerance.symmetry < 1e-14
    (none,) = classify(product, here, torch.zeros(0, 2))
    assert (none.label, none.symmetries) == ("degenerate", 0)
    # a direction that is no symmetry is told by the tolerance
    (wrong,) = classify(product, here, torch.tensor([[1.0, 0.0]]))
    assert wrong.tolerance.source == "symmetry"
    with pytest.raises(BadValue, match="are for 2 points, not 3"):
        classify(ring, x, along[:2])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_planted_spectra(seed: int, size: int) -> None:
    """A quadratic form in turned coordinates has the index and nullity that were planted."""
    random = generator("spectrum", seed)
    signs = random.integers(-1, 2, size)
    values = torch.from_numpy(signs * 10 ** random.uniform(-3, 3, size))
    turn = torch.from_numpy(np.linalg.qr(random.standard_normal((size, size)))[0])
    shift = torch.from_numpy(random.standard_normal(size))
    form = surface(
        Analytic(f=lambda z: 0.5 * (values * ((z - shift) @ turn.T).square()).sum(-1), dim=size)
    )
    (found,) = classify(form, shift, higher=False)
    assert (found.index, found.nullity) == ((signs < 0).sum(), (signs == 0).sum())
    assert found.robust
    np.testing.assert_allclose(
        found.eigenvalues, np.sort(values.numpy()), atol=1e-12 * np.abs(values.numpy()).max()
    )


def test_a_label_that_depends_on_the_tolerance_says_so() -> None:
    """With eigenvalues 1 and 3e-9 the tolerance is 1e-9, and ten times it makes a zero."""
    found = at(pair(lambda x, y: 0.5 * x**2 + 1.5e-9 * y**2), 0.0, 0.0)
    assert found.tolerance.total == pytest.approx(1e-9)
    assert found.tolerance.source == "products"
    assert (found.tighter, found.label, found.looser) == ("minimum", "minimum", "degenerate")
    assert not found.robust


def test_random_matrices_are_positive_as_often_as_theory_says() -> None:
    """Of 200,000 GOE matrices the share of minima is the exact one, to 4 standard deviations.

    False alarms: 6e-5 for each size.
    """
    exact = {1: 0.5, 2: (2 - 2**0.5) / 4, 3: (np.pi - 2 * 2**0.5) / (4 * np.pi), 4: 0.00245}
    count = 200_000
    for size, share in exact.items():
        draws = torch.from_numpy(generator("goe", size).standard_normal((count, size, size)))
        eigenvalues = torch.linalg.eigvalsh((draws + draws.mT) / 2)
        labels, _, _ = kinds(eigenvalues, 1e-9 * eigenvalues.abs().amax(-1))
        measured = float((labels == Label.MINIMUM).mean())
        # the value for size 4 is known to 5e-6
        error = 4 * (share * (1 - share) / count) ** 0.5 + (5e-6 if size == 4 else 0)
        assert abs(measured - share) < error, size
        if size >= 2:
            assert measured < 2.0**-size
        form = (draws[:3] + draws[:3].mT) / 2
        for matrix, label in zip(form, labels, strict=False):
            quadratic = Analytic(
                f=lambda z, m=matrix: 0.5 * torch.einsum("...i,ij,...j->...", z, m, z), dim=size
            )
            (found,) = classify(surface(quadratic), torch.zeros(size, dtype=torch.float64))
            assert found.label == label


def test_large_points_are_not_certified() -> None:
    """Of 5,100 coordinates the extreme eigenvalues are found, with residuals, and no label."""
    size = 5100
    values = torch.linspace(-0.5, 2.0, size, dtype=torch.float64)
    values[0], values[-1] = -1.0, 4.0
    form = surface(Analytic(f=lambda z: 0.5 * (values * z.square()).sum(-1), dim=size))
    (found,) = classify(form, torch.zeros(size, dtype=torch.float64))
    assert found.label is Label.NOT_CERTIFIED
    assert not found.complete
    np.testing.assert_allclose(found.eigenvalues, [-1.0, 4.0], atol=1e-3)
    assert 0 <= found.residual < 1e-3
    assert found.tolerance.residual == found.residual
    assert found.index == 1
    (slope,) = classify(form, torch.ones(size, dtype=torch.float64))
    assert slope.label is Label.NOT_CRITICAL


def test_a_module_at_its_least_squares_solution_is_at_a_minimum() -> None:
    """A linear layer at the solution of the normal equations; its Hessian is 2 X'X / n."""
    random = generator("line")
    x = torch.from_numpy(random.standard_normal((20, 3)))
    y = torch.from_numpy(random.standard_normal((20, 1)))
    line = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        line.weight.copy_(torch.linalg.lstsq(x, y).solution.T)
    flat_ground, here = module_surface(line, (x, y), nn.functional.mse_loss)
    (found,) = classify(flat_ground, here)
    assert found.label is Label.MINIMUM
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(2 * x.T @ x / 20), rtol=1e-10)


def test_points_with_other_shapes_are_refused() -> None:
    """A point of another surface is answered with both sizes."""
    with pytest.raises(BadValue, match="has 2 coordinates, got 3"):
        classify(surface(problem("himmelblau")), torch.zeros(3))
