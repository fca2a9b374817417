"""The catalogue as a small file, so that `ravine list` and `ravine show` need not try it out.

`index.json` holds what the registries say of every problem and method, and of every method
what trying it showed. `python -m ravine.index` writes it; a test holds it to the registries.
Of methods it speaks for the versions of the packages that it names: where another one is
installed, the registries are asked, and the methods tried.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from ravine.optimizers.base import Method
    from ravine.registry import Registry

FILE = Path(__file__).with_name("index.json")

COMMAND = "python -m ravine.index"
"""What writes the file again."""

Catalogue = Literal["problems", "methods"]


@dataclass(frozen=True, slots=True)
class Item:
    """What is known of an entry of a registry without importing it.

    Args:
        name: in its registry.
        tags: sorted.
        summary: the first line of its docstring.
        needs: the distribution that it comes from, empty for what ravine itself requires.
        found: of a method, what `findings` says.
    """

    name: str
    tags: tuple[str, ...] = ()
    summary: str = ""
    needs: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Index:
    """What the file holds.

    Args:
        versions: of the distributions that methods come from, by name.
        problems: sorted by name.
        methods: sorted by name.
    """

    versions: dict[str, str]
    problems: tuple[Item, ...]
    methods: tuple[Item, ...]

    @property
    def fits(self) -> bool:
        """Whether what is installed is what the file speaks of, up to the last number.

        `2.13.0+cpu` is `2.13`, as `2.13.1` is; a distribution that is absent says nothing.
        """
        return all(
            _release(found) == _release(made)
            for name, made in self.versions.items()
            if (found := installed(name))
        )


@cache
def read() -> Index:
    """Read the file."""
    return msgspec.json.decode(FILE.read_bytes(), type=Index)


def catalogue(kind: Catalogue) -> tuple[Item, ...]:
    """List what can be asked for by name, importing as little as possible.

    Entries whose distribution is not installed are among them. Those of other packages
    are known by their metadata alone, and are not loaded.

    Args:
        kind: "problems" or "methods".
    """
    known = read()
    own = getattr(known, kind) if kind == "problems" or known.fits else registered(kind)
    return (*own, *plugins(kind))


def plugins(kind: Catalogue) -> tuple[Item, ...]:
    """List the entry points that other packages declare."""
    points = entry_points(group=f"ravine.{kind}")
    return tuple(Item(p.name, ("plugin",), p.dist.name if p.dist else p.value) for p in points)


def registered(kind: Catalogue) -> tuple[Item, ...]:
    """List what a registry says itself, sorted by name, without other packages' entries."""
    entries = [entry for entry in _registry(kind).values() if "plugin" not in entry.tags]
    return tuple(
        Item(entry.name, tuple(sorted(entry.tags)), entry.summary, entry.needs)
        for entry in sorted(entries, key=lambda entry: entry.name)
    )


def found(method: "Method") -> Mapping[str, Any]:
    """Say what trying a method showed: from the file where it knows, else by trying.

    Args:
        method: any; one with arguments, or of a user's own, is tried.
    """
    known = read()
    shipped = {item.name: item.found for item in known.methods} if known.fits else {}
    return shipped.get(method.name) or findings(method)


def findings(method: "Method") -> dict[str, object]:
    """Try a method, and say in words what it showed; everything here lands in the file.

    Returns:
        `stacks`: how far its runs share tensors; `needs`: what it demands of a problem;
        `unsupported`: why it cannot step at all, where it cannot; `invariance`: what its
        runs do not depend on, by property.
    """
    from ravine.engine.probe import probe
    from ravine.optimizers.capabilities import capabilities
    from ravine.optimizers.invariance import invariance
    from ravine.optimizers.invariance import said as in_words

    able = capabilities(method)
    said: dict[str, object] = {"stacks": str(probe(method)), "needs": list(able.demands)}
    if able.reason:
        return said | {"unsupported": able.reason}
    return said | {"invariance": in_words(invariance(method))}


@cache
def installed(distribution: str) -> str:
    """The version of a distribution, empty where there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def collect() -> Index:
    """Ask the registries, and try every method; takes minutes.

    Entries of distributions that are not installed here stay as the file has them.
    """
    from ravine.optimizers.catalogue import method

    problems = registered("problems")
    before = read() if FILE.exists() else Index({}, (), ())
    kept = {i.name: i for i in before.methods if i.needs and not installed(i.needs)}
    asked = {item.name: item for item in registered("methods")} | kept
    methods = tuple(
        replace(item, found=findings(method(name))) if name not in kept else item
        for name, item in sorted(asked.items())
    )
    versions = {
        name: _plain(installed(name)) or before.versions.get(name, "")
        for name in sorted({"torch", *(item.needs for item in methods if item.needs)})
    }
    return Index(versions, problems, methods)


def text(index: Index) -> str:
    """The file's text: an entry a line, so that a change shows as what it is."""
    parts = [f'"versions": {json.dumps(index.versions)}']
    for kind in ("problems", "methods"):
        lines = (
            json.dumps({k: v for k, v in asdict(item).items() if v}, ensure_ascii=False)
            for item in getattr(index, kind)
        )
        parts.append(f'"{kind}": [\n' + ",\n".join(lines) + "\n]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _registry(kind: Catalogue) -> "Registry[Any]":
    from ravine.optimizers.catalogue import methods
    from ravine.problems.catalogue import problems

    return problems if kind == "problems" else methods


def _plain(version: str) -> str:
    return version.partition("+")[0]


def _release(version: str) -> list[str]:
    return _plain(version).split(".")[:2]


if __name__ == "__main__":
    FILE.write_text(text(collect()), encoding="utf-8")
