"""What a law is, of whom it speaks, and what holding a candidate to it finds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from ravine.optimizers.base import Build, Method
from ravine.optimizers.hyperparameters import hyperparameters
from ravine.optimizers.textbook.translation import SWITCHES

Array = Float64[np.ndarray, "..."]
"""Points, gradients and paths."""


class Unseen(Exception):
    """A law cannot be looked at on a candidate; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is held to a law.

    Args:
        method: the candidate.
        claim: what it claims to be; None for laws that hold for all.
        dtype: of its parameters.
    """

    method: Method
    claim: Method | None
    dtype: torch.dtype

    @property
    def double(self) -> bool:
        """Whether it steps in double precision."""
        return self.dtype is torch.float64

    @property
    def name(self) -> str:
        """The class that it claims to be."""
        return "" if self.claim is None else class_name(self.claim)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found; the fields are those of a `Decision`.

    Args:
        holds: whether the law does.
        expected: the end of the sentence "expected ...".
        seen: the end of the sentence "seen ...".
        size: by how much it was missed.
        n: runs that were looked at.
        chance: probability that it is missed although nothing is wrong.
    """

    holds: bool
    expected: str
    seen: str
    size: float | None = None
    n: int = 1
    chance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """What a theorem says of an algorithm.

    Args:
        name: what is looked at, in words.
        source: paper or theorem.
        applies: whether it speaks of a method; asked of the claim.
        test: holds a candidate to it.
        expected_failure: the theorem says that the method fails; the law holds where it
            does, strictly.
        double: it can be seen in double precision only.
        universal: it speaks of every optimizer, so that no claim is needed.
    """

    name: str
    source: str
    applies: Callable[[Method], bool]
    test: Callable[[Subject], Finding]
    expected_failure: bool = False
    double: bool = False
    universal: bool = False


def class_name(claim: Method) -> str:
    """The class that a method builds, where it is torch's or ravine's own; else empty.

    Example:
        >>> from ravine.optimizers import method
        >>> class_name(method("heavy_ball")), class_name(method("lookahead(sgd)"))
        ('SGD', '')
    """
    return _names().get(claim.build, "")


@cache
def _names() -> Mapping[Build, str]:
    from ravine.optimizers.newton import Newton, SaddleFreeNewton
    from ravine.optimizers.torch_builtin import builtin_classes

    known: dict[str, Build] = {
        **builtin_classes(),
        "Newton": Newton,
        "SaddleFreeNewton": SaddleFreeNewton,
    }
    return {build: name for name, build in known.items()}


def claims(*names: str) -> Callable[[Method], bool]:
    """Whether a method is of one of some classes, whatever its hyperparameters."""
    return lambda claim: class_name(claim) in names


def offers(name: str, *classes: str) -> Callable[[Method], bool]:
    """Whether a method is of one of some classes, and that takes a hyperparameter here.

    An older torch lacks the newest.
    """
    return lambda claim: class_name(claim) in classes and name in hyperparameters(claim.build)


def defaults(claim: Method) -> dict[str, Any]:
    """What a claimed class takes, its defaults, without what only decides how it computes."""
    parameters = signature(claim.build).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.name not in SWITCHES and p.default is not p.empty and p.kind is not p.VAR_KEYWORD
    }


SINGLE = 1e-3
"""Least deviation that counts in single precision, as a share of the largest value: rounding
of 2^-24 in each of some dozens of steps, grown a hundredfold by division and subtraction."""


def agree(
    subject: Subject, found: Array, wanted: Array, expected: str, within: float = 1e-10
) -> Finding:
    """Hold what a candidate did to a closed form, step by step.

    Args:
        subject: who did it.
        found: `[steps, ...]`.
        wanted: the closed form, of the same shape.
        expected: the closed form in words.
        within: largest deviation, as a share of the largest value of the closed form.
    """
    scale = float(np.abs(wanted).max()) or 1.0
    apart = np.abs(found - wanted).reshape(len(wanted), -1).max(1) / scale
    apart = np.where(np.isfinite(apart), apart, np.inf)
    bound = within if subject.double else max(within, SINGLE)
    off = np.flatnonzero(apart > bound)
    size = float(apart.max())
    seen = f"that within {size:.1e}"
    if len(off):
        seen = f"a deviation of {size:.1e} of the largest, first at step {off[0] + 1}"
    return Finding(holds=not len(off), expected=expected, seen=seen, size=size)
