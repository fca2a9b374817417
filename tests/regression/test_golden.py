"""Golden traces: what they let through, what they catch, and what they say."""

import inspect
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ravine.optimizers import Method, method
from ravine.optimizers.capabilities import capabilities
from ravine.regression import golden
from ravine.regression.baseline import Baseline, all_shipped, shipped
from ravine.regression.decisions import Case, Decision, Gate, Status
from ravine.regression.golden.deciding import excesses
from ravine.regression.golden.drives import TAPE, WELLS, drives, run
from ravine.regression.golden.tape import BURST, COUNT, STEPS, gradients
from ravine.regression.scenarios import setting

sys.path.insert(0, str(Path(__file__).parent))

from written import written

NOISE = 0.1
"""In units of the tolerance: no equivalent is further."""

SIGNAL = {torch.float64: 10.0, torch.float32: 4.0}
"""No change of interest is nearer; averages in bfloat16 are the nearest."""


def golden_of(name: str, *names: str, every: bool = True) -> Baseline:
    """Traces of some drives, all of them or the one at the method's own hyperparameters."""
    known = shipped(name)
    assert known is not None
    traces = [t for t in known.traces if t.drive in names and (every or not t.hyper)]
    return replace(known, traces=tuple(traces))


def excess(baseline: Baseline, candidate: Method, dtype: torch.dtype = torch.float64) -> float:
    """The largest distance from any trace, in units of the tolerance."""
    return max(
        float(excesses(t, run(t.drive, setting(candidate, t.hyper), dtype), dtype)[0].max())
        for t in baseline.traces
    )


ROOTS = ("sgd", "heavy_ball", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "rprop", "lion")
"""Families whose shipped traces every change is held to; variants are among the slow tests."""


def decided(name: str, candidate: Method, *names: str, **more: Any) -> list[Decision]:
    """What the gate decides on the traces at a method's own hyperparameters."""
    known = golden_of(name, *names, every=False)
    return list(golden.decide(Case(method=candidate, baseline=known, claim=method(name), **more)))


@pytest.mark.parametrize(
    "name", [n if n in ROOTS else pytest.param(n, marks=pytest.mark.slow) for n in all_shipped()]
)
def test_shipped_traces_hold(name: str) -> None:
    """Every method that a baseline is shipped of still goes its way at its own hyperparameters."""
    known = shipped(name)
    assert known is not None
    known = replace(known, traces=tuple(t for t in known.traces if not t.hyper)[:2])
    found = list(golden.decide(Case(method=method(name), baseline=known, claim=method(name))))
    assert found
    assert [d.sentence for d in found if d.status is not Status.SAME] == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", all_shipped())
def test_all_shipped_traces_hold(name: str, dtype: torch.dtype) -> None:
    """No trace of a shipped baseline raises a false alarm in either precision."""
    known = shipped(name)
    case = Case(method=method(name), baseline=known, claim=method(name), dtype=dtype)
    found = list(golden.decide(case))
    assert found
    assert [d.sentence for d in found if d.status is Status.DIFFERENT] == []


@pytest.mark.parametrize(
    "name",
    [
        "Adam",
        "SGD",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("AdamW", "RMSprop", "NAdam", "ASGD", "RAdam", "Adadelta", "Adafactor")
        ),
    ],
)
def test_textbook_is_the_same(name: str) -> None:
    """A second implementation is ten times nearer than the tolerance under all hyperparameters."""
    assert excess(golden_of(name.lower(), TAPE), written(name)) <= NOISE


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_switches_are_the_same(name: str) -> None:
    """Steps of all tensors at once, and another number of threads, stay as near."""
    known = golden_of(name, TAPE, WELLS, every=False)
    assert excess(known, method(f"{name}(foreach=True)")) <= NOISE
    torch.set_num_threads(2)
    assert excess(known, method(name)) <= NOISE


@pytest.mark.parametrize("name", ["adam", "sgd", "adamw"])
def test_single_precision_is_the_same(name: str) -> None:
    """Single precision stays within half of its tolerance, whose larger part bounds rounding."""
    known = golden_of(name, TAPE, WELLS, every=False)
    assert excess(known, method(name), torch.float32) <= 0.5


def changed(name: str, change: Callable[[torch.optim.Optimizer, int], None]) -> Method:
    """A method to which something is done after each of its steps, counted from 1."""
    original = method(name)

    def build(params: Any, **hyper: Any) -> torch.optim.Optimizer:
        optimizer = original.build(params, **hyper)
        steps = iter(range(1, 10_000))
        optimizer.register_step_post_hook(lambda *_: change(optimizer, next(steps)))
        return optimizer

    build.__signature__ = inspect.signature(original.build)  # type: ignore[attr-defined]
    return replace(original, build=build)


def held(optimizer: torch.optim.Optimizer, key: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """The states that have a key, and what it holds."""
    return ((s, s[key]) for s in optimizer.state.values() if key in s)


def late(optimizer: torch.optim.Optimizer, step: int) -> None:
    """Count the first step not at all."""
    if step == 1:
        for _, count in held(optimizer, "step"):
            count.sub_(1)


def coarse(optimizer: torch.optim.Optimizer, step: int) -> None:
    """Keep averages in eight bits."""
    for key in ("exp_avg", "exp_avg_sq"):
        for _, value in held(optimizer, key):
            value.copy_(value.bfloat16())


class Inside(torch.optim.Optimizer):
    """RMSprop with eps inside the root."""

    def __init__(self, params: Any, lr: float = 0.01, eps: float = 1e-8) -> None:
        super().__init__(params, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take a step."""
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.mul_(0.99).addcmul_(p.grad, p.grad, value=0.01)
                p.addcdiv_(p.grad, (mean + group["eps"]).sqrt(), value=-group["lr"])


class Skipping(torch.optim.SGD):
    """SGD that skips every 100th step."""

    def step(self, closure: Any = None) -> Any:
        """Take a step, or none."""
        self.taken = getattr(self, "taken", 0) + 1
        return None if self.taken % 100 == 0 else super().step(closure)


class Deaf(torch.optim.SGD):
    """SGD that steps on its first group with the rate of that for all."""

    def step(self, closure: Any = None) -> Any:
        """Take a step."""
        for group in self.param_groups:
            group["lr"] = self.param_groups[0]["lr"]
        return super().step(closure)


def like(name: str, build: Any) -> Method:
    """A class in the place of a method's."""
    return replace(method(name), build=build)


CHANGES = {
    "rate off by 1 %": ("adam", lambda: method("adam(lr=0.00101)")),
    "rate of SGD off by 1 %": ("sgd", lambda: method("sgd(lr=0.00101)")),
    "counter late by one": ("adam", lambda: changed("adam", late)),
    "averages in bfloat16": ("adam", lambda: changed("adam", coarse)),
    "eps inside the root": ("rmsprop", lambda: like("rmsprop", Inside)),
    "every 100th step skipped": ("sgd", lambda: like("sgd", Skipping)),
    "groups of one rate": ("sgd", lambda: like("sgd", Deaf)),
}


@pytest.mark.parametrize(
    "dtype", [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("what", CHANGES)
def test_changes_are_caught(what: str, dtype: torch.dtype) -> None:
    """The smallest changes of interest are many tolerances away, in either precision."""
    name, make = CHANGES[what]
    known = golden_of(name, TAPE, every=False)
    assert excess(known, make(), dtype) >= SIGNAL[dtype]
    (found,) = golden.decide(Case(method=make(), baseline=known, claim=method(name), dtype=dtype))
    assert found.status is Status.DIFFERENT
    assert found.gate is Gate.GOLDEN
    assert found.size is not None
    assert found.size > 1e-4


def test_forgotten_maximum_is_caught() -> None:
    """AMSGrad without its maximum leaves the way where gradients have shrunk."""
    (found,) = decided("adamw_amsgrad", method("adamw"), TAPE)
    assert found.status is Status.DIFFERENT


def test_first_step_that_deviates_is_named() -> None:
    """A decision says after which step, by what share of the way, and what was allowed."""
    (found,) = decided("sgd", like("sgd", Skipping), TAPE)
    assert found.name == "tape, its defaults"
    assert found.expected == "the way after step 100 within 1.0e-05 of its length"
    assert found.seen.endswith("of it apart")


class Bare(torch.optim.SGD):
    """SGD with a rate and nothing else, over a list of tensors alone."""

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        params = list(params)
        if not all(isinstance(p, torch.Tensor) for p in params):
            raise TypeError("a list of tensors, please")
        super().__init__(params, lr=lr)


def test_what_cannot_be_asked_is_left_out() -> None:
    """A keyword or groups that a candidate lacks are reasons, and the rest is held."""
    known = golden_of("sgd", TAPE, WELLS)
    found = list(golden.decide(Case(method=like("sgd", Bare), baseline=known)))
    same = [d.name for d in found if d.status is Status.SAME]
    reasons = {d.seen for d in found if d.status is Status.LEFT_OUT}
    assert same == [f"{WELLS}, its defaults", f"{WELLS}, lr=0.01"]
    assert any("no groups" in r for r in reasons)
    assert any("momentum" in r for r in reasons)
    assert len(found) == len(known.traces)


class Broken(torch.optim.SGD):
    """SGD that gives up at its 40th step."""

    def step(self, closure: Any = None) -> Any:
        """Take a step, or none."""
        self.taken = getattr(self, "taken", 0) + 1
        if self.taken == 40:
            raise TypeError("no more")
        return super().step(closure)


def test_raising_is_different() -> None:
    """A candidate that raises in a step differs, and the error is told."""
    (found,) = decided("sgd", like("sgd", Broken), TAPE)
    assert found.status is Status.DIFFERENT
    assert found.seen == "it raised TypeError: no more"


class Exploding(torch.optim.SGD):
    """SGD that leaves all bounds at its 40th step."""

    def step(self, closure: Any = None) -> Any:
        """Take a step, and the 40th too far."""
        self.taken = getattr(self, "taken", 0) + 1
        if self.taken == 40:
            self.param_groups[0]["params"][0].data.fill_(math.inf)
        return super().step(closure)


def test_divergence_is_different() -> None:
    """A candidate that is no longer finite differs from the first kept step on."""
    (found,) = decided("sgd", like("sgd", Exploding), TAPE)
    assert (found.status, found.size) == (Status.DIFFERENT, math.inf)
    assert "after step 50" in found.expected
    assert found.seen == "the way no longer finite"


def test_no_baseline_is_left_out() -> None:
    """Without traces there is one decision, which says why."""
    (found,) = golden.decide(Case(method=method("sgd")))
    assert found.status is Status.LEFT_OUT
    assert "no baseline" in found.seen
    empty = Baseline(method="sgd", versions={})
    (found,) = golden.decide(Case(method=method("sgd"), baseline=empty))
    assert "no trace" in found.seen


@pytest.mark.slow
def test_recording_is_repeatable() -> None:
    """Two recordings are the same to the last digit, and global state stays as it was."""
    before = torch.get_rng_state()
    plain = like("sgd", Bare)
    first = golden.record(plain)
    assert len(first) == 10
    assert golden.record(plain) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_random_methods_make_no_trace() -> None:
    """A method that draws random numbers has no golden way."""

    class Noisy(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            for p in self.param_groups[0]["params"]:
                p.data.add_(torch.randn_like(p))
            return super().step(closure)

    noisy = like("sgd", Noisy)
    assert capabilities(noisy).random
    assert golden.record(noisy) == ()


def test_drives_fit_the_method() -> None:
    """Groups for a list, one group for L-BFGS, matrices for Muon, curvature for Newton."""
    assert [drives(method(n))[0] for n in ("adam", "lbfgs", "muon", "newton")] == [
        "tape",
        "tape in one group",
        "tape of matrices",
        "coupled wells",
    ]


def test_tape_has_what_it_says() -> None:
    """Twelve decades, both signs, zeros, a burst, and a long stretch that shrinks."""
    tape = gradients()
    assert tape.shape == (STEPS, COUNT)
    sizes = tape.abs().amax(0)
    assert float(sizes.max() / sizes.min()) > 1e11
    assert bool(((tape > 0).any(0) & (tape < 0).any(0)).all())
    assert 0.05 < float((tape == 0).double().mean()) < 0.15
    relative = (tape.abs() / sizes).median(1).values
    assert int(relative.argmax()) == BURST
    assert float(relative[190:198].max()) < 0.01 * float(relative[BURST])
