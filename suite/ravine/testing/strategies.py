"""Hypothesis strategies: problems, points, spectra, matrices, hyperparameters, gradients.

All of them shrink towards what a person would write down first: few dimensions, zeros and
ones, a method's own hyperparameters.  Torch is imported when the first example is drawn, not
when a test is collected.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import SearchStrategy

from ravine.errors import BadValue, RavineError

Draw: TypeAlias = Callable[..., Any]
"""What Hypothesis gives a composite strategy to draw with."""

SIGNS = ("positive", "negative", "mixed", "any")
"""Which signs the eigenvalues of a spectrum have."""

MOST_KNOBS = 3
"""Hyperparameters that are changed at once, at most, beside the learning rate."""


def seeds() -> SearchStrategy[int]:
    """Seeds of runs, from 0, towards which they shrink."""
    return st.integers(0, 2**31 - 1)


def problems(tag: str | None = None, max_dim: int = 10) -> SearchStrategy[str]:
    """Ids of the catalogue's formulas, those with a free dimension at several of them.

    They shrink towards few dimensions, and among equals to the first by name.  Networks are
    not among them; nor are the catalogue's other arguments varied.

    Args:
        tag: word that they all have, as `convex` or `saddle`.
        max_dim: most coordinates.

    Raises:
        BadValue: when drawn, if there are none such.

    Example:
        >>> from hypothesis import find, settings
        >>> fresh = settings(database=None)
        >>> find(problems("saddle"), lambda id: True, settings=fresh)
        'bounded_saddle'
    """
    return st.deferred(lambda: st.sampled_from(_catalogue(tag, max_dim)))


@lru_cache(maxsize=64)
def _catalogue(tag: str | None, max_dim: int) -> tuple[str, ...]:
    from ravine.problems import Analytic
    from ravine.problems import problems as registry

    found: set[tuple[int, str]] = set()
    for name, entry in registry.items():
        if "analytic" not in entry.tags or not (tag is None or tag in entry.tags):
            continue
        ids = [name]
        if "dim" in _arguments(entry.factory):
            ids += [f"{name}(dim={dim})" for dim in range(1, max_dim + 1)]
        for id in ids:
            built = _built(id)
            if isinstance(built, Analytic) and built.dim <= max_dim:
                found.add((built.dim, built.name))
    if not found:
        words = f" with the tag `{tag}`" if tag else ""
        raise BadValue(
            f"no formula{words} has at most {max_dim} coordinates; see `ravine list problems`"
        )
    return tuple(name for _, name in sorted(found))


def _arguments(factory: Any) -> Sequence[str]:
    import inspect

    return tuple(inspect.signature(factory).parameters)


def _built(id: str) -> object:
    from ravine.problems import problem

    try:
        return problem(id)
    except RavineError:  # a formula of another dimension
        return None


def points(problem: Any, inside: float = 1.0) -> SearchStrategy[Any]:
    """Points of a formula's domain, `[n]` in double precision.

    Coordinates are the formula's own, without a seed's shift or rotation; they shrink towards
    the simplest number of each interval, 0 where it has that.

    Args:
        problem: id or problem.
        inside: the share of each interval, about its middle, from which they come.

    Raises:
        BadValue: when drawn, if the problem is no formula.

    Example:
        >>> from hypothesis import find, settings
        >>> fresh = settings(database=None)
        >>> find(points("rosenbrock"), lambda x: bool((x > 1).all()), settings=fresh).tolist()
        [2.0, 2.0]
    """
    _share("inside", inside)

    def drawn() -> SearchStrategy[Any]:
        import torch

        from ravine.problems.catalogue import analytic

        coordinates = [
            st.floats(
                (low + high) / 2 - inside * (high - low) / 2 if inside < 1 else low,
                (low + high) / 2 + inside * (high - low) / 2 if inside < 1 else high,
                allow_subnormal=False,
            )
            for low, high in analytic(problem).intervals
        ]
        return st.tuples(*coordinates).map(lambda x: torch.tensor(x, dtype=torch.float64))

    return st.deferred(drawn)


def spectra(
    dim: int | SearchStrategy[int], condition: int | float = 1e6, signs: str = "positive"
) -> SearchStrategy[np.ndarray]:
    """Eigenvalues of a nonsingular symmetric matrix, ascending, `[dim]` in double precision.

    Their sizes lie from 1 to `condition`, spread over its decades, so that the condition
    number is at most that; they shrink to ones.

    Args:
        dim: how many, or a strategy of that.
        condition: largest ratio of sizes.
        signs: `positive`, `negative`, `mixed` (at least one of either) or `any`.

    Raises:
        BadValue: an argument is outside its domain.

    Example:
        >>> from hypothesis import find, settings
        >>> fresh = settings(database=None)
        >>> find(spectra(3, signs="mixed"), lambda values: True, settings=fresh).tolist()
        [-1.0, 1.0, 1.0]
    """
    if not 1 <= condition < math.inf:
        raise BadValue(f"`condition` must be at least 1 and finite, got {condition}; give such")
    if signs not in SIGNS:
        raise BadValue(f"`signs` must be one of {', '.join(SIGNS)}, got {signs}; give one of them")
    least = 2 if signs == "mixed" else 1
    if isinstance(dim, int) and dim < least:
        raise BadValue(f"`dim` must be at least {least}, got {dim}; give a larger one")
    dims = st.just(dim) if isinstance(dim, int) else dim.filter(lambda n: n >= least)

    @st.composite
    def drawn(draw: Draw) -> np.ndarray:
        n = draw(dims)
        top = math.log10(condition)
        powers = draw(st.lists(st.floats(0, top, allow_subnormal=False), min_size=n, max_size=n))
        sizes = np.clip(10.0 ** np.array(powers), 1.0, condition)
        low, high = {"positive": (0, 0), "negative": (n, n), "mixed": (1, n - 1)}.get(signs, (0, n))
        below = draw(st.integers(low, high))
        return np.sort(np.where(np.arange(n) < below, -sizes, sizes))

    return drawn()


def symmetric_matrices(
    spectrum: Sequence[int | float] | np.ndarray | SearchStrategy[np.ndarray],
) -> SearchStrategy[Any]:
    """Symmetric matrices of a spectrum, Q diag(spectrum) Q', `[n, n]` in double precision.

    Q is the identity or uniform among orthogonal matrices; they shrink to the diagonal one.
    Eigenvalues are those given up to rounding, about 1e-16 of the largest.

    Args:
        spectrum: eigenvalues, or a strategy of them, as `spectra` is.

    Example:
        >>> from hypothesis import find, settings
        >>> fresh = settings(database=None)
        >>> find(symmetric_matrices([1, 4]), lambda matrix: True, settings=fresh).tolist()
        [[1.0, 0.0], [0.0, 4.0]]
    """
    values = spectrum if isinstance(spectrum, SearchStrategy) else st.just(np.array(spectrum))

    @st.composite
    def drawn(draw: Draw) -> Any:
        import torch

        from ravine.problems.analytic import rotation

        diagonal = torch.as_tensor(draw(values), dtype=torch.float64)
        turned = draw(seeds())
        if not turned:
            return torch.diag(diagonal)
        q = rotation(len(diagonal), turned)
        matrix = (q * diagonal) @ q.T
        return (matrix + matrix.T) / 2

    return drawn()


def gradients(shape: Sequence[int], dtype: Any = None) -> SearchStrategy[Any]:
    """Gradients of either sign over nine decades, with zeros, as a tensor of a shape.

    Sizes are m 10^k, 1 <= m < 10 and -6 <= k <= 2.  They shrink to zeros and ones.  In a
    large tensor most entries are one and the same number.

    Args:
        shape: of the parameter.
        dtype: double precision by default.

    Example:
        >>> from hypothesis import find, settings
        >>> fresh = settings(database=None)
        >>> find(gradients((2,)), lambda g: bool((g < 0).any()), settings=fresh).tolist()
        [-1.0, 0.0]
    """

    @st.composite
    def drawn(draw: Draw) -> Any:
        import torch

        found = draw(
            arrays(np.float64, tuple(shape), elements=_entries(), fill=st.sampled_from([0.0, 1.0]))
        )
        return torch.from_numpy(found).to(dtype or torch.float64)

    return drawn()


def _entries() -> SearchStrategy[float]:
    mantissa = st.floats(1, 10, exclude_max=True)
    power = st.sampled_from([0, -1, 1, -2, 2, -3, -4, -5, -6])
    sign = st.sampled_from([1.0, -1.0])
    return st.just(0.0) | st.builds(lambda s, m, k: s * m * 10.0**k, sign, mantissa, power)


def hyperparameters(method: Any, rates: tuple[float, float] = (1e-4, 1.0)) -> SearchStrategy[Any]:
    """Settings of a method that its constructor takes.

    The learning rate, log-uniform; one alternative of those that
    `ravine.regression.scenarios` knows, as `nesterov=True` with the momentum it needs; and a
    few of the hyperparameters whose ranges `ravine.optimizers` knows by name (`weight_decay`,
    `eps`, `momentum`, `betas`, ...).  What the method fixes stays.  They shrink to the
    method's own values.

    Args:
        method: id, method, optimizer class or function; see
            `ravine.testing.assertions.subjects.Subject`.
        rates: smallest and largest learning rate.

    Returns:
        A strategy of `Setting`, whose name reads back as an id where the method has one.

    Raises:
        BadValue: when drawn, if the method is no optimizer.

    Example:
        >>> from hypothesis import find, settings
        >>> fresh = settings(database=None)
        >>> find(hyperparameters("sgd"), lambda s: "nesterov" in s.hyper, settings=fresh).name
        'sgd(momentum=0.8, nesterov=True, dampening=0.0, lr=0.001)'
    """
    if not 0 < rates[0] <= rates[1] < math.inf:
        raise BadValue(f"`rates` must be positive and ascending, got {rates}; give such")

    return st.deferred(lambda: _settings(method, rates)).filter(_builds)


def _settings(method: Any, rates: tuple[float, float]) -> SearchStrategy[Any]:
    """Settings, whether or not the constructor takes them."""
    from ravine.optimizers.hyperparameters import hyperparameters as accepted
    from ravine.regression.scenarios import scenarios, setting
    from ravine.testing.assertions.subjects import as_method

    base = as_method(method)
    takes = accepted(base.build)
    fits = {**base.fixed, "lr": None}
    alternatives = [
        hyper for hyper in scenarios(base) if all(fits.get(k, v) == v for k, v in hyper.items())
    ]
    rate: SearchStrategy[float | None] = st.none()
    if "lr" in takes and "lr" not in base.fixed:
        low, high = map(math.log10, rates)
        spread = st.floats(low, high).map(lambda power: float(f"{10**power:.3g}"))
        within = spread.map(lambda value: min(max(value, rates[0]), rates[1]))
        usual = takes["lr"].default
        own = isinstance(usual, int | float) and rates[0] <= usual <= rates[1]
        rate = st.none() | within if own else within

    @st.composite
    def drawn(draw: Draw) -> Any:
        hyper = dict(draw(st.sampled_from(alternatives)))
        if (chosen := draw(rate)) is not None:
            hyper["lr"] = chosen
        given = {*hyper, *base.fixed, "lr"}
        ranges = {name: _ranges(name, p.default) for name, p in takes.items() if name not in given}
        free = {name: values for name, values in ranges.items() if values is not None}
        if free:
            names = st.lists(st.sampled_from(sorted(free)), unique=True, max_size=MOST_KNOBS)
            hyper |= {name: draw(free[name]) for name in draw(names)}
        return setting(base, hyper)

    return drawn()


def _ranges(name: str, default: object) -> SearchStrategy[Any] | None:
    """Values of a hyperparameter whose name says what it is, None for others."""
    from ravine.optimizers.hyperparameters import KNOWN
    from ravine.optimizers.space import at

    def within(known: str) -> SearchStrategy[float]:
        knob = KNOWN[known]
        return st.floats(0, 1, allow_subnormal=False).map(lambda u: at(knob, u))

    if name == "betas" and isinstance(default, tuple) and len(default) == 2:
        return st.tuples(within("beta1"), within("beta2"))
    if name not in KNOWN or isinstance(default, bool) or not isinstance(default, int | float):
        return None
    # `rho` is an averaging factor in Adadelta and a radius elsewhere: the default tells
    knob = KNOWN[name]
    return within(name) if not default or knob.low <= default <= knob.high else None


def _builds(setting: Any) -> bool:
    """Whether a constructor takes a matrix at a setting."""
    import torch

    from ravine.optimizers.assembly import assemble
    from ravine.optimizers.capabilities import undisturbed

    with undisturbed():
        try:
            assemble(setting, [torch.zeros(4, 3, requires_grad=True)])
        except Exception:  # whatever it refuses
            return False
    return True


def _share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise BadValue(f"`{name}` must lie between 0 and 1, got {value}; give such a number")
