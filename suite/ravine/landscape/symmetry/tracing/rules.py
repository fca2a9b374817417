"""The rule of every operation: which ties it makes, and which units come out of it."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ravine.landscape.symmetry.tracing import (
    axes,
    norms,
    operations,
    pointwise,
    products,
)
from ravine.landscape.symmetry.tracing.refusals import unknown
from ravine.landscape.symmetry.tracing.walk import Call, Walk
from ravine.landscape.symmetry.tracing.wiring import Labels

Rule = Callable[[Walk, Call], Labels]

MODULES: dict[type[nn.Module], Rule] = {
    nn.Linear: products.linear,
    _ConvTransposeNd: products.transposed_convolution,
    _ConvNd: products.convolution,
    nn.Embedding: products.embedding,
    _BatchNorm: norms.batch_norm,
    nn.LayerNorm: norms.layer_norm,
    nn.GroupNorm: norms.group_norm,
    nn.PReLU: pointwise.prelu,
}
"""Layers with parameters; the first that a module is an instance of."""

FUNCTIONS: dict[Any, Rule] = {
    **dict.fromkeys((functional.linear, *operations.CONVOLUTIONS), products.product_of_parameters),
    functional.batch_norm: norms.batch_norm_of_parameters,
}
"""Layers that are called with parameters."""

OPERATIONS: dict[Any, Rule] = {
    **dict.fromkeys(operations.SAME, pointwise.same),
    **dict.fromkeys(operations.RECTIFIERS, pointwise.rectifier),
    **dict.fromkeys(operations.ODD, pointwise.odd),
    **dict.fromkeys(operations.CURVED, pointwise.curved),
    **dict.fromkeys(operations.SOFTMAX, pointwise.softmax),
    **dict.fromkeys((*operations.SUMS, *operations.PRODUCTS), pointwise.arithmetic),
    **dict.fromkeys((*operations.AVERAGES, *operations.MAXIMA), pointwise.pooling),
    **dict.fromkeys(operations.MEANS, axes.mean),
    **dict.fromkeys(operations.RESHAPES, axes.reshape),
    **dict.fromkeys(operations.TRANSPOSES, axes.transpose),
    **dict.fromkeys(operations.PARTS, axes.part),
}
"""Whatever has no parameters of its own."""


def follow(walk: Walk, node: fx.Node, value: Any) -> Labels:
    """The units of what a node gives, after its ties have been noted.

    Raises:
        BadValue: the operation has no rule, or not for these arguments.
    """
    given = [n for n in node.all_input_nodes if isinstance(walk.values[n], Tensor)]
    module = walk.graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if module is not None:
        call = Call(node, type(module), module, given[:1], value)
        layers = (rule for kind, rule in MODULES.items() if isinstance(module, kind))
        rule = next(layers, None) or OPERATIONS.get(call.kind)
    else:
        call = Call(node, node.target, None, given, value)
        rule = FUNCTIONS.get(call.kind)
        if rule is None:
            if not given or not _tensors(value):
                return {}
            rule = OPERATIONS.get(call.kind)
    if rule is None:
        raise unknown(walk.title, call.kind, node.name)
    return rule(walk, call)


def _tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, tuple | list) and any(isinstance(v, Tensor) for v in value)
    )
