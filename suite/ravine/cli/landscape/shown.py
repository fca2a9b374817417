"""How a landscape command answers: tables on standard output, figures in a folder, or JSON."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from ravine.reporting.drawing import to_png, to_svg
from ravine.reporting.layout import Form, Table, render
from ravine.reporting.pages import writable, write_files
from ravine.reporting.progress import Bar


def show(
    stem: str,
    tables: Mapping[str, Table],
    figures: Mapping[str, Figure],
    records: Mapping[str, Any],
    out: Path,
    as_json: bool,
) -> None:
    """Write figures and tables, and print the tables or the records.

    Args:
        stem: what the files' names begin with.
        tables: by what the rest of their files' names is; empty for nothing.
        figures: likewise.
        records: what is printed as JSON; numbers that are not finite become null.
        out: the folder.
        as_json: print the records, not the tables.
    """
    files: dict[str, bytes] = {}
    for name, figure in figures.items():
        files[f"{_stem(stem, name)}.png"] = to_png(figure)
        files[f"{_stem(stem, name)}.svg"] = to_svg(figure)
    for name, table in tables.items():
        files[f"{_stem(stem, name)}.csv"] = render(table, Form.CSV).encode()
    written = write_files(out, files) if files else ()
    if as_json:
        print(json.dumps(_finite(records), indent=2, allow_nan=False))
        return
    for table in tables.values():
        print(render(table))
    for path in written:
        if path.suffix == ".png":
            print(f"picture: {path}")


@contextmanager
def working(out: Path) -> Iterator[Bar]:
    """A progress bar on standard error, for a folder that can be written."""
    writable(out)
    with Bar(Console(stderr=True)) as bar:
        yield bar


def _stem(stem: str, name: str) -> str:
    whole = f"{stem}-{name}" if name else stem
    return re.sub(r"[^\w.\-]+", "_", whole).strip("_")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
