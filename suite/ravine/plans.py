"""Comparisons written down: TOML plans, and the last question asked of a store."""

import dataclasses
import tomllib
from pathlib import Path

import msgspec

from ravine.comparison import Question
from ravine.errors import BadValue, StoreError, unknown
from ravine.records.store import open_store


def read_plan(path: Path) -> Question:
    """Read a comparison from a TOML file.

    Args:
        path: a file with the keys of `Question`: methods, problems, trials, seeds, ...

    Raises:
        BadValue: the file is missing, is no TOML, or has an unknown key or a value of the
            wrong type; the message says where.
    """
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise BadValue(f"`{path}` cannot be read ({error.strerror}); name a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadValue(f"`{path}` is no TOML file ({error}); mend that line") from None
    known = [field.name for field in dataclasses.fields(Question)]
    for key in table:
        if key not in known:
            raise unknown("key", key, known, f"`{path}` may have {', '.join(known)}")
    return _convert(table, str(path))


def remember(question: Question, store: Path) -> None:
    """Note the question beside its results, for `ravine report`."""
    path = open_store(store) / "question.json"
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(question)))
    partial.replace(path)


def last_question(store: Path) -> Question:
    """The question asked last of a store.

    Raises:
        StoreError: nothing was asked yet.
        BadValue: the note was damaged.
    """
    path = store / "question.json"
    try:
        raw = msgspec.json.decode(path.read_bytes())
    except OSError:
        raise StoreError(
            f"`{store}` holds no comparison; run `ravine compare METHOD ... --store {store}` first"
        ) from None
    except msgspec.DecodeError as error:
        raise BadValue(f"`{path}` is damaged ({error}); repeat the comparison") from None
    return _convert(raw, str(path))


def _convert(raw: object, source: str) -> Question:
    try:
        return msgspec.convert(raw, Question)
    except msgspec.ValidationError as error:
        raise BadValue(f"`{source}`: {error}; mend that value") from None
