"""What a step costs: time and memory, relative to plain gradient descent beside it."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ravine.errors import Mismatch
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Method, Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.catalogue import method
from ravine.optimizers.cost import state_bytes_per_element
from ravine.optimizers.driving import formed
from ravine.optimizers.space import trials

SHAPES = ((128, 784), (10, 128))
"""Parameter tensors that steps are timed on: the weights of a 784-128-10 network."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one step of a method.

    Args:
        method: its name.
        time: median seconds of a step over those of plain SGD, in turns in one process.
        state_bytes: bytes of optimizer state for each float32 parameter.
        evaluations: loss evaluations inside a step; 0 where the step takes a gradient.
        reason: why the method could not be timed, else empty.
    """

    method: str
    time: float | None
    state_bytes: float | None
    evaluations: float
    reason: str = ""


def meter(methods: Sequence[Method], steps: int = 30) -> list[Cost]:
    """Time a step of each method on the same tensors, in turns with plain SGD.

    Ratios within one process are meant to be compared; seconds on another day are not.
    The cost of evaluating the loss is not part of it.

    Args:
        methods: what to time.
        steps: timed steps of each.
    """
    return [_cost(m, steps) for m in methods]


def _cost(subject: Method, steps: int) -> Cost:
    setting = trials(subject, 1)[0]
    able = capabilities(subject)
    if able.reason:
        return Cost(subject.name, None, None, 0.0, able.reason)
    try:
        state = state_bytes_per_element(setting, SHAPES[0])
        ours, counted = _stepper(setting)
        plain, _ = _stepper(trials(method("sgd"), 1)[0])
        ratios = [ours() / plain() for _ in range(steps)]
    except (Mismatch, RuntimeError, ValueError, TypeError) as error:
        return Cost(subject.name, None, None, 0.0, str(error).splitlines()[0])
    evaluations = counted[0] / steps if able.closure else 0.0
    return Cost(subject.name, statistics.median(ratios), state, evaluations)


def _stepper(setting: Setting) -> tuple[Callable[[], float], list[int]]:
    """What takes a step and returns its seconds, and the count of evaluations inside."""
    make = torch.Generator().manual_seed(0)
    tensors = [torch.randn(s, generator=make).requires_grad_() for s in SHAPES]
    gradients = [torch.randn(s, generator=make) for s in SHAPES]
    optimizer, needs = assemble(setting, tensors), capabilities(setting)
    counted = [0]

    def evaluate() -> Any:
        counted[0] += 1
        return torch.tensor(1.0 / counted[0])

    def step() -> float:
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = formed(gradient.clone(), tensor, needs)
        started = time.perf_counter()
        if needs.closure:
            optimizer.step(evaluate)
        else:
            optimizer.step()
        return time.perf_counter() - started

    step()  # builds the state
    counted[0] = 0
    return step, counted
