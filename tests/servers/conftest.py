"""A real mart, the servers that only `make servers` runs, and the table of what was captured."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from examples.live import live_mart
from servers.table import Row, Table

_TABLE = pytest.StashKey[Table]()


@pytest.fixture
def live(tmp_path):
    """A running mart with one subscription, payload logging on."""
    with live_mart(tmp_path) as mart:
        yield mart


@pytest.fixture
def row(record_property: Callable[[str, Any], None]) -> Callable[[str], Row]:
    """Makes the row of a server in the table that `make servers` prints."""
    return lambda server: Row(server, record_property)


def pytest_configure(config: pytest.Config) -> None:
    """The table of this run."""
    config.stash[_TABLE] = Table()
    config.pluginmanager.register(_Reader(config.stash[_TABLE]), "servers-table")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what only `make servers` runs, where something else does."""
    if os.environ.get("SCORESPAN_SERVERS") == "all":
        return
    skipped = pytest.mark.skip(reason="only `make servers` runs it (SCORESPAN_SERVERS=all)")
    for item in items:
        if item.get_closest_marker("on_request"):
            item.add_marker(skipped)


class _Reader:
    """Reads the rows from the reports, which come from the workers too."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a test's cells when all of it is over."""
        if report.when == "teardown":
            self._table.add(report.user_properties)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table; where `make servers` runs it, write it to a file, too."""
        if not self._table.rows or os.environ.get("SCORESPAN_SERVERS") != "all":
            return
        text = self._table.markdown()
        terminalreporter.section("what is captured")
        terminalreporter.write(text)
        path = os.environ.get("SCORESPAN_SERVERS_TABLE")
        if path:
            Path(path).write_text(text)
