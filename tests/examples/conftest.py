"""A real mart for the tests that run programs against one."""

from __future__ import annotations

import pytest

from examples.live import live_mart


@pytest.fixture
def live(tmp_path):
    """A running mart with one subscription, payload logging on."""
    with live_mart(tmp_path) as mart:
        yield mart
