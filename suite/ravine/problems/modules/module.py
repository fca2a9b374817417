"""A user's own `torch.nn.Module` as a problem."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ravine.errors import BadValue, RavineError
from ravine.problems import arguments
from ravine.problems.base import Data, Facts, Goal, Point, Problem, Traits
from ravine.problems.modules.dropout import keys
from ravine.problems.modules.examples import examples
from ravine.problems.modules.passes import (
    CONSTANT,
    Loss,
    Passes,
    flat,
    one_by_one,
    part,
    stack_of,
    together,
)
from ravine.problems.modules.regime import POLICIES
from ravine.problems.modules.scoring import scores
from ravine.problems.modules.template import line, template
from ravine.problems.modules.trial import Findings, examine
from ravine.problems.networks.model import Supply


@dataclass(frozen=True, eq=False)
class ModuleProblem(Problem):
    """A user's own network: a module, trained on examples in minibatches.

    The module is called by `torch.func.functional_call`; neither it nor its buffers are ever
    changed.  Networks of all settings and seeds are stacked by `torch.func.vmap`.  Two
    networks of two seeds are tried when the problem is made: a module that cannot be stacked,
    or differs when it is, runs one network at a time, and `alone` says why.

    A seed decides the initial parameters (the factory is called under `torch.manual_seed`)
    and what is drawn for buffers and for parameters without gradient, which stay as they are;
    the order of the examples; and dropout.  Dropout masks are a function of (seed, step,
    place in the forward pass, element), the same for all settings; there are none in
    evaluation.  Where random numbers are drawn otherwise (inside attention or recurrent
    layers, by `torch.rand`), torch's generator is seeded for every pass, which is as good but
    cannot be stacked.

    Batch normalisation follows one of three policies.  `recomputed`: training uses the
    moments of the batch, evaluation those of the training inputs, recomputed at the end.
    `batch`: evaluation too uses the moments of its batch, all test examples.  `frozen`: the
    layers' own running moments, as the factory has set them, in training too.

    Args:
        module_factory: makes the module when called without arguments; a class will do.
        data: training examples: (inputs, targets), a torch `Dataset` of such pairs, or a
            `Supply`.
        criterion: the loss, a scalar from the module's outputs and the targets of a batch;
            a mean over examples.
        test: examples that are not trained on, given as `data` is; None for no evaluation.
        accuracy: the share of right answers, a number from outputs and targets of the test
            examples; None where there is none.
        batch_size: examples in a minibatch; a `Supply` has its own.
        batch_norm: `recomputed`, `batch` or `frozen`.
        budget: steps of a run; one epoch of full batches if None.
        targets: smoothed training losses to be reached, descending; without any, reports
            compare final losses.
        smooth: whether the loss is known to be twice differentiable.
        name: canonical id, filled in where the problem is named.
        version: raised when the problem's meaning changes.

    Attributes:
        alone: why networks run one at a time; None where they are stacked.

    Raises:
        BadValue: an argument is wrong, or the module cannot be trained; in one sentence.

    Example:
        >>> net = lambda: nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        >>> x = torch.linspace(-1, 1, 192).view(64, 3)
        >>> problem = ModuleProblem(net, (x, x.sum(1, keepdim=True)), nn.functional.mse_loss)
        >>> problem.alone is None, problem.traits.budget
        (True, 2)
        >>> batch = problem.batch([0, 1, 2], step=0)
        >>> stack = {n: torch.zeros(5, 3, *shape) for n, shape in problem.shapes.items()}
        >>> problem.loss(stack, batch).shape
        torch.Size([5, 3])
    """

    module_factory: Callable[[], nn.Module]
    data: Any = field(repr=False)
    criterion: Loss
    test: Any = field(default=None, kw_only=True, repr=False)
    accuracy: Callable[[Any, Tensor], Any] | None = field(default=None, kw_only=True)
    batch_size: int = field(default=32, kw_only=True)
    batch_norm: str = field(default="recomputed", kw_only=True)
    budget: int | None = field(default=None, kw_only=True)
    targets: tuple[float, ...] = field(default=(), kw_only=True)
    smooth: bool = field(default=False, kw_only=True)
    name: str = field(default="", kw_only=True)
    version: int = field(default=1, kw_only=True)
    facts: Facts = field(init=False, repr=False)
    traits: Traits = field(init=False, repr=False)
    supply: Supply = field(init=False, repr=False)
    findings: Findings = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("criterion", "accuracy"):
            given = getattr(self, name)
            if not callable(given) and not (name == "accuracy" and given is None):
                raise BadValue(
                    f"`{name}` must be a function of outputs and targets, got {given!r}; give "
                    f"one, such as torch.nn.functional.cross_entropy"
                )
        arguments.choice("batch_norm", self.batch_norm, POLICIES)
        supply = self._supply()
        made = template(self.module_factory)
        passes = Passes(template=made, criterion=self.criterion, batch_norm=self.batch_norm)
        findings = examine(passes, supply, self.accuracy)
        facts = Facts(goal=Goal.REFERENCE, targets=self._targets())
        traits = Traits(
            stochastic=True,
            noisy_value=True,
            smooth=self.smooth,
            budget=self._budget(supply),
            unstacked=findings.alone or "",
        )
        for name, value in (
            ("supply", supply),
            ("findings", findings),
            ("facts", facts),
            ("traits", traits),
        ):
            object.__setattr__(self, name, value)

    @property
    def alone(self) -> str | None:
        """Why networks run one at a time; None where they are stacked."""
        return self.findings.alone

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The module's parameters that have a gradient, by its names for them."""
        return self.findings.passes.template.shapes

    def start(self, seed: int) -> Point:
        """The parameters of a module that is made under this seed."""
        return self.findings.passes.template.draw(seed)[0]

    def instance(self, seeds: Sequence[int]) -> Data:
        """Buffers and other constants that differ between seeds, `[seeds, ...]` each."""
        made = self.findings.passes.template
        if not made.own:
            return {}
        drawn = [made.draw(seed)[1] for seed in seeds]
        return {CONSTANT + name: torch.stack([d[name] for d in drawn]) for name in made.own}

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """`inputs`, `targets`, and `dropout`, the keys of its masks, where there are any."""
        batch = self.supply.batch(seeds, step)
        return {**batch, "dropout": keys(seeds, step)} if self.findings.drops else batch

    def loss(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        """The criterion on the minibatch for every stacked network.

        Args:
            point: parameters, `[*stack, *shape]`; float64 parameters see float64 inputs.
            data: instance and batch, `[*seeds, ...]`.

        Raises:
            BadValue: the module or the criterion fails.
        """
        seeded = data["inputs"].dim() == len(self.supply.example) + 2
        stack = stack_of(point, self.shapes)
        if seeded and not stack:
            data, seeded = part(dict(data), 0), False
        run = together if self.alone is None else one_by_one
        loss = self.findings.passes.loss
        try:
            return run(loss, point, data, self.shapes, stack[-1] if seeded else None)
        except RavineError:
            raise
        except Exception as error:
            raise BadValue(
                f"`{self.name or self._title}` fails in training: {line(error)}; mend the module, "
                f"its criterion or the batch it met"
            ) from error

    def evaluate(self, point: Point, data: Data) -> Mapping[str, Float[Tensor, "*stack"]]:
        """Loss, and accuracy if there is one, on the test examples, in `eval()` mode.

        Batch normalisation follows the policy; recomputed moments are those of the first
        10,000 training inputs, or fewer where these would take up more than 256 MB, taken as
        one batch.  Test examples are taken in parts that are held to 256 MB, and the means of
        the parts are weighted by their sizes; under the policy `batch` they are one part.

        Args:
            point: parameters, `[*stack, *shape]`.
            data: the seeds' instance.

        Returns:
            `test_loss` and, if there is one, `accuracy`; nothing without test examples.

        Raises:
            BadValue: the module, the criterion or the accuracy fails.
        """
        if not len(self.supply.test()[0]):
            return {}
        stack = stack_of(point, self.shapes)
        networks, constants = flat(point, self.shapes), self._constants(data, stack)
        try:
            with torch.no_grad():
                found = scores(self.findings, self.supply, self.accuracy, networks, constants)
        except RavineError:
            raise
        except Exception as error:
            raise BadValue(
                f"`{self.name or self._title}` fails in evaluation: {line(error)}; mend the "
                f"module, its criterion or its accuracy"
            ) from error
        measured = {"test_loss": found[:, 0].reshape(stack)}
        if self.accuracy is not None:
            measured["accuracy"] = found[:, 1].reshape(stack)
        return measured

    def _constants(self, data: Data, stack: tuple[int, ...]) -> dict[str, Tensor]:
        """Each network's own constants, `[networks, ...]`, from those of the seeds."""
        constants = {}
        for name, shape in self.findings.passes.template.own.items():
            own = data[CONSTANT + name]
            constants[CONSTANT + name] = own.expand(*stack, *shape).reshape(-1, *shape)
        return constants

    def _supply(self) -> Supply:
        own = isinstance(self.data, Supply)
        if own and self.test is not None:
            raise BadValue("`test` is given beside a Supply, which has its own; leave it out")
        supply: Supply = self.data if own else examples(self.data, self.test, self.batch_size)
        if self.accuracy is not None and not len(supply.test()[0]):
            raise BadValue("`accuracy` is counted on test examples; give them as `test`")
        return supply

    def _budget(self, supply: Supply) -> int:
        budget = getattr(supply, "epoch", None) if self.budget is None else self.budget
        if budget is None:
            raise BadValue("`budget` must be given with a Supply that has no `epoch`; give it")
        arguments.whole("budget", budget, 1)
        return int(budget)

    def _targets(self) -> tuple[float, ...]:
        targets = tuple(self.targets)
        finite = all(isinstance(t, int | float) and math.isfinite(t) for t in targets)
        if not finite or list(targets) != sorted(targets, reverse=True):
            raise BadValue(
                f"`targets` must be finite losses in descending order, got {targets}; give such"
            )
        return tuple(float(t) for t in targets)

    @property
    def _title(self) -> str:
        return self.findings.passes.template.name

    def __copy__(self) -> "ModuleProblem":
        """The same, without trying it again."""
        copied: ModuleProblem = object.__new__(ModuleProblem)
        copied.__dict__.update(vars(self))
        return copied

    def __reduce__(self) -> Any:
        """As it was made; what was found of it is found again."""
        keyword = {f.name: getattr(self, f.name) for f in fields(self) if f.kw_only and f.init}
        make = partial(ModuleProblem, **keyword)
        return make, (self.module_factory, self.data, self.criterion)
