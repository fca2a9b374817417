"""The probe finds how far a method may be stacked; the audit catches what it missed."""

from pathlib import Path

import pytest
import torch

from ravine import method, problem
from ravine.engine.audit import Audit
from ravine.engine.grid import run_grid
from ravine.engine.probe import probe, stacks
from ravine.engine.rows import Level
from ravine.engine.task import Choice, Task, run
from ravine.optimizers.base import Method, Setting
from ravine.problems.analytic import Analytic

GLOBAL_CLIP = """
import torch

class Clipped(torch.optim.SGD):
    def step(self, closure=None):
        parameters = [p for g in self.param_groups for p in g["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        return super().step(closure)
"""

RANDOM = """
import torch

class Restless(torch.optim.SGD):
    @torch.no_grad()
    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(0.01 * torch.randn_like(p))
"""

LATE = """
import torch

class Late(torch.optim.SGD):
    '''Elementwise for a hundred steps, then scaled by the norm of the whole tensor.'''

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            group["count"] = group.get("count", 0) + 1
            if group["count"] > 100:
                for p in group["params"]:
                    p.grad = p.grad / (1 + p.grad.norm())
        return super().step(closure)
"""


SOFT = """
import torch

def soft(x):
    return torch.sigmoid(x).sum() + (x**4).sum()
"""


def write(folder: Path, name: str, text: str) -> str:
    """Write an optimizer into a file and return its reference."""
    path = folder / f"{name.lower()}.py"
    path.write_text(text)
    return f"{path}:{name}"


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("adam", Level.ELEMENTWISE),
        ("sgd", Level.ELEMENTWISE),
        ("rprop", Level.ELEMENTWISE),
        ("adafactor", Level.TENSORWISE),
        ("lbfgs", Level.ALONE),
    ],
)
def test_levels_of_built_in_methods(name: str, level: Level) -> None:
    """The level found is the one that the algorithm's formula implies."""
    assert probe(method(name)) is level


def test_muon_stacks_by_tensor_on_matrices() -> None:
    """Muon orthogonalises each matrix, so its matrices may share an optimizer, no more."""
    assert probe(method("muon"), ((4, 3), (2, 5))) is Level.TENSORWISE


def test_a_clip_over_all_parameters_is_global(tmp_path: Path) -> None:
    """A norm over all parameters forbids sharing an optimizer."""
    assert probe(method(write(tmp_path, "Clipped", GLOBAL_CLIP))) is Level.GLOBAL


def test_an_optimizer_that_draws_random_numbers_runs_alone(tmp_path: Path) -> None:
    """Numbers drawn from a shared stream differ when stacked; alone they follow the seed."""
    name = write(tmp_path, "Restless", RANDOM)
    assert probe(method(name)) is Level.ALONE
    task = Task(("sphere",), (Choice(f"{name}(lr=0.01)"),), (0, 1), 20, "float64", audit=2)
    first, _, _ = run(task)
    again, _, _ = run(task)
    assert first["final"].to_list() == again["final"].to_list()
    assert first["final"][0] != first["final"][1]


def test_replacing_the_parameter_s_data_is_not_taken_for_stacking() -> None:
    """An optimizer that swaps a parameter's storage would leave the grid behind."""

    class Swapping(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):  # type: ignore[no-untyped-def, override]
            for group in self.param_groups:
                for p in group["params"]:
                    p.data = p.data - group["lr"] * p.grad

    assert probe(Method("swapping", Swapping)) is Level.ALONE


def test_the_audit_demotes_what_the_probe_missed(tmp_path: Path) -> None:
    """A method that only later couples its runs is caught, demoted, repeated, and named."""
    name = write(tmp_path, "Late", LATE)
    assert probe(method(name)) is Level.ELEMENTWISE
    problems = ("sphere", "rosenbrock")
    task = Task(problems, (Choice(f"{name}(lr=0.001)"),), (0, 1, 2), 150, "float64", audit=6)
    frame, found, remarks = run(task)
    assert found.audited > found.agreed
    assert len(remarks) == 1
    assert "differ" in remarks[0]
    assert "tensorwise" in remarks[0]
    assert frame["level"].unique().to_list() == ["tensorwise"]
    assert frame.height == 6


def test_a_clean_audit_counts_all_runs_as_identical() -> None:
    """For an elementwise method, all audited runs agree to the bit."""
    task = Task(("sphere", "himmelblau"), (Choice("adam(lr=0.1)"),), (0, 1), 50, "float64", audit=4)
    _, found, remarks = run(task)
    assert found == Audit(found.audited, found.audited, "bit-identical")
    assert found.audited >= 2
    assert remarks == []


def test_forcing_a_level_that_is_too_high_changes_bits() -> None:
    """Adafactor stacked as if elementwise is another algorithm, so levels matter."""
    one = problem("sphere(dim=3)")
    assert isinstance(one, Analytic)
    setting = Setting(method("adafactor"), (("lr", 0.1),))
    right = run_grid([one], [(setting, Level.TENSORWISE)], (0, 1), 20).runs[0].at(0, 0)
    wrong = run_grid([one], [(setting, Level.ELEMENTWISE)], (0, 1), 20).runs[0].at(0, 0)
    assert right != wrong


@pytest.mark.slow
def test_a_formula_that_rounds_by_shape_is_blamed_itself(tmp_path: Path) -> None:
    """A user's `sum` and `sigmoid` are found out; neither methods nor neighbours pay for it."""
    path = tmp_path / "mine.py"
    path.write_text(SOFT)
    name = f"{path}:soft(dim=5)"
    loose, firm = problem(name), problem("rosenbrock")
    assert isinstance(loose, Analytic)
    assert isinstance(firm, Analytic)
    assert not stacks(loose)
    assert stacks(firm)
    choices = (Choice("adam(lr=0.1)"), Choice("sgd(lr=0.001)"))
    task = Task((name, "rosenbrock"), choices, tuple(range(16)), 100, "float64", audit=64)
    frame, found, remarks = run(task)
    assert found.agreed < found.audited
    assert len(remarks) == 1
    assert "rounds differently when stacked" in remarks[0]
    levels = dict(frame.select("problem", "level").unique().iter_rows())
    assert levels == {name: "alone", "rosenbrock": "elementwise"}
    assert frame.height == 64
    assert frame["key"].n_unique() == 64


def test_sparse_gradients_run_alone():
    """Torch adds sparse tensors to views at a wrong place, so their runs share no storage."""
    assert probe(method("sparseadam")) is Level.ALONE
    store = torch.zeros(40)
    store[10:12].add_(torch.ones(2).to_sparse())
    assert store[10:12].sum() == 0, "torch has mended it; sparse gradients may be stacked again"
