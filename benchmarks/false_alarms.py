"""Measure how often races raise a false alarm, and what they see.

    python benchmarks/false_alarms.py [METHOD ...] [--sets 200] [--alpha 1e-3] [--out FILE]

1. Fresh seeds.  Runs on the same seeds are bit-identical, so an unchanged optimizer on its
   own seeds tells nothing.  Here every set is two looks of 25 seeds for the baseline and two
   looks of 25 other seeds for the candidate, which is the same optimizer: the differences are
   exchangeable, hence symmetric, and the rule's guarantee holds as for paired seeds, with far
   more noise than a real check has.  No seed is in two sets.  The same with the threshold of
   the effect off shows the level of the tests alone.
2. Rounding: single against double precision, `foreach=True` against `foreach=False`, on the
   seeds of the baseline.
3. Power: the rate off by a factor, on the seeds of the baseline.

Writes `reports/tables/false_alarms.md`, a part of `mutants.md`.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import beta

from ravine.optimizers.base import Method
from ravine.optimizers.catalogue import method
from ravine.optimizers.hyperparameters import hyperparameters
from ravine.problems.catalogue import problem
from ravine.regression.baseline import Baseline, Race, shipped, versions
from ravine.regression.decisions import Case, Decision, Status
from ravine.regression.race import decide, record
from ravine.regression.race.deciding import FLOORS, LIMITS
from ravine.regression.race.rule import alarms
from ravine.regression.race.scores import Entry, score
from ravine.regression.scenarios import setting
from ravine.reporting.layout import Form, Table, render

METHODS = ("adam", "heavy_ball", "rmsprop")
FACTORS = (1.02, 1.05, 1.2, 1.5, 2.0)
FRESH = 1_000_000
"""First of the seeds that no baseline has."""

BLOCK = 2_500
"""Seeds that are run side by side."""

OUT = Path(__file__).parent.parent / "reports" / "tables" / "false_alarms.md"


def baseline_of(subject: Method) -> Baseline:
    """The shipped baseline, or its races run now."""
    ready = shipped(subject.name)
    if ready and ready.races:
        return ready
    return Baseline(method=subject.name, versions=versions(), races=record(subject))


def stacks(
    subject: Method, races: Sequence[Race], sets: int
) -> Float[np.ndarray, "races measures sets seeds"]:
    """Scores on fresh seeds, four looks of seeds for every set."""
    n = len(races[0].seeds)
    seeds = range(FRESH, FRESH + sets * 4 * n)
    entries = [Entry(problem(r.problem), setting(subject, r.hyper)) for r in races]
    floor = FLOORS[torch.float64]
    parts = []
    for at in range(0, len(seeds), BLOCK):
        found = score(entries, tuple(seeds[at : at + BLOCK]), races[0].budget)
        parts.append(np.stack([np.stack([s.runtime, np.maximum(s.gap, floor)]) for s in found]))
        print(f"  {subject.name}: {min(at + BLOCK, len(seeds))} of {len(seeds)} seeds", flush=True)
    return np.concatenate(parts, axis=-1).reshape(len(races), 2, sets, 4 * n)


def false_alarms(
    scores: Float[np.ndarray, "races measures sets seeds"], alpha: float, effect: bool = True
) -> Float[np.ndarray, "races measures sets"]:
    """Which decisions of which set raise an alarm though nothing differs.

    Args:
        scores: four looks' seeds last: the baseline's two, then the candidate's two.
        alpha: chance of any alarm in a set.
        effect: ask for an effect beyond the threshold too.
    """
    base_first, base_fresh, first, fresh = np.split(scores, 4, axis=-1)
    threshold = LIMITS[None, :, None] if effect else np.full((1, 2, 1), -np.inf)
    shape = scores.shape[:3]
    return alarms(
        np.round(first - base_first, 6),
        np.round(fresh - base_fresh, 6),
        alpha,
        shape[0] * shape[1],
        np.broadcast_to(threshold, shape),
    )


def bounds(count: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval of a share (Clopper and Pearson 1934)."""
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, count, n - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, n - count)) if count < n else 1.0
    return low, high


def fresh_seeds(subjects: Sequence[Method], sets: int, alpha: float) -> Table:
    """False alarms on fresh seeds, by method, level and whether an effect is asked for."""
    rows = []
    for subject in subjects:
        scores = stacks(subject, baseline_of(subject).races, sets)
        for level in (alpha, 0.05):
            for effect in (True, False):
                found = false_alarms(scores, level, effect)
                checks = found.any((0, 1))
                low, high = bounds(int(checks.sum()), len(checks))
                rows.append(
                    (
                        subject.name,
                        f"{level:g}",
                        "asked for" if effect else "off",
                        f"{found.size}",
                        f"{int(found.sum())}",
                        f"{len(checks)}",
                        f"{int(checks.sum())}",
                        f"[{low:.2%}, {high:.2%}]",
                    )
                )
    columns = ("optimizer", "alpha", "effect", "decisions", "false alarms", "checks")
    return Table(
        "False alarms of races on fresh seeds",
        (*columns, "with an alarm", "their share, 95 % exact"),
        tuple(rows),
        align=("left", "right", "left", *["right"] * 5),
    )


def counted(decisions: Sequence[Decision]) -> tuple[int, int, int]:
    """How many decided, how many of them different, how many better."""
    made = [d for d in decisions if d.status is not Status.LEFT_OUT]
    worse = sum(d.status is Status.DIFFERENT for d in made)
    return len(made), worse, sum(d.status is Status.BETTER for d in made)


def variants(subject: Method) -> Iterator[tuple[str, Method, torch.dtype]]:
    """The same algorithm, rounded otherwise."""
    yield "single precision", subject, torch.float32
    if "foreach" in hyperparameters(subject.build):
        for foreach in (True, False):
            word = f"foreach={foreach}"
            made = setting(subject, {"foreach": foreach}).method
            yield word, made, torch.float64


def rounding(subjects: Sequence[Method], alpha: float) -> Table:
    """False alarms by rounding, on the baseline's seeds."""
    rows = []
    for subject in subjects:
        against = baseline_of(subject)
        for word, candidate, dtype in variants(subject):
            case = Case(method=candidate, baseline=against, alpha=alpha, dtype=dtype)
            rows.append((subject.name, word, *map(str, counted(list(decide(case))))))
    columns = ("optimizer", "variant", "decisions", "different", "better")
    return Table("Races of an optimizer against itself, rounded otherwise", columns, tuple(rows))


def faster(race: Race, factor: float) -> Race:
    """The race with another rate."""
    changed: Mapping[str, float] = {**race.hyper, "lr": race.hyper["lr"] * factor}
    return Race(
        problem=race.problem,
        hyper=dict(changed),
        budget=race.budget,
        seeds=race.seeds,
        fresh=race.fresh,
        runtime=race.runtime,
        gap=race.gap,
    )


def power(subjects: Sequence[Method], alpha: float) -> Table:
    """How many races see a rate that is off, on the baseline's seeds."""
    rows = []
    for subject in subjects:
        against = baseline_of(subject)
        for factor in (*(1 / f for f in reversed(FACTORS)), *FACTORS):
            moved = Baseline(
                method=against.method,
                versions=against.versions,
                races=tuple(faster(race, factor) for race in against.races),
            )
            found = list(decide(Case(method=subject, baseline=moved, alpha=alpha)))
            seen = {
                status: len({d.name.partition(":")[0] for d in found if d.status is status})
                for status in (Status.DIFFERENT, Status.BETTER)
            }
            words = (str(seen[Status.DIFFERENT]), str(seen[Status.BETTER]))
            rows.append((subject.name, f"{factor:.3g}", str(len(against.races)), *words))
    columns = ("optimizer", "rate times", "problems", "seen as different", "seen as better")
    return Table("What races see of a rate that is off", columns, tuple(rows))


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description="Measure the false alarms of races.")
    parser.add_argument("methods", nargs="*", default=METHODS)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--alpha", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    subjects = [method(name) for name in asked.methods]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    text = ""
    for table in (
        lambda: fresh_seeds(subjects, asked.sets, asked.alpha),
        lambda: rounding(subjects, asked.alpha),
        lambda: power(subjects, asked.alpha),
    ):
        text += render(table(), Form.MARKDOWN) + "\n"
        asked.out.write_text(text)  # each as it is found, for all of them take a while


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
