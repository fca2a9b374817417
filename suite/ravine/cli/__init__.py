"""The command line: `ravine list | show | compare | run | report | landscape | check | baseline`.

Bad input is one sentence with its remedy on standard error and exit status 2.
"""

import atexit
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from ravine.cli.baseline import baseline
from ravine.cli.check import check
from ravine.cli.landscape import landscape
from ravine.cli.reproduce import reproduce
from ravine.errors import RavineError

STORE = Path("ravine-store")
OUT = Path("ravine-out")

app = App(
    name="ravine",
    help="Compare optimizers on problems whose difficulties are known.",
    help_format="plaintext",
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `main` says what is kept
)

app.command(landscape)
app.command(check)
app.command(baseline)
app.command(reproduce)

Json = Annotated[bool, Parameter(negative="", help="Print JSON for programs instead of tables.")]
Store = Annotated[Path, Parameter(help="Folder of the results; what it holds is not run again.")]
Out = Annotated[Path, Parameter(help="Folder for the report: tables, figures, index.html.")]


@app.command(name="list")
def list_(
    kind: Literal["problems", "methods"],
    *,
    tag: str = "",
    unsupported: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """List what can be compared, and on what.

    Args:
        kind: problems or methods.
        tag: Only the entries with this tag.
        unsupported: Only the methods that cannot step at all, with the reason.
    """
    from ravine.reporting.listings import listing

    listed = listing(kind, tag, unsupported)
    print(_json(listed.records()) if json else listed.text())


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage, now and at the end of the process; torch's import leaves none.

    Of the time that a process takes to import torch and end, the search is a quarter.
    """
    atexit.register(gc.freeze)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@app.command
def show(id: str, *, out: Out = OUT, json: Json = False) -> None:
    """Show what is known of a problem or a method, with a picture of a surface.

    Args:
        id: A problem or a method: himmelblau, adamw, path/to/file.py:Class.
    """
    from ravine.reporting.listings import card

    with _uncollected():
        shown = card(id, None if json else out)
    print(_json(shown.facts) if json else shown.text())


@app.command
def compare(
    *methods: str,
    problems: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    trials: int = 16,
    seeds: int = 25,
    steps: int | None = None,
    jobs: int | None = None,
    store: Store = STORE,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Compare optimizers: tune each, score it on other seeds, and judge pair by pair.

    A single method is held against tuned baselines (adamw, heavy_ball).

    Args:
        methods: adamw, "sgd(momentum=0.9)", package.module:Class, path/to/file.py:Class.
        problems: Ids or tags (`ravine list problems`); if not given, all formulas and two
            MNIST networks.
        trials: Settings tried for each method, the same number for all.
        seeds: Seeds that scores come from; settings are chosen on others.
        steps: Budget of every run; each problem's own if not given.
        jobs: Processes; all cores if not given.
    """
    from ravine.comparison import Question

    question = Question(
        methods=methods,
        problems=tuple(problems or ()),
        trials=trials,
        seeds=seeds,
        steps=steps,
    )
    _answer(question, jobs, store, out, json)


@app.command
def run(
    plan: Path,
    *,
    jobs: int | None = None,
    store: Store = STORE,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Run a comparison that is written down in a file.

    Args:
        plan: A TOML file with the keys methods, problems, trials, seeds, steps, alpha, ...
        jobs: Processes; all cores if not given.
    """
    from ravine.plans import read_plan

    _answer(read_plan(plan), jobs, store, out, json)


@app.command
def report(*, store: Store = STORE, out: Out = OUT, json: Json = False) -> None:
    """Write the report of the last comparison again, from the store alone."""
    from ravine.plans import last_question

    _answer(last_question(store), 1, store, out, json)


def _answer(question: Any, jobs: int | None, store: Path, out: Path, as_json: bool) -> None:
    from ravine.comparison import compare as ask
    from ravine.engine.pool import default_jobs
    from ravine.plans import remember
    from ravine.reporting.answers import as_records, print_summary, write_answer
    from ravine.reporting.pages import writable
    from ravine.reporting.progress import Bar

    if jobs is not None and jobs < 1:
        from ravine.errors import BadValue

        raise BadValue(f"`--jobs` must be at least 1, got {jobs}")
    writable(out)
    remember(question, store)
    with Bar(Console(stderr=True)) as bar:
        answer = ask(question, store, jobs or default_jobs(), listener=bar)
        bar.say("writing the report")
        index = write_answer(answer, out)
    if as_json:
        print(_json(as_records(answer)))
    else:
        print_summary(answer, index)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, allow_nan=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    complain = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    try:
        status = app(arguments, exit_on_error=False, print_error=False)
    except RavineError as error:
        complain.print(f"ravine: {error}")
        sys.exit(2)
    except CycloptsError as error:
        said = " ".join(str(error).split())
        complain.print(f"ravine: {said} (`ravine --help`)")
        sys.exit(2)
    except KeyboardInterrupt:
        kept = "what is finished is stored, repeat the command to go on"
        given = list(sys.argv[1:] if arguments is None else arguments)
        if given[:1] == ["landscape"] and given[1:2] != ["plane"]:
            kept = "figures and tables are written at the end, so there are none yet"
        if given[:1] == ["reproduce"]:
            kept = "pages of what is finished are written, name the others to go on"
        if given[:1] in (["check"], ["baseline"]):
            kept = "nothing is written before the end, repeat the command to have it"
        complain.print(f"ravine: interrupted; {kept}")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
    if status:
        sys.exit(status)
