"""The built-in optimizers: found completely, named sensibly, and able to descend."""

import subprocess
import sys

import pytest
import torch

from ravine.optimizers import Setting, method, methods, trials
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.torch_builtin import VARIANTS, builtin_classes

PINNED = {
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "SparseAdam",
}
"""What torch 2.13, the pinned version, exports."""

WEIGHTS = torch.linspace(1.0, 3.0, 12, dtype=torch.float64)


def bowl(setting: Setting, steps: int, decay: float = 1.0) -> list[float]:
    """Losses of sum(w x²) / 2 before each step, the gradient shrunk by `decay` each step."""
    demands = capabilities(setting)
    x = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64)
    x = (x.reshape(4, 3) if demands.matrix_only else x).requires_grad_()
    optimizer = setting.optimizer([x])
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = (WEIGHTS.reshape(x.shape) * x.square()).sum() / 2
        loss.backward()
        return loss

    for step in range(steps):
        losses.append(closure().item())
        if demands.closure:
            optimizer.step(closure)
            continue
        x.grad *= decay**step
        x.grad = x.grad.to_sparse() if demands.sparse_only else x.grad
        optimizer.step()
    return losses


def test_introspection_finds_the_pinned_classes():
    """On torch 2.13 the classes found are exactly the fifteen known ones."""
    if torch.__version__.startswith("2.13."):
        assert set(builtin_classes()) == PINNED
    else:  # other versions may add classes, and must still offer the oldest
        assert {"SGD", "Adam", "LBFGS"} <= set(builtin_classes())


def test_every_class_is_a_method_under_its_lower_case_name():
    """Each class is registered, tagged `torch`, and builds itself."""
    for name, build in builtin_classes().items():
        assert method(name.lower()).build is build
        assert name.lower() in methods.tagged("torch")


def test_import_registers_nothing():
    """Importing the package neither fills the registry nor imports scipy."""
    code = (
        "import sys, ravine.optimizers\n"
        "late = {'ravine.optimizers.torch_builtin', 'scipy.stats'} & set(sys.modules)\n"
        "assert not late, late\n"
        "assert 'adam' in ravine.optimizers.methods"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", methods.tagged("torch"))
def test_descends_a_bowl(name):
    """At some rate of its trials, 200 steps divide the loss of a bowl by ten."""
    # from the highest rate down, since few methods need the lowest ones
    reached = (bowl(setting, 201) for setting in reversed(trials(method(name))))
    assert any(losses[-1] <= 0.1 * losses[0] for losses in reached)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_its_parent(name):
    """What a variant fixes changes the path taken."""
    parent = VARIANTS[name][0].lower()
    own, other = (bowl(Setting(method(n), (("lr", 0.01),)), 30, 0.8) for n in (name, parent))
    assert own[0] == other[0]
    assert own[-1] != other[-1]


def test_lbfgs_evaluates_once_a_step_and_keeps_its_history():
    """One step of `lbfgs` is one evaluation, and curvature pairs pile up over steps."""
    x = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64).requires_grad_()
    optimizer = Setting(method("lbfgs"), (("lr", 0.5),)).optimizer([x])
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = (WEIGHTS * x.square()).sum() / 2
        loss.backward()
        calls.append(loss.item())
        return loss

    for _ in range(6):
        optimizer.step(closure)
    assert len(calls) == 6
    assert len(optimizer.state[x]["old_dirs"]) >= 4


def test_strong_wolfe_searches():
    """The line search evaluates more than once and succeeds at rates far too high."""
    losses = bowl(Setting(method("lbfgs_strong_wolfe"), (("lr", 10.0),)), 20)
    assert losses[-1] < 1e-6 * losses[0]
    assert bowl(Setting(method("lbfgs"), (("lr", 10.0),)), 20)[-1] > losses[0]


def test_implementation_variants_are_reachable_but_not_listed():
    """`foreach` is a hyperparameter of `adam`, not a method."""
    made = method("adam(foreach=True)")
    assert made.fixed == {"foreach": True}
    assert [knob.name for knob in made.knobs] == ["lr"]
    assert not [name for name in methods if "foreach" in name or "fused" in name]


def test_summaries_are_one_line():
    """Every entry says in one non-empty line what it is."""
    for entry in methods.values():
        assert entry.summary
        assert "\n" not in entry.summary
