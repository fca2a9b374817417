"""`ravine baseline ...`: what an optimizer did, kept in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from ravine.regression import Baseline

Json = Annotated[bool, Parameter(negative="", help="Print JSON for programs instead of tables.")]

baseline = App(
    name="baseline",
    help="Keep what an optimizer does in a file, for `ravine check` to hold it to.",
    help_format="plaintext",
)


@baseline.command
def save(method: str, *, out: Path | None = None) -> None:
    """Run an optimizer that is taken to be right, and keep what it did.

    Args:
        method: adamw, "sgd(momentum=0.9)", package.module:Class, path/to/file.py:Class.
        out: The file, which ends in .json; in `ravine-baselines/`, where `ravine check`
            looks, if not given.
    """
    import time

    from rich.console import Console

    from ravine.errors import BadValue, Mismatch
    from ravine.optimizers.capabilities import capabilities
    from ravine.optimizers.catalogue import method as build
    from ravine.regression.baseline import filename, write_baseline
    from ravine.regression.check import KEPT
    from ravine.regression.record import record
    from ravine.reporting.pages import writable
    from ravine.reporting.progress import Bar, duration

    if out is not None and out.suffix != ".json":
        raise BadValue(f"`--out` must name a file that ends in .json, got `{out}`; add the ending")
    subject = build(method)
    if reason := capabilities(subject).reason:
        raise Mismatch(f"`{subject.name}` cannot step: {reason}; mend that first")
    place = out or KEPT / filename(subject.name)
    writable(place.parent)
    started = time.perf_counter()
    with Bar(Console(stderr=True)) as bar:
        bar.begin(f"a baseline of {subject.name}")
        made = record(subject, bar.advance)
    write_baseline(made, place)
    found = f"{len(made.traces)} golden traces and {len(made.races)} races"
    against = f" --against {place}" if out else ""
    print(f"Saved {found} of {subject.name} in {duration(time.perf_counter() - started)}: {place}")
    print(f"`ravine check {_quoted(subject.name)}{against}` holds it to them from now on.")


@baseline.command
def show(baseline: str, *, json: Json = False) -> None:
    """Show what a baseline holds.

    Args:
        baseline: A method, whose baseline is the one that `ravine check` takes, or a file.
    """
    from ravine.reporting.layout import render
    from ravine.reporting.regression import baseline_records, race_table, to_json, trace_table

    found, words = _stored(baseline)
    if json:
        print(to_json(baseline_records(found)))
        return
    print(f"{words[0].upper()}{words[1:]}")
    for table in (trace_table(found), race_table(found)):
        print(f"\n{render(table)}", end="")


@baseline.command
def diff(old: str, new: str, *, json: Json = False) -> int:
    """Show what differs between two baselines.

    Exit status 0: nothing; 1: something; 2: one cannot be read.

    Args:
        old: A method or a file.
        new: A method or a file.
    """
    from ravine.regression.diff import diff as compare
    from ravine.reporting.layout import render
    from ravine.reporting.regression import change_records, change_table, to_json

    (one, its), (two, other) = _stored(old), _stored(new)
    changes = compare(one, two)
    if json:
        print(to_json(change_records(one, two, changes)))
    elif changes:
        print(render(change_table(its, other, changes)), end="")
    else:
        print(f"No difference between {its} and {other}.")
    return int(bool(changes))


def _stored(name: str) -> "tuple[Baseline, str]":
    from ravine.errors import BadValue
    from ravine.optimizers.catalogue import method
    from ravine.regression.check import stored

    if found := stored(name):
        return found
    known = method(name).name  # a name that is wrong is met here
    raise BadValue(f"`{known}` has no baseline; `ravine baseline save {_quoted(known)}` makes one")


def _quoted(name: str) -> str:
    """A name as a shell takes it."""
    from shlex import quote

    return quote(name)
