"""Named phenomena of optimization, each with claims that hold or do not.

A file for each source, a function for each experiment.  `ravine reproduce` runs them.
"""
