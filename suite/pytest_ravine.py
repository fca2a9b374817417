"""The pytest plugin: `pytest --ravine my_package.optim:MyOptimizer`.

It stands beside the package, so that a pytest that does not ask for it imports nothing else.
"""

from collections.abc import Generator

import pytest

NAME = "ravine-items"
"""Of the plugin that is loaded where an optimizer is given."""


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
    group.addoption(
        "--ravine-against",
        metavar="BASELINE",
        help="a method, such as adam, or a file of `ravine baseline save`, that it is held "
        "against; its own baseline if not given",
    )
    group.addoption(
        "--ravine-gates",
        metavar="GATES",
        help="which gates decide, with commas: contract,golden,theory,statistics; all if not given",
    )
    group.addoption(
        "--ravine-alpha",
        type=float,
        default=1e-3,
        metavar="ALPHA",
        help="chance of any false alarm of the statistics (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the rest where an optimizer is given."""
    if config.option.ravine:
        from ravine.testing.plugin import Plugin

        config.pluginmanager.register(Plugin(config), NAME)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let it add its tests; a wrapper cannot be in a package whose types are checked as it runs."""
    report = yield
    plugin = collector.config.pluginmanager.get_plugin(NAME)
    if plugin is not None and isinstance(collector, pytest.Session):
        plugin.extend(collector, report)
    return report
