"""The statistical gate: its rule by exact oracles and simulation, its decisions on methods."""

from dataclasses import replace
from math import log2, log10, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from ravine.engine.frames import Circumstances, frame_of_single
from ravine.engine.run import targets
from ravine.engine.solo import solve
from ravine.errors import BadValue
from ravine.optimizers import method, trials
from ravine.optimizers.base import Setting
from ravine.problems import problem
from ravine.regression.baseline import Baseline, Race
from ravine.regression.decisions import Case, Status
from ravine.regression.race import course as courses
from ravine.regression.race import decide
from ravine.regression.race.recording import chosen_trial
from ravine.regression.race.rule import alarms, least_seeds, levels, look
from ravine.regression.race.scores import DEEPEST, Entry, Scores, score
from ravine.statistics.measures import with_measures

FIRST, FRESH = tuple(range(12)), tuple(range(1000, 1012))
STEPS = 60
RATES = {"rosenbrock": 0.1, "ellipsoid": 0.2, "gaussian_noise": 0.1, "saddle": 0.05}


def race_on(subject, rates=RATES):
    """Races of a method at given rates, small enough for a test."""
    entries = [Entry(problem(p), Setting(subject, (("lr", lr),))) for p, lr in rates.items()]
    scores = score(entries, (*FIRST, *FRESH), STEPS)
    races = tuple(
        Race(
            problem=e.problem.name,
            hyper=dict(e.setting.values),
            budget=STEPS,
            seeds=FIRST,
            fresh=FRESH,
            runtime=tuple(s.runtime.tolist()),
            gap=tuple(s.gap.tolist()),
        )
        for e, s in zip(entries, scores, strict=True)
    )
    return Baseline(method=subject.name, versions={}, races=races)


@pytest.fixture(scope="module")
def adam():
    return race_on(method("adam"))


def decided(baseline, candidate, **kwargs):
    return tuple(decide(Case(method=candidate, baseline=baseline, **kwargs)))


def test_two_looks_keep_the_family_wise_level():
    """Of 4,000 null checks, no more alarm than alpha = 0.05 allows (false alarm 1e-6)."""
    draw = np.random.default_rng(5)
    checks, decisions, alpha = 4000, 10, 0.05
    first, fresh = draw.standard_normal((2, checks, decisions, 10))
    false = int(alarms(first, fresh, alpha, decisions, -np.inf).any(-1).sum())
    assert false <= binom.isf(1e-6, checks, alpha)
    # and the rule is a test, not a refusal to ever alarm: it spends most of its level
    assert false >= binom.ppf(1e-6, checks, alpha / 4)


def test_each_look_tests_at_its_level_exactly():
    """Of all sign flips no more are rejected than the level, and levels multiply to alpha."""
    signs = np.array(np.meshgrid(*[[-1, 1]] * 10)).reshape(10, -1).T
    rejected = look(signs * np.arange(1.0, 11.0)).shows_worse(0.05, -np.inf).mean()
    assert 0.04 < rejected <= 0.05
    at = levels(0.001, 40)
    assert 40 * at.first * at.second == pytest.approx(0.001)


def test_levels_need_so_many_seeds():
    """With `least_seeds` uniform differences reach the first level, with one fewer not."""
    n = least_seeds(1e-3, 40)
    at = levels(1e-3, 40)
    assert look(np.ones(n)).worse <= at.first < look(np.ones(n - 1)).worse


@pytest.mark.parametrize(("alpha", "decisions"), [(0.0, 4), (1.0, 4), (0.1, 0)])
def test_levels_of_nonsense_are_refused(alpha, decisions):
    """A chance outside of (0, 1) or no decision at all is refused."""
    with pytest.raises(BadValue):
        levels(alpha, decisions)


@given(
    st.integers(12, 30),
    st.floats(0.01, 3.0),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-3, 0.05]),
)
def test_a_shift_beyond_the_threshold_is_always_flagged(n, excess, seed, alpha):
    """Slower by more than the threshold on every seed alarms; faster, or by less, does not."""
    draw = np.random.default_rng(seed)
    threshold = log2(1.1)
    first, fresh = threshold + excess * (1 + draw.random((2, n)))
    assert alarms(first, fresh, alpha, 40, threshold)
    assert not alarms(-first, -fresh, alpha, 40, threshold)
    assert not alarms(0.99 * threshold * draw.random(n), fresh, alpha, 40, threshold)


@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_the_order_of_seeds_does_not_matter(n, seed):
    """Permuting the seeds of a look changes no bit of it."""
    draw = np.random.default_rng(seed)
    differences = draw.integers(-3, 4, n).astype(float)
    one, two = look(differences), look(draw.permutation(differences))
    assert (one.worse, one.better, one.effect) == (two.worse, two.better, two.effect)


def test_scores_are_those_of_the_statistics():
    """Grid and plain loop have one score, which `with_measures` gives for the same targets."""
    p, setting = problem("rosenbrock"), Setting(method("adam"), (("lr", 0.1),))
    (scores,) = score([Entry(p, setting)], FIRST, STEPS)
    for k, seed in enumerate(FIRST[:3]):
        run = solve(p, setting, seed, STEPS)
        deep = sum(t >= DEEPEST for t in p.facts.targets)
        run = replace(run, hits=run.hits[:deep])
        aims = targets(p, run.start)[:deep]
        frame = frame_of_single(
            p, setting, "alone", seed, run, aims, Circumstances(STEPS, "float64", "cpu")
        )
        measured = with_measures(frame)
        assert scores.runtime[k] == pytest.approx(measured["runtime"][0], abs=1e-6)
        assert scores.gap[k] == pytest.approx(log10(measured["gap"][0]), abs=1e-6)


def test_a_fall_without_end_is_the_best_score_and_a_rise_the_worst():
    """On a saddle plain descent falls for ever; climbing instead scores the worst."""
    p = problem("saddle")
    down, up = (Setting(method(f"sgd(maximize={flag})"), (("lr", 0.3),)) for flag in (False, True))
    falling, rising = score([Entry(p, down), Entry(p, up)], FIRST, STEPS)
    assert (falling.gap == -16).all()
    assert (rising.gap >= 0).all()
    assert (falling.runtime < rising.runtime).all()


@pytest.mark.parametrize("name", ["adam", "adam(foreach=True)", "adam(foreach=False)"])
def test_an_unchanged_method_is_the_same(adam, name):
    """The method itself, by whichever implementation, differs nowhere: a deterministic zero."""
    found = decided(adam, method(name))
    assert len(found) == 2 * len(RATES)
    assert {d.status for d in found} == {Status.SAME}
    assert {d.chance for d in found} == {1.0}
    assert {d.size for d in found} == {1.0}


def test_single_precision_is_the_same(adam):
    """Rounding to single precision is no alarm (deterministic, for seeds are fixed)."""
    found = decided(adam, method("adam"), dtype=torch.float32)
    assert {d.status for d in found} == {Status.SAME}


class Slow(torch.optim.Adam):
    """Adam at a third of the rate it is given."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, lr=lr / 3, betas=betas, eps=eps)


class Raising(torch.optim.Adam):
    """Adam that gives up after 20 steps."""

    def step(self, closure=None):
        """Take a step."""
        super().step(closure)
        for state in self.state.values():
            if state["step"] > 20:
                raise RuntimeError("it gave up")


class Diverging(torch.optim.SGD):
    """Descent that blows up after a few steps."""

    def step(self, closure=None):
        """Take a step."""
        super().step(closure)
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.mul_(10.0)


class Rateless(torch.optim.Optimizer):
    """A sign step of a fixed size."""

    def __init__(self, params):
        super().__init__(params, {})

    def step(self, closure=None):
        """Take a step."""
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.sub_(0.01 * p.grad.sign())


def of(build):
    from ravine.optimizers.hyperparameters import template

    return template(build.__name__.lower(), build)


def test_a_third_of_the_rate_is_different(adam):
    """A rate three times too small is flagged, on steps to target of the valley among them."""
    found = decided(adam, of(Slow))
    different = {d.name for d in found if d.status is Status.DIFFERENT}
    assert "rosenbrock: steps to target" in different
    assert all(d.n == 24 and d.chance < 1e-3 for d in found if d.status is Status.DIFFERENT)


def test_the_other_way_round_it_is_better():
    """Held against the slow one, the right one is better, and that is no failure."""
    found = decided(race_on(of(Slow)), method("adam"))
    assert {d.status for d in found} <= {Status.SAME, Status.BETTER}
    assert Status.BETTER in {d.status for d in found}


def test_divergence_is_different(adam):
    """A candidate that blows up is flagged everywhere by its final gap."""
    found = decided(adam, of(Diverging))
    gaps = [d for d in found if d.name in ("rosenbrock: final gap", "ellipsoid: final gap")]
    assert [d.status for d in gaps] == [Status.DIFFERENT] * 2


def test_an_error_is_different_and_says_itself(adam):
    """A candidate whose step raises is different, with its error in words."""
    found = decided(adam, of(Raising))
    assert {d.status for d in found} == {Status.DIFFERENT}
    assert all("it raised RuntimeError: it gave up" in d.seen for d in found)


def test_what_cannot_be_raced_is_left_out(adam):
    """A missing hyperparameter, too few seeds and no baseline are reasons, not errors."""
    rateless = decided(adam, of(Rateless))
    assert {(d.status, d.seen) for d in rateless} == {
        (Status.LEFT_OUT, "it takes no `lr`, which the baseline sets")
    }
    (few,) = {(d.status, d.seen) for d in decided(adam, method("adam"), alpha=1e-12)}
    assert few[0] is Status.LEFT_OUT
    assert "12 seeds can show nothing at alpha=1e-12, which needs 23" in few[1]
    (none,) = decided(None, method("adam"))
    assert none.status is Status.LEFT_OUT


def test_a_trial_below_the_best_is_chosen():
    """The trial below the best is taken, unless it is over at once or far slower."""

    def runs(steps, gap=-3.0):
        return Scores(np.full(4, float(steps)), np.full(4, gap))

    assert chosen_trial([runs(9), runs(6), runs(5), runs(8)]) == 1
    assert chosen_trial([runs(9), runs(5), runs(2), runs(1)]) == 1
    assert chosen_trial([runs(9), runs(9), runs(5), runs(8)]) == 2
    assert chosen_trial([runs(9), runs(6), runs(5), runs(8)], ordered=False) == 2
    assert chosen_trial([runs(8), runs(6), runs(5), runs(4, gap=2.0)]) == 1
    broken = Scores(np.zeros(4), np.zeros(4), "it raised")
    assert chosen_trial([broken, broken]) is None
    assert chosen_trial([broken, runs(5)]) == 1


def test_seeds_of_looks_and_tuning_never_meet():
    """No seed is tuned on and looked at, or looked at twice."""
    where = courses.course(method("sgd"))
    sets = [set(where.first), set(where.fresh), set(where.tuning_seeds)]
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert {p.name for p in where.problems} == set(courses.REASONS)
    assert sqrt(1e-3) / (2 * len(where.problems)) > 0.5 ** len(where.first)


def test_a_method_for_matrices_races_on_a_network():
    """Where no formula has a matrix, a network that has one is raced on."""
    where = courses.course(method("muon"))
    assert [p.name for p in where.problems] == [courses.MATRICES]
    assert len(trials(method("muon"), where.trials)) == where.trials
