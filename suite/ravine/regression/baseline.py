"""What an optimizer did when it was known to be right, as a text file."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from ravine.errors import BadValue, StoreError
from ravine.registry import Id, parse

FORMAT = 1
"""Raised when the meaning of a field changes."""

Hyper = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A golden run.

    Args:
        drive: what gave the gradients: a problem's id, or `tape`.
        hyper: the hyperparameters that differ from the method's own.
        steps: at which the way was kept, ascending.
        ways: how far each coordinate was then from its start, `[steps][coordinates]`.
    """

    drive: str
    hyper: dict[str, Any]
    steps: tuple[int, ...]
    ways: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Scores of one setting on one problem, seed by seed.

    Args:
        problem: id.
        hyper: the hyperparameters, chosen on seeds of their own.
        budget: steps of a run.
        seeds: of the first look.
        fresh: of the second look.
        runtime: log2 of the penalised steps to target, `seeds` first, then `fresh`.
        gap: log10 of the final relative gap (of the final loss where no minimum is known),
            `seeds` first, then `fresh`.
    """

    problem: str
    hyper: dict[str, Any]
    budget: int
    seeds: tuple[int, ...]
    fresh: tuple[int, ...]
    runtime: tuple[float, ...]
    gap: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a method did, and the versions that made it do so.

    Args:
        method: canonical id.
        versions: of ravine, torch, numpy and Python, and the machine's architecture.
        traces: golden runs.
        races: scores, problem by problem.
        format: of the file.
    """

    method: str
    versions: dict[str, str]
    traces: tuple[Trace, ...] = ()
    races: tuple[Race, ...] = ()
    format: int = field(default=FORMAT)


def versions() -> dict[str, str]:
    """What is installed here, as far as it decides numbers."""
    packages = {name: version(name) for name in ("ravine", "torch", "numpy")}
    return {**packages, "python": platform.python_version(), "machine": platform.machine()}


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write a baseline as JSON with a trace or a race on a line, so that a diff can be read.

    Raises:
        StoreError: the file cannot be written.
    """
    head = {"format": baseline.format, "method": baseline.method, "versions": baseline.versions}
    lines = [f'"{key}": {_json(value)}' for key, value in head.items()]
    lines += [f'"{key}": [{_rows(getattr(baseline, key))}]' for key in ("traces", "races")]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a name of its own and a rename, so that an interruption leaves the old file whole
        fresh = path.with_name(f".{path.name}.new")
        try:
            fresh.write_text("{\n" + ",\n".join(lines) + "\n}\n")
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write `{path}`: {error.strerror}; choose another place") from None


def _rows(parts: Iterable[Trace | Race]) -> str:
    rows = ",\n".join(map(_json, parts))
    return f"\n{rows}\n" if rows else ""


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        StoreError: the file cannot be read.
        BadValue: it is no baseline, or one of another format.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"cannot read `{path}`: {error.strerror}; `ravine baseline save METHOD` writes one"
        ) from None
    try:
        found = msgspec.json.decode(text, type=Baseline)
    except msgspec.MsgspecError as error:
        raise BadValue(f"`{path}` is no baseline: {error}; save it again") from None
    if found.format != FORMAT:
        raise BadValue(
            f"`{path}` has format {found.format}, this version reads {FORMAT}; save it again"
        )
    return replace(
        found,
        traces=tuple(replace(trace, hyper=_tuples(trace.hyper)) for trace in found.traces),
        races=tuple(replace(race, hyper=_tuples(race.hyper)) for race in found.races),
    )


def _tuples(hyper: Hyper) -> dict[str, Any]:
    """JSON has no tuples, and constructors take no lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in hyper.items()}


def filename(method: str) -> str:
    """The name of a method's file: `sgd(momentum=0.9)` is `sgd-momentum-0.9.json`.

    Example:
        >>> filename("sgd(momentum=0.9)"), filename("my.py:Opt")
        ('sgd-momentum-0.9.json', 'my.py-Opt.json')
    """
    words = "".join(c if c.isalnum() or c in "._" else " " for c in method).split()
    return "-".join(words) + ".json"


def shipped(method: str | Id) -> Baseline | None:
    """The baseline that the package brings for a method, None if it brings none.

    Args:
        method: id; one with hyperparameters has none unless it was saved under them.
    """
    id = parse(method) if isinstance(method, str) else method
    place = files("ravine.regression") / "baselines" / filename(str(id))
    path = Path(str(place))
    return read_baseline(path) if path.is_file() else None


def all_shipped() -> tuple[str, ...]:
    """The ids of all methods that the package brings a baseline of."""
    folder = Path(str(files("ravine.regression") / "baselines"))
    return tuple(sorted(read_baseline(path).method for path in folder.glob("*.json")))
