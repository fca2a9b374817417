"""Everything that is drawn is valid, and shrinks to what a person would write down."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from ravine.errors import BadValue
from ravine.optimizers import method
from ravine.optimizers.assembly import assemble
from ravine.problems import Analytic, problem
from ravine.problems import problems as catalogue
from ravine.testing import strategies

FRESH = settings(database=None, max_examples=200)


def simplest(strategy: SearchStrategy[Any], condition: Callable[[Any], bool]) -> Any:
    """What an example that fulfils the condition shrinks to."""
    return find(strategy, condition, settings=FRESH)


@given(id=strategies.problems(max_dim=4), seed=strategies.seeds())
def test_a_problem_builds_and_has_a_finite_loss_at_its_start(id: str, seed: int) -> None:
    """Its id is canonical, it has as few coordinates as asked for, and runs can begin."""
    built = problem(id)
    assert isinstance(built, Analytic)
    assert built.name == id
    assert built.dim <= 4
    data = {name: t[0] for name, t in built.instance([seed]).items()}
    assert built.value(built.start(seed), data).isfinite()


def test_all_problems_with_a_tag_are_there() -> None:
    """A tag selects what the registry says, and a dimension what fits."""
    drawn = {id.partition("(")[0] for id in strategies._catalogue("saddle", 10)}
    tagged = {n for n in catalogue.tagged("saddle") if "analytic" in catalogue[n].tags}
    assert drawn == {n for n in tagged if _smallest(n) <= 10}
    with pytest.raises(BadValue, match="no formula with the tag `convexx`"):
        find(strategies.problems("convexx"), lambda id: True, settings=FRESH)


def _smallest(name: str) -> int:
    dims = [problem(id).dim for id in strategies._catalogue(None, 20) if id.split("(")[0] == name]
    return min(dims, default=1000)


def test_problems_shrink_to_few_dimensions() -> None:
    """The smallest problem that has three coordinates or more has three."""
    assert problem(simplest(strategies.problems(), lambda id: problem(id).dim >= 3)).dim == 3


@given(data=st.data(), id=strategies.problems(max_dim=6))
def test_points_lie_in_the_domain(data: DataObject, id: str) -> None:
    """Each coordinate is in its interval, or in the middle half of it."""
    built = problem(id)
    assert isinstance(built, Analytic)
    low, high = torch.tensor(built.intervals, dtype=torch.float64).T
    x = data.draw(strategies.points(id))
    assert x.shape == (built.dim,)
    assert x.dtype == torch.float64
    assert bool(((low <= x) & (x <= high)).all())
    near = data.draw(strategies.points(built, inside=0.5))
    assert bool(((near - (low + high) / 2).abs() <= (high - low) / 4 * (1 + 1e-12)).all())


def test_points_shrink_to_whole_numbers() -> None:
    """The simplest point at which both coordinates are beyond 1 is (2, 2)."""
    assert simplest(strategies.points("sphere(dim=2)"), lambda x: bool((x > 1).all())).tolist() == [
        2.0,
        2.0,
    ]


@given(
    data=st.data(),
    dim=st.integers(2, 12),
    condition=st.sampled_from([1.0, 3.0, 1e4]),
    signs=st.sampled_from(strategies.SIGNS),
)
def test_a_spectrum_has_its_condition_and_signs(
    data: DataObject, dim: int, condition: float, signs: str
) -> None:
    """Ascending, none zero, sizes from 1 to the condition, and signs as asked for."""
    values = data.draw(strategies.spectra(dim, condition, signs))
    assert values.shape == (dim,)
    assert (np.diff(values) >= 0).all()
    assert (np.abs(values) >= 1).all()
    assert (np.abs(values) <= condition).all()
    below = int((values < 0).sum())
    low, high = {"positive": (0, 0), "negative": (dim, dim), "mixed": (1, dim - 1)}.get(
        signs, (0, dim)
    )
    assert low <= below <= high


@given(values=strategies.spectra(st.integers(1, 8), 1e3, "any"), data=st.data())
def test_a_matrix_has_its_spectrum(values: np.ndarray, data: DataObject) -> None:
    """Symmetric to the bit, and its eigenvalues are those given to 1e-12 of the largest."""
    matrix = data.draw(strategies.symmetric_matrices(values))
    assert torch.equal(matrix, matrix.T)
    found = torch.linalg.eigvalsh(matrix).numpy()
    assert np.abs(found - values).max() <= 1e-12 * np.abs(values).max()


def test_spectra_and_matrices_shrink_to_ones_on_the_diagonal() -> None:
    """The simplest mixed spectrum is of ones, the simplest matrix is diagonal."""
    spectra = strategies.spectra(3, signs="mixed")
    assert simplest(spectra, lambda v: True).tolist() == [-1.0, 1.0, 1.0]
    matrices = strategies.symmetric_matrices(strategies.spectra(st.integers(1, 5)))
    assert simplest(matrices, lambda m: len(m) >= 2).tolist() == [[1.0, 0.0], [0.0, 1.0]]


@given(gradient=strategies.gradients((2, 3)))
def test_gradients_are_zero_or_within_nine_decades(gradient: torch.Tensor) -> None:
    """Of the shape, and each entry 0 or of a size from 1e-6 to 1e3."""
    assert gradient.shape == (2, 3)
    sizes = gradient[gradient != 0].abs()
    assert bool(((sizes >= 0.99e-6) & (sizes <= 1e3)).all())


def test_gradients_show_zeros_both_signs_and_many_decades() -> None:
    """Each can be found, and shrinks: one negative entry among zeros, the tiny one a power."""
    shape = strategies.gradients((3,))
    assert sorted(simplest(shape, lambda g: bool((g < 0).any())).tolist()) == [-1.0, 0.0, 0.0]
    tiny = simplest(shape, lambda g: bool(((g > 0) & (g < 1e-4)).any()))
    assert float(tiny.max()) == pytest.approx(1e-5)
    assert simplest(shape, lambda g: True).tolist() == [0.0, 0.0, 0.0]
    many = strategies.gradients((40, 50), dtype=torch.float32)
    assert simplest(many, lambda g: bool((g != 0).any())).dtype == torch.float32


@pytest.mark.parametrize("id", ["sgd", "adam", "rmsprop", "adadelta", "muon", "sgd(momentum=0.9)"])
@given(data=st.data())
@settings(max_examples=8)
def test_settings_build_and_read_back(id: str, data: DataObject) -> None:
    """Each is taken by the constructor, keeps what is fixed, and its name names the same."""
    drawn = data.draw(strategies.hyperparameters(id, rates=(1e-3, 0.1)))
    assert isinstance(assemble(drawn, [torch.zeros(4, 3).requires_grad_()]), torch.optim.Optimizer)
    assert method(drawn.name).fixed == drawn.hyper
    assert 1e-3 <= drawn.hyper["lr"] <= 0.1
    assert drawn.hyper.get("momentum", 0.9) == 0.9 or "momentum" not in id


@pytest.mark.slow
def test_settings_shrink_to_the_methods_own() -> None:
    """Nothing changed is the simplest, and then only what must be."""
    assert simplest(strategies.hyperparameters("adam"), lambda s: True).name == "adam(lr=0.001)"
    nesterov = simplest(strategies.hyperparameters("sgd"), lambda s: "nesterov" in s.hyper)
    assert nesterov.hyper == {"momentum": 0.8, "nesterov": True, "dampening": 0.0, "lr": 0.001}
    faster = simplest(strategies.hyperparameters("adam"), lambda s: s.hyper["lr"] > 0.01)
    assert set(faster.hyper) == {"lr"}


def test_seeds_shrink_to_zero() -> None:
    """The simplest seed is 0, and one above 100 is 101."""
    assert simplest(strategies.seeds(), lambda seed: True) == 0
    assert simplest(strategies.seeds(), lambda seed: seed > 100) == 101


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (lambda: strategies.spectra(2, condition=0.5), "condition"),
        (lambda: strategies.spectra(1, signs="mixed"), "dim"),
        (lambda: strategies.spectra(2, signs="odd"), "signs"),
        (lambda: strategies.points("sphere", inside=0.0), "inside"),
        (lambda: strategies.hyperparameters("sgd", rates=(1.0, 0.1)), "rates"),
    ],
)
def test_arguments_outside_their_domain_are_refused_at_once(
    made: Callable[[], Any], word: str
) -> None:
    """Not only when something is drawn."""
    with pytest.raises(BadValue, match=word):
        made()
