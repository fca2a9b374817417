"""The baselines that the package brings: what its methods do, recorded.

    python benchmarks/baselines.py                   all of them
    python benchmarks/baselines.py adam "sam(sgd)"   some
    python benchmarks/baselines.py --out FOLDER adam

Writes a file for each method into `suite/ravine/regression/baselines/`, which is also
`reports/baselines`.  On the same versions and machine the files come out the same.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ravine.errors import RavineError
from ravine.optimizers import method, methods
from ravine.regression.baseline import filename, write_baseline
from ravine.regression.record import record

OUT = Path(__file__).parent.parent / "suite" / "ravine" / "regression" / "baselines"

WRAPPED = ("lookahead(adamw)", "sam(sgd)", "ema(adam)", "clip(sgd)")
"""Wrappers around the methods that they are most used with."""


def shipped_methods() -> tuple[str, ...]:
    """Torch's own optimizers and their variants, Newton's methods, and some wrapped ones."""
    own = {name for tag in ("torch", "second-order") for name in methods.tagged(tag)}
    return (*sorted(name for name in own if "." not in name), *WRAPPED)


def main(arguments: Sequence[str] | None = None) -> None:
    """Record what is asked for, a line for each method."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("methods", nargs="*", metavar="METHOD")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in asked.methods or shipped_methods():
        started = time.perf_counter()
        try:
            made = record(method(name))
        except RavineError as error:
            print(f"{name}: {error}", flush=True)
            continue
        path = asked.out / filename(made.method)
        write_baseline(made, path)
        size, seconds = path.stat().st_size / 1e3, time.perf_counter() - started
        counts = f"{len(made.traces)} traces, {len(made.races)} races"
        print(f"{name}: {counts}, {size:.0f} kB, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
