"""Where searches stop, against what is known of a linear autoencoder."""

import numpy as np
import pytest
import torch

from ravine.experiments import frye_2021
from ravine.landscape.operators import hessians
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient
from ravine.problems.catalogue import analytic


def test_predicted_points_of_the_linear_autoencoder_are_the_catalogues() -> None:
    """Eleven of them, with the losses that the formula's facts list, the least at index 0."""
    known = frye_2021.predicted()
    facts = analytic("linear_autoencoder").facts.critical_points
    assert sorted(v for v, _ in known) == pytest.approx(sorted(p.value for p in facts))
    assert min(known) == (0.75, 0)
    assert max(known) == (3.75, 8)


def test_predicted_indices_are_those_of_the_hessians() -> None:
    """At the catalogue's points, by all eigenvalues."""
    encoder = analytic("linear_autoencoder")
    known = dict(frye_2021.predicted())
    for point in encoder.facts.critical_points:
        x = torch.tensor(point.x, dtype=torch.float64)
        values = torch.linalg.eigvalsh(hessians(surface(encoder), x))
        nearest = min(known, key=lambda value: abs(value - point.value))
        assert int((values < -1e-9).sum()) == known[nearest]


def test_stops_tell_gradients_and_flatness() -> None:
    """By the Hessian at the end; searches cut short are not critical."""
    encoder = surface(analytic("linear_autoencoder"))
    starts = torch.randn(6, encoder.size, generator=torch.Generator().manual_seed(0)).double()
    found = frye_2021.stops(encoder, starts, 3)
    assert not found.critical.all()
    np.testing.assert_allclose(found.begun, gradient(encoder, starts).norm(dim=1).numpy())
    g = gradient(encoder, found.points)
    np.testing.assert_allclose(found.norms, g.norm(dim=1).numpy(), rtol=1e-9)
    far = frye_2021.stops(encoder, starts, 300)
    assert far.critical.sum() >= 5
    some = far.part(slice(2, 5))
    assert some.points.shape == (3, encoder.size)
    np.testing.assert_array_equal(some.norms, far.norms[2:5])


def test_flat_ends_and_those_mistaken_for_critical() -> None:
    """By hand: one critical, two flat, of which one has a large gradient, and one steep."""
    found = frye_2021.Stops(
        begun=np.ones(4),
        norms=np.array([1e-14, 1e-4, 1e-1, 1e-4]),
        flatness=np.array([1e-5, 1e-5, 1e-5, 0.5]),
        critical=np.array([True, False, False, False]),
        points=torch.zeros(4, 2).double(),
    )
    assert found.flat.tolist() == [False, True, True, False]
    assert found.small.tolist() == [True, True, False, True]
