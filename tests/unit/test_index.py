"""The shipped index says what the registries say, and is asked only where it fits."""

import msgspec
import pytest

from ravine import index
from ravine.index import Index, Item, catalogue, collect, findings, found, read, registered, text
from ravine.optimizers import method
from ravine.optimizers.catalogue import methods

STALE = f"`{index.FILE.name}` is not what the registries say; write it again by `{index.COMMAND}`"
OTHER = "the index speaks of other versions than those installed"
FITS = pytest.mark.skipif(not read().fits, reason=OTHER)


def said(items: tuple[Item, ...]) -> dict[str, tuple[tuple[str, ...], str, str]]:
    """What a registry knows itself."""
    return {item.name: (item.tags, item.summary, item.needs) for item in items}


def present(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Those whose distribution is installed."""
    return tuple(item for item in items if not item.needs or index.installed(item.needs))


def test_the_index_holds_every_problem() -> None:
    """Names, tags and summaries of problems are those of the registry, in order."""
    assert said(read().problems) == said(registered("problems")), STALE
    assert [item.name for item in read().problems] == sorted(said(read().problems)), STALE


@FITS
def test_the_index_holds_every_method() -> None:
    """Names, tags, summaries and distributions of methods are those of the registry."""
    assert said(present(read().methods)) == said(present(registered("methods"))), STALE
    named = {item.needs for item in read().methods} | {"torch"}
    assert set(read().versions) == named - {""}, STALE


@FITS
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if k % 3 else [])
        for k, name in enumerate(item.name for item in read().methods if not item.needs)
    ],
)
def test_what_the_index_says_of_a_method_is_found_again(name: str) -> None:
    """Trying a method shows what the file holds."""
    (item,) = (item for item in read().methods if item.name == name)
    assert item.found == findings(method(name)), STALE


@FITS
@pytest.mark.slow
def test_what_the_index_says_of_other_packages_is_found_again() -> None:
    """Trying the methods of other distributions shows what the file holds.

    How far runs share a tensor may differ for one in fifty: the bits of a matrix product can
    depend on where in memory its factors lie.
    """
    others = [item for item in present(read().methods) if item.needs]
    differ = set()
    for item in others:
        shown = findings(method(item.name))
        differ |= {item.name} if shown["stacks"] != item.found["stacks"] else set()
        assert {**shown, "stacks": ""} == {**item.found, "stacks": ""}, f"{item.name}: {STALE}"
    assert len(differ) <= len(others) / 50, f"{differ}: {STALE}"


def test_the_text_reads_back() -> None:
    """Writing and reading are inverse, with an entry a line and nothing else in the file."""
    written = text(read())
    assert msgspec.json.decode(written, type=Index) == read()
    assert written == index.FILE.read_text(encoding="utf-8"), STALE
    assert len(written.splitlines()) == 7 + len(read().problems) + len(read().methods)


@pytest.mark.parametrize(
    ("version", "fits"),
    [("2.13.0", True), ("2.13.1+cpu", True), ("", True), ("2.12.0", False), ("3.13.0", False)],
)
def test_another_release_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, version: str, fits: bool
) -> None:
    """A patch and a build fit, and so does an absent package; another release does not."""
    monkeypatch.setattr("ravine.index.installed", lambda name: version)
    assert Index({"torch": "2.13.0"}, (), ()).fits is fits


def test_where_the_index_does_not_fit_the_registries_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With another torch, methods are those of the registry, and are tried."""
    wrong = Item("adamw", (), "wrong", "", {"stacks": "wrong"})
    monkeypatch.setattr("ravine.index.read", lambda: Index({"torch": "0.1"}, (), (wrong,)))
    assert said(catalogue("methods")) == said(registered("methods"))
    assert found(method("adamw")) == findings(method("adamw"))


def test_a_method_with_arguments_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file says of a method does not hold for the same with other arguments."""
    wrong = Item("sgd", (), "", "", {"stacks": "from the file"})
    monkeypatch.setattr("ravine.index.read", lambda: Index({}, (), (wrong,)))
    assert found(method("sgd"))["stacks"] == "from the file"
    assert found(method("sgd(momentum=0.9)"))["stacks"] == "elementwise"


class Point:
    """An entry point whose package must not be imported."""

    name, value, dist = "borrowed", "elsewhere:borrowed", None

    def load(self) -> object:
        """Fail, since nobody should ask."""
        raise AssertionError


def test_other_packages_entries_are_listed_without_loading_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An entry point is known by its metadata alone."""
    monkeypatch.setattr("ravine.index.entry_points", lambda group: [Point()])
    assert catalogue("problems")[-1] == Item("borrowed", ("plugin",), "elsewhere:borrowed")


def test_entries_of_absent_distributions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes the index without some distribution does not lose its entries."""
    gone = Item("far", ("zoo",), "From afar.", "no-such-distribution", {"stacks": "alone"})
    before = Index({"no-such-distribution": "1.2.0"}, (), (gone,))
    monkeypatch.setattr("ravine.index.read", lambda: before)
    monkeypatch.setattr("ravine.index.registered", lambda kind: (Item("sgd", ("torch",), "Ours."),))
    after = collect()
    assert [item.name for item in after.methods] == ["far", "sgd"]
    assert after.methods[0] == gone
    assert after.versions["no-such-distribution"] == "1.2.0"
    assert after.methods[1].found == findings(method("sgd"))


def test_a_registry_s_entry_says_what_it_needs() -> None:
    """Optimizers of torch need nothing that ravine does not require."""
    assert {methods[name].needs for name in methods.tagged("torch")} == {""}
