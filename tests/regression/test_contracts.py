"""Contracts: kept by all that torch and ravine bring, and each broken by something wrong."""

import copy
import csv
from collections import defaultdict
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from ravine.optimizers import method, methods
from ravine.optimizers.agreement import READ
from ravine.optimizers.base import Knob, Method
from ravine.optimizers.capabilities import capabilities
from ravine.regression.contracts import CONTRACTS, hold
from ravine.regression.decisions import Case, Status

TABLE = Path(__file__).parents[2] / "reports" / "tables" / "contracts.csv"

OWN = [name for name in methods if "zoo" not in methods[name].tags]

FAST = ("adam",)
"""What is held to all contracts in the fast tests too."""

COPIES = "torch copies groups and state alone, and L-BFGS has its parameters beside them"
INITIAL = "its rate is that of the first step, and bounded from below afterwards"
CAST = "loading casts `mu_product`, which is in single precision, to that of the parameters"
CLIMBS = "it climbs before the base turns the gradient over"

EXCEPTIONS = {
    **{
        (name, copied): COPIES
        for name in ("lbfgs", "lbfgs_strong_wolfe")
        for copied in ("deep copy", "pickle")
    },
    ("rprop", "a rate for each group"): INITIAL,
    ("rprop", "a rate that is scheduled"): INITIAL,
    ("asgd", "a rate that is scheduled"): "its rate is computed at the end of the step before",
    ("asgd", "foreach"): "`eta` is rounded to single precision in the loop alone",
    **{(name, "resumes from its state dict"): CAST for name in ("nadam", "nadamw")},
    **{
        (name, "values outside the domain"): "`eps` is not checked"
        for name in ("muon", "muon_match_rms_adamw")
    },
    ("sam", "maximize"): CLIMBS,
    ("clip", "gradients left alone"): "it clips them in place, as `clip_grad_norm_` does",
}
"""What is broken by methods of torch's and ravine's own, and why it may be."""


def cases() -> list[Any]:
    return [
        pytest.param(name, contract, marks=[] if name in FAST else [pytest.mark.slow])
        for name in OWN
        for contract in CONTRACTS
    ]


@pytest.mark.parametrize(("name", "contract"), cases())
def test_own_methods_keep_contracts(name: str, contract: str) -> None:
    """What torch and ravine bring keeps every contract, but for exceptions that are known."""
    decision = hold(contract, Case(method=method(name)))
    broken = decision.status is Status.DIFFERENT
    assert broken == ((name, contract) in EXCEPTIONS), decision.sentence


@pytest.mark.parametrize("name", ["lbfgs", "asgd", "rprop"])
def test_what_the_claim_breaks_is_no_alarm(name: str) -> None:
    """A method held against itself breaks no contract, whatever it is."""
    made = method(name)
    for contract in (c for n, c in EXCEPTIONS if n == name):
        decision = hold(contract, Case(method=made, claim=made))
        assert decision.status is Status.LEFT_OUT
        assert "breaks it too" in decision.seen


class _Right(torch.optim.Optimizer):
    """Momentum and decay as they should be."""

    def __init__(
        self,
        params: Any,
        lr: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        maximize: bool = False,
        foreach: bool = False,
        fused: bool = False,
    ) -> None:
        self.check(lr, momentum, weight_decay)
        names = ("lr", "momentum", "weight_decay", "maximize", "foreach", "fused")
        values = (lr, momentum, weight_decay, maximize, foreach, fused)
        super().__init__(params, dict(zip(names, values, strict=True)))

    def check(self, lr: float, momentum: float, weight_decay: float) -> None:
        if lr < 0 or momentum < 0 or weight_decay < 0:
            raise ValueError("negative")

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.groups():
            for p in self.held(group):
                self.move(p, self.gradient(p), group)
        return loss

    def held(self, group: dict[str, Any]) -> list[torch.Tensor]:
        return [p for p in group["params"] if p.grad is not None]

    def groups(self) -> list[dict[str, Any]]:
        return self.param_groups

    def gradient(self, p: torch.Tensor) -> torch.Tensor:
        assert p.grad is not None
        return p.grad

    def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        g = -g if group["maximize"] else g
        state = self.state[p]
        if "buffer" not in state:
            state["buffer"] = torch.zeros_like(p)
        state["buffer"].mul_(group["momentum"]).add_(g)
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_(group["lr"] * state["buffer"])


class _LosesState(_Right):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.state.clear()


class _KeepsRate(_Right):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rates = [group["lr"] for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate


class _CopiesBadly(_Right):
    def __deepcopy__(self, memo: dict[int, Any]) -> "_CopiesBadly":
        return type(self)(copy.deepcopy(self.param_groups, memo))


class _PicklesBadly(_Right):
    def __deepcopy__(self, memo: dict[int, Any]) -> "_PicklesBadly":
        other = type(self)(copy.deepcopy(self.param_groups, memo))
        other.state = copy.deepcopy(self.state, memo)
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "state": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "state": state["state"] or defaultdict(dict)})


class _Grows(_Right):
    def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        super().move(p, g, {**group, "weight_decay": -group["weight_decay"]})


class _StopsAtTheFirst(_Right):
    def held(self, group: dict[str, Any]) -> list[torch.Tensor]:
        return list(takewhile(lambda p: p.grad is not None, group["params"]))


class _PrintsState(_Right):
    def __repr__(self) -> str:
        return str(self.state[self.param_groups[0]["params"][0]]["buffer"])


class _ReadsAgain(_Right):
    def gradient(self, p: torch.Tensor) -> torch.Tensor:
        last = self.state[p].get("last", p.grad)
        self.state[p]["last"] = p.grad
        return super().gradient(p) + 0 * last


class _WaitsForAnother(_Right):
    def gradient(self, p: torch.Tensor) -> torch.Tensor:
        known = self.state[p].get("known") is p.grad
        self.state[p]["known"] = p.grad
        return super().gradient(p) * (not known)


class _Clips(_Right):
    def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        super().move(p, g, group)
        g.clamp_(-0.1, 0.1)


class _ReadsMemory(_Right):
    def gradient(self, p: torch.Tensor) -> torch.Tensor:
        return super().gradient(p).as_strided(p.shape, p.stride())


class _ReturnsNothing(_Right):
    def step(self, closure: Any = None) -> None:
        super().step(closure)


class _FirstGroup(_Right):
    def groups(self) -> list[dict[str, Any]]:
        return self.param_groups[:1]


class _FirstRate(_Right):
    def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        super().move(p, g, {**group, "lr": self.param_groups[0]["lr"]})


class _KnownGroups(_Right):
    known = 0

    def groups(self) -> list[dict[str, Any]]:
        self.known = self.known or len(self.param_groups)
        return self.param_groups[: self.known]


class _OldRate(_Right):
    def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        super().move(p, g, {**group, "lr": self.state[p].setdefault("lr", group["lr"])})


class _OnlyMinimizes(_Right):
    def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        super().move(p, g, {**group, "maximize": False})


class _Off(_Right):
    def off(self, p: torch.Tensor, group: dict[str, Any]) -> bool:
        raise NotImplementedError

    def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        super().move(p, 1.1 * g if self.off(p, group) else g, group)


class _OffInSingle(_Off):
    def off(self, p: torch.Tensor, group: dict[str, Any]) -> bool:
        return p.dtype is torch.float32


class _OffInForeach(_Off):
    def off(self, p: torch.Tensor, group: dict[str, Any]) -> bool:
        return bool(group["foreach"])


class _OffInFused(_Off):
    def off(self, p: torch.Tensor, group: dict[str, Any]) -> bool:
        return bool(group["fused"])


class _BreaksHalf(_Right):
    def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        super().move(p, g / 0 if p.dtype is torch.bfloat16 else g, group)


class _DrawsForNothing(_Right):
    def gradient(self, p: torch.Tensor) -> torch.Tensor:
        torch.rand(1)
        return super().gradient(p)


class _Shares(_Right):
    """Its buffers are those of the class, until another is built."""

    buffers: ClassVar[dict[Any, torch.Tensor]] = {}

    def __init__(self, params: Any, **hyper: Any) -> None:
        super().__init__(params, **hyper)
        self.buffers.clear()

    def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
        key = tuple(p.shape)
        self.state[p]["buffer"] = self.buffers.setdefault(key, torch.zeros_like(p))
        super().move(p, g, group)


class _TakesAnyRate(_Right):
    def check(self, lr: float, momentum: float, weight_decay: float) -> None:
        super().check(abs(lr), momentum, weight_decay)


class _TakesAnyDecay(_Right):
    def check(self, lr: float, momentum: float, weight_decay: float) -> None:
        super().check(lr, momentum, abs(weight_decay))


class _Climbs(_Right):
    def gradient(self, p: torch.Tensor) -> torch.Tensor:
        return -super().gradient(p)


WRONG: dict[str, type[_Right]] = {
    "resumes from its state dict": _LosesState,
    "resumes with a changed rate": _KeepsRate,
    "deep copy": _CopiesBadly,
    "pickle": _PicklesBadly,
    "zero gradient": _Grows,
    "parameters without a gradient": _StopsAtTheFirst,
    "before any gradient": _PrintsState,
    "gradients overwritten after the step": _ReadsAgain,
    "gradients refilled in place": _WaitsForAnother,
    "gradients left alone": _Clips,
    "strided gradients": _ReadsMemory,
    "closure": _ReturnsNothing,
    "two groups": _FirstGroup,
    "a rate for each group": _FirstRate,
    "a group added later": _KnownGroups,
    "a rate that is scheduled": _OldRate,
    "maximize": _OnlyMinimizes,
    "single precision": _OffInSingle,
    "bfloat16": _BreaksHalf,
    "foreach": _OffInForeach,
    "fused": _OffInFused,
    "global state": _DrawsForNothing,
    "beside another optimizer": _Shares,
    "negative rate": _TakesAnyRate,
    "values outside the domain": _TakesAnyDecay,
    "descends a bowl": _Climbs,
}
"""By contract, an optimizer that breaks it."""

ALSO: dict[str, set[str]] = {
    "two groups": {"a rate for each group", "a group added later"},
    # whatever has two optimizers at once
    "beside another optimizer": {
        "resumes from its state dict",
        "deep copy",
        "pickle",
        "a rate that is scheduled",
        "maximize",
        "foreach",
        "fused",
    },
}
"""By contract, which others its wrong optimizer cannot but break."""


def made(build: type[_Right]) -> Method:
    return Method(build.__name__, build, (Knob("lr", 0.01, 1.0),))


def test_each_contract_has_its_breach() -> None:
    """No contract is without something that breaks it."""
    assert list(WRONG) == list(CONTRACTS)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_right_optimizer_keeps_it(contract: str) -> None:
    """Plain momentum keeps every contract, none of them left out."""
    decision = hold(contract, Case(method=made(_Right)))
    assert decision.status is Status.SAME, decision.sentence


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_wrong_optimizer_breaks_it(contract: str) -> None:
    """The optimizer that is wrong in this breaks the contract, also where a claim keeps it."""
    decision = hold(contract, Case(method=made(WRONG[contract]), claim=made(_Right)))
    assert decision.status is Status.DIFFERENT, decision.sentence
    assert CONTRACTS[contract].expected in decision.sentence


@pytest.mark.slow
@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_wrong_optimizer_breaks_nothing_else(contract: str) -> None:
    """A contract is broken by what is wrong in it, and by nothing else."""
    wrong = made(WRONG[contract])
    broken = {c for c in CONTRACTS if hold(c, Case(method=wrong)).status is Status.DIFFERENT}
    assert broken == {contract} | ALSO.get(contract, set())


def test_generators_are_left_alone() -> None:
    """Looking at contracts leaves the global generator where it was."""
    before = torch.get_rng_state()
    hold("resumes from its state dict", Case(method=method("adam")))
    assert torch.equal(before, torch.get_rng_state())


def test_what_cannot_step_is_left_out() -> None:
    """A method whose steps raise is no exception out of a contract."""

    class Raises(_Right):
        def move(self, p: torch.Tensor, g: torch.Tensor, group: dict[str, Any]) -> None:
            raise ValueError("no step today")

    decision = hold("two groups", Case(method=made(Raises)))
    assert decision.status is Status.LEFT_OUT
    assert "no step today" in decision.seen


def table() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["method"], {})[row["contract"]] = row["status"]
    return found


def test_the_table_is_whole() -> None:
    """The table has every method and every contract, and no other."""
    found = table()
    assert set(found) == set(methods)
    assert all(list(row) == list(CONTRACTS) for row in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.tagged("zoo"))
def test_the_zoo_is_as_the_table_says(name: str) -> None:
    """Methods of other packages keep and break what the table says, in the versions it is of."""
    package = methods[name].needs
    if version(package) != READ[package]:
        pytest.skip(f"the table is of {package} {READ[package]}")
    if capabilities(method(name)).reason or name == "pytorch_optimizer.spectralsphere":
        pytest.skip("not looked at")
    words = {Status.SAME: "holds", Status.DIFFERENT: "broken", Status.LEFT_OUT: "left out"}
    case = Case(method=method(name))
    assert {c: words[hold(c, case).status] for c in CONTRACTS} == table()[name]
