"""Where packages' implementations of one algorithm part, and why.

    python benchmarks/differences.py

Runs every implementation and its reference from the same two starts, and each pair that
differs once more with the named cause undone.  Writes `reports/tables/differences.md` and
`.csv`, the gravest differences first.
"""

from collections import Counter
from contextlib import redirect_stdout
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import torch

from ravine.optimizers import method, methods
from ravine.optimizers.agreement import (
    ALGORITHMS,
    READ,
    SAME,
    STEPS,
    Algorithm,
    Kind,
    Member,
    measured,
    restored,
)
from ravine.optimizers.agreement.amend import function_at
from ravine.registry import Id, parse
from ravine.reporting.layout import Align, Form, Table, render

OUT = Path(__file__).parent.parent / "reports" / "tables"

COLUMNS = (
    "algorithm",
    "reference",
    "other",
    "verdict",
    "largest deviation",
    "first step that differs",
    "difference",
    "place",
    "once undone",
    "hyperparameters",
)
SAID = ("algorithm", "reference", "other", "verdict", "difference", "place", "hyperparameters")
"""The columns that no machine's rounding changes."""

VERDICT = COLUMNS.index("verdict")
SHORT = tuple(
    COLUMNS.index(name)
    for name in ("algorithm", "reference", "other", "largest deviation", "hyperparameters")
)
"""The columns of a pair that there is nothing to say of."""

SIDES: tuple[Align, ...] = tuple(
    "right" if name in ("largest deviation", "first step that differs", "once undone") else "left"
    for name in COLUMNS
)

FOOTER = (
    f"{STEPS} steps in double precision from a far and a near start on one smooth function, with "
    "constants larger than usual (eps 0.01), so that their places show; largest deviation: "
    "distance between both after the same number of steps, as a share of the longest way that the "
    f"reference was from its start; same: at most {SAME:g}; defect: against the package's own "
    "words, or an argument that does nothing; rule: another formula, or a constant in another "
    "place; precision: the same formula in fewer digits; once undone: the deviation when the named "
    "cause is taken away by hyperparameters, by changed lines of the installed source, or by "
    "double precision as torch's default"
)

UNEXPLAINED = "not explained"
GRAVITY = (UNEXPLAINED, *Kind, "same")


def bare(id: Id) -> str:
    """The name without hyperparameters, `lookahead(radam)` of a wrapper."""
    inner = [bare(a) for a in id.args if isinstance(a, Id)]
    return f"{id.name}({', '.join(inner)})" if inner else id.name


def brackets(id: str) -> str:
    """The hyperparameters of an id."""
    return str(parse(id)).partition("(")[2][:-1]


def distribution(id: str) -> str:
    """What `pip` calls the package that a method is of."""
    return methods.find(parse(id)).needs or "torch"


def place(where: str) -> str:
    """Package, version, file and function that a `module:qualified.name` is in."""
    module, _, name = where.partition(":")
    family = module.partition(".")[0]
    owner = next((distribution(n) for n in methods if n.startswith(f"{family}.")), family)
    parts = Path(function_at(where).__code__.co_filename).parts
    file = "/".join(parts[parts.index(family) :])
    return f"{owner} {READ[owner]}, {file}, {name}"


def said(algorithm: Algorithm, member: Member) -> dict[str, str]:
    """What the catalogue says of a pair, without running it."""
    difference = member.difference
    one = method(algorithm.reference).build is method(member.id).build
    mine, theirs = brackets(algorithm.reference), brackets(member.id)
    return {
        "algorithm": algorithm.name,
        "reference": bare(parse(algorithm.reference)),
        "other": bare(parse(member.id)),
        "verdict": "same" if difference is None else f"differs: {difference.kind}",
        "difference": difference.cause if difference else "the same class" if one else "",
        "place": place(difference.place) if difference else "",
        "hyperparameters": mine if mine == theirs else f"{mine} / {theirs}",
    }


def number(deviation: float) -> str:
    return f"{deviation:.1e}" if deviation else "0"


def row(algorithm: Algorithm, member: Member) -> tuple[tuple[int, float], tuple[str, ...]]:
    """A line of the table and where it goes."""
    found = measured(algorithm, member)
    cells = said(algorithm, member)
    undone = restored(algorithm, member) if member.difference else None
    explained = found.same if undone is None else not found.same and undone.same
    if not explained:
        cells["verdict"] = UNEXPLAINED
    cells["largest deviation"] = number(found.deviation)
    cells["first step that differs"] = str(found.first or "")
    cells["once undone"] = "" if undone is None else number(undone.deviation)
    gravity = GRAVITY.index(cells["verdict"].removeprefix("differs: "))
    order = (gravity, -found.deviation if cells["verdict"] != "same" else 0.0)
    return order, tuple(cells[column] for column in COLUMNS)


def main() -> None:
    """Run all pairs and write the tables."""
    torch.set_num_threads(1)
    with redirect_stdout(StringIO()):  # some announce what they do
        found = [row(a, m) for a in ALGORITHMS for m in a.members]
    rows = tuple(cells for _, cells in sorted(found, key=lambda line: line[0]))
    counts = Counter(cells[VERDICT].removeprefix("differs: ") for cells in rows)
    tally = ", ".join(f"{counts[name]} by {name}" for name in GRAVITY[:-1] if counts[name])
    differ = len(rows) - counts["same"]
    versions = ", ".join(f"{name} {version(name)}" for name in READ)
    title = (
        f"{len(rows)} pairs of implementations of one algorithm: {counts['same']} follow the same "
        f"trajectory, {differ} differ, {tally}"
    )
    footer = f"{FOOTER}; `python benchmarks/differences.py` with {versions}"
    apart = tuple(cells for cells in rows if cells[VERDICT] != "same")
    alike = tuple(tuple(cells[i] for i in SHORT) for cells in rows if cells[VERDICT] == "same")
    pages = (
        Table(title, COLUMNS, apart, footer, SIDES),
        Table(
            f"The {len(alike)} pairs that follow the same trajectory",
            tuple(COLUMNS[i] for i in SHORT),
            alike,
            footer.rpartition("; ")[2],
            tuple(SIDES[i] for i in SHORT),
        ),
    )
    markdown = "\n".join(render(page, Form.MARKDOWN) for page in pages)
    (OUT / "differences.md").write_text(markdown, encoding="utf-8")
    everything = Table(title, COLUMNS, rows)
    (OUT / "differences.csv").write_text(render(everything, Form.CSV), encoding="utf-8")
    print(title)


if __name__ == "__main__":
    main()
