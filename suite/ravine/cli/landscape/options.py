"""Options that the landscape commands share; nothing here imports torch."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

OUT = Path("ravine-out")

Out = Annotated[Path, Parameter(help="Folder for figures (PNG and SVG) and tables (CSV).")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON for programs instead of tables.")]
Steps = Annotated[
    int | None,
    Parameter(help="Steps of a run that ends at a place; the problem's budget if not given."),
]
Examples = Annotated[
    int | None, Parameter(help="Training examples that the loss is taken over; test examples: all.")
]
Split = Annotated[Literal["train", "test"], Parameter(help="Which examples of a network.")]
BatchNorm = Annotated[
    Literal["recomputed", "batch", "frozen"],
    Parameter(help="Moments of batch normalisation: recomputed at each point, or of each batch."),
]
Seed = Annotated[
    int | None,
    Parameter(help="Instance of a formula (its shift and rotation) and order of examples."),
]
PLACES = """
A place is `start` (or `start@3` for seed 3), an optimizer whose run ends there, as
"sgd(lr=0.1)" or "adam(lr=0.001)@3", coordinates as 0.5,1, or a state dict, weights.pt.
"""
