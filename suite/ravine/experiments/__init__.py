"""Named phenomena of optimization, each with claims that hold or do not.

A file for each source, a function for each experiment.  `ravine reproduce` runs them.
"""

from ravine.experiments.claims import Claim, Region, Standing, above, below, between, equals
from ravine.experiments.experiment import Experiment, Found, Scale, experiment

__all__ = [
    "Claim",
    "Experiment",
    "Found",
    "Region",
    "Scale",
    "Standing",
    "above",
    "below",
    "between",
    "equals",
    "experiment",
]
