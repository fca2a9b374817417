"""Rows of a frame say what the runs were."""

from ravine import method, problem, trials
from ravine.engine.frames import Circumstances, frame_of_runs, frame_of_single
from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.run import targets
from ravine.engine.solo import solve
from ravine.problems.analytic import Analytic


def test_stacked_and_single_runs_make_the_same_rows() -> None:
    """A block of runs, diverged ones among them, gives the rows that each run alone gives."""
    one = problem("rosenbrock")
    assert isinstance(one, Analytic)
    subject = method("sgd")
    settings = trials(subject, 4)
    seeds, common = (0, 4), Circumstances(50, "float64", "cpu")
    level = probe(subject)
    grid = run_grid([one], [(s, level) for s in settings], seeds, 50)
    named = [(s, str(level)) for s in settings]
    rows = frame_of_runs(one, named, seeds, grid.runs[0], common, rows=[1, 3])
    assert rows.height == 4
    assert set(rows["outcome"]) > {"diverged"}
    place = 0
    for g in (1, 3):
        for seed in seeds:
            run = solve(one, settings[g], seed, 50)
            aims = targets(one, run.start)
            alone = frame_of_single(one, settings[g], str(level), seed, run, aims, common)
            assert rows[place].equals(alone)
            place += 1
