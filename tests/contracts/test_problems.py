"""What every problem that is a formula promises, and every fact that it states.

All points of a problem are one stack, so a search from thousands of starts costs as much
as a few hundred steps.  Draws are keyed by the problem's name: nothing here varies from
run to run.
"""

import inspect
import math
import re
from functools import cache
from itertools import pairwise

import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.base import Data, Goal, Kind
from ravine.problems.catalogue import problem, problems
from ravine.problems.draws import generator
from ravine.registry import parse

VARIANTS = (
    "ackley(dim=5)",
    "ackley(dim=19)",
    "bad_local_minimum(dim=1)",
    "bad_local_minimum(dim=3)",
    "deep_linear(depth=2)",
    "deep_linear(width=2)",
    "deep_linear(depth=4, singular_values=(2.0, 1.0))",
    "double_well(dim=1)",
    "double_well(dim=3)",
    "egg_crate(dim=3)",
    "gaussian_peaks(dim=3, count=101, layout=1)",
    "griewank(dim=1)",
    "griewank(dim=4)",
    "least_squares(condition=1.0, dim=3)",
    "least_squares(condition=10000.0, dim=10)",
    "levy(dim=5)",
    "linear_autoencoder(bottleneck=1)",
    "linear_autoencoder(eigenvalues=(3.0, 1.0))",
    "linear_chain(depth=3)",
    "logistic(dim=6)",
    "logistic(separable=True)",
    "lunacek(dim=4)",
    "matrix_factorization(rows=3, singular_values=(2.0, 1.0), rank=3)",
    "matrix_factorization(rank=1)",
    "michalewicz(dim=5)",
    "rank_one(dim=5)",
    "rastrigin(dim=10)",
    "saddle(dim=5, index=2)",
    "salomon(dim=1)",
    "schwefel(dim=3)",
    "sombrero(dim=4)",
    "styblinski_tang(dim=5)",
    "tilted_double_well(tilt=0.3)",
    "vincent(dim=3)",
    "weierstrass(dim=3)",
)
"""Other sizes of problems whose facts depend on the size."""


def formulas() -> list[str]:
    """Names of entries that make a formula of their defaults."""
    names = []
    for name, entry in problems.items():
        parameters = inspect.signature(entry.factory).parameters.values()
        if any(p.default is p.empty for p in parameters):
            continue
        try:
            formula = isinstance(problem(name), Analytic)
        except Exception:
            formula = True  # so that the tests fail by name, and not the collection
        if formula:
            names.append(name)
    return names


NAMES = formulas()
IDS = [*NAMES, *VARIANTS]
every_formula = pytest.mark.parametrize("name", IDS)


@cache
def build(name: str) -> Analytic:
    built = problem(name)
    assert isinstance(built, Analytic)
    return built


def having(*facts: str) -> pytest.MarkDecorator:
    """The formulas that state all of these facts."""
    stated = [n for n in IDS if all(getattr(build(n).facts, fact) for fact in facts)]
    return pytest.mark.parametrize("name", stated)


def aiming(goal: Goal) -> pytest.MarkDecorator:
    """The formulas whose targets mean the same."""
    return pytest.mark.parametrize("name", [n for n in IDS if build(n).facts.goal is goal])


def domain(p: Analytic) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    low, high = torch.tensor(p.intervals, dtype=torch.float64).T
    return low, high


def draws(p: Analytic, count: int) -> Float[Tensor, "count n"]:
    """Points anywhere in the domain."""
    low, high = domain(p)
    uniform = torch.from_numpy(generator("contract", p.name).random((count, p.dim)))
    return low + (high - low) * uniform


def slopes(
    p: Analytic, x: Float[Tensor, "count n"]
) -> tuple[Float[Tensor, " count"], Float[Tensor, "count n"]]:
    x = x.detach().requires_grad_()
    value = p.f(x)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def curvatures(
    p: Analytic, x: Float[Tensor, "count n"]
) -> tuple[Float[Tensor, "count n"], Float[Tensor, "count n n"]]:
    """Gradients and Hessians; a formula that is linear in places has none to propagate."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(p.f(x).sum(), x, create_graph=True)
    rows = []
    for part in gradient.unbind(-1):
        row = None
        if part.requires_grad:
            (row,) = torch.autograd.grad(part.sum(), x, retain_graph=True, allow_unused=True)
        rows.append(torch.zeros_like(x) if row is None else row)
    return gradient.detach(), torch.stack(rows, -2).detach()


def held(
    p: Analytic, x: Float[Tensor, "count n"], gradient: Float[Tensor, "count n"]
) -> Bool[Tensor, "count n"]:
    """Coordinates at a wall of the box that descent would only push against."""
    if p.traits.box is None:
        return torch.zeros_like(x, dtype=torch.bool)
    low, high = torch.tensor(p.traits.box, dtype=torch.float64).T
    return ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))


def clamp(p: Analytic, x: Float[Tensor, "count n"]) -> Float[Tensor, "count n"]:
    if p.traits.box is None:
        return x
    low, high = torch.tensor(p.traits.box, dtype=torch.float64).T
    return torch.minimum(torch.maximum(x, low), high)


def newton(
    p: Analytic, x: Float[Tensor, "count n"], steps: int, *, descend: bool
) -> tuple[Float[Tensor, "count n"], Float[Tensor, " count"]]:
    """Newton's method from every point; downhill only, or to any critical point.

    Returns:
        Where it got to, and the length of the last step; infinite where it failed.
    """
    low, high = domain(p)
    reach = 0.05 * (high - low).min()
    length = torch.full(x.shape[:1], math.inf, dtype=torch.float64)
    for _ in range(steps):
        gradient, hessian = curvatures(p, x)
        good = torch.isfinite(gradient).all(-1) & torch.isfinite(hessian).flatten(1).all(-1)
        fixed = held(p, x, gradient)
        gradient = torch.where(good[:, None] & ~fixed, gradient, 0.0)
        mixed = fixed[:, None, :] | fixed[:, :, None] | ~good[:, None, None]
        hessian = torch.where(mixed, 0.0, hessian) + torch.diag_embed(fixed.double())
        values, vectors = torch.linalg.eigh(hessian)
        floor = 1e-12 * values.abs().amax(-1, keepdim=True) + 1e-300
        size = values.abs().clamp(min=floor)
        divisor = size if descend else torch.where(values < 0, -size, size)
        along = (vectors.mT @ gradient.unsqueeze(-1)).squeeze(-1) / divisor
        step = (vectors @ along.unsqueeze(-1)).squeeze(-1)
        length = torch.where(good, step.norm(dim=-1), math.inf)
        step = step * (reach / length.clamp(min=float(reach))).unsqueeze(-1)
        x = clamp(p, x - step)
    return x, length


@cache
def search(name: str) -> tuple[float, Float[Tensor, "count n"]]:
    """The lowest value that descent meets, and the points where it comes to rest.

    Adam's rule with a rate that falls from 2 % of the domain to nothing, from points all
    over the domain and, with smaller steps, around the stated minimizers; Newton's steps
    end it.
    """
    p = build(name)
    low, high = domain(p)
    width = high - low
    x = draws(p, 1500)
    rate = torch.full((len(x), 1), 0.02, dtype=torch.float64)
    if p.facts.minimizers:
        near = torch.tensor(p.facts.minimizers[:20], dtype=torch.float64).repeat(25, 1)
        reach = torch.logspace(-3, -1, len(near), dtype=torch.float64).unsqueeze(-1)
        x[: len(near)] = near + reach * (x[: len(near)] - (low + high) / 2)
        rate[: len(near)] = 0.2 * reach
    x = clamp(p, x)
    lowest = torch.full((len(x),), math.inf, dtype=torch.float64)
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    steps = 200
    for step in range(1, steps + 1):
        value, gradient = slopes(p, x)
        lowest = torch.fmin(lowest, value)
        gradient = torch.nan_to_num(gradient.masked_fill(held(p, x, gradient), 0.0))
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.95 * square + 0.05 * gradient.square()
        direction = mean / (1 - 0.8**step) / (square / (1 - 0.95**step) + 1e-300).sqrt()
        x = clamp(p, x - rate * 1e-5 ** (step / steps) * width * direction)
    x, length = newton(p, x, 8, descend=True)
    lowest = torch.fmin(lowest, p.f(x))
    x = x[length < 1e-9 * width.min()]
    return lowest.min().item(), x


@every_formula
def test_names_build_what_they_name(name: str) -> None:
    """A problem's name, read back, is the same problem."""
    p = build(name)
    assert p.name == name
    assert problem(p.name).name == p.name
    assert problem(p.name).facts == p.facts


@every_formula
def test_entries_say_what_they_are(name: str) -> None:
    """Every entry has a one-sentence summary, a formula and its source."""
    text = inspect.getdoc(problems[parse(name).name].factory) or ""
    assert text.partition("\n")[0].endswith(".")
    assert re.search(r"\w\(.+?\) = ", text)
    assert "References:" in text


@every_formula
def test_gradients_are_right(name: str) -> None:
    """Autograd agrees with finite differences at points of the domain."""
    p = build(name)
    low, high = domain(p)
    x = low + (high - low) * (0.02 + 0.96 * (draws(p, 3) - low) / (high - low))
    _, gradient = slopes(p, x)
    # in units where the domain's width and the steepest slope are one
    width = (high - low).mean()
    scale = 1 / (gradient.abs().max() * width + 1e-3)
    assert torch.autograd.gradcheck(
        lambda u: p.f(u * width) * scale, (x / width).requires_grad_(), eps=1e-7, atol=1e-4
    )


@every_formula
def test_starts_depend_on_the_seed_alone(name: str) -> None:
    """The same seed starts at the same point of the domain, other seeds elsewhere."""
    p = build(name)
    seeds = range(20)
    starts = torch.stack([p.start(seed)["x"] for seed in seeds])
    assert starts.dtype == torch.float64
    assert torch.equal(starts[7], build(name).start(7)["x"])
    assert len({tuple(x.tolist()) for x in starts}) == 20
    assert torch.equal(starts, clamp(p, starts))
    # the start moves along with the minimum
    starts = starts - p.instance(seeds).get("shift", torch.zeros(1))
    if p.start_at is None:
        low, high = domain(p)
    else:
        centre = torch.tensor(p.start_at, dtype=torch.float64)
        low, high = centre - p.spread, centre + p.spread
    assert (starts >= low - 1e-12).all()
    assert (starts <= high + 1e-12).all()


def data_of(p: Analytic, seeds: range) -> Data:
    return {**p.instance(seeds), **p.batch(seeds, 3)}


@every_formula
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_stacking_changes_no_bit(name: str, layout: str) -> None:
    """Loss and gradient of a stack are those of each point alone, however it is stored."""
    p = build(name)
    x = draws(p, 15).reshape(3, 5, p.dim)
    if layout == "columns":
        x = x.movedim(-1, 0).contiguous().movedim(0, -1)
    x.requires_grad_()
    loss = p.loss({"x": x}, data_of(p, range(5)))
    assert loss.shape == (3, 5)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    for i in range(3):
        for seed in range(5):
            alone = x[i, seed].detach().clone(memory_format=torch.contiguous_format)
            alone.requires_grad_()
            own = {k: v[0] for k, v in data_of(p, range(seed, seed + 1)).items()}
            value = p.loss({"x": alone}, own)
            (slope,) = torch.autograd.grad(value, alone)
            assert torch.equal(value, loss[i, seed])
            assert torch.equal(slope.to_dense(), gradient.to_dense()[i, seed])


@every_formula
def test_targets_lie_below_the_start(name: str) -> None:
    """Targets descend, from below where most seeds start to above the minimum."""
    p = build(name)
    facts = p.facts
    assert facts.targets
    assert all(before > after for before, after in pairwise(facts.targets))
    seeds = range(40)
    starts = torch.stack([p.start(seed)["x"] for seed in seeds])
    values = p.value({"x": starts}, p.instance(seeds))
    assert torch.isfinite(values).all()
    if facts.goal is Goal.MINIMUM:
        assert facts.minimum is not None
        assert facts.targets[-1] > 0
        assert facts.targets[0] < 1
        assert (values >= facts.minimum).all()
        assert (values > facts.minimum).double().mean() > 0.5
    else:
        assert (values > facts.targets[0]).double().mean() > 0.5
        assert facts.minimum is None or facts.targets[-1] > facts.minimum


@having("minimizers")
def test_minimizers_attain_the_minimum(name: str) -> None:
    """At a stated minimizer the value is the minimum, and no direction of the box descends."""
    p = build(name)
    x = torch.tensor(p.facts.minimizers, dtype=torch.float64)
    assert torch.equal(x, clamp(p, x))
    value, gradient = slopes(p, x)
    minimum = p.facts.minimum
    assert minimum is not None
    torch.testing.assert_close(value, torch.full_like(value, minimum), rtol=1e-9, atol=1e-9)
    if p.traits.smooth:
        _, hessian = curvatures(p, x)
        scale = 1 + hessian.abs().amax((1, 2)) * (1 + x.abs().amax(-1))
        gradient = gradient.masked_fill(held(p, x, gradient), 0.0)
        assert (gradient.norm(dim=-1) <= 1e-9 * scale).all()


@pytest.mark.parametrize("name", [n for n in IDS if build(n).facts.minimum is not None])
def test_nothing_is_lower_than_the_minimum(name: str) -> None:
    """Descent from 1500 points meets no lower value than the stated minimum."""
    minimum = build(name).facts.minimum
    assert minimum is not None
    lowest, _ = search(name)
    assert lowest >= minimum - 1e-9 * (1 + abs(minimum))


@aiming(Goal.BASIN)
def test_the_last_target_leaves_the_best_basin_only(name: str) -> None:
    """No point of rest lies strictly between the last target and the minimum."""
    p = build(name)
    minimum, last = p.facts.minimum, p.facts.targets[-1]
    assert minimum is not None
    _, rest = search(name)
    value = p.f(rest)
    margin = 1e-6 * (last - minimum)
    between = (value > minimum + margin) & (value < last - margin)
    assert not between.any(), rest[between][:3]


@aiming(Goal.BASIN)
def test_basin_targets_are_local_minima(name: str) -> None:
    """Every basin target is the value of a listed point, or of a rest on the box's edge."""
    p = build(name)
    listed = [point.value for point in p.facts.critical_points]
    _, rest = search(name)
    rests = p.f(rest) if p.traits.box is not None else torch.empty(0, dtype=torch.float64)
    for target in p.facts.targets:
        known = any(math.isclose(target, value, rel_tol=1e-12) for value in listed)
        assert known or ((rests - target).abs() <= 1e-8 * (1 + abs(target))).any()


@aiming(Goal.ESCAPE)
def test_escape_targets_can_be_reached(name: str) -> None:
    """Far out in some direction the loss is below the last target."""
    p = build(name)
    rays = draws(p, 200) - torch.tensor(p.start_at or (0.0,) * p.dim)
    far = torch.logspace(0, 4, 50, dtype=torch.float64)[:, None, None] * rays
    assert torch.fmin(p.f(far), torch.tensor(math.inf)).min() <= p.facts.targets[-1]


@having("critical_points")
def test_critical_points_are_of_their_kind(name: str) -> None:
    """A listed point has its value, no gradient, and the Hessian's signs say its kind.

    Both signs make a saddle even where other eigenvalues are zero; without both, a zero
    eigenvalue makes it degenerate.
    """
    p = build(name)
    points = p.facts.critical_points
    x = torch.tensor([point.x for point in points], dtype=torch.float64)
    stated = torch.tensor([point.value for point in points], dtype=torch.float64)
    torch.testing.assert_close(p.f(x), stated, rtol=1e-9, atol=1e-9)
    gradient, hessian = curvatures(p, x)
    size = hessian.abs().amax((1, 2))
    assert (gradient.norm(dim=-1) <= 1e-9 * (1 + size * (1 + x.abs().amax(-1)))).all()
    _, elsewhere = curvatures(p, draws(p, 64))
    typical = elsewhere.abs().amax((1, 2)).median()
    zero = 1e-7 * torch.maximum(size, 1e-3 * typical)
    for point, values, tolerance in zip(points, torch.linalg.eigvalsh(hessian), zero, strict=True):
        up, down = bool((values > tolerance).any()), bool((values < -tolerance).any())
        flat = bool((values.abs() <= tolerance).any())
        if up and down:
            kind = Kind.SADDLE
        elif flat:
            kind = Kind.DEGENERATE
        else:
            kind = Kind.MINIMUM if up else Kind.MAXIMUM
        assert kind is point.kind, (point, values.tolist())


@having("complete")
def test_complete_lists_miss_no_critical_point(name: str) -> None:
    """Newton's method and descent from 1500 points each come to rest at listed points only."""
    p = build(name)
    low, high = domain(p)
    width = (high - low).max()
    x, length = newton(p, draws(p, 1500), 60, descend=False)
    x = x[length < 1e-6 * width]
    if p.facts.minimum is not None:
        x = torch.cat([x, search(name)[1]])
    gradient, hessian = curvatures(p, x)
    inside = ((x >= low) & (x <= high)).all(-1)
    still = gradient.norm(dim=-1) <= 1e-7 * (1 + hessian.abs().amax((1, 2)))
    found = x[inside & still]
    assert len(found) > 0
    listed = torch.tensor([point.x for point in p.facts.critical_points], dtype=torch.float64)
    away = torch.cdist(found, listed).amin(-1)
    assert away.max() <= 1e-4 * width, found[away.argmax()]


@having("eigenvalues", "minimizers")
def test_eigenvalues_are_the_hessians(name: str) -> None:
    """The Hessian at the first minimizer has the stated eigenvalues."""
    p = build(name)
    _, hessian = curvatures(p, torch.tensor(p.facts.minimizers[:1], dtype=torch.float64))
    stated = torch.tensor(p.facts.eigenvalues, dtype=torch.float64)
    assert (stated.diff() >= 0).all()
    torch.testing.assert_close(
        torch.linalg.eigvalsh(hessian)[0],
        stated,
        rtol=1e-7,
        atol=1e-9 * stated.abs().max().item(),
    )


@having("condition", "minimizers")
def test_condition_is_the_ratio_of_extreme_eigenvalues(name: str) -> None:
    """The largest Hessian eigenvalue over the smallest that is not zero is the condition."""
    p = build(name)
    condition = p.facts.condition
    assert condition is not None
    _, hessian = curvatures(p, torch.tensor(p.facts.minimizers[:1], dtype=torch.float64))
    values = torch.linalg.eigvalsh(hessian)[0]
    smallest = values[values > values[-1] / (10 * condition)][0]
    assert (values[-1] / smallest).item() == pytest.approx(condition, rel=1e-7 + 1e-15 * condition)


@having("smoothness")
def test_gradients_are_lipschitz(name: str) -> None:
    """Gradients at two points differ by at most L times their distance."""
    p = build(name)
    x, y = draws(p, 4000).chunk(2)
    y = torch.cat([y[:1000], x[1000:] + 1e-3 * (y[1000:] - x[1000:])])
    difference = (slopes(p, x)[1] - slopes(p, y)[1]).norm(dim=-1)
    assert p.facts.smoothness is not None
    bound = p.facts.smoothness * (x - y).norm(dim=-1)
    assert (difference <= bound * (1 + 1e-8) + 1e-9 * p.facts.smoothness).all()


@having("strong_convexity")
def test_strong_convexity_holds(name: str) -> None:
    """Gradients at two points differ along their difference by at least m times it."""
    p = build(name)
    x, y = draws(p, 4000).chunk(2)
    step = x - y
    along = ((slopes(p, x)[1] - slopes(p, y)[1]) * step).sum(-1)
    assert p.facts.strong_convexity is not None
    bound = p.facts.strong_convexity * step.square().sum(-1)
    assert (along >= bound * (1 - 1e-8)).all()


@pytest.mark.parametrize(
    "id",
    [
        f"{name}(dim=0)"
        for name in NAMES
        if "dim" in inspect.signature(problems[name].factory).parameters
    ],
)
def test_dimensions_must_be_positive(id: str) -> None:
    """A problem of no coordinates is refused, with the rule and the value."""
    with pytest.raises(BadValue, match=r"`dim` must be at least \d+, got 0"):
        problem(id)


@pytest.mark.parametrize(
    ("id", "rule"),
    [
        ("saddle(dim=3, index=3)", "`index` must be from 1 to 2, got 3"),
        ("tilted_double_well(tilt=0.4)", "`tilt` must be between 0 and 0.3849, got 0.4"),
        ("michalewicz(dim=11)", "`dim` must be at most 10, got 11"),
        ("rastrigin(dims=3)", "`rastrigin` takes dim"),
    ],
)
def test_arguments_outside_their_domain_are_refused(id: str, rule: str) -> None:
    """A wrong argument is answered with the rule and the value."""
    with pytest.raises(BadValue, match=re.escape(rule)):
        problem(id)
