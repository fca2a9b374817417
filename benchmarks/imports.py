"""What a user waits for before anything happens."""

from benchmarks.profiles import marked

_ASK = """
import contextlib, io, tempfile
from ravine.cli import main
with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
    main([{words}])
"""


@marked("seconds")
def timeraw_import_ravine() -> str:
    """The package alone, which does not import torch."""
    return "import ravine"


@marked("seconds")
def timeraw_import_problems() -> str:
    """The catalogue, with torch."""
    return "import ravine.problems"


@marked("seconds")
def timeraw_list_problems() -> str:
    """A list, which does not import torch either."""
    return _ASK.format(words="'list', 'problems'")


@marked("seconds")
def timeraw_list_methods() -> str:
    """The same for methods, with a look at what is installed."""
    return _ASK.format(words="'list', 'methods'")


@marked("seconds")
def timeraw_show_method() -> str:
    """The card of a method of the catalogue, which tries nothing out."""
    return _ASK.format(words="'show', 'adamw'")


@marked("seconds")
def timeraw_show_problem() -> str:
    """The card of a formula, with its picture in both forms."""
    return _ASK.format(words="'show', 'himmelblau', '--out', folder")
