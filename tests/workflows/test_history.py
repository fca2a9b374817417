"""asv sees a regression that was planted between two commits, and nothing where there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OPTIMIZER = '''"""Adam, by its paper."""

import torch


class Plain(torch.optim.Optimizer):
    """Adam of one parameter group."""

    def __init__(self, params, lr=0.001):
        """Keep the rate."""
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step."""
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["t"] += 1
                state["m"].mul_(0.9).add_(p.grad, alpha=0.1)
                state["v"].mul_(0.999).add_(p.grad * p.grad, alpha=0.001)
                m, v = state["m"] / (1 - 0.9 ** state["t"]), state["v"] / (1 - 0.999 ** state["t"])
                p.sub_(group["lr"] * m / (v.sqrt() + 1e-8))
'''
"""What the repository holds, right."""

CORRECTION = 'state["m"] / (1 - 0.9 ** state["t"]), state["v"] / (1 - 0.999 ** state["t"])'

BENCHMARKS = '''"""Steps of the repository's optimizer, and of one that is none of its own."""

from pathlib import Path

FILE = Path(__file__).parents[1] / "plain.py"


def setup_cache():
    """Steps of both to a relative gap of 1e-3; a miss counts as twice the budget."""
    from ravine import Setting, method, problem, solve

    def steps(name, rate, target):
        setting = Setting(method(name), (("lr", rate),))
        hit = solve(problem(target), setting, seed=0, steps=400).hits[2]
        return hit if hit >= 0 else 800

    return steps(f"{FILE}:Plain", 0.1, "rosenbrock"), steps("sgd", 0.01, "himmelblau")


def track_steps_to_target(found):
    """Of the repository's optimizer."""
    return found[0]


def track_steps_of_sgd(found):
    """Of torch's, which no commit touches."""
    return found[1]


for _track in (track_steps_to_target, track_steps_of_sgd):
    _track.unit, _track.version = "steps", "1"
'''

ALIKE = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{
        f"GIT_{who}_{what}": "somebody" if what == "NAME" else "somebody@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


def told(folder: Path, *words: str) -> str:
    """What a command prints that succeeds in a folder."""
    done = subprocess.run(
        words,
        cwd=folder,
        env=os.environ | ALIKE | {"HOME": str(folder.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asv(folder: Path, *words: str) -> str:
    """What asv of this environment prints."""
    return told(folder, sys.executable, "-m", "asv", *words)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with an optimizer, its asv benchmarks, and nothing else."""
    folder = tmp_path / "somebody"
    (folder / "benchmarks").mkdir(parents=True)
    settings = {
        "version": 1,
        "project": "plain",
        "repo": ".",
        "branches": ["main"],
        "environment_type": "existing",
    }
    (folder / "asv.conf.json").write_text(json.dumps(settings))
    (folder / "benchmarks" / "__init__.py").write_text("")
    (folder / "benchmarks" / "steps.py").write_text(BENCHMARKS)
    (folder / "plain.py").write_text(OPTIMIZER)
    told(folder, "git", "init", "--quiet", "--initial-branch", "main")
    asv(folder, "machine", "--yes", "--machine", "one")
    return folder


def measured(folder: Path, subject: str) -> str:
    """Commit everything, measure it, and say at which commit."""
    told(folder, "git", "add", "plain.py", "asv.conf.json", "benchmarks")
    told(folder, "git", "commit", "--quiet", "--message", subject)
    commit = told(folder, "git", "rev-parse", "HEAD").strip()
    words = ("--python=same", "--machine", "one", "--set-commit-hash", commit)
    asv(folder, "run", *words)
    return commit


def marks(folder: Path, before: str, after: str) -> dict[str, str]:
    """The mark that `asv compare` gives each track: `+` for worse, none for unchanged."""
    said = asv(folder, "compare", "--machine", "one", before, after)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines()]
    return {row[-1]: row[0] for row in rows if row and row[-1].startswith("steps.")}


@pytest.mark.slow
def test_a_planted_regression_is_seen(repository: Path) -> None:
    """Adam that loses its bias correction is worse; what is not touched is the same.

    All tracks are deterministic, so that the rate of false alarms is 0.
    """
    right = measured(repository, "Add Adam")
    assert OPTIMIZER.count(CORRECTION) == 1
    (repository / "plain.py").write_text(OPTIMIZER.replace(CORRECTION, 'state["m"], state["v"]'))
    wrong = measured(repository, "Simplify a line")
    assert marks(repository, right, wrong) == {
        "steps.track_steps_to_target": "+",
        "steps.track_steps_of_sgd": "",
    }
