"""A container of one's own for SageMaker: a Flask application on gunicorn, unchanged."""

from __future__ import annotations

import json
import signal

import pytest

from examples.live import EXAMPLES
from servers.serving import arrived, free_port, installed, serving

SERVER = "SageMaker container (Flask 3.1.3, gunicorn 27.0.1)"

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


def test_rows_of_csv_reach_the_mart_with_their_names(live, tmp_path, row):
    """What the example answers to CSV is in the mart as rows; a call of its health is not."""
    cells, port = row(SERVER), free_port()
    command = [installed("small").script("gunicorn"), "--workers", "2"]
    command += ["--bind", f"127.0.0.1:{port}", "--chdir", EXAMPLES / "sagemaker_container"]
    names = {"SCORESPAN_FEATURE_NAMES": "months,complaints"}
    with serving(
        [*command, "app:app"], live, tmp_path, port=port, ready="/ping", **names
    ) as server:
        headers = {"x-request-id": "call-7"}
        answer = server.post("/invocations", b"24,3\n60,1\n", "text/csv", headers)
        predictions = answer.json()["predictions"]
        assert [found["predicted_label"] for found in predictions] == [1, 0]
        assert server.get("/ping").status_code == 200
        (record,) = arrived(live, 1)
        request = {"fields": ["months", "complaints"], "values": [[24, 3], [60, 1]]}
        cells.found("request", json.loads(record.request_text) == request)
        response = {
            "fields": ["predicted_label", "score"],
            "values": [[found["predicted_label"], found["score"]] for found in predictions],
        }
        cells.found("response", json.loads(record.response_text) == response)
        cells.found("response time", 0 <= record.response_time < 60_000)
        cells.found("ids", record.scorespan["request_id"] == "call-7")
        assert record.scorespan["dialect"] == "sagemaker_csv"
        assert live.row_count() == 2

        assert server.post("/invocations", b"24,many\n", "text/csv").status_code == 500
        (failed,) = arrived(live, 1, lambda record: record.failed)
        error = failed.scorespan["error"]
        assert error["message"] == "could not convert string to float: 'many'"
        cells.found("error", error["type"] == "ValueError" and "app.py" in error["stacktrace"])
        assert server.stop(signal.SIGTERM) == 0
    assert len(live.records()) == 2
