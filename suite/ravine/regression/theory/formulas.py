"""The published formula of what a candidate claims to be, over drawn hyperparameters.

And the one law for all: a method knows no more of a function than it has been told.
"""

import random as random_module
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from ravine.optimizers.textbook import translate
from ravine.optimizers.textbook.translation import TRANSLATIONS
from ravine.regression.theory.law import (
    Array,
    Finding,
    Law,
    Subject,
    agree,
    class_name,
    defaults,
)
from ravine.regression.theory.paths import follow, path, takes
from ravine.regression.theory.second_order import ITERATIONS

DRAWS = 8
STEPS = 12

Draw = Callable[[np.random.Generator], Any]


def decades(low: float, high: float) -> Draw:
    """Numbers whose logarithm is uniform."""
    return lambda random: float(10 ** random.uniform(np.log10(low), np.log10(high)))


def between(low: float, high: float) -> Draw:
    """Uniform numbers."""
    return lambda random: float(random.uniform(low, high))


def flag(random: np.random.Generator) -> bool:
    """Heads or tails."""
    return bool(random.random() < 0.5)


def or_zero(draw: Draw) -> Draw:
    """The same, or 0 once in four draws."""
    return lambda random: draw(random) if random.random() < 0.75 else 0.0


def pair(first: Draw, second: Draw) -> Draw:
    """Two at once."""
    return lambda random: (first(random), second(random))


HYPER: Mapping[str, Draw] = MappingProxyType(
    {
        "lr": decades(1e-2, 1.0),
        "weight_decay": or_zero(decades(1e-2, 0.3)),
        "momentum": or_zero(between(0.3, 0.95)),
        "dampening": or_zero(between(0.1, 0.9)),
        "nesterov": flag,
        "betas": pair(between(0.3, 0.95), between(0.6, 0.999)),
        "eps": decades(1e-8, 1e-1),
        "alpha": between(0.5, 0.99),
        "rho": between(0.5, 0.99),
        "amsgrad": flag,
        "centered": flag,
        "decoupled_weight_decay": flag,
        "lr_decay": or_zero(decades(1e-2, 1.0)),
        "initial_accumulator_value": or_zero(decades(1e-2, 1.0)),
        "momentum_decay": decades(1e-2, 1.0),
        "lambd": decades(1e-3, 0.3),
        "etas": pair(between(0.2, 0.8), between(1.1, 2.0)),
        "step_sizes": pair(decades(1e-3, 1e-2), decades(0.3, 3.0)),
        "beta2_decay": between(-1.0, -0.5),
        "d": between(1.0, 1.3),
        "maximize": flag,
    }
)
"""What each hyperparameter is drawn from; those not named stay at the class's defaults."""

OWN: Mapping[str, Mapping[str, Draw]] = MappingProxyType(
    {
        "Adafactor": {"eps": pair(decades(1e-8, 1e-3), decades(1e-3, 0.3))},
        "ASGD": {"alpha": between(0.5, 1.0)},
        # its iteration is in eight bits, and has laws of its own
        "Muon": {"ns_steps": lambda random: 0, "eps": decades(1e-8, 1e-6)},
        "LBFGS": {"history_size": lambda random: int(random.integers(1, 6))},
    }
)
"""Where a class means something else by a name."""

WITHIN: Mapping[str, float] = MappingProxyType(
    {
        "ASGD": 1e-6,  # torch rounds its rate to single precision
        "NAdam": 1e-6,  # and its product of momenta
        "Muon": 0.02,  # its step is rounded to bfloat16
        "LBFGS": 1e-6,  # the recursion divides by small differences of gradients
    }
)
"""Largest deviation where it is not 1e-10, as a share of the way."""


def draw(subject: Subject, random: np.random.Generator) -> dict[str, Any]:
    """Hyperparameters of a claim's class, as far as the candidate takes them.

    What it does not take is the claim's own.
    """
    assert subject.claim is not None
    own = defaults(subject.claim)
    fixed = {key: v for key, v in subject.claim.fixed.items() if key in own}
    draws = {**HYPER, **OWN.get(subject.name, {})}
    # all are drawn, so that what one candidate lacks moves nothing else
    drawn = {key: draws[key](random) for key in own if key in draws}
    hyper = {**own, **drawn}
    if subject.name == "SGD":
        hyper["momentum"] = hyper["momentum"] or 0.5 * hyper["nesterov"]
        hyper["dampening"] *= not hyper["nesterov"]
    if subject.name == "LBFGS":
        hyper |= {key: v for key, v in ITERATIONS.items() if key != "lr"}
    if "centered" in hyper and not subject.double:
        hyper["centered"] = False  # a difference of nearly equal averages
    split = {"beta1", "beta2"}
    for key in hyper:
        both = key == "betas" and all(takes(subject.method, part, 0.5) for part in split)
        if not both and not takes(subject.method, key, hyper[key]):
            value = fixed.get(key, own[key])
            # torch writes 0 where it means 0.0
            hyper[key] = float(value) if isinstance(drawn.get(key), float) else value
    return hyper


def gradients(random: np.random.Generator, shape: tuple[int, ...], dense: bool) -> Array:
    """Of either sign over some decades, some entries and some steps exactly 0."""
    size = (STEPS, *shape)
    low = random.uniform(-4, 1)
    g = random.normal(size=size) * 10 ** random.uniform(low, low + 3, size=size)
    if not dense:
        g[random.random(size) < 0.15] = 0.0
        g[random.random(STEPS) < 0.05] = 0.0
    return g


def _formula(subject: Subject) -> Finding:
    """Step by step, on gradients that are given."""
    if subject.name == "LBFGS":
        return _recursion(subject)
    words = f"the steps of {_source(subject)}"
    worst: Finding | None = None
    for k in range(DRAWS):
        random = np.random.default_rng(k)
        hyper = draw(subject, random)
        matrix = k % 2 == 1 or subject.name == "Muon"
        shape = (4, 3) if matrix else (5,)
        g = gradients(random, shape, dense=subject.name in {"SparseAdam", "Muon"})
        x = hyper["lr"] * random.normal(size=shape)
        rule, state, wanted = translate(subject.name, **hyper), None, [x]
        for row in g:
            new, state = rule(wanted[-1], state, row)
            wanted.append(new)
        found = follow(subject, hyper, x, g)
        given = {key: v for key, v in hyper.items() if key in HYPER}
        finding = agree(
            subject,
            found[1:] - x,
            np.stack(wanted[1:]) - x,
            f"{words} at {_listed(given)}",
            WITHIN.get(subject.name, 1e-10),
        )
        if worst is None or not finding.holds or (finding.size or 0) > (worst.size or 0):
            worst = finding
        if not finding.holds:
            break
    assert worst is not None
    if worst.holds:
        return Finding(holds=True, expected=words, seen=worst.seen, size=worst.size, n=DRAWS)
    return worst


def _recursion(subject: Subject) -> Finding:
    """L-BFGS on convex quadratics, for pairs need curvature."""
    words, sizes = f"the steps of {_source(subject)}", []
    for k in range(DRAWS):
        random = np.random.default_rng(k)
        hyper = {**draw(subject, random), "lr": float(random.uniform(0.4, 0.9))}
        q, _ = np.linalg.qr(random.normal(size=(4, 4)))
        matrix = q * np.geomspace(0.1, 1.0, 4) @ q.T
        rows = torch.from_numpy(matrix).to(subject.dtype)
        x = random.normal(size=4)

        def loss(x: torch.Tensor, t: int, rows: torch.Tensor = rows) -> torch.Tensor:
            return x.flatten() @ rows @ x.flatten() / 2

        rule, state, wanted = translate("LBFGS", **hyper), None, [x]
        for _ in range(6):
            new, state = rule(wanted[-1], state, matrix @ wanted[-1])
            wanted.append(new)
        found = path(subject, hyper, x, loss, 6)
        finding = agree(subject, found, np.stack(wanted), words, WITHIN["LBFGS"])
        if not finding.holds:
            return finding
        sizes.append(finding.size or 0.0)
    return Finding(
        holds=True, expected=words, seen=f"them within {max(sizes):.1e}", size=max(sizes), n=DRAWS
    )


def _source(subject: Subject) -> str:
    return f"the published formula of {subject.name}"


def _listed(hyper: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in hyper.items()
    )


def seed_all() -> None:
    """Let every generator that a step may draw from begin anew."""
    torch.manual_seed(0)
    random_module.seed(0)
    np.random.seed(0)  # noqa: NPY002


def _causal(subject: Subject) -> Finding:
    """Two functions that have answered alike so far, in two runs one after the other."""
    random = np.random.default_rng(13)
    g, start = random.normal(size=(12, 4, 3)), random.normal(size=(4, 3))
    other = g.copy()
    other[6:] *= -2
    runs = []
    for rows in (g, other, g):
        seed_all()
        runs.append(follow(subject, {}, start, rows))
    first, second, again = runs
    before = np.array_equal(first[:7], second[:7], equal_nan=True)
    same = np.array_equal(first, again, equal_nan=True)
    seen = "one path" if before and same else "another path in a second run"
    return Finding(
        holds=before and same,
        expected="one and the same path for as long as the gradients are the same",
        seen=seen if before else "paths that part before the gradients do",
        n=3,
    )


def _translated(claim: Any) -> bool:
    return class_name(claim) in TRANSLATIONS


LAWS = (
    Law(
        name="the path depends on the gradients so far alone",
        source="Nemirovski, Yudin (1983), Problem complexity and method efficiency, chapter 1",
        applies=lambda claim: True,
        test=_causal,
        universal=True,
    ),
    Law(
        name="the published formula",
        source="ravine.optimizers.textbook, with the paper of each rule",
        applies=_translated,
        test=_formula,
    ),
)
