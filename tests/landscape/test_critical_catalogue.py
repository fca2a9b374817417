"""Every critical point that the catalogue lists is found from random starts, as listed."""

from functools import cache

import numpy as np
import pytest
import torch
from jaxtyping import Float64

from ravine.landscape.critical.classify import classify
from ravine.landscape.critical.search import search
from ravine.landscape.sources import surface
from ravine.problems import Analytic, problem, problems
from ravine.problems.draws import generator

pytestmark = pytest.mark.slow


@cache
def build(name: str) -> Analytic | None:
    """A formula with listed points and without kinks; None for anything else."""
    try:
        p = problem(name)
    except TypeError:  # an argument without a default
        return None
    smooth = isinstance(p, Analytic) and p.traits.smooth
    return p if smooth and p.facts.critical_points else None


NAMES = [name for name in problems if build(name) is not None]


def starts(p: Analytic, listed: Float64[np.ndarray, "k n"]) -> Float64[np.ndarray, "m n"]:
    """Anywhere in the domain, and around the listed points at all distances up to a tenth.

    Many formulas have thousands of critical points, of which some are listed, or one that
    attracts a thousandth of the domain: starts from anywhere alone would be too many.
    """
    low, high = np.array(p.intervals).T
    random = generator("catalogue", p.name)
    anywhere = low + (high - low) * random.random((100, p.dim))
    near = np.repeat(listed, 10, axis=0)
    way = random.standard_normal(near.shape)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    reach = 10 ** random.uniform(-6, -1, (len(near), 1)) * (high - low).max()
    return np.concatenate([anywhere, np.clip(near + reach * way, low, high)])


def test_most_formulas_with_a_list_are_tried() -> None:
    """The loop is over the catalogue, and leaves out kinks alone."""
    assert len(NAMES) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_listed_points_are_found_as_listed(name: str) -> None:
    """A listed point has its kind, and a search comes to rest there; if complete, only there.

    Where the Hessian is singular and other critical points adjoin, as along a valley of
    minima, a search that comes to rest at one of them, of the same value, has found it.
    """
    p = build(name)
    assert p is not None
    listed = np.array([point.x for point in p.facts.critical_points])
    ground = surface(p)
    itself = classify(ground, torch.from_numpy(listed), higher=False)
    begin = torch.from_numpy(starts(p, listed))
    found = search(ground, begin, box=p.intervals, higher=False)
    width = max(high - low for low, high in p.intervals)
    places = torch.stack([q.x for q in found.points]).numpy()
    taken = set()
    for point, here in zip(p.facts.critical_points, itself, strict=True):
        assert here.label == point.kind, (point, here.eigenvalues, here.tolerance)
        away = np.abs(places - np.array(point.x)).max(1)
        near = away <= 1e-5 * width
        level = 1e-6 * (1 + abs(point.value))
        alike = [q for q in found.points if abs(q.value - point.value) <= level]
        if here.nullity == 0 or p.facts.complete:
            kinds = [q.label for q, is_near in zip(found.points, near, strict=True) if is_near]
            assert kinds == [point.kind], (point, kinds)
            taken |= set(np.flatnonzero(near))
        else:
            assert alike, point
    if p.facts.complete:
        assert len(taken) == len(found.points), dict(found.kinds)
