"""`ravine reproduce`: named phenomena, as claims that hold or do not."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ravine.errors import BadValue

if TYPE_CHECKING:
    from ravine.experiments.experiment import Experiment
    from ravine.experiments.run import Result
    from ravine.experiments.standing import Record

OUT = Path("ravine-out/reproductions")


def reproduce(
    *experiments: str,
    scale: Literal["quick", "full"] = "quick",
    jobs: int | None = None,
    out: Annotated[Path, Parameter(help="Folder for pages, figures and tables.")] = OUT,
    json: Annotated[bool, Parameter(negative="", help="Print JSON for programs.")] = False,
) -> None:
    """Run named experiments and say which of their claims hold; without a name, list them.

    Exit status 1 if a claim that stands as "holds" in the repository does not hold any more.

    Args:
        experiments: Ids (A1, edge-of-stability), a letter of the notes (A), a source
            (cohen_2021), or all.
        scale: quick takes at least five seeds, full all of the data and more seeds.
        jobs: Processes; all cores if not given.
    """
    from rich.console import Console

    from ravine.engine.pool import default_jobs
    from ravine.experiments.experiment import Scale, select
    from ravine.experiments.experiment import experiments as every
    from ravine.experiments.pages import files
    from ravine.experiments.run import run_all
    from ravine.experiments.standing import changes, recorded
    from ravine.reporting.pages import writable, write_files
    from ravine.reporting.progress import Bar

    if jobs is not None and jobs < 1:
        raise BadValue(f"`--jobs` must be at least 1, got {jobs}; leave it out for all cores")
    stands = recorded()
    if not experiments:
        _list(list(every().values()), stands, json)
        return
    chosen = select(experiments)
    processes = min(jobs or default_jobs(), len(chosen))
    # the longest first, so that no process is left with it at the end
    chosen.sort(key=lambda e: -(stands[e.id].seconds if e.id in stands else 0))
    writable(out)
    by_id = {e.id: e for e in chosen}
    done = 0.0
    whole = sum(_seconds(e, stands) for e in chosen)
    with Bar(Console(stderr=True)) as bar:
        known = scale == "quick" and any(e.id in stands for e in chosen)
        bar.begin(f"{len(chosen)} experiments", whole / processes if known else None)

        def tell(result: "Result") -> None:
            nonlocal done
            done += _seconds(by_id[result.id], stands)
            bar.advance(done / whole)
            bar.say(f"{result.id}: {result.failure or _said(result)}")
            if not result.failure:
                # each as soon as it is there, so that an interruption loses only what runs
                write_files(out, files(by_id[result.id], result))

        found = run_all(chosen, Scale(scale), processes, tell=tell)
    moved = [
        change
        for id, result in found.items()
        if not result.failure
        for change in changes(id, result.claims, stands.get(id))
    ]
    _answer(found, stands, out, json)
    broken = [c for c in moved if c.broken]
    failed = [r for r in found.values() if r.failure]
    complain = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    for change in broken:
        now = change.now.value if change.now else "gone"
        complain.print(f"{change.id} `{change.key}`: stood as holds, now {now}")
    for result in failed:
        complain.print(f"{result.id}: stopped by {result.failure}")
    if broken or failed:
        sys.exit(1)


def _seconds(experiment: "Experiment", stands: "dict[str, Record]") -> float:
    """Forecast of the quick scale, ten seconds where nothing is known."""
    return stands[experiment.id].seconds if experiment.id in stands else 10.0


def _said(result: "Result") -> str:
    from collections import Counter

    count = Counter(claim.standing for claim in result.claims)
    return ", ".join(f"{n} {s.value}" for s, n in count.items()) + f" ({result.seconds:.0f} s)"


def _list(chosen: "Sequence[Experiment]", stands: "dict[str, Record]", as_json: bool) -> None:
    import json

    from ravine.experiments.pages import verdicts
    from ravine.reporting.layout import Table, render

    if as_json:
        keys = ("id", "title", "line", "source", "group")
        print(json.dumps([{k: getattr(e, k) for k in keys} for e in chosen], indent=2))
        return
    rows = tuple(
        (e.id, e.title, verdicts(stands[e.id]) if e.id in stands else "not run yet") for e in chosen
    )
    note = "`ravine reproduce ID`, a letter, a source or `all` runs them"
    print(render(Table("Experiments", ("id", "phenomenon", "claims"), rows, note)))


def _answer(
    found: "dict[str, Result]", stands: "dict[str, Record]", out: Path, as_json: bool
) -> None:
    import json

    import msgspec

    from ravine.experiments.pages import claims_table
    from ravine.experiments.standing import record
    from ravine.reporting.layout import render

    if as_json:
        records = {id: msgspec.to_builtins(record(r)) for id, r in found.items() if not r.failure}
        print(json.dumps(records, indent=2, allow_nan=False))
        return
    for id, result in found.items():
        if not result.failure:
            print(render(claims_table(record(result).claims, f"{id}: claims")))
    print(f"pages: {out}")
