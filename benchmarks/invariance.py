"""What the runs of each method do not depend on, measured.

    python benchmarks/invariance.py                  all methods, some minutes
    python benchmarks/invariance.py torch "adam(eps=0)"

Arguments are methods, or tags of methods (`ravine list methods`).  Writes
`reports/tables/invariance.md`, a method a row and a property a column, and `invariance.csv`,
a finding a row with its deviation.
"""

import argparse
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from ravine.errors import RavineError
from ravine.optimizers import method, methods
from ravine.optimizers.capabilities import one_line
from ravine.optimizers.invariance import Card, Property, Verdict, invariance
from ravine.registry import parse
from ravine.reporting.cells import gap
from ravine.reporting.layout import Form, Table, render

OUT = Path(__file__).parent.parent / "reports" / "tables"

HEADS = {
    Property.LINE_PERMUTATION: "rows and columns permuted",
    Property.LINE_ROTATION: "rows and columns rotated",
}
"""Columns that go by another name than the property."""

LEGEND = (
    "yes: the same run up to rounding",
    "nearly: apart by this share of the way gone",
    "no: further apart",
    "cannot tell: its steps are random, and another seed changes as much",
    "fails: an error",
    "shape: the same numbers as a vector or a matrix",
    "split: as one parameter or two",
    "seed and repetition: the same bits",
)


def asked(words: Sequence[str]) -> list[str]:
    """The methods that names and tags stand for; all of them if there is none."""
    tags = methods.tags
    named = [methods.tagged(word) if word in tags else [word] for word in words]
    return [name for names in named for name in names] if words else list(methods)


def measured(name: str) -> Card:
    """A card, whatever happens on the way."""
    try:
        return invariance(method(name))
    except RavineError as error:
        return Card(name, reason=str(error))
    except Exception as error:  # a package that cannot be loaded ends no table
        return Card(name, reason=one_line(error))


def row(name: str, card: Card) -> tuple[str, ...]:
    """A line of the wide table."""
    if card.reason:
        return (name, *[""] * len(Property), f"not measured: {card.reason}")
    cells, remarks = [], list(card.notes)
    for asked in Property:
        finding = card[asked]
        nearly = finding.verdict is Verdict.NEARLY
        cells.append(f"nearly {finding.deviation:.0e}" if nearly else str(finding.verdict))
        if finding.reason:
            remarks.append(f"{_words(asked)} {finding}")
    return (name, *cells, "; ".join(remarks))


def details(name: str, card: Card) -> list[tuple[str, ...]]:
    """The lines of the long table."""
    if card.reason:
        return [(name, card.setting, "", "", "", "", card.reason)]
    return [
        (
            name,
            card.setting,
            str(f.property),
            str(f.verdict),
            gap(f.deviation, why=""),
            f.case,
            f.reason,
        )
        for f in card.findings
    ]


def _words(asked: Property) -> str:
    return HEADS.get(asked, str(asked).replace("_", " "))


def _packages(names: Sequence[str]) -> list[str]:
    known = [methods[parse(n).name] for n in names if parse(n).name in methods]
    return ["ravine", "torch", *sorted({entry.needs for entry in known if entry.needs})]


def main(words: Sequence[str]) -> None:
    """Measure, and write the tables."""
    torch.set_num_threads(1)
    names = asked(words)
    cards = {}
    for name in names:
        cards[name] = measured(name)
        print(name, cards[name].reason)
    command = shlex.join(["python", "benchmarks/invariance.py", *words])
    versions = ", ".join(f"{name} {version(name)}" for name in _packages(names))
    wide = Table(
        "What the runs of a method do not depend on, measured",
        ("method", *map(_words, Property), "remarks"),
        tuple(row(name, card) for name, card in cards.items()),
        f"{'; '.join(LEGEND)}. Made by {command} with {versions}.",
    )
    long = Table(
        wide.title,
        ("method", "setting", "property", "verdict", "deviation", "case", "reason"),
        tuple(line for name, card in cards.items() for line in details(name, card)),
    )
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "invariance.md").write_text(render(wide, Form.MARKDOWN), encoding="utf-8")
    (OUT / "invariance.csv").write_text(render(long, Form.CSV), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the invariances of methods.")
    parser.add_argument("methods", nargs="*", help="names or tags; all methods if none")
    main(parser.parse_args().methods)
