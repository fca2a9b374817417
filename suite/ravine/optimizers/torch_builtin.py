"""Every optimizer of `torch.optim`, found by introspection, and their named variants."""

import inspect

import torch

from ravine.optimizers.base import Hyper
from ravine.optimizers.catalogue import register


def builtin_classes() -> dict[str, type[torch.optim.Optimizer]]:
    """Find the optimizer classes that the installed `torch.optim` exports, by name."""
    return {
        name: thing
        for name, thing in sorted(vars(torch.optim).items(), key=lambda item: item[0].lower())
        if inspect.isclass(thing)
        and issubclass(thing, torch.optim.Optimizer)
        and thing is not torch.optim.Optimizer
        and not name.startswith("_")
    }


ONE_ITERATION: Hyper = {"max_iter": 1}
"""One L-BFGS iteration a step instead of up to 20: steps then compare across methods, and
the curvature pairs are kept in the state from one step to the next."""

VARIANTS: dict[str, tuple[str, Hyper, str]] = {
    "heavy_ball": ("SGD", {"momentum": 0.9}, "SGD with Polyak's momentum"),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}, "SGD with Nesterov's momentum"),
    "amsgrad": ("Adam", {"amsgrad": True}, "Adam with the largest second moment so far"),
    "adamw_amsgrad": ("AdamW", {"amsgrad": True}, "AdamW with the largest second moment so far"),
    "rmsprop_centered": ("RMSprop", {"centered": True}, "RMSprop by the gradient's variance"),
    "rmsprop_momentum": ("RMSprop", {"momentum": 0.9}, "RMSprop with heavy-ball momentum"),
    # a decay of 0, the default, would make the decoupled variants equal to their parents
    "nadamw": (
        "NAdam",
        {"weight_decay": 0.01, "decoupled_weight_decay": True},
        "NAdam with decoupled weight decay",
    ),
    "radamw": (
        "RAdam",
        {"weight_decay": 0.01, "decoupled_weight_decay": True},
        "RAdam with decoupled weight decay",
    ),
    "adagrad_accumulator": (
        "Adagrad",
        {"initial_accumulator_value": 0.1},
        "Adagrad whose sum of squares begins at 0.1, as in TensorFlow",
    ),
    "adagrad_decay": ("Adagrad", {"lr_decay": 0.01}, "Adagrad with a rate lr / (1 + 0.01 t)"),
    "muon_match_rms_adamw": (
        "Muon",
        {"adjust_lr_fn": "match_rms_adamw"},
        "Muon with updates as large as AdamW's, so that its rates carry over",
    ),
    "lbfgs_strong_wolfe": (
        "LBFGS",
        # torch's own limit, 5/4 of max_iter, would leave the search no evaluation at all
        {**ONE_ITERATION, "max_eval": 26, "line_search_fn": "strong_wolfe"},
        "L-BFGS with a strong Wolfe line search, one iteration a step",
    ),
}
"""Variants by name: the class, what differs from its defaults, and a summary."""


def _register() -> None:
    classes = builtin_classes()
    for name, build in classes.items():
        lbfgs = name == "LBFGS"
        register(
            "torch",
            fixed=ONE_ITERATION if lbfgs else None,
            summary="L-BFGS, one iteration a step" if lbfgs else None,
        )(build)
    for name, (parent, fixed, summary) in VARIANTS.items():
        if parent in classes:  # an older torch lacks the newest classes
            register("torch", "variant", name=name, fixed=fixed, summary=summary)(classes[parent])


_register()
