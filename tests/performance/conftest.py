"""Timings are taken only where they are asked for.

    pytest -o addopts= --import-mode=importlib tests/performance --benchmark-only

Without `--benchmark-only` nothing here is collected, so that processes side by side neither
time anything nor are warned that they cannot; without the project's own options the package
is not instrumented with type checks, which would be timed with it.
"""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder out unless timings are asked for."""
    return None if config.getoption("benchmark_only", default=False) else True
