"""Operations of torch by what they do to units: as functions, methods and modules.

A name in quotes is a method of a tensor, a class a module.
"""

import operator

import torch
from torch import nn
from torch.nn import functional

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
"""Units together, in whichever order."""

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
"""Homogeneous and odd, or nothing at all in `eval()` mode."""

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
"""Entry by entry, of tensors or numbers."""

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
"""Entry by entry, of tensors or numbers."""

DIVISIONS = (operator.truediv, operator.itruediv, torch.div, "div", "div_")
"""Those of the products that are not linear in their second factor."""

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
"""Linear, within a channel: the axis after the batch."""

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
"""Positively homogeneous, within a channel."""

MEANS = (torch.mean, torch.sum, "mean", "sum")
"""Over whole axes."""

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
"""The same entries in the same order under other axes."""

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
"""The same axes in another order."""

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
"""As functions of parameters, in this order: input, weight, bias, ..., groups the seventh."""
