"""What tests of the spool share."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorespan.spool.root import prepare_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared root."""
    path = tmp_path / "root"
    prepare_root(path)
    return path
