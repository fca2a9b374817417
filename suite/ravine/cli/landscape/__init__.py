"""`ravine landscape ...`: the ground around a problem's points, a file for each command."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from cyclopts import App

HELPERS = ("forecast", "options", "places", "shown")
"""Files of this folder that are no commands."""

landscape = App(
    name="landscape",
    help="Look at the ground around a point: curvature, critical points, lines, planes, symmetry.",
    help_format="markdown",  # lines of a paragraph flow
)
"""The commands; their files import nothing heavy before they are called."""

for _module in iter_modules([str(Path(__file__).parent)]):
    if _module.name not in HELPERS:
        _name = _module.name
        landscape.command(getattr(import_module(f"{__name__}.{_name}"), _name), name=_name)
