"""The one place of this package that writes: a folder of tables and figures with an index."""

import base64
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from ravine.errors import BadValue, StoreError
from ravine.reporting.drawing import to_png, to_svg
from ravine.reporting.layout import Form, Table, markdown, render

_STEM = re.compile(r"[\w\-][\w.\-]*")
_SUFFIX = {Form.MARKDOWN: ".md", Form.CSV: ".csv", Form.LATEX: ".tex"}
_LONG = 40  # rows; a longer table is linked from index.md, not repeated in it
_LARGE = 1_000_000  # bytes; a larger SVG is embedded in index.html as PNG

_CSS = """
:root { color-scheme: light dark; --ink: #222; --soft: #666; --line: #ddd; --page: #fff;
  --head: #f4f4f4; --link: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --soft: #999; --line: #3a3a3a;
  --page: #161616; --head: #222; --link: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 92rem; color: var(--ink);
  background: var(--page); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
a { color: var(--link); } nav ul { columns: 22rem; padding-left: 1.2rem; }
.scroll { overflow: auto; max-height: 80vh; border: 1px solid var(--line); }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { position: sticky; top: 0; background: var(--head); }
tbody tr:last-child td { border-bottom: 0; }
.footer, .files { color: var(--soft); font-size: .82rem; margin: .4rem 0; }
figure { margin: 1.5rem 0; } figcaption { color: var(--soft); font-size: .82rem; }
img { max-width: 100%; height: auto; background: #fff; padding: .5rem; border-radius: 4px;
  border: 1px solid var(--line); }
""".strip()


def report_files(
    tables: Mapping[str, Table],
    figures: Mapping[str, Figure],
    *,
    title: str = "Report",
    notes: Sequence[str] = (),
) -> dict[str, bytes]:
    """Everything a report consists of, by path within its folder; writes nothing.

    Args:
        tables: by file stem.
        figures: by file stem; their titles become their captions.
        title: of the index.
        notes: paragraphs of plain text above the tables, warnings for instance.

    Returns:
        `tables/*.{md,csv,tex}`, `figures/*.{svg,png}`, `index.md` and `index.html`; the
        last needs none of the others.

    Raises:
        BadValue: a name cannot be a file's.
    """
    for stem in (*tables, *figures):
        if not _STEM.fullmatch(stem):
            raise BadValue(
                f"`{stem}` cannot name a file of a report; use letters, digits, `_`, `-` and `.`"
            )
    files: dict[str, bytes] = {}
    for stem, table in tables.items():
        for form, suffix in _SUFFIX.items():
            files[f"tables/{stem}{suffix}"] = render(table, form).encode()
    for stem, figure in figures.items():
        files[f"figures/{stem}.svg"] = to_svg(figure)
        files[f"figures/{stem}.png"] = to_png(figure)
    captions = {stem: _caption(figure) for stem, figure in figures.items()}
    files["index.md"] = _index_md(tables, captions, title, notes).encode()
    files["index.html"] = _index_html(tables, captions, files, title, notes).encode()
    return files


def write_report(
    folder: Path,
    tables: Mapping[str, Table],
    figures: Mapping[str, Figure],
    *,
    title: str = "Report",
    notes: Sequence[str] = (),
) -> tuple[Path, ...]:
    """Write a report; every file is whole or not there, and other files are left alone.

    Args:
        folder: made where it does not exist.
        tables: by file stem.
        figures: by file stem.
        title: of the index.
        notes: paragraphs of plain text above the tables.

    Returns:
        The files written, `index.md` and `index.html` last.

    Raises:
        BadValue: a name cannot be a file's.
        StoreError: the folder cannot be written.
    """
    return write_files(folder, report_files(tables, figures, title=title, notes=notes))


def write_files(folder: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write files into a folder: all of them beside their places first, then renamed.

    Args:
        folder: made where it does not exist.
        files: contents by path within the folder.

    Raises:
        StoreError: the folder cannot be written; then no file was changed, unless one of
            the renames itself failed.
    """
    with _staging(folder) as staging:
        for name, content in files.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).write_bytes(content)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        for name in files:
            (staging / name).replace(folder / name)
    return tuple(folder / name for name in files)


def writable(folder: Path) -> None:
    """Insist that a report can be written, before the work that it is to report on.

    Args:
        folder: made where it does not exist.

    Raises:
        StoreError: the folder cannot be written.
    """
    with _staging(folder) as staging:
        (staging / "file").touch()


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A passing folder within the folder, so that a rename never crosses file systems."""
    staging: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".report-", dir=folder))
        yield staging
    except OSError as error:
        raise StoreError(
            f"`{folder}` cannot be written ({error.strerror or error}); make it a writable "
            f"folder or choose another"
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _caption(figure: Figure) -> str:
    """The figure's title as plain text on one line."""
    return " ".join(figure.get_suptitle().replace("$", "").split())


def _index_md(
    tables: Mapping[str, Table], captions: Mapping[str, str], title: str, notes: Sequence[str]
) -> str:
    parts = [f"# {markdown(title)}", *map(markdown, notes)]
    if tables:
        parts.append("## Tables")
    for stem, table in tables.items():
        links = f"[csv](tables/{stem}.csv), [tex](tables/{stem}.tex)"
        if len(table.rows) <= _LONG:
            parts += [render(table, Form.MARKDOWN).strip(), links]
        else:
            whole = f"[{len(table.rows)} rows](tables/{stem}.md)"
            parts += [f"### {markdown(table.title)}", f"{whole}, {links}"]
    if captions:
        parts.append("## Figures")
    parts += [f"![{markdown(caption)}](figures/{stem}.svg)" for stem, caption in captions.items()]
    return "\n\n".join(parts) + "\n"


def _index_html(
    tables: Mapping[str, Table],
    captions: Mapping[str, str],
    files: Mapping[str, bytes],
    title: str,
    notes: Sequence[str],
) -> str:
    # people look at pictures first, and a table may be hundreds of rows long
    entries = [(f"figure-{stem}", caption or stem) for stem, caption in captions.items()]
    entries += [(f"table-{stem}", table.title) for stem, table in tables.items()]
    contents = "\n".join(f'<li><a href="#{id}">{escape(text)}</a></li>' for id, text in entries)
    parts = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(note)}</p>" for note in notes)]
    if entries:
        parts.append(f"<nav><ul>\n{contents}\n</ul></nav>")
    if captions:
        parts.append("<h2>Figures</h2>")
    for stem, caption in captions.items():
        picture = _embedded(files[f"figures/{stem}.svg"], files[f"figures/{stem}.png"])
        parts.append(
            f'<figure id="figure-{stem}">\n<img src="{picture}" alt="{escape(caption)}">\n'
            f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
        )
    if tables:
        parts.append("<h2>Tables</h2>")
    for stem, table in tables.items():
        parts += [
            f'<h3 id="table-{stem}">{escape(table.title)}</h3>',
            f'<div class="scroll">\n{render(table, Form.HTML)}</div>',
            f'<p class="footer">{escape(table.footer)}</p>',
        ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_CSS}\n</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _embedded(svg: bytes, png: bytes) -> str:
    kind, content = ("svg+xml", svg) if len(svg) <= _LARGE else ("png", png)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
