"""The host of each test."""

from __future__ import annotations

import pytest

from hosts.host import Host, SteeredMart


@pytest.fixture
def host(tmp_path):
    """A host with a data mart of its own."""
    with SteeredMart() as mart:
        yield Host(mart, tmp_path / "spool", tmp_path / "accepted")
