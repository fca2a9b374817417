"""What `ravine list` and `ravine show` say; torch and matplotlib are imported where needed."""

import inspect
import math
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, Literal

from ravine.errors import BadValue, RavineError, UnknownName, unknown
from ravine.index import Catalogue, Item, catalogue, found, installed
from ravine.registry import Registry, parse
from ravine.reporting.layout import Table, render

if TYPE_CHECKING:
    from ravine.problems.analytic import Analytic

EXTRA = 'pip install "ravine[zoo]"'
"""What installs the distributions that methods come from."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Some entries of a registry.

    Args:
        kind: "problems" or "methods".
        rows: name, tags and a sentence for each.
        says: what the sentence is.
        absent: how many more there are in distributions that are not installed.
    """

    kind: Catalogue
    rows: tuple[tuple[str, tuple[str, ...], str], ...]
    says: Literal["summary", "reason"] = "summary"
    absent: int = 0

    def records(self) -> list[dict[str, object]]:
        """For programs."""
        return [{"name": n, "tags": list(t), self.says: s} for n, t, s in self.rows]

    def text(self) -> str:
        """For people."""
        count = f"{len(self.rows)} {self.kind}"
        if len(self.rows) == 1:
            count = count.removesuffix("s")
        title: str = self.kind
        column, more = "what it is", "more"
        footer = f"{count}; `ravine show NAME` says more of one."
        if self.says == "reason":
            title, column, more = "methods that cannot step", "why not", "not tried"
            footer = f"{count} cannot step on anything that was tried."
        if self.absent:
            footer += f" With `{EXTRA}`: {self.absent} {more}."
        rows = tuple((name, ", ".join(tags), said) for name, tags, said in self.rows)
        return render(Table(title, ("name", "tags", column), rows, footer))


def listing(kind: Catalogue, tag: str = "", unsupported: bool = False) -> Listing:
    """List problems or methods, importing neither.

    Args:
        kind: "problems" or "methods".
        tag: only entries with this tag.
        unsupported: only methods that cannot step at all, with the reason.

    Raises:
        UnknownName: no entry has the tag.
        BadValue: problems are asked for those that cannot step.
    """
    if unsupported and kind == "problems":
        raise BadValue(
            "`--unsupported` lists methods that cannot step, not problems; "
            "write `ravine list methods --unsupported`"
        )
    items = catalogue(kind)
    if tag:
        tags = sorted({tag for item in items for tag in item.tags})
        if tag not in tags:
            raise unknown("tag", tag, tags, f"tags are {', '.join(tags)}")
        items = tuple(item for item in items if tag in item.tags)
    here = [item for item in items if not item.needs or installed(item.needs)]
    absent = len(items) - len(here)
    if unsupported:
        reasons = [(item, _obstacle(item)) for item in here]
        rows = tuple((item.name, item.tags, reason) for item, reason in reasons if reason)
        return Listing(kind, rows, "reason", absent)
    return Listing(kind, tuple((i.name, i.tags, i.summary) for i in here), absent=absent)


def _obstacle(item: Item) -> str:
    """Why a method cannot step at all, empty where it can."""
    if item.found:
        return str(item.found.get("unsupported", ""))
    from ravine.optimizers.capabilities import capabilities
    from ravine.optimizers.catalogue import method

    try:
        return capabilities(method(item.name)).reason or ""
    except RavineError as error:
        return str(error)


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of one entry.

    Args:
        title: its canonical id.
        description: its docstring.
        facts: what is known, by name.
        pictures: files that were written.
    """

    title: str
    description: str
    facts: dict[str, object]
    pictures: tuple[Path, ...] = field(default=())

    def text(self) -> str:
        """For people."""
        lines = [self.title, "", indent(self.description, "  "), ""]
        for name, value in self.facts.items():
            if name == "critical_points":
                lines += [f"  {name}:", *(f"    {_point(p)}" for p in value)]  # type: ignore[attr-defined]
            elif name == "invariance":
                lines += [f"  {name}:", *(f"    {p}: {v}" for p, v in value.items())]  # type: ignore[attr-defined]
            elif name != "name":
                lines.append(f"  {name}: {_value(value)}")
        lines += [f"  picture: {path}" for path in self.pictures]
        return "\n".join(lines)


def card(id: str, out: Path | None) -> Card:
    """Describe a problem or a method.

    Args:
        id: of either; a `file.py:name` is tried as a method, then as a problem.
        out: folder for the picture of a surface, None for no picture.

    Raises:
        UnknownName: neither a problem nor a method; with close matches of both.
    """
    name = parse(id).name
    if ":" in name:
        try:
            return _method_card(id)
        except BadValue as error:
            try:
                return _problem_card(id, out)
            except BadValue as other:
                raise BadValue(f"{error}; as a problem: {other}") from None
    problems, methods = ([i.name for i in catalogue(k)] for k in ("problems", "methods"))
    if name in problems:
        return _problem_card(id, out)
    if name in methods:
        return _method_card(id)
    raise unknown(
        "problem or method",
        name,
        [*problems, *methods],
        "`ravine list problems` or `ravine list methods`",
    )


def _problem_card(id: str, out: Path | None) -> Card:
    from ravine.problems.analytic import Analytic
    from ravine.problems.catalogue import problem, problems

    shown = problem(id)
    facts = shown.facts
    known: dict[str, object] = {
        "name": shown.name,
        "parameters": {k: list(v) for k, v in shown.shapes.items()},
        "budget": shown.traits.budget,
        "goal": str(facts.goal),
        "targets": list(facts.targets),
        "gradient": "stochastic" if shown.traits.stochastic else "exact",
    }
    optional = {
        "minimum": facts.minimum,
        "minimizers": [list(x) for x in facts.minimizers],
        "critical_points": [
            {"kind": str(c.kind), "x": list(c.x), "value": c.value} for c in facts.critical_points
        ],
        "critical_points_complete": facts.complete or None,
        "eigenvalues": list(facts.eigenvalues),
        "condition_number": facts.condition,
        "smoothness": facts.smoothness,
        "strong_convexity": facts.strong_convexity,
        "box": shown.traits.box,
        "lag": shown.traits.lag,
        "one_at_a_time": shown.traits.unstacked,
        "source": facts.source,
    }
    known |= {
        k: v for k, v in optional.items() if v or (v == 0.0 and v is not False and k != "lag")
    }
    pictures: tuple[Path, ...] = ()
    if out is not None and isinstance(shown, Analytic):
        pictures = _pictures(shown, out)
    return Card(shown.name, _described(problems, shown.name), known, pictures)


def _pictures(shown: "Analytic", out: Path) -> tuple[Path, ...]:
    from ravine.reporting.drawing import to_png, to_svg
    from ravine.reporting.pages import write_files
    from ravine.reporting.surfaces import surface_figure

    figure = surface_figure(shown)
    stem = "surface-" + "".join(c if c.isalnum() or c in "-_." else "_" for c in shown.name)
    files = {f"{stem}.png": to_png(figure), f"{stem}.svg": to_svg(figure)}
    return write_files(out, files)[:1]


def _method_card(id: str) -> Card:
    from ravine.optimizers.catalogue import method, methods

    shown = method(id)
    known: dict[str, object] = {
        "name": shown.name,
        "tuned": {k.name: [k.low, k.high, str(k.scale)] for k in shown.knobs},
        "fixed": {k: str(v) for k, v in shown.fixed.items()},
        **found(shown),
        "source": shown.source,
    }
    return Card(shown.name, _described(methods, shown.name), known)


def _described(registry: Registry[Any], id: str) -> str:
    name = parse(id).name
    try:
        factory = registry[name].factory
    except UnknownName:
        return "A user's own."
    return inspect.getdoc(factory) or ""


def _point(point: dict[str, object]) -> str:
    return f"{point['kind']} at {_value(point['x'])}, value {_value(point['value'])}"


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.7g}" if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]" if value else "none"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items()) or "none"
    return str(value)
