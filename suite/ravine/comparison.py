"""From methods and problems to a comparison: pair, tune, score, judge."""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import polars as pl

from ravine import statistics
from ravine.engine.audit import Audit
from ravine.engine.forecast import forecast
from ravine.engine.meter import Cost, meter
from ravine.engine.plan import Demand, LeftOut, cut, missing, pair
from ravine.engine.pool import Progress, execute
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.engine.task import Done, Task
from ravine.errors import BadValue
from ravine.landscape.ends.frame import ended
from ravine.optimizers.base import Method, Setting
from ravine.optimizers.catalogue import method
from ravine.optimizers.space import trials
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.problems.catalogue import problem, problems
from ravine.records.keys import run_keys
from ravine.records.store import open_store, read

BASELINES = ("adamw", "heavy_ball")
"""What a single method is held against."""

NETWORKS = ("mnist_softmax", "mnist_mlp")
"""Networks that are part of a comparison unless problems are named."""

TUNING_SEED = 10_000
"""First of the seeds that settings are chosen on; scores come from seeds 0, 1, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is compared, and how carefully.

    Args:
        methods: ids; a single one is held against `BASELINES`.
        problems: ids or tags; empty for all formulas and `NETWORKS`.
        trials: settings tried for every method.
        seeds: seeds that scores come from.
        tuning_seeds: seeds that settings of stacked formulas are chosen on.
        network_tuning_seeds: the same for networks and for methods that run alone.
        steps: budget of a run; None for each problem's own.
        audit: runs repeated alone, fewer where there are less than fifty times as many.
        device: as torch names it.
        alpha: error probability of each pair's verdicts.
    """

    methods: tuple[str, ...]
    problems: tuple[str, ...] = ()
    trials: int = 16
    seeds: int = 25
    tuning_seeds: int = 5
    network_tuning_seeds: int = 2
    steps: int | None = None
    audit: int = 64
    device: str = "cpu"
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not self.methods:
            raise BadValue("no method is named; name one or more (`ravine list methods`)")
        for name in ("trials", "seeds", "tuning_seeds", "network_tuning_seeds", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadValue(f"`{name}` must be at least 1, got {value}")
        if not 0 < self.alpha < 1:
            raise BadValue(f"`alpha` must lie between 0 and 1, got {self.alpha}")


@runtime_checkable
class Listener(Protocol):
    """Who is told how a comparison goes; see `Silence` for one that does not care."""

    def announce(self, stage: str, runs: int, known: int, seconds: float) -> None:
        """A stage begins: how many runs, how many known already, seconds expected."""

    def advance(self, share: float) -> None:
        """The stage's share done so far, between 0 and 1."""


class Silence:
    """A listener that does nothing."""

    def announce(self, stage: str, runs: int, known: int, seconds: float) -> None:
        """Do nothing."""

    def advance(self, share: float) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The answer: runs, choices, summaries and verdicts, all as frames.

    Args:
        question: what was asked, with its defaults filled in.
        problems: canonical names.
        methods: canonical names.
        runs: every run that was wanted, tuning and scoring.
        scored: runs of the chosen settings on the scoring seeds.
        choice: the chosen setting of each problem and method.
        edges: chosen values at the end of their range.
        ends: where every scored run ended; see `landscape.ends.frame.ended`.
        summary: see `statistics.summary`.
        verdicts: see `statistics.pairwise`.
        tally: see `statistics.tally`.
        performance: see `statistics.performance`; this and the next two leave out methods
            that fit less than half the problems.
        ecdf: see `statistics.ecdf`.
        ranks: see `statistics.ranks`.
        curve: see `statistics.curve`.
        costs: of a step of each method.
        left_out: pairs that were not run, and why.
        remarks: what was demoted or failed.
        audit: runs repeated alone, of those run now; one entry for each standard.
        computed: runs that were run now.
        known: runs that the store had already.
        seconds: from the question to the answer.
    """

    question: Question
    problems: tuple[str, ...]
    methods: tuple[str, ...]
    runs: pl.DataFrame
    scored: pl.DataFrame
    choice: pl.DataFrame
    edges: pl.DataFrame
    ends: pl.DataFrame
    summary: pl.DataFrame
    verdicts: pl.DataFrame
    tally: pl.DataFrame
    performance: pl.DataFrame
    ecdf: pl.DataFrame
    ranks: pl.DataFrame
    curve: statistics.Curve | None
    costs: tuple[Cost, ...]
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...]
    audit: tuple[Audit, ...]
    computed: int
    known: int
    seconds: float


@dataclass(slots=True)
class _Tale:
    """What happened while the runs were made."""

    done: list[Done] = field(default_factory=list)
    known: int = 0


def select_problems(names: Sequence[str]) -> list[Problem]:
    """Build the problems that ids and tags name, each once, in the order given.

    Raises:
        UnknownName: neither a problem nor a tag.
    """
    if not names:
        names = ("analytic", *NETWORKS)
    tags = set(problems.tags)
    found: dict[str, Problem] = {}
    for name in names:
        for id in problems.tagged(name) if name in tags else [name]:
            built = problem(id)
            found.setdefault(built.name, built)
    return list(found.values())


def select_methods(names: Sequence[str]) -> list[Method]:
    """Build the methods that ids name, each once; a single one gets company.

    Raises:
        UnknownName: no such method.
    """
    chosen = list(names) if len(set(names)) > 1 else [*names, *BASELINES]
    return list({m.name: m for m in map(method, chosen)}.values())


def compare(
    question: Question,
    store: str | Path,
    jobs: int = 1,
    executor: Executor | None = None,
    listener: Listener | None = None,
) -> Comparison:
    """Run what is not known yet and judge the methods by it.

    Args:
        question: what is compared.
        store: folder of the results, made if it is not there.
        jobs: processes.
        executor: any other executor, instead of processes on this machine.
        listener: told of stages and progress.

    Returns:
        The comparison; nothing is written but shards in the store.

    Raises:
        RavineError: a name, value or folder is wrong; one sentence with the remedy.
    """
    started = time.perf_counter()
    tell = listener or Silence()
    chosen_problems = select_problems(question.problems)
    chosen_methods = select_methods(question.methods)
    folder = open_store(store)
    paired, left_out = pair(chosen_problems, chosen_methods)
    if not any(paired.values()):
        raise BadValue(
            f"none of the methods can run on any of the problems ({left_out[0].method}: "
            f"{left_out[0].reason}); name others"
        )
    tried = {m.name: trials(m, question.trials) for m in chosen_methods}
    tale = _Tale()
    first = _first_demands(question, chosen_problems, paired, tried)
    runs = _fulfil("tuning and scoring", first, question, folder, jobs, executor, tell, tale)
    tuning = _tuning_seeds(question, question.tuning_seeds)
    choice = statistics.choose(runs, tuning)
    second = _second_demands(question, chosen_problems, paired, tried, choice)
    if second:
        more = _fulfil("scoring", second, question, folder, jobs, executor, tell, tale)
        runs = pl.concat([runs, more]).unique("key", maintain_order=True)
    scoring = tuple(range(question.seeds))
    scored = statistics.scored(runs, choice, scoring)
    ends = ended(scored, chosen_problems)
    broad = _broad(scored)
    settings = {s.name: dict(s.values) for group in tried.values() for s in group}
    verdicts = statistics.pairwise(scored, question.alpha)
    return Comparison(
        question=question,
        problems=tuple(p.name for p in chosen_problems),
        methods=tuple(m.name for m in chosen_methods),
        runs=runs,
        scored=scored,
        choice=choice,
        edges=statistics.on_edge(choice, settings),
        ends=ends,
        summary=statistics.summary(scored.with_columns(ends["ended"])),
        verdicts=verdicts,
        tally=statistics.tally(verdicts),
        performance=statistics.performance(broad),
        ecdf=statistics.ecdf(broad),
        ranks=statistics.ranks(broad),
        curve=_curve(runs, tuning, scoring, question),
        costs=tuple(meter(chosen_methods)),
        left_out=tuple(left_out),
        remarks=tuple(r for d in tale.done for r in d.remarks),
        audit=_audits(tale.done),
        computed=sum(d.runs for d in tale.done),
        known=tale.known,
        seconds=time.perf_counter() - started,
    )


def _broad(scored: pl.DataFrame) -> pl.DataFrame:
    """The runs of methods that fit at least half as many problems as any.

    Profiles and ranks are over the problems that all methods share; one method that takes
    matrices only would leave hardly a problem to the others.
    """
    fits = scored.group_by("method").agg(pl.col("problem").n_unique().alias("fits"))
    kept = fits.filter(2 * pl.col("fits") >= pl.col("fits").max())
    return scored.join(kept, on="method", how="semi", maintain_order="left")


def _tuning_seeds(question: Question, count: int) -> tuple[int, ...]:
    return tuple(range(TUNING_SEED, TUNING_SEED + count))


def _curve(
    runs: pl.DataFrame, tuning: Sequence[int], scoring: Sequence[int], question: Question
) -> statistics.Curve | None:
    """The tuning curve over the formulas, where every setting was scored."""
    full = (
        runs.filter(pl.col("seed") < TUNING_SEED)
        .group_by("problem", "method")
        .agg(pl.col("setting").n_unique().alias("scored"))
    )
    tried = (
        runs.filter(pl.col("seed") >= TUNING_SEED)
        .group_by("problem", "method")
        .agg(pl.col("setting").n_unique().alias("tried"))
    )
    both = full.join(tried, on=["problem", "method"]).filter(pl.col("scored") == pl.col("tried"))
    kept = runs.join(both, on=["problem", "method"], how="semi")
    if kept.is_empty() or question.trials < 2:
        return None
    counts = [k for k in statistics.tuning.TRIALS if k < question.trials] + [question.trials]
    return statistics.curve(kept, tuning, scoring, counts)


def _budget(question: Question, p: Problem) -> int:
    return p.traits.budget if question.steps is None else question.steps


def _stacks(p: Problem, m: Method) -> bool:
    """Whether scoring every setting, not only the chosen one, costs next to nothing."""
    return isinstance(p, Analytic) and probe(m) is not Level.ALONE


def _first_demands(
    question: Question,
    chosen: Sequence[Problem],
    paired: Mapping[str, Sequence[Method]],
    tried: Mapping[str, Sequence[Setting]],
) -> list[Demand]:
    scoring = tuple(range(question.seeds))
    demands = []
    for p in chosen:
        budget = _budget(question, p)
        together = [s for m in paired[p.name] if _stacks(p, m) for s in tried[m.name]]
        apart = [s for m in paired[p.name] if not _stacks(p, m) for s in tried[m.name]]
        tuning = _tuning_seeds(question, question.tuning_seeds)
        few = _tuning_seeds(question, question.network_tuning_seeds)
        demands += [
            Demand(p, tuple(group), seeds, budget)
            for group, seeds in ((together, scoring + tuning), (apart, few))
            if group
        ]
    return demands


def _second_demands(
    question: Question,
    chosen: Sequence[Problem],
    paired: Mapping[str, Sequence[Method]],
    tried: Mapping[str, Sequence[Setting]],
    choice: pl.DataFrame,
) -> list[Demand]:
    scoring = tuple(range(question.seeds))
    best = {(p, m): s for p, m, s in choice.select("problem", "method", "setting").iter_rows()}
    demands = []
    for p in chosen:
        settings = tuple(
            s
            for m in paired[p.name]
            if not _stacks(p, m)
            for s in tried[m.name]
            if s.name == best.get((p.name, m.name))
        )
        if settings:
            demands.append(Demand(p, settings, scoring, _budget(question, p)))
    return demands


def _fulfil(
    stage: str,
    demands: Sequence[Demand],
    question: Question,
    folder: Path,
    jobs: int,
    executor: Executor | None,
    tell: Listener,
    tale: _Tale,
) -> pl.DataFrame:
    """Run what the store lacks, then return all the runs that were demanded."""
    known = set(read(folder, ["key"])["key"])
    lacking = missing(demands, known, question.device)
    # a run alone costs as much as hundreds stacked, so a small comparison repeats fewer
    audit = min(question.audit, max(16, sum(d.size for d in lacking) // 50))
    tasks = cut(lacking, jobs, audit, question.device)
    wanted = sum(d.size for d in demands)
    runs = sum(t.size for t in tasks)
    tale.known += wanted - runs
    if tasks:
        tell.announce(stage, runs, wanted - runs, forecast(tasks, jobs))
        tale.done += execute(tasks, folder, jobs, executor, _share(tasks, tell))
    keys = [
        key
        for d in demands
        for s in d.settings
        for key in run_keys(d.problem, s, d.seeds, d.steps, d.dtype, question.device)
    ]
    # in the order of the question, so that reports do not depend on who finished first
    order = pl.DataFrame({"key": keys}, schema={"key": pl.String})
    return order.join(read(folder), on="key", how="inner", maintain_order="left")


def _share(tasks: Sequence[Task], tell: Listener) -> Progress:
    whole = sum(t.size * t.steps for t in tasks) or 1
    return lambda done: tell.advance(min(1.0, done / whole))


def _audits(done: Iterable[Done]) -> tuple[Audit, ...]:
    sums: dict[str, Audit] = {}
    for d in done:
        if d.audit.audited:
            before = sums.get(d.audit.standard, Audit(0, 0, d.audit.standard))
            sums[d.audit.standard] = before + d.audit
    return tuple(sums.values())
