"""Placeholder until decide is written."""

from collections.abc import Iterator

from ravine.regression.decisions import Case, Decision


def decide(case: Case) -> Iterator[Decision]:
    """Decide nothing yet."""
    yield from ()
