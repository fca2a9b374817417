"""Assertions pass what is right, fail what is wrong, and say why, of how many, how surely."""

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom

from ravine.errors import BadValue, Mismatch, RavineError, UnknownName
from ravine.optimizers import method, textbook, trials
from ravine.problems import Problem, problem
from ravine.regression.baseline import Baseline
from ravine.testing import (
    assert_contracts,
    assert_converges,
    assert_escapes,
    assert_kind,
    assert_monotone_line,
    assert_no_worse,
    assert_same_trajectory,
    assert_smoother,
    assert_unchanged,
)
from ravine.testing.assertions import chance
from ravine.testing.assertions.runs import runs
from ravine.testing.assertions.subjects import as_method, as_problem, as_setting

FEW = {"rate": 1.0, "seeds": range(5)}


def said(assertion: Callable[[], None]) -> str:
    """The message of an assertion that fails, in which the four parts are looked for."""
    with pytest.raises(AssertionError) as caught:
        assertion()
    message = str(caught.value)
    assert re.search(r"expected .+, seen .+ \(n = \d+ \w+; ", message), message
    assert re.search(r"(probability by chance \S+ if .+|deterministic)\)", message), message
    return message


class Descent(torch.optim.SGD):
    """Gradient descent under a name of its own."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)


class Faulty(torch.optim.SGD):
    """It raises an error at its tenth step."""

    count = 0

    def step(self, closure: Any = None) -> Any:
        """Count, and raise."""
        self.count += 1
        if self.count == 10:
            raise ArithmeticError("ten is too many")
        return super().step(closure)


class Deaf(torch.optim.SGD):
    """It forgets what a state dict says."""

    def load_state_dict(self, state_dict: Any) -> None:
        """Do nothing."""


class Spreading(torch.optim.Optimizer):
    """Elementwise for 30 steps; then every coordinate is moved by the mean of all gradients."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})
        self.count = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step."""
        self.count += 1
        for p in self.param_groups[0]["params"]:
            p -= 0.1 * (p.grad if self.count <= 30 else p.grad.mean())


# --- how many must pass ---


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.95, 0.999, 1.0])
@pytest.mark.parametrize("n", [20, 25, 100])
def test_the_required_number_is_the_largest_that_keeps_the_false_alarm(n: int, rate: float) -> None:
    """P(X < k) <= alpha < P(X < k + 1), by sums of binomial terms; all at a rate of 1."""
    for alpha in (1e-2, 1e-4, 1e-5):
        k = chance.required(n, rate, alpha)
        terms = [float(binom.pmf(i, n, rate)) for i in range(n + 1)]
        assert sum(terms[:k]) <= alpha
        assert k == n or sum(terms[: k + 1]) > alpha


def test_a_rate_of_one_requires_all() -> None:
    """An optimizer that never fails is held to that."""
    assert [chance.required(n, 1.0, 1e-4) for n in (1, 5, 25)] == [1, 5, 25]


def test_seeds_that_cannot_fail_are_refused_with_the_number_that_can() -> None:
    """With three seeds of rate 0.95 even none at all is likelier than 1e-4; with four it is not."""
    with pytest.raises(BadValue, match="give 4 or more"):
        chance.required(3, 0.95, 1e-4)
    assert chance.required(4, 0.95, 1e-4) == 1


def test_a_stated_rate_fails_as_rarely_as_stated() -> None:
    """100,000 assertions on subjects of exactly the stated rate: 1e-2 + 5 standard deviations.

    The chance of a false alarm of this test is below 3e-7.
    """
    n, rate, alpha, draws = 25, 0.9, 1e-2, 100_000
    k = chance.required(n, rate, alpha)
    passes = np.random.default_rng(0).binomial(n, rate, draws)
    assert (passes < k).mean() <= alpha + 5 * np.sqrt(alpha / draws)
    # and the next number would be too many
    assert (passes < k + 1).mean() > alpha


def test_what_shows_a_direction_is_more_than_a_coin_gives() -> None:
    """The number of seeds that a refusal names is accepted, and one less is not."""
    with pytest.raises(BadValue, match="give 21 seeds") as caught:
        chance.telling(10, 0.95, 1e-4)
    assert "coin" in str(caught.value)
    assert chance.so_many(chance.telling(21, 0.95, 1e-4), 21) <= chance.EVIDENCE
    with pytest.raises(BadValue):
        chance.telling(20, 0.95, 1e-4)


# --- convergence ---


def test_convergence_fails_where_it_is_late_and_says_how_late() -> None:
    """Twenty steps of rate 0.1 on the sphere leave 0.8^40 = 1.3e-4 of the gap, 100 none."""
    assert_converges("sgd(lr=0.1)", "sphere", within=100)
    assert_converges("sgd(lr=0.1)", "sphere", within=20, target=1e-3)
    message = said(lambda: assert_converges("sgd(lr=0.1)", "sphere", within=20))
    assert "at least 18 of 25 seeds" in message
    assert "within 20 steps, seen 0 (n = 25 seeds" in message
    assert "95 % of all seeds" in message
    assert "median gap at the end 0.00013" in message


def test_the_step_that_counts_is_the_first_at_the_target() -> None:
    """The gap of the sphere falls by 0.64 a step: 31 steps make 1e-6, 30 do not."""
    assert_converges("sgd(lr=0.1)", "sphere", within=31, **FEW)
    said(lambda: assert_converges("sgd(lr=0.1)", "sphere", within=30, **FEW))


def test_the_probability_is_that_of_so_few() -> None:
    """Seeds that get there and seeds that do not: the message's chance is the binomial's."""
    steps = 120
    found = runs(problem("himmelblau"), as_setting("adam(lr=0.1)"), range(25), steps)
    gaps = sorted(run.best / run.start for run in found)
    target = float(np.sqrt(gaps[9] * gaps[10])) if gaps[9] > 0 else 1e-9
    message = said(
        lambda: assert_converges("adam(lr=0.1)", "himmelblau", within=steps, target=target)
    )
    seen = int(re.findall(r"seen (\d+)", message)[0])
    assert 0 < seen < 18
    assert f"{binom.cdf(seen, 25, 0.95):.1e}" in message


def test_all_forms_of_a_method_are_taken() -> None:
    """An id, a method, a setting, a class, a function and a textbook rule converge alike."""
    rule = partial(textbook.gradient_descent, lr=0.1)
    forms: list[Any] = [
        "sgd(lr=0.1)",
        method("sgd(lr=0.1)"),
        trials(method("sgd(lr=0.1)"), 1)[0],
        Descent,
        lambda params: torch.optim.SGD(params, lr=0.1),
        rule,
    ]
    for form in forms:
        assert_converges(form, "sphere", within=31, **FEW)
        said(lambda form=form: assert_converges(form, "sphere", within=30, **FEW))


def test_a_problem_of_a_file_and_a_value_as_target(tmp_path: Any) -> None:
    """A plain f(x) without a stated minimum is held to a value of its loss."""
    file = tmp_path / "bowl.py"
    file.write_text("def bowl(x):\n    return (x ** 2).sum() + 3\n")
    ground = f"{file}:bowl"
    assert_converges("sgd(lr=0.1)", ground, within=100, target=3.001, **FEW)
    message = said(lambda: assert_converges("sgd(lr=0.1)", ground, within=50, target=2.9, **FEW))
    assert "a loss of 2.9" in message
    assert "median loss at the end 3" in message
    with pytest.raises(BadValue, match="no known minimum"):
        assert_converges("sgd(lr=0.1)", ground)


def test_an_error_of_the_optimizer_is_a_failed_run() -> None:
    """The message names what was raised."""
    message = said(lambda: assert_converges(Faulty, "sphere", within=20, **FEW))
    assert "5 of the runs raised ArithmeticError: ten is too many" in message


def test_what_does_not_stack_after_the_probe_is_run_alone() -> None:
    """An optimizer that looks at its neighbours from step 31 on gets the plain loop's runs."""
    from ravine.engine.solo import solve

    setting, ground = as_setting(Spreading), problem("rosenbrock")
    found = runs(ground, setting, (0, 1, 2), 40)
    assert found == tuple(solve(ground, setting, seed, 40) for seed in (0, 1, 2))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"rate": 0.0}, "rate"),
        ({"rate": 1.5}, "rate"),
        ({"false_alarm": 1.0}, "false_alarm"),
        ({"within": 0}, "within"),
        ({"target": 2.0}, "target"),
        ({"target": float("nan")}, "target"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": [-1]}, "seeds"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(wrong: dict[str, Any], word: str) -> None:
    """Every argument outside its domain is named."""
    with pytest.raises(BadValue, match=word) as caught:
        assert_converges("sgd(lr=0.1)", "sphere", **wrong)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_paired_or_found_is_no_failure() -> None:
    """A method for matrices on a vector, and unknown names, are mistakes of the test."""
    with pytest.raises(Mismatch, match="matrix"):
        assert_converges("muon", "sphere")
    with pytest.raises(UnknownName):
        assert_converges("sgdd", "sphere")
    with pytest.raises(UnknownName):
        assert_converges("sgd", "spheer")
    with pytest.raises(BadValue, match="optimizer"):
        as_method(torch.nn.Linear)
    with pytest.raises(RavineError):
        assert_converges(lambda params: 3, "sphere")


def test_names_tell_things_apart() -> None:
    """Two functions of one name are two methods, and one function is one."""

    def make(lr: float) -> Callable[..., torch.optim.Optimizer]:
        def build(params: Any) -> torch.optim.Optimizer:
            return torch.optim.SGD(params, lr=lr)

        return build

    one, other = make(0.1), make(0.2)
    assert as_method(one).name == as_method(one).name
    assert as_method(one).name != as_method(other).name


def test_a_setting_becomes_a_method_of_its_values() -> None:
    """What a setting chose is fixed in the method that the gates get."""
    setting = trials(method("adam"), 3)[2]
    made = as_method(setting)
    assert made.fixed == setting.hyper
    assert made.knobs == ()


# --- races ---


def test_no_worse_finds_the_problem_on_which_it_is_worse() -> None:
    """Half the rate takes twice the steps on the sphere, and the same does not."""
    assert_no_worse("sgd(lr=0.1)", "sgd(lr=0.1)", "sphere", steps=100)
    assert_no_worse("sgd(lr=0.1)", "sgd(lr=0.05)", ["sphere", "booth"], steps=100)
    message = said(
        lambda: assert_no_worse("sgd(lr=0.05)", "sgd(lr=0.1)", ["sphere", "booth"], steps=200)
    )
    assert re.search(r"2\.\d\d times \[2\.\d+, 2\.\d+\] on `sphere`", message)
    assert "if the two were equal" in message
    assert float(re.findall(r"by chance (\S+)", message)[0]) < 1e-4


def test_a_factor_that_does_not_matter_does_not_fail() -> None:
    """Twice the steps are within a factor of three."""
    assert_no_worse("sgd(lr=0.05)", "sgd(lr=0.1)", "sphere", steps=200, factor=3.0)


def test_a_candidate_that_raises_is_worse() -> None:
    """Its errors are named."""
    message = said(lambda: assert_no_worse(Faulty, "sgd(lr=0.001)", "sphere", steps=60))
    assert "ArithmeticError" in message


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"factor": 0.5}, "factor"),
        ({"seeds": range(5)}, "give 15 or more"),
        ({"problems": []}, "problems"),
        ({"false_alarm": 0.0}, "false_alarm"),
    ],
)
def test_a_race_that_can_tell_nothing_is_refused(wrong: dict[str, Any], word: str) -> None:
    """Five seeds of one sign have a p-value of 1/16, whatever they show."""
    with pytest.raises(BadValue, match=word):
        assert_no_worse("sgd", "adam", **{"problems": "sphere", "steps": 10, **wrong})


def test_fifteen_seeds_are_enough_for_a_false_alarm_of_1e_4() -> None:
    """The number that a refusal names does fail a candidate that is worse on all of them."""
    seeds = range(15)
    said(lambda: assert_no_worse("sgd(lr=0.05)", "sgd(lr=0.1)", "sphere", steps=200, seeds=seeds))


# --- trajectories ---


def test_an_optimizer_follows_its_textbook_rule() -> None:
    """Torch's Adam is the rule at its own epsilon; another epsilon parts at the first step."""
    adam = partial(textbook.adam, lr=0.01, eps=1e-8)
    assert_same_trajectory("adam(lr=0.01)", adam)
    assert_same_trajectory("adam(lr=0.01)", lambda params: torch.optim.Adam(params, lr=0.01))
    late = partial(textbook.adam, lr=0.01, eps=1e-4)
    message = said(lambda: assert_same_trajectory("adam(lr=0.01)", late))
    assert "part at step 1 by" in message
    assert "n = 50 steps; deterministic" in message


def test_the_first_step_that_deviates_is_named() -> None:
    """A rule that doubles its seventh step parts there, by 1 step of the way so far."""

    def stumbles(x: np.ndarray, state: Any, g: np.ndarray) -> tuple[np.ndarray, int]:
        count = 1 if state is None else state + 1
        return x - 0.001 * (2 if count == 7 else 1) * g, count

    message = said(lambda: assert_same_trajectory("sgd(lr=0.001)", stumbles, problem="sphere"))
    assert "part at step 7 by" in message
    share = float(re.findall(r"at step 7 by (\S+) of it", message)[0])
    # the way so far is 1 - 0.998^7 of the distance, the stumble 0.002 0.998^6 of it
    assert share == pytest.approx(0.002 * 0.998**6 / (1 - 0.998**7), rel=0.05)


def test_one_that_raises_or_diverges_does_not_follow() -> None:
    """An error is what was seen; a run that ends early is infinitely far."""
    message = said(lambda: assert_same_trajectory("sgd(lr=0.001)", Faulty, problem="sphere"))
    assert "ArithmeticError: ten is too many" in message
    message = said(
        lambda: assert_same_trajectory("sgd(lr=0.1)", "sgd(lr=9.0)", problem="sphere", steps=30)
    )
    assert "part at step 1" in message


def test_neither_moving_shows_nothing(tmp_path: Any) -> None:
    """Two optimizers that begin at a minimum stand still, which is no evidence."""
    file = tmp_path / "bowl.py"
    file.write_text("def bowl(x):\n    return (x ** 2).sum()\n")
    ground = f"{file}:bowl(start=(0.0, 0.0), spread=0.0)"
    with pytest.raises(BadValue, match="neither"):
        assert_same_trajectory("sgd(lr=0.1)", "sgd(lr=0.2)", problem=ground)


# --- points ---


@pytest.mark.parametrize("id", ["himmelblau", "bounded_saddle", "monkey_saddle", "booth"])
def test_listed_points_are_of_their_kinds_and_no_other(id: str) -> None:
    """Every critical point of the catalogue passes as what it is, and fails as anything else."""
    ground = problem(id)
    kinds = ("minimum", "saddle", "maximum", "degenerate")
    assert ground.facts.critical_points or ground.facts.minimizers
    for point in ground.facts.critical_points:
        for kind in kinds:
            if kind == point.kind.value:
                assert_kind(ground, point.x, kind)
            else:
                message = said(lambda p=point, k=kind: assert_kind(ground, p.x, k))
                assert "eigenvalues" in message
                assert "gradient norm" in message
                assert "tolerance" in message


def test_a_point_on_a_slope_is_not_critical() -> None:
    """Its gradient is too long; so it may be asserted."""
    assert_kind("sphere(dim=2)", (1.0, 0.0), "not critical")
    message = said(lambda: assert_kind("sphere(dim=2)", (1.0, 0.0), "minimum"))
    assert "seen not critical: eigenvalues 2, 2" in message
    assert "gradient norm 2 " in message


def test_points_and_kinds_are_checked() -> None:
    """Coordinates are counted, kinds known, and large networks refused."""
    with pytest.raises(BadValue, match="2 finite numbers"):
        assert_kind("himmelblau", (1.0, 2.0, 3.0), "saddle")
    with pytest.raises(BadValue, match="2 finite numbers"):
        assert_kind("himmelblau", (1.0, float("inf")), "saddle")
    with pytest.raises(BadValue, match="kind"):
        assert_kind("himmelblau", (1.0, 2.0), "sadle")
    with pytest.raises(BadValue, match="certified"):
        assert_kind("sphere(dim=6000)", torch.zeros(6000, dtype=torch.float64), "minimum")


# --- escape ---


def test_an_optimizer_escapes_where_linear_theory_says() -> None:
    """Off a saddle of curvature -1 a coordinate grows by 1.1 a step, from 1e-3 to 0.1 in 49.

    A start of median 5e-4 takes 7 steps more, and 1 in 20, within 5e-5, 32 more.
    """
    arguments: dict[str, Any] = {"point": (0.0, 0.0)}
    assert_escapes("sgd(lr=0.1)", "bounded_saddle", within=100, **arguments)
    message = said(lambda: assert_escapes("sgd(lr=0.1)", "bounded_saddle", within=40, **arguments))
    assert "at the saddle [0, 0] of `bounded_saddle`" in message
    assert "a loss of -0.005 within 40 steps, seen 0 (n = 25 seeds" in message


def test_a_listed_saddle_and_an_escape_goal_need_no_point() -> None:
    """A saddle is taken from the facts, and a problem that is to be escaped has its starts."""
    assert_escapes("sgd(lr=0.01)", "himmelblau", within=500)
    assert "at the saddle [" in said(
        lambda: assert_escapes("sgd(lr=0.0001)", "himmelblau", within=5)
    )
    falling = problem("saddle")
    assert_escapes("sgd(lr=0.1)", falling, within=200)
    message = said(lambda: assert_escapes("sgd(lr=0.1)", falling, within=5))
    assert f"on `{falling.name}`: expected at least 18 of 25 seeds to reach a loss of" in message


@pytest.mark.parametrize(
    ("ground", "wrong", "word"),
    [
        ("sphere(dim=2)", {}, "no saddle"),
        ("sphere(dim=2)", {"point": (0.0, 0.0)}, "minimum"),
        ("bounded_saddle", {"point": (0.0, 0.0), "target": 0.5}, "target"),
        ("bounded_saddle", {"point": (0.0, 0.0), "spread": 0.0}, "spread"),
    ],
)
def test_only_saddles_are_escaped(ground: str, wrong: dict[str, Any], word: str) -> None:
    """A minimum has no way down, and a target must be below."""
    with pytest.raises(BadValue, match=word):
        assert_escapes("sgd(lr=0.1)", ground, within=10, **wrong)


# --- ground ---


def test_a_round_bowl_is_smoother_than_a_narrow_one() -> None:
    """The effective smoothness of a quadratic lies between its curvatures, both 2 in a sphere."""
    smooth, steep = "sphere(dim=2)", "ellipsoid"
    rate: dict[str, Any] = {"method": "sgd(lr=1e-5)", **FEW}
    assert_smoother(smooth, steep, "beta", **rate)
    message = said(lambda: assert_smoother(steep, smooth, "beta", **rate))
    assert "expected a smaller beta on at least 5 of 5 seeds, seen it on 0" in message
    assert re.search(r"medians \S+ against 2 ", message)
    assert "of a fair coin: 1" in message


def test_a_problem_is_no_smoother_than_itself() -> None:
    """Equal is not smaller."""
    assert "seen it on 0" in said(lambda: assert_smoother("sphere", "sphere", **FEW))


def test_a_run_that_diverges_at_once_is_rough() -> None:
    """A rate at which one of both runs leaves all bounds shows the other smoother."""
    assert_smoother("sphere", "ellipsoid_1e6", method="sgd(lr=0.01)", **FEW)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"measure": "size"}, "measure"),
        ({"points": 1}, "points"),
        ({"steps": 2}, "steps"),
        ({"rate": 0.95}, "coin"),
    ],
)
def test_smoothness_asked_wrongly_is_refused(wrong: dict[str, Any], word: str) -> None:
    """Among other things five seeds at a rate of 0.95, which a coin would pass."""
    with pytest.raises(BadValue, match=word):
        assert_smoother("sphere", "booth", **{**FEW, **wrong})


def test_a_line_over_a_hill_rises_by_its_height() -> None:
    """From one well to another the double well rises by 1/4 up to its middle."""
    assert_monotone_line("sphere(dim=2)", (2.0, 1.0), (0.0, 0.0))
    assert_monotone_line("double_well(dim=1)", (0.0,), (1.0,))
    message = said(lambda: assert_monotone_line("double_well(dim=1)", (-1.0,), (1.0,)))
    assert "from 0 at alpha 0 to 0.25 at alpha 0.5, by 1 of its range" in message
    assert "n = 51 points; deterministic" in message


def test_a_tolerated_rise_passes() -> None:
    """Beyond the minimum of a parabola by a tenth it rises by 1 % of the range."""
    ends = ((1.0, 0.0), (-0.1, 0.0))
    assert_monotone_line("sphere(dim=2)", *ends, tolerance=0.011)
    said(lambda: assert_monotone_line("sphere(dim=2)", *ends, tolerance=0.009))


def test_losses_that_are_not_finite_fail(tmp_path: Any) -> None:
    """A line that leaves the domain of its function does not fall along it."""
    file = tmp_path / "root.py"
    file.write_text("def root(x):\n    return x.sqrt().sum()\n")
    ground = f"{file}:root(dim=1, domain=(1.0, 2.0))"
    assert_monotone_line(ground, (2.0,), (1.0,))
    message = said(lambda: assert_monotone_line(ground, (2.0,), (-1.0,)))
    assert "not finite, the first at alpha 0.68" in message


# --- gates ---


def test_contracts_pass_torchs_own_and_fail_one_that_forgets() -> None:
    """Each broken contract is named, and no other."""
    assert_contracts("sgd(momentum=0.9)")
    with pytest.raises(AssertionError, match="state dict") as caught:
        assert_contracts(Deaf)
    lines = str(caught.value).splitlines()
    assert re.search(r"\d of \d+ decisions are different", lines[0])
    assert all(
        re.search(r"^- contract `.+`: expected .+, seen .+ \(n = ", line) for line in lines[1:]
    )


def test_unchanged_needs_a_baseline_and_gates() -> None:
    """A class of one's own has none unless one is named."""
    with pytest.raises(BadValue, match="no baseline"):
        assert_unchanged(Descent)
    with pytest.raises(BadValue, match="gates"):
        assert_unchanged("sgd", gates=["contracts"])
    with pytest.raises(BadValue, match="not looked at"):
        assert_unchanged("sgd", Baseline(method="sgd", versions={}), gates=["golden trace"])


@pytest.mark.slow
def test_unchanged_lists_what_differs() -> None:
    """A class at twice the rate parts from the golden traces of its parent; the parent does not."""
    from ravine.regression import golden

    base = Baseline(method="sgd", versions={}, traces=golden.record(method("sgd"))[:4])
    assert_unchanged(torch.optim.SGD, base, gates=["golden trace"])
    twice = as_method(lambda params, lr=1e-3, **more: torch.optim.SGD(params, lr=2 * lr, **more))
    with pytest.raises(AssertionError, match="against the given baseline of sgd") as caught:
        assert_unchanged(twice, base, gates=["golden trace"])
    assert "- golden trace `" in str(caught.value)


# --- the package ---


def test_importing_the_package_is_cheap() -> None:
    """Neither torch nor Hypothesis is imported before a name is used; strategies need no torch."""
    code = (
        "import sys, ravine.testing\n"
        "assert not {'torch', 'hypothesis', 'scipy'} & set(sys.modules)\n"
        "import ravine.testing.strategies as s\n"
        "s.problems(); s.points('sphere'); s.gradients((2,)); s.hyperparameters('adam')\n"
        "s.spectra(2); s.seeds(); assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_name_of_the_package_is_there() -> None:
    """What `__all__` says can be imported, and nothing else."""
    import ravine.testing

    for name in dir(ravine.testing):
        assert callable(getattr(ravine.testing, name))
    with pytest.raises(AttributeError, match="assert_wonders"):
        _ = ravine.testing.assert_wonders  # type: ignore[attr-defined]


def test_problems_are_taken_as_they_are() -> None:
    """A problem stays what it is, also after an assertion that changed its targets."""
    ground: Problem = problem("sphere")
    before = ground.facts
    assert_converges("sgd(lr=0.1)", ground, within=40, target=1e-3, **FEW)
    assert as_problem(ground) is ground
    assert ground.facts is before
