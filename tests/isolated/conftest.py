"""A real mart, and virtual environments of the tests' own."""

from __future__ import annotations

import pytest

from examples.live import live_mart
from isolated.environments import environment


@pytest.fixture
def live(tmp_path):
    """A running mart with one subscription, payload logging on."""
    with live_mart(tmp_path) as mart:
        yield mart


@pytest.fixture(scope="session")
def make_environment():
    """Makes the environment of a name and its pins, or finds the one made before."""
    return environment
