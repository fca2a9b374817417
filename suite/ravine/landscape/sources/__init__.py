"""Surfaces of problems: of a formula, of a network of the catalogue, of a user's module."""

import copy
from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from ravine.landscape.sources.examples import EXAMPLES, Split
from ravine.landscape.sources.formula import of_formula
from ravine.landscape.sources.module import of_module
from ravine.landscape.sources.network import of_network
from ravine.landscape.surface import Surface, pack
from ravine.problems import arguments
from ravine.problems.base import Point, Problem
from ravine.problems.modules.examples import examples as read
from ravine.problems.modules.module import ModuleProblem
from ravine.problems.modules.regime import POLICIES
from ravine.problems.networks.network import Network


def surface(
    problem: Problem,
    *,
    seed: int | None = None,
    split: Split = "train",
    examples: int | None = EXAMPLES,
    batch_norm: str = "recomputed",
    anchor: Point | None = None,
) -> Surface:
    """The ground that a problem's runs cross, over fixed data.

    A formula is taken without noise, in its own coordinates or in those of a seed's
    instance.  A network is evaluated as in `eval()`, without dropout, over the first
    examples of an epoch, in the order of the seed, or over all test examples.

    Batch normalisation follows one of three policies: `recomputed` for each point over
    training inputs, `batch` by the moments of each minibatch, `frozen` at those of the
    `anchor` (or at a module's own running moments, without one).

    Args:
        problem: a formula, a network or a user's module.
        seed: of the instance and of the order of examples; None for a formula's own
            coordinates, and for 0 in a network.
        split: which examples of a network.
        examples: how many of them at most, None for an epoch.
        batch_norm: `recomputed`, `batch` or `frozen`.
        anchor: parameters whose moments are kept, `[*shape]` each.

    Raises:
        BadValue: an argument is outside its domain.

    Example:
        >>> import torch
        >>> from ravine import problem
        >>> from ravine.landscape.surface import loss
        >>> loss(surface(problem("rosenbrock")), torch.tensor([[1.0, 1.0], [0.0, 0.0]])).tolist()
        [0.0, 1.0]
    """
    arguments.choice("split", split, ("train", "test"))
    arguments.choice("batch_norm", batch_norm, POLICIES)
    if examples is not None:
        arguments.whole("examples", examples, 1)
    if isinstance(problem, Network):
        return of_network(problem, seed or 0, split, examples, batch_norm, anchor)
    if isinstance(problem, ModuleProblem):
        return of_module(problem, seed or 0, split, examples, batch_norm, anchor)
    return of_formula(problem, seed)


def module_surface(
    module: nn.Module,
    data: Any,
    criterion: Callable[[Any, Tensor], Any],
    *,
    accuracy: Callable[[Any, Tensor], Any] | None = None,
    batch_norm: str = "recomputed",
    name: str = "",
) -> tuple[Surface, Float[Tensor, " P"]]:
    """The ground around a user's own module, and the point where the module stands.

    The module is copied; it is never run, and neither its parameters nor its buffers change.

    Args:
        module: any `nn.Module` that takes a batch of inputs.
        data: (inputs, targets), or a `Dataset` of such pairs; all of it is used.
        criterion: the mean loss over a batch, from outputs and targets.
        accuracy: share of right answers, from the same.
        batch_norm: see `surface`; `frozen` keeps the module's own running moments.
        name: what it is called, the module's class by default.

    Raises:
        BadValue: the data cannot be read, or the module cannot be evaluated.

    Example:
        >>> import torch
        >>> line = nn.Linear(1, 1, bias=False)
        >>> x = torch.tensor([[1.0], [2.0]])
        >>> ground, here = module_surface(line, (x, 3 * x), nn.functional.mse_loss)
        >>> ground.size, here.shape
        (1, torch.Size([1]))
    """
    private = copy.deepcopy(module)
    held = read(data, None, 1)
    pair = (held.inputs, held.targets)
    problem = ModuleProblem(
        lambda: copy.deepcopy(private),
        pair,
        criterion,
        test=pair if accuracy is not None else None,
        accuracy=accuracy,
        batch_size=len(held.inputs),
        batch_norm=batch_norm,
        name=name or type(module).__name__,
        smooth=True,
    )
    ground = surface(problem, examples=None, batch_norm=batch_norm)
    return ground, pack(ground, problem.start(0))
