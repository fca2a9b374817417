"""Mutants are wrong, each in a way that can be seen, and their controls are right."""

import copy
import pickle
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor

from ravine.errors import BadValue
from ravine.optimizers import method
from ravine.optimizers.capabilities import undisturbed
from ravine.regression.scenarios import scenarios
from ravine.testing import mutants as zoo
from ravine.testing.mutants import Edit, Mutant, build, controls, mutants

ALL = tuple(zoo._all().values())

Seen = Any
"""Tensors, None, or the kind of an error."""

Hyper = dict[str, Any]


class Run:
    """An optimizer on its parameters, whose gradients keep their memory."""

    def __init__(self, parent: str, make: Callable[..., Any], split: bool = False, **hyper: Any):
        draw = torch.Generator().manual_seed(0)
        shapes = ((2, 4), (5, 3)) if parent == "muon" else ((4,), (5, 3))
        start = [torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes]
        self.parameters = [x.requires_grad_() for x in start]
        self.sparse, self.closure = parent == "sparseadam", parent.startswith("lbfgs")
        first, second = self.parameters
        groups = [{"params": [first]}, {"params": [second], **({"lr": 3e-3})}]
        self.optimizer = make(groups if split else self.parameters, **hyper)

    def evaluate(self) -> Tensor:
        """The loss, neither convex nor a quadratic, with gradients put in place."""
        flat = torch.cat([x.flatten() for x in self.parameters])
        loss = (flat[:-1] * flat[1:]).sum() / 2 + (flat**4).sum() / 4 + (3 * flat).sin().sum()
        for x, g in zip(self.parameters, torch.autograd.grad(loss, self.parameters), strict=True):
            if self.sparse:  # two entries at each index
                at = torch.ones_like(g).to_sparse().indices()
                parts = torch.cat([g.flatten() / 4, 3 * g.flatten() / 4])
                x.grad = torch.sparse_coo_tensor(torch.cat([at, at], 1), parts, x.shape)
            elif x.grad is None:
                x.grad = g
            else:
                x.grad.copy_(g)
        return loss

    def step(self, times: int) -> list[Tensor]:
        """Where the steps end, with the average of those that average."""
        for _ in range(times):
            if not self.closure:
                self.evaluate()
            self.optimizer.step(self.evaluate if self.closure else None)
        averages = [kept["ax"] for kept in self.optimizer.state.values() if "ax" in kept]
        return [x.detach().clone() for x in (*self.parameters, *averages)]


Start = Callable[..., Run]
Look = Callable[[Start], Seen]
"""Runs an optimizer, which it is given a way to start, and says what was seen."""


def short(hyper: Hyper, run: Start) -> Seen:
    """The first steps under some hyperparameters, so many that averaging begins."""
    return run(**hyper).step(20)


def long(run: Start) -> Seen:
    """More than a hundred steps, after which some mutants show."""
    return run().step(120)


def gradients(run: Start) -> Seen:
    """What steps leave of gradients, and of gradients' memory."""
    kept = [run()]
    if "weight_decay" in kept[0].optimizer.defaults:
        kept.append(run(weight_decay=0.1))
    for one in kept:
        one.step(2)
    return [x.grad.clone() for one in kept for x in one.parameters if x.grad is not None]


def copied(run: Start) -> Seen:
    """Steps of a deep copy and of what was pickled."""
    kept = run()
    kept.step(2)
    held = pickle.loads(pickle.dumps(kept.optimizer))
    return [*copy.deepcopy(kept).step(2), torch.tensor(float(len(held.state)))]


def resumed(run: Start) -> Seen:
    """Steps of another optimizer that loads the state."""
    kept, other = run(), run()
    kept.step(2)
    other.step(1)
    other.optimizer.load_state_dict(kept.optimizer.state_dict())
    return other.step(2)


def scheduled(run: Start) -> Seen:
    """Steps after the rate has changed."""
    kept = run()
    kept.step(2)
    kept.optimizer.param_groups[0]["lr"] = 0.02
    return kept.step(2)


def closed(run: Start) -> Seen:
    """The loss that a closure returns through the step."""
    kept = run()
    return kept.optimizer.step(kept.evaluate)


def drawn(run: Start) -> Seen:
    """The state of the global generator."""
    run().step(1)
    return torch.get_rng_state()


def rates(run: Start) -> Seen:
    """Steps of two groups that have rates of their own."""
    return run(split=True).step(3)


def decays(run: Start) -> Seen:
    """Steps of two groups of which one decays."""
    kept = run(split=True, weight_decay=0.1)
    kept.optimizer.param_groups[1]["weight_decay"] = 0.0
    return kept.step(3)


def partial_gradients(run: Start) -> Seen:
    """Parameters of which one has no gradient."""
    kept = run()
    kept.evaluate()
    kept.parameters[1].grad = None
    kept.optimizer.step()
    return [x.detach() for x in kept.parameters]


def still(run: Start) -> Seen:
    """A step along a gradient of zero."""
    kept = run()
    kept.evaluate()
    for x in kept.parameters:
        if x.grad is not None:
            x.grad.zero_()
    kept.optimizer.step()
    return [x.detach() for x in kept.parameters]


def looks(parent: str) -> tuple[Look, ...]:
    """All ways in which a method is looked at, the short ones first."""
    known = scenarios(method(parent))
    contracts = (gradients, copied, resumed, scheduled, closed, drawn, rates, decays)
    return (
        *(partial(short, hyper) for hyper in known),
        *(*contracts, partial_gradients, still),
        long,
    )


def looked(look: Look, parent: str, make: Callable[..., Any]) -> Seen:
    """What is seen, or the error that was raised."""
    with undisturbed():
        torch.manual_seed(0)
        try:
            return look(partial(Run, parent, make))
        except Exception as error:
            return type(error).__name__


@cache
def right(parent: str) -> tuple[Seen, ...]:
    """What is seen of a method."""
    made = method(parent)
    return tuple(looked(look, parent, partial(made.build, **made.fixed)) for look in looks(parent))


def differ(seen: Seen, other: Seen) -> bool:
    """Whether two observations differ by more than rounding."""
    if isinstance(seen, list) and isinstance(other, list):
        return len(seen) != len(other) or any(map(differ, seen, other))
    if isinstance(seen, Tensor) and isinstance(other, Tensor):
        seen, other = (x.detach().to_dense().double() for x in (seen, other))
        return not torch.allclose(seen, other, rtol=1e-10, atol=1e-10, equal_nan=True)
    return bool(seen != other)


def apart(parent: str, make: Callable[..., Any]) -> bool:
    """Whether an optimizer is seen to differ from the method that it was made from."""
    pairs = zip(looks(parent), right(parent), strict=True)
    return any(differ(looked(look, parent, make), seen) for look, seen in pairs)


def test_all_apply() -> None:
    """Each passage to replace is in the source of the pinned torch, as often as stated."""
    assert mutants() == ALL
    assert len(ALL) >= 70
    assert len({mutant.name for mutant in ALL}) == len(ALL)


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_differs(mutant: Mutant) -> None:
    """A mutant does something else than its parent, somewhere."""
    assert apart(mutant.parent, build(mutant))


@pytest.mark.parametrize("control", controls(), ids=lambda control: control.name)
def test_control_does_not_differ(control: Mutant) -> None:
    """An unchanged copy does bit for bit what its parent does, and no observation misleads."""
    assert not apart(control.parent, build(control))


def test_id_reads_as_method() -> None:
    """A mutant is a method by its id, with the knobs of its parent and its fixed values."""
    made = method("ravine.testing.mutants:heavy_ball_buffer_reset(weight_decay=0.1)")
    assert made.knobs == method("heavy_ball").knobs
    optimizer = made.build([torch.zeros(2, requires_grad=True)], lr=0.1)
    assert optimizer.defaults["momentum"] == 0.9
    assert optimizer.defaults["nesterov"] is False


def test_source_without_passage_is_refused() -> None:
    """A passage that is not there as often as stated is an error that names it."""
    absent = Mutant("absent", "adam", "nothing", (Edit("Adam.step", "no such text", ""),))
    with pytest.raises(BadValue, match=r"has `no such text` 0 times in `Adam.step`, not 1"):
        build(absent)
    elsewhere = Mutant("elsewhere", "adam", "nothing", (Edit("Adam.gone", "loss", ""),))
    with pytest.raises(BadValue, match=r"0 times in `Adam.gone`"):
        build(elsewhere)


def test_unknown_name_is_no_attribute() -> None:
    """The module has mutants and controls, and nothing else by chance."""
    assert zoo.adam_unchanged.__name__ == "adam_unchanged"
    with pytest.raises(AttributeError, match="no mutant `adam_right`"):
        _ = zoo.adam_right
    with pytest.raises(AttributeError, match="no mutant `lion_unchanged`"):
        _ = zoo.lion_unchanged
    assert "adam_step_late" in dir(zoo)


def test_torch_is_left_alone() -> None:
    """Making mutants changes nothing of torch's own."""
    home = vars(sys.modules["torch.optim.optimizer"])
    before = {**home}
    build.cache_clear()
    build(ALL[0])
    assert home == before
