"""Objects of a user's own, named by where they are: `file.py:name`, `package.module:name`."""

import difflib
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from ravine.errors import BadValue, UnknownName, unknown


def load_object(reference: str, kind: str) -> object:
    """Import the object that a reference names.

    A file is loaded under a module name made of its path and content, so two files
    of one name do not meet and an edited file is read anew.  While it loads, its folder is
    on `sys.path`, for it may import its siblings.

    Args:
        reference: `path/to/file.py:name`, relative to the current folder, or
            `package.module:name`.
        kind: what is looked for, "problem" or "method", for messages.

    Returns:
        Whatever the name stands for; what it may be is the caller's to check.

    Raises:
        UnknownName: no such file, module or name; with close matches.
        BadValue: the reference has no name in it, or its code raises.

    Example:
        >>> load_object("math:sqrt", "problem")(4)
        2.0
    """
    place, colon, name = reference.rpartition(":")
    if not (colon and place and name):
        raise BadValue(
            f"`{reference}` does not name a {kind}; write `path/to/file.py:name` "
            f"or `package.module:name`"
        )
    module = _from_file(Path(place)) if place.endswith(".py") else _from_package(place)
    try:
        return getattr(module, name)
    except AttributeError:
        public = [word for word in vars(module) if not word.startswith("_")]
        raise unknown(kind, name, public, f"define it in `{place}`") from None


def _from_file(path: Path) -> ModuleType:
    file = path.expanduser().resolve()
    if not file.is_file():
        beside = [p.name for p in file.parent.glob("*.py")] if file.parent.is_dir() else []
        close = difflib.get_close_matches(file.name, beside, n=3)
        hint = f"did you mean {' or '.join(f'`{c}`' for c in close)}?" if close else ""
        raise UnknownName(f"no file `{path}`; {hint or 'paths start at the current folder'}")
    # two edits within one tick of the clock differ in nothing but their content
    stamp = str(file).encode() + b"\x1f" + file.read_bytes()
    name = f"{file.stem}_{hashlib.sha256(stamp).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, file, loader=_Source(name, str(file)))
    if spec is None or spec.loader is None:
        raise BadValue(f"`{path}` cannot be read as Python; name a file of Python code")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up by name
    try:
        with _importable(file.parent):
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BadValue(
            f"`{path}` cannot be loaded: {type(error).__name__}: {error}; mend it or name another"
        ) from error
    return module


class _Source(SourceFileLoader):
    """Always compiles: Python takes an edit of equal size in the same second for its bytecode."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _from_package(name: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        # a module that exists but imports one that does not is another mistake
        if missing and f"{name}.".startswith(f"{missing}."):
            raise UnknownName(
                f"no module `{missing}`; install it, or name a file as `path/to/file.py:name`"
            ) from None
        raise BadValue(
            f"`{name}` cannot be imported: {type(error).__name__}: {error}; mend it or name another"
        ) from error


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The folder first on `sys.path`, for a while."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        # the loaded code may have changed the path itself: take out one entry, not the first
        if str(folder) in sys.path:
            sys.path.remove(str(folder))
