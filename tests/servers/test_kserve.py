"""A KServe model, unchanged, over both versions of the protocol."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from servers.matrix import Case, Failing, Good, hold, moved_by_installing, tabled
from servers.serving import free_port, installed, serving

PROGRAM = Path(__file__).parent / "programs" / "matrix_kserve.py"
V1, V2 = "/v1/models/parcels:predict", "/v2/models/parcels/infer"
NAMES = {"SCORESPAN_FEATURE_NAMES": "kilometres,kilograms"}
COLUMNS = "kilometres kilograms"

pytestmark = [pytest.mark.isolated, pytest.mark.on_request, pytest.mark.timeout(900)]


def instances(*rows):
    """A request of version 1."""
    return json.dumps({"instances": rows}).encode()


def tensor(*rows):
    """A request of version 2."""
    one = {"name": "parcels", "shape": [len(rows), 2], "datatype": "FP64"}
    flat = [cell for row in rows for cell in row]
    return json.dumps({"id": "7", "inputs": [{**one, "data": flat}]}).encode()


def numbered(number):
    """A parcel that goes so many hours."""
    row = (60 * number, 0)
    return Good(V1, instances(row), tabled(COLUMNS, row), tabled("prediction", [number]))


ROWS = [(120, 20), (90, 0)]
CASE = Case(
    good=[
        Good(V1, instances(*ROWS), tabled(COLUMNS, *ROWS), tabled("prediction", [3], [1.5])),
        Good(V2, tensor(*ROWS), tabled(COLUMNS, *ROWS), tabled("hours", [3], [1.5])),
    ],
    failing=[
        Failing(V1, instances((1, -1)), 500, "ArithmeticError"),
        Failing(V1, b"{}", 400, "kserve.errors.InvalidInput"),
        Failing(V2, tensor((1, -1)), 500, "ArithmeticError"),
    ],
    numbered=numbered,
    unscored=["/", "/v1/models/parcels", "/v2/health/ready", "/metrics"],
    model="parcels",
)


def test_a_kserve_model_is_captured_as_it_is(live, tmp_path, row):
    """Every scoring is a record, every answer the same as without capture."""
    port = free_port()
    command = [installed("kserve").python, PROGRAM, str(port)]
    serve = functools.partial(serving, command, live, tmp_path, port=port, **NAMES)
    hold(CASE, serve, live, row("KServe 0.21.0"))


def test_beside_kserve_nothing_is_moved():
    """Its packages are enough, and stay as they are."""
    assert moved_by_installing(installed("kserve")) == []
