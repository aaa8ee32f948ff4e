"""The FastAPI service of the examples, unchanged, under uvicorn."""

from __future__ import annotations

import functools
import json

import pytest

from examples.live import EXAMPLES
from servers.matrix import Case, Failing, Good, hold, moved_by_installing, tabled
from servers.serving import free_port, installed, serving

EXAMPLE = EXAMPLES / "fastapi_unchanged"
PATH = "/predict"
COLUMNS = "kilometres kilograms service"
INVALID = "fastapi.exceptions.RequestValidationError"

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


def parcels(*rows):
    """A request of these parcels."""
    return json.dumps([dict(zip(COLUMNS.split(), row, strict=True)) for row in rows]).encode()


def numbered(number):
    """A parcel that goes so many hours."""
    row = (60 * number, 0, "express")
    answer = (2 + number, number > 22)
    return Good(PATH, parcels(row), tabled(COLUMNS, row), tabled("hours late", answer))


ROWS = [(240, 20, "express"), (1200.5, 0, "standard")]
CASE = Case(
    good=[
        Good(
            PATH,
            parcels(*ROWS),
            tabled(COLUMNS, *ROWS),
            tabled("hours late", (8, False), (32.01, True)),
        ),
    ],
    failing=[
        Failing(PATH, parcels((1, 1, "pigeon")), 500, "KeyError"),
        Failing(PATH, b'[{"kilometres": "far"}]', 422, INVALID),
        Failing(PATH, b"{", 422, INVALID),
    ],
    numbered=numbered,
    unscored=["/health", "/docs", "/openapi.json"],
    least_ms=0,
)


def test_a_fastapi_service_is_captured_as_it_is(live, tmp_path, row):
    """Every scoring is a record, every answer the same as without capture."""
    port, made = free_port(), installed("fastapi")
    command = [made.script("uvicorn"), "--app-dir", EXAMPLE, "--port", str(port), "service:app"]
    serve = functools.partial(serving, command, live, tmp_path, port=port, ready="/health")
    hold(CASE, serve, live, row("FastAPI 0.165.0, uvicorn 0.54.0"))
    (record,) = [one for one in live.records() if one.scorespan.get("http_status") == 500]
    assert record.scorespan["error"]["stacktrace"].endswith("KeyError: 'pigeon'\n")


def test_the_service_says_nothing_of_us():
    """It is what anybody writes."""
    assert "scorespan" not in (EXAMPLE / "service.py").read_text().lower()


def test_beside_fastapi_nothing_is_moved():
    """Its packages are enough, and stay as they are."""
    assert moved_by_installing(installed("fastapi")) == []
