"""`ravine check`: whether an optimizer is still what it was."""

from typing import Annotated, Literal

from cyclopts import Parameter

Json = Annotated[bool, Parameter(negative="", help="Print JSON for programs instead of tables.")]
Name = Literal["contract", "golden", "theory", "statistics"]
NAMES: tuple[Name, ...] = ("contract", "golden", "theory", "statistics")


def check(
    method: str,
    *,
    against: str | None = None,
    gates: Annotated[list[Name] | None, Parameter(consume_multiple=True, negative=())] = None,
    alpha: float = 1e-3,
    dtype: Literal["float64", "float32"] = "float64",
    json: Json = False,
) -> int:
    """Hold an optimizer against a baseline: contracts, golden traces, theory and statistics.

    Exit status 0: the same or better; 1: different in a way that matters; 2: it cannot run.

    Args:
        method: adamw, "sgd(momentum=0.9)", package.module:Class, path/to/file.py:Class.
        against: A method or a baseline's file; if not given, the method's own baseline, from
            `ravine-baselines/` or as shipped.
        gates: Which of them decide; all if not given.
        alpha: Chance of any false alarm of the statistics.
        dtype: Of the optimizer's parameters.
    """
    import sys
    import traceback

    import torch
    from rich.console import Console

    from ravine.errors import RavineError
    from ravine.regression import Gate, Status
    from ravine.regression import check as hold
    from ravine.reporting.progress import Bar
    from ravine.reporting.regression import print_report, report_records, to_json

    with Bar(Console(stderr=True)) as bar:
        try:
            report = hold(
                method,
                against,
                gates=[Gate[name.upper()] for name in gates or NAMES],
                alpha=alpha,
                dtype=getattr(torch, dtype),
                listener=bar,
            )
        except RavineError:
            raise
        except Exception:  # Python would exit with 1, which means different here
            bar.say(traceback.format_exc())
            sys.exit(2)
    if json:
        print(to_json(report_records(report)))
    else:
        print_report(report)
    match report.verdict:
        case Status.DIFFERENT:
            return 1
        case Status.LEFT_OUT:
            return 2
        case Status.SAME | Status.BETTER:
            return 0
