"""Networks of the catalogue as torch modules with parameters of the same names."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ravine.errors import BadValue
from ravine.problems.networks.convolution import STAGES, DeepConvolution, LeNet
from ravine.problems.networks.network import Network
from ravine.problems.networks.perceptron import Perceptron

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
}


def twin(network: Network) -> nn.Module:
    """A module that computes what the network does, with parameters of the same names.

    Raises:
        BadValue: there is none of this kind.
    """
    model = network.model
    if isinstance(model, Perceptron):
        return _PerceptronTwin(model)
    if isinstance(model, LeNet):
        return _LeNetTwin(model)
    if isinstance(model, DeepConvolution):
        return _DeepTwin(model)
    raise BadValue(
        f"the symmetries of `{network.name}` are not known; those of perceptrons, LeNet and deep "
        f"convolutions are, and of modules in a file as file.py:function"
    )


class _Twin(nn.Module):
    """Layers by number, each with a norm of its own where it has one.

    Tensors have no types here, for a trace hands proxies through.
    """

    def _add(self, number: int, layer: nn.Module, norm: nn.Module | None = None) -> None:
        if norm is not None:
            layer.add_module("norm", norm)
        self.add_module(str(number), layer)

    def _layer(self, number: int) -> Any:
        return self.get_submodule(str(number))


class _Linear(nn.Linear):
    """With a child, so that a trace goes through it."""


class _Conv2d(nn.Conv2d):
    """With a child, so that a trace goes through it."""


class _PerceptronTwin(_Twin):
    def __init__(self, model: Perceptron) -> None:
        super().__init__()
        self.model = model
        self.normed = [f"{layer}.norm.weight" in model.shapes for layer in range(model.depth)]
        for layer in range(model.depth):
            fan_in, fan_out = model.sizes[layer : layer + 2]
            linear = _Linear(fan_in, fan_out, bias=f"{layer}.bias" in model.shapes)
            norm = nn.BatchNorm1d if model.norm == "batch" else nn.LayerNorm
            self._add(layer, linear, norm(fan_out) if self.normed[layer] else None)

    def forward(self, x: Any) -> Any:
        model, last = self.model, self.model.depth - 1
        skips = [
            model.skip and 0 < i < last and model.sizes[i] == model.sizes[i + 1]
            for i in range(model.depth)
        ]
        scale = 1 / math.sqrt(max(1, sum(skips)))
        h = x
        for i in range(model.depth):
            layer = self._layer(i)
            h = h + scale * layer(x) if skips[i] else layer(x)
            x = layer.norm(h) if self.normed[i] else h
            if i < last and i + 1 != model.code:
                x = ACTIVATIONS[model.activation](x)
        return x


class _LeNetTwin(_Twin):
    def __init__(self, model: LeNet) -> None:
        super().__init__()
        self.model = model
        for number, (name, shape) in enumerate(model.shapes.items()):
            if name.endswith("weight"):
                conv = len(shape) == 4
                layer = (
                    nn.Conv2d(shape[1], shape[0], 5, padding=2 if number == 0 else 0)
                    if conv
                    else nn.Linear(shape[1], shape[0])
                )
                self._add(int(name.partition(".")[0]), layer)

    def forward(self, x: Any) -> Any:
        activate = ACTIVATIONS[self.model.activation]
        pool = functional.max_pool2d if self.model.pooling == "max" else functional.avg_pool2d
        for layer in (0, 1):
            x = pool(activate(self._layer(layer)(x)), 2)
        x = x.flatten(1)
        for layer in (2, 3):
            x = activate(self._layer(layer)(x))
        return self._layer(4)(x)


class _DeepTwin(_Twin):
    def __init__(self, model: DeepConvolution) -> None:
        super().__init__()
        self.model = model
        norms: dict[str, Callable[[int], nn.Module]] = {
            "batch": nn.BatchNorm2d,
            "layer": partial(nn.GroupNorm, 1),
        }
        for layer in range(model.last):
            fan_out, fan_in = model.shapes[f"{layer}.weight"][:2]
            stride = 2 if layer == 0 or self._narrows(layer) else 1
            conv = _Conv2d(fan_in, fan_out, 3, stride, 1, bias=model.norm != "batch")
            self._add(layer, conv, norms[model.norm](fan_out) if model.norm != "none" else None)
        outputs, inputs = model.shapes[f"{model.last}.weight"]
        self._add(model.last, nn.Linear(inputs, outputs))

    def forward(self, x: Any) -> Any:
        model = self.model
        damping = math.sqrt(STAGES * model.blocks) if model.norm == "none" else 1.0
        x = functional.relu(self._normed(x, 0))
        for first in range(1, model.last, 2):
            h = self._normed(functional.relu(self._normed(x, first)), first + 1)
            if model.skip:
                if self._narrows(first):
                    x = x[:, :, ::2, ::2]
                    x = functional.pad(x, (0, 0, 0, 0, 0, self._layer(first).out_channels // 2))
                h = x + h / damping
            x = functional.relu(h)
        return self._layer(model.last)(x.mean((2, 3)))

    def _normed(self, x: Any, number: int) -> Any:
        layer = self._layer(number)
        made = layer(x)
        return made if self.model.norm == "none" else layer.norm(made)

    def _narrows(self, layer: int) -> bool:
        shapes = self.model.shapes
        return layer > 0 and shapes[f"{layer}.weight"][0] > shapes[f"{layer}.weight"][1]
