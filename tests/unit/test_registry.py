"""Ids read back as they were printed, and names are told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.errors import BadValue, UnknownName
from ravine.registry import Entry, Id, Registry, parse

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda n: n != "inf")
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
)


def ids(values: st.SearchStrategy[object]) -> st.SearchStrategy[Id]:
    """Ids whose arguments are drawn from `values`."""
    return st.builds(
        Id,
        NAMES,
        st.lists(values, max_size=2).map(tuple),
        st.dictionaries(NAMES, values, max_size=3).map(lambda d: tuple(d.items())),
    )


VALUES = st.recursive(
    LEAVES, lambda inner: ids(inner) | st.lists(inner, max_size=3).map(tuple), max_leaves=8
)


@given(ids(VALUES))
def test_reading_what_was_printed_gives_the_same_id(id: Id) -> None:
    """Parse and print are inverse, for any nesting of any values."""
    assert parse(str(id)) == id


@given(st.text(max_size=30))
def test_any_text_is_an_id_or_a_clear_error(text: str) -> None:
    """No text makes the reader fail in another way than with one sentence."""
    said = ""
    try:
        parse(text)
    except BadValue as error:
        said = str(error)
    assert not said or "write `name" in said or "keep one of them" in said


@pytest.mark.parametrize(
    ("text", "name", "kwargs"),
    [
        ("adamw( lr = 1e-3 )", "adamw", {"lr": 0.001}),
        ("path/to/file.py:Lion(lr=1)", "path/to/file.py:Lion", {"lr": 1}),
        ("pkg.mod:Class", "pkg.mod:Class", {}),
        (
            "net(widths=(128, 64), activation=relu)",
            "net",
            {"widths": (128, 64), "activation": "relu"},
        ),
        ("adam(betas=[0.9, 0.99])", "adam", {"betas": (0.9, 0.99)}),
    ],
)
def test_ids_as_people_write_them(text: str, name: str, kwargs: dict[str, object]) -> None:
    """Spaces, paths, tuples and bare words are read as meant."""
    id = parse(text)
    assert (id.name, dict(id.kwargs)) == (name, kwargs)


def test_a_name_is_taken_once() -> None:
    """Two entries cannot share a name."""
    registry: Registry[int] = Registry("number", (), "ravine.none")
    registry.add(Entry("one", lambda: 1, frozenset()))
    with pytest.raises(BadValue, match="registered twice"):
        registry.add(Entry("one", lambda: 1, frozenset()))


def test_an_unknown_name_offers_close_matches() -> None:
    """A typing error is answered with the name that was meant."""
    registry: Registry[int] = Registry("number", (), "ravine.none")
    registry.add(Entry("seventeen", lambda: 17, frozenset()))
    with pytest.raises(UnknownName, match="did you mean `seventeen`"):
        registry.find(Id("seventen"))


def test_a_wrong_argument_names_what_is_taken() -> None:
    """An unknown argument is answered with those that exist."""

    def factory(dim: int = 2) -> int:
        return dim

    with pytest.raises(BadValue, match=r"takes dim"):
        Entry("thing", factory, frozenset()).call(parse("thing(dims=3)"))


class Point:
    """An entry point, as another package would declare it."""

    name, value = "borrowed", "elsewhere:borrowed"

    def __init__(self, factory: object) -> None:
        self.factory = factory

    def load(self) -> object:
        """Give what it points to, or fail as an import would."""
        if isinstance(self.factory, Exception):
            raise self.factory
        return self.factory


def test_other_packages_register_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of the group is an entry, tagged as a plugin."""
    monkeypatch.setattr("ravine.registry.entry_points", lambda group: [Point(lambda: 5)])
    registry: Registry[int] = Registry("number", (), "ravine.none")
    assert registry.tagged("plugin") == ["borrowed"]
    assert registry["borrowed"].call(Id("borrowed")) == 5


def test_a_broken_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point that cannot be loaded says whose it is and what to do."""
    broken = Point(ImportError("no such thing"))
    monkeypatch.setattr("ravine.registry.entry_points", lambda group: [broken])
    registry: Registry[int] = Registry("number", (), "ravine.none")
    with pytest.raises(BadValue, match=r"`elsewhere:borrowed`.*update or uninstall"):
        len(registry)
