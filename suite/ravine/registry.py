"""One registry class and one id grammar for problems and methods.

An id is a name with optional arguments in brackets, and arguments may be ids again:

    rosenbrock      adamw(lr=0.001)      gaussian_noise(rosenbrock(dim=10), scale=0.1)
    my_package.module:MyOptimizer(lr=0.1)               path/to/file.py:MyOptimizer

A bare word that is no literal (`relu` in `mnist_mlp(activation=relu)`) is a string, but
`true` and `false` are the values; a name with brackets is an id. Reading what was printed
gives the same id back.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from ravine.errors import BadValue, RavineError, unknown

Value = Any  # None, bool, int, float, str, Id, or a tuple of these: what an id can hold
T = TypeVar("T")

_WORD = re.compile(r"[^\s(),=\[\]'\"]+")
_PLAIN = re.compile(r"[A-Za-z_][\w.:/\-]*")


@dataclass(frozen=True, slots=True)
class Id:
    """A name with positional and keyword arguments.

    Example:
        >>> str(parse("adamw( lr = 1e-3 )"))
        'adamw(lr=0.001)'
    """

    name: str
    args: tuple[Value, ...] = ()
    kwargs: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        parts = [show(v) for v in self.args] + [f"{k}={show(v)}" for k, v in self.kwargs]
        return f"{self.name}({', '.join(parts)})" if parts else self.name


def show(value: Value) -> str:
    """Print a value so that `parse` reads the same value back."""
    if isinstance(value, Id):
        # without arguments the brackets are what tells an id from a string
        return str(value) if value.args or value.kwargs else f"{value.name}()"
    if isinstance(value, str):
        bare = _PLAIN.fullmatch(value) and _literal(value) is _NOT_A_LITERAL
        return value if bare else repr(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def parse(text: str) -> Id:
    """Read an id.

    Args:
        text: for instance `adamw(lr=1e-3)`.

    Returns:
        The id, with its arguments in the order given.

    Raises:
        BadValue: the text is not an id; the message shows where reading stopped.

    Example:
        >>> parse("gaussian_noise(sphere(dim=2), scale=1)").args[0].name
        'sphere'
    """
    reader = _Reader(text)
    value = reader.value()
    reader.expect_end()
    if isinstance(value, str) and not reader.quoted:
        return Id(value)
    if isinstance(value, Id):
        return value
    raise BadValue(f"`{text}` is not an id; write `name` or `name(key=value)`")


_NOT_A_LITERAL = object()
_WORDS = {"inf": float("inf"), "-inf": -float("inf"), "true": True, "false": False}
"""Words that Python would not read as values, and people write as such."""


def _literal(word: str) -> object:
    if word in _WORDS:
        return _WORDS[word]
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return _NOT_A_LITERAL


class _Reader:
    """A recursive-descent reader of one id; `ast` cannot read file paths as names."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.quoted = text, 0, False

    def fail(self, wanted: str) -> BadValue:
        return BadValue(
            f"cannot read `{self.text}`: expected {wanted} at character {self.at + 1}; "
            f"write `name(key=value)`"
        )

    def peek(self) -> str:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def take(self, char: str) -> None:
        if self.peek() != char:
            raise self.fail(f"`{char}`")
        self.at += 1

    def expect_end(self) -> None:
        if self.peek():
            raise self.fail("the end")

    def word(self) -> str:
        self.peek()
        match = _WORD.match(self.text, self.at)
        if not match:
            raise self.fail("a name or a value")
        self.at = match.end()
        return match.group()

    def string(self) -> str:
        quote = self.peek()
        end = self.at + 1
        while end < len(self.text) and self.text[end] != quote:
            end += 2 if self.text[end] == "\\" else 1
        literal = _literal(self.text[self.at : end + 1])
        if not isinstance(literal, str):
            raise self.fail("a closed string")
        self.at = end + 1
        return literal

    def value(self) -> Value:
        self.quoted = False
        char = self.peek()
        if char in "'\"" and char:
            text = self.string()
            self.quoted = True
            return text
        if char in "([" and char:
            return self.sequence(")" if char == "(" else "]")
        word = self.word()
        if self.peek() == "(":
            return self.call(word)
        literal = _literal(word)
        return word if literal is _NOT_A_LITERAL else literal

    def sequence(self, close: str) -> tuple[Value, ...]:
        self.at += 1
        items: list[Value] = []
        while self.peek() != close:
            items.append(self.value())
            if self.peek() != close:
                self.take(",")
        self.take(close)
        return tuple(items)

    def call(self, name: str) -> Id:
        self.take("(")
        args: list[Value] = []
        kwargs: dict[str, Value] = {}
        while self.peek() != ")":
            start = self.at
            match = re.compile(r"\s*([A-Za-z_]\w*)\s*=").match(self.text, start)
            if match:
                key = match.group(1)
                if key in kwargs:
                    raise BadValue(f"`{key}` is given twice in `{self.text}`; keep one of them")
                self.at = match.end()
                kwargs[key] = self.value()
            elif kwargs:
                raise self.fail("`key=value` (positional arguments come first)")
            else:
                args.append(self.value())
            if self.peek() != ")":
                self.take(",")
        self.take(")")
        return Id(name, tuple(args), tuple(kwargs.items()))


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A registered factory: its name, tags and what calling it takes.

    Args:
        name: in its registry.
        factory: called with the arguments of an id.
        tags: words by which it is selected.
        needs: the distribution that the factory imports, where ravine itself does without.
    """

    name: str
    factory: Callable[..., T]
    tags: frozenset[str]
    needs: str = ""

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring."""
        return (inspect.getdoc(self.factory) or "").partition("\n")[0]

    def canonical(self, id: Id) -> Id:
        """Write an id in the one way that its registry knows: by keyword, without defaults.

        Raises:
            BadValue: an argument is unknown or missing.

        Example:
            >>> def sphere(dim=2): ...
            >>> str(Entry("sphere", sphere, frozenset()).canonical(parse("sphere(2)")))
            'sphere'
        """
        bound = self._bind(id)
        defaults = {k: p.default for k, p in bound.signature.parameters.items()}
        given = [
            (k, v)
            for k, v in bound.arguments.items()
            if type(v) is not type(defaults[k]) or v != defaults[k]
        ]
        return Id(self.name, (), tuple(given))

    def _bind(self, id: Id) -> inspect.BoundArguments:
        signature = inspect.signature(self.factory)
        try:
            return signature.bind(*id.args, **dict(id.kwargs))
        except TypeError as error:
            takes = ", ".join(signature.parameters) or "no arguments"
            raise BadValue(f"`{id}`: {error}; `{self.name}` takes {takes}") from None

    def call(self, id: Id) -> T:
        """Call the factory with the arguments of `id`.

        Raises:
            BadValue: an argument is unknown, missing or outside its domain.
        """
        bound = self._bind(id)
        try:
            return self.factory(*bound.args, **bound.kwargs)
        except RavineError:
            raise
        except (TypeError, ValueError) as error:
            raise BadValue(f"`{id}`: {error}; see `ravine show {self.name}`") from error


class Registry(Mapping[str, Entry[T]], Generic[T]):
    """The catalogue of one kind: names to factories, filled when first asked.

    Args:
        kind: "problem" or "method", for messages.
        modules: modules of this package that register entries when imported.
        group: entry-point group under which other packages add theirs: the entry point's
            name is the entry's name, its object the factory.
        families: modules that register the entries `family.name` of another package, by
            family; one is imported when one of its entries, or all there are, are asked for.
    """

    def __init__(
        self,
        kind: str,
        modules: tuple[str, ...],
        group: str,
        families: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.kind, self.modules, self.group, self.families = kind, modules, group, families
        self._entries: dict[str, Entry[T]] = {}
        self._filled = False
        self._asked: dict[str, ImportError | None] = {}

    def register(
        self, *tags: str, name: str | None = None
    ) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Decorate a factory to add it under its own name.

        Args:
            tags: words by which `--problems TAG` selects it.
            name: another name than the factory's.

        Raises:
            BadValue: the name is taken.
        """

        def add(factory: Callable[..., T]) -> Callable[..., T]:
            self.add(Entry(name or factory.__name__, factory, frozenset(tags)))
            return factory

        return add

    def add(self, entry: Entry[T]) -> None:
        """Add an entry; a name can be taken only once."""
        if entry.name in self._entries:
            raise BadValue(f"{self.kind} `{entry.name}` is registered twice; rename one")
        self._entries[entry.name] = entry

    def find(self, id: Id) -> Entry[T]:
        """Find the entry that an id names.

        Raises:
            UnknownName: with close matches.
            BadValue: it belongs to a package that is not installed.
        """
        self._fill()
        family = id.name.partition(".")[0]
        if family in self.families and id.name not in self._entries:
            missing = self._ask(family)
            if missing is not None:
                raise BadValue(
                    f"`{id.name}` cannot be imported ({missing}); install it by "
                    f"`pip install 'ravine[zoo]'`"
                )
        if id.name not in self._entries:
            self._complete()
            raise unknown(self.kind, id.name, self._entries, f"`ravine list {self.kind}s`")
        return self._entries[id.name]

    def tagged(self, tag: str) -> list[str]:
        """Names of the entries with a tag, in order of registration."""
        self._complete()
        return [name for name, entry in self._entries.items() if tag in entry.tags]

    @property
    def tags(self) -> list[str]:
        """All tags, sorted."""
        self._complete()
        return sorted({tag for entry in self._entries.values() for tag in entry.tags})

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True  # first, so that a registering module may look things up
        for module in self.modules:
            import_module(module)
        for point in entry_points(group=self.group):
            try:
                factory = point.load()
            except Exception as error:
                raise BadValue(
                    f"entry point `{point.value}` of group `{self.group}` cannot be loaded "
                    f"({error}); update or uninstall the package that declares it"
                ) from error
            self.add(Entry(point.name, factory, frozenset({"plugin"})))

    def _ask(self, family: str) -> ImportError | None:
        """Import a family once; what is missing for it, if anything is."""
        if family not in self._asked:
            self._asked[family] = None  # first, so that its module may look things up
            try:
                import_module(self.families[family])
            except ImportError as error:
                self._asked[family] = error
        return self._asked[family]

    def _complete(self) -> None:
        self._fill()
        for family in self.families:
            self._ask(family)

    def __getitem__(self, name: str) -> Entry[T]:
        return self.find(Id(name))

    def __iter__(self) -> Iterator[str]:
        self._complete()
        return iter(self._entries)

    def __len__(self) -> int:
        self._complete()
        return len(self._entries)
