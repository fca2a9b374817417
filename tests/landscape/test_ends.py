"""Where runs end is said truly: at listed critical points, beside them, and after real runs."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
import torch
from scipy.optimize import root

from ravine.engine.walk import walk
from ravine.landscape.ends.ends import ends
from ravine.landscape.ends.frame import ENDS_SCHEMA, ended
from ravine.landscape.ends.place import Place
from ravine.optimizers.base import Setting
from ravine.optimizers.catalogue import method
from ravine.problems import problem
from ravine.problems.analytic import Analytic
from ravine.problems.base import Kind, Problem
from ravine.problems.catalogue import problems
from ravine.problems.draws import generator
from ravine.problems.modules.module import ModuleProblem

LISTED = [n for n in problems.tagged("analytic") if problem(n).facts.critical_points]


def places(p: Problem, points: Sequence[Sequence[float]]) -> list[str]:
    x = torch.tensor(points, dtype=torch.float64)
    return [str(place) for place in ends(p, x, [0] * len(x)).place]


def in_instance(p: Analytic, z: torch.Tensor) -> torch.Tensor:
    """Points of the formula in the coordinates of seed 0."""
    data = p.instance([0])
    return z + data["shift"][0] if "shift" in data else z


def run(p: Problem, name: str, steps: int, seeds: int = 4, **knobs: float) -> list[str]:
    x = torch.stack([walk(p, chosen(name, **knobs), seed=s, steps=steps).end for s in range(seeds)])
    return [str(place) for place in ends(p, x, list(range(seeds))).place]


def chosen(name: str, **knobs: float) -> Setting:
    return Setting(method(name), tuple(knobs.items()))


def test_every_listed_critical_point_is_called_what_it_is() -> None:
    """The word is the listed kind, but `minimum` where a degenerate point is the lowest of all."""
    for name in LISTED:
        p = problem(name)
        assert isinstance(p, Analytic)
        known = p.facts.critical_points
        z = torch.tensor([c.x for c in known], dtype=torch.float64)
        found = places(p, in_instance(p, z).tolist())
        for c, word in zip(known, found, strict=True):
            lowest = p.facts.minimum is not None and abs(c.value - p.facts.minimum) < 1e-6
            wanted = {str(c.kind)} | (
                {"minimum"} if c.kind is Kind.DEGENERATE and lowest else set()
            )
            assert word in wanted, (name, c)


def test_beside_a_critical_point_no_other_kind_is_claimed() -> None:
    """4 % of the domain away, a kind is named only where a root finder agrees within 1 %."""
    for name in LISTED:
        p = problem(name)
        assert isinstance(p, Analytic)
        z = torch.tensor([c.x for c in p.facts.critical_points], dtype=torch.float64)
        low, high = torch.tensor(p.intervals, dtype=torch.float64).unbind(-1)
        way = torch.from_numpy(generator("way", p.dim).standard_normal(z.shape))
        z = z + 0.04 * (high - low) * way / way.norm(dim=-1, keepdim=True)
        found = ends(p, in_instance(p, z), [0] * len(z))
        for i, word in enumerate(found.place):
            if word in (Place.MINIMUM, Place.SADDLE, Place.MAXIMUM):
                assert found.distance[i] <= 0.01, name
                assert critical_near(p, z[i], (high - low)), (name, z[i])


def critical_near(p: Analytic, z: torch.Tensor, width: torch.Tensor) -> bool:
    """Whether a zero of the gradient lies within 1 % by another method, a root finder."""

    def slope(u: object) -> object:
        leaf = (torch.as_tensor(u) * width).requires_grad_()
        return (torch.autograd.grad(p.f(leaf), leaf)[0] * width).numpy()

    answer = root(slope, (z / width).numpy(), method="hybr")
    moved = torch.as_tensor(answer.x) - z / width
    return bool(answer.success and moved.norm() <= 0.0101)


def test_converged_runs_are_at_minima() -> None:
    """Adam with a small rate, given the steps, ends in one of Himmelblau's four minima."""
    assert run(problem("himmelblau"), "adam", 300, seeds=5, lr=0.1) == ["minimum"] * 5


def test_near_a_minimum_its_distance_is_told() -> None:
    """A thousandth of the width beside a minimum: how far it is, and that nothing goes down."""
    p = problem("himmelblau")
    width = 12.0
    found = ends(p, torch.tensor([[3.0 + 1e-3 * width, 2.0]], dtype=torch.float64), [0])
    assert (found.place, found.index, found.nullity) == ((Place.MINIMUM,), (0,), (0,))
    assert found.distance[0] == pytest.approx(1e-3, rel=1e-2)


def test_descent_on_the_stable_manifold_ends_at_the_saddle() -> None:
    """On the axis between two minima descent is drawn to a saddle with one direction down."""
    p = problem("bounded_saddle")
    start = {"x": torch.tensor([0.9, 0.0], dtype=torch.float64)}
    x = walk(p, chosen("sgd", lr=0.1), steps=200, start=start).end[None]
    found = ends(p, x, [0])
    assert found.place == (Place.SADDLE,)
    assert found.index == (1,)


def test_a_saturated_unit_is_on_a_plateau() -> None:
    """At tanh(4), and far away where the slope underflows, nothing is left to go by."""
    assert run(problem("tanh"), "sgd", 50, lr=0.001) == ["plateau"] * 4
    assert places(problem("tanh"), [[30.0], [-30.0]]) == ["plateau"] * 2


def test_flat_fields_and_steps_are_plateaus() -> None:
    """Easom far from its needle, a step of the step ellipsoid, a dead unit."""
    assert places(problem("easom"), [[-50.0, 20.0], [9.0, 9.0]]) == ["plateau"] * 2
    p = problem("step_ellipsoid")
    assert isinstance(p, Analytic)
    x = in_instance(p, torch.tensor([[3.0, -4.0]], dtype=torch.float64))
    assert places(p, x.tolist()) == ["plateau"]
    assert places(problem("dead_relu"), [[-2.0, -2.0]]) == ["plateau"]


def test_a_run_at_a_wall_is_at_a_cliff() -> None:
    """The wall of x^10, where runs begin, and the brink of a recurrent unit."""
    assert run(problem("tied_product"), "sgd", 10, lr=1e-9) == ["cliff"] * 4


def test_descent_in_a_valley_ends_in_a_ravine() -> None:
    """Rosenbrock's valley, and an ellipsoid whose long axis is hardly begun."""
    assert run(problem("rosenbrock"), "sgd", 300, seeds=2, lr=1e-3) == ["ravine"] * 2
    assert run(problem("ellipsoid_1e6"), "sgd", 300, seeds=2, lr=4e-7) == ["ravine"] * 2


def test_a_well_narrower_than_the_neighbourhood_is_a_minimum() -> None:
    """Easom's needle is 1 % of its domain wide: near its tip a run is at the minimum."""
    assert places(problem("easom"), [[3.13, 3.11]]) == ["minimum"]


def test_a_run_that_has_left_the_domain_is_judged_by_the_domain() -> None:
    """Far down an unbounded saddle there is a slope; no cliff, and no plateau."""
    assert places(problem("saddle"), [[0.0, 103.0]]) == ["slope"]


def test_slopes_that_cancel_are_a_kink() -> None:
    """Descent on |x| rattles around the kink; beside it there is a slope, on it a minimum."""
    p = problem("l1_norm")
    assert isinstance(p, Analytic)
    z = torch.tensor([[1e-3, -2e-3], [0.5, 1e-3], [0.0, 0.0]], dtype=torch.float64)
    assert places(p, in_instance(p, z).tolist()) == ["kink", "slope", "minimum"]


def test_ripples_are_no_kinks() -> None:
    """Ackley has one kink; elsewhere slopes cancel within 1 % of its domain, but smoothly."""
    p = problem("ackley")
    assert isinstance(p, Analytic)
    z = torch.from_numpy(generator("ripples").uniform(5, 20, (40, 2)))
    assert "kink" not in places(p, in_instance(p, z).tolist())


def test_a_box_holds_runs_at_its_boundary() -> None:
    """Schwefel falls beyond its box: a run held there is at no minimum of the function."""
    p = problem("schwefel")
    assert isinstance(p, Analytic)
    z = torch.tensor([-500.0, 420.968746], dtype=torch.float64)
    slope = torch.func.grad(p.f)(z)
    assert slope[0] > 0
    found = ends(p, z[None], [0])
    assert found.place == (Place.BOUNDARY,)


def test_units_do_not_matter() -> None:
    """Other units of the coordinates, with the domain's, or of the loss, change no word."""
    plain = problem("rosenbrock")
    z = torch.from_numpy(generator("units").uniform(-2, 2, (30, 2)))
    z[:10, 1] = z[:10, 0].square()
    found = places(plain, z.tolist())
    assert len(set(found)) > 1
    assert found == places(problem("scaled(base=rosenbrock, by=1000.0)"), z.tolist())
    units = torch.tensor([1.0, 10.0], dtype=torch.float64)
    assert found == places(problem("stretched(base=rosenbrock)"), (z * units).tolist())


def test_shifts_and_rotations_are_undone() -> None:
    """Each seed's own minimum is called one, and no other seed's is."""
    p = problem("rotated(base=shifted(base=ellipsoid))")
    assert isinstance(p, Analytic)
    own = p.instance([3, 4])["shift"]
    assert ends(p, own, [3, 4]).place == (Place.MINIMUM, Place.MINIMUM)
    assert Place.MINIMUM not in ends(p, own, [4, 3]).place


def test_points_without_bounds_are_no_places() -> None:
    """What is not finite, or is beyond all bounds, has diverged upwards or downwards."""
    p = problem("saddle")
    rows = [[math.nan, 0.0], [1e200, 0.0], [0.0, 1e100]]
    assert places(p, rows) == ["diverged", "diverged", "unbounded"]


def rows_of(
    p: Problem, points: Sequence[Sequence[float]], **columns: Sequence[object]
) -> pl.DataFrame:
    n = len(points)
    return pl.DataFrame(
        {
            "problem": [p.name] * n,
            "method": ["sgd"] * n,
            "setting": ["sgd(lr=0.1)"] * n,
            "seed": [0] * n,
            "outcome": columns.get("outcome", ["spent"] * n),
            "start": [100.0] * n,
            "final": columns.get("final", [1.0] * n),
            "point": points,
        },
        schema_overrides={"point": pl.List(pl.Float64), "final": pl.Float64},
    )


def test_a_frame_says_what_the_engine_recorded() -> None:
    """Divergence, failure and points that were not kept come before any analysis."""
    p = problem("himmelblau")
    runs = rows_of(
        p,
        [[3.0, 2.0], [3.0, 2.0], [3.0, 2.0], [], [3.0, 2.0]],
        outcome=["spent", "diverged", "failed", "spent", "solved"],
        final=[0.0, math.inf, 1.0, 1.0, -math.inf],
    )
    found = ended(runs, [p])
    assert dict(found.schema) == ENDS_SCHEMA
    words = ["minimum", "diverged", "failed", "not kept", "unbounded"]
    assert found["ended"].to_list() == words
    assert found["value"].to_list() == [0.0, None, None, None, None]


class Once(torch.autograd.Function):
    """A square whose second derivative torch takes for zero."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:  # noqa: D102
        (x,) = ctx.saved_tensors
        return 2 * x * g


class Refusing(Once):
    """A square whose second derivative is refused, as by some operations of torch."""

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:  # noqa: D102
        if torch.is_grad_enabled():
            raise RuntimeError("derivative for aten::square_backward is not implemented")
        return 2 * ctx.saved_tensors[0] * g


@pytest.mark.parametrize("square", [Once, Refusing])
def test_a_loss_without_a_second_derivative_is_not_classified(square: type[Once]) -> None:
    """Whether torch refuses or returns zeros, it is said so; the comparison goes on."""
    p = Analytic(f=lambda x: square.apply(x).sum(-1), dim=2, name="once")
    found = ended(rows_of(p, [[3.0, 2.0]]), [p])
    assert found["ended"].to_list() == ["not classified"]


def test_a_small_network_is_classified_by_its_training_loss() -> None:
    """A linear network, trained to rest on all its examples, is at a minimum."""
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    y = x @ torch.randn(3, 1) + 0.1 * torch.randn(40, 1)
    p = ModuleProblem(
        lambda: torch.nn.Linear(3, 1),
        (x, y),
        torch.nn.functional.mse_loss,
        batch_size=40,
        name="line",
    )
    start, end = (walk(p, chosen("sgd", lr=0.1), steps=n).end for n in (0, 400))
    found = ends(p, torch.stack([start, end]), [0, 0])
    assert found.place == (Place.SLOPE, Place.MINIMUM)


def test_a_saddle_is_not_a_minimum_however_flat() -> None:
    """Equal units of a network meet at saddles with zero directions: index and nullity say so."""
    p = problem("linear_autoencoder")
    known = [c for c in p.facts.critical_points if c.kind is Kind.SADDLE]
    found = ends(p, torch.tensor([known[1].x], dtype=torch.float64), [0])
    assert found.place == (Place.SADDLE,)
    assert found.index[0] >= 1
    assert found.nullity[0] >= 1
