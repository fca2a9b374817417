"""The tree of tests: a candidate, its gates, and an item for each thing that is decided."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from ravine.optimizers.capabilities import undisturbed
from ravine.regression.decisions import Case, Decision, Gate, Status
from ravine.reporting.regression import sentence
from ravine.testing.plugin.layers import ALL, Layer, layers

Decide = Callable[[Case], Iterator[Decision]]


class Different(Exception):
    """A candidate differs; the message is all there is to say."""


class Hearing:
    """The decisions of a gate, made when they are asked for and only once.

    Args:
        decide: the gate.
        case: who is heard.
    """

    def __init__(self, decide: Decide, case: Case) -> None:
        self._decisions = decide(case)
        self._found: dict[str, Decision] = {}
        self._more: list[Decision] = []
        """Decisions under a name that was there before."""

    def find(self, name: str) -> Decision | None:
        """The decision under a name, None if the gate makes none."""
        while name not in self._found and self._next():
            pass
        return self._found.get(name)

    def beyond(self, names: Sequence[str]) -> list[Decision]:
        """All decisions under other names, and seconds under the same."""
        while self._next():
            pass
        return [d for n, d in self._found.items() if n not in names] + self._more

    def _next(self) -> bool:
        with _settled():
            found = next(self._decisions, None)
        if found is None:
            return False
        if self._found.setdefault(found.name, found) is not found:
            self._more.append(found)
        return True


@contextmanager
def _settled() -> Iterator[None]:
    """Warnings, generators and torch's modes as at a process's start, for a while.

    What a user's other tests set up must not decide what is found.
    """
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with undisturbed():
            yield
    finally:
        torch.set_default_dtype(dtype)


class Candidate(pytest.Collector):
    """An optimizer."""

    def __init__(self, *, case: Case, gates: Sequence[Gate], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case, self.gates = case, gates

    def collect(self) -> Iterable["Heard"]:
        """The gates."""
        for layer in layers(self.case, self.gates):
            yield Heard.from_parent(self, name=layer.name, layer=layer, case=self.case)


class Heard(pytest.Collector):
    """A gate of an optimizer."""

    parent: Candidate

    def __init__(self, *, layer: Layer, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer
        self.hearing = Hearing(layer.decide, case)
        if self.config.pluginmanager.hasplugin("xdist"):
            # with --dist loadgroup a gate is run by one worker, not by each
            self.add_marker(pytest.mark.xdist_group(self.nodeid))

    def collect(self) -> Iterable["Held"]:
        """What the gate decides."""
        for name in self.layer.names:
            yield Held.from_parent(self, name=name)


class Held(pytest.Item):
    """One thing that a candidate is held to."""

    parent: Heard

    def runtest(self) -> None:
        """Ask for the decision."""
        layer, hearing = self.parent.layer, self.parent.hearing
        found = [] if self.name == ALL else [hearing.find(self.name)]
        if self.name == layer.names[-1]:  # the last speaks for what could not be named before
            found += hearing.beyond(layer.names)
        decisions = [d for d in found if d]
        if wrong := [d for d in decisions if d.status is Status.DIFFERENT]:
            raise Different("\n".join(map(sentence, wrong)))
        if not decisions or None in found:
            raise Different(f"{layer.name} `{self.name}`: nothing was decided")
        if all(d.status is Status.LEFT_OUT for d in decisions):
            pytest.skip(decisions[0].seen)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What differs in a sentence; a traceback for all else."""
        if isinstance(excinfo.value, Different):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """No file and no line; the head of a failure."""
        whose = self.parent.parent.name
        return self.config.rootpath / "ravine", None, f"{whose}, {self.parent.name}: {self.name}"
