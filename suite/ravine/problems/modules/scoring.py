"""Scores of a stack of user's networks on test examples."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ravine.problems.base import Data, Point
from ravine.problems.modules.passes import like, outputs_of_each
from ravine.problems.modules.trial import Findings, score
from ravine.problems.networks.images import CALIBRATION
from ravine.problems.networks.model import Moments, Record, Supply
from ravine.problems.networks.network import LIVE_FLOATS

FEWEST = 256
"""Examples over which moments are recomputed at least, however much memory they take."""


def scores(
    findings: Findings,
    supply: Supply,
    accuracy: Callable[..., Any] | None,
    networks: Point,
    constants: Data,
) -> Float[Tensor, "networks 2"]:
    """Mean loss and accuracy of every network over the test examples.

    Networks whose parameters are not all finite are not asked; their scores are NaN.

    Args:
        findings: of the module.
        supply: the examples.
        accuracy: share of right answers, None for NaN.
        networks: parameters, `[networks, *shape]`.
        constants: the networks' own, `[networks, ...]`.
    """
    finite = [p.flatten(1).isfinite().all(1) for p in networks.values()]
    alive = torch.stack(finite).all(0).nonzero()[:, 0]
    found = torch.full((len(finite[0]), 2), torch.nan, dtype=torch.float64)
    uncut = 1  # examples that evaluation cannot divide into parts
    if findings.normalised:
        tested = len(supply.test()[0])
        uncut = {"recomputed": _calibration(findings), "batch": tested, "frozen": 1}[
            findings.passes.batch_norm
        ]
    for some in torch.split(alive, max(1, LIVE_FLOATS // (uncut * findings.width))):
        if not len(some):
            break
        block = {n: p[some] for n, p in networks.items()}
        own = {n: c[some.to(c.device)] for n, c in constants.items()}
        found[some.cpu()] = _block(findings, supply, accuracy, block, own)
    return found


def moments(findings: Findings, supply: Supply, networks: Point, constants: Data) -> Moments:
    """Moments of every batch-normalisation layer, recomputed over training inputs.

    The inputs are one batch without dropout, so that each layer sees inputs that are
    normalised by the very moments that are returned.

    Args:
        findings: of the module.
        supply: the examples.
        networks: parameters, `[networks, *shape]`.
        constants: the networks' own, `[networks, ...]`.

    Returns:
        Mean and biased variance by layer, `[networks, channels]` each.
    """
    inputs = supply.calibration()[: _calibration(findings)]

    def record(parameters: Point, own: Data) -> Record:
        seen: Record = {}
        regime = findings.passes.regime(record=seen, by_batch=findings.normalised)
        findings.passes.outputs(parameters, own, inputs, regime)
        return seen

    stacked = findings.alone is None
    seen = list(outputs_of_each(record, networks, constants, stacked=stacked))
    return {
        layer: (
            torch.stack([one[layer][0] for one in seen]),
            torch.stack([one[layer][1] for one in seen]),
        )
        for layer in seen[0]
    }


def _calibration(findings: Findings) -> int:
    """How many training inputs moments are recomputed over, if there are so many."""
    return max(FEWEST, min(CALIBRATION, LIVE_FLOATS // findings.width))


def _block(
    findings: Findings,
    supply: Supply,
    accuracy: Callable[..., Any] | None,
    networks: Point,
    constants: Data,
) -> Float[Tensor, "networks 2"]:
    inputs, targets = supply.test()
    count = len(next(iter(networks.values())))
    policy = findings.passes.batch_norm if findings.normalised else ""
    given = moments(findings, supply, networks, constants) if policy == "recomputed" else {}
    by_batch = findings.normalised if policy == "batch" else frozenset()
    at_once = count if findings.alone is None else 1
    size = len(inputs) if by_batch else max(1, LIVE_FLOATS // (at_once * findings.width))
    totals = torch.zeros(count, 2, dtype=torch.float64)
    for first in range(0, len(inputs), size):
        some = inputs[first : first + size]
        wanted = like(targets[first : first + size], networks)

        def outputs(p: Point, own: Data, m: Moments, some: Shaped[Tensor, "..."] = some) -> Any:
            regime = findings.passes.regime(moments=m, by_batch=by_batch)
            return findings.passes.outputs(p, own, some, regime)

        every = outputs_of_each(outputs, networks, constants, given, stacked=findings.alone is None)
        for i, answers in enumerate(every):
            both = score(findings.passes.criterion, accuracy, answers, wanted)
            totals[i] += len(some) * torch.tensor(both, dtype=torch.float64)
    return totals / len(inputs)
