"""Frames of runs whose loss falls by a constant factor a step."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

from ravine.records.schema import NEVER, RUN_SCHEMA, Outcome

BUDGET = 100
MARKS = [0, 1, 2, 5, 10, 20, 50, 100]
TARGETS = [1e-1, 1e-2, 1e-3]

Runs = Callable[..., pl.DataFrame]


def _run(problem: str, method: str, rate: float, seed: int, ease: float) -> dict[str, object]:
    speed = ease * (1.0 + 0.03 * seed)
    gaps = np.exp(-speed * np.arange(BUDGET + 1))
    diverged = rate >= 1.0
    below = [np.flatnonzero(gaps <= target) for target in TARGETS]
    hits = [int(at[0]) if at.size and not diverged else NEVER for at in below]
    marks = MARKS[:4] if diverged else MARKS
    network = problem.startswith("net")
    solved = hits[-1] != NEVER
    spent = Outcome.DIVERGED if diverged else Outcome.SPENT
    return {
        "key": f"{problem} {method} {rate} {seed}",
        "problem": problem,
        "method": method,
        "setting": f"{method[:-1]}, lr={rate})" if method[-1] == ")" else f"{method}(lr={rate})",
        "seed": seed,
        "budget": BUDGET,
        "outcome": str(Outcome.SOLVED if solved else spent),
        "reason": "",
        "steps": MARKS[3] if diverged else BUDGET,
        "targets": TARGETS,
        "hits": hits,
        "start": 1.0,
        "best": float(gaps[-1]),
        "final": float("inf") if diverged else float(gaps[-1]),
        "minimum": None if network else 0.0,
        "trace_step": marks,
        "trace_loss": [float(gaps[at]) for at in marks],
        "test_loss": 0.1 + float(gaps[-1]) if network else None,
        "accuracy": 0.9 if network else None,
    }


@pytest.fixture(scope="session")
def build() -> Runs:
    """Make runs of every method on every problem; the first method is the fastest."""

    def make(
        methods: Sequence[str] = ("adam", "sgd"),
        problems: Sequence[str] = ("bowl", "net"),
        seeds: int = 8,
        rates: Sequence[float] = (0.1,),
        factor: float = 0.5,
    ) -> pl.DataFrame:
        rows = [
            _run(problem, method, rate, seed, 0.4 * factor**i)
            for problem in problems
            for i, method in enumerate(methods)
            for rate in rates
            for seed in range(seeds)
        ]
        return pl.DataFrame(rows, schema=RUN_SCHEMA)

    return make
