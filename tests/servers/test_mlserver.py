"""An MLServer model, unchanged."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from servers.matrix import Case, Failing, Good, hold, moved_by_installing, tabled
from servers.serving import free_port, installed, serving

PROGRAMS = Path(__file__).parent / "programs"
PATH = "/v2/models/parcels/infer"
VERSIONED = "/v2/models/parcels/versions/v3/infer"
COLUMNS = "parcels_0 parcels_1"

pytestmark = [pytest.mark.isolated, pytest.mark.on_request, pytest.mark.timeout(900)]


def tensor(*rows):
    """A request of these parcels."""
    one = {"name": "parcels", "shape": [len(rows), 2], "datatype": "FP64"}
    flat = [cell for row in rows for cell in row]
    return json.dumps({"id": "7", "inputs": [{**one, "data": flat}]}).encode()


def numbered(number):
    """A parcel that goes so many hours."""
    row = (60 * number, 0)
    return Good(PATH, tensor(row), tabled(COLUMNS, row), tabled("hours", [number]))


ROWS = [(120, 20), (90, 0)]
GOOD = [
    Good(path, tensor(*ROWS), tabled(COLUMNS, *ROWS), tabled("hours", [3], [1.5]))
    for path in (PATH, VERSIONED)
]
READY = ["/v2/health/live", "/v2/models/parcels", "/v2/models/parcels/ready"]


def case(error):
    """What is asked; the error's type depends on the process that scores."""
    failing = [
        Failing(PATH, tensor((1, -1)), 500, error),
        Failing(PATH, b'{"inputs": 1}', 422, "fastapi.exceptions.RequestValidationError"),
    ]
    return Case(GOOD, failing, numbered, READY, model="parcels")


@pytest.mark.parametrize(
    ("workers", "error"),
    [({}, "mlserver.parallel.errors.WorkerError"), ({"parallel_workers": 0}, "ArithmeticError")],
    ids=["default", "none"],
)
def test_an_mlserver_model_is_captured_as_it_is(workers, error, live, tmp_path, row):
    """Every scoring is a record, whichever process scores; every answer as without capture."""
    ports = {name: free_port() for name in ("http_port", "grpc_port", "metrics_port")}
    settings = {**ports, "host": "127.0.0.1", **workers}
    model = {
        "name": "parcels",
        "implementation": "matrix_mlserver.Parcels",
        "parameters": {"version": "v3"},
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "model-settings.json").write_text(json.dumps(model))
    serve = functools.partial(
        serving,
        [installed("mlserver").script("mlserver"), "start", tmp_path],
        live,
        tmp_path,
        port=ports["http_port"],
        ready="/v2/models/parcels/ready",
        PYTHONPATH=str(PROGRAMS),
    )
    hold(case(error), serve, live, row("MLServer 1.7.1"))
    versions = {record.scorespan.get("model_version") for record in live.records()}
    assert versions == {None, "v3"}


def test_beside_mlserver_nothing_is_moved():
    """Its packages are enough, and stay as they are."""
    assert moved_by_installing(installed("mlserver")) == []
