"""What a person meets at the command line: answers, pictures, and errors in one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ravine.cli import main
from ravine.index import Index, Item, read

LION = (Path(__file__).parents[2] / "lion.py").read_text()

VALLEY = """
def valley(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
"""

QUICK = ["--trials", "4", "--seeds", "6", "--steps", "60", "--jobs", "1"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current one, with a user's files in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lion.py").write_text(LION)
    (tmp_path / "valley.py").write_text(VALLEY)
    return tmp_path


def ask(*words: str) -> int:
    """Run the command and return its exit status."""
    try:
        main(words)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_a_user_s_optimizer_is_compared_with_baselines(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class in a file is tuned, scored and judged; tables, figures and pages are written."""
    problems = ["--problems", "sphere", "rosenbrock", "himmelblau"]
    assert ask("compare", "lion.py:Lion", *problems, *QUICK) == 0
    out = capsys.readouterr().out
    assert "lion.py:Lion against adamw:" in out
    assert "lion.py:Lion against heavy_ball:" in out
    assert "Audited" in out
    assert "Warning: 6 seeds cannot show a difference" in out
    assert "bit-identical" in out
    report = place / "ravine-out"
    for name in ("index.html", "index.md", "tables/results.csv", "tables/verdicts.tex"):
        assert (report / name).stat().st_size > 100
    for name in ("performance", "ecdf", "convergence", "tuning"):
        assert (report / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_further_optimizer_runs_only_what_is_new(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second comparison takes the first one's runs from the store."""
    problems = ["--problems", "sphere", "rosenbrock", "--json"]
    assert ask("compare", "adam", "sgd", *problems, *QUICK) == 0
    first = json.loads(capsys.readouterr().out)
    assert ask("compare", "adam", "sgd", "lion.py:Lion", *problems, *QUICK) == 0
    second = json.loads(capsys.readouterr().out)
    assert first["known"] == 0
    assert second["known"] == first["computed"] == 2 * 2 * 4 * (6 + 5)
    assert second["computed"] == first["computed"] // 2
    old = [v for v in second["verdicts"] if {v["a"], v["b"]} == {"adam", "sgd"}]
    assert old == first["verdicts"]


@pytest.mark.slow
def test_a_method_that_fits_little_does_not_narrow_the_ranks(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Muon runs where it can; profiles and ranks of the others keep all their problems."""
    problems = ["--problems", "sphere", "rosenbrock", "himmelblau", "mnist_softmax(bias=False)"]
    assert ask("compare", "adam", "sgd", "muon", *problems, *QUICK) == 0
    out = capsys.readouterr().out
    assert "Profiles and ranks leave out muon" in out
    assert "Left out: muon on 3 problems, because it needs a parameter that is a matrix" in out
    ranks = (place / "ravine-out" / "tables" / "ranks.csv").read_text().splitlines()
    assert [line.split(",")[-1] for line in ranks[1:]] == ["4", "4"]


def test_a_report_is_made_again_from_the_store(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`report` runs nothing and writes the same tables."""
    assert ask("compare", "adam", "sgd", "--problems", "sphere", *QUICK) == 0
    capsys.readouterr()
    assert ask("report", "--out", "again") == 0
    assert "0 runs" in capsys.readouterr().out
    for name in ("verdicts.csv", "results.csv", "ranks.csv"):
        one, two = (place / d / "tables" / name for d in ("ravine-out", "again"))
        assert one.read_bytes() == two.read_bytes()


def test_a_plan_is_a_comparison_written_down(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run PLAN.toml` does what the same words on the command line do."""
    (place / "plan.toml").write_text(
        'methods = ["adam", "sgd(momentum=0.9)"]\nproblems = ["sphere", "valley.py:valley"]\n'
        "trials = 4\nseeds = 6\nsteps = 60\n"
    )
    assert ask("run", "plan.toml", "--jobs", "1", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    words = ["--problems", "sphere", "valley.py:valley", *QUICK, "--json"]
    assert ask("compare", "adam", "sgd(momentum=0.9)", *words) == 0
    spoken = json.loads(capsys.readouterr().out)
    assert spoken["verdicts"] == planned["verdicts"]
    assert spoken["computed"] == 0


def test_lists_and_cards(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything can be listed and shown, for people and for programs."""
    assert ask("list", "problems", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) >= 70
    assert ask("list", "methods") == 0
    assert "adamw" in capsys.readouterr().out
    assert ask("show", "himmelblau") == 0
    out = capsys.readouterr().out
    assert "maximum at" in out
    assert "surface-himmelblau.png" in out
    assert (place / "ravine-out" / "surface-himmelblau.png").exists()
    assert ask("show", "muon", "--json") == 0
    assert json.loads(capsys.readouterr().out)["needs"] == ["a matrix"]
    assert ask("show", "lion.py:Lion") == 0
    assert "elementwise" in capsys.readouterr().out
    assert ask("show", "valley.py:valley") == 0


def alone(words: list[str], without: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own in which some modules cannot be imported."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({without!r})); "
        f"from ravine.cli import main; main({words!r})"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )


FITS = pytest.mark.skipif(not read().fits, reason="the index speaks of other versions")
HEAVY = ["matplotlib", "polars", "scipy"]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["list", "problems"], 0, "himmelblau"),
        pytest.param(["list", "methods"], 0, "adamw", marks=FITS),
        pytest.param(["list", "methods", "--unsupported"], 0, "cannot step", marks=FITS),
        (["list", "problems", "--tag", "sadle"], 2, "did you mean `saddle`"),
        pytest.param(["show", "adamm"], 2, "did you mean `adam`", marks=FITS),
    ],
)
def test_lists_do_without_torch(words: list[str], status: int, said: str) -> None:
    """Lists and typing errors are answered where torch cannot even be imported."""
    done = alone(words, [*HEAVY, "torch"])
    assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done.stderr


@FITS
def test_a_method_s_card_imports_little() -> None:
    """A card of the catalogue needs torch, but none of its compiler, and no other library."""
    done = alone(["show", "adamw", "--json"], [*HEAVY, "torch._dynamo"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stacks"] == "elementwise"


ABSENT = Item("far", ("zoo",), "From afar.", "no-such-distribution")
STUCK = Item("stuck", ("zoo",), "A stuck one.", "torch", {"unsupported": "it needs a moon"})
MOVING = Item("moving", ("zoo",), "One that moves.", "", {"stacks": "alone"})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of one method that is not installed, one that cannot step, and one that can."""
    index = Index({}, (), (ABSENT, MOVING, STUCK))
    monkeypatch.setattr("ravine.index.read", lambda: index)
    monkeypatch.setattr("ravine.index.entry_points", lambda group: [])


@pytest.mark.usefixtures("small")
def test_methods_that_are_not_installed_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Only methods at hand are listed; a line says how many more an extra brings."""
    assert ask("list", "methods", "--tag", "zoo") == 0
    out = capsys.readouterr().out
    assert "stuck" in out
    assert "far " not in out
    assert 'With `pip install "ravine[zoo]"`: 1 more.' in " ".join(out.split())
    assert ask("list", "methods", "--json") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["moving", "stuck"]


@pytest.mark.usefixtures("small")
def test_methods_that_cannot_step_are_listed_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--unsupported` leaves out whatever can step on anything."""
    assert ask("list", "methods", "--unsupported", "--json") == 0
    rows = [{"name": "stuck", "tags": ["zoo"], "reason": "it needs a moon"}]
    assert json.loads(capsys.readouterr().out) == rows
    assert ask("list", "methods", "--unsupported") == 0
    assert "1 method cannot step" in capsys.readouterr().out


def test_a_method_of_which_nothing_is_known_is_tried(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without findings in the index, `--unsupported` tries every method."""
    unknown = Index({}, (), (Item("sgd"), Item("nowhere_at_all")))
    monkeypatch.setattr("ravine.index.read", lambda: unknown)
    monkeypatch.setattr("ravine.index.entry_points", lambda group: [])
    assert ask("list", "methods", "--unsupported", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == "nowhere_at_all"
    assert "unknown method" in row["reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "adamm", "sgd"], "did you mean `adam`"),
        (["compare", "adam", "sgd", "--problems", "rosenbrok"], "did you mean `rosenbrock`"),
        (["compare", "adam(lr=-1)", "sgd"], "Invalid learning rate"),
        (["compare", "adam(learning=1)", "sgd"], "lr"),
        (["compare", "nowhere.py:Lion"], "nowhere.py"),
        (["compare", "lion.py:Lyon"], "did you mean `Lion`"),
        (["compare", "valley.py:valley", "--problems", "sphere"], "valley"),
        (["compare", "pathlib:Path"], "must be a subclass of torch.optim.Optimizer"),
        (["compare"], "name one or more"),
        (["compare", "adam", "--trials", "0"], "`trials` must be at least 1"),
        (["compare", "adam", "--trials", "many"], "trials"),
        (["compare", "adam", "--jobs", "0"], "`--jobs` must be at least 1"),
        (["compare", "adam", "--colour", "red"], "--colour"),
        (
            ["compare", "muon", "muon_match_rms_adamw", "--problems", "sphere"],
            "none of the methods",
        ),
        (["compare", "adam", "--problems", "sphere(dim=0)"], "`dim` must be at least 1"),
        (["compare", "adam((", "sgd"], "expected"),
        (["compare", "adam", "--out", "lion.py/out"], "lion.py"),
        (["compare", "adam", "--store", "lion.py/store", "--problems", "sphere"], "--store"),
        (["run", "nothing.toml"], "cannot be read"),
        (["run", "lion.py"], "no TOML"),
        (["report"], "holds no comparison"),
        (["show", "nothing_at_all"], "unknown problem or method"),
        (["list", "problems", "--tag", "conditionned"], "did you mean `conditioned`"),
        (["list", "methods", "--tag", "torhc"], "did you mean `torch`"),
        (["list", "problems", "--unsupported"], "write `ravine list methods --unsupported`"),
        (["list", "optimisers"], "optimisers"),
        (["show", "adamm"], "did you mean `adam`"),
        (["dance"], "dance"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """Bad input exits with 2 and one line on standard error that names the remedy."""
    assert ask(*words) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""


@pytest.mark.parametrize("text", ['methods = "adam"', "trials = 2.5", 'metods = ["adam"]'])
def test_a_wrong_plan_names_the_key(
    place: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """A plan's mistake is named with the key it stands under."""
    (place / "plan.toml").write_text(text)
    assert ask("run", "plan.toml") == 2
    assert text.split()[0] in captured_error(capsys)


def test_a_damaged_shard_costs_only_itself(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The damaged file is named; after deleting it the comparison runs what was in it."""
    words = ["compare", "adam", "sgd", "--problems", "sphere", *QUICK]
    assert ask(*words) == 0
    (shard,) = (place / "ravine-store" / "shards").glob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:-50])
    capsys.readouterr()
    assert ask(*words) == 2
    assert shard.name in captured_error(capsys)
    shard.unlink()
    assert ask(*words) == 0


def captured_error(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed on standard error."""
    return capsys.readouterr().err
