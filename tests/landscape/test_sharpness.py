"""Sharpness: closed forms on quadratics, and what a rescaled network must keep."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from ravine.errors import BadValue
from ravine.landscape.operators import dense, hessian
from ravine.landscape.sharpness import Sharpness, ascend, scaled, scales, sharpness
from ravine.landscape.sources import module_surface
from ravine.landscape.surface import Part, Surface

H = torch.tensor([4.0, 1.0, 0.5, 0.25, 3.0], dtype=torch.float64)
AT = torch.tensor([0.3, -2.0, 1.0, 0.5, -0.1], dtype=torch.float64)


def bowl(centre: torch.Tensor, curvatures: torch.Tensor = H) -> Surface:
    """f(x) = sum_i h_i (x_i - c_i)^2 / 2."""
    return Surface(
        name="bowl",
        shapes={"x": tuple(curvatures.shape)},
        parts=(Part({}),),
        mean=lambda point, data, moments: (curvatures * (point["x"] - centre).square()).sum(-1) / 2,
    )


def of(found: Sharpness, geometry: str) -> object:
    return next(m for m in found.measures if m.geometry == geometry)


def test_a_minimum_of_a_quadratic_has_all_in_closed_form() -> None:
    """Ball: rho^2 lambda / 2; box: the sum over coordinates; trace and eigenvalue exactly."""
    found = sharpness(bowl(AT), AT, radius=0.1, scaled_radius=0.2, epsilon=1e-2)
    plain, scaled = of(found, "plain"), of(found, "elementwise")
    sides = 1e-2 * (AT.abs() + 1)
    assert found.gradient_norm == 0.0
    assert plain.eigenvalue == pytest.approx(4.0, rel=1e-12)
    assert plain.trace == pytest.approx(H.mean().item(), rel=1e-12)
    assert plain.trace_error == 0.0
    assert plain.one_step == 0.0
    assert plain.ball.rise == pytest.approx(0.1**2 * 4.0 / 2, rel=1e-6)
    box = (H * sides.square()).sum().item() / 2
    assert plain.box.rise == pytest.approx(box, rel=1e-9)
    assert plain.keskar == pytest.approx(100 * box, rel=1e-9)
    bent = H * AT.square()
    assert scaled.eigenvalue == pytest.approx(bent.max().item(), rel=1e-12)
    assert scaled.trace == pytest.approx(bent.mean().item(), rel=1e-12)
    assert scaled.ball.rise == pytest.approx(0.2**2 * bent.max().item() / 2, rel=1e-6)
    assert scaled.box.rise == pytest.approx(1e-4 * bent.sum().item() / 2, rel=1e-9)
    assert plain.ball.converged
    assert plain.box.converged


def test_on_a_slope_the_step_of_sam_is_in_closed_form_and_the_ball_reaches_no_less() -> None:
    """f(x + rho g/|g|) - f(x) = rho |g| + rho^2 g'Hg / (2 g'g); the box's best corner is known."""
    centre = torch.zeros(5, dtype=torch.float64)
    g = H * AT
    found = sharpness(bowl(centre), AT, radius=0.3, epsilon=1e-2)
    plain = of(found, "plain")
    expected = 0.3 * g.norm() + 0.3**2 * (g @ (H * g)) / (g @ g) / 2
    assert plain.one_step == pytest.approx(expected.item(), rel=1e-9)
    assert plain.ball.rise >= plain.one_step * (1 - 1e-9)
    reach = AT.abs() + 1e-2 * (AT.abs() + 1)
    corner = (H * (reach.square() - AT.square())).sum().item() / 2
    assert plain.box.rise == pytest.approx(corner, rel=1e-9)
    adaptive = of(found, "elementwise")
    t = AT.abs()
    step = 0.5 * t * t * g / (t * g).norm()
    rise = (H * ((AT + step).square() - AT.square())).sum() / 2
    assert adaptive.one_step == pytest.approx(rise.item(), rel=1e-9)


def test_the_largest_eigenvalue_is_not_the_largest_in_magnitude() -> None:
    """At a saddle with eigenvalues 2 and -9 the sharpness is 2."""
    h = torch.tensor([2.0, -9.0], dtype=torch.float64)
    found = sharpness(bowl(torch.zeros(2).double(), h), torch.zeros(2).double())
    assert of(found, "plain").eigenvalue == pytest.approx(2.0)
    assert of(found, "elementwise").eigenvalue == 0.0


def test_the_ball_of_a_quadratic_is_the_trust_regions() -> None:
    """A maximum on the boundary solves the secular equation (mu - H) u = g."""
    x, radius = AT, 0.7
    g = H * AT
    low, high = H.max().item(), 1e6
    for _ in range(200):
        mu = (low + high) / 2
        low, high = (mu, high) if (g / (mu - H)).norm() > radius else (low, mu)
    u = g / (high - H)
    exact = (g @ u + (u * H) @ u / 2).item()
    found = ascend(bowl(torch.zeros(5).double()), x, torch.ones(5).double(), radius, "ball", g, 500)
    assert found.rise == pytest.approx(exact, rel=1e-4)
    assert found.rise <= exact * (1 + 1e-9)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()


def data() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return torch.randn(40, 4, dtype=torch.float64), torch.randint(3, (40,))


def test_rescaling_a_relu_network_changes_the_plain_sharpness_alone() -> None:
    """Dinh's rescaling by c: same outputs, another eigenvalue, the same scaled measures."""
    inputs, targets = data()
    whole, part = net(), net()
    with torch.no_grad():
        whole[0].weight *= 20.0
        whole[0].bias *= 20.0
        whole[2].weight /= 20.0
        factors = torch.logspace(-1, 1, 6, dtype=torch.float64)
        part[0].weight *= factors[:, None]
        part[0].bias *= factors
        part[2].weight /= factors
    before, *after = (
        sharpness(
            *module_surface(module, (inputs, targets), functional.cross_entropy),
            iterations=12,
        )
        for module in (net(), whole, part)
    )
    for found, kept in zip(after, (("elementwise", "filterwise"), ("elementwise",)), strict=True):
        assert found.loss == pytest.approx(before.loss, rel=1e-12)
        assert of(found, "plain").eigenvalue > 3 * of(before, "plain").eigenvalue
        for geometry in kept:
            old, new = of(before, geometry), of(found, geometry)
            for name in ("eigenvalue", "trace", "one_step", "keskar"):
                assert getattr(new, name) == pytest.approx(getattr(old, name), rel=1e-6), name
            assert new.ball.rise == pytest.approx(old.ball.rise, rel=1e-2)
    kinds = {m.geometry: m.invariant for m in before.measures}
    assert kinds == {"plain": "none", "elementwise": "units", "filterwise": "layers"}


def test_filters_are_rows_and_other_parameters_stand_alone() -> None:
    """A convolution's filter is one output channel with all of its inputs and positions."""
    conv = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(3, 2)).double()
    pair = (torch.randn(5, 2, 2, 2, dtype=torch.float64), torch.randint(2, (5,)))
    ground, x = module_surface(conv, pair, functional.cross_entropy)
    scale = scales(ground, x)["filterwise"]
    norms = conv[0].weight.detach().flatten(1).norm(dim=1)
    assert torch.allclose(scale[ground.slices["0.weight"]].view(3, -1), norms[:, None])
    assert torch.equal(scale[ground.slices["0.bias"]], conv[0].bias.detach().abs())


def test_the_matrix_of_a_geometry_is_scaled_from_both_sides() -> None:
    """T H T as an operator is the dense product, and its trace over P the mean curvature."""
    ground, x = module_surface(net(), data(), functional.cross_entropy)
    scale = scales(ground, x)["filterwise"]
    expected = scale[:, None] * dense(hessian(ground, x)) * scale
    assert torch.allclose(dense(scaled(hessian(ground, x), scale)), expected, atol=1e-14)
    found = of(sharpness(ground, x, iterations=1), "filterwise")
    assert found.trace == pytest.approx(torch.trace(expected).item() / ground.size, rel=1e-9)
    assert found.trace_converged


def test_an_ascent_that_was_cut_short_says_so() -> None:
    """Two iterations do not suffice; the record has the spread over starts, and no convergence."""
    ground, x = module_surface(net(), data(), functional.cross_entropy)
    found = sharpness(ground, x, iterations=2)
    assert not of(found, "plain").ball.converged
    assert found == sharpness(ground, x, iterations=2)
    low, high = of(found, "plain").ball.spread
    assert low < high == of(found, "plain").ball.rise
    with pytest.raises(BadValue, match="`epsilon` must be positive"):
        sharpness(ground, x, epsilon=0.0)
