"""Which share of wrong optimizers `ravine check` kills, and which the usual tests do.

    python benchmarks/mutants.py [--only WORD ...] [--gates contract "golden trace" ...]

Every mutant of `ravine.testing.mutants` is held against its parent by each gate alone, at the
default alpha, and by the statistics where no other gate kills it.  An unchanged copy of each parent
goes through all gates and must not be killed; nor must the parent with `foreach=True` and in single
precision, which go through all but the statistics (`false_alarms.py` races those).
Beside them stand two usual tests, run at those of four rates at which the parent does best:

- the loss of a small classifier falls by a factor of 1.5 in 200 steps;
- a parabola and Rosenbrock's function end within 3e-2 of their minima after 10,000 steps (1,000
  of L-BFGS).

Writes `reports/tables/mutants.md` and `.csv`.  What is done is kept in `ravine-store/mutants`,
line by line: an interrupted run goes on where it stopped; `--fresh` judges the named gates anew.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ravine.errors import Mismatch
from ravine.optimizers import method
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Method
from ravine.optimizers.capabilities import capabilities, one_line
from ravine.optimizers.driving import differentiate, step
from ravine.optimizers.hyperparameters import hyperparameters
from ravine.regression.baseline import read_baseline, shipped, write_baseline
from ravine.regression.check import check
from ravine.regression.decisions import Gate, Status
from ravine.regression.record import record
from ravine.regression.scenarios import setting
from ravine.reporting.layout import Form, Table, render
from ravine.testing.mutants import controls, mutants

OUT = Path(__file__).parent.parent / "reports" / "tables"
KEPT = Path("ravine-store") / "mutants"

RATES = (1e-3, 1e-2, 1e-1, 1.0)
"""Among which the usual tests choose one for each parent."""

SETTLED = 1e-12
"""A loss that small is at its minimum, far within what the usual tests ask for."""

USUAL = ("classifier", "parabola", "rosenbrock")

WHY: Mapping[str, str] = {
    "asgd_average_late": "only the average in its state differs, which no step reads",
    "sparseadam_duplicates": "no gate gives a sparse gradient that names an entry twice",
}
"""Why a mutant survives, as far as it is known."""


def classifier(made: Method, rate: float) -> float:
    """The factor by which a classifier's loss falls in 200 steps: 2-2-1, 100 points."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(100, 2, generator=draw)
    y = (x.sum(1) > 0).float()
    shapes = ((2, 2), (2,), (1, 2), (1,))
    parts = [torch.randn(shape, generator=draw).div_(2**0.5).requires_grad_() for shape in shapes]

    def loss() -> Tensor:
        hidden = torch.nn.functional.linear(x, parts[0], parts[1]).relu()
        logits = torch.nn.functional.linear(hidden, parts[2], parts[3]).squeeze(1)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, y)

    first = loss().item()
    run(made, rate, parts, loss, 200)
    return first / loss().item()


def distance(made: Method, rate: float, start: Sequence[float], f: Callable[..., Tensor]) -> float:
    """How far from its minimum, the largest coordinate counts, a run of 10,000 steps ends.

    What evaluates within its step gets 1,000, at ten times the cost each.
    """
    steps = 1_000 if capabilities(made).closure else 10_000
    matrix = capabilities(made).matrix_only
    x = torch.tensor([start] if matrix else start).requires_grad_()
    goal = torch.tensor([1.0, -1.0, 1.0] if len(start) == 3 else [1.0, 1.0])
    run(made, rate, [x], lambda: f(x.flatten(), goal), steps)
    return float((x.detach().flatten() - goal).abs().max().nan_to_num(torch.inf))


def run(
    made: Method, rate: float, parts: list[Tensor], loss: Callable[[], Tensor], steps: int
) -> None:
    """Step until the end, until the loss is no number, or until it is as good as zero."""
    needs = capabilities(made)
    optimizer = assemble(setting(made, {"lr": rate}), parts, steps)
    for _ in range(steps):
        value = loss()
        if not value.isfinite() or abs(value) < SETTLED:
            break
        differentiate(value, parts, needs)
        step(optimizer, parts, needs, loss, value)


def parabola(x: Tensor, goal: Tensor) -> Tensor:
    """|x - goal|²."""
    return (x - goal).square().sum()


def rosenbrock(x: Tensor, goal: Tensor) -> Tensor:
    """(1 - x)² + 100 (y - x²)²."""
    return (1 - x[0]).square() + 100 * (x[1] - x[0].square()).square()


def score(test: str, made: Method, rate: float) -> float:
    """What a usual test looks at; the test is passed at 1 or less."""
    if test == "classifier":
        return 1.5 / max(classifier(made, rate), 1e-9)
    if test == "parabola":
        return distance(made, rate, (-1.0, 10.0, 1.0), parabola) / 3e-2
    return distance(made, rate, (0.0, 0.0), rosenbrock) / 3e-2


def best_rates(parent: str) -> dict[str, float | None]:
    """The rate at which a parent does best in each usual test, None where it fails at all."""
    torch.set_num_threads(1)
    found: dict[str, float | None] = {}
    for test in USUAL:
        scores = {rate: score(test, method(parent), rate) for rate in RATES}
        best = min(scores, key=scores.__getitem__)
        found[test] = best if scores[best] <= 1 else None
    return found


def usual(candidate: str, rates: Mapping[str, float | None]) -> dict[str, str]:
    """What the usual tests say: `killed`, `passed`, or that the parent fails too."""
    said = {}
    for test, rate in rates.items():
        try:
            missed = rate is not None and not score(test, method(candidate), rate) <= 1
        except Exception:  # a test that raises has failed
            missed = True
        said[test] = "parent fails" if rate is None else "killed" if missed else "passed"
    return said


Item = tuple[str, str, bool]
"""A candidate, its parent, and whether in single precision."""


def judge(
    item: Item, gates: Sequence[Gate], rates: Mapping[str, float | None] | None
) -> dict[str, Any]:
    """Hold a candidate against its parent by each gate alone, and to the usual tests."""
    torch.set_num_threads(1)
    candidate, parent, single = item
    baseline = shipped(parent) or read_baseline(KEPT / f"{parent}.baseline.json")
    found: dict[str, Any] = {"candidate": candidate, "parent": parent, "single": single}
    wrong = candidate in {mutant.id for mutant in mutants()}
    for gate in gates:
        began = time.process_time()
        known = wrong and any(found[g]["killed"] for g in gates if g in found)
        twin = candidate.partition("(")[0] == parent
        if gate is Gate.STATISTICS and (known or twin):
            found[gate] = {"killed": False, "by": [], "seconds": 0.0, "asked": False}
            continue
        try:
            dtype = torch.float32 if single else torch.float64
            report = check(candidate, baseline, gates=(gate,), dtype=dtype)
        except Mismatch as error:
            said = {"killed": True, "by": [one_line(error)], "decisions": 1, "left_out": 0}
        except Exception as error:
            said = {"raised": one_line(error), "killed": False, "by": []}
        else:
            moved = report.of(Status.DIFFERENT)
            said = {
                "killed": bool(moved),
                "by": [decision.sentence for decision in moved],
                "decisions": len(report.decisions),
                "left_out": len(report.of(Status.LEFT_OUT)),
            }
        found[gate] = {**said, "seconds": time.process_time() - began}
    return found if rates is None else {**found, **usual(candidate, rates)}


def twins(parent: str) -> Iterable[Item]:
    """What must not be killed: a parent in another implementation and precision."""
    if not capabilities(method(parent)).sparse_only:
        yield parent, parent, True
    if "foreach" in hyperparameters(method(parent).build):
        yield f"{parent}(foreach=True)", parent, False


def work(only: Sequence[str]) -> list[Item]:
    """All candidates with their parents, and whether in single precision."""
    copies = controls()
    todo = [(m.id, m.parent, False) for m in (*mutants(), *copies)]
    todo += [item for copy in copies for item in twins(copy.parent)]
    return [item for item in todo if not only or any(word in item[0] for word in only)]


def key(found: Mapping[str, Any]) -> Item:
    """What a result is of."""
    return found["candidate"], found["parent"], found["single"]


def prepare(parents: Iterable[str], pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Record the baselines that are not shipped, and choose the rates of the usual tests."""
    kept = KEPT / "rates.json"
    rates = json.loads(kept.read_text()) if kept.exists() else {}
    parents = list(dict.fromkeys(parents))
    chosen = {p: pool.submit(best_rates, p) for p in parents if p not in rates}
    for parent in parents:
        path = KEPT / f"{parent}.baseline.json"
        if shipped(parent) is None and not path.exists():
            print(f"recording {parent}", file=sys.stderr)
            write_baseline(record(method(parent)), path)
    for parent, future in chosen.items():
        rates[parent] = future.result()
        kept.write_text(json.dumps(rates))
        print(f"usual rates of {parent}: {rates[parent]}", file=sys.stderr)
    return rates


def judge_all(
    todo: Sequence[Item], gates: Sequence[Gate], processes: int, fresh: bool
) -> list[dict[str, Any]]:
    """Judge what is not yet judged, and read what is."""
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / "results.jsonl"
    done: dict[Item, dict[str, Any]] = {item: {} for item in todo}
    for found in map(json.loads, kept.read_text().splitlines() if kept.exists() else []):
        done[key(found)] = {**done.get(key(found), {}), **found}
    if fresh:
        for path in KEPT.glob("*.baseline.json"):
            path.unlink()
    missing = {item: [g for g in gates if fresh or g not in done[item]] for item in todo}
    left = [item for item, lacks in missing.items() if lacks]
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool, kept.open("a") as file:
        rates = prepare((parent for _, parent, _ in left), pool)
        futures = []
        for item in left:
            # the usual tests take no precision, and do not change with the gates
            known = item[2] or USUAL[0] in done[item]
            asked = None if known else rates[item[1]]
            futures.append(pool.submit(judge, item, missing[item], asked))
        for number, future in enumerate(as_completed(futures), 1):
            found = future.result()
            print(json.dumps(found), file=file, flush=True)
            done[key(found)].update(found)
            by = [f"{gate}" for gate in gates if found.get(gate, {}).get("killed")]
            raised = [found[gate]["raised"] for gate in gates if "raised" in found.get(gate, {})]
            words = f"{found['candidate']}{', float32' if found['single'] else ''}"
            print(f"{number}/{len(left)} {words}: {by} {raised}", file=sys.stderr)
    return [done[item] for item in todo]


def share(part: int, whole: int) -> str:
    """`131 of 141 (93 %)`."""
    return f"{part} of {whole} ({100 * part / max(whole, 1):.1f} %)"


def kill_rates(wrong: Sequence[Mapping[str, Any]], gates: Sequence[Gate]) -> Table:
    """Who kills how many."""
    by = {gate: {f["candidate"] for f in wrong if f[gate]["killed"]} for gate in gates}
    killed = set[str]().union(*by.values())
    rows = []
    for gate in gates:
        others = set[str]().union(*(by[other] for other in gates if other is not gate))
        asked = sum(f[gate].get("asked", True) for f in wrong)
        rows.append((gate, share(len(by[gate]), asked), f"{len(by[gate] - others)}"))
    rows.append(("ravine check", share(len(killed), len(wrong)), ""))
    for words, tests in (("classifier", USUAL[:1]), ("parabola and Rosenbrock", USUAL[1:])):
        hit = [f for f in wrong if any(f[test] == "killed" for test in tests)]
        rows.append((f"usual: {words}", share(len(hit), len(wrong)), ""))
    hit = [f for f in wrong if any(f[test] == "killed" for test in USUAL)]
    rows.append(("usual, all", share(len(hit), len(wrong)), ""))
    columns = ("test", "killed", "by it alone of the gates")
    title = "Which share of wrong optimizers each test kills"
    # the edits are in the loop alone, so that torch's `foreach` contradicts most of them
    note = f"{origin()}; most contracts are broken by `foreach`, which the edit leaves right"
    return Table(title, columns, tuple(rows), note)


def origin() -> str:
    """How a table was made."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("ravine", "torch", "numpy"))
    return f"`python benchmarks/mutants.py` with {packages}"


def each(wrong: Sequence[Mapping[str, Any]], gates: Sequence[Gate]) -> Table:
    """A line for each mutant."""
    what = {mutant.id: mutant for mutant in mutants()}
    rows = tuple(
        (
            what[f["candidate"]].name,
            f["parent"],
            what[f["candidate"]].what,
            *(_said(f[gate]) for gate in gates),
            *("" if f[test] == "passed" else f[test] for test in USUAL),
        )
        for f in wrong
    )
    columns = ("mutant", "of", "what is wrong", *gates, *USUAL)
    return Table("Wrong optimizers and who kills them", columns, rows)


def _said(found: Mapping[str, Any]) -> str:
    """What a gate said in a word."""
    return "killed" if found["killed"] else "" if found.get("asked", True) else "not asked"


def survivors(wrong: Sequence[Mapping[str, Any]], gates: Sequence[Gate]) -> Table:
    """What no gate kills, and why."""
    alive = [f for f in wrong if not any(f[gate]["killed"] for gate in gates)]
    what = {mutant.id: mutant for mutant in mutants()}
    lines = [what[f["candidate"]] for f in alive]
    rows = tuple((m.name, m.what, WHY.get(m.name, "not known")) for m in lines)
    return Table("Wrong optimizers that survive", ("mutant", "what is wrong", "why"), rows)


TRUE = "gradients left alone"
"""A contract that torch's `foreach` of Nesterov's momentum does break: `_multi_tensor_sgd` adds
the buffers to the gradients in place, where the loop makes a new tensor."""


def alarms(right: Sequence[Mapping[str, Any]], gates: Sequence[Gate]) -> Table:
    """What is said of optimizers that are right."""
    rows = []
    for f in right:
        made = sum(f[gate].get("decisions", 0) - f[gate].get("left_out", 0) for gate in gates)
        every = [s for gate in gates for s in f[gate]["by"]]
        said = [s for s in every if not (TRUE in s and "nesterov" in s + f["candidate"])]
        raised = [f[gate]["raised"] for gate in gates if "raised" in f[gate]]
        words = f"{f['candidate'].rpartition(':')[2]}{', float32' if f['single'] else ''}"
        took = sum(f[gate]["seconds"] for gate in gates)
        found = ["torch's own: " + s for s in every if s not in said]
        which = "; ".join([*said[:2], *found, *raised])
        rows.append((words, f"{made}", f"{len(said)}", f"{took:.0f}", which))
    total = [sum(int(row[i]) for row in rows) for i in (1, 2)]
    title = f"Optimizers that are right: {total[1]} false alarms in {total[0]} decisions"
    true = sum("torch's own" in row[-1] for row in rows)
    title += f", and {true} where torch's `foreach` does change the gradient in place"
    columns = ("optimizer", "decisions", "false alarms", "seconds of one core", "which")
    return Table(title, columns, tuple(rows))


def fresh_seeds() -> str:
    """False alarms on fresh seeds, as the benchmark beside this one finds them."""
    path = OUT / "false_alarms.md"
    return path.read_text() if path.exists() else ""


def main() -> None:
    """Judge everything and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="*", default=[], help="words in the candidates' ids")
    parser.add_argument("--gates", nargs="*", default=[str(gate) for gate in Gate])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="judge the named gates anew")
    asked = parser.parse_args()
    gates = [gate for gate in Gate if gate in asked.gates]
    found = judge_all(work(asked.only), gates, asked.processes, asked.fresh)
    ids = {mutant.id for mutant in mutants()}
    wrong = [f for f in found if f["candidate"] in ids]
    right = [f for f in found if f["candidate"] not in ids]
    made = [alarms(right, gates)] if right else []
    if wrong:
        made = [kill_rates(wrong, gates), *made, survivors(wrong, gates), each(wrong, gates)]
    text = "\n".join([*(render(table, Form.MARKDOWN) for table in made), fresh_seeds()])
    print(render(made[0]))
    if asked.only or len(gates) < len(Gate):
        print(text)  # a part of it all is no report
        return
    (OUT / "mutants.md").write_text(text, encoding="utf-8")
    (OUT / "mutants.csv").write_text(render(made[-1], Form.CSV), encoding="utf-8")


if __name__ == "__main__":
    main()
