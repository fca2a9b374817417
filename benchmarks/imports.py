"""What a user waits for before anything happens."""


def timeraw_import_ravine() -> str:
    """The package alone, which does not import torch."""
    return "import ravine"


def timeraw_import_problems() -> str:
    """The catalogue, with torch."""
    return "import ravine.problems"
