"""Run every experiment and write down how its claims stand.

    python benchmarks/reproductions.py [ID ...]        # all, or some of them again
    python benchmarks/reproductions.py --check         # the index is what it should be

Writes `reports/reproductions.md`, a page for each experiment beside it, and the record that
`ravine reproduce` and the tests hold claims to.
"""

import sys
from pathlib import Path

from ravine.engine.pool import default_jobs
from ravine.experiments.experiment import Scale, experiments, select
from ravine.experiments.pages import files, index, page
from ravine.experiments.run import Result, run_all
from ravine.experiments.standing import record, recorded, write_records

OUT = Path(__file__).parent.parent / "reports"


def main(words: list[str]) -> int:
    """Run, or check what is written."""
    if words == ["--check"]:
        return check()
    chosen = select(words or ["all"])
    stands = recorded()
    chosen.sort(key=lambda e: -(stands[e.id].seconds if e.id in stands else 10.0))
    by_id = {e.id: e for e in chosen}
    folder = OUT / "reproductions"
    folder.mkdir(parents=True, exist_ok=True)

    def tell(result: Result) -> None:
        told = result.failure or ", ".join(c.standing.value for c in result.claims)
        print(f"{result.id} ({result.seconds:.0f} s): {told}", flush=True)
        if result.failure:
            return
        for old in folder.glob(f"{result.id}-*"):
            old.unlink()
        for name, data in files(by_id[result.id], result).items():
            (folder / name).write_bytes(data)

    found = run_all(chosen, Scale.QUICK, default_jobs(), tell=tell)
    stands |= {id: record(result) for id, result in found.items() if not result.failure}
    every = experiments()
    kept = {id: stands[id] for id in every if id in stands}
    write_records(kept)
    (OUT / "reproductions.md").write_text(index(list(every.values()), kept))
    return int(any(result.failure for result in found.values()))


def check() -> int:
    """Hold index and pages to the record; 1 if a file says something else."""
    every, stands = experiments(), recorded()
    wanted = {OUT / "reproductions.md": index(list(every.values()), stands)}
    wanted |= {OUT / "reproductions" / f"{id}.md": page(every[id], r) for id, r in stands.items()}
    stale = [path for path, text in wanted.items() if not _says(path, text)]
    for path in stale:
        print(f"{path.relative_to(OUT.parent)} is stale; run `python benchmarks/reproductions.py`")
    for id in every.keys() - stands.keys():
        print(f"{id} was never run; run `python benchmarks/reproductions.py {id}`")
    return int(bool(stale) or every.keys() != stands.keys())


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
