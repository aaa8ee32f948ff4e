"""A Flask service, unchanged, under gunicorn with two workers."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from servers.matrix import Case, Failing, Good, hold, tabled
from servers.serving import free_port, installed, serving

PROGRAMS = Path(__file__).parent / "programs"
PATH = "/score"

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


def instances(*rows):
    """A request of these parcels."""
    return json.dumps({"instances": rows}).encode()


def numbered(number):
    """A parcel that goes so many hours."""
    row = (60 * number, 0)
    return Good(PATH, instances(row), tabled("f0 f1", row), tabled("prediction", [number]))


CASE = Case(
    good=[
        Good(
            PATH,
            instances((120, 20), (90.5, 0)),
            tabled("f0 f1", (120, 20), (90.5, 0)),
            tabled("prediction", [3], [90.5 / 60]),
        ),
    ],
    failing=[
        Failing(PATH, instances((1, -1)), 500, "ArithmeticError"),
        Failing(PATH, b"{", 400, "HTTP 400"),
        Failing(PATH, b"1", 415, "HTTP 415", "text/plain"),
    ],
    numbered=numbered,
    unscored=["/health"],
    hook="flask",
)


def test_a_flask_service_is_captured_as_it_is(live, tmp_path, row):
    """Every scoring is a record, every answer the same as without capture."""
    port = free_port()
    command = [installed("flask").script("gunicorn"), "--workers", "2", "--log-level", "warning"]
    command += ["--bind", f"127.0.0.1:{port}", "--pythonpath", PROGRAMS, "matrix_flask:app"]
    serve = functools.partial(serving, command, live, tmp_path, port=port, ready="/health")
    hold(CASE, serve, live, row("Flask 3.1.3, gunicorn 27.0.1"))
    (record,) = [one for one in live.records() if one.scorespan.get("http_status") == 500]
    assert "less than nothing" in record.scorespan["error"]["stacktrace"]
