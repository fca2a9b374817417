"""The pytest plugin: `pytest --ravine my_package.optim:MyOptimizer`.

It stands beside the package, so that a pytest that does not ask for it imports nothing else.
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("ravine", "hold an optimizer to contracts, theory and baselines")
    group.addoption(
        "--ravine",
        action="append",
        default=[],
        metavar="OPTIMIZER",
        help="an optimizer: package.module:Class or path/to/file.py:Class; may be repeated",
    )
