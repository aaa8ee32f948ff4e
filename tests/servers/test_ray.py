"""Ray Serve, unchanged: a deployment behind FastAPI is captured, a plain one is not."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from running import wait_until
from servers.matrix import Case, Failing, Good, hold, moved_by_installing, tabled
from servers.serving import arrived, free_port, installed, serving

PROGRAMS = Path(__file__).parent / "programs"
PATH = "/parcels/predict"
COLUMNS = "f0 f1"
CONFIG = """
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
  - {{name: ingress, route_prefix: /parcels, import_path: "matrix_ray:ingress"}}
  - {{name: plain, route_prefix: /plain, import_path: "matrix_ray:plain"}}
"""

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
        Failing(PATH, asked((1, -1)), 500, "ArithmeticError"),
        Failing(PATH, b"{}", 400, "fastapi.exceptions.HTTPException"),
    ],
    numbered=numbered,
    unscored=["/parcels/health"],
)


@pytest.fixture
def serve(live, tmp_path):
    """Starts a cluster of its own with both deployments, given variables for its environment."""
    port, made = free_port(), installed("ray")
    (tmp_path / "config.yaml").write_text(CONFIG.format(port=port))
    command = [made.script("serve"), "run", "--app-dir", PROGRAMS, "--address", "local"]
    ours = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(PROGRAMS)}

    return functools.partial(serving, [*command, "config.yaml"], live, tmp_path, port=port, **ours)


def test_a_ray_deployment_behind_fastapi_is_captured_as_it_is(serve, live, row):
    """Every scoring is a record, every answer the same as without capture."""
    hold(CASE, serve, live, row("Ray Serve 2.60.0, behind FastAPI"))


def test_a_plain_ray_deployment_is_not_captured(serve, live, row):
    """It answers as ever, and leaves no record: a scoring behind FastAPI is the only one."""
    cells = row("Ray Serve 2.60.0, plain deployment")
    with serve() as server:
        for path in ("/parcels/health", "/plain/health"):
            wait_until(lambda path=path: server.get(path).status_code == 200, f"200 at {path}")
        answer = server.post("/plain/predict", asked(*ROWS))
        assert (answer.status_code, answer.json()) == (200, {"predictions": [3, 1.5]})
        assert server.post(PATH, asked(*ROWS)).json() == answer.json()
        (record,) = arrived(live, 1)
        server.stop()
    assert record.scorespan["hook"] == "starlette"
    cells.missing()


def test_beside_ray_nothing_is_moved():
    """Its packages are enough, and stay as they are."""
    assert moved_by_installing(installed("ray")) == []
