"""A progress bar with a forecast, on standard error."""

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Bar:
    """Shows the stages of a comparison; a `comparison.Listener`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._stage: TaskID | None = None

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def announce(self, stage: str, runs: int, known: int, seconds: float) -> None:
        """Say what begins and how long it should take."""
        stored = f", {known:,} more are stored" if known else ""
        self.say(f"{stage}: {runs:,} runs, about {duration(seconds)}{stored}")
        self.begin(stage)

    def begin(self, stage: str, seconds: float | None = None) -> None:
        """Start the bar anew, and say how long it should take where that is known."""
        if seconds is not None:
            self.say(f"{stage}: about {duration(seconds)}")
        if self._stage is not None:
            self._bar.remove_task(self._stage)
        self._stage = self._bar.add_task(stage, total=1.0)

    def advance(self, share: float) -> None:
        """Move the bar."""
        if self._stage is not None:
            self._bar.update(self._stage, completed=share)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds in the unit that people would use.

    Example:
        >>> duration(0.3), duration(42), duration(400), duration(9000)
        ('1 s', '42 s', '7 min', '2.5 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
