"""What `ravine list` and `ravine show` say."""

import inspect
import math
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent

from ravine.engine.probe import probe
from ravine.errors import BadValue, UnknownName, unknown
from ravine.optimizers.base import Method
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.catalogue import method, methods
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.problems.catalogue import problem, problems
from ravine.registry import Registry, parse
from ravine.reporting.drawing import to_png, to_svg
from ravine.reporting.layout import Table, render
from ravine.reporting.pages import write_files
from ravine.reporting.surfaces import surface_figure


@dataclass(frozen=True, slots=True)
class Listing:
    """The entries of a registry."""

    kind: str
    rows: tuple[tuple[str, str, str], ...]

    def records(self) -> list[dict[str, object]]:
        """For programs."""
        return [{"name": n, "tags": t.split(", "), "summary": s} for n, t, s in self.rows]

    def text(self) -> str:
        """For people."""
        kind = self.kind if len(self.rows) != 1 else self.kind.removesuffix("s")
        footer = f"{len(self.rows)} {kind}; `ravine show NAME` says more of one."
        return render(Table(self.kind, ("name", "tags", "what it is"), self.rows, footer))


def listing(kind: str, tag: str = "") -> Listing:
    """List problems or methods.

    Args:
        kind: "problems" or "methods".
        tag: only entries with this tag.

    Raises:
        UnknownName: no entry has the tag.
    """
    registry: Registry[Problem] | Registry[Method] = problems if kind == "problems" else methods
    if tag and tag not in registry.tags:
        raise unknown("tag", tag, registry.tags, f"tags are {', '.join(registry.tags)}")
    entries = [registry[name] for name in (registry.tagged(tag) if tag else registry)]
    return Listing(kind, tuple((e.name, ", ".join(sorted(e.tags)), e.summary) for e in entries))


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
            return _method_card(method(id))
        except BadValue as error:
            try:
                return _problem_card(problem(id), out)
            except BadValue as other:
                raise BadValue(f"{error}; as a problem: {other}") from None
    if name in set(problems):
        return _problem_card(problem(id), out)
    if name in set(methods):
        return _method_card(method(id))
    raise unknown(
        "problem or method",
        name,
        [*problems, *methods],
        "`ravine list problems` or `ravine list methods`",
    )


def _problem_card(shown: Problem, out: Path | None) -> Card:
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
        "source": facts.source,
    }
    known |= {
        k: v for k, v in optional.items() if v or (v == 0.0 and v is not False and k != "lag")
    }
    pictures: tuple[Path, ...] = ()
    if out is not None and isinstance(shown, Analytic):
        figure = surface_figure(shown)
        stem = "surface-" + "".join(c if c.isalnum() or c in "-_." else "_" for c in shown.name)
        files = {f"{stem}.png": to_png(figure), f"{stem}.svg": to_svg(figure)}
        pictures = write_files(out, files)[:1]
    return Card(shown.name, _described(problems, shown.name), known, pictures)


def _method_card(shown: Method) -> Card:
    able = capabilities(shown)
    known: dict[str, object] = {
        "name": shown.name,
        "tuned": {k.name: [k.low, k.high, str(k.scale)] for k in shown.knobs},
        "fixed": {k: str(v) for k, v in shown.fixed.items()},
        "stacks": str(probe(shown)),
        "needs": [
            words
            for words, needed in (
                ("a closure", able.closure),
                ("sparse gradients", able.sparse_only),
                ("matrix parameters", able.matrix_only),
            )
            if needed
        ],
        "source": shown.source,
    }
    if able.reason:
        known["unsupported"] = able.reason
    return Card(shown.name, _described(methods, shown.name), known)


def _described(registry: Registry[Problem] | Registry[Method], id: str) -> str:
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
