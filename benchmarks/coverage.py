"""Which share of the catalogue each method can run on, and what it asks for.

    python benchmarks/coverage.py

Every method is tried, paired with every problem by the one function that plans use, and
probed for how far its runs share tensors.  Writes `reports/tables/coverage.md` and `.csv`.
"""

import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from ravine.engine.mismatch import mismatch
from ravine.engine.probe import probe
from ravine.optimizers import Method, method, methods
from ravine.optimizers.capabilities import capabilities
from ravine.problems import Analytic, Problem, problem, problems
from ravine.reporting.layout import Form, Table, render

OUT = Path(__file__).parent.parent / "reports" / "tables"


def row(made: Method, formulas: Sequence[Problem], networks: Sequence[Problem]) -> tuple[str, ...]:
    """A line of the table: what a method runs on, and why not on the rest."""
    reasons = {p.name: mismatch(p, made) for p in (*formulas, *networks)}
    fit = [sum(reasons[p.name] is None for p in group) for group in (formulas, networks)]
    # reasons that differ in their numbers alone are one
    alike = {re.sub(r"[\d.]+", "n", reason): reason for reason in reasons.values() if reason}
    left_out = sorted(alike.values())
    stacks = str(probe(made)) if fit[0] else ""
    return (
        made.name,
        f"{100 * sum(fit) / len(reasons):.0f} %",
        f"{fit[0]} of {len(formulas)}",
        f"{fit[1]} of {len(networks)}",
        stacks,
        ", ".join(capabilities(made).demands),
        "; ".join(left_out),
    )


def main() -> None:
    """Try everything and write the tables."""
    torch.set_num_threads(1)
    built = [problem(name) for name in problems]
    formulas = [p for p in built if isinstance(p, Analytic)]
    networks = [p for p in built if not isinstance(p, Analytic)]
    rows = tuple(row(method(name), formulas, networks) for name in methods)
    full = sum(r[1] == "100 %" for r in rows)
    none = sum(r[1] == "0 %" for r in rows)
    packages = sorted({entry.needs for entry in methods.values() if entry.needs})
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    table = Table(
        f"What {len(rows)} methods can run on: {full} on all {len(built)} problems, {none} on none",
        ("method", "share", "formulas", "other", "formulas stack", "needs", "left out because"),
        rows,
        f"`python benchmarks/coverage.py` with {versions}",
    )
    for form, suffix in ((Form.MARKDOWN, "md"), (Form.CSV, "csv")):
        (OUT / f"coverage.{suffix}").write_text(render(table, form), encoding="utf-8")
    print(table.title)


if __name__ == "__main__":
    main()
