"""Update rules as their papers print them, in plain float64 NumPy.

Each is one short pure function: a point, a state (None before the first step) and a
gradient in; the next point and state out.  They are the oracle that optimizers are held to,
and share no code with them.  Where torch places a constant elsewhere, the rule has an
argument for it, and `translate` gives the rule that a torch optimizer follows.
"""

from ravine.optimizers.textbook.adaptive import adadelta, adagrad, rmsprop
from ravine.optimizers.textbook.first_order import (
    asgd,
    gradient_descent,
    lion,
    momentum,
    nesterov,
    nesterov_lookahead,
    rprop,
)
from ravine.optimizers.textbook.matrix import adafactor, muon, newton_schulz
from ravine.optimizers.textbook.moments import adam, adamax, adamw, amsgrad, lazy_adam, nadam, radam
from ravine.optimizers.textbook.rule import Rule, root
from ravine.optimizers.textbook.second_order import lbfgs, newton, saddle_free_newton, wolfe
from ravine.optimizers.textbook.translation import difference, translate

__all__ = [
    "Rule",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "asgd",
    "difference",
    "gradient_descent",
    "lazy_adam",
    "lbfgs",
    "lion",
    "momentum",
    "muon",
    "nadam",
    "nesterov",
    "nesterov_lookahead",
    "newton",
    "newton_schulz",
    "radam",
    "rmsprop",
    "root",
    "rprop",
    "saddle_free_newton",
    "translate",
    "wolfe",
]
