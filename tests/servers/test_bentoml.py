"""A BentoML service, unchanged."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import pytest

from servers.matrix import Case, Failing, Good, hold, moved_by_installing, tabled
from servers.serving import arrived, free_port, installed, serving

PROGRAMS = Path(__file__).parent / "programs"
PATH = "/predict"
COLUMNS = "f0 f1"

pytestmark = [pytest.mark.isolated, pytest.mark.on_request, pytest.mark.timeout(900)]


def asked(*rows):
    """A request of these parcels."""
    return json.dumps({"data": rows}).encode()


def numbered(number):
    """A parcel that goes so many hours."""
    row = (60 * number, 0)
    return Good(PATH, asked(row), tabled(COLUMNS, row), tabled("prediction", [number]))


ROWS = [(120, 20), (90, 0)]
CASE = Case(
    good=[Good(PATH, asked(*ROWS), tabled(COLUMNS, *ROWS), tabled("prediction", [3], [1.5]))],
    failing=[
        Failing(PATH, asked((1, -1)), 500, "HTTP 500"),
        Failing(PATH, b"{}", 400, "HTTP 400"),
    ],
    numbered=numbered,
    unscored=["/livez", "/readyz", "/metrics"],
)


@pytest.fixture
def serve(live, tmp_path):
    """Starts the service, given variables for its environment."""
    port, made = free_port(), installed("bentoml")
    command = [made.script("bentoml"), "serve", "matrix_bentoml:Parcels", "--port", str(port)]
    ours = {
        "PATH": f"{made.path / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(PROGRAMS),
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    return functools.partial(serving, command, live, tmp_path, port=port, ready="/readyz", **ours)


def test_a_bentoml_service_is_captured_as_it_is(serve, live, row):
    """Every scoring is a record, every answer the same as without capture."""
    hold(CASE, serve, live, row("BentoML 1.4.39"))


def test_the_id_that_bentoml_gives_a_call_is_the_record_s(serve, live):
    """A call that brings no id has that of the answer."""
    with serve() as server:
        answer = server.post(PATH, asked(*ROWS))
        (record,) = arrived(live, 1)
        server.stop()
    assert record.scorespan["request_id"] == answer.headers["x-bentoml-request-id"]


def test_beside_bentoml_nothing_is_moved():
    """Its packages are enough, and stay as they are."""
    assert moved_by_installing(installed("bentoml")) == []
