"""A user's own f(x) becomes a problem, stacked, and its mistakes are explained."""

from pathlib import Path

import pytest
import torch

from ravine.errors import BadValue, UnknownName
from ravine.problems.analytic import Analytic
from ravine.problems.base import Goal
from ravine.problems.user import from_file
from ravine.registry import parse

CODE = """
import torch

def valley(x):
    return (1 - x[0]) ** 2 + 100 * (x[1:] - x[:-1] ** 2).square().sum()

def branching(x):
    return x.sum() if x[0] > 0 else x.square().sum()

def vector(x):
    return x ** 2

def number(x):
    return 1.0

def constant(x):
    return torch.zeros(())

def three(x):
    return x @ torch.ones(3, dtype=x.dtype)

thing = 3
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of functions in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path / "mine.py"


def made(id: str) -> Analytic:
    """The problem of an id."""
    return from_file(parse(id))


def test_defaults() -> None:
    """Without arguments: two coordinates, starts anywhere in (-5, 5), nothing claimed."""
    problem = made("mine.py:valley")
    assert problem.name == "mine.py:valley"
    assert problem.shapes == {"x": (2,)}
    assert problem.start_at is None
    assert problem.intervals == ((-5.0, 5.0),) * 2
    assert (problem.facts.minimum, problem.facts.goal) == (None, Goal.ESCAPE)
    assert problem.facts.targets == ()


def test_arguments_in_brackets() -> None:
    """Start, spread, domain and minimum are what the id says; the start decides the size."""
    id = "mine.py:valley(start=(-1, 2, 0), spread=0, domain=(-3, 3), minimum=0)"
    problem = made(id)
    assert problem.dim == 3
    assert problem.start(7)["x"].tolist() == [-1.0, 2.0, 0.0]
    assert problem.intervals == ((-3.0, 3.0),) * 3
    assert (problem.facts.minimum, problem.facts.goal) == (0.0, Goal.MINIMUM)
    assert problem.facts.targets[-1] == 1e-8
    assert made("mine.py:valley(domain=((0, 1), (2, 3)))").intervals == ((0.0, 1.0), (2.0, 3.0))


def test_a_stack_gives_each_point_its_value_and_gradient() -> None:
    """Any leading dimensions, none and empty ones included, agree with single points."""
    problem = made("mine.py:valley(dim=3)")
    points = torch.randn(4, 2, 3, dtype=torch.float64, generator=torch.manual_seed(0))
    points.requires_grad_()
    values = problem.loss({"x": points}, {})
    (gradients,) = torch.autograd.grad(values.sum(), points)
    for i in range(4):
        for j in range(2):
            x = points[i, j].detach().requires_grad_()
            value = problem.loss({"x": x}, {})
            (gradient,) = torch.autograd.grad(value, x)
            torch.testing.assert_close(values[i, j], value, rtol=1e-12, atol=0)
            torch.testing.assert_close(gradients[i, j], gradient, rtol=1e-12, atol=1e-12)
    assert problem.loss({"x": torch.zeros(1, 5, 3, dtype=torch.float64)}, {}).shape == (1, 5)


def test_the_version_changes_with_the_file(file: Path) -> None:
    """Stored runs of an edited function are not taken for runs of the new one."""
    before = made("mine.py:valley").version
    assert made("mine.py:valley").version == before
    file.write_text(CODE.replace("100", "10"))
    assert made("mine.py:valley").version != before


def test_a_packages_function_is_a_problem_too() -> None:
    """`package.module:function` works as a file does."""
    assert made("torch:norm").dim == 2


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("mine.py:valley(size=3)", "cannot take `size`; give dim, start"),
        ("mine.py:valley(3)", "cannot take `3`; give dim, start"),
        ("mine.py:valley(dim=0)", "`dim` must be a whole number of at least 1, got 0"),
        ("mine.py:valley(dim=2.5)", "`dim` must be a whole number of at least 1, got 2.5"),
        ("mine.py:valley(dim=3, start=(1, 2))", "`start` must have 3 numbers, got 2"),
        ("mine.py:valley(start=(1, inf))", "`start` must be made of finite numbers"),
        ("mine.py:valley(start=(1, two))", "`start` must be made of finite numbers"),
        ("mine.py:valley(minimum=low)", "`minimum` must be made of finite numbers"),
        ("mine.py:valley(domain=(3, -3))", "`domain` must be .low, high. or 2 such pairs"),
        ("mine.py:valley(domain=((0, 1), (0, 1), (0, 1)))", "`domain` must be .low, high. or 2"),
        ("mine.py:thing", "is no function but 3; name a function of x"),
        ("mine.py:three", "fails at .*RuntimeError: .*must take a tensor of 2 numbers"),
        ("mine.py:vector", r"must return a scalar tensor, got \[2\]; reduce it"),
        ("mine.py:number", "must return a scalar tensor, got float"),
        ("mine.py:constant", "has no gradient; compute it from x"),
        ("mine.py:branching", "cannot be evaluated at many points at once: .*torch.where"),
    ],
)
def test_a_mistake_is_explained(id: str, message: str) -> None:
    """Every mistake is one line that says what to do."""
    with pytest.raises(BadValue, match=message) as caught:
        made(id)
    assert "\n" not in str(caught.value)


def test_a_misspelt_function_is_met_with_close_ones() -> None:
    """The error suggests the functions of the file."""
    with pytest.raises(UnknownName, match="unknown problem `valey`; did you mean `valley`"):
        made("mine.py:valey")
