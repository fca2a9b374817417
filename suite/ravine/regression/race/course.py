"""What is raced on: problems, seeds and steps, by what a run of the method costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from ravine.engine.mismatch import mismatch
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Method
from ravine.optimizers.capabilities import capabilities, undisturbed
from ravine.optimizers.driving import step
from ravine.optimizers.space import trials
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.problems.catalogue import problem

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "rosenbrock": "a curved valley: the direction must turn while the rate stays",
        "gaussian_noise": "a floor of noise that the rate and the averaging set",
        "ellipsoid_1e4": "ill-conditioned along the axes, where a scale for each coordinate helps",
        "saddle": "a strict saddle that has to be left, with no minimum to stop at",
        "rotated_ellipsoid_1e4": "ill-conditioned across the axes, where such a scale does not",
        "huber": "a bounded gradient far out, a parabola near the minimum",
        "sparse_gradient": "coordinates without a gradient on most steps: what averages remember",
        "terraces": "level terraces, on which only the averages carry on",
        "one_sided_cliff": "gradients whose size changes a thousandfold from step to step",
        "styblinski_tang": "good and bad basins: what momentum passes over",
        "multiplicative_noise": "noise that fades with the gradient, so that there is no floor",
        "l1_norm": "a kink: the gradient does not fade, so the rate is the floor",
        "quartic_bowl": "a flat bottom, where gradients fall below any epsilon",
        "beale": "a curved valley, a saddle and far plains at once",
        "xor": "a small network with plateaus and symmetric saddles",
        "cauchy_noise": "outliers without a mean: how long one of them is remembered",
        "logistic": "smooth and convex in rotated directions, with a minimum that is not zero",
        "autocorrelated_noise": "noise that averaging over a few steps does not remove",
        "rastrigin": "many basins, between which the first steps choose",
        "tanh": "a gradient that vanishes exponentially: how the step depends on its size",
    }
)
"""By problem what it tells of an optimizer; the first ones serve those whose runs are dear."""

MATRICES = "mnist_softmax"
"""Raced on where no formula fits: it has a matrix and is in single precision."""

SHORTEST = 15
"""Steps that a race has at least, however dear they are."""

TRIED = 3
"""Steps in which evaluations are counted."""

LOOKED_AT, LOOKED_AT_AGAIN, TUNED_ON = 0, 1000, 10_000
"""First seed of the first look, of the second and of tuning; the three never meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Where a method is raced, and how long.

    Args:
        problems: that it fits.
        seeds: of each look.
        tuning: seeds that its rate is chosen on.
        trials: rates that are tried.
        steps: of a run.
    """

    problems: tuple[Problem, ...]
    seeds: int
    tuning: int
    trials: int
    steps: int

    @property
    def first(self) -> tuple[int, ...]:
        """Seeds of the first look."""
        return tuple(range(LOOKED_AT, LOOKED_AT + self.seeds))

    @property
    def fresh(self) -> tuple[int, ...]:
        """Seeds of the second look."""
        return tuple(range(LOOKED_AT_AGAIN, LOOKED_AT_AGAIN + self.seeds))

    @property
    def tuning_seeds(self) -> tuple[int, ...]:
        """Seeds of tuning."""
        return tuple(range(TUNED_ON, TUNED_ON + self.tuning))


def course(method: Method) -> Course:
    """Choose where a method is raced, so that a check of it takes well under a minute.

    Runs that share a tensor cost next to nothing and get all problems; those that do not
    get fewer problems, seeds and steps.

    Args:
        method: the method.

    Returns:
        The course; no problems if the method fits none.

    Example:
        >>> from ravine.optimizers import method
        >>> [len(course(method(name)).problems) for name in ("adam", "lbfgs")]
        [20, 6]
    """
    level = probe(method)
    fast = level is Level.ELEMENTWISE
    count = len(REASONS) if fast else 12 if level is Level.TENSORWISE else 6
    formulas: list[Problem] = []
    for name in REASONS:
        built = problem(name)
        if len(formulas) < count and mismatch(built, method) is None:
            formulas.append(built)
    if not formulas:
        return _matrices(method)
    if fast:
        return Course(problems=tuple(formulas), seeds=25, tuning=5, trials=16, steps=500)
    steps = {Level.TENSORWISE: 300, Level.GLOBAL: 200, Level.ALONE: 100}[level]
    steps = max(SHORTEST, steps // evaluations(method))
    tried = 8 if level is Level.ALONE else 16
    return Course(problems=tuple(formulas), seeds=14, tuning=2, trials=tried, steps=steps)


def evaluations(method: Method) -> int:
    """How often a step evaluates the loss, 1 for a method that takes no closure.

    Args:
        method: tried at its own hyperparameters on the first problem.

    Example:
        >>> from ravine.optimizers import method
        >>> evaluations(method("adam"))
        1
    """
    needs = capabilities(method)
    if not needs.closure:
        return 1
    valley = problem(next(iter(REASONS)))
    calls = 0
    with undisturbed():
        x = valley.start(0)["x"].requires_grad_()

        def evaluate() -> Float[Tensor, ""]:
            nonlocal calls
            calls += 1
            return valley.loss({"x": x}, {})

        try:
            optimizer = assemble(trials(method, 1)[0], [x], TRIED)
            for _ in range(TRIED):
                step(optimizer, [x], needs, evaluate)
        except Exception:  # what it raises here it raises in a race, where it is told
            return max(1, calls)
    return max(1, calls // TRIED)


def _matrices(method: Method) -> Course:
    network = problem(MATRICES)
    fits = mismatch(network, method) is None
    return Course(problems=(network,) if fits else (), seeds=12, tuning=2, trials=16, steps=40)


def precision(problem: Problem) -> str:
    """Formulas are raced in double precision, networks in single."""
    return "float64" if isinstance(problem, Analytic) else "float32"
