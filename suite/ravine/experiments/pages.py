"""Experiments as Markdown: a page for each, and the index of all."""

from collections import Counter
from collections.abc import Mapping, Sequence

from ravine.experiments.claims import Standing
from ravine.experiments.experiment import Experiment
from ravine.experiments.run import Result
from ravine.experiments.standing import Record, Stand, record
from ravine.reporting.layout import Align, Form, Table, render

COMMAND = "python benchmarks/reproductions.py"


def page(subject: Experiment, stands: Record) -> str:
    """The page of one experiment: what is said, what was seen, and the pictures.

    Args:
        subject: the experiment.
        stands: as it stands; its pictures lie beside the page as `ID-STEM.png`.
    """
    parts = [f"# {subject.id}: {subject.title}", subject.line, f"Source: {subject.source}"]
    parts.append(render(claims_table(stands.claims), Form.MARKDOWN).strip())
    bounds = [f"`{k}`: {s.calibrated}" for k, s in stands.claims.items() if s.calibrated]
    if bounds:
        parts.append("Bounds that were set by a measurement: " + "; ".join(bounds) + ".")
    if stands.remark:
        parts.append(stands.remark)
    stems = [(s, "png") for s in stands.figures] + [(s, "gif") for s in stands.animations]
    parts += [f"![{subject.title}: {stem}]({subject.id}-{stem}.{kind})" for stem, kind in stems]
    parts.append(f"`ravine reproduce {subject.id}`")
    return "\n\n".join(parts) + "\n"


def files(subject: Experiment, result: Result) -> dict[str, bytes]:
    """Everything that is written of one experiment, by file name."""
    found = {f"{result.id}-{stem}.png": data for stem, data in result.pictures.items()}
    found |= {f"{result.id}-{stem}.gif": data for stem, data in result.animations.items()}
    for stem, table in result.tables.items():
        found[f"{result.id}-{stem}.csv"] = render(table, Form.CSV).encode()
    found[f"{result.id}.md"] = page(subject, record(result)).encode()
    return found


def claims_table(claims: Mapping[str, Stand], title: str = "Claims") -> Table:
    """Every claim with its measurement, bound and verdict."""
    rows = tuple(
        (s.statement, measured(s), s.region, f"{s.n:,}", s.standing.value) for s in claims.values()
    )
    sides: tuple[Align, ...] = ("left", "right", "left", "right", "left")
    return Table(title, ("claim", "measured", "bound", "n", "verdict"), rows, align=sides)


def measured(claim: Stand) -> str:
    """A value with its interval, `0.32 [0.3, 0.35] nats`."""
    value = _number(claim.measured)
    if claim.n > 1:
        value += f" [{_number(claim.low)}, {_number(claim.high)}]"
    return f"{value} {claim.unit}".strip()


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def index(subjects: Sequence[Experiment], records: Mapping[str, Record]) -> str:
    """The index: every experiment, its source and how its claims stand.

    Args:
        subjects: in the order of the index.
        records: as they stand, by id.
    """
    count = Counter(s.standing for r in records.values() for s in r.claims.values())
    total = sum(count.values())
    words = (
        f"{count[Standing.HOLDS]} hold, {count[Standing.FAILS]} do not hold here, "
        f"{count[Standing.UNDECIDED]} are undecided"
    )
    minutes = sum(r.seconds for r in records.values()) / 60
    head = (
        f"{len(records)} experiments make {total} claims: {words}. Made by `{COMMAND}`, "
        f"{minutes:.0f} minutes of one core; `ravine reproduce ID` runs one again."
    )
    rows = tuple(
        (
            f"[{e.id}](reproductions/{e.id}.md)",
            _thumbnail(e, records[e.id]),
            e.line,
            e.source,
            verdicts(records[e.id]),
        )
        for e in subjects
        if e.id in records
    )
    columns = ("experiment", "picture", "what is said", "source", "verdict")
    table = Table("Experiments", columns, rows)
    failing = [
        f"- [{id}](reproductions/{id}.md): {s.statement} Measured {measured(s)}, bound {s.region}."
        for id, r in records.items()
        for s in r.claims.values()
        if s.standing is not Standing.HOLDS
    ]
    parts = ["# Reproductions", head, _linked(table)]
    if failing:
        parts += ["## What does not hold here, or is undecided", "\n".join(failing)]
    return "\n\n".join(parts) + "\n"


def _thumbnail(subject: Experiment, stands: Record) -> str:
    """The picture that says most, small, leading to the page."""
    if not stands.figures:
        return ""
    source = f"reproductions/{subject.id}-{stands.figures[0]}.png"
    image = f'<img src="{source}" alt="{subject.title}" width="200">'
    return f"[{image}](reproductions/{subject.id}.md)"


def _linked(table: Table) -> str:
    """Markdown of a table whose cells are Markdown already."""
    lines = [f"| {' | '.join(table.columns)} |", "|" + " --- |" * len(table.columns)]
    lines += [f"| {' | '.join(cell.replace('|', '&#124;') for cell in r)} |" for r in table.rows]
    return "\n".join(lines)


def verdicts(stands: Record) -> str:
    """How many claims stand how."""
    count = Counter(s.standing for s in stands.claims.values())
    if set(count) == {Standing.HOLDS}:
        return f"holds ({count[Standing.HOLDS]})"
    return ", ".join(f"{count[s]} {s.value}" for s in Standing if count[s])
