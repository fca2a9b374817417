"""Learning rates that change along a run, as factors of the base's rate.

Around each other their factors multiply: `warmup(cosine(adamw))` does both.  A length is a
number of steps, or below 1 a share of the run.  Steps are counted from 0; where a run goes
on beyond its length, the factor stays as it is at the end.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch

from ravine.errors import BadValue
from ravine.optimizers.composite import Composite
from ravine.optimizers.wrappers.wrapper import count_step, enlist, insist, number

Factor = TypeVar("Factor", bound=Callable[..., float])


class Schedule(Composite):
    """Multiplies the learning rate of every group by a factor, for the time of a step.

    Between steps the groups have the base's own rate, so that schedules may be nested, and
    a change of the rate is kept.  A change that the base itself makes within a step is not.

    Args:
        part: the base's optimizer.
        total_steps: length of the run.
        factor: of the step, the length of the run, and options.
        options: of the factor.

    Raises:
        BadValue: an option is outside its domain, or a group has no learning rate.
    """

    def __init__(
        self,
        part: torch.optim.Optimizer,
        total_steps: int,
        *,
        factor: Callable[..., float],
        **options: Any,
    ) -> None:
        if not all(isinstance(g.get("lr"), float | int | torch.Tensor) for g in part.param_groups):
            raise BadValue(
                "it changes the learning rate `lr`, and the base has none; "
                "wrap a method that takes `lr`"
            )
        super().__init__([part])
        self.total_steps = total_steps
        self.factor, self.options = factor, options
        self._factor(0)  # a bad option is met here

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take a step of the base at the rate of this step."""
        factor = self._factor(count_step(self))
        rates = [group["lr"] for group in self.param_groups]
        try:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            return super().step(closure)
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate

    def _factor(self, step: int) -> float:
        return self.factor(min(step, self.total_steps), self.total_steps, **self.options)


def schedule(base: str, source: str) -> Callable[[Factor], Factor]:
    """Decorate a factor of (step, total, *, options) to register it under its name.

    Args:
        base: what it wraps where an id names nothing.
        source: paper.
    """

    def add(factor: Factor) -> Factor:
        wrap = partial(Schedule, factor=factor)
        enlist(factor.__name__, wrap, factor, base, source, "schedule")
        return factor

    return add


@schedule("adamw", "Loshchilov, Hutter (2017), arXiv 1608.03983")
def cosine(step: int, total: int, *, floor: int | float = 0.0) -> float:
    """Cosine annealing: the rate falls along half a wave, from 1 to a floor at the end.

    floor + (1 - floor) (1 + cos(pi t / T)) / 2, without restarts.

    Args:
        step: t, from 0.
        total: T, the length of the run.
        floor: what is left in the end.

    Raises:
        BadValue: floor is outside [0, 1].

    References:
        Loshchilov, Hutter (2017). SGDR: stochastic gradient descent with warm restarts.
        arXiv 1608.03983.

    Example:
        >>> [round(cosine(t, 100), 6) for t in (0, 50, 100)]
        [1.0, 0.5, 0.0]
    """
    return _down(floor, (1 + math.cos(math.pi * step / total)) / 2)


@schedule("adamw", "Defazio et al. (2023), arXiv 2310.07831")
def linear_decay(step: int, total: int, *, floor: int | float = 0.0) -> float:
    """Linear decay: the rate falls along a line, from 1 to a floor at the end.

    floor + (1 - floor) (1 - t / T).

    Args:
        step: t, from 0.
        total: T, the length of the run.
        floor: what is left in the end.

    Raises:
        BadValue: floor is outside [0, 1].

    References:
        Defazio, Cutkosky, Mehta, Mishchenko (2023). Optimal linear decay learning rate
        schedules and further refinements. arXiv 2310.07831.

    Example:
        >>> linear_decay(75, 100)
        0.25
    """
    return _down(floor, 1 - step / total)


@schedule("sgd", "He et al. (2016), arXiv 1512.03385")
def step_decay(step: int, total: int, *, every: int | float = 0.3, by: int | float = 0.1) -> float:
    """Step decay: the rate is multiplied by a number again and again.

    by^floor(t / every).

    Args:
        step: t, from 0.
        total: the length of the run.
        every: steps between two falls, or a share of the run.
        by: what each fall multiplies with.

    Raises:
        BadValue: every is not above 0, or by is outside (0, 1].

    References:
        He, Zhang, Ren, Sun (2016). Deep residual learning for image recognition.
        arXiv 1512.03385, section 4.2.

    Example:
        >>> [step_decay(t, 200, every=100, by=0.5) for t in (0, 99, 100)]
        [1.0, 1.0, 0.5]
    """
    insist(number(by) and 0 < by <= 1, "by", "above 0 and at most 1", by, 0.1)
    return float(by ** (step // _length("every", every, total, 0.3)))


@schedule("adamw", "Goyal et al. (2017), arXiv 1706.02677")
def warmup(step: int, total: int, *, steps: int | float = 0.05) -> float:
    """Gradual warmup: the rate rises along a line to 1, and stays there.

    min(1, (t + 1) / n), so that the first step has a rate.

    Args:
        step: t, from 0.
        total: the length of the run.
        steps: n, how many steps it rises for, or a share of the run.

    Raises:
        BadValue: steps is not above 0.

    References:
        Goyal et al. (2017). Accurate, large minibatch SGD: training ImageNet in 1 hour.
        arXiv 1706.02677, section 2.2.

    Example:
        >>> [warmup(t, 100, steps=4) for t in (0, 3, 50)]
        [0.25, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / _length("steps", steps, total, 0.05))


@schedule("adamw", "Hägele et al. (2024), arXiv 2405.18392")
def warmup_stable_decay(
    step: int, total: int, *, rise: int | float = 0.05, fall: int | float = 0.2
) -> float:
    """Warmup, then a constant rate, then a fall to 0 in the last steps.

    min(1, (t + 1) / r) until T - f, and from there on that times
    1 - sqrt((t - (T - f)) / f).

    Args:
        step: t, from 0.
        total: T, the length of the run.
        rise: r, how many steps it rises for, or a share of the run.
        fall: f, how many steps it falls for, or a share of the run.

    Raises:
        BadValue: rise or fall is not above 0.

    References:
        Hägele et al. (2024). Scaling laws and compute-optimal training beyond fixed
        training durations. arXiv 2405.18392.

    Example:
        >>> [warmup_stable_decay(t, 100, rise=4, fall=16) for t in (0, 3, 84, 88, 100)]
        [0.25, 1.0, 1.0, 0.5, 0.0]
    """
    risen = min(1.0, (step + 1) / _length("rise", rise, total, 0.05))
    length = _length("fall", fall, total, 0.2)
    fallen = max(0, step - (total - length)) / length
    return risen * (1 - math.sqrt(fallen))


def _down(floor: int | float, share: float) -> float:
    """What lies that share of the way from a floor up to 1."""
    insist(number(floor) and 0 <= floor <= 1, "floor", "from 0 to 1", floor, 0.0)
    return floor + (1 - floor) * share


def _length(name: str, asked: int | float, total: int, usual: float) -> int:
    """A length in steps."""
    fit = number(asked) and 0 < asked < math.inf
    insist(fit, name, "a number of steps, or a share of the run between 0 and 1", asked, usual)
    return max(1, round(asked * total if asked < 1 else asked))
