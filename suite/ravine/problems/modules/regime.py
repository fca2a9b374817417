"""What runs in the place of torch's batch normalisation and dropout in one forward pass.

Both carry a state: running moments, a generator.  A loss must be a function of the point
and the data alone, so calls of either are met by functions that take their state as an
argument, whoever makes the call: a layer of `torch.nn`, a subclass of one, or the user.
"""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ravine.errors import BadValue
from ravine.problems.modules.dropout import Key, alpha_dropout, dropout
from ravine.problems.networks.model import Moments, Record

POLICIES = ("recomputed", "batch", "frozen")
"""How batch normalisation is done; see `ModuleProblem`."""

ATTENTION = ("scaled_dot_product_attention", "multi_head_attention_forward")
"""Functions of torch that choose a fused kernel, for which there is no batching rule."""


class Place:
    """The name of the batch-normalisation layer that is about to run, for the regime."""

    name: str = ""


class Regime(TorchFunctionMode):
    """Batch normalisation and dropout of one forward pass.

    Batch normalisation uses, in this order: the `moments` given for its layer; with
    `frozen`, its own running moments; those of the batch, where it is called in training or
    its layer is in `by_batch`; else what it was called with.  Running moments are never
    updated.  A layer that runs several times is told apart by the count.

    Dropout uses masks of `key`; without a key it is what it was called as.

    Args:
        place: where layers say their name.
        key: of dropout.
        moments: mean and variance by layer.
        record: filled with the moments of the batch, by layer, where they are used.
        by_batch: layers that use the batch's moments whatever they are called with.
        frozen: whether layers use their own running moments in training too.

    Attributes:
        normalised: layers that were called in training.
        largest: numbers in the largest tensor that any operation returned.
        attended: whether there was attention.
        masks: dropout masks so far.
    """

    def __init__(
        self,
        place: Place,
        *,
        key: Key | None = None,
        moments: Moments | None = None,
        record: Record | None = None,
        by_batch: Collection[str] = (),
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.place, self.key, self.frozen = place, key, frozen
        self.moments = {} if moments is None else moments
        self.record, self.by_batch = record, by_batch
        self.normalised: set[str] = set()
        self.largest = 0
        self.attended = False
        self._layers: Counter[str] = Counter()
        self.masks = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Meet a call of torch's with our own function, where there is one."""
        del types
        if func in _SUBSTITUTES:
            signature = _SIGNATURES[func]
            bound = signature.bind(*args, **(kwargs or {}))
            bound.apply_defaults()
            result = _SUBSTITUTES[func](self, func, **bound.arguments)
        else:
            result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.largest = max(self.largest, result.numel())
        self.attended |= getattr(func, "__name__", "") in ATTENTION
        return result

    def layer(self) -> str:
        """The layer that calls, `name` or `name#2` and so on; `` for a call outside of any."""
        name, self.place.name = self.place.name, ""
        self._layers[name] += 1
        count = self._layers[name]
        return name if count == 1 else f"{name}#{count}"

    def mask(self) -> int:
        """The number of the next mask."""
        self.masks += 1
        return self.masks - 1


def _batch_norm(
    regime: Regime,
    func: Callable[..., Tensor],
    *,
    input: Float[Tensor, "batch channels *rest"],
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    layer = regime.layer()
    if training:
        regime.normalised.add(layer)
    if layer in regime.moments:
        mean, variance = regime.moments[layer]
        return func(input, mean, variance, weight, bias, False, momentum, eps)
    if regime.frozen:
        if running_mean is None:
            raise BadValue(
                f"`batch_norm=frozen` needs running moments, and `{layer}` tracks none; use "
                f"track_running_stats=True or another policy"
            )
        return func(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if not training and layer not in regime.by_batch:
        return func(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if input.numel() == input.shape[1]:
        raise ValueError(
            f"a batch of {list(input.shape)} has one value per channel and no variance"
        )
    # by plain arithmetic, for the backward pass of torch's kernel is slow on a stack: 7 ms
    # against 1.7 ms for 32 networks of 64 channels and a batch of 128 (and 0.1 against 0.2 alone)
    dims = [d for d in range(input.dim()) if d != 1]
    mean = input.mean(dims, keepdim=True)
    centred = input - mean
    variance = centred.square().mean(dims, keepdim=True)
    if regime.record is not None:
        regime.record[layer] = (mean.flatten(), variance.flatten())
    across = (-1, *[1] * (input.dim() - 2))
    scale = torch.rsqrt(variance + eps)
    result = centred * (scale if weight is None else scale * weight.view(across))
    return result if bias is None else result + bias.view(across)


def _dropped(
    drop: Callable[..., Tensor], leading: Callable[[int], int | None]
) -> Callable[..., Tensor]:
    """A substitute that drops by the regime's key; `leading` by the input's dimensions."""

    def substitute(
        regime: Regime,
        func: Callable[..., Tensor],
        *,
        input: Tensor,
        p: float,
        training: bool,
        inplace: bool,
    ) -> Tensor:
        if not training or regime.key is None or not 0.0 <= p <= 1.0:
            return func(input, p, training, inplace)
        result = drop(input, p, regime.key, regime.mask(), leading(input.dim()))
        return input.copy_(result) if inplace else result

    return substitute


def _attention(
    regime: Regime,
    func: Callable[..., Tensor],
    *,
    query: Float[Tensor, "... queries features"],
    key: Float[Tensor, "... keys features"],
    value: Float[Tensor, "... keys values"],
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Tensor:
    """softmax(Q K^T scale + mask), dropped, times V."""
    if regime.key is None or not 0.0 < dropout_p <= 1.0:
        more = {"scale": scale, "enable_gqa": enable_gqa}
        return func(query, key, value, attn_mask, dropout_p, is_causal, **more)
    if enable_gqa:
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.transpose(-2, -1) * factor
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype is torch.bool:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return dropout(scores.softmax(-1), dropout_p, regime.key, regime.mask()) @ value


def _as_called(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> None:
    """The signature of attention, which is built in and has none to be read."""


_SUBSTITUTES: Mapping[Callable[..., Any], Callable[..., Tensor]] = {
    functional.batch_norm: _batch_norm,
    functional.dropout: _dropped(dropout, lambda dims: None),
    functional.dropout1d: _dropped(dropout, lambda dims: 1 if dims == 2 else 2),
    functional.dropout2d: _dropped(dropout, lambda dims: 2),
    functional.dropout3d: _dropped(dropout, lambda dims: 1 if dims == 4 else 2),
    functional.alpha_dropout: _dropped(alpha_dropout, lambda dims: None),
    functional.feature_alpha_dropout: _dropped(alpha_dropout, lambda dims: 2),
    functional.scaled_dot_product_attention: _attention,
}

_SIGNATURES = {
    func: inspect.signature(_as_called if func is functional.scaled_dot_product_attention else func)
    for func in _SUBSTITUTES
}
