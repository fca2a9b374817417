"""What `pytest --ravine` loads: an optimizer's gates as ordinary tests."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ravine.errors import BadValue, RavineError
from ravine.registry import parse
from ravine.regression.baseline import filename, write_baseline
from ravine.regression.check import prepare
from ravine.regression.decisions import Case, Gate
from ravine.testing.plugin.items import Candidate

__all__ = ["Plugin"]

ROOT = "ravine::"
"""What all ids begin with; as an argument of pytest, such an id picks what runs."""


class Plugin:
    """Adds an optimizer's tests to a session.

    Args:
        config: with the options of `pytest_ravine`.

    Raises:
        pytest.UsageError: an option is wrong, or an optimizer cannot step.
    """

    def __init__(self, config: pytest.Config) -> None:
        for folder in (config.invocation_params.dir, config.rootpath):
            if str(folder) not in sys.path:
                sys.path.append(str(folder))  # last: it is to hide nothing
        self._pick(config)
        self.alpha: float = config.option.ravine_alpha
        try:
            self.gates = _gates(config.option.ravine_gates)
            self.cases = [self._prepare(id, config) for id in dict.fromkeys(config.option.ravine)]
        except RavineError as error:
            raise pytest.UsageError(f"ravine: {error}") from None

    def _pick(self, config: pytest.Config) -> None:
        """Take our ids out of what pytest looks for in files."""
        given = getattr(config, "workerinput", {}).get("ravine", config.args)
        self.picked = [a for a in given if a.startswith(ROOT)]
        self.given = list(given)
        if self.picked:
            config.args = [a for a in given if not a.startswith(ROOT)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist what was picked."""
        node.workerinput["ravine"] = self.given

    def _prepare(self, id: str, config: pytest.Config) -> tuple[Case, str]:
        against = config.option.ravine_against
        case, words = prepare(id, against, alpha=self.alpha)
        if case.baseline and words.endswith("run now"):
            # made once, not by every worker and for every optimizer
            folder = tempfile.TemporaryDirectory()
            config.add_cleanup(folder.cleanup)
            place = Path(folder.name) / filename(case.baseline.method)
            write_baseline(case.baseline, place)
            config.option.ravine_against = str(place)
        return case, words

    def pytest_report_header(self) -> list[str]:
        """Say what is held against what."""
        return [
            f"ravine: {case.method.name} against {words}, alpha {self.alpha:g}"
            if words
            else f"ravine: {case.method.name} without a baseline (--ravine-against adam)"
            for case, words in self.cases
        ]

    def extend(self, session: pytest.Session, report: pytest.CollectReport) -> None:
        """Add the optimizers to what a session holds."""
        if report.passed:
            report.result = [*report.result, *self._candidates(session)]

    def _candidates(self, session: pytest.Session) -> Iterable[Candidate]:
        short = [_short(case) for case, _ in self.cases]
        for (case, _), name in zip(self.cases, short, strict=True):
            shown = name if short.count(name) == 1 else case.method.name
            yield Candidate.from_parent(
                session, name=shown, nodeid=ROOT + shown, case=case, gates=self.gates
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep what was picked, where something of ours was."""
        if not self.picked:
            return
        ours = [i for i in items if i.nodeid.startswith(ROOT)]
        out = [i for i in ours if not any(_within(i.nodeid, p) for p in self.picked)]
        for picked in self.picked:
            if not any(_within(i.nodeid, picked) for i in ours):
                raise pytest.UsageError(f"ravine: no `{picked}`; --collect-only lists what is")
        config.hook.pytest_deselected(items=out)
        items[:] = [i for i in items if i not in out]


def _within(nodeid: str, picked: str) -> bool:
    return nodeid == picked or nodeid.startswith(f"{picked}::")


def _short(case: Case) -> str:
    """The class's name and its hyperparameters, without the place."""
    name, place = case.method.name, parse(case.method.name).name
    return name[len(place) - len(place.rpartition(":")[2]) :]


def _gates(text: str | None) -> tuple[Gate, ...]:
    if text is None:
        return tuple(Gate)
    known = {gate.name.lower(): gate for gate in Gate}
    words = text.replace(",", " ").split()
    for word in words:
        if word not in known:
            raise BadValue(f"`--ravine-gates` knows {', '.join(known)}, got `{word}`; choose some")
    return tuple(gate for name, gate in known.items() if name in words)
