"""What lies between two baselines of a method."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ravine.regression.baseline import Baseline, Race, Trace
from ravine.regression.golden.tolerance import lengths
from ravine.regression.scenarios import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not in the new baseline as it was in the old.

    Args:
        part: `version`, `trace` or `race`.
        name: of the package, the trace or the problem.
        size: of a trace, the largest distance as a share of the way; of a race, the mean
            change of log2 of the steps, positive where it has become slower; None where it is
            no number.
        words: what changed.
    """

    part: str
    name: str
    size: float | None
    words: str


def diff(old: Baseline, new: Baseline) -> tuple[Change, ...]:
    """Compare two baselines part by part.

    It says what differs at all, however little; whether that matters is for a check to say.

    Args:
        old: the one.
        new: the other.

    Returns:
        The changes: versions, then traces, then races; none if all is the same.

    Example:
        >>> old = Baseline(method="sgd", versions={"torch": "2.12"})
        >>> diff(old, Baseline(method="sgd", versions={"torch": "2.13"}))[0].words
        '2.12, now 2.13'
    """
    return (
        *_versions({"method": old.method, **old.versions}, {"method": new.method, **new.versions}),
        *_parts("trace", _traces(old.traces), _traces(new.traces)),
        *_parts("race", {r.problem: r for r in old.races}, {r.problem: r for r in new.races}),
    )


def _versions(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in {**old, **new}:
        before, after = old.get(name, "unknown"), new.get(name, "unknown")
        if before != after:
            yield Change(part="version", name=name, size=None, words=f"{before}, now {after}")


def _traces(traces: Sequence[Trace]) -> dict[str, Trace]:
    return {f"{trace.drive}, {words(trace.hyper)}": trace for trace in traces}


def _parts(part: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in {**old, **new}:
        if name not in new:
            yield Change(part=part, name=name, size=None, words="gone")
        elif name not in old:
            yield Change(part=part, name=name, size=None, words="new")
        elif old[name] != new[name]:
            size, said = (_apart if part == "trace" else _slower)(old[name], new[name])
            yield Change(part=part, name=name, size=size, words=said)


def _apart(old: Trace, new: Trace) -> tuple[float | None, str]:
    common = [step for step in old.steps if step in new.steps]
    if not common or len(old.ways[0]) != len(new.ways[0]):
        return None, "it has no step in common, or other coordinates"
    before, after = (
        torch.tensor([t.ways[t.steps.index(step)] for step in common], dtype=torch.float64)
        for t in (old, new)
    )
    far = torch.linalg.vector_norm(after - before, dim=1)
    share = torch.where(far == 0, 0.0, far / lengths(before))
    at = int(share.argmax())
    if float(share[at]):
        size = float(share[at])
        return size, f"{size:.1e} of the way apart after step {common[at]}"
    return 0.0, f"kept up to step {old.steps[-1]}, now {new.steps[-1]}"


def _slower(old: Race, new: Race) -> tuple[float | None, str]:
    if old.hyper != new.hyper:
        return None, f"run with {words(old.hyper)}, now {words(new.hyper)}"
    if (old.seeds, old.fresh, old.budget) != (new.seeds, new.fresh, new.budget):
        return None, "other seeds, or another budget"
    size = math.fsum(b - a for a, b in zip(old.runtime, new.runtime, strict=True))
    size /= max(len(old.runtime), 1)
    if size:
        return size, f"{2**size:.3g} times the steps to target"
    return 0.0, "the same steps to target, another final gap"
