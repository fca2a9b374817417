"""Reports on disk: whole or not at all, and a page that needs no other file."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from ravine.errors import BadValue, StoreError
from ravine.problems.analytic import Analytic
from ravine.reporting import pages
from ravine.reporting.drawing import canvas, styled
from ravine.reporting.layout import Table
from ravine.reporting.pages import report_files, writable, write_files, write_report
from ravine.reporting.surfaces import surface_figure

TABLE = Table("A <title>", ("method", "steps"), (("sgd", "12"), ("<b>", "1 & 2")), "plan: x.")


@styled
def picture() -> Figure:
    figure = canvas('Steps of "sgd" & others')
    figure.subplots().plot([1, 2], [3, 4])
    return figure


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return report_files({"steps": TABLE}, {"curve": picture()}, title="T & T", notes=["a < b"])


def test_a_report_is_these_files(tmp_path: Path) -> None:
    """Tables in three forms, figures in two, and both indexes; nothing else is left behind."""
    written = write_report(tmp_path / "new" / "report", {"steps": TABLE}, {"curve": picture()})
    folder = tmp_path / "new" / "report"
    expected = {
        "tables/steps.md",
        "tables/steps.csv",
        "tables/steps.tex",
        "figures/curve.svg",
        "figures/curve.png",
        "index.md",
        "index.html",
    }
    assert {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    } == expected
    assert {str(path.relative_to(folder)) for path in written} == expected
    assert {path.name for path in folder.iterdir()} == {
        "tables",
        "figures",
        "index.md",
        "index.html",
    }


def test_the_same_report_is_the_same_bytes(files: dict[str, bytes]) -> None:
    """Nothing in a report depends on when or where it was written."""
    again = report_files({"steps": TABLE}, {"curve": picture()}, title="T & T", notes=["a < b"])
    assert again == files


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [v for k in ("src", "href") if (v := found.get(k)) is not None]
        self.ids |= {v for v in [found.get("id")] if v is not None}
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone(files: dict[str, bytes]) -> None:
    """The page is well-formed, links only to itself, and shows text as text."""
    page = _Page()
    page.feed(files["index.html"].decode())
    assert page.open == []
    inside = [link for link in page.links if link.startswith("#")]
    assert {link[1:] for link in inside} == page.ids == {"table-steps", "figure-curve"}
    outside = [link for link in page.links if not link.startswith("#")]
    assert all(link.startswith("data:image/svg+xml;base64,") for link in outside)
    assert len(outside) == 1
    for text in ("A <title>", "T & T", "a < b", "<b>", "1 & 2", 'Steps of "sgd" & others'):
        assert text in page.text
    assert "prefers-color-scheme: dark" in page.text
    assert not re.search(r"https?://", page.text)


def test_the_index_links_to_files_that_exist(files: dict[str, bytes]) -> None:
    """Every link of index.md leads to a file of the report."""
    links = re.findall(r"\]\(([^)]+)\)", files["index.md"].decode())
    assert set(links) == {"tables/steps.csv", "tables/steps.tex", "figures/curve.svg"}
    assert set(links) <= set(files)


def test_long_tables_are_linked_not_repeated() -> None:
    """A table of many rows is one line in index.md."""
    rows = tuple((f"m{i}", str(i)) for i in range(200))
    index = report_files({"all": Table("All", ("a", "b"), rows)}, {})["index.md"].decode()
    assert "[200 rows](tables/all.md)" in index
    assert "m150" not in index


def test_large_pictures_are_embedded_as_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure whose SVG is large does not make the page so."""
    monkeypatch.setattr(pages, "_LARGE", 10)
    page = report_files({}, {"curve": picture()})["index.html"].decode()
    assert "data:image/png;base64," in page
    assert "svg+xml" not in page


def test_an_empty_report_has_its_pages() -> None:
    """Nothing to show is a report, too."""
    assert set(report_files({}, {}, title="T")) == {"index.md", "index.html"}


def test_old_files_are_replaced_and_others_left(tmp_path: Path) -> None:
    """A second report replaces the first; what it does not own stays."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "index.md").write_text("old")
    write_report(tmp_path, {"steps": TABLE}, {}, title="New")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "index.md").read_text().startswith("# New\n")


def test_a_failure_while_writing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up half-way, the old report stays and no scrap is left."""
    write_files(tmp_path, {"a.txt": b"old", "b.txt": b"old"})
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "b.txt":
            raise OSError(28, os.strerror(28))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_files(tmp_path, {"a.txt": b"new", "b.txt": b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.txt": b"old",
        "b.txt": b"old",
    }


@pytest.mark.parametrize("act", [writable, lambda folder: write_files(folder, {"a": b""})])
def test_an_unwritable_folder_is_one_sentence(tmp_path: Path, act: object) -> None:
    """A folder that cannot be is named, with the reason and what to do."""
    (tmp_path / "file").touch()
    assert callable(act)
    with pytest.raises(StoreError) as caught:
        act(tmp_path / "file" / "report")
    assert str(caught.value) == (
        f"`{tmp_path / 'file' / 'report'}` cannot be written (Not a directory); "
        "make it a writable folder or choose another"
    )


def test_asking_leaves_no_trace(tmp_path: Path) -> None:
    """A writable folder is made, and nothing is put into it."""
    writable(tmp_path / "report")
    assert list((tmp_path / "report").iterdir()) == []


@pytest.mark.parametrize("stem", ["../out", "a/b", "", ".hidden", "a b"])
def test_names_stay_in_the_folder(stem: str) -> None:
    """A name that is no plain file name is refused."""
    with pytest.raises(BadValue, match="cannot name a file"):
        report_files({stem: TABLE}, {})


def test_surfaces_go_into_reports() -> None:
    """A rasterised surface is part of the SVG, with no reference to another file."""
    surface = surface_figure(Analytic(f=lambda x: (x**2).sum(-1), dim=2), points=21)
    svg = report_files({}, {"surface": surface})["figures/surface.svg"].decode()
    links = re.findall(r'href="([^"]{1,30})', svg)
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
