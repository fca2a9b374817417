"""A surface is the mean loss over its data, at any stack of points."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from ravine.errors import BadValue
from ravine.landscape.operators import dense, fisher, gauss_newton, hessian, hessians
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.surface import (
    Surface,
    accuracy,
    gradient,
    loss,
    loss_and_gradient,
    pack,
    unpack,
)
from ravine.problems import problem
from ravine.problems.modules.module import ModuleProblem

torch.manual_seed(0)
X = torch.randn(30, 4, dtype=torch.float64)
Y = torch.randint(3, (30,))


def net(norm: bool = False) -> nn.Module:
    torch.manual_seed(1)
    middle: list[nn.Module] = [nn.BatchNorm1d(5)] if norm else []
    return nn.Sequential(nn.Linear(4, 5), *middle, nn.Tanh(), nn.Linear(5, 3)).double()


def right(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return (outputs.argmax(-1) == targets).double().mean()


def flat_loss(module: nn.Module, ground: Surface, x: torch.Tensor) -> torch.Tensor:
    outputs = torch.func.functional_call(module, unpack(ground, x), (X,))
    return functional.cross_entropy(outputs, Y)


def test_a_module_is_evaluated_where_it_stands_and_left_as_it_is() -> None:
    """Loss, gradient and accuracy are those of the module; no number of it changes."""
    module = net(norm=True).eval()
    kept = copy.deepcopy(module.state_dict())
    ground, here = module_surface(
        module, (X, Y), functional.cross_entropy, accuracy=right, batch_norm="frozen"
    )
    answer = module(X)
    assert loss(ground, here).item() == pytest.approx(
        functional.cross_entropy(answer, Y).item(), rel=1e-12
    )
    assert accuracy(ground, here).item() == right(answer, Y).item()
    gradient(ground, here)
    hessian(ground, here)(here)
    assert all(torch.equal(kept[n], t) for n, t in module.state_dict().items())
    assert not module.training
    assert all(p.grad is None for p in module.parameters())


def test_products_are_those_of_the_dense_matrices() -> None:
    """Hessian, Gauss-Newton and Fisher agree with matrices built by torch.func."""
    module = net()
    ground, x = module_surface(module, (X, Y), functional.cross_entropy)
    exact = torch.func.jacrev(torch.func.grad(lambda z: flat_loss(module, ground, z)))(x)
    assert torch.allclose(dense(hessian(ground, x)), exact, atol=1e-12)
    assert torch.allclose(hessians(ground, x), exact, atol=1e-12)

    def outputs(z: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, unpack(ground, z), (X,))

    jacobian = torch.func.jacrev(outputs)(x)
    p = outputs(x).softmax(-1)
    bend = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = torch.einsum("noa,nop,npb->ab", jacobian, bend, jacobian) / len(X)
    assert torch.allclose(dense(gauss_newton(ground, x)), expected, atol=1e-12)
    errors = torch.func.jacrev(lambda z: functional.cross_entropy(outputs(z), Y, reduction="none"))(
        x
    )
    assert torch.allclose(dense(fisher(ground, x)), errors.T @ errors / len(X), atol=1e-12)


@pytest.mark.parametrize("build", [hessian, gauss_newton, fisher])
def test_products_weight_unequal_parts_by_their_examples(build: object) -> None:
    """A catalogue network over 300 images in parts of 128, 128 and 44 is a mean over images."""
    shape = problem("mnist_mlp(widths=(8,), activation=tanh)")
    parts = surface(shape, examples=300, batch_norm="batch")
    whole = surface(shape, examples=300)
    assert [part.examples for part in whole.parts] == [300]
    cut = Surface(
        **{
            **{n: getattr(whole, n) for n in Surface.__dataclass_fields__},
            "parts": tuple(
                type(whole.parts[0])({n: t[a:b] for n, t in whole.parts[0].data.items()}, b - a)
                for a, b in ((0, 128), (128, 256), (256, 300))
            ),
        }
    )
    assert parts.examples == 300
    x = pack(whole, shape.start(0)).double()
    v = torch.randn(2, whole.size, dtype=torch.float64)
    assert torch.allclose(loss(cut, x), loss(whole, x), rtol=1e-12)
    one, two = build(cut, x)(v), build(whole, x)(v)  # type: ignore[operator]
    assert torch.allclose(one, two, rtol=1e-9, atol=1e-12)


def test_a_stack_of_points_is_each_point_alone() -> None:
    """Losses and gradients of a stack are those of its points, for all sources."""
    module_problem = ModuleProblem(
        lambda: net(norm=True), (X, Y), functional.cross_entropy, test=(X, Y), batch_size=10
    )
    for source in (
        problem("rosenbrock(dim=3)"),
        problem("deep_mlp(depth=3, width=8, norm=batch, activation=tanh)"),
        module_problem,
    ):
        ground = surface(source, examples=200)
        stack = torch.stack([pack(ground, source.start(s)).double() for s in (0, 1, 2)])
        values, slopes = loss_and_gradient(ground, stack.view(3, 1, -1))
        for i in range(3):
            value, slope = loss_and_gradient(ground, stack[i])
            assert torch.allclose(values[i, 0], value, rtol=1e-10)
            assert torch.allclose(slopes[i, 0], slope, rtol=1e-8, atol=1e-10)


def test_batch_normalisation_follows_its_policy() -> None:
    """Recomputed moments are the training set's, frozen ones the anchor's or the module's own."""
    module = net(norm=True)
    x = torch.cat([p.detach().flatten() for p in module.parameters()])
    module.train()
    by_batch = functional.cross_entropy(module(X), Y).item()
    module.eval()
    own = functional.cross_entropy(module(X), Y).item()

    def made() -> nn.Module:
        return copy.deepcopy(module)

    user = ModuleProblem(made, (X, Y), functional.cross_entropy, batch_size=30)
    found = {
        policy: loss(surface(user, examples=None, batch_norm=policy), x).item()
        for policy in ("recomputed", "batch", "frozen")
    }
    # all examples are one batch, whose moments are those of the training set
    assert found["recomputed"] == pytest.approx(by_batch, rel=1e-12)
    assert found["batch"] == pytest.approx(by_batch, rel=1e-12)
    assert found["frozen"] == pytest.approx(own, rel=1e-12)
    anchored = surface(user, examples=None, batch_norm="frozen", anchor=user.start(0))
    assert loss(anchored, x).item() == pytest.approx(by_batch, rel=1e-12)
    assert loss(anchored, 2 * x).item() != pytest.approx(found["recomputed"], rel=1e-3)


@pytest.mark.parametrize(
    "id",
    ["deep_mlp(depth=3, width=8, norm=batch)", "deep_conv(depth=8, width=2, norm=batch)"],
)
def test_frozen_moments_hold_for_every_network_of_a_stack(id: str) -> None:
    """Each of several networks sees the anchor's moments, as it does alone."""
    source = problem(id)
    anchor = {n: p.double() for n, p in source.start(0).items()}
    ground = surface(source, examples=100, batch_norm="frozen", anchor=anchor)
    stack = torch.stack([pack(ground, source.start(s)).double() for s in (0, 1, 2)])
    alone = torch.stack([loss(ground, x) for x in stack])
    assert torch.allclose(loss(ground, stack), alone, rtol=1e-10)
    recomputed = surface(source, examples=100)
    assert torch.allclose(alone[0], loss(recomputed, stack[0]), rtol=1e-10)
    assert not torch.allclose(alone[1], loss(recomputed, stack[1]), rtol=1e-3)


def test_a_formula_is_taken_without_noise_in_its_own_coordinates_or_a_seeds() -> None:
    """Without a seed the minimum lies where the facts say, with one where the instance has it."""
    sphere = problem("sphere(dim=3)")
    own = surface(sphere)
    assert loss(own, torch.zeros(3, dtype=torch.float64)).item() == 0.0
    shifted = surface(sphere, seed=4)
    shift = sphere.instance([4])["shift"][0]
    assert loss(shifted, shift).item() == 0.0
    assert loss(shifted, torch.zeros(3, dtype=torch.float64)).item() > 0.0


def test_points_that_do_not_fit_are_refused_in_one_sentence() -> None:
    """A wrong number of coordinates, a missing or misshapen parameter: each is named."""
    ground = surface(problem("mnist_softmax"))
    with pytest.raises(BadValue, match="has 7850 coordinates, got 3"):
        loss(ground, torch.zeros(3))
    with pytest.raises(BadValue, match=r"has a parameter `0.bias` that the point lacks"):
        pack(ground, {"0.weight": torch.zeros(10, 784)})
    with pytest.raises(BadValue, match=r"`0.weight` must have the shape \[10, 784\]"):
        pack(ground, {"0.weight": torch.zeros(784), "0.bias": torch.zeros(10)})
    with pytest.raises(BadValue, match="`batch_norm` must be one of recomputed, batch, frozen"):
        surface(problem("mnist_softmax"), batch_norm="own")
    with pytest.raises(BadValue, match="too large to be built"):
        dense(hessian(ground, pack(ground, problem("mnist_softmax").start(0))))


def test_memory_is_flat_over_a_hundred_products() -> None:
    """What a product leaves behind is its result alone: live tensors do not become more."""
    import gc

    ground, x = module_surface(net(), (X, Y), functional.cross_entropy)
    product = hessian(ground, x)
    counts = []
    for i in range(101):
        product(x)
        if i in (0, 100):
            gc.collect()
            counts.append(sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects()))
    assert counts[0] == counts[1]
