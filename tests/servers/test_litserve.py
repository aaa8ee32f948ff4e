"""A LitServe service, unchanged; its model runs in another process than its routes."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from servers.matrix import Case, Failing, Good, hold, moved_by_installing, tabled
from servers.serving import free_port, installed, serving

PROGRAM = Path(__file__).parent / "programs" / "matrix_litserve.py"
PATH = "/predict"
COLUMNS = "f0 f1"

pytestmark = [pytest.mark.isolated, pytest.mark.on_request, pytest.mark.timeout(900)]


def asked(*rows):
    """A request of these parcels."""
    return json.dumps({"input": rows}).encode()


def numbered(number):
    """A parcel that goes so many hours."""
    row = (60 * number, 0)
    return Good(PATH, asked(row), tabled(COLUMNS, row), tabled("prediction", [number]))


ROWS = [(120, 20), (90, 0)]
CASE = Case(
    good=[Good(PATH, asked(*ROWS), tabled(COLUMNS, *ROWS), tabled("prediction", [3], [1.5]))],
    failing=[
        Failing(PATH, asked((1, -1)), 500, "fastapi.exceptions.HTTPException"),
        Failing(PATH, b"{}", 400, "fastapi.exceptions.HTTPException"),
    ],
    numbered=numbered,
    unscored=["/", "/health", "/info"],
)


def test_a_litserve_service_is_captured_as_it_is(live, tmp_path, row):
    """Every scoring is a record, every answer the same as without capture."""
    port = free_port()
    command = [installed("litserve").python, PROGRAM, str(port)]
    serve = functools.partial(serving, command, live, tmp_path, port=port, ready="/health")
    hold(CASE, serve, live, row("LitServe 0.2.19"))


def test_beside_litserve_nothing_is_moved():
    """Its packages are enough, and stay as they are."""
    assert moved_by_installing(installed("litserve")) == []
