"""A walk is the plain loop's run with its way kept."""

import pytest
import torch

from ravine import Setting, method, problem, solve
from ravine.engine.walk import walk
from ravine.errors import BadValue


@pytest.mark.parametrize("id", ["rosenbrock", "mnist_mlp(widths=4)"])
def test_a_walk_ends_where_the_plain_loop_does(id: str) -> None:
    """The last point is that of `solve`, to the bit, and the first the start."""
    where, setting = problem(id), Setting(method("sgd(lr=0.001, momentum=0.9)"))
    gone = walk(where, setting, 3, 20, keep=(5, 10))
    run = solve(where, setting, 3, 20, dtype=gone.points.dtype)
    assert gone.steps == (0, 5, 10, 20)
    assert torch.equal(gone.end, torch.tensor(run.point, dtype=gone.points.dtype))
    start = torch.cat([p.flatten() for p in where.start(3).values()])
    assert torch.equal(gone.start, start)


def test_a_walk_can_change_its_optimizer_on_the_way() -> None:
    """Up to the switch it is the first optimizer's way, then the second's from there."""
    where = problem("rosenbrock")
    first, second = Setting(method("sgd(lr=0.001)")), Setting(method("adam(lr=0.01)"))
    both = walk(where, first, 0, 20, keep=(10,), then=((10, second),))
    alone = walk(where, first, 0, 10, keep=())
    assert torch.equal(both.points[1], alone.end)
    rest = walk(where, second, 0, 10, keep=(), start={"x": alone.end})
    assert torch.equal(both.end, rest.end)
    assert both.setting == "sgd(lr=0.001), then adam(lr=0.01) from step 10"


def test_a_walk_that_diverges_says_where() -> None:
    """It ends at the step whose loss left all bounds."""
    gone = walk(problem("sphere"), Setting(method("sgd(lr=10.0)")), 0, 100)
    assert gone.diverged == gone.steps[-1] < 100
    with pytest.raises(BadValue, match="between 0 and the 5 of the run"):
        walk(problem("sphere"), Setting(method("sgd(lr=0.1)")), 0, 5, keep=(7,))
