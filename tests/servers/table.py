"""The table of servers: what of their scorings the tests found in the mart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

COLUMNS = ("request", "response", "response time", "ids", "error")
_PROPERTY = "captured"


@dataclass(frozen=True)
class Row:
    """One server's row while a test fills it."""

    server: str
    """As a reader knows it, with its version."""
    record_property: Callable[[str, Any], None]

    def found(self, column: str, held: bool) -> None:
        """Fill a cell, and fail the test where it does not hold. One never filled says `no`."""
        assert column in COLUMNS, column
        self.record_property(_PROPERTY, [self.server, column, bool(held)])
        assert held, f"{self.server}: {column}"

    def missing(self) -> None:
        """Nothing is captured of this server: its row says `no`, all through."""
        self.record_property(_PROPERTY, [self.server, COLUMNS[0], False])


@dataclass
class Table:
    """The rows of a run: server to column to whether every test found it."""

    rows: dict[str, dict[str, bool]] = field(default_factory=dict)

    def add(self, properties: Iterable[tuple[str, Any]]) -> None:
        """Take what one test has recorded."""
        for name, value in properties:
            if name == _PROPERTY:
                server, column, held = value
                cells = self.rows.setdefault(server, {})
                cells[column] = cells.get(column, True) and held

    def markdown(self) -> str:
        """The table, sorted by server."""
        lines = ["| server | " + " | ".join(COLUMNS) + " |", "| --- " * (len(COLUMNS) + 1) + "|"]
        for server, cells in sorted(self.rows.items()):
            said = ["yes" if cells.get(column) else "no" for column in COLUMNS]
            lines.append(f"| {server} | " + " | ".join(said) + " |")
        return "\n".join(lines) + "\n"
