"""Assertions about optimizers and landscapes, each with a stated rate of false alarms.

Whatever they are given that is wrong in itself raises a `ravine.errors.RavineError`; only
what the optimizer or the landscape does raises an AssertionError, whose message says what
was expected, what was seen, of how many, and how probable that is by chance.
"""
