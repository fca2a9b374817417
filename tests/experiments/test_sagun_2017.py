"""Measures of spectra, networks and their data, against closed forms and second ways."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ravine.experiments import sagun_2017
from ravine.landscape.surface import loss
from ravine.problems.datasets import mnist


def spectrum(values: list[float], classes: int) -> sagun_2017.Spectrum:
    """One spectrum."""
    row = np.array([values])
    return sagun_2017.Spectrum(classes, row, np.ones(1), np.ones(1))


def test_measures_of_a_spectrum_with_three_outliers() -> None:
    """By hand: 9, 8 and 6 before a bulk of a few small ones, one of them negative."""
    found = spectrum([9.0, 8.0, 6.0, 0.6, 0.5, 0.4, 1e-3, -1e-3, -0.5], 3)
    assert found.size == 9
    assert found.gap == [pytest.approx(8 / 0.4)]
    assert found.outliers == [3]
    assert found.bulk == [pytest.approx(2 / 9)]
    assert found.large == [7]
    total = 81 + 64 + 36 + 0.36 + 0.25 + 0.16 + 2e-6 + 0.25
    assert found.carried == [pytest.approx(181 / total)]


def test_pooled_images_are_torchs_mean_pool() -> None:
    """Of the first images of the first classes."""
    inputs, labels = sagun_2017.pooled(3, 20)
    images = mnist()
    mine = [k for k, label in enumerate(images.train_labels.tolist()) if label < 3][:20]
    square = images.train_images[mine].double().view(-1, 1, 28, 28)
    torch.testing.assert_close(inputs, functional.avg_pool2d(square, 4).flatten(1))
    assert labels.tolist() == images.train_labels[mine].tolist()


def test_blobs_have_their_centres_and_unit_variance() -> None:
    """Within each class, over many points."""
    inputs, labels = sagun_2017.blobs(3, 6000)
    for k in range(3):
        own = inputs[labels == k]
        assert own.shape == (2000, sagun_2017.FEATURES)
        torch.testing.assert_close(
            own.var(0), torch.ones(sagun_2017.FEATURES).double(), atol=0.15, rtol=0
        )
    means = torch.stack([inputs[labels == k].mean(0) for k in range(3)])
    assert float(torch.pdist(means).min()) > 2


def test_training_is_descent_with_momentum(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spectrum belongs to where torch's SGD ends, to rounding."""
    monkeypatch.setattr(sagun_2017, "STEPS", 15)
    case = sagun_2017.Case(True, 2, 3)
    found = sagun_2017.spectrum(case, range(2), 40)
    ground, module = sagun_2017.network(case, 40)
    inputs, labels = sagun_2017.blobs(2, 40)
    start = sagun_2017._start(module, 1)
    torch.nn.utils.vector_to_parameters(start, module.parameters())
    assert float(loss(ground, start)) == pytest.approx(
        float(functional.cross_entropy(module(inputs), labels).detach())
    )
    sgd = torch.optim.SGD(module.parameters(), lr=sagun_2017.RATE, momentum=sagun_2017.MOMENTUM)
    for _ in range(15):
        sgd.zero_grad()
        functional.cross_entropy(module(inputs), labels).backward()
        sgd.step()
    end = torch.nn.utils.parameters_to_vector(module.parameters()).detach()
    whole = torch.autograd.functional.hessian(lambda x: ground_of(x, inputs, labels), end)
    values = torch.linalg.eigvalsh(whole).flip(0)
    np.testing.assert_allclose(found.eigenvalues[1], values.numpy(), atol=1e-8)
    right = (module(inputs).argmax(1) == labels).double().mean()
    assert float(found.right[1]) == pytest.approx(float(right))
    assert found.slopes.shape == (2,)


def ground_of(x: torch.Tensor, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss of the small network, written out."""
    size = sagun_2017.FEATURES
    w, b, v, c = x.split([3 * size, 3, 6, 2])
    hidden = torch.tanh(inputs @ w.view(3, size).T + b)
    return functional.cross_entropy(hidden @ v.view(2, 3).T + c, labels)
