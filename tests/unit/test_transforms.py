"""Wrappers change what they say they change, and nothing else."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

from ravine.engine.solo import solve
from ravine.errors import BadValue
from ravine.optimizers import Setting, method
from ravine.problems.analytic import Analytic
from ravine.problems.base import Goal
from ravine.problems.catalogue import analytic, problems
from ravine.records.schema import NEVER


def points(dim: int, count: int = 20) -> Float[Tensor, "count dim"]:
    """Points around the origin."""
    random = torch.manual_seed(0)
    return torch.randn(count, dim, dtype=torch.float64, generator=random)


def values(problem: Analytic, x: Float[Tensor, "count dim"], seed: int) -> Float[Tensor, "count"]:
    """The loss of one seed's instance."""
    data = {name: tensor[0] for name, tensor in problem.instance([seed]).items()}
    return problem.loss({"x": x}, data)


def hessian(problem: Analytic, x: Float[Tensor, "dim"], seed: int) -> Float[Tensor, "dim dim"]:
    """The Hessian of one seed's instance."""
    data = {name: tensor[0] for name, tensor in problem.instance([seed]).items()}
    found = torch.autograd.functional.hessian(lambda z: problem.loss({"x": z}, data), x)
    assert isinstance(found, Tensor)
    return found


@given(seed=st.integers(0, 10_000))
def test_a_shift_moves_the_landscape_and_the_start(seed: int) -> None:
    """At start plus step a shifted instance has the base's value at its start plus step."""
    base, problem = analytic("rosenbrock"), analytic("shifted(rosenbrock, shift=3.0)")
    start, moved = base.start(seed)["x"], problem.start(seed)["x"]
    assert (moved - start).abs().max() <= 3
    step = points(2)
    torch.testing.assert_close(values(problem, moved + step, seed), values(base, start + step, 0))


def test_no_minimum_lies_at_the_origin_of_its_instances() -> None:
    """Weight decay must not find a minimum by itself, so formulas around 0 are shifted."""
    exempt = {"lessard"}  # known by its numbers; a box cannot be shifted either
    for name in problems.tagged("analytic"):
        p = analytic(name)
        if p.traits.box is None and name not in exempt:
            shift = p.instance([1]).get("shift", torch.zeros(1, p.dim))[0]
            assert all(
                any(z + s for z, s in zip(m, shift.tolist(), strict=True))
                for m in p.facts.minimizers
            ), name


def test_weight_decay_gains_nothing_from_a_minimum_at_the_origin() -> None:
    """AdamW at a huge rate, which alone contracts to 0, does not solve a shifted sphere."""
    setting = Setting(method("adamw(weight_decay=0.1)"), (("lr", 3.0),))
    assert solve(replace(analytic("sphere"), shift=0.0), setting, 0, 500).hits[-1] >= 0
    assert solve(analytic("sphere"), setting, 0, 500).hits[-1] == NEVER


def test_shifts_differ_between_seeds() -> None:
    """No two seeds share an instance."""
    shifts = analytic("shifted").instance(range(50))["shift"]
    assert len({tuple(s) for s in shifts.tolist()}) == 50


@given(seed=st.integers(0, 10_000))
def test_a_rotation_keeps_lengths_and_curvatures(seed: int) -> None:
    """The sphere does not notice; an ellipsoid keeps its eigenvalues and leaves its axes."""
    sphere = analytic("rotated(sphere(dim=3))")
    x = points(3)
    z = x - sphere.instance([seed])["shift"]
    torch.testing.assert_close(values(sphere, x, seed), z.square().sum(-1))
    turned = analytic("rotated(ellipsoid)")
    found = hessian(turned, torch.zeros(4, dtype=torch.float64), seed)
    torch.testing.assert_close(
        torch.linalg.eigvalsh(found), torch.tensor(turned.facts.eigenvalues, dtype=torch.float64)
    )
    assert (found - found.diag().diag()).abs().max() > 1e-3


def test_the_named_rotated_ellipsoid_is_the_rotated_ellipsoid() -> None:
    """Two ways to the same problem give the same landscape."""
    named, wrapped = analytic("rotated_ellipsoid"), analytic("rotated(ellipsoid)")
    assert torch.equal(values(named, points(4), 5), values(wrapped, points(4), 5))
    assert named.facts == wrapped.facts


def test_places_that_move_with_the_seed_are_not_listed() -> None:
    """Values and curvatures stay facts, places stay only where all are the origin."""
    for id in ("shifted(rosenbrock)", "rotated(rosenbrock)", "rotated(shifted(sphere))"):
        facts = analytic(id).facts
        assert (facts.minimizers, facts.critical_points, facts.complete) == ((), (), False)
        assert facts.minimum == 0.0
        assert facts.eigenvalues
    assert analytic("rotated(sphere)").facts.minimizers == ((0.0, 0.0),)


@given(by=st.floats(1e-6, 1e6))
def test_scaling_multiplies_values_and_facts_alike(by: float) -> None:
    """Values, eigenvalues and constants are multiplied; relative targets are not."""
    base, problem = analytic("quadratic"), analytic(f"scaled(quadratic, by={by!r})")
    torch.testing.assert_close(problem.f(points(2)), by * base.f(points(2)))
    assert problem.facts.eigenvalues == tuple(by * e for e in base.facts.eigenvalues)
    assert problem.facts.smoothness == by * base.facts.smoothness
    assert problem.facts.condition == base.facts.condition
    assert problem.facts.targets == base.facts.targets
    tail = analytic(f"scaled(tanh, by={by!r})").facts
    assert tail.goal is Goal.ESCAPE
    assert tail.targets == tuple(by * t for t in analytic("tanh").facts.targets)


@given(ratio=st.floats(0.01, 100))
def test_stretching_changes_units_only(ratio: float) -> None:
    """The base's value is found where each coordinate is multiplied by its unit."""
    base, problem = analytic("wood"), analytic(f"stretched(wood, ratio={ratio!r})")
    units = torch.tensor([ratio ** (i / 3) for i in range(4)], dtype=torch.float64)
    torch.testing.assert_close(problem.f(units * points(4)), base.f(points(4)))
    best = torch.tensor(problem.facts.minimizers[0], dtype=torch.float64)
    assert problem.f(best) < 1e-20
    for point in problem.facts.critical_points:
        value = problem.f(torch.tensor(point.x, dtype=torch.float64))
        assert math.isclose(value.item(), point.value, abs_tol=1e-9)


def test_stretching_bounds_the_curvature() -> None:
    """Smoothness and convexity constants hold on the stretched surface."""
    problem = analytic("stretched(quadratic(eigenvalues=(1.0, 10.0)), ratio=5.0)")
    found = torch.linalg.eigvalsh(hessian(problem, torch.zeros(2, dtype=torch.float64), 0))
    assert problem.facts.smoothness is not None
    assert problem.facts.strong_convexity is not None
    assert problem.facts.strong_convexity <= found[0] <= found[-1] <= problem.facts.smoothness


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_delay_lowers_the_threshold_of_plain_descent(steps: int) -> None:
    """With delayed gradients descent converges just below 2 sin(pi / (4 d + 2)) / lambda."""
    problem = analytic(f"delayed(sphere(dim=1), steps={steps})")
    assert problem.traits.lag == steps
    threshold = 2 * math.sin(math.pi / (4 * steps + 2)) / 2
    for factor, converges in ((0.97, True), (1.03, False)):
        past = [torch.ones(1, dtype=torch.float64)] * (steps + 1)
        for _ in range(4000):
            x = past[0].clone().requires_grad_()
            (gradient,) = torch.autograd.grad(problem.loss({"x": x}, {}), x)
            past = [*past[1:], past[-1] - factor * threshold * gradient]
        assert (past[-1].abs().item() < 1e-3) is converges


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("shifted(shifted)", "is shifted already"),
        ("shifted(reddi)", "is bound to a box"),
        ("shifted(shift=0.0)", "`shift` must be positive"),
        ("rotated(rotated)", "is rotated already"),
        ("rotated(reddi(), base=1)", "multiple values"),
        ("rotated(tanh)", "`dim` must be at least 2"),
        ("scaled(by=-1.0)", "`by` must be positive"),
        ("stretched(shifted)", "moves with the seed"),
        ("stretched(ratio=0.0)", "`ratio` must be positive"),
        ("delayed(delayed)", "is delayed already"),
        ("delayed(steps=0)", "`steps` must be at least 1"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(id: str, message: str) -> None:
    """A wrapper that would do nothing, or something else, says so."""
    with pytest.raises(BadValue, match=message):
        analytic(id)
