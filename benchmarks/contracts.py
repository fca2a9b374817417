"""Which contracts each method keeps, which it breaks, and what could not be looked at.

    python benchmarks/contracts.py [METHOD ...]

Every method, or those that are named, is held to every contract without a baseline, two
processes at a time; lines of others stay.  Writes
`reports/tables/contracts.md`, what is broken and by whom, and `contracts.csv`, all of it.
"""

import csv
import sys
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import torch

from ravine.optimizers import method, methods
from ravine.optimizers.capabilities import capabilities
from ravine.regression.contracts import CONTRACTS, decide
from ravine.regression.decisions import Case, Status
from ravine.reporting.layout import Form, Table, render

OUT = Path(__file__).parent.parent / "reports" / "tables"

SLOW = {"pytorch_optimizer.spectralsphere": "a step on a matrix takes a second"}
"""What would take hours, and why."""

Row = tuple[str, str, str, str]

WORDS = {Status.SAME: "holds", Status.DIFFERENT: "broken", Status.LEFT_OUT: "left out"}


def rows(name: str) -> list[Row]:
    """Lines of the table: a method, a contract, whether it holds, and what was seen."""
    torch.set_num_threads(1)
    made = method(name)
    reason = SLOW.get(name) or capabilities(made).reason
    if reason:
        return [(name, contract, WORDS[Status.LEFT_OUT], reason) for contract in CONTRACTS]
    found = [
        (name, d.name, WORDS[d.status], "" if d.status is Status.SAME else d.seen)
        for d in decide(Case(method=made))
    ]
    print(name, *(f"{row[1]}: {row[3]}" for row in found if row[2] == "broken"), sep="\n    ")
    return found


def summary(found: list[Row]) -> Table:
    """How many methods keep each contract, and which break it."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    breaking: dict[str, list[str]] = defaultdict(list)
    for name, contract, status, _ in found:
        counts[contract][status] += 1
        if status == "broken":
            breaking[contract].append(name)
    words = tuple(WORDS.values())
    lines = tuple(
        (
            contract,
            *(str(counts[contract][word]) for word in words),
            ", ".join(breaking[contract]),
        )
        for contract in CONTRACTS
    )
    total = sum((counts[contract] for contract in CONTRACTS), Counter[str]())
    packages = sorted({entry.needs for entry in methods.values() if entry.needs})
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    return Table(
        f"What {len(methods)} methods promise: {total['holds']} contracts hold, "
        f"{total['broken']} are broken, {total['left out']} could not be looked at",
        ("contract", *words, "broken by"),
        lines,
        f"`python benchmarks/contracts.py` with {versions}; what was seen, and why something was "
        "left out, is in `contracts.csv`",
    )


def main(names: list[str]) -> None:
    """Hold everything, or what is named, to everything and write the tables."""
    chosen = names or list(methods)
    known: dict[str, list[Row]] = defaultdict(list)
    if names:
        with (OUT / "contracts.csv").open(newline="") as lines:
            for name, contract, status, seen in list(csv.reader(lines))[1:]:
                known[name].append((name, contract, status, seen))
    # a fork would take over torch's threads
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        known |= dict(zip(chosen, pool.map(rows, chosen), strict=True))
    write([row for name in methods for row in known[name]])


def write(found: list[Row]) -> None:
    """Write both tables."""
    table = summary(found)
    whole = Table(table.title, ("method", "contract", "status", "seen"), tuple(found), table.footer)
    (OUT / "contracts.md").write_text(render(table, Form.MARKDOWN), encoding="utf-8")
    (OUT / "contracts.csv").write_text(render(whole, Form.CSV), encoding="utf-8")
    print(table.title)


if __name__ == "__main__":
    main(sys.argv[1:])
