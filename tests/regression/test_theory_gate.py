"""The theory gate: right optimizers obey every law, and each law finds an optimizer that does not.

The laws are deterministic here, as the noisy ones use fixed seeds.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ravine.optimizers import method
from ravine.optimizers.base import Method
from ravine.optimizers.hyperparameters import template
from ravine.optimizers.newton import Newton, SaddleFreeNewton
from ravine.optimizers.torch_builtin import VARIANTS, builtin_classes
from ravine.problems.formulas.rates import heavy_ball_rate, nesterov_rate
from ravine.regression.decisions import Case, Decision, Gate, Status
from ravine.regression.theory import LAWS, Subject, decide, hold
from ravine.regression.theory.descent import radius
from ravine.regression.theory.law import agree, class_name
from ravine.regression.theory.paths import bowl, follow, path

RIGHT = (*(name.lower() for name in builtin_classes()), *VARIANTS, "newton", "saddle_free_newton")

BY_NAME = {law.name: law for law in LAWS}

Class = type[torch.optim.Optimizer]


def changed(parent: Class, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Class:
    """A class that takes some hyperparameters for others."""

    class Changed(parent):  # type: ignore[misc, valid-type]
        def __init__(self, params: Any, **hyper: Any) -> None:
            super().__init__(params, **{**hyper, **change(hyper)})

    return Changed


def after(parent: Class, mend: Callable[..., None]) -> Class:
    """A class whose steps are followed by `mend(optimizer, p, before, t)`, p by p."""

    class After(parent):  # type: ignore[misc, valid-type]
        def __init__(self, params: Any, **hyper: Any) -> None:
            super().__init__(params, **hyper)
            self.taken = 0

        def step(self, closure: Any = None) -> Any:
            self.taken += 1
            points = [p for group in self.param_groups for p in group["params"]]
            before = [p.detach().clone() for p in points]
            loss = super().step(closure)
            with torch.no_grad():
                for p, old in zip(points, before, strict=True):
                    mend(self, p, old, self.taken)
            return loss

    return After


def uncorrected(optimizer: Any, p: torch.Tensor, before: torch.Tensor, t: int) -> None:
    """The first moment is not corrected for its start at 0."""
    del optimizer
    p.copy_(before + (p - before) * (1 - 0.8**t))


def perturbed(optimizer: Any, p: torch.Tensor, before: torch.Tensor, t: int) -> None:
    """Noise that takes descent out of saddles."""
    del optimizer, before
    draw = torch.Generator().manual_seed(t)
    p.add_(0.03 * torch.randn(p.shape, generator=draw, dtype=p.dtype))


def forgetful(optimizer: Any, p: torch.Tensor, before: torch.Tensor, t: int) -> None:
    """A sum of squares that decays."""
    del before, t
    optimizer.state[p]["sum"].mul_(0.99)


class DenseSparseAdam(torch.optim.Adam):
    """Takes sparse gradients alone, and fills them with zeros."""

    def __init__(self, params: Any, lr: float = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8):
        super().__init__(params, lr=lr, betas=betas, eps=eps)

    def step(self, closure: Any = None) -> Any:
        """Step on dense gradients."""
        for p in self.param_groups[0]["params"]:
            if not p.grad.is_sparse:
                raise RuntimeError("sparse gradients alone")
            p.grad = p.grad.to_dense()
        return super().step(closure)


class Clairvoyant(torch.optim.SGD):
    """Knows the worst quadratic's matrix, and jumps to its minimum."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take Newton's step."""
        (x,) = self.param_groups[0]["params"]
        n = x.numel()
        chain = 2 * torch.eye(n, dtype=x.dtype)
        chain -= torch.diag(torch.ones(n - 1, dtype=x.dtype), 1)
        chain -= torch.diag(torch.ones(n - 1, dtype=x.dtype), -1)
        x -= torch.linalg.solve(chain / 2, x.grad)


class Shared(torch.optim.SGD):
    """All its instances count their steps together."""

    taken = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step by the common count."""
        Shared.taken += 1
        for p in self.param_groups[0]["params"]:
            p -= self.param_groups[0]["lr"] / Shared.taken * p.grad


o = torch.optim

WRONG: dict[str, tuple[str, Class]] = {
    "the path depends on the gradients so far alone": ("sgd", Shared),
    "the published formula": ("adam", changed(o.Adam, lambda h: {"lr": 1.001 * h["lr"]})),
    "gradient descent converges below 2 / lambda_max and not above": (
        "sgd",
        changed(o.SGD, lambda h: {"lr": 1.01 * h["lr"]}),
    ),
    "gradient descent's rate on a quadratic": (
        "sgd",
        changed(o.SGD, lambda h: {"lr": 1.01 * h["lr"]}),
    ),
    "the heavy ball's threshold": (
        "sgd",
        changed(o.SGD, lambda h: {"momentum": 0.99 * h["momentum"]}),
    ),
    "the heavy ball's rate on a quadratic": (
        "heavy_ball",
        changed(o.SGD, lambda h: {"momentum": 0.99 * h["momentum"]}),
    ),
    "Nesterov's threshold": ("nesterov", changed(o.SGD, lambda h: {"nesterov": False})),
    "Nesterov's rate on a quadratic": ("nesterov", changed(o.SGD, lambda h: {"nesterov": False})),
    "momentum amplifies a constant gradient by 1 / (1 - momentum)": (
        "sgd",
        changed(o.SGD, lambda h: {"momentum": 0.999 * h["momentum"]}),
    ),
    "dampening spares the first gradient": ("sgd", changed(o.SGD, lambda h: {"dampening": 0})),
    "weight decay alone shrinks geometrically": (
        "sgd",
        changed(o.SGD, lambda h: {"weight_decay": 0}),
    ),
    "weight decay is a quadratic penalty": (
        "adam",
        changed(o.Adam, lambda h: {"decoupled_weight_decay": True}),
    ),
    "the noisy quadratic's expected loss": (
        "sgd",
        changed(o.SGD, lambda h: {"lr": 1.2 * h["lr"]}),
    ),
    "bias correction is exact at every step": ("adam", after(o.Adam, uncorrected)),
    "bias correction is exact at every step, sparse": (
        "sparseadam",
        changed(o.SparseAdam, lambda h: {"eps": 2 * h["eps"]}),
    ),
    "the gradient's scale does not matter": ("adam", changed(o.Adam, lambda h: {"eps": 1e-3})),
    "the longest step": ("adamw", changed(o.AdamW, lambda h: {"betas": (0.8, 0.951)})),
    "the step of the sparsest gradient": (
        "adam",
        changed(o.Adam, lambda h: {"betas": h["betas"][::-1]}),
    ),
    "without momentum it is RMSProp, corrected": (
        "adam",
        changed(o.Adam, lambda h: {"betas": (max(h["betas"][0], 0.01), h["betas"][1])}),
    ),
    "it forgets a spike": ("adam", changed(o.Adam, lambda h: {"amsgrad": True})),
    "AMSGrad never forgets a spike": ("amsgrad", changed(o.Adam, lambda h: {"amsgrad": False})),
    "decoupled decay does not change the step": ("adamw", o.Adam),
    "decoupled decay alone shrinks geometrically": ("adamw", o.Adam),
    "coupled decay is normalised like any gradient": (
        "adam",
        changed(o.Adam, lambda h: {"decoupled_weight_decay": True}),
    ),
    "NAdam looks ahead": (
        "nadam",
        changed(o.NAdam, lambda h: {"momentum_decay": 1.01 * h["momentum_decay"]}),
    ),
    "RAdam is rectified once the variance exists": ("radam", o.Adam),
    "Adamax's norm forgets a spike": ("adamax", o.Adam),
    "Adamax's bias correction is exact at every step": ("adamax", after(o.Adamax, uncorrected)),
    "untouched entries stay": ("sparseadam", DenseSparseAdam),
    "Adagrad's rate is one over the root of the sum": (
        "adagrad",
        changed(o.Adagrad, lambda h: {"lr_decay": 0}),
    ),
    "Adagrad never forgets a spike": ("adagrad", after(o.Adagrad, forgetful)),
    "RMSProp's average is not corrected": (
        "rmsprop",
        changed(o.RMSprop, lambda h: {"alpha": 0.999 * h["alpha"]}),
    ),
    "centered RMSProp divides by the deviation": (
        "rmsprop_centered",
        changed(o.RMSprop, lambda h: {"centered": False}),
    ),
    "RMSProp's momentum sums normalised gradients": (
        "rmsprop_momentum",
        changed(o.RMSprop, lambda h: {"momentum": 0.999 * h["momentum"]}),
    ),
    "Adadelta's first step": ("adadelta", changed(o.Adadelta, lambda h: {"eps": 1.01 * h["eps"]})),
    "Adadelta's second step": (
        "adadelta",
        changed(o.Adadelta, lambda h: {"rho": 1.001 * h["rho"]}),
    ),
    "Adadelta's rate is but a factor": (
        "adadelta",
        changed(o.Adadelta, lambda h: {"lr": h["lr"] ** 0.99}),
    ),
    "Rprop's steps grow while signs agree, whatever the gradient's size": (
        "rprop",
        changed(o.Rprop, lambda h: {"etas": (0.4, 1.49)}),
    ),
    "Rprop's steps shrink where the sign turns": (
        "rprop",
        changed(o.Rprop, lambda h: {"etas": (0.41, 1.5)}),
    ),
    "averaged descent's decay and rate": (
        "asgd",
        changed(o.ASGD, lambda h: {"lambd": 1.01 * h["lambd"]}),
    ),
    "averaged descent without decay is descent": (
        "asgd",
        changed(o.ASGD, lambda h: {"lr": 1.01 * h["lr"]}),
    ),
    "averaged descent's rate falls": (
        "asgd",
        changed(o.ASGD, lambda h: {"alpha": 1.01 * h["alpha"]}),
    ),
    "Muon's step is nearly orthogonal": ("muon", changed(o.Muon, lambda h: {"ns_steps": 2})),
    "Muon steps along the polar factor": ("muon", changed(o.Muon, lambda h: {"ns_steps": 0})),
    "Muon does not see the gradient's scale": ("muon", changed(o.Muon, lambda h: {"eps": 1.0})),
    "Muon's way is proportional to its rate": (
        "muon",
        changed(o.Muon, lambda h: {"lr": h["lr"] ** 0.99}),
    ),
    "Adafactor clips its step": ("adafactor", changed(o.Adafactor, lambda h: {"d": 1.0})),
    "Adafactor's steps are relative": (
        "adafactor",
        changed(o.Adafactor, lambda h: {"eps": (h["eps"][0], 1e3)}),
    ),
    "Adafactor does not see the gradient's scale": (
        "adafactor",
        changed(o.Adafactor, lambda h: {"eps": (1.0, h["eps"][1])}),
    ),
    "Adafactor slows down as 1 / sqrt(t), and factors rank 1 exactly": (
        "adafactor",
        changed(o.Adafactor, lambda h: {"lr": min(h["lr"], 0.2)}),
    ),
    "the minimum of a quadratic in one step": (
        "newton",
        changed(Newton, lambda h: {"damping": 0.01}),
    ),
    "a share of Newton's step, alike in all directions": (
        "newton",
        changed(Newton, lambda h: {"lr": 1.01 * h["lr"]}),
    ),
    "Newton's method is attracted by a saddle": ("newton", SaddleFreeNewton),
    "a saddle repels saddle-free Newton": ("saddle_free_newton", Newton),
    "L-BFGS ends on a round bowl in two steps": (
        "lbfgs",
        changed(o.LBFGS, lambda h: {"lr": 0.99}),
    ),
    "L-BFGS meets the secant condition": ("lbfgs", changed(o.LBFGS, lambda h: {"lr": 0.99})),
    "no faster than the lower bound": ("sgd", Clairvoyant),
    "Adam goes to the wrong end": ("adam", changed(o.Adam, lambda h: {"amsgrad": True})),
    "AMSGrad goes to the right end": ("amsgrad", changed(o.Adam, lambda h: {"amsgrad": False})),
    "the heavy ball cycles where it is tuned best for quadratics": (
        "heavy_ball",
        changed(o.SGD, lambda h: {"nesterov": h["momentum"] > 0}),
    ),
    "descent and Nesterov's method settle where the heavy ball cycles": (
        "nesterov",
        changed(o.SGD, lambda h: {"lr": 1.1 * h["lr"]}),
    ),
    "descent takes exponential time to leave the octopus's saddles": (
        "sgd",
        after(o.SGD, perturbed),
    ),
    "Newton's method cycles": ("newton", changed(Newton, lambda h: {"damping": 3.0})),
    "RMSProp at alpha = 1 blows up": (
        "rmsprop",
        changed(o.RMSprop, lambda h: {"alpha": min(h["alpha"], 0.99)}),
    ),
    "Adagrad crawls along a steady slope": ("adagrad", after(o.Adagrad, forgetful)),
}
"""By law: a method for which it holds, and a class that is taken for it and breaks the law."""


def judged(candidate: Method, claim: Method | None, dtype: torch.dtype) -> list[Decision]:
    """All decisions of the gate."""
    return list(decide(Case(method=candidate, claim=claim, dtype=dtype)))


DEAR = tuple(VARIANTS)
"""They repeat many steps of their class."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in DEAR else n for n in RIGHT]
)
def test_every_law_holds_for_what_it_speaks_of(name: str) -> None:
    """The optimizers of torch, their variants and Newton's methods: same, all of it."""
    claim = method(name)
    decisions = judged(claim, claim, torch.float64)
    assert [d.sentence for d in decisions if d.status is not Status.SAME] == []
    assert len(decisions) > 3
    assert all(d.gate is Gate.THEORY and d.source for d in decisions)


@pytest.mark.parametrize("name", ["adam", "rmsprop_centered", "adafactor", "newton", "lbfgs"])
def test_single_precision_is_no_difference(name: str) -> None:
    """In float32 a law holds within rounding, or is left out with the reason."""
    claim = method(name)
    decisions = judged(claim, claim, torch.float32)
    assert [d.sentence for d in decisions if d.status is Status.DIFFERENT] == []
    left = {d.seen for d in decisions if d.status is Status.LEFT_OUT}
    assert left <= {"it needs double precision"}


@pytest.mark.parametrize(
    ("candidate", "claim"),
    [
        pytest.param("adam(foreach=true)", "adam", marks=pytest.mark.slow),
        ("adamw(fused=true)", "adamw"),
        ("rmsprop(foreach=true)", "rmsprop"),
        pytest.param("sgd(foreach=true)", "sgd", marks=pytest.mark.slow),
    ],
)
def test_another_implementation_is_no_difference(candidate: str, claim: str) -> None:
    """Steps over lists of tensors, and fused ones, are the same."""
    decisions = judged(method(candidate), method(claim), torch.float64)
    assert [d.sentence for d in decisions if d.status is not Status.SAME] == []


def test_every_law_has_an_optimizer_that_breaks_it() -> None:
    """No law is without a test that it can be broken, and names are distinct."""
    assert set(WRONG) == set(BY_NAME)
    assert len(BY_NAME) == len(LAWS)


@pytest.mark.parametrize("name", WRONG)
def test_a_law_finds_an_optimizer_that_breaks_it(name: str) -> None:
    """The law speaks of the claim, and does not hold for the wrong class; its sentence says so."""
    id, wrong = WRONG[name]
    law, claim = BY_NAME[name], method(id)
    assert law.applies(claim)
    found = hold(law, Subject(template("wrong", wrong), claim, torch.float64))
    assert found.status is Status.DIFFERENT, found.sentence
    assert not found.seen.startswith("it raised"), found.sentence
    assert f"`{name}`: expected " in found.sentence
    assert law.expected_failure == found.expected.startswith("to fail: ")


def test_expected_failures_are_those_of_the_theorems() -> None:
    """Seven failures are promised by papers, and each is looked at on some built-in."""
    promised = {law.name for law in LAWS if law.expected_failure}
    assert len(promised) == 7
    assert promised <= set(WRONG)


class Plain(torch.optim.Optimizer):
    """Descent with heavy-ball momentum of 0.9, whose only hyperparameter is the rate."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step along the velocity."""
        for p in self.param_groups[0]["params"]:
            v = self.state[p].get("v", torch.zeros_like(p)) * 0.9 + p.grad
            self.state[p]["v"] = v
            p -= self.param_groups[0]["lr"] * v


class Broken(torch.optim.SGD):
    """Raises in its fourth step."""

    def step(self, closure: Any = None) -> Any:
        """Step, or raise."""
        self.taken = getattr(self, "taken", 0) + 1
        if self.taken > 3:
            raise TypeError("four is too many")
        return super().step(closure)


def test_what_a_candidate_does_not_take_is_left_out_with_the_reason() -> None:
    """A momentum that is fixed can be held to no other; the formula is looked at as claimed."""
    decisions = {
        d.name: d
        for d in judged(template("plain", Plain), method("sgd(momentum=0.9)"), torch.float64)
    }
    assert {d.status for d in decisions.values()} == {Status.SAME, Status.LEFT_OUT}
    assert decisions["the published formula"].status is Status.SAME
    left = decisions["gradient descent's rate on a quadratic"]
    assert left.sentence.endswith("left out, it takes no `momentum`, which would have to be 0")


def test_a_candidate_that_raises_is_different() -> None:
    """Its error is what is seen, and does not leave the gate."""
    claim = method("sgd")
    decisions = judged(template("broken", Broken), claim, torch.float64)
    seen = {d.seen for d in decisions if d.status is Status.DIFFERENT}
    assert seen == {"it raised TypeError: four is too many"}
    assert all(d.status is not Status.LEFT_OUT for d in decisions)


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (None, "no baseline, so no theory beyond what holds for all"),
        ("lookahead(sgd)", "no theorem is known here of `lookahead(sgd)`"),
    ],
)
def test_without_a_theorem_only_what_holds_for_all_is_looked_at(
    claim: str | None, reason: str
) -> None:
    """One law holds for all; the rest is left out in one decision."""
    claimed = None if claim is None else method(claim)
    first, last = judged(method("adam"), claimed, torch.float64)
    assert first.name == "the path depends on the gradients so far alone"
    assert (last.status, last.seen) == (Status.LEFT_OUT, reason)


def test_the_gate_tells_how_far_it_is_and_leaves_generators_alone() -> None:
    """Shares rise to 1, and the next random number is what it would have been."""
    shares: list[float] = []
    claim = method("rprop")
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    decisions = list(decide(Case(method=claim, claim=claim, tick=shares.append)))
    assert torch.equal(torch.rand(1), wanted)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == len(decisions)


def test_a_claim_is_known_by_what_it_builds() -> None:
    """Variants are of their class, wrappers and users' classes of none."""
    assert class_name(method("nadamw")) == "NAdam"
    assert class_name(method("newton")) == "Newton"
    assert class_name(template("mine", Plain)) == ""


def powers(b: float, c: float) -> Iterator[float]:
    """The sequence x_{t+1} = b x_t - c x_{t-1}."""
    last, x = 1.0, 0.7
    for _ in range(30):
        yield x
        last, x = x, b * x - c * last


@given(lr=st.floats(0.01, 0.35), momentum=st.floats(0.1, 0.95))
def test_a_radius_is_read_off_a_path(lr: float, momentum: float) -> None:
    """The closed forms of both momenta, from points alone, within 1e-5."""
    heavy = np.array(list(powers(1 + momentum - lr, momentum)))[:, None]
    assert radius(heavy) == pytest.approx(heavy_ball_rate(lr, momentum, [1.0]), rel=1e-5)
    ahead = np.array(list(powers((1 + momentum) * (1 - lr), momentum * (1 - lr))))[:, None]
    assert radius(ahead) == pytest.approx(nesterov_rate(lr, momentum, [1.0]), rel=1e-5)


def test_paths_are_the_plain_loop() -> None:
    """Descent on a bowl halves its error; gradients that are given are followed anywhere."""
    claim = method("sgd")
    subject = Subject(claim, claim, torch.float64)
    points = path(subject, {"lr": 0.5}, np.array([4.0, -2.0]), bowl(1.0, 1.0), 2)
    assert points.tolist() == [[4.0, -2.0], [2.0, -1.0], [1.0, -0.5]]
    given = follow(subject, {"lr": 1.0}, np.zeros(1), np.array([[1.0], [2.0]]))
    assert given.tolist() == [[0.0], [-1.0], [-3.0]]
    boxed = path(subject, {"lr": 3.0}, np.array([1.0]), bowl(1.0), 1, box=(-1.0, 1.0))
    assert boxed.tolist() == [[1.0], [-1.0]]


def test_a_matrix_method_gets_a_vector_as_a_column() -> None:
    """Muon claimed to be Adam is told apart, not refused."""
    decisions = judged(method("muon"), method("adam"), torch.float64)
    found = {d.name: d for d in decisions}["the published formula"]
    assert found.status is Status.DIFFERENT
    assert not found.seen.startswith("it raised")


def test_deviations_say_where_they_begin() -> None:
    """The first step beyond the bound is named, and what is not finite is infinitely far."""
    claim = method("sgd")
    subject = Subject(claim, claim, torch.float64)
    wanted = np.array([[1.0], [2.0], [4.0]])
    off = agree(subject, wanted * [[1], [1.01], [1]], wanted, "it")
    assert not off.holds
    assert off.seen == "a deviation of 5.0e-03 of the largest, first at step 2"
    assert agree(subject, wanted * np.nan, wanted, "it").size == np.inf
    assert agree(subject, wanted, wanted, "it").holds
