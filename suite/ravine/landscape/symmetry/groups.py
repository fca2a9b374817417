"""What may move together in a network without changing its function."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, cat, fx

from ravine.errors import BadValue
from ravine.problems.base import Point


@dataclass(frozen=True, slots=True)
class Slot:
    """An axis of a parameter or buffer on which units act.

    Args:
        name: of the parameter or buffer.
        axis: entries `u * block` to `(u + 1) * block` along it belong to unit u.
        block: entries of a unit, 1 but for features that were flattened from channels.
        power: a unit scaled by s multiplies its entries by s to this power; 0 where only
            permutations act.
        eps: what a normalisation adds to these entries, a variance, before it takes a root.
    """

    name: str
    axis: int
    block: int = 1
    power: int = 0
    eps: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Units that may be exchanged with each other.

    Args:
        name: the layer that makes them; for a stream of residuals the first that adds to it.
        size: how many units there are.
        slots: all that has to be permuted with them.
    """

    name: str
    size: int
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Units whose incoming weights may be scaled and outgoing ones divided.

    Args:
        name: the layer that makes them.
        size: how many units there are.
        slots: with the powers of a unit's scale that they take.
        positive: any scale above zero leaves the function as it is, for what lies between is
            positively homogeneous, a(s z) = s a(z) for s > 0.
        odd: so does a change of sign, a(-z) = -a(z).
        eps: the largest constant that a batch normalisation behind the units adds to their
            variance, which is not scaled; by moments of the data the function is then kept up
            to about eps over the variance alone.  Zero where nothing is normalised.
    """

    name: str
    size: int
    slots: tuple[Slot, ...]
    positive: bool
    odd: bool
    eps: float = 0.0


@dataclass(frozen=True, slots=True)
class Tap:
    """Where a group's units are read.

    Args:
        group: name of the group.
        node: of the graph.
        axis: of the tensor there.
        block: entries of a unit along the axis.
    """

    group: str
    node: str
    axis: int
    block: int


@dataclass(frozen=True, slots=True)
class Layer:
    """A product with a bias that no normalisation follows and that is not the last.

    Args:
        node: of the graph.
        weight: name of the parameter.
        bias: name of the parameter.
        out: the axis of the weight along which the units lie.
        axis: of the node's tensor along which they lie.
    """

    node: str
    weight: str
    bias: str
    out: int
    axis: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Groups:
    """The permutations and rescalings of a network that keep its function.

    Args:
        name: of the network.
        shapes: of the parameters that a flat point consists of, by name and in order.
        permutable: the groups whose units may be exchanged.
        scalable: the groups whose units may be scaled or flipped.
        held: why other units may not move, a phrase for each.
        outputs: the parameters of the last layer, with the axis of the outputs.
        taps: where activations are read: what a later layer sees.
        preactivations: where units are read before they enter a nonlinearity.
        layers: products that a repair corrects.
        graph: the traced network.
        deviation: the largest change of any output in the check on random permutations, over
            the largest output.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    permutable: tuple[Group, ...]
    scalable: tuple[Scaling, ...]
    held: tuple[str, ...] = ()
    outputs: tuple[Slot, ...] = ()
    taps: tuple[Tap, ...] = ()
    preactivations: tuple[Tap, ...] = ()
    layers: tuple[Layer, ...] = ()
    graph: fx.GraphModule = field(repr=False)
    deviation: float = math.nan

    @property
    def size(self) -> int:
        """P, the number of coordinates."""
        return sum(map(math.prod, self.shapes.values()))


def named(groups: Groups, x: Float[Tensor, "*stack P"]) -> dict[str, Tensor]:
    """Flat points as parameters `[*stack, *shape]`, views of them.

    Raises:
        BadValue: the points have another number of coordinates.
    """
    if x.shape[-1] != groups.size:
        raise BadValue(
            f"a point of `{groups.name}` has {groups.size} coordinates, got {x.shape[-1]}; give "
            f"as many"
        )
    point, first = {}, 0
    for name, shape in groups.shapes.items():
        last = first + math.prod(shape)
        point[name] = x[..., first:last].reshape(*x.shape[:-1], *shape)
        first = last
    return point


def flat(groups: Groups, point: Point) -> Float[Tensor, "*stack P"]:
    """Parameters `[*stack, *shape]` as flat points `[*stack, P]`."""
    return cat(
        [
            point[name].reshape(*point[name].shape[: point[name].dim() - len(shape)], -1)
            for name, shape in groups.shapes.items()
        ],
        -1,
    )
