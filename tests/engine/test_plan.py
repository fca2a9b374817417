"""Demands are cut into tasks without loss, and what is known is not run again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine import method, mismatch, problem, trials
from ravine.engine.plan import Demand, cut, missing, pair
from ravine.engine.pool import execute
from ravine.engine.task import Choice, Task
from ravine.records.keys import run_keys
from ravine.records.store import open_store, read

NAMES = ("sphere", "rosenbrock", "himmelblau", "sphere(dim=9)")


def demand(name: str, rates: int, seeds: int, steps: int = 10) -> Demand:
    """Demand some runs of adam on a formula."""
    settings = tuple(trials(method("adam"), 16)[:rates])
    return Demand(problem(name), settings, tuple(range(seeds)), steps)


def cells(tasks: list[Task]) -> list[tuple[str, str, int]]:
    """Every (problem, setting, seed) of the tasks."""
    return [(p, repr(c), s) for t in tasks for p in t.problems for c in t.choices for s in t.seeds]


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.integers(1, 5), st.integers(1, 4)),
        min_size=1,
        max_size=4,
        unique_by=lambda d: d[0],
    ),
    st.integers(1, 4),
)
def test_tasks_are_the_demands_each_run_once(wanted: list[tuple[str, int, int]], jobs: int) -> None:
    """However work is cut, every wanted run is in exactly one task."""
    demands = [demand(*d) for d in wanted]
    found = cells(cut(demands, jobs))
    expected = {
        (d.problem.name, repr(Choice(s.method.name, s.values)), seed)
        for d in demands
        for s in d.settings
        for seed in d.seeds
    }
    assert len(found) == len(set(found))
    assert set(found) == expected


@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 4))
def test_networks_are_cut_without_loss(rates: int, seeds: int, jobs: int) -> None:
    """A network's runs are divided by settings or by seeds, and none is lost or doubled."""
    settings = tuple(trials(method("adam"), max(2, rates)))
    whole = Demand(problem("mnist_softmax"), settings, tuple(range(seeds)), 5)
    found = cells(cut([whole], jobs))
    assert len(found) == len(set(found)) == whole.size


def test_what_is_stored_is_not_run_again(tmp_path: Path) -> None:
    """A second demand with a further setting leaves only that setting to be run."""
    store = open_store(tmp_path)
    first = demand("sphere", 2, 3)
    execute(cut([first], 1), store)
    assert missing([first], read(store)["key"].to_list()) == []
    more = demand("sphere", 3, 3)
    (left,) = missing([more], read(store)["key"].to_list())
    assert left.settings == more.settings[2:]


def test_other_steps_or_seeds_are_other_runs() -> None:
    """The key tells budget, seed, dtype and setting apart, and is stable otherwise."""
    one = demand("sphere", 2, 2)
    keys = run_keys(one.problem, one.settings[0], (0, 1), 10, "float64", "cpu")
    assert keys == run_keys(one.problem, one.settings[0], (0, 1), 10, "float64", "cpu")
    others = [
        *run_keys(one.problem, one.settings[0], (2,), 10, "float64", "cpu"),
        *run_keys(one.problem, one.settings[0], (0,), 11, "float64", "cpu"),
        *run_keys(one.problem, one.settings[0], (0,), 10, "float32", "cpu"),
        *run_keys(one.problem, one.settings[1], (0,), 10, "float64", "cpu"),
        *run_keys(problem("sphere(dim=3)"), one.settings[0], (0,), 10, "float64", "cpu"),
    ]
    assert len({*keys, *others}) == len(keys) + len(others)


def test_an_edited_file_is_another_method(tmp_path: Path) -> None:
    """Runs of a user's class are not taken for those of its edited version."""
    path = tmp_path / "mine.py"
    path.write_text("import torch\n\n\nclass Mine(torch.optim.SGD):\n    pass\n")
    setting = trials(method(f"{path}:Mine"), 2)[0]
    before = run_keys(problem("sphere"), setting, (0,), 10, "float64", "cpu")
    path.write_text(path.read_text() + "\n# another thought\n")
    assert run_keys(problem("sphere"), setting, (0,), 10, "float64", "cpu") != before


def test_two_processes_store_what_one_does(tmp_path: Path) -> None:
    """The results do not depend on how many processes made them."""
    demands = [demand(name, 3, 2) for name in NAMES]
    one, two = open_store(tmp_path / "one"), open_store(tmp_path / "two")
    execute(cut(demands, 1), one, 1)
    done: list[float] = []
    told = execute(cut(demands, 2), two, 2, progress=done.append)
    assert sum(d.runs for d in told) == sum(d.size for d in demands)
    assert done[-1] == sum(d.size * 10 for d in demands)
    assert read(one).sort("key").equals(read(two).sort("key"))


def test_any_executor_will_do(tmp_path: Path) -> None:
    """Whatever implements `concurrent.futures.Executor` does the same work."""
    demands = [demand(name, 2, 2) for name in NAMES[:2]]
    one, two = open_store(tmp_path / "one"), open_store(tmp_path / "two")
    execute(cut(demands, 1), one, 1)
    with ThreadPoolExecutor(1) as pool:
        execute(cut(demands, 2), two, 2, executor=pool)
    assert read(one).sort("key").equals(read(two).sort("key"))


@pytest.mark.parametrize(
    ("name", "other", "reason"),
    [
        ("sphere", "muon", "matrix"),
        ("delayed", "lbfgs", "delayed gradient"),
    ],
)
def test_what_cannot_pair_says_why(name: str, other: str, reason: str) -> None:
    """A pair is left out for a reason, by the one function that knows."""
    said = mismatch(problem(name), method(other))
    assert said is not None
    assert reason in said
    paired, left_out = pair([problem(name)], [method(other), method("adam")])
    assert [m.name for m in paired[problem(name).name]] == ["adam"]
    assert [(x.method, x.reason) for x in left_out] == [(other, said)]


def test_muon_pairs_with_a_network_of_matrices() -> None:
    """Without biases every parameter is a matrix, and Muon runs."""
    assert mismatch(problem("mnist_softmax(bias=False)"), method("muon")) is None
