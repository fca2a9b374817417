"""Passes through a user's module: one network, a stack at once, a stack one by one."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.func import vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from ravine.problems.base import Data, Point
from ravine.problems.modules.dropout import Key
from ravine.problems.modules.regime import Regime
from ravine.problems.modules.template import Numbers, Template
from ravine.problems.networks.model import Moments, Record

CONSTANT = "constant:"
"""What the names of a seed's own constants begin with in the data."""

Loss = Callable[[Any, Tensor], Any]
"""From a network's outputs and the targets of a batch to a scalar."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Passes:
    """How one network is evaluated.

    Args:
        template: the module.
        criterion: the loss of one network on a minibatch.
        batch_norm: one of `regime.POLICIES`.
        draws: the module draws from torch's generator, which is seeded for each pass.
        attends: attention is computed by matrix products, which can be stacked, and not by
            a fused kernel.
    """

    template: Template
    criterion: Loss
    batch_norm: str
    draws: bool = False
    attends: bool = False

    def loss(self, parameters: Point, given: Data) -> Float[Tensor, ""]:
        """The training loss of one network.

        Args:
            parameters: `[*shape]` each.
            given: a batch, a key of dropout where there is one, a seed's own constants.
        """
        loss: Tensor = self.train(parameters, given, self.regime(given.get("dropout")))
        return loss

    def train(self, parameters: Point, given: Data, regime: Regime) -> Any:
        """What the criterion says of one network in training, under a regime."""
        key = given.get("dropout") if self.draws else None
        with self._attention(), _seeded(key) if key is not None else nullcontext():
            outputs = self._call(parameters, given, given["inputs"], regime, True)
            return self.criterion(outputs, _copied(given["targets"], parameters))

    def outputs(
        self,
        parameters: Point,
        constants: Data,
        inputs: Shaped[Tensor, "batch *example"],
        regime: Regime,
    ) -> Any:
        """What the module returns in evaluation, under a regime."""
        device = next(iter(parameters.values())).device
        key = torch.zeros(2, dtype=torch.int32, device=device) if self.draws else None
        with self._attention(), _seeded(key) if key is not None else nullcontext():
            return self._call(parameters, constants, inputs, regime, False)

    def regime(
        self,
        key: Key | None = None,
        moments: Moments | None = None,
        record: Record | None = None,
        by_batch: frozenset[str] = frozenset(),
    ) -> Regime:
        """A regime for one pass."""
        return Regime(
            self.template.place,
            key=key,
            moments=moments,
            record=record,
            by_batch=by_batch,
            frozen=self.batch_norm == "frozen",
        )

    def _call(
        self,
        parameters: Point,
        constants: Data,
        inputs: Shaped[Tensor, "batch *example"],
        regime: Regime,
        training: bool,
    ) -> Any:
        numbers: Numbers = dict(parameters)
        for name, tensor in self.template.shared.items():
            numbers[name] = like(tensor, parameters)
        for name in self.template.own:
            numbers[name] = like(constants[CONSTANT + name], parameters)
        return self.template(numbers, _copied(inputs, parameters), regime, training)

    def _attention(self) -> Any:
        return sdpa_kernel(SDPBackend.MATH) if self.attends else nullcontext()


def together(
    loss: Callable[[Point, Data], Tensor],
    point: Point,
    data: Data,
    shapes: Mapping[str, tuple[int, ...]],
    seeds: int | None,
) -> Float[Tensor, "*stack"]:
    """The losses of all stacked networks, by `torch.func.vmap`.

    Args:
        loss: of one network.
        point: parameters, `[*stack, *shape]`.
        data: `[seeds, ...]`, or `[...]` for one seed's.
        shapes: of the parameters.
        seeds: the length of the stack's last dimension, None for one seed's data.
    """
    stack = stack_of(point, shapes)
    if not stack:
        return loss(point, data)
    every = {n: point[n].reshape(-1, seeds or 1, *shape) for n, shape in shapes.items()}
    given = {n: t if seeds else t.unsqueeze(0) for n, t in data.items()}
    # torch's rules for losses, as `mse_loss`, want targets with all dimensions of the outputs
    count = len(next(iter(every.values())))
    given["targets"] = given["targets"].unsqueeze(1).expand(-1, count, *given["targets"].shape[1:])
    shared = {n: 0 if n == "targets" else None for n in given}
    settings = vmap(loss, in_dims=(0, shared))
    return vmap(settings, in_dims=(1, 0), out_dims=1)(every, given).reshape(stack)


def one_by_one(
    loss: Callable[[Point, Data], Tensor],
    point: Point,
    data: Data,
    shapes: Mapping[str, tuple[int, ...]],
    seeds: int | None,
) -> Float[Tensor, "*stack"]:
    """As `together`, one network at a time.

    A network that has left the real numbers has a loss of NaN; its module is not asked, for
    it may insist on numbers.
    """
    stack = stack_of(point, shapes)
    losses = []
    for i, network in enumerate(each(point, shapes)):
        own = data if seeds is None else {n: t[i % seeds] for n, t in data.items()}
        alive = bool(torch.stack([p.detach().isfinite().all() for p in network.values()]).all())
        losses.append(loss(network, own) if alive else _nowhere(network))
    return torch.stack(losses).view(stack)


def _nowhere(network: Point) -> Float[Tensor, ""]:
    """NaN, with a gradient of NaN."""
    return torch.stack([p.sum() for p in network.values()]).sum() * torch.nan


def outputs_of_each(
    outputs: Callable[..., Any], networks: Point, *given: Any, stacked: bool
) -> Iterator[Any]:
    """Outputs of each of some networks, one after another.

    Args:
        outputs: of one network, from its parameters and its share of `given`.
        networks: parameters, `[networks, *shape]`.
        given: trees of tensors, `[networks, ...]` each.
        stacked: whether all are computed at once.
    """
    count = len(next(iter(networks.values())))
    if stacked:
        found = vmap(outputs)(networks, *given)
        for i in range(count):
            yield part(found, i)
        return
    for i in range(count):
        yield outputs(part(networks, i), *(part(g, i) for g in given))


def part(tree: Any, i: int) -> Any:
    """The i-th of every tensor in a tree."""
    return pytree.tree_map(lambda t: t[i] if isinstance(t, Tensor) else t, tree)


def stack_of(point: Point, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The stack dimensions of a point."""
    name, shape = next(iter(shapes.items()))
    return tuple(point[name].shape[: point[name].dim() - len(shape)])


def flat(point: Point, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Parameters with the stack as one dimension."""
    return {name: point[name].reshape(-1, *shape) for name, shape in shapes.items()}


def each(point: Point, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, Tensor]]:
    """The networks of a stack, one after another."""
    # one gradient of `unbind` for all, where an index for each would add up as many stacks
    every = {name: p.unbind() for name, p in flat(point, shapes).items()}
    for i in range(math.prod(stack_of(point, shapes))):
        yield {name: pieces[i] for name, pieces in every.items()}


def like(tensor: Shaped[Tensor, "..."], point: Point) -> Shaped[Tensor, "..."]:
    """A tensor on the device of the parameters; real numbers, but not labels, in their dtype."""
    weight = next(iter(point.values()))
    return tensor.to(weight) if tensor.is_floating_point() else tensor.to(weight.device)


def _copied(tensor: Shaped[Tensor, "..."], point: Point) -> Shaped[Tensor, "..."]:
    """As `like`, for a module or criterion that may write into it."""
    found = like(tensor, point)
    return found.clone() if found is tensor else found


@contextmanager
def _seeded(key: Key) -> Iterator[None]:
    """Torch's generators begin at a key, and afterwards where they were."""
    devices = [key.device] if key.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        high, low = (word % 2**32 for word in key.tolist())
        torch.manual_seed(high * 2**32 + low)
        yield
