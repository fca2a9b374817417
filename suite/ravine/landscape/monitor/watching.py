"""The monitor: it looks at a training loop from within, and leaves no trace in it."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ravine.errors import BadValue
from ravine.landscape.monitor.closures import Closure, closure_surface, where
from ravine.landscape.monitor.descent import Descent, cosine, dot, measured
from ravine.landscape.monitor.schedule import Schedule, scheduled
from ravine.landscape.operators import Operator, hessian
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.surface import Surface, loss, loss_and_gradient


@dataclass(frozen=True, slots=True)
class Move:
    """What the optimizer's own step did to the loss of the batch it was taken on.

    Args:
        length: |d| of the step d.
        predicted: g'd + d'Hd / 2, in the quadratic model before the step.
        actual: f(x + d) - f(x), on the same batch, masks and running moments.
        descent: cosine between d and -g.
    """

    length: float
    predicted: float
    actual: float
    descent: float


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one step of a loop.

    Args:
        step: optimizer steps before it.
        gradient: the point, and the plain gradient step from it.
        move: the optimizer's own step; None where none was seen.
    """

    step: int
    gradient: Descent
    move: Move | None = None


def as_frame(looks: Sequence[Look]) -> pl.DataFrame:
    """A row for each look, with what follows from the numbers beside them."""
    rows = []
    for look in looks:
        seen = look.gradient
        move = look.move or Move(*[math.nan] * 4)
        rows.append(
            {
                "step": look.step,
                **asdict(seen),
                "curvature": seen.curvature,
                "predicted": seen.predicted,
                "stability": seen.stability,
                "ill_conditioned": seen.ill_conditioned,
                **{f"move_{name}": value for name, value in asdict(move).items()},
            }
        )
    return pl.DataFrame(rows)


class Monitor:
    """Looks at the steps of any training loop, on a schedule, and never changes their numbers.

    Per look: gradient and curvature along it, what a gradient step is predicted to do and
    does, the sharpness and how far it is from where steps become unstable, and what the
    optimizer's own step was predicted to do and did.  See `Descent` and `Move`.

    Parameters, gradients, buffers (running moments of batch normalisation) and random states
    stay as they are: with and without a monitor, a loop trains the same weights, bit for bit.
    Between looks it only counts.  Memory at a look: a graph of the gradient, a few copies of
    the parameters, and with sharpness about 20 more.

    A look that is not at its turn costs a comparison; `overhead` says what all looks cost.

    Args:
        module: whatever the loss depends on.
        optimizer: the learning rates are its parameter groups', and its steps are counted and
            seen.  Without one, or with one that torch knows no hooks of, write
            `with monitor.around(...):` around the step.
        every: look at every so many steps, or at those for which a function is true, as
            `log_spaced()`.
        rate: learning rate, where there is no optimizer to ask.
        sharp: also compute the largest eigenvalue of the Hessian: at every look, never, or at
            those looks that are on a schedule of their own.  It takes 20 to 60 products with
            the Hessian; a look then costs about as much as 100 steps, without it 7.
        tol: of its residual, relative to it.

    Raises:
        BadValue: there is neither an optimizer nor a rate, or the schedule is none.

    Example:
        >>> line = nn.Linear(2, 1, bias=False)
        >>> sgd = torch.optim.SGD(line.parameters(), lr=0.1)
        >>> x, y = torch.eye(2), torch.ones(2, 1)
        >>> with Monitor(line, sgd, every=5) as monitor:
        ...     for _ in range(10):
        ...         monitor.look(lambda: nn.functional.mse_loss(line(x), y))
        ...         sgd.zero_grad()
        ...         nn.functional.mse_loss(line(x), y).backward()
        ...         sgd.step()
        >>> [look.step for look in monitor.looks], round(monitor.looks[0].gradient.sharpness, 4)
        ([0, 5], 1.0)
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        every: int | Schedule = 50,
        rate: float | None = None,
        sharp: bool | int | Schedule = True,
        tol: float = 1e-2,
    ) -> None:
        if optimizer is None and rate is None:
            raise BadValue("a monitor needs the learning rate; give the optimizer, or `rate`")
        self._module, self._optimizer = module, optimizer
        self._due, self._rate, self._tol = scheduled(every), rate, tol
        self._sharp = (lambda step: sharp) if isinstance(sharp, bool) else scheduled(sharp)
        self._looks: list[Look] = []
        self._pending: _Pending | None = None
        self._previous: Tensor | None = None
        self._step, self._looked = 0, -1
        self._spent, self._begun, self._ended = 0.0, math.nan, math.nan
        self._handle: Any = None

    def __enter__(self) -> "Monitor":
        self._begun, self._ended = time.perf_counter(), math.nan
        if hasattr(self._optimizer, "_optimizer_step_post_hooks"):
            assert self._optimizer is not None
            self._handle = self._optimizer.register_step_post_hook(self._stepped)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pending = None
        self._ended = time.perf_counter()
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    @property
    def looks(self) -> tuple[Look, ...]:
        """What was seen so far, in the order of steps."""
        return tuple(self._looks)

    @property
    def overhead(self) -> float:
        """Share of the wall time between entering and leaving that was spent in the monitor."""
        end = time.perf_counter() if math.isnan(self._ended) else self._ended
        return self._spent / (end - self._begun)

    def frame(self) -> pl.DataFrame:
        """A row for each look; see `as_frame`."""
        return as_frame(self._looks)

    def look(self, closure: Closure) -> None:
        """Look at the coming step, if it is one of the schedule's.

        Call it before the step, best before the loop evaluates its own loss: then dropout
        draws the same masks.  Where gradients of several batches are accumulated, the first
        call before a step counts.

        Args:
            closure: returns the loss of the step's batch by calling the module.  It takes no
                gradient: for L-BFGS, give what its own closure differentiates.

        Raises:
            BadValue: the closure returns no loss, or the monitor was not entered.
        """
        if math.isnan(self._begun):
            raise BadValue("the monitor has not begun; write `with Monitor(...) as monitor:`")
        if self._handle is None:
            self._step += self._looked == self._step
        if self._looked < self._step:
            self._looked = self._step
            if self._due(self._step):
                begun = time.perf_counter()
                self._pending = None
                self._pending = self._measure(closure)
                self._spent += time.perf_counter() - begun

    @contextmanager
    def around(self, closure: Closure) -> Iterator[None]:
        """Look at a step that is taken within; for loops without an optimizer's hooks.

        Args:
            closure: see `look`.  Without an optimizer, every call is a new step.
        """
        self.look(closure)
        yield
        self._settle()

    def _measure(self, closure: Closure) -> "_Pending":
        ground, x = closure_surface(self._module, closure)
        with torch.enable_grad():
            rates, threshold = self._rates(ground, x)
            value, slope = loss_and_gradient(ground, x)
            bend = hessian(ground, x)
            top = None
            if self._sharp(self._step) and bool(slope.isfinite().all()):
                top = extreme(bend, largest=1, tol=self._tol)
            seen = measured(ground, x, bend, value, slope, rates, self._previous, top, threshold)
        self._previous = slope
        self._looks.append(Look(self._step, seen))
        return _Pending(ground, x, slope, bend)

    def _settle(self) -> None:
        """See what the step that was just taken has done."""
        if self._pending is None:
            return
        begun = time.perf_counter()
        held, self._pending = self._pending, None
        with torch.enable_grad():
            there = where(self._module, held.ground)
            step = there - held.x
            last = self._looks[-1]
            actual = loss(held.ground, there).item() - last.gradient.loss
            predicted = dot(held.slope, step) + dot(step, held.bend(step)) / 2
        length = math.sqrt(dot(step, step))
        move = Move(length, predicted, actual, cosine(step, -held.slope))
        self._looks[-1] = Look(last.step, last.gradient, move)
        self._spent += time.perf_counter() - begun

    def _stepped(self, *_: Any) -> None:
        self._settle()
        self._step += 1

    def _rates(
        self, ground: Surface, x: Float[Tensor, " P"]
    ) -> tuple[float | Float[Tensor, " P"], float]:
        """The learning rate of every coordinate, and the sharpness that is too much for it."""
        if self._optimizer is None:
            assert self._rate is not None
            return float(self._rate), 2 / self._rate
        groups = self._optimizer.param_groups
        of = {p: float(g.get("lr", math.nan)) for g in groups for p in g["params"]}
        named = {n: of.get(p, 0.0) for n, p in self._module.named_parameters()}
        rates = [named[n] for n in ground.shapes]
        largest = max(rates)
        threshold = _threshold(self._optimizer, largest)
        if len(set(rates)) == 1:
            return largest, threshold
        spread = torch.empty_like(x, dtype=torch.float64)
        for at, rate in zip(ground.slices.values(), rates, strict=True):
            spread[at] = rate
        return spread, threshold


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    """What is kept of a look until its step has been taken."""

    ground: Surface
    x: Float[Tensor, " P"]
    slope: Float[Tensor, " P"]
    bend: Operator


def _threshold(optimizer: torch.optim.Optimizer, rate: float) -> float:
    """The sharpness at which SGD becomes unstable on a quadratic; NaN for other methods.

    2 / rate, with momentum b (2 + 2 b) / rate, with Nesterov's (2 + 2 b) / (1 + 2 b) / rate.

    References:
        Cohen et al. (2021). Gradient descent on neural networks typically occurs at the edge
        of stability. arXiv 2103.00065.
    """
    group = optimizer.param_groups[0]
    if not isinstance(optimizer, torch.optim.SGD) or group["dampening"] or not rate > 0:
        return math.nan
    momentum, nesterov = float(group["momentum"]), bool(group["nesterov"])
    return (2 + 2 * momentum) / (1 + 2 * momentum * nesterov) / rate
