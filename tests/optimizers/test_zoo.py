"""The optimizers of other packages: named, found, run, and compared with their stacks."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest
import torch

from ravine import problem
from ravine.engine.mismatch import mismatch
from ravine.engine.solo import solve
from ravine.errors import BadValue, UnknownName
from ravine.optimizers import method, methods, trials
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.zoo import FAMILIES
from ravine.registry import Registry

ZOO = methods.tagged("zoo")

SLOW = {"pytorch_optimizer.spectralsphere"}
"""Takes a second for each step on a matrix: it bisects with matrix signs."""


@pytest.mark.slow
def test_at_least_120_of_pytorch_optimizers_run() -> None:
    """Of the 128 that pytorch-optimizer 4.1 supports, 126 step; the others say why not."""
    names = methods.tagged("pytorch-optimizer")
    assert len(names) >= 128
    reasons = {n: capabilities(method(n)).reason for n in names if n not in SLOW}
    stuck = {n: reason for n, reason in reasons.items() if reason}
    assert len(names) - len(stuck) >= 120
    if version("pytorch-optimizer").startswith("4.1."):
        assert set(stuck) == {"pytorch_optimizer.lorarite", "pytorch_optimizer.sara"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if k % 3 else [])
        for k, name in enumerate(n for n in ZOO if n not in SLOW)
    ],
)
def test_it_runs_on_a_vector_problem_or_on_a_network(name: str) -> None:
    """Every method that is not unsupported takes 12 steps on one of both without an error."""
    made = method(name)
    if capabilities(made).reason:
        pytest.skip(f"unsupported: {capabilities(made).reason}")
    (setting,) = trials(made, 1)
    formula, network = problem("rosenbrock(dim=4)"), problem("mnist_mlp(widths=(6,), batch=8)")
    if mismatch(formula, made) is None:
        run = solve(formula, setting, seed=1, steps=12)
    else:
        run = solve(network, setting, seed=1, steps=12, dtype=torch.float32)
    assert run.failure == ""
    assert run.best <= run.start


def test_methods_of_matrices_train_a_network() -> None:
    """Methods in every layout lower the loss of a network with matrices and vectors."""
    network = problem("mnist_mlp(widths=(16,), batch=32)")
    for name in ("muon(lr=0.02)", "pytorch_optimizer.muon(lr=0.02)", "pytorch_optimizer.adammini"):
        made = method(name)
        values = () if "lr=" in name else (("lr", 3e-3),)
        run = solve(network, Setting(made, values), seed=0, steps=40, dtype=torch.float32)
        assert run.final < 0.9 * run.start, name


def test_a_schedule_free_run_ends_at_its_average() -> None:
    """The last loss of a method with modes is that of its solution, not of its training point."""
    import schedulefree

    formula = problem("ellipsoid")
    setting = Setting(method("schedulefree.sgdschedulefree"), (("lr", 0.05),))
    run = solve(formula, setting, seed=2, steps=50)
    x = formula.start(2)["x"].clone().requires_grad_()
    data = {name: value[0] for name, value in formula.instance([2]).items()}
    optimizer = schedulefree.SGDScheduleFree([x], lr=0.05)
    optimizer.train()
    for _ in range(50):
        optimizer.zero_grad()
        formula.loss({"x": x}, data).backward()
        optimizer.step()
    training = formula.loss({"x": x}, data).item()
    optimizer.eval()
    assert run.final == formula.loss({"x": x}, data).item()
    assert run.final != training


def test_the_zoo_is_imported_only_when_asked_for() -> None:
    """A torch method imports no package of the zoo, and one of the zoo only its own."""
    code = (
        "import sys; from ravine import method\n"
        "method('adamw'); families = set(" + repr(tuple(FAMILIES)) + ")\n"
        "assert not families & set(sys.modules), families & set(sys.modules)\n"
        "method('lion_pytorch.lion')\n"
        "assert families & set(sys.modules) == {'lion_pytorch'}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_loading_timm_leaves_no_half_of_it_behind() -> None:
    """After timm's optimizers are loaded, `timm` itself is still to be imported."""
    code = (
        "import sys; from ravine import method; method('timm.adan')\n"
        "assert 'timm' not in sys.modules and 'timm.models' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_entry_names_a_distribution_that_is_installed() -> None:
    """What an entry says it needs is what `pip` knows."""
    assert len(ZOO) > 200
    for distribution in {methods[name].needs for name in ZOO}:
        version(distribution)
    with pytest.raises(PackageNotFoundError):
        version("no-such-distribution")


def test_a_missing_package_is_one_sentence() -> None:
    """A family that cannot be imported says how to install it, and hides from the list."""
    registry: Registry[object] = Registry(
        "method", (), "none", families={"nowhere": "ravine.no_such_module"}
    )
    with pytest.raises(BadValue, match=r"`nowhere.sgd` cannot be imported .* 'ravine\[zoo\]'"):
        registry["nowhere.sgd"]
    assert list(registry) == []


def test_a_bare_name_is_answered_with_the_packages_that_have_it() -> None:
    """Who asks for `adabelief` is told of every package that has one."""
    with pytest.raises(UnknownName, match=r"`pytorch_optimizer.adabelief` or `timm.adabelief`"):
        method("adabelief")
