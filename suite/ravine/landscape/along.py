"""Losses and errors at many points of straight lines: in stacks, or with first layers shared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.sharing.evaluate import Coefficients, Way, share
from ravine.landscape.surface import Surface, blocks, moments_at, unpack, weighted_parts
from ravine.problems.base import Data, Point
from ravine.problems.networks.model import Moments

MANY = 16
"""Points on a line from which on its first layers may be shared: to find out costs about six."""

_TOGETHER = 16  # points between two words to a listener


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What was found on lines.

    Args:
        values: by surface, for each line at each of its alphas: the loss, and the share of
            wrong answers where there are right ones.
        ways: of each line, `shared` or `plain`.
        reasons: which weights' products are shared, or why none are.
    """

    values: Mapping[str, Float64[Tensor, "scores k A"]]
    ways: tuple[str, ...]
    reasons: tuple[str, ...]


def interpolate(
    start: Float[Tensor, "*k P"], end: Float[Tensor, "*k P"], alphas: Float[Tensor, "*k"]
) -> Float[Tensor, "*k P"]:
    """Start + alpha (end - start) for every row, each computed from the nearer end.

    At alpha 0 and 1 it is the ends to the last bit.

    Example:
        >>> ends = torch.tensor([[0.1], [0.1]]), torch.tensor([[0.7], [0.7]])
        >>> found = interpolate(*ends, torch.tensor([0.0, 1.0]))
        >>> torch.equal(found, torch.tensor([[0.1], [0.7]]))
        True
    """
    return torch.lerp(start, end, alphas.to(start.dtype).unsqueeze(-1))


def scores(
    surfaces: Mapping[str, Surface],
    starts: Float[Tensor, "k P"],
    ends: Float[Tensor, "k P"],
    alphas: Float64[Tensor, "k A"],
    listener: Callable[[float], None] = lambda share: None,
    way: Way = "auto",
) -> Scores:
    """Losses, and errors where there are any, at own alphas on each line.

    A block of points, and moments of batch normalisation that several surfaces share, are
    computed once for all of them.  On a line of many points the first layers are computed
    once, where that is worth it; it then differs by rounding from the surface at its points,
    but for alpha 0 and 1, where it is the surface itself.

    Args:
        surfaces: by name, of one problem.
        starts: points at alpha 0.
        ends: points at alpha 1.
        alphas: of each line.
        listener: told the share of points that are evaluated.
        way: share first layers where that is worth it, always, or never.

    Raises:
        BadValue: `way` is `shared` and nothing can be.
    """
    count, many = alphas.shape
    rows: list[Mapping[str, Tensor]] = []
    reason = "asked for" if way == "plain" else f"its points are fewer than {MANY}"
    reasons: list[str] = []

    def heard(share: float) -> None:
        listener((len(rows) + share) / count)

    while len(rows) < count and (way == "shared" or (way == "auto" and many >= MANY)):
        one = slice(len(rows), len(rows) + 1)
        found, reason = _shared(surfaces, starts[one], ends[one], alphas[one], way, heard)
        if found is None:
            break  # what cannot be shared on one line cannot on the next
        rows.append(found)
        reasons.append(reason)
    done = len(rows)
    if done < count:

        def told(share: float) -> None:
            listener((done + share * (count - done)) / count)

        rows.append(_stacked(surfaces, starts[done:], ends[done:], alphas[done:], told))
    values = {name: torch.cat([row[name] for row in rows], 1) for name in surfaces}
    for each in values.values():
        each[1:] = 1 - each[1:]
    left = count - done
    return Scores(values, ("shared",) * done + ("plain",) * left, (*reasons, *[reason] * left))


def _stacked(
    surfaces: Mapping[str, Surface],
    starts: Float[Tensor, "k P"],
    ends: Float[Tensor, "k P"],
    alphas: Float64[Tensor, "k A"],
    listener: Callable[[float], None] = lambda share: None,
) -> dict[str, Float64[Tensor, "scores k A"]]:
    """Loss and accuracy, points taken together by as many as fit into memory."""
    flat = alphas.flatten()
    pair = torch.arange(len(alphas)).repeat_interleave(alphas.shape[1])
    found = {
        name: torch.zeros(1 if s.accuracy is None else 2, len(flat), dtype=torch.float64)
        for name, s in surfaces.items()
    }
    smallest = max((blocks(s, len(flat)) for s in surfaces.values()), key=len)
    with torch.no_grad():
        for block in smallest:
            rows = pair[block]
            x = interpolate(starts[rows], ends[rows], flat[block].to(starts.device))
            known: dict[object, Moments | None] = {}
            for name, surface in surfaces.items():
                point = unpack(surface, x)
                if surface.moments not in known:
                    known[surface.moments] = moments_at(surface, point)
                moments = known[surface.moments]
                for part, weight in weighted_parts(surface):
                    for row, value in enumerate(_values(surface, point, part.data, moments)):
                        found[name][row, block] += weight * value.double().cpu()
            listener(block.stop / len(flat))
    return {name: v.view(-1, *alphas.shape) for name, v in found.items()}


def _shared(
    surfaces: Mapping[str, Surface],
    start: Float[Tensor, "1 P"],
    end: Float[Tensor, "1 P"],
    alphas: Float64[Tensor, "1 A"],
    way: Way,
    listener: Callable[[float], None],
) -> tuple[dict[str, Float64[Tensor, "scores 1 A"]] | None, str]:
    """Loss and accuracy on one line with first layers computed once, or why not so."""

    @cache
    def plainly(at: Coefficients) -> dict[str, Float64[Tensor, "scores 1"]]:
        alpha = torch.tensor([at], dtype=torch.float64)
        return {name: v[:, 0] for name, v in _stacked(surfaces, start, end, alpha).items()}

    line = alphas[0]
    sharing, reason = share(
        surfaces,
        (start[0], (end - start)[0]),
        _values,
        [(0.0,), (1.0,), (float(line[len(line) // 3]),)],
        plainly,
        len(line),
        always=way == "shared",
    )
    if sharing is None:
        if way == "shared":
            names = ", ".join(dict.fromkeys(s.name for s in surfaces.values()))
            raise BadValue(f"nothing can be shared on `{names}`: {reason}; use way=plain")
        return None, reason
    rows = []
    for first in range(0, len(line), _TOGETHER):
        some = line[first : first + _TOGETHER].tolist()
        rows.append(sharing.row(some))
        listener((first + len(some)) / len(line))
    found = {name: torch.cat([row[name] for row in rows], -1) for name in surfaces}
    for end_alpha in (0.0, 1.0):
        for name, value in plainly((end_alpha,)).items():
            found[name][:, line == end_alpha] = value
    return {name: v[:, None] for name, v in found.items()}, reason


def _values(
    surface: Surface, point: Point, data: Data, moments: Moments | None
) -> Sequence[Float[Tensor, "*stack"]]:
    """Loss, and accuracy where there is one, in as few evaluations as may be."""
    if surface.both is not None:
        return surface.both(point, data, moments)
    ways = (surface.mean, surface.accuracy)
    return tuple(score(point, data, moments) for score in ways if score is not None)
