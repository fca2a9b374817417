"""What an experiment is: a function of a scale that returns figures, tables and claims."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from pkgutil import walk_packages
from typing import TypeVar

from matplotlib.figure import Figure

from ravine.errors import BadValue, unknown
from ravine.experiments.claims import Claim
from ravine.reporting.layout import Table

T = TypeVar("T")

Tick = Callable[[float], None]
"""Told the share that is done."""


class Scale(StrEnum):
    """How much is run."""

    QUICK = "quick"
    """At least five seeds; seconds to half a minute."""
    FULL = "full"
    """All of the data, and more seeds."""

    def choose(self, quick: T, full: T) -> T:
        """The one value or the other."""
        return full if self is Scale.FULL else quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an experiment returns.

    Args:
        claims: each with its measurement.
        figures: by file stem, the one that says most first; their titles are captions.
        tables: by file stem.
        animations: GIF files by file stem.
        remark: one or two sentences on what stands in for the source's own setting, and on
            what a reader should not conclude.
    """

    claims: Sequence[Claim]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    animations: Mapping[str, bytes] = field(default_factory=dict)
    remark: str = ""

    def __post_init__(self) -> None:
        keys = [claim.key for claim in self.claims]
        if not keys or len(set(keys)) < len(keys):
            raise BadValue(f"an experiment needs claims with different keys, got {keys}; name them")


Body = Callable[[Scale, Tick], Found]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A named phenomenon.

    Args:
        id: `A1`, `edge-of-stability`.
        title: a few words.
        line: what is said of it, in a sentence or two; the docstring.
        source: author, year, arXiv or doi.
        body: runs it.
    """

    id: str
    title: str
    line: str
    source: str
    body: Body

    @property
    def group(self) -> str:
        """The file that holds it, a source."""
        return self.body.__module__.removeprefix("ravine.experiments.")


_found: dict[str, Experiment] = {}


def experiment(id: str, title: str, source: str) -> Callable[[Body], Body]:
    """Decorate a function that runs an experiment; its docstring says what is claimed.

    Args:
        id: unique, letters, digits and hyphens.
        title: a few words.
        source: author, year, arXiv or doi.

    Raises:
        BadValue: the id is taken, or there is no docstring.
    """

    def add(body: Body) -> Body:
        line = " ".join((inspect.getdoc(body) or "").partition("Args:")[0].split())
        if not line or id in _found:
            raise BadValue(f"experiment `{id}` needs a docstring and an id of its own; give both")
        _found[id] = Experiment(id, title, line, source, body)
        return body

    return add


def experiments() -> Mapping[str, Experiment]:
    """All experiments by id: the notes' in the order of their letters, then the papers'."""
    import ravine.experiments as package

    for module in walk_packages(package.__path__, "ravine.experiments."):
        import_module(module.name)

    def order(id: str) -> tuple[bool, str, int, str]:
        noted = id[:1].isupper() and id[1:].isdigit()
        return (not noted, id[:1] if noted else "", int(id[1:]) if noted else 0, id)

    return {id: _found[id] for id in sorted(_found, key=order)}


def select(words: Sequence[str]) -> list[Experiment]:
    """The experiments that ids, letters of the notes, sources or `all` name, each once.

    Args:
        words: `A1`, `A`, `edge-of-stability`, `cohen_2021`, `all`.

    Raises:
        UnknownName: a word names none.
    """
    every = experiments()
    groups = {e.group.split(".")[0] for e in every.values()}
    chosen: dict[str, Experiment] = {}
    for word in words:
        match = {
            id: e
            for id, e in every.items()
            if word in ("all", id, e.group, e.group.split(".")[0])
            or (len(word) == 1 and id[0] == word and id[1:].isdigit())
        }
        if not match:
            raise unknown("experiment", word, [*every, *groups], "`ravine reproduce` lists them")
        chosen |= match
    return list(chosen.values())
