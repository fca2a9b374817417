"""Transformers that predict the next letter of a text."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from ravine.errors import BadValue
from ravine.problems import arguments
from ravine.problems.base import Point
from ravine.problems.catalogue import problems, short_id
from ravine.problems.draws import generator
from ravine.problems.networks.criteria import CROSS_ENTROPY
from ravine.problems.networks.layers import EPSILON
from ravine.problems.networks.model import Moments, Record
from ravine.problems.networks.network import Network, network
from ravine.problems.networks.text import TextSupply, novel

Rows = Float[Tensor, "networks rows _"]
"""A vector for each position of each example, of every network, by seed and setting."""


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """A stack of layers, each of self-attention to earlier positions and a perceptron.

    x = E[letter] + P[position]; in every layer x = x + O A(norm(x)) and then
    x = x + W2 gelu(W1 norm(x) + b1) + b2; outputs are V norm(x).  A is the concatenation of
    `heads` attentions softmax(Q K^T / sqrt(d) + mask) (values), d = units / heads, whose mask
    keeps each position from those after it.  norm is layer normalisation; all products but V
    have biases, and the perceptron has 4 times as many hidden units.  There is no dropout.

    Matrices begin normal of variance 1 / fan_in, those that add to x (O and W2) divided by
    sqrt(2 layers) besides; E and P of standard deviation 0.02 if outputs have their own
    matrix, else 1 / sqrt(units); biases zero, gains one.

    Args:
        letters: how many different ones.
        context: positions at most.
        layers: of attention and perceptron.
        units: features of a position.
        heads: attentions in a layer; divides `units`.
        tied: whether V is E.

    References:
        Vaswani et al. (2017). Attention is all you need. arXiv 1706.03762.  Xiong et al.
        (2020). On layer normalization in the transformer architecture. arXiv 2002.04745.
        Radford et al. (2019). Language models are unsupervised multitask learners. OpenAI.
    """

    letters: int
    context: int
    layers: int
    units: int
    heads: int
    tied: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """`letters` (E), `positions` (P), `0.attention.weight` (Q, K, values), ..."""
        n = self.units
        shapes: dict[str, tuple[int, ...]] = {
            "letters": (self.letters, n),
            "positions": (self.context, n),
        }
        for layer in range(self.layers):
            for name, rows, columns in (
                ("attention", 3 * n, n),
                ("gather", n, n),
                ("expand", 4 * n, n),
                ("contract", n, 4 * n),
            ):
                if name in ("attention", "expand"):
                    for part in ("weight", "bias"):
                        shapes[f"{layer}.{name}.norm.{part}"] = (n,)
                shapes[f"{layer}.{name}.weight"] = (rows, columns)
                shapes[f"{layer}.{name}.bias"] = (rows,)
        shapes["norm.weight"] = shapes["norm.bias"] = (n,)
        if not self.tied:
            shapes["output"] = (self.letters, n)
        return shapes

    @property
    def normalised(self) -> bool:
        """Never by a batch."""
        return False

    @property
    def smooth(self) -> bool:
        """Always."""
        return True

    @property
    def width(self) -> int:
        """A window's outputs, hidden units and attentions, together."""
        return self.context * (2 * self.letters + 12 * self.units + 2 * self.heads * self.context)

    def start(self, seed: int) -> Point:
        """Initial parameters, drawn by name, shape and seed."""
        point: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            if len(shape) == 1:
                point[name] = torch.full(shape, float(name.endswith("norm.weight")))
                continue
            deviation = 1 / math.sqrt(shape[1])
            if name in ("letters", "positions") and not self.tied:
                deviation = 0.02
            elif name.endswith(("gather.weight", "contract.weight")):
                deviation /= math.sqrt(2 * self.layers)
            drawn = deviation * generator("start", name, *shape, seed).standard_normal(shape)
            point[name] = torch.from_numpy(drawn).float()
        return point

    def outputs(
        self,
        point: Point,
        inputs: Int64[Tensor, "seeds batch positions"],
        moments: Moments | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "seeds settings letters examples"]:
        """Outputs of every network for every position of every window; see `Model`."""
        del moments, record
        seeds, settings = point["letters"].shape[:2]
        own = {name: p.flatten(0, 1) for name, p in point.items()}
        batch, positions = inputs.shape[1:]
        x = _embedded(inputs, own["letters"], settings)
        x = x + own["positions"][:, None, :positions]
        x = x.flatten(1, 2)
        mask = x.new_full((positions, positions), -torch.inf).triu(1)
        for layer in range(self.layers):
            part = {n.removeprefix(f"{layer}."): p for n, p in own.items()}
            h = _linear(_norm(x, part, "attention.norm"), part, "attention")
            h = _attention(h.view(len(h), batch, positions, 3, self.heads, -1), mask)
            x = x + _linear(h, part, "gather")
            h = functional.gelu(_linear(_norm(x, part, "expand.norm"), part, "expand"))
            x = x + _linear(h, part, "contract")
        output = own["letters" if self.tied else "output"]
        logits = torch.bmm(output, _norm(x, own, "norm").transpose(1, 2))
        return logits.view(seeds, settings, self.letters, -1)


def _embedded(
    inputs: Int64[Tensor, "seeds batch positions"],
    vectors: Float[Tensor, "networks letters features"],
    settings: int,
) -> Float[Tensor, "networks batch positions features"]:
    """Every network's vector for every letter, from one table of all vectors."""
    networks, letters = vectors.shape[:2]
    own = letters * torch.arange(networks, device=inputs.device).view(-1, 1, 1)
    table = vectors.flatten(0, 1)
    return functional.embedding(inputs.repeat_interleave(settings, 0) + own, table)


def _norm(x: Rows, own: Point, name: str) -> Rows:
    rows = functional.layer_norm(x, x.shape[-1:], eps=EPSILON)
    return torch.addcmul(own[f"{name}.bias"].unsqueeze(1), rows, own[f"{name}.weight"].unsqueeze(1))


def _linear(x: Rows, own: Point, name: str) -> Rows:
    weight, bias = own[f"{name}.weight"], own[f"{name}.bias"]
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


def _attention(
    h: Float[Tensor, "networks batch positions 3 heads features"],
    mask: Float[Tensor, "positions positions"],
) -> Rows:
    """Values, weighted by how well earlier keys agree with a query.

    Torch's fused kernel for CPUs cannot be differentiated twice.
    """
    query, key, value = h.movedim(4, 2).flatten(0, 2).unbind(2)
    scale = 1 / math.sqrt(h.shape[-1])
    scores = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=scale)
    mixed = torch.bmm(torch.softmax(scores, -1), value)
    mixed = mixed.view(-1, h.shape[1], h.shape[4], *mixed.shape[1:]).transpose(2, 3)
    return mixed.reshape(len(h), h.shape[1] * h.shape[2], -1)


@problems.register("network", "transformer", "text")
def char_transformer(
    layers: int = 2,
    width: int = 32,
    heads: int = 4,
    context: int = 32,
    tied: bool = False,
    batch: int = 16,
) -> Network:
    """Transformer that predicts the next letter of a novel.

    Args:
        layers: of attention and perceptron.
        width: features of a position.
        heads: attentions in a layer; divides `width`.
        context: letters that a prediction may see at most.
        tied: whether the output matrix is that of the letters' vectors.
        batch: windows in a minibatch; the budget is 400 steps.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Radford et al. (2019). Language models are unsupervised multitask learners. OpenAI.
    """
    given = {
        "layers": layers,
        "width": width,
        "heads": heads,
        "context": context,
        "tied": tied,
        "batch": batch,
    }
    for name in ("layers", "width", "heads", "context", "batch"):
        arguments.whole(name, given[name], 1)
    arguments.at_most("context", context, 1024)
    if width % heads:
        raise BadValue(f"`width` must be a multiple of `heads`, got {width} and {heads}; use 32, 4")
    if type(tied) is not bool:
        raise BadValue(f"`tied` must be true or false, got {tied}")
    _, letters = novel()
    model = Transformer(
        letters=len(letters), context=context, layers=layers, units=width, heads=heads, tied=tied
    )
    supply = TextSupply(context=context, batch_size=batch)
    return network(model, supply, CROSS_ENTROPY, 400, short_id(char_transformer, given))
