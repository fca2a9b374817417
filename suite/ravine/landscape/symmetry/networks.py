"""The symmetry groups of a network, checked on its outputs before anyone trusts them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ravine.errors import BadValue
from ravine.landscape.symmetry.groups import Groups
from ravine.landscape.symmetry.permutation import permute_state, random_permutations
from ravine.landscape.symmetry.tracing.graph import symbolic, wire
from ravine.landscape.symmetry.tracing.twins import twin
from ravine.problems.base import Point, Problem
from ravine.problems.modules.module import ModuleProblem
from ravine.problems.networks.network import Network

CHECKED = 3
"""Random permutations of all groups at once that a network's outputs are checked on."""

EXACT = {torch.float64: 1e-10, torch.float32: 1e-6}
"""The largest change of any output that is rounding, over the largest output."""

EXAMPLES = 8
"""Examples that a network is traced and checked with."""


def trace(module: nn.Module, inputs: Shaped[Tensor, "batch *example"], *, name: str = "") -> Groups:
    """The permutations and rescalings of a user's module, from its traced graph.

    Units are followed through linear layers, convolutions, normalisations, sums, pooling,
    reshapes and activations.  Layers that add to one stream of residuals share one group.  A
    grouped convolution, a group normalisation and a division into heads are restricted to
    whole parts.  Units that meet the inputs or the outputs, or are cut or joined along their
    axis, are held; `held` says why.  The module is copied and never changed.

    Args:
        module: with parameters of its own; its state is what is checked.
        inputs: a few examples.
        name: what it is called, the module's class by default.

    Raises:
        BadValue: it cannot be traced, an operation's symmetries are not known, or the outputs
            do not stay the same under the permutations found.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
        >>> [(g.name, g.size) for g in trace(net, torch.ones(4, 3)).permutable]
        [('0', 5)]
    """
    title = name or type(module).__name__
    graph = symbolic(module, title)
    shapes = {n: tuple(p.shape) for n, p in graph.named_parameters() if p.requires_grad}
    groups = wire(graph, inputs[:EXAMPLES], name=title, shapes=shapes)
    state = {n: t.detach() for n, t in (*graph.named_parameters(), *graph.named_buffers())}

    def outputs(point: Point) -> Any:
        return torch.func.functional_call(graph, dict(point), (_like(inputs[:EXAMPLES], point),))

    return verified(groups, outputs, state)


def groups(problem: Problem) -> Groups:
    """The permutations and rescalings of a network of the catalogue or of a user's file.

    Those of a perceptron, of LeNet and of a deep convolution are traced from a module of the
    same parameters, those of a `ModuleProblem` from the module that its factory makes; both
    are checked on the problem's own outputs.

    Raises:
        BadValue: the problem is no network, or its symmetries are not known; see `trace`.
    """
    if isinstance(problem, ModuleProblem):
        return _of_module_problem(problem)
    if not isinstance(problem, Network):
        raise BadValue(
            f"`{problem.name}` is no network and has no units to be exchanged; give a network"
        )
    data = problem.batch([0], 0)
    some = {n: t[0, :EXAMPLES] for n, t in data.items()}
    graph = symbolic(twin(problem), problem.name)
    found = wire(graph, some["inputs"], name=problem.name, shapes=problem.shapes)

    def outputs(point: Point) -> Tensor:
        return problem.answers(point, some)[0]

    return verified(found, outputs, problem.start(0))


def _of_module_problem(problem: ModuleProblem) -> Groups:
    inputs = problem.supply.batch([0], 0)["inputs"][0, :EXAMPLES]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = problem.module_factory()
    name = problem.name or type(module).__name__
    graph = symbolic(module, name)
    groups = wire(graph, inputs, name=name, shapes=problem.shapes)
    found, constants = problem.findings, problem.instance([0])
    own = {n: c[0] for n, c in constants.items()}
    by_batch = found.normalised if len(inputs) > 1 else frozenset()

    def outputs(point: Point) -> Any:
        regime = found.passes.regime(by_batch=by_batch)
        return found.passes.outputs(point, own, inputs, regime)

    return verified(groups, outputs, problem.start(0))


def verified(groups: Groups, outputs: Callable[[Point], Any], state: Point) -> Groups:
    """The groups, after random permutations of all of them have left the outputs the same.

    In float64, to 1e-10 of the largest output; in float32, to 1e-6, for a network that cannot
    be computed in float64.

    Args:
        groups: of the network.
        outputs: of the network, from parameters and buffers by name.
        state: where it is checked.

    Raises:
        BadValue: the outputs differ.
    """
    for dtype, bound in EXACT.items():
        point = _typed(state, dtype)
        try:
            with torch.no_grad():
                before = _tensors(outputs(point))
                pairs = [
                    (before, _tensors(outputs(permute_state(groups, point, permutations))))
                    for permutations in (random_permutations(groups, i) for i in range(CHECKED))
                ]
        except RuntimeError as error:
            if dtype is torch.float64:
                continue
            said = str(error).strip().partition("\n")[0]
            raise BadValue(
                f"`{groups.name}` fails where its symmetries are checked ({said}); mend its "
                f"forward pass"
            ) from error
        deviation = max(
            difference(a, b) for one, two in pairs for a, b in zip(one, two, strict=True)
        )
        if not deviation <= bound:
            raise BadValue(
                f"`{groups.name}` changes its outputs by {deviation:.1e} of the largest under the "
                f"permutations that were traced (at most {bound:.0e} is rounding); something in "
                f"its forward pass treats units by their places"
            )
        return replace(groups, deviation=deviation)
    raise AssertionError("float32 either fits or is refused")


def difference(one: Float[Tensor, "..."], two: Float[Tensor, "..."]) -> float:
    """The largest difference of any entry over the largest entry.

    Example:
        >>> difference(torch.tensor([1.0, 4.0]), torch.tensor([1.0, 3.0]))
        0.25
    """
    largest = one.abs().max().item() or 1.0
    return (one - two).abs().max().item() / largest


def _tensors(value: Any) -> list[Tensor]:
    leaves = torch.utils._pytree.tree_leaves(value)
    return [leaf.detach() for leaf in leaves if isinstance(leaf, Tensor)]


def _typed(state: Point, dtype: torch.dtype) -> dict[str, Tensor]:
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in state.items()}


def _like(inputs: Tensor, point: Mapping[str, Tensor]) -> Tensor:
    weight = next(iter(point.values()))
    return inputs.to(weight.dtype) if inputs.is_floating_point() else inputs
