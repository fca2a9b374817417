"""Keys: the hash of everything that decides a run's numbers."""

import hashlib
import inspect
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from ravine.optimizers.base import Method, Setting
from ravine.problems.base import Problem
from ravine.records.schema import VERSION
from ravine.registry import Id, parse

RULES = 2
"""Raised when the rules change by which runs are scored, so that no two rules are mixed."""


def run_keys(
    problem: Problem, setting: Setting, seeds: Sequence[int], budget: int, dtype: str, device: str
) -> list[str]:
    """Keys of the runs of one setting on one problem, one for each seed.

    The versions of torch and of the problem, and the text of a user's own file, are part
    of the key: what was run with other code is not taken for the same run.
    """
    stem = hashlib.sha256(
        repr(
            (
                VERSION,
                RULES,
                torch.__version__,
                problem.name,
                problem.version,
                fingerprint(problem.name),
                setting.name,
                fingerprint(setting.method.name),
                _home(setting.method),
                budget,
                dtype,
                device.partition(":")[0],
            )
        ).encode()
    )
    keys = []
    for seed in seeds:
        digest = stem.copy()
        digest.update(str(seed).encode())
        keys.append(digest.hexdigest()[:24])
    return keys


def fingerprint(name: str) -> str:
    """Hash of the user's files that an id names, however deep; empty if there are none."""
    if ":" not in name:
        return ""
    # not cached: a file may be edited between two comparisons of one session
    texts = [_text(word) for word in _references(parse(name))]
    return hashlib.sha256(b"\0".join(texts)).hexdigest() if texts else ""


def _references(value: object) -> list[str]:
    if isinstance(value, Id):
        inner = [r for v in (*value.args, *(v for _, v in value.kwargs)) for r in _references(v)]
        return _references(value.name) + inner
    return [value] if isinstance(value, str) and ":" in value else []


def _text(reference: str) -> bytes:
    head = reference.rpartition(":")[0]
    path = Path(head)
    if not path.is_file():
        try:
            spec = find_spec(head)
        except (ImportError, ValueError):
            return b""
        if spec is None or spec.origin is None:
            return b""
        path = Path(spec.origin)
    return path.read_bytes() if path.is_file() else b""


def _home(method: Method) -> str:
    """Hash of the file a plugin's optimizer is written in; torch speaks by its version."""
    build = inspect.unwrap(method.build)
    if (getattr(build, "__module__", "") or "").partition(".")[0] in {"torch", "ravine"}:
        return ""
    try:
        path = inspect.getsourcefile(build)
    except TypeError:
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""
