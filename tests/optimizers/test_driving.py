"""Any optimizer is driven by one adapter: forms of gradients, closures, modes, companions."""

import copy

import pytest
import torch

from ravine.errors import Mismatch
from ravine.optimizers import Method, Setting, method, trials
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Capabilities, Layout
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.composite import Composite, Fused
from ravine.optimizers.driving import closure, differentiate, set_mode, step


class Fussy(torch.optim.SGD):
    """Takes a model, and the length of the run."""

    def __init__(self, model, num_iterations, lr=0.1):
        super().__init__(model.parameters(), lr=lr)
        self.names = [name for name, _ in model.named_parameters()]
        self.length = num_iterations


class Flagged(torch.optim.SGD):
    """Wants to be told which groups are matrices."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
        for group in self.param_groups:
            assert all((p.dim() == 2) is group["use_muon"] for p in group["params"])


class Named(torch.optim.SGD):
    """Wants names, and nothing that lacks one."""

    def __init__(self, named_parameters, lr=0.1):
        self.names = [name for name, _ in list(named_parameters)]
        super().__init__([p for _, p in named_parameters], lr=lr)


class Apart(torch.optim.SGD):
    """Wants matrices first, and then all."""

    def __init__(self, matrices, params, lr=0.1):
        assert all(p.dim() == 2 for p in matrices)
        super().__init__(params, lr=lr)


class Curious(torch.optim.SGD):
    """Differentiates its gradients."""

    def step(self, closure=None):  # noqa: D102
        for group in self.param_groups:
            for p in group["params"]:
                (row,) = torch.autograd.grad(p.grad.sum(), p)
                with torch.no_grad():
                    p -= group["lr"] * p.grad / row.abs().clamp(min=1e-3)


class Moody(torch.optim.SGD):
    """Steps in training only, and stands elsewhere outside of it."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
        self.training = False

    def train(self):  # noqa: D102
        self.training = True

    def eval(self):  # noqa: D102
        self.training = False

    def step(self, closure=None):  # noqa: D102
        assert self.training
        return super().step()


class Idle(torch.optim.SGD):
    """Raises nothing and does nothing."""

    def step(self, closure=None):
        """Leave it at that."""


class Dice(torch.optim.SGD):
    """Steps by chance."""

    def step(self, closure=None):  # noqa: D102
        for group in self.param_groups:
            for p in group["params"]:
                p.data += torch.randn_like(p)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "needs"),
    [
        (Fussy, Capabilities(layout=Layout.MODEL)),
        (Flagged, Capabilities(layout=Layout.FLAGGED, matrix_only=True)),
        (Named, Capabilities(layout=Layout.NAMED)),
        (Apart, Capabilities(layout=Layout.SPLIT, matrix_only=True)),
        (Curious, Capabilities(graph=True)),
        (Moody, Capabilities(modes=True)),
        (Dice, Capabilities(random=True)),
        (Idle, Capabilities(reason="its first 32 steps leave the parameters where they are")),
    ],
)
def test_what_a_method_needs_is_found(build, needs):
    """Every way in which constructors and steps differ is found by trying."""
    assert capabilities(Method(build.__name__, build)) == needs


def test_required_arguments_are_filled_by_rule():
    """A constructor that asks for the length of the run is told it; a user may say otherwise."""
    fussy = Method("fussy", Fussy)
    x = torch.ones(3, requires_grad=True)
    assert assemble(Setting(fussy), [x], 77).length == 77
    assert assemble(Setting(fussy), [x]).names == ["0.weight"]
    told = Method("told", Fussy, fixed={"num_iterations": 5})
    assert assemble(Setting(told), [x], 77).length == 5


@pytest.mark.parametrize("layout", ["muon", Flagged, Apart])
def test_methods_for_matrices_step_on_every_parameter(layout):
    """Matrices go to the method, all else to its companion or its own second group."""
    made = method(layout) if isinstance(layout, str) else Method(layout.__name__, layout)
    point = [torch.ones(4, 3, requires_grad=True), torch.ones(5, requires_grad=True)]
    optimizer = assemble(trials(made, 1)[0], point)
    for p in point:
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert all((p < 1).all() for p in point)
    with pytest.raises(Mismatch, match="matrix"):
        assemble(trials(made, 1)[0], point[1:])


def test_companion_is_adamw_at_the_same_rate():
    """What Muon leaves to its companion moves as AdamW with Muon's rate moves it."""
    point = [torch.ones(4, 3, requires_grad=True), torch.ones(5, requires_grad=True)]
    alone = torch.ones(5, requires_grad=True)
    both = assemble(Setting(method("muon(lr=0.02)")), point)
    adamw = torch.optim.AdamW([alone], lr=0.02)
    for _ in range(4):
        for p in (*point, alone):
            p.grad = torch.full_like(p, 0.3)
        both.step()
        adamw.step()
    assert torch.equal(point[1], alone)


def test_composite_resumes_bit_for_bit():
    """State dictionaries of composites carry those of their parts, and their groups."""

    def fresh():
        a = torch.arange(12.0).reshape(4, 3).requires_grad_()
        b = torch.arange(5.0).requires_grad_()
        return [a, b], assemble(Setting(method("muon(lr=0.02)")), [a, b])

    def go(point, optimizer, steps):
        for k in steps:
            for p in point:
                p.grad = torch.sin(p.detach() + k)
            optimizer.step()

    point, optimizer = fresh()
    go(point, optimizer, range(3))
    kept = copy.deepcopy(optimizer.state_dict())
    middle = [p.detach().clone() for p in point]
    go(point, optimizer, range(3, 6))
    again, resumed = fresh()
    resumed.load_state_dict(kept)
    for p, q in zip(again, middle, strict=True):
        p.data.copy_(q)
    go(again, resumed, range(3, 6))
    assert all(torch.equal(p, q) for p, q in zip(point, again, strict=True))
    assert isinstance(resumed, Composite)
    resumed.param_groups[0]["lr"] = 0.5
    assert resumed.parts[0].param_groups[0]["lr"] == 0.5


def test_fused_update_is_the_gradient_at_hand():
    """A method that updates inside its backward pass sees exactly the gradient it is given."""

    class InBackward(torch.optim.SGD):
        def fused_backward(self, loss, lr):
            loss.backward()
            with torch.no_grad():
                for p in self.param_groups[0]["params"]:
                    p -= lr * p.grad

    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = assemble(Setting(Method("fused", InBackward, fixed={"lr": 0.5})), [x])
    assert isinstance(optimizer, Fused)
    x.grad = torch.tensor([1.0, -2.0, 1e-8], dtype=torch.float64)
    optimizer.step()
    assert torch.equal(x.detach(), torch.tensor([0.5, 2.0, 1 - 5e-9], dtype=torch.float64))


def test_a_closure_spares_an_evaluation_only_where_nothing_changed():
    """The known loss is returned at the same point with its gradients, and never elsewhere."""
    x = torch.tensor([3.0], requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.1)
    counted = []

    def evaluate():
        counted.append(x.item())
        return x.square().sum()

    def prepared():
        loss = evaluate()
        differentiate(loss, [x], Capabilities())
        return closure(optimizer, [x], Capabilities(closure=True), evaluate, loss)

    again = prepared()
    assert again() == 9.0
    assert counted == [3.0]
    assert again() == 9.0
    assert counted == [3.0, 3.0]
    again = prepared()
    x.data += 1.0  # in a way that no version counter sees
    assert again() == 16.0
    assert x.grad.item() == 8.0
    again = prepared()
    optimizer.zero_grad()
    again()
    assert x.grad is not None
    again = prepared()
    x.grad.zero_()
    again()
    assert x.grad.item() == 8.0


def test_two_step_methods_see_the_perturbed_point():
    """A method that climbs before it asks for the loss again gets the gradient up there."""

    class Climber(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            if closure is None:
                raise ValueError("a closure is needed")
            (x,) = self.param_groups[0]["params"]
            old = x.clone()
            x.add_(x.grad)
            closure()
            x.copy_(old)
            x.add_(x.grad, alpha=-self.param_groups[0]["lr"])

    climber = Method("climber", Climber, fixed={"lr": 0.25})
    assert capabilities(climber).closure
    x = torch.tensor([1.0], requires_grad=True)
    optimizer = assemble(Setting(climber), [x])

    def evaluate():
        return x.square().sum() / 2

    loss = evaluate()
    differentiate(loss, [x], capabilities(climber))
    step(optimizer, [x], capabilities(climber), evaluate, loss)
    assert x.item() == 1.0 - 0.25 * 2.0


def test_modes_reach_the_parts():
    """A composite hands a mode on to the parts that have modes, and to no other."""
    x, y = (torch.ones(2, requires_grad=True) for _ in range(2))
    moody = Moody([x])
    both = Composite([torch.optim.SGD([y], lr=0.1), moody])
    set_mode(both, training=True)
    assert moody.training
    set_mode(both, training=False)
    assert not moody.training


def test_gradients_take_the_form_that_is_needed():
    """A sparse gradient leaves zeros out; a constant one has a graph whose derivative is 0."""
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    tilt = torch.tensor([0.0, 5.0, 0.0])
    differentiate((tilt * x).sum(), [x], Capabilities(sparse_only=True))
    assert x.grad.is_sparse
    assert x.grad.coalesce().values().tolist() == [5.0]
    differentiate((tilt * x).sum(), [x], Capabilities(graph=True))
    (second,) = torch.autograd.grad(x.grad.sum(), x)
    assert second.tolist() == [0.0, 0.0, 0.0]
    unused = torch.ones(2, requires_grad=True)
    differentiate(x.sum(), [x, unused], Capabilities())
    assert unused.grad.tolist() == [0.0, 0.0]
