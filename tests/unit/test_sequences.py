"""Recurrent networks on the copy and adding tasks, against torch.nn and the tasks' own rules."""

import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ravine.errors import BadValue
from ravine.problems.base import Data, Point
from ravine.problems.networks import Network
from ravine.problems.networks.sequences import (
    AddingSupply,
    CopySupply,
    Recurrent,
    recurrent_memory,
)

NETWORKS: dict[str, Callable[[], Network]] = {
    f"{task} {cell}": lambda task=task, cell=cell: recurrent_memory(  # type: ignore[misc]
        task=task, steps=6, width=5, cell=cell, radius=0.9, batch=4
    )
    for task in ("copy", "adding")
    for cell in ("tanh", "gru")
}
ROUNDING = 1e-12
"""Relative to the largest entry, in float64."""


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    """Each task with each cell, small."""
    return NETWORKS[request.param]()


def expected(network: Network, point: Point, data: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradient of one network, from torch's recurrent modules."""
    model = network.model
    assert isinstance(model, Recurrent)
    cell = {"tanh": nn.RNN, "gru": nn.GRU}[model.cell]
    recurrent = cell(model.inputs, model.units, batch_first=True, dtype=torch.float64)
    output = nn.Linear(model.units, model.answers, dtype=torch.float64)
    theirs: dict[str, Tensor] = {
        "input.weight": recurrent.weight_ih_l0,
        "input.bias": recurrent.bias_ih_l0,
        "state.weight": recurrent.weight_hh_l0,
        "state.bias": recurrent.bias_hh_l0,
        "output.weight": output.weight,
        "output.bias": output.bias,
    }
    with torch.no_grad():
        recurrent.bias_hh_l0.zero_()
        for name, value in point.items():
            theirs[name].copy_(value)
    states, _ = recurrent(data["inputs"].double())
    answers = output(states[:, -model.last :])
    if network.criterion.right is None:
        loss = (answers[:, 0] - data["targets"]).square().mean()
    else:
        loss = functional.cross_entropy(answers.flatten(0, 1), data["targets"].flatten())
    kept = {name: theirs[name] for name in network.shapes}
    grads = torch.autograd.grad(loss, list(kept.values()))
    return loss.detach(), dict(zip(kept, grads, strict=True))


def found(network: Network, point: Point, data: Data) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses, and the gradient of their sum."""
    leaves = {name: p.detach().requires_grad_() for name, p in point.items()}
    losses = network.loss(leaves, data)
    grads = torch.autograd.grad(losses.sum(), list(leaves.values()))
    return losses.detach(), dict(zip(leaves, grads, strict=True))


def stacked(network: Network, settings: int, seeds: int) -> dict[str, Tensor]:
    """Different networks for all settings and seeds, with biases other than zero."""
    generator = torch.Generator().manual_seed(4)
    starts = [network.start(seed) for seed in range(settings * seeds)]
    return {
        name: torch.stack([s[name].double() for s in starts]).view(settings, seeds, *shape)
        + 0.1 * torch.randn(settings, seeds, *shape, generator=generator, dtype=torch.float64)
        for name, shape in network.shapes.items()
    }


def assert_close(ours: Tensor, wanted: Tensor, tolerance: float = ROUNDING) -> None:
    """Equal to rounding, relative to the largest entry."""
    scale = max(float(wanted.detach().abs().max()), 1e-3)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=tolerance * scale)


def test_networks_equal_torch_modules(network: Network) -> None:
    """A single network, [settings] with one seed's data and [settings, seeds] are torch's."""
    point, data = stacked(network, 2, 3), network.batch([0, 1, 2], 2)
    losses, grads = found(network, point, data)
    assert losses.shape == (2, 3)
    for s in range(3):
        own = {n: d[s] for n, d in data.items()}
        of_seed, of_seed_grads = found(network, {n: p[:, s] for n, p in point.items()}, own)
        assert of_seed.shape == (2,)
        for g in range(2):
            alone = {n: p[g, s] for n, p in point.items()}
            wanted, wanted_grads = expected(network, alone, own)
            single, single_grads = found(network, alone, own)
            for loss in (losses[g, s], of_seed[g], single):
                assert_close(loss, wanted)
            for name, grad in wanted_grads.items():
                for ours in (grads[name][g, s], of_seed_grads[name][g], single_grads[name]):
                    assert_close(ours, grad)


def test_second_derivatives(network: Network) -> None:
    """The Hessian times a vector is the difference of gradients along it."""
    point = {n: p[0, 0] for n, p in stacked(network, 1, 1).items()}
    data = {n: d[0] for n, d in network.batch([0], 0).items()}
    generator = torch.Generator().manual_seed(1)
    along = {n: torch.randn(p.shape, generator=generator).to(p) for n, p in point.items()}
    leaves = {n: p.clone().requires_grad_() for n, p in point.items()}
    grads = torch.autograd.grad(
        network.loss(leaves, data), list(leaves.values()), create_graph=True
    )
    slope = sum((g * v).sum() for g, v in zip(grads, along.values(), strict=True))
    product = torch.autograd.grad(slope, list(leaves.values()))
    ahead, behind = (
        found(network, {n: p + t * along[n] for n, p in point.items()}, data)[1]
        for t in (1e-5, -1e-5)
    )
    for (n, high), hvp in zip(ahead.items(), product, strict=True):
        assert_close(hvp, (high - behind[n]) / 2e-5, 1e-6)


def test_copy_shows_symbols_then_asks_for_them() -> None:
    """Symbols, blanks, a signal and blanks; the targets are the symbols in their order."""
    supply = CopySupply(steps=7, length=3, batch_size=16)
    data = supply.batch([0, 1], 4)
    codes = data["inputs"].argmax(-1)
    assert data["inputs"].shape == (2, 16, 13, 10)
    assert torch.equal(data["inputs"], functional.one_hot(codes, 10).float())
    assert torch.equal(codes[..., :3], data["targets"])
    assert (codes[..., 3:9] == 8).all()
    assert (codes[..., 9] == 9).all()
    assert (codes[..., 10:] == 8).all()
    assert set(data["targets"].flatten().tolist()) == set(range(8))


def test_adding_marks_one_number_in_each_half() -> None:
    """Targets are the sums of two numbers, one marked in each half of an odd length."""
    data = AddingSupply(steps=9, batch_size=500).batch([0, 3], 4)
    numbers, marks = data["inputs"].unbind(-1)
    assert data["inputs"].shape == (2, 500, 9, 2)
    assert set(marks.flatten().tolist()) == {0.0, 1.0}
    assert (marks[..., :4].sum(-1) == 1).all()
    assert (marks[..., 4:].sum(-1) == 1).all()
    assert (marks.sum((0, 1)) > 0).all()
    assert numbers.min() >= 0
    assert numbers.max() <= 1
    assert_close(data["targets"][..., 0], (numbers * marks).sum(-1), 1e-6)


def test_error_without_memory() -> None:
    """Answering 1 to all has error 1/6 in adding, equal odds log 8 in copying.

    The mean of 2,000 squares of standard deviation sqrt(7/180) lies within 5 standard errors:
    false alarm 6e-7.
    """
    adding = recurrent_memory(task="adding")
    point = {n: torch.zeros(shape, dtype=torch.float64) for n, shape in adding.shapes.items()}
    always = adding.evaluate({**point, "output.bias": torch.ones(1, dtype=torch.float64)}, {})
    assert abs(always["test_loss"].item() - 1 / 6) < 5 * math.sqrt(7 / 180 / 2000)
    copying = recurrent_memory()
    point = {n: torch.zeros(shape, dtype=torch.float64) for n, shape in copying.shapes.items()}
    assert copying.evaluate(point, {})["test_loss"].item() == pytest.approx(math.log(8))


@pytest.mark.parametrize("task", ["copy", "adding"])
def test_batches_are_pure_functions_of_seed_and_step(task: str) -> None:
    """Other seeds, other calls and other networks change nothing; steps and seeds do."""
    supply = recurrent_memory(task=task, batch=8).supply
    together = supply.batch([4, 9], 11)
    supply.batch([1], 0)
    for row, seed in enumerate([4, 9]):
        alone = recurrent_memory(task=task, batch=8, width=3).batch([seed], 11)
        for name, values in together.items():
            assert torch.equal(alone[name][0], values[row])
    inputs = together["inputs"]
    assert not torch.equal(inputs[0], inputs[1])
    assert not torch.equal(inputs[0], supply.batch([4], 12)["inputs"][0])
    assert inputs.shape[2:] == supply.example == supply.calibration().shape[1:]
    assert all(torch.equal(a, b) for a, b in zip(supply.test(), supply.test(), strict=True))


@pytest.mark.parametrize("cell", ["tanh", "gru"])
def test_radius_is_that_of_all_eigenvalues(cell: str) -> None:
    """Every eigenvalue of every initial recurrent matrix has the modulus that was asked for."""
    network = recurrent_memory(cell=cell, radius=0.7, width=16)
    start = network.start(2)
    assert {p.dtype for p in start.values()} == {torch.float32}
    assert {n: tuple(p.shape) for n, p in start.items()} == network.shapes
    blocks = start["state.weight"].double().view(-1, 16, 16)
    moduli = torch.linalg.eigvals(blocks).abs()
    torch.testing.assert_close(moduli, torch.full_like(moduli, 0.7), rtol=1e-6, atol=0)
    assert all(not torch.equal(blocks[0], other) for other in blocks[1:])
    assert all(torch.equal(p, network.start(2)[name]) for name, p in start.items())
    assert not torch.equal(start["state.weight"], network.start(3)["state.weight"])


def test_gradient_vanishes_as_a_power_of_the_radius() -> None:
    """What an input t steps before the answer adds to the gradient is at most radius^t of it.

    |d loss / d x_(T - t)| <= |d loss / d h_T| radius^t |W|, for |tanh'| <= 1 and U / radius is
    orthogonal.  With a radius of 1 a gradient beyond the bound of 1/2 arrives.
    """
    arrived = {}
    for radius in (0.5, 1.0):
        network = recurrent_memory(task="adding", steps=20, radius=radius)
        point = {n: p.double() for n, p in network.start(0).items()}
        data = {n: d[0].double() for n, d in network.batch([0], 0).items()}
        data["inputs"].requires_grad_()
        (slope,) = torch.autograd.grad(network.loss(point, data), data["inputs"])
        sizes = slope.norm(dim=-1)
        with torch.no_grad():
            one = {n: p[None, None] for n, p in point.items()}
            answers = network.model.outputs(one, data["inputs"][None])[0, 0, 0]
        error = 2 * (answers - data["targets"][:, 0]).abs() / len(answers)
        largest = error * torch.linalg.matrix_norm(point["output.weight"], 2)
        largest = largest * torch.linalg.matrix_norm(point["input.weight"], 2)
        back = torch.arange(19, -1, -1, dtype=torch.float64)
        # the start is rounded to float32
        assert (sizes <= 1.00001 * largest[:, None] * radius**back).all()
        arrived[radius] = (sizes[:, 0] / largest).max()
    assert arrived[1.0] > 0.5**19


def test_sgd_learns_a_short_memory() -> None:
    """From seeds 0 and 1 plain SGD copies 2 symbols after 2 steps far better than by chance."""
    network = recurrent_memory(steps=2, symbols=2, width=16)
    starts = [network.start(seed) for seed in (0, 1)]
    point = {n: torch.stack([s[n] for s in starts])[None] for n in network.shapes}
    for step in range(200):
        _, grads = found(network, point, network.batch([0, 1], step))
        point = {n: p - 0.3 * grads[n] for n, p in point.items()}
    tested = network.evaluate(point, {})
    assert (tested["test_loss"] < 0.5 * math.log(8)).all()
    assert (tested["accuracy"] > 0.5).all()


def test_arguments_outside_their_domain_are_refused() -> None:
    """Each bad argument raises a sentence that names it."""
    with pytest.raises(BadValue, match="`task` must be one of copy, adding, got parity"):
        recurrent_memory(task="parity")
    with pytest.raises(BadValue, match="`cell` must be one of tanh, gru, got lstm"):
        recurrent_memory(cell="lstm")
    with pytest.raises(BadValue, match="`steps` must be a whole number of at least 2, got 1"):
        recurrent_memory(steps=1)
    with pytest.raises(BadValue, match="`width` must be a whole number of at least 1, got 0"):
        recurrent_memory(width=0)
    with pytest.raises(BadValue, match="`batch` must be a whole number of at least 1, got -1"):
        recurrent_memory(batch=-1)
    for radius in (0.0, math.inf, math.nan):
        with pytest.raises(BadValue, match="`radius` must be positive and finite"):
            recurrent_memory(radius=radius)
    with pytest.raises(BadValue, match="`symbols` belongs to `task=copy`, got 3; leave it out"):
        recurrent_memory(task="adding", symbols=3)


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (recurrent_memory("copy", 20), "recurrent_memory"),
        (recurrent_memory("adding", cell="gru"), "recurrent_memory(task=adding, cell=gru)"),
        (recurrent_memory(radius=0.5, symbols=3), "recurrent_memory(radius=0.5, symbols=3)"),
    ],
)
def test_name_leaves_defaults_out(network: Network, name: str) -> None:
    """However a network was written, its own name is the same; it travels between processes."""
    assert network.name == name
    assert pickle.loads(pickle.dumps(network)) == network
