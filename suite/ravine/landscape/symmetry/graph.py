"""The symmetry groups of a user's module, from its traced graph."""

import copy
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ravine.errors import BadValue, RavineError
from ravine.landscape.symmetry.groups import Groups, Layer, Slot, Tap
from ravine.landscape.symmetry.wiring import Labels, Units, Wiring

RECTIFIERS = (
    nn.ReLU,
    nn.LeakyReLU,
    functional.relu,
    functional.relu_,
    torch.relu,
    torch.relu_,
    functional.leaky_relu,
    "relu",
    "relu_",
    nn.PReLU,
)
"""Positively homogeneous: a(s z) = s a(z) for s > 0."""

ODD = (
    nn.Tanh,
    nn.Softsign,
    nn.Tanhshrink,
    nn.Softshrink,
    nn.Hardshrink,
    torch.tanh,
    functional.tanh,
    torch.sin,
    torch.asinh,
    torch.atan,
    torch.erf,
    "tanh",
    "tanh_",
    "sin",
    functional.softsign,
)
"""a(-z) = -a(z)."""

CURVED = (
    nn.Sigmoid,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.Softplus,
    nn.Mish,
    nn.Hardtanh,
    nn.ReLU6,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.LogSigmoid,
    nn.RReLU,
    torch.sigmoid,
    torch.exp,
    torch.abs,
    torch.square,
    torch.sqrt,
    torch.pow,
    operator.pow,
    functional.gelu,
    functional.silu,
    functional.elu,
    functional.selu,
    functional.celu,
    functional.softplus,
    functional.mish,
    functional.sigmoid,
    functional.relu6,
    functional.hardtanh,
    functional.hardswish,
    functional.hardsigmoid,
    functional.logsigmoid,
    "sigmoid",
    "sigmoid_",
    "exp",
    "abs",
    "square",
    "sqrt",
    "pow",
    "clamp",
    torch.clamp,
)
"""Functions of each entry with neither symmetry."""

SOFTMAX = (
    nn.Softmax,
    nn.LogSoftmax,
    functional.softmax,
    functional.log_softmax,
    torch.softmax,
    torch.log_softmax,
    "softmax",
    "log_softmax",
)
SAME = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    functional.dropout,
    functional.dropout1d,
    functional.dropout2d,
    functional.dropout3d,
    "contiguous",
    "clone",
    "detach",
    "to",
    "float",
    "double",
    operator.neg,
    torch.neg,
    "neg",
)
SUMS = (
    operator.add,
    operator.iadd,
    operator.sub,
    operator.isub,
    torch.add,
    torch.sub,
    "add",
    "add_",
    "sub",
    "sub_",
)
PRODUCTS = (
    operator.mul,
    operator.imul,
    operator.truediv,
    operator.itruediv,
    torch.mul,
    torch.div,
    "mul",
    "mul_",
    "div",
    "div_",
)
DIVISIONS = (operator.truediv, operator.itruediv, torch.div, "div", "div_")
AVERAGES = (
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
    functional.avg_pool1d,
    functional.avg_pool2d,
    functional.avg_pool3d,
    functional.adaptive_avg_pool1d,
    functional.adaptive_avg_pool2d,
    functional.adaptive_avg_pool3d,
)
MAXIMA = (
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    functional.max_pool1d,
    functional.max_pool2d,
    functional.max_pool3d,
    functional.adaptive_max_pool1d,
    functional.adaptive_max_pool2d,
)
MEANS = (torch.mean, torch.sum, "mean", "sum")
RESHAPES = (
    nn.Flatten,
    nn.Unflatten,
    torch.flatten,
    torch.reshape,
    torch.squeeze,
    torch.unsqueeze,
    "flatten",
    "view",
    "reshape",
    "squeeze",
    "unsqueeze",
    "unflatten",
)
TRANSPOSES = (
    torch.transpose,
    torch.permute,
    torch.swapaxes,
    "transpose",
    "permute",
    "swapaxes",
    "t",
    "mT",
    "T",
)
PARTS = (
    torch.cat,
    torch.stack,
    torch.chunk,
    torch.split,
    "chunk",
    "split",
    functional.pad,
    nn.ZeroPad2d,
    nn.ConstantPad2d,
    operator.getitem,
)
"""Operations through which units lose their place; whatever they touch is held."""
CONVOLUTIONS = (
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
    torch.conv1d,
    torch.conv2d,
    torch.conv3d,
)


def symbolic(module: nn.Module, name: str = "") -> fx.GraphModule:
    """A copy of the module in `eval()` mode as a graph of its operations.

    Raises:
        BadValue: its forward pass depends on values, or cannot be followed otherwise.
    """
    private = copy.deepcopy(module).eval()
    try:
        return fx.symbolic_trace(private)
    except Exception as error:
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise BadValue(
            f"`{name or type(module).__name__}` cannot be traced ({said}); symmetries need a "
            f"forward pass that does not depend on values"
        ) from error


def wire(
    graph: fx.GraphModule,
    inputs: Shaped[Tensor, "batch *example"],
    *,
    name: str,
    shapes: Mapping[str, tuple[int, ...]],
) -> Groups:
    """Follow units through a graph; nothing is verified yet.

    Args:
        graph: see `symbolic`.
        inputs: a few examples; what they hold does not matter.
        name: of the network.
        shapes: of the parameters that a flat point has; all others are held.

    Raises:
        BadValue: an operation is met whose symmetries are not known.
    """
    tracer = _Tracer(graph, name, shapes)
    try:
        with torch.no_grad():
            tracer.run(inputs)
    except RavineError:
        raise
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise BadValue(
            f"`{name}` fails on the examples it was traced with ({said}); give examples as it "
            f"takes them"
        ) from error
    wiring = tracer.wiring
    groups, held, names = wiring.permutable()

    def group(units: Units | None) -> tuple[str, int] | None:
        element, block = wiring.moves.find(units.move) if units else (-1, 1)
        return (names[element], block) if element in names else None

    taps = {
        (node, axis): Tap(found[0], node, axis, found[1])
        for node, axis, units in tracer.taps
        if (found := group(units))
    }
    once = Counter(layer.weight for layer in tracer.layers)
    layers = (
        layer
        for layer in tracer.layers
        if layer.node not in tracer.normalised | tracer.last
        and once[layer.weight] == 1
        and {layer.weight, layer.bias} <= set(shapes)
    )
    return Groups(
        name=name,
        shapes=dict(shapes),
        permutable=groups,
        scalable=wiring.scalable(),
        held=held,
        outputs=tuple(tracer.outputs),
        taps=tuple(taps.values()),
        layers=tuple(layers),
        graph=graph,
    )


class _Tracer(fx.Interpreter):
    """Runs a graph on examples, with the units of each tensor beside it."""

    def __init__(
        self, graph: fx.GraphModule, name: str, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        super().__init__(graph)
        # an error is told in one sentence of ours
        self.extra_traceback = False
        self.title = name
        tensors = dict([*graph.named_parameters(), *graph.named_buffers()])
        buffers = {n for n, _ in graph.named_buffers()}
        self.first = {id(t): n for n, t in reversed(tensors.items())}
        held = {n: "are not trained" for n in tensors if n not in shapes and n not in buffers}
        self.wiring = Wiring({n: tuple(t.shape) for n, t in tensors.items()}, held)
        self.labels: dict[fx.Node, Labels] = {}
        self.values: dict[fx.Node, Any] = {}
        self.taps: list[tuple[str, int, Units]] = []
        self.layers: list[Layer] = []
        self.made: dict[str, list[Slot]] = {}
        self.normalised: set[str] = set()
        self.last: set[str] = set()
        self.outputs: list[Slot] = []

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node, then follow the units through it."""
        value = super().run_node(n)
        self.values[n] = value
        if n.op == "output":
            self._end(n)
        elif n.op in ("call_module", "call_function", "call_method"):
            self.labels[n] = self._follow(n, value)
        else:
            self.labels[n] = {}
        return value

    def _end(self, node: fx.Node) -> None:
        for given in node.all_input_nodes:
            for units in self._of(given).values():
                self.wiring.hold(units, "are outputs")
            self.outputs += self.made.get(given.name, [])
            self.last.add(given.name)

    def _follow(self, node: fx.Node, value: Any) -> Labels:
        target: Any = node.target
        module = self.module.get_submodule(str(target)) if node.op == "call_module" else None
        inputs = [n for n in node.all_input_nodes if isinstance(self.values[n], Tensor)]
        x = node.args[0] if node.args else node.kwargs.get("input")
        if module is not None:
            return self._layer(node, module, str(target), inputs[0], value)
        if target in (functional.linear, *CONVOLUTIONS):
            return self._function(node, target)
        if target is functional.batch_norm:
            return self._batch_norm(node)
        if not inputs or not _tensors(value):
            return {}
        return self._entrywise(node, target, inputs, value, x)

    def _entrywise(
        self, node: fx.Node, kind: Any, inputs: Sequence[fx.Node], value: Any, x: Any
    ) -> Labels:
        """Whatever has no parameters of its own."""
        wiring, labels = self.wiring, self._of(inputs[0])
        shape = tuple(self.values[inputs[0]].shape)
        if kind in SAME:
            return labels
        if kind in RECTIFIERS:
            wiring.activation(labels, positive=True, odd=False)
            return labels
        if kind in ODD:
            wiring.activation(labels, positive=False, odd=True)
            return labels
        if kind in CURVED:
            wiring.activation(labels, positive=False, odd=False)
            return self._same_shape(labels, inputs, shape, value)
        if kind in SOFTMAX:
            for units in labels.values():
                wiring.rigid(units, "enter a softmax")
            return labels
        if kind in (*SUMS, *PRODUCTS):
            return self._arithmetic(node, kind, value)
        if kind in (*AVERAGES, *MAXIMA):
            # a module's or function's rank: channels are the axis after the batch
            kept = {axis: units for axis, units in labels.items() if axis < 2}
            for axis, units in labels.items():
                if axis >= 2:
                    wiring.hold(units, "are pooled")
            if kind in MAXIMA:
                wiring.activation(kept, positive=True, odd=False)
            return kept
        if kind in MEANS:
            return self._mean(node, labels, shape)
        if kind in RESHAPES:
            return wiring.reshape(labels, shape, tuple(value.shape))
        if kind in TRANSPOSES:
            order = _order(shape, node)
            return {new: labels[old] for new, old in enumerate(order) if old in labels}
        if kind in PARTS:
            if kind is operator.getitem and self._sliced(node.args[1], labels):
                return labels
            for given in inputs:
                for units in self._of(given).values():
                    wiring.hold(units, "are cut or joined along an axis")
            return {}
        raise BadValue(
            f"`{self.title}` uses {_said(kind)} (node `{node.name}`), whose symmetries are not "
            f"known; express it by linear layers, convolutions, norms, sums and activations"
        )

    def _sliced(self, index: Any, labels: Labels) -> bool:
        """Whether slices leave all axes where they are, and those of units whole."""
        every = index if isinstance(index, tuple) else (index,)
        return all(isinstance(i, slice) for i in every) and all(
            i == slice(None) for axis, i in enumerate(every) if axis in labels
        )

    def _same_shape(
        self, labels: Labels, inputs: Sequence[fx.Node], shape: tuple[int, ...], value: Tensor
    ) -> Labels:
        if len(inputs) > 1 or tuple(value.shape) != shape:
            for given in inputs:
                for units in self._of(given).values():
                    self.wiring.hold(units, "meet in a function of several tensors")
            return {}
        return labels

    def _layer(
        self, node: fx.Node, module: nn.Module, target: str, given: fx.Node, value: Any
    ) -> Labels:
        labels, wiring = dict(self._of(given)), self.wiring
        kind = type(module)

        def name(part: str) -> str:
            tensor = getattr(module, part, None)
            return "" if tensor is None else self._name(tensor, target)

        affine = [n for n in (name("weight"), name("bias")) if n]
        if isinstance(module, nn.Linear):
            return self._linear(node, given, labels, name("weight"), name("bias"))
        if isinstance(module, _ConvTransposeNd):
            if module.groups > 1:
                raise BadValue(
                    f"`{self.title}` has the transposed convolution `{target}` in groups, whose "
                    f"symmetries are not known; use groups=1"
                )
            return self._product(node, given, labels, affine, (0, 1), 1)
        if isinstance(module, _ConvNd):
            return self._convolution(node, given, labels, affine, module.groups)
        if isinstance(module, _BatchNorm):
            moments = [n for n in (name("running_mean"), name("running_var")) if n]
            self.normalised.add(given.name)
            if affine or 1 in labels:
                labels[1] = wiring.batch_norm(labels.get(1), affine, moments, module.eps)
            return labels
        if isinstance(module, nn.LayerNorm):
            self.normalised.add(given.name)
            dims = len(module.normalized_shape)
            return wiring.layer_norm(labels, dims, affine, value.dim() - dims)
        if isinstance(module, nn.GroupNorm):
            self.normalised.add(given.name)
            if affine or 1 in labels:
                labels[1] = wiring.group_norm(
                    labels.get(1), affine, module.num_groups, module.num_channels
                )
            return labels
        if isinstance(module, nn.PReLU) and len(module.weight) > 1 and 1 in labels:
            own = wiring.own(affine[0], 0, 0)
            wiring.moves.tie(labels[1].move, own.move)
        if isinstance(module, nn.Embedding):
            own = wiring.own(affine[0], 1)
            return {value.dim() - 1: own}
        return self._entrywise(node, kind, [given], value, given)

    def _function(self, node: fx.Node, target: Any) -> Labels:
        """A layer that is called as a function of parameters."""
        given = list(node.args) + [None] * 7
        keywords = node.kwargs
        x, weight = given[0] or keywords.get("input"), given[1] or keywords.get("weight")
        bias = given[2] or keywords.get("bias")
        names = [self._parameter(node, weight)]
        if bias is not None:
            names.append(self._parameter(node, bias))
        assert isinstance(x, fx.Node)
        if target is functional.linear:
            return self._linear(node, x, self._of(x), names[0], "".join(names[1:]))
        parts = given[6] or keywords.get("groups", 1)
        return self._convolution(node, x, self._of(x), names, parts)  # type: ignore[arg-type]

    def _batch_norm(self, node: fx.Node) -> Labels:
        words = (
            "input",
            "running_mean",
            "running_var",
            "weight",
            "bias",
            "training",
            "momentum",
            "eps",
        )
        given = {**dict(zip(words, node.args, strict=False)), **node.kwargs}
        x = given["input"]
        assert isinstance(x, fx.Node)
        named = {w: self._parameter(node, given[w]) for w in words[1:5] if given.get(w) is not None}
        affine = [named[w] for w in ("weight", "bias") if w in named]
        moments = [named[w] for w in ("running_mean", "running_var") if w in named]
        self.normalised.add(x.name)
        labels = dict(self._of(x))
        if affine or 1 in labels:
            eps = float(given.get("eps", 1e-5))  # type: ignore[arg-type]
            labels[1] = self.wiring.batch_norm(labels.get(1), affine, moments, eps)
        return labels

    def _linear(
        self, node: fx.Node, given: fx.Node, labels: Labels, weight: str, bias: str
    ) -> Labels:
        last = self.values[given].dim() - 1
        affine = [weight, bias] if bias else [weight]
        return self._product(node, given, labels, affine, (1, 0), last, spatial=False)

    def _product(
        self,
        node: fx.Node,
        given: fx.Node,
        labels: Labels,
        affine: Sequence[str],
        axes: tuple[int, int],
        axis: int,
        spatial: bool = True,
    ) -> Labels:
        bias = "".join(affine[1:])
        made = self.wiring.product(labels.get(axis), affine[0], bias, *axes)
        return self._made(node, given, labels, affine, axes[1], axis, made, spatial)

    def _convolution(
        self, node: fx.Node, given: fx.Node, labels: Labels, affine: Sequence[str], parts: int
    ) -> Labels:
        if parts == 1:
            return self._product(node, given, labels, affine, (1, 0), 1)
        inputs = self.values[given].shape[1]
        bias = "".join(affine[1:])
        made = self.wiring.grouped(labels.get(1), affine[0], bias, parts, inputs)
        return self._made(node, given, labels, affine, 0, 1, made, True)

    def _made(
        self,
        node: fx.Node,
        given: fx.Node,
        labels: Labels,
        affine: Sequence[str],
        out: int,
        axis: int,
        made: Units,
        spatial: bool,
    ) -> Labels:
        if axis in labels:
            self.taps.append((given.name, axis, labels[axis]))
        for other, units in labels.items():
            if other >= 2 and spatial:
                self.wiring.hold(units, "are convolved along")
        self.layers.append(Layer(node.name, affine[0], "".join(affine[1:]), out, axis))
        slots = [Slot(affine[0], out), *(Slot(name, 0) for name in affine[1:])]
        self.made[node.name] = slots
        return {**labels, axis: made}

    def _arithmetic(self, node: fx.Node, kind: Any, value: Tensor) -> Labels:
        terms = [a for a in node.args if isinstance(a, fx.Node | int | float)]
        tensors = [
            (tuple(self.values[t].shape), self._of(t))
            for t in terms
            if isinstance(t, fx.Node) and isinstance(self.values[t], Tensor)
        ]
        numbers = len(tensors) < len(terms)
        divided = kind in DIVISIONS
        if kind not in SUMS and numbers and not (divided and isinstance(terms[0], int | float)):
            # times a number: homogeneous and odd
            return tensors[0][1] if len(tensors) == 1 else {}
        made = self.wiring.total(tuple(value.shape), tensors, kind in SUMS)
        if numbers:
            for units in made.values():
                self.wiring.rigid(units, "are shifted")
        return made

    def _mean(self, node: fx.Node, labels: Labels, shape: tuple[int, ...]) -> Labels:
        given: Any = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        dims = range(len(shape)) if given is None else [given] if isinstance(given, int) else given
        gone = {d % len(shape) for d in dims}
        keep = bool(node.kwargs.get("keepdim", node.args[2] if len(node.args) > 2 else False))
        made, new = {}, 0
        for axis in range(len(shape)):
            if axis in gone:
                if axis in labels:
                    self.wiring.rigid(labels[axis], "are summed up")
                new += keep
                continue
            if axis in labels:
                made[new] = labels[axis]
            new += 1
        return made

    def _of(self, node: Any) -> Labels:
        """The units of a node; a parameter is one as soon as it is used."""
        if not isinstance(node, fx.Node):
            return {}
        if node.op == "get_attr" and isinstance(self.values[node], Tensor):
            name = self._name(self.values[node], str(node.target))
            if name not in self.wiring.shapes or not self.values[node].is_floating_point():
                return {}
            return {
                axis: self.wiring.own(name, axis)
                for axis, size in enumerate(self.wiring.shapes[name])
                if size > 1
            }
        labels: Labels = self.labels.get(node, {})
        return labels if isinstance(self.values.get(node), Tensor) else {}

    def _parameter(self, node: fx.Node, given: Any) -> str:
        if isinstance(given, fx.Node) and given.op == "get_attr":
            return self._name(self.values[given], str(given.target))
        raise BadValue(
            f"`{self.title}` computes the weights of node `{node.name}`, whose symmetries are "
            f"not known; give it parameters"
        )

    def _name(self, tensor: Tensor, otherwise: str) -> str:
        return self.first.get(id(tensor), otherwise)


def _tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (
        isinstance(value, tuple | list) and any(isinstance(v, Tensor) for v in value)
    )


def _order(shape: tuple[int, ...], node: fx.Node) -> list[int]:
    """Which axis of the input each axis of a transposed view is, by what it says of a probe."""
    probe = torch.empty_strided(shape, tuple(range(1, len(shape) + 1)), device="meta")
    arguments = [probe if isinstance(a, fx.Node) else a for a in node.args]
    call: Callable[..., Tensor] = (
        getattr(torch.Tensor, str(node.target)) if isinstance(node.target, str) else node.target
    )
    return [stride - 1 for stride in call(*arguments, **node.kwargs).stride()]


def _said(kind: Any) -> str:
    return f"`{kind}`" if isinstance(kind, str) else f"`{getattr(kind, '__name__', kind)}`"
