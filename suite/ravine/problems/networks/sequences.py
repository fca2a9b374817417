"""Recurrent networks on tasks that need a memory over many steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from ravine.errors import BadValue
from ravine.problems import arguments
from ravine.problems.base import Data, Point
from ravine.problems.catalogue import problems, short_id
from ravine.problems.draws import generator
from ravine.problems.networks.criteria import CROSS_ENTROPY, SQUARED_ERROR
from ravine.problems.networks.initial import weights
from ravine.problems.networks.layers import linear
from ravine.problems.networks.model import Moments, Record
from ravine.problems.networks.network import Network, network

TASKS = ("copy", "adding")
"""What has to be remembered; see `CopySupply` and `AddingSupply`."""

GATES: Mapping[str, int] = MappingProxyType({"tanh": 1, "gru": 3})
"""Cells by name, with how many products of the state each takes."""

SYMBOLS = 8
"""Symbols that the copy task draws from; its inputs know a blank and a signal beside them."""

TEST = 2000
"""Sequences that are tested on, the same for all seeds."""


@dataclass(frozen=True, kw_only=True)
class CopySupply:
    """The copy task: repeat some symbols after a delay.

    A sequence is `length` random symbols, `steps` - 1 blanks, a signal, and `length` blanks,
    during which the symbols are to be given in their order.  So each must be kept over
    `steps` + `length` positions.  Answers are judged in those last positions only; elsewhere
    the original asks for a blank, which needs no memory.  Then the mean error of a network
    without memory is log 8, not length log 8 / (steps + 2 length).

    Every batch is drawn anew, by seed and step.

    Args:
        steps: positions between the last symbol and the first answer.
        length: symbols.
        batch_size: sequences in a batch.

    References:
        Hochreiter and Schmidhuber (1997). Long short-term memory. Neural Computation 9(8).
        Arjovsky, Shah and Bengio (2016). Unitary evolution recurrent neural networks. ICML.
        arXiv 1511.06464, section 5.1.
    """

    steps: int
    length: int
    batch_size: int

    @property
    def example(self) -> tuple[int, ...]:
        """Positions, and a number for each symbol, for a blank and for the signal."""
        return (self.steps + 2 * self.length, SYMBOLS + 2)

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """`inputs` [seeds, batch, positions, 10], one of them 1, and `targets` of symbols."""
        shape = (self.batch_size, self.length)
        symbols = np.stack(
            [generator("copy", *shape, s, step).integers(0, SYMBOLS, shape) for s in seeds]
        )
        return dict(zip(("inputs", "targets"), self._sequences(symbols), strict=True))

    def calibration(self) -> Float[Tensor, "count positions 10"]:
        """The first batch of seed 0."""
        return self.batch([0], 0)["inputs"][0]

    def test(self) -> tuple[Float[Tensor, "count positions 10"], Shaped[Tensor, "count length"]]:
        """Sequences that are drawn once."""
        shape = (TEST, self.length)
        symbols = generator("copy", "test", *shape).integers(0, SYMBOLS, shape)
        return self._sequences(symbols)

    def _sequences(
        self, symbols: Shaped[np.ndarray, "*stack length"]
    ) -> tuple[Float[Tensor, "*stack positions 10"], Shaped[Tensor, "*stack length"]]:
        targets = torch.from_numpy(symbols)
        inputs = torch.zeros(*targets.shape[:-1], *self.example)
        inputs[..., self.length :, SYMBOLS] = 1.0
        inputs[..., self.length + self.steps - 1, SYMBOLS:] = torch.tensor([0.0, 1.0])
        inputs[..., : self.length, :SYMBOLS] = functional.one_hot(targets, SYMBOLS).float()
        return inputs, targets


@dataclass(frozen=True, kw_only=True)
class AddingSupply:
    """The adding task: the sum of two marked numbers among many.

    A sequence is `steps` pairs: a number, uniform in [0, 1], and a mark, which is 1 at one
    position of the first half and one of the second, and 0 elsewhere.  The answer to be given
    at the end is the sum of the two marked numbers.  Who always answers 1 has a mean squared
    error of 1/6.

    Every batch is drawn anew, by seed and step.

    Args:
        steps: positions.
        batch_size: sequences in a batch.

    References:
        Hochreiter and Schmidhuber (1997). Long short-term memory. Neural Computation 9(8).
        Arjovsky, Shah and Bengio (2016). Unitary evolution recurrent neural networks. ICML.
        arXiv 1511.06464, section 5.2.
    """

    steps: int
    batch_size: int

    @property
    def example(self) -> tuple[int, ...]:
        """Positions, and two numbers for each."""
        return (self.steps, 2)

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """`inputs` [seeds, batch, steps, 2] and `targets` [seeds, batch, 1]."""
        size = self.batch_size
        drawn = [self._draw(size, "adding", self.steps, size, s, step) for s in seeds]
        inputs, targets = (torch.stack(part) for part in zip(*drawn, strict=True))
        return {"inputs": inputs, "targets": targets}

    def calibration(self) -> Float[Tensor, "count steps 2"]:
        """The first batch of seed 0."""
        return self.batch([0], 0)["inputs"][0]

    def test(self) -> tuple[Float[Tensor, "count steps 2"], Float[Tensor, "count 1"]]:
        """Sequences that are drawn once."""
        return self._draw(TEST, "adding", "test", self.steps)

    def _draw(
        self, count: int, *key: str | int
    ) -> tuple[Float[Tensor, "count steps 2"], Float[Tensor, "count 1"]]:
        random = generator(*key)
        numbers = torch.from_numpy(random.random((count, self.steps), dtype=np.float32))
        half = self.steps // 2
        marked = np.stack(
            [random.integers(0, half, count), random.integers(half, self.steps, count)], 1
        )
        where = torch.from_numpy(marked)
        marks = torch.zeros_like(numbers).scatter_(1, where, 1.0)
        return torch.stack([numbers, marks], -1), numbers.gather(1, where).sum(1, keepdim=True)


@dataclass(frozen=True, kw_only=True)
class Recurrent:
    """A network whose state is a function of its last state and an input.

    `tanh`: h_t = tanh(W x_t + b + U h_(t-1)).  `gru`: gates r and z, sigmoids of such sums,
    and n = tanh(W_n x_t + b_n + r (U_n h_(t-1) + c_n)), h_t = (1 - z) n + z h_(t-1), as
    `torch.nn.GRU`.  The first state is zero; outputs are linear in the state.

    Every U begins as `radius` times a random orthogonal matrix.  All its eigenvalues then
    have the modulus `radius`, so that what a state says of t steps ago scales like its t-th
    power.  Other weights are normal of variance 2 / (fan_in + fan_out), biases zero.

    Args:
        positions: of a sequence.
        inputs: numbers at a position.
        units: numbers in a state.
        answers: outputs.
        last: how many positions are answered, the last ones.
        cell: a name in `GATES`.
        radius: modulus of the eigenvalues of the initial U.

    References:
        Bengio, Simard and Frasconi (1994). Learning long-term dependencies with gradient
        descent is difficult. IEEE Transactions on Neural Networks 5(2).  Cho et al. (2014).
        Learning phrase representations using RNN encoder-decoder. arXiv 1406.1078.  Saxe,
        McClelland and Ganguli (2014). Exact solutions to the nonlinear dynamics of learning in
        deep linear neural networks. arXiv 1312.6120.
    """

    positions: int
    inputs: int
    units: int
    answers: int
    last: int
    cell: str = "tanh"
    radius: float = 1.0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """`input.weight` (W), `input.bias`, `state.weight` (U), `output.weight`, ..."""
        rows = GATES[self.cell] * self.units
        shapes: dict[str, tuple[int, ...]] = {
            "input.weight": (rows, self.inputs),
            "input.bias": (rows,),
            "state.weight": (rows, self.units),
            "state.bias": (rows,),
            "output.weight": (self.answers, self.units),
            "output.bias": (self.answers,),
        }
        if self.cell == "tanh":
            del shapes["state.bias"]
        return shapes

    @property
    def normalised(self) -> bool:
        """Never."""
        return False

    @property
    def smooth(self) -> bool:
        """Always."""
        return True

    @property
    def width(self) -> int:
        """All states of a sequence, and what drives them."""
        return self.positions * ((GATES[self.cell] + 1) * self.units + self.inputs)

    def start(self, seed: int) -> Point:
        """Initial parameters, drawn by name, shape and seed."""
        point: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            if name.endswith("bias"):
                point[name] = torch.zeros(shape)
            elif name == "state.weight":
                normal = generator("start", name, *shape, seed).standard_normal(shape)
                blocks = normal.reshape(-1, self.units, self.units)
                drawn = self.radius * np.concatenate([_orthogonal(b) for b in blocks])
                point[name] = torch.from_numpy(drawn.astype(np.float32))
            else:
                fan_out, fan_in = shape[0], shape[1]
                point[name] = weights("xavier", name, shape, seed, fan_in, fan_out)
        return point

    def outputs(
        self,
        point: Point,
        inputs: Float[Tensor, "seeds batch positions features"],
        moments: Moments | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "seeds settings answers examples"]:
        """Outputs of every network at the last positions of every sequence; see `Model`."""
        del moments, record
        seeds, batch, positions, features = inputs.shape
        # one product serves all positions, of which the recurrence then takes slices
        columns = inputs.permute(0, 3, 2, 1).reshape(seeds, 1, features, positions * batch)
        driven = linear(columns, point["input.weight"], point["input.bias"])
        rows = point["input.bias"].shape[-1]
        drives = driven.view(-1, rows, positions, batch).unbind(2)
        matrix, bias = point["state.weight"].flatten(0, 1), point.get("state.bias")
        state = matrix.new_zeros(len(matrix), self.units, batch)
        states: list[Tensor] = []
        for drive in drives:
            if bias is None:
                state = torch.tanh_(torch.baddbmm(drive, matrix, state))
            else:
                recalled = torch.baddbmm(bias.flatten(0, 1).unsqueeze(-1), matrix, state)
                state = _gated(drive, recalled, state)
            states.append(state)
        answered = torch.stack(states[-self.last :], -1)
        weight = point["output.weight"]
        answered = answered.view(*weight.shape[:2], self.units, -1)
        return linear(answered, weight, point["output.bias"])


def _gated(
    drive: Float[Tensor, "networks rows batch"],
    recalled: Float[Tensor, "networks rows batch"],
    state: Float[Tensor, "networks width batch"],
) -> Float[Tensor, "networks width batch"]:
    sizes = [2 * state.shape[1], state.shape[1]]
    gates, fresh = torch.split(drive, sizes, 1)
    old_gates, old = torch.split(recalled, sizes, 1)
    reset, keep = torch.sigmoid(gates + old_gates).chunk(2, 1)
    candidate = torch.tanh(torch.addcmul(fresh, reset, old))
    return torch.lerp(candidate, state, keep)


def _orthogonal(normal: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    q, r = np.linalg.qr(normal)
    return q * np.sign(np.diag(r))


@problems.register("network", "recurrent", "long-term")
def recurrent_memory(
    task: str = "copy",
    steps: int = 20,
    width: int = 32,
    cell: str = "tanh",
    radius: float = 1.0,
    symbols: int = 5,
    batch: int = 32,
) -> Network:
    """Recurrent network that must keep something in mind over many steps.

    With `radius` below 1 what was seen vanishes from state and gradient as its power, and a
    run stays at the error of a network without memory: log 8 for `copy`, 1/6 for `adding`.

    Args:
        task: `copy`, to repeat symbols after a delay, or `adding`, the sum of two marked
            numbers among many.
        steps: the delay of `copy`, the positions of `adding`.
        width: units of the state.
        cell: `tanh` or `gru`.
        radius: modulus of the eigenvalues of the initial recurrent matrix.
        symbols: how many to copy; not for `adding`.
        batch: sequences in a minibatch; the budget is 400 steps for `copy`, 1,000 for
            `adding`.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Hochreiter and Schmidhuber (1997). Long short-term memory. Neural Computation 9(8).
        Arjovsky, Shah and Bengio (2016). Unitary evolution recurrent neural networks. ICML.
        arXiv 1511.06464.
    """
    given = {
        "task": task,
        "steps": steps,
        "width": width,
        "cell": cell,
        "radius": radius,
        "symbols": symbols,
        "batch": batch,
    }
    arguments.choice("task", task, TASKS)
    arguments.whole("steps", steps, 2)
    arguments.whole("width", width, 1)
    arguments.choice("cell", cell, GATES)
    arguments.positive("radius", radius)
    arguments.whole("symbols", symbols, 1)
    arguments.whole("batch", batch, 1)
    id = short_id(recurrent_memory, given)
    if task == "adding":
        if "symbols" in id:
            raise BadValue(f"`symbols` belongs to `task=copy`, got {symbols}; leave it out")
        adding = AddingSupply(steps=steps, batch_size=batch)
        return network(_model(adding, 1, 1, given), adding, SQUARED_ERROR, 1000, id)
    copy = CopySupply(steps=steps, length=symbols, batch_size=batch)
    return network(_model(copy, SYMBOLS, symbols, given), copy, CROSS_ENTROPY, 400, id)


@problems.register("network", "recurrent", "long-term")
def recurrent_adding(steps: int = 20) -> Network:
    """Recurrent network that must add two marked numbers among many.

    It is `recurrent_memory(task=adding)` under a name of its own.

    Args:
        steps: positions, of which two are marked.

    Raises:
        BadValue: `steps` is less than 2.
    """
    built = cast(Network, recurrent_memory("adding", steps))
    id = short_id(recurrent_adding, {"steps": steps})
    return network(built.model, built.supply, built.criterion, built.traits.budget, id)


def _model(
    supply: CopySupply | AddingSupply, answers: int, last: int, given: Mapping[str, Any]
) -> Recurrent:
    positions, inputs = supply.example
    return Recurrent(
        positions=positions,
        inputs=inputs,
        units=given["width"],
        answers=answers,
        last=last,
        cell=given["cell"],
        radius=float(given["radius"]),
    )
