"""Golden traces: the ways of deterministic runs, kept as text and taken again.

A trace is a drive, which gives the gradients, under one choice of hyperparameters.  It is kept
as far as rounding leaves it where it is, so that a way which is left was left by the rule.
"""

from ravine.regression.golden.deciding import decide
from ravine.regression.golden.recording import record

__all__ = ["decide", "record"]
