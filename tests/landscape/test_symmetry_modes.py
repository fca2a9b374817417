"""Gradient and Hessian keep to the continuous symmetries of a network."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from ravine.landscape.operators import dense, hessian
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.surface import loss, pack
from ravine.landscape.symmetry.modes import identities, modes, symmetry_directions
from ravine.landscape.symmetry.networks import groups, trace
from ravine.problems import problem

BOUND = 1e-8


def made(seed: int, *layers: nn.Module) -> nn.Module:
    """Layers in float64, with a draw of their own."""
    module = nn.Sequential(*layers).double()
    draw = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=draw, dtype=torch.float64)
    return module


def data(seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 3, generator=draw, dtype=torch.float64)
    return x, torch.randint(classes, (40,), generator=draw)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 5), bias=st.booleans())
def test_rectified_units_and_softmax_outputs(seed: int, width: int, bias: bool) -> None:
    """At any point: g . D theta = 0 and H D theta = -D g to 1e-8, a direction for each unit."""
    module = made(
        seed, nn.Linear(3, width, bias=bias), nn.ReLU(), nn.Linear(width, 4), nn.LeakyReLU(),
        nn.Linear(4, 3),
    )  # fmt: skip
    x, y = data(seed)
    ground, here = module_surface(module, (x, y), functional.cross_entropy)
    found = identities(ground, trace(module, x), here)
    # a layer of one unit is scaled too; shifts by the output bias and by its four inputs
    assert len(found.names) == width + 4 + 5
    assert all(found.exact)
    assert found.worst < BOUND


def test_units_that_are_batch_normalised() -> None:
    """With eps 0 the incoming weights of a normalised unit have no scale; with eps, almost none."""
    residuals = {}
    for eps in (0.0, 1e-5):
        module = made(1, nn.Linear(3, 5), nn.BatchNorm1d(5, eps=eps), nn.ReLU(), nn.Linear(5, 3))
        ground, here = module_surface(module, data(1), functional.cross_entropy, batch_norm="batch")
        found = trace(module, data(1)[0])
        checked = identities(ground, found, here)
        scales = [i for i, name in enumerate(checked.names) if name.startswith("scale 0[")]
        assert len(scales) == 5
        assert [checked.exact[i] for i in scales] == [eps == 0] * 5
        residuals[eps] = max(checked.curvatures[i] for i in scales)
        assert checked.worst < BOUND
    assert residuals[0.0] < BOUND < residuals[1e-5] < 1e-3


def test_directions_lie_in_the_kernel_where_the_gradient_vanishes() -> None:
    """At a minimum of the loss the Hessian has at least as many zeros as there are directions."""
    module = made(0, nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False))
    x = torch.rand(30, 2, dtype=torch.float64) + 0.1
    y = module(x).detach()
    ground, here = module_surface(module, (x, y), functional.mse_loss)
    found = trace(module, x)
    directions = symmetry_directions(found, here, ground)
    # no shifts: the squared error knows one number from another
    assert directions.shape == (3, ground.size)
    matrix = dense(hessian(ground, here))
    assert (matrix @ directions.T).abs().max() < 1e-12 * matrix.abs().max()
    values = torch.linalg.eigvalsh(matrix)
    assert (values.abs() < 1e-10 * values[-1]).sum() >= 3


def test_a_direction_is_the_tangent_of_its_orbit() -> None:
    """The loss stays the same along e^(t D) theta, and theta + t v for a shift."""
    module = made(2, nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    ground, here = module_surface(module, data(2), functional.cross_entropy)
    found = modes(trace(module, data(2)[0]), here, ground)
    value = loss(ground, here).item()
    for i, name in enumerate(found.names):
        for t in (-0.7, 1.3):
            if name.startswith("scale"):
                there = torch.exp(t * found.generators[i]) * here
                tangent = found.generators[i] * here
                assert torch.equal(tangent, found.directions[i])
            else:
                there = here + t * found.directions[i]
            assert loss(ground, there).item() == pytest.approx(value, rel=1e-12)


def test_a_network_of_the_catalogue() -> None:
    """A perceptron on MNIST: all of its units and shifts, in float64."""
    network = problem("mnist_mlp(widths=(6, 5))")
    ground = surface(network, examples=100)
    found = identities(ground, groups(network), pack(ground, network.start(0)))
    assert len(found.names) == 6 + 5 + 1 + 5
    assert found.worst < BOUND
    assert found.gradient > 0
    # tanh and sigmoid have no scale, a squared error no shift
    curved = groups(problem("mnist_mlp(widths=(6,), activation=tanh)"))
    assert len(symmetry_directions(curved, torch.ones(curved.size))) == 0
