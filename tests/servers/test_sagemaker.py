"""The SageMaker inference toolkit and its model server, unchanged: what they score is captured."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest

from examples.live import EXAMPLES
from servers.serving import arrived
from servers.toolkit import toolkit_serving

EXAMPLE = EXAMPLES / "sagemaker_toolkit"
PROGRAMS = Path(__file__).parent / "programs"
FILES = {"code/inference.py": EXAMPLE / "inference.py", "model.json": EXAMPLE / "model.json"}
NAMES = {"SCORESPAN_FEATURE_NAMES": "months,complaints"}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SERVER = "SageMaker inference toolkit 1.10.1"

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


def test_scorings_of_the_toolkit_reach_the_mart(live, tmp_path, row):
    """JSON, CSV, npy and a failure, as four functions of a user score them, are in the mart."""
    cells = row(SERVER)
    with toolkit_serving(FILES, live, tmp_path, **NAMES) as server:
        headers = {
            "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-00",
            "X-Amzn-SageMaker-Custom-Attributes": "customer=7",
        }
        answer = server.post("/invocations", b"[[24, 3], [60, 1]]", headers=headers)
        assert answer.status_code == 200, answer.text
        labels = [found["predicted_label"] for found in answer.json()["predictions"]]
        assert labels == [1, 0]
        assert server.get("/ping").status_code == 200
        (record,) = arrived(live, 1)
        cells.found("request", json.loads(record.request_text) == table([[24, 3], [60, 1]]))
        scores = [found["score"] for found in answer.json()["predictions"]]
        response = json.loads(record.response_text)
        cells.found(
            "response",
            response["fields"] == ["predicted_label", "score"]
            and response["values"] == [[1, scores[0]], [0, scores[1]]],
        )
        cells.found("response time", 0 <= record.response_time < 60_000)
        said = record.scorespan
        assert said["request_id"] == answer.headers["x-request-id"]
        assert said["hook"] == "sagemaker"
        assert said["model"] == "model"
        assert "custom attributes of the caller: customer=7" in said["notes"]
        cells.found("ids", said["trace_id"] == TRACE_ID)

        of_csv = server.post("/invocations", b"24,3\n60,1\n", "text/csv")
        assert of_csv.content == answer.content
        record = arrived(live, 2)[-1]
        assert json.loads(record.request_text) == table([[24, 3], [60, 1]])
        assert json.loads(record.response_text) == response

        npy = io.BytesIO()
        np.save(npy, np.array([[24.0, 3.0]]))
        of_npy = server.post(
            "/invocations",
            npy.getvalue(),
            "application/x-npy",
            headers={"Accept": "application/x-npy"},
        )
        assert np.load(io.BytesIO(of_npy.content)).tolist() == scores[:1]
        record = arrived(live, 3)[-1]
        assert json.loads(record.request_text)["values"] == [
            [base64.b64encode(npy.getvalue()).decode()]
        ]
        assert json.loads(record.response_text)["values"] == [
            [base64.b64encode(of_npy.content).decode()]
        ]

        answer = server.post("/invocations", b"[[24, 3, 9]]")
        assert answer.status_code == 500
        (record,) = arrived(live, 1, lambda record: record.failed)
        said = record.scorespan
        assert record.response_text == b"null"
        error = {
            "type": "ValueError",
            "message": "3 columns instead of 2",
            "stacktrace": answer.text.partition("\n")[2],
        }
        cells.found("error", said["error"] == error)
        assert said["http_status"] == 500
        assert "scorespan" not in server.said()


def table(rows):
    """A request of these rows."""
    return {"fields": ["months", "complaints"], "values": rows}
