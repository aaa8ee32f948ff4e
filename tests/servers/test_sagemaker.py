"""The SageMaker inference toolkit and its model server, unchanged: what they score is captured."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from examples.live import EXAMPLES
from running import run
from servers.serving import arrived, installed
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


def test_each_request_of_a_batch_is_a_record_and_no_answer_is_changed(live, tmp_path):
    """What handlers of the server answer to several requests at once, or fail with, is captured."""
    model = tmp_path / "ml" / "model"
    for path, source in FILES.items():
        (model / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, model / path)
    command = [installed("sagemaker").python, PROGRAMS / "sagemaker_batches.py", tmp_path / "ml"]
    plain = run(command, live.environment())
    assert live.records() == []
    captured = run(command, live.environment(SCORESPAN_ENABLE="1"))
    assert captured.stdout == plain.stdout

    found = {record.scorespan["request_id"]: record for record in arrived(live, 12)}
    numbers = {int(name.removeprefix("request-")): record for name, record in found.items()}
    assert set(numbers) == set(range(1, 13))
    assert [numbers[number].failed for number in range(1, 13)] == [
        *[False] * 3, *[True] * 2, *[False] * 3, *[True] * 4,
    ]  # fmt: skip
    hooks = [numbers[number].scorespan["hook"] for number in (1, 4, 6, 12)]
    assert hooks == ["sagemaker", "sagemaker", "multi-model-server", "multi-model-server"]
    assert [json.loads(numbers[number].request_text)["values"] for number in (1, 2, 3)] == [
        [[24, 3]], [[60, 1]], [[9, 9]],
    ]  # fmt: skip
    assert json.loads(numbers[6].response_text)["values"] == [[1]]
    assert numbers[6].scorespan["trace_id"] == "a" * 32
    assert json.loads(numbers[7].request_text)["values"] == [["1", "\N{REPLACEMENT CHARACTER}"]]
    errors = {number: numbers[number].scorespan["error"] for number in (4, 5, 9, 10, 11, 12)}
    assert {number: (error["type"], error["message"]) for number, error in errors.items()} == {
        4: ("ValueError", "1 columns instead of 2"),
        5: ("ValueError", "1 columns instead of 2"),
        9: ("HTTP 400", "Bad Request"),
        10: ("mms.service.PredictionException", "no model : 513"),
        11: ("ValueError", "no answer to each request"),
        12: ("TypeError", "Object of type object is not JSON serializable"),
    }
    statuses = [numbers[number].scorespan.get("http_status") for number in (1, 5, 9, 11)]
    assert statuses == [200, 503, 400, 503]
