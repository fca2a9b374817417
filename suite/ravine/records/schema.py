"""What is remembered of a run: one row of a frame, with its columns and their types."""

from enum import StrEnum

import polars as pl

VERSION = 1
"""Of the columns and their meaning; part of every shard's metadata."""


class Outcome(StrEnum):
    """How a run ended; every run ends in one of these and is stored."""

    SOLVED = "solved"
    SPENT = "spent"
    STALLED = "stalled"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def sentence(self) -> str:
        """What the outcome means, in words."""
        return _SENTENCES[self]


_SENTENCES = {
    Outcome.SOLVED: "reached the last of the problem's targets",
    Outcome.SPENT: "used its whole budget without reaching the last target",
    Outcome.STALLED: "stopped moving before reaching the last target",
    Outcome.DIVERGED: "the loss became infinite, not a number, or absurdly large",
    Outcome.FAILED: "the optimizer raised an error",
}

NEVER = -1
"""The first-hit step of a target that was not reached."""

RUN_SCHEMA: dict[str, pl.DataType] = {
    "key": pl.String(),  # hash of everything that decides the run's numbers
    "problem": pl.String(),  # canonical id
    "method": pl.String(),  # canonical id without the tuned knobs
    "setting": pl.String(),  # canonical id with every knob
    "seed": pl.Int64(),
    "budget": pl.Int64(),  # steps allowed
    "dtype": pl.String(),
    "device": pl.String(),
    "level": pl.String(),  # how the run was stacked
    "outcome": pl.String(),
    "reason": pl.String(),  # of a failure, else empty
    "steps": pl.Int64(),  # optimizer steps taken until the end or divergence
    "targets": pl.List(pl.Float64()),  # values of the scored loss, descending
    "hits": pl.List(pl.Int64()),  # first step whose loss is at or below the target
    "start": pl.Float64(),  # scored loss before the first step
    "best": pl.Float64(),  # lowest scored loss seen
    "final": pl.Float64(),  # scored loss at the end; infinite after divergence
    "minimum": pl.Float64(),  # lowest possible value where known, else null
    "trace_step": pl.List(pl.Int64()),  # log-spaced checkpoints
    "trace_loss": pl.List(pl.Float64()),
    "trace_gradient": pl.List(pl.Float64()),  # norm of the training gradient
    "point": pl.List(pl.Float64()),  # where it ended, for problems of up to 100 coordinates
    "test_loss": pl.Float64(),  # networks, else null
    "accuracy": pl.Float64(),  # networks: share of test examples, else null
}
"""Columns of a frame of runs."""
