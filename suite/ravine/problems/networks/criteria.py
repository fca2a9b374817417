"""Errors of a stack of networks, example by example."""

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from ravine.problems.networks.model import Criterion

Outputs = Float[Tensor, "seeds settings outputs examples"]
Errors = Float[Tensor, "seeds settings examples"]


def _surprise(outputs: Outputs, targets: Int[Tensor, "seeds batch ..."]) -> Errors:
    labels = _labels(outputs, targets)
    errors = functional.cross_entropy(outputs.flatten(0, 1), labels.flatten(0, 1), reduction="none")
    return errors.view(labels.shape)


def _hit(
    outputs: Outputs, targets: Int[Tensor, "seeds batch ..."]
) -> Bool[Tensor, "seeds settings examples"]:
    return outputs.argmax(2) == _labels(outputs, targets)


def _labels(
    outputs: Outputs, targets: Int[Tensor, "seeds batch ..."]
) -> Int[Tensor, "seeds settings examples"]:
    return targets.flatten(1).unsqueeze(1).expand(-1, outputs.shape[1], -1)


def _binary(outputs: Outputs, targets: Float[Tensor, "seeds batch outputs"]) -> Errors:
    # laid out like the outputs before it is shared by all settings, which reads twice as fast
    wanted = targets.transpose(1, 2).contiguous().unsqueeze(1).expand_as(outputs)
    return functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none").sum(2)


def _square(outputs: Outputs, targets: Float[Tensor, "seeds batch outputs"]) -> Errors:
    return (outputs - targets.transpose(1, 2).unsqueeze(1)).square().sum(2)


CROSS_ENTROPY = Criterion("cross-entropy", _surprise, _hit)
"""logsumexp(outputs) - outputs[label]; right where the label's output is the largest."""

BINARY_CROSS_ENTROPY = Criterion("binary cross-entropy", _binary)
"""sum_i log(1 + e^(o_i)) - t_i o_i for targets in [0, 1]."""

SQUARED_ERROR = Criterion("squared error", _square)
"""|outputs - targets|^2, without a factor 1/2."""
