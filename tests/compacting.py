"""Compaction, whatever the age of what it finds."""

from __future__ import annotations

from pathlib import Path

from scorespan.spool.compaction import Kept, compact
from scorespan.spool.ledger_files import ledger_files


def compact_all(root: Path) -> None:
    """Turn every finished ledger file of a spool root into counts."""
    while compact(root / "ledger", Kept(seconds=-1.0)):
        pass
    assert ledger_files(root / "ledger") == []
