"""Linear regression in minibatches, the smallest problem with real gradient noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ravine.problems.arguments import at_most, whole
from ravine.problems.arithmetic import total
from ravine.problems.base import NOISY_GAPS, Data, Facts, Point, Problem, Traits
from ravine.problems.catalogue import problems
from ravine.problems.draws import generator
from ravine.problems.matrices import multiply

ROWS, FEATURES = 1500, 5


@dataclass(frozen=True, slots=True)
class Table:
    """The examples, and the quadratic that their mean squared error is.

    Args:
        inputs: `[rows, features]`, each column of mean 0 and variance 1.
        targets: `[rows]`.
        hessian: of half the mean squared error by (weight, bias).
        best: the minimizer (weight, bias).
        minimum: half the mean squared error there.
    """

    inputs: Float[Tensor, "rows features"]
    targets: Float[Tensor, " rows"]
    hessian: Float[Tensor, "n n"]
    best: Float[Tensor, " n"]
    minimum: float


@dataclass(frozen=True, kw_only=True)
class LinearRegression(Problem):
    """Half the mean squared error of w'x + b over a minibatch of a fixed table.

    loss = 1/(2|B|) sum_{i in B} (w'x_i + b - y_i)^2; what is scored is the same over all
    rows, by its closed form f* + 1/2 d'H d with d the difference to the minimizer.

    Minibatches are drawn without replacement: an epoch is a permutation of the rows, cut
    into full batches; the rows left over at its end are not used in that epoch.  There is
    no test set.

    Args:
        batch_size: |B|.
        facts: of the error over all rows; a minimizer is (weight, bias).
        traits: what an engine must know.
        name: canonical id, filled by the registry.
        version: raised when the problem's meaning changes.
    """

    batch_size: int = 10
    facts: Facts = field(default_factory=Facts)
    traits: Traits = field(default_factory=Traits)
    name: str = ""
    version: int = 1

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """`weight` [features] and `bias` [1]."""
        return {"weight": (FEATURES,), "bias": (1,)}

    def start(self, seed: int) -> Point:
        """Normal weights of standard deviation 0.01, bias 0."""
        draw = generator("start", "tabular_regression", seed).standard_normal(FEATURES)
        return {
            "weight": torch.from_numpy(0.01 * draw),
            "bias": torch.zeros(1, dtype=torch.float64),
        }

    def instance(self, seeds: Sequence[int]) -> Data:
        """Nothing: seeds differ in their start and in the order of their minibatches."""
        del seeds
        return {}

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """`inputs` [seeds, batch, features] and `targets` [seeds, batch] of a step."""
        epoch, part = divmod(step, ROWS // self.batch_size)
        chosen = slice(part * self.batch_size, (part + 1) * self.batch_size)
        index = torch.stack([_permutation(seed, epoch)[chosen] for seed in seeds])
        return {"inputs": table().inputs[index], "targets": table().targets[index]}

    def loss(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        """Half the mean squared error over the minibatch.

        Args:
            point: parameters, `[*stack, *shape]`.
            data: `inputs` [*seeds, batch, features] and `targets` [*seeds, batch].
        """
        weight, bias = point["weight"], point["bias"]
        inputs = data["inputs"].to(weight)
        # a product, for autograd would sum the gradient of a broadcast bias in its own order
        ones = torch.ones_like(inputs[..., :1])
        outputs = multiply(inputs, weight.unsqueeze(-1)) + multiply(ones, bias.unsqueeze(-1))
        errors = outputs.squeeze(-1) - data["targets"].to(weight)
        return 0.5 / self.batch_size * total(errors.square())

    def value(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        """Half the mean squared error over all rows; `data` is not used."""
        del data
        off = _offset(point)
        pull = multiply(table().hessian.to(off), off.unsqueeze(-1)).squeeze(-1)
        return 0.5 * total(off * pull) + table().minimum

    def evaluate(self, point: Point, data: Data) -> Mapping[str, Float[Tensor, "*stack"]]:
        """The error over all rows, and the distance to the minimizer."""
        return {
            "train_loss": self.value(point, data),
            "distance": total(_offset(point).square()).sqrt(),
        }

    def gradient_covariance(self, point: Point) -> Float[Tensor, "n n"]:
        """How the minibatch gradient by (weight, bias) scatters around the full one.

        Exact for any one step: the covariance of a mean of |B| of m rows without
        replacement is that of single rows times (m - |B|) / (|B| (m - 1)).  It falls as
        1/|B| and is 0 for all rows.

        Args:
            point: a single one, `[*shape]`.

        References:
            Cochran (1977). Sampling Techniques, theorem 2.2. Wiley.
        """
        inputs = table().inputs
        errors = inputs @ point["weight"].to(inputs) + point["bias"].to(inputs)
        errors = errors - table().targets
        gradients = errors[:, None] * torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
        scatter = torch.cov(gradients.T, correction=0)
        return (ROWS - self.batch_size) / (self.batch_size * (ROWS - 1)) * scatter


@lru_cache(maxsize=1)
def table() -> Table:
    """1,500 examples of five features, drawn once and for all.

    Features share two hidden causes, and the first is skewed, as measurements in logarithmic
    units are; a linear law of them and an intercept, with noise, gives the targets.
    """
    random = generator("tabular_regression", ROWS, FEATURES)
    causes = random.standard_normal((ROWS, 2))
    loads = np.array([[1.0, 0.8, -0.6, 0.0, 0.3], [0.0, 0.5, 0.8, 0.7, -0.9]])
    inputs = causes @ loads + 0.5 * random.standard_normal((ROWS, FEATURES))
    inputs[:, 0] = np.exp(0.5 * inputs[:, 0])
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    law = np.array([0.8, -0.5, 0.3, 0.6, -0.2])
    targets = inputs @ law + 1.0 + 0.5 * random.standard_normal(ROWS)
    design = np.column_stack([inputs, np.ones(ROWS)])
    best = np.linalg.lstsq(design, targets, rcond=None)[0]
    return Table(
        inputs=torch.from_numpy(inputs),
        targets=torch.from_numpy(targets),
        hessian=torch.from_numpy(design.T @ design / ROWS),
        best=torch.from_numpy(best),
        minimum=float(np.square(design @ best - targets).mean()) / 2,
    )


def _offset(point: Point) -> Float[Tensor, "*stack n"]:
    """The difference to the minimizer, weight and bias as one vector."""
    return torch.cat([point["weight"], point["bias"]], -1) - table().best.to(point["weight"])


@lru_cache(maxsize=256)
def _permutation(seed: int, epoch: int) -> Int[Tensor, " rows"]:
    """The order in which an epoch of a seed goes through the rows."""
    return torch.from_numpy(generator("permutation", ROWS, seed, epoch).permutation(ROWS))


@problems.register("neural", "noise", "convex")
def tabular_regression(batch: int = 10) -> LinearRegression:
    """Linear regression in minibatches on a table of 1,500 rows and 5 standardised features.

    f(w, b) = 1/(2m) sum_i (w'x_i + b - y_i)^2, with the gradient of a minibatch.

    The noise comes from the examples: it is largest far away, does not fade at the minimum,
    and its variance falls as 1/|B|.  A constant rate ends in a cloud around the minimizer.

    Args:
        batch: rows in a minibatch, up to 1,500, which makes the gradient exact.

    Raises:
        BadValue: `batch` is outside its domain.

    References:
        Zhang, Lipton, Li, Smola (2023). Dive into Deep Learning, 12.5, on other data of this
        shape. arXiv 2106.11342.
    """
    whole("batch", batch, 1)
    at_most("batch", batch, ROWS)
    eigenvalues = tuple(torch.linalg.eigvalsh(table().hessian).tolist())
    facts = Facts(
        minimum=table().minimum,
        minimizers=(tuple(table().best.tolist()),),
        eigenvalues=eigenvalues,
        condition=eigenvalues[-1] / eigenvalues[0],
        smoothness=eigenvalues[-1],
        strong_convexity=eigenvalues[0],
        targets=NOISY_GAPS,
        source="closed form; the data are drawn by this package",
    )
    traits = Traits(stochastic=True, noisy_value=True, budget=10 * (ROWS // 10))
    return LinearRegression(batch_size=batch, facts=facts, traits=traits)
