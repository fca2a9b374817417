"""`ravine landscape ...`: the ground around a problem's points, a file for each command."""

from pathlib import Path
from pkgutil import iter_modules

from cyclopts import App

HELPERS = ("options", "places", "shown")
"""Files of this folder that are no commands."""

landscape = App(
    name="landscape",
    help="Look at the ground around a point: curvature, critical points, lines, planes, symmetry.",
    help_format="plaintext",
)
"""The commands; each is imported when it is called or its help is asked for."""

for _module in iter_modules([str(Path(__file__).parent)]):
    if _module.name not in HELPERS:
        landscape.command(f"{__name__}.{_module.name}:{_module.name}", name=_module.name)
