"""What methods demand is found by trying, and trying leaves no trace."""

import random
import warnings

import numpy as np
import pytest
import torch

from ravine.optimizers import Method, methods, trials
from ravine.optimizers.capabilities import Capabilities, capabilities, undisturbed
from ravine.optimizers.catalogue import method

PLAIN = Capabilities()


class Messy(torch.optim.SGD):
    """Draws from every global generator, warns, and turns gradients off."""

    def step(self, closure=None):  # noqa: D102
        torch.rand(3), random.random(), np.random.rand()  # noqa: NPY002
        warnings.warn("I am noisy", stacklevel=1)
        torch.set_grad_enabled(False)
        super().step()


class MatrixSearch(torch.optim.SGD):
    """Wants matrices and a closure."""

    def step(self, closure):  # noqa: D102
        loss = closure()
        if any(p.ndim != 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("matrices only")
        super().step()
        return loss


class Impossible(torch.optim.SGD):
    """Never steps."""

    def step(self, closure=None):  # noqa: D102
        raise RuntimeError("needs\na quantum computer.")


class SecondStep(torch.optim.SGD):
    """Fails when its state is used for the first time."""

    def step(self, closure=None):  # noqa: D102
        if self.state["steps"]:
            raise KeyError("momentum")
        self.state["steps"] = {"t": 1}


DEMANDING = {
    "lbfgs": Capabilities(closure=True),
    "lbfgs_strong_wolfe": Capabilities(closure=True),
    "muon": Capabilities(matrix_only=True),
    "muon_match_rms_adamw": Capabilities(matrix_only=True),
    "sparseadam": Capabilities(sparse_only=True),
}


@pytest.mark.parametrize("name", methods.tagged("torch"))
def test_found_demands(name):
    """L-BFGS asks for a closure, Muon for matrices, SparseAdam for sparse gradients."""
    found = capabilities(method(name))
    assert found == (DEMANDING.get(name, PLAIN))


def test_demands_are_found_for_hyperparameters_too():
    """What is found belongs to the method with its hyperparameters, not to its class."""
    assert capabilities(method("adam(foreach=True, capturable=True)")).reason is not None
    assert capabilities(method("adam(foreach=True)")) == PLAIN


def test_demands_may_meet():
    """A method may ask for a closure and for matrices at once."""
    found = capabilities(Method("search", MatrixSearch))
    assert found == Capabilities(closure=True, matrix_only=True)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (Impossible, "RuntimeError: needs a quantum computer"),
        (SecondStep, "KeyError: 'momentum'"),
    ],
)
def test_what_cannot_step_has_a_reason(build, reason):
    """A method that fails everywhere, at once or on its second step, gives its error."""
    assert capabilities(Method("bad", build)) == Capabilities(reason=reason)


def test_trying_leaves_no_trace():
    """Generators, gradient mode and warnings are as before, inference mode included."""
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert capabilities(Method("messy", Messy)) == PLAIN
        with torch.inference_mode():
            assert capabilities(Method("messy again", Messy)) == PLAIN
            assert torch.is_inference_mode_enabled()
    assert not heard
    assert torch.is_grad_enabled()
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_pythons_generator_is_put_back():
    """`random` is as before, also after an error; type checks in tests draw from it too."""
    states = []

    def fail():
        with undisturbed():
            states.append(random.getstate())
            random.random()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert states == [random.getstate()]


def test_found_once():
    """A method is tried when first asked, whichever of its settings asks, and not again."""
    built = []

    def counting(params, lr=0.1):
        built.append(lr)
        return torch.optim.SGD(params, lr=lr)

    made = Method("counting", counting)
    assert capabilities(made) == PLAIN
    tried = len(built)
    assert set(built) == {0.1}
    for setting in trials(made, 4):
        capabilities(setting)
    assert len(built) == tried
