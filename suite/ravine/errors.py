"""Every error a user can meet, as one tree; each is one sentence with its remedy.

RavineError
├── UnknownName      a name that no registry and no file knows
├── BadValue         a value outside its domain, or text that cannot be read
├── Mismatch         a problem and a method that cannot be paired
└── StoreError       a folder or shard that cannot be read or written
"""

import difflib
from collections.abc import Iterable


class RavineError(Exception):
    """A mistake that the user can mend; the message says how."""


class UnknownName(RavineError, LookupError):
    """A name that no registry and no file knows."""

    def __str__(self) -> str:
        # LookupError subclasses such as KeyError quote their message; this one must not.
        return str(self.args[0])


class BadValue(RavineError, ValueError):
    """A value outside its domain, or text that cannot be read."""


class Mismatch(RavineError, ValueError):
    """A problem and a method that cannot be paired."""


class StoreError(RavineError, OSError):
    """A folder or shard that cannot be read or written."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown(kind: str, name: str, known: Iterable[str], remedy: str) -> UnknownName:
    """Build the error for an unknown name, with up to three close matches.

    Args:
        kind: what was looked for, "problem" or "method".
        name: what the user wrote.
        known: the names that exist.
        remedy: what to do when no close match helps.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> str(unknown("problem", "rosenbrok", ["rosenbrock"], "see the list"))
        'unknown problem `rosenbrok`; did you mean `rosenbrock`? (see the list)'
    """
    names = list(known)
    # `adabelief` is what `timm.adabelief` is called by those who do not know the package
    same = [one for one in names if one.rpartition(".")[2] == name]
    close = same[:3] or difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(f'`{c}`' for c in close)}?" if close else ""
    return UnknownName(f"unknown {kind} `{name}`{hint} ({remedy})")
