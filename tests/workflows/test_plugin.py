"""An optimizer's gates as tests in a user's repository."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ravine.optimizers import method
from ravine.regression import Baseline, Case, Decision, Gate, Status, write_baseline
from ravine.regression.baseline import Race, Trace, versions
from ravine.regression.contracts import CONTRACTS
from ravine.testing.plugin import gauntlet
from ravine.testing.plugin.items import Hearing
from ravine.testing.plugin.layers import ALL, layers

REWRITE = "pytest.PytestAssertRewriteWarning"
"""Said of modules that the outer pytest has imported before."""

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.filterwarnings(f"ignore::{REWRITE}")

OPTIMIZERS = Path(__file__).with_name("adams.py").read_text()


@pytest.fixture
def repository(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A user's repository with a package of optimizers and a test."""
    # pytester forgets what a run imported, and parts of torch cannot be imported twice
    monkeypatch.setattr("_pytest.pytester.SysModulesSnapshot.restore", lambda snapshot: None)
    for name in ("brought", "brought.optim", "test_own"):
        sys.modules.pop(name, None)
    package = pytester.mkpydir("brought")
    (package / "optim.py").write_text(OPTIMIZERS)
    pytester.makepyfile(test_own="def test_own():\n    pass\n")
    pytester.makeini("[pytest]\nfilterwarnings = error")
    return pytester


def run(repository: pytest.Pytester, *words: str) -> pytest.RunResult:
    """Run pytest in this process, whose imports are shared."""
    without = ("-p", "no:jaxtyping", "-p", "no:cacheprovider", "-W", f"ignore::{REWRITE}")
    return repository.runpytest_inprocess(*without, *words)


def test_gates_are_tests_beside_a_user_s_own(repository: pytest.Pytester) -> None:
    """A wrong optimizer fails in the item of its contract, with a sentence, and in JUnit."""
    done = run(
        repository,
        *("--ravine", "brought.optim:Wrong", "--ravine-gates", "contract,golden"),
        *("-k", "test_own or closure or golden or zero", "--junitxml", "found.xml", "-rs"),
    )
    done.assert_outcomes(passed=2, failed=1, skipped=1, deselected=len(CONTRACTS) - 2)
    done.stdout.fnmatch_lines(
        [
            "*ravine: brought.optim:Wrong without a baseline*",
            "*contract `zero gradient`: expected no movement*deterministic)",
            "SKIPPED*there is no baseline*",
        ]
    )
    done.stdout.no_fnmatch_line("*Traceback*")
    cases = ElementTree.parse(repository.path / "found.xml").iter("testcase")
    failed = [c for c in cases if c.find("failure") is not None]
    assert [(c.get("classname"), c.get("name")) for c in failed] == [
        ("ravine.Wrong.contract", "zero gradient")
    ]


def test_an_id_picks_what_runs(repository: pytest.Pytester) -> None:
    """An id of a summary, given as argument, runs that item alone."""
    picked = "ravine::Fine::contract::zero gradient"
    done = run(repository, "--ravine", "brought.optim:Fine", picked, "-v")
    done.assert_outcomes(passed=1, deselected=done.parseoutcomes()["deselected"])
    done.stdout.fnmatch_lines([f"*{picked}*PASSED*"])
    done = run(repository, "--ravine", "brought.optim:Fine", "ravine::Fine::nothing")
    assert done.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ravine", "brought.optim:Fin"), "*ravine: unknown method*did you mean `Fine`*"),
        (("--ravine", "adam", "--ravine-gates", "gold"), "*`--ravine-gates` knows contract*"),
        (("--ravine", "adam", "--ravine-alpha", "2"), "*`alpha` must lie between 0 and 1*"),
        (("--ravine", "adam", "--ravine-against", "no.json"), "*cannot read `no.json`*"),
    ],
)
def test_a_wrong_option_is_a_usage_error(
    repository: pytest.Pytester, words: tuple[str, ...], said: str
) -> None:
    """What cannot run is one sentence and exit status 4, before anything is collected."""
    done = run(repository, *words)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([said])


def test_names_are_known_before_anything_runs(repository: pytest.Pytester) -> None:
    """Contracts, laws, traces and races are listed from the baseline alone; so is a gauntlet."""
    kept = Baseline(
        method="adam",
        versions=versions(),
        traces=(Trace(drive="tape", hyper={"eps": 0.01}, steps=(1,), ways=((1.0,),)),),
        races=(
            Race(
                problem="sphere",
                hyper={"lr": 0.1},
                budget=8,
                seeds=(0,),
                fresh=(5,),
                runtime=(3.0, 2.0),
                gap=(-1.0, -2.0),
            ),
        ),
    )
    write_baseline(kept, repository.path / "adam.json")
    words = ["--ravine", "brought.optim:Fine", "--collect-only", "-q"]
    done = run(repository, *words, "--ravine-against", "adam.json")
    found = [line for line in done.outlines if line.startswith("ravine::")]
    assert "ravine::Fine::golden::tape, eps=0.01" in found
    assert "ravine::Fine::statistics::sphere: final gap" in found
    assert sum("::contract::" in line for line in found) == len(CONTRACTS)
    assert sum("::theory::" in line for line in found) > 5
    done = run(repository, *words, "--ravine-gates", "statistics")
    assert "ravine::Fine::gauntlet::rosenbrock" in done.outlines


def decision(name: str, status: Status = Status.SAME) -> Decision:
    """A decision as a gate makes it."""
    return Decision(gate=Gate.THEORY, name=name, status=status, expected="one", seen="another")


def test_a_gate_decides_only_what_is_asked_for() -> None:
    """A gate goes on until the name is decided; what it says beyond its names is not lost."""
    begun: list[str] = []

    def decide(case: Case) -> Iterator[Decision]:
        for name in ("first", "second", "second", "unnamed"):
            begun.append(name)
            yield decision(name)

    hearing = Hearing(decide, Case(method=method("sgd")))
    assert hearing.find("first") == decision("first")
    assert begun == ["first"]
    assert hearing.beyond(("first", "second")) == [decision("unnamed"), decision("second")]
    assert hearing.find("absent") is None


@pytest.mark.slow
def test_a_gauntlet_tells_descent_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Descent passes; ascent fails (a right optimizer does so once in 10^6 draws of seeds)."""
    monkeypatch.setattr(gauntlet, "FORMULAS", ("ellipsoid_1e4",))
    found = list(gauntlet.decide(Case(method=method("sgd(momentum=0.9)"))))
    assert [d.name for d in found] == ["ellipsoid_1e4"]
    assert {d.status for d in found} == {Status.SAME}
    (bowl,) = gauntlet.decide(Case(method=method("sgd(lr=0.001, maximize=True)")))
    assert bowl.status is Status.DIFFERENT
    assert bowl.chance < 1e-6


def test_a_gate_without_names_is_one_item() -> None:
    """Without a baseline, golden traces are one item, which says why it is left out."""
    (layer,) = layers(Case(method=method("sgd")), (Gate.GOLDEN,))
    assert layer.names == (ALL,)


def test_a_plain_pytest_imports_nothing(tmp_path: Path) -> None:
    """Without `--ravine`, neither torch nor ravine is imported by pytest."""
    (tmp_path / "test_bare.py").write_text(
        "import sys\n\n\ndef test_bare():\n"
        "    assert 'pytest_ravine' in sys.modules\n"
        "    assert not {'torch', 'ravine', 'numpy'} & set(sys.modules)\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:jaxtyping", str(tmp_path)]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
