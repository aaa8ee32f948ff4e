"""The Azure ML inference server with the script of the examples, unchanged, over real HTTP."""

from __future__ import annotations

import json
import os
import re
import time
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from examples.live import EXAMPLES
from servers.serving import arrived, free_port, installed, serving

EXAMPLE = EXAMPLES / "azureml_score"
SERVER = "Azure ML inference server 1.5.1"
PROGRAMS = Path(__file__).parent / "programs"
MODEL = EXAMPLE / "models" / "house-prices" / "3"
ROOT = EXAMPLES.parent
DOCUMENT = Path(
    os.environ.get("SCORESPAN_DOCUMENT_SCRIPT")
    or ROOT.parent / "shared" / "documents" / "azureml-app-insights.md"
)
"""A page of Azure's documentation, or the script alone; not part of this project."""
STUBS = {
    "sklearn/__init__.py": "",
    "sklearn/externals/__init__.py": "",
    "sklearn/externals/joblib.py": """
class Model:
    def predict(self, data):
        return data.sum(axis=1)

def load(path):
    return Model()
""",
    "sklearn/linear_model.py": "class Ridge: pass",
    "azureml/__init__.py": "",
    "azureml/core/__init__.py": "",
    "azureml/core/model.py": """
class Model:
    @staticmethod
    def get_model_path(model_name):
        return model_name
""",
}
"""What the document's script imports and nobody installs any more; its model adds."""
FEATURES = "area,rooms"
GOOD = b'{"data": [[100, 4], [50.5, 2]]}'
ANSWER = [280000.0, 165750.0]

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def azureml():
    """The environment of the server, with the OpenTelemetry that it pins."""
    environment = installed("azureml")
    versions = environment.versions("azureml-inference-server-http", "opentelemetry-sdk")
    assert versions == ["1.5.1", "1.33.0"]
    return environment


@pytest.fixture
def serve(azureml, live, tmp_path):
    """Starts the server with a script, its options and variables, as a context manager."""

    @contextmanager
    def start(script=EXAMPLE / "score.py", *options, **variables):
        port = free_port()
        command = [azureml.script("azmlinfsrv"), "--entry_script", script, "--port", str(port)]
        command += ["--model_dir", MODEL, *options]
        named = {"SCORESPAN_FEATURE_NAMES": FEATURES, "SCORESPAN_PREDICTION_FIELDS": "price"}
        named["AML_APP_ROOT"] = str(tmp_path)
        with serving(command, live, tmp_path, port=port, **{**named, **variables}) as server:
            yield server

    return start


def test_every_call_is_one_record_and_the_swallowed_exception_a_failed_scoring(serve, live, row):
    """A good call, one whose exception the script answers with, and what is no scoring."""
    found = row(SERVER).found
    began = time.monotonic()
    with serve() as server:
        assert server.get("/swagger.json").status_code == 200
        assert server.get("/score?data=[[1,2]]").status_code == 200
        good = server.post("/score", GOOD, headers={"azureml-model-deployment": "blue"})
        assert (good.status_code, good.json()) == (200, ANSWER)
        bad = server.post("/score", b'{"data": [[1]]}', headers={"x-request-id": "mine"})
        assert (bad.status_code, bad.json()) == (200, "the model needs 2 features, not 1")
        server.stop()
    longest = (time.monotonic() - began) * 1000
    record, failed = arrived(live, 2)
    extras = record.scorespan

    assert not record.failed
    found("request", json.loads(record.request_text)["values"] == [[100, 4], [50.5, 2]])
    found("request", json.loads(record.request_text)["fields"] == FEATURES.split(","))
    found("response", json.loads(record.response_text)["values"] == [[price] for price in ANSWER])
    took = float(good.headers["x-ms-run-fn-exec-ms"])
    found("response time", record.response_time == round(took) <= longest)
    found("ids", extras["request_id"] == good.headers["x-request-id"])
    assert (extras["hook"], extras["model"], extras["model_version"]) == (
        "azureml", "house-prices", "3",
    )  # fmt: skip
    (printed,) = extras["prints"]
    assert json.loads(printed) == {"input": GOOD.decode(), "output": ANSWER}

    found("error", failed.failed and failed.response_text == b"null")
    error = failed.scorespan["error"]
    assert (error["type"], error["message"]) == ("ValueError", bad.json())
    assert re.findall(r"in (\w+)\n", error["stacktrace"]) == ["run", "predict"]
    assert json.loads(error["response"]) == bad.json()
    (printed,) = failed.scorespan["prints"]
    assert re.fullmatch(re.escape(bad.json()) + r"\d\d:\d\d:\d\d", printed)
    assert failed.scorespan["request_id"] == bad.headers["x-request-id"] == "mine"
    assert failed.scorespan["http_status"] == 200
    assert "[[1]]" in failed.request_text.decode()
    said = server.output.read_text()
    assert "model initialized" in said
    assert printed in said

    deployments = json.loads(live._get("performance"))["deployments"]
    rates = {one["deployment_id"]: (one["requests"], one["failure_rate"]) for one in deployments}
    assert rates == {"blue": (1, 0.0), "generic_deployment": (1, 1.0)}


def test_what_a_script_does_badly(serve, live):
    """Raising, running for too long, handling an error, and requests that are no text."""
    told = {}
    with serve(PROGRAMS / "azureml_awkward.py", SCORING_TIMEOUT_MS="1000") as server:

        def post(name, body, expected, **options):
            answer = server.post("/score", body, **options)
            assert answer.status_code == expected, answer.text
            told[name] = answer.headers["x-request-id"]
            return answer

        post("raise", b'{"do": "raise"}', 500)
        post("wait", b'{"do": "wait"}', 500)
        post("handle", b'{"do": "handle"}', 200)
        post("no text", b"\xff\x00{}", 400)
        post("form", b'{"do": "echo"}', 500, content_type="application/x-www-form-urlencoded")
        server.stop()
    records = {record.scorespan["request_id"]: record for record in arrived(live, len(told))}
    found = {name: records[request_id] for name, request_id in told.items()}
    errors = {name: record.scorespan.get("error") for name, record in found.items()}

    assert errors["raise"]["type"] == "ArithmeticError"
    assert errors["raise"]["message"] == "no such number"
    assert errors["raise"]["stacktrace"].endswith(
        'raise ArithmeticError("no such number")\nArithmeticError: no such number\n'
    )
    assert errors["wait"]["type"].endswith("UserScriptTimeout")
    assert "in run\n    time.sleep(60)" in errors["wait"]["stacktrace"]
    assert 1000 <= found["wait"].response_time < 60_000
    assert errors["handle"] is None
    assert found["handle"].scorespan["prints"] == ["run: handle", "no age, so 40"]
    assert "handled: KeyError" in found["handle"].scorespan["notes"]
    assert errors["no text"]["type"].endswith("BadInput")
    assert found["no text"].scorespan["http_status"] == 400
    # The server reads it as a form, and the script sees nothing; the record has it all the same.
    assert errors["form"]["type"] == "json.decoder.JSONDecodeError"
    assert json.loads(found["form"].request_text)["values"] == [["echo"]]


def test_large_bodies_arrive_whole_from_two_workers(serve, live, row):
    """A megabyte each way, byte for byte, from children of a process that has loaded the script."""
    sizes = [20_000 + 1_000 * number for number in range(6)]
    answers = []
    with serve(
        PROGRAMS / "azureml_awkward.py",
        "--worker_count",
        "2",
        SCORESPAN_FEATURE_NAMES="",
        WORKER_PRELOAD="true",
    ) as server:
        for size in sizes:
            values = [[number, f"text with äöü {number} of a row"] for number in range(size)]
            body = json.dumps({"fields": ["a", "b"], "values": values}).encode()
            assert len(body) > 1_000_000
            server.session.close()  # so that another worker may take the next one
            answer = server.post("/score", body)
            assert (answer.status_code, answer.content) == (200, body)
            answers.append(body)
        server.stop()
    records = arrived(live, len(sizes))
    found = row(SERVER).found
    found("request", sorted(record.request_text for record in records) == sorted(answers))
    found("response", sorted(record.response_text for record in records) == sorted(answers))
    assert all("notes" not in record.scorespan for record in records)


def test_the_request_as_it_is(serve, live, tmp_path):
    """`@rawhttp`: bytes, statuses, streams; prints as log records; no body on other providers."""
    body = bytes(range(256)) * 4
    octets = "application/octet-stream"
    logs, spans = tmp_path / "logs", tmp_path / "spans"
    with serve(
        PROGRAMS / "azureml_raw.py",
        "--appinsights_instrumentation_key",
        "00000000-0000-0000-0000-000000000000",
        LOG_RECORDS=str(logs),
        GLOBAL_SPANS=str(spans),
        # Nobody listens there: what the server tells Application Insights must not leave.
        HTTPS_PROXY="http://127.0.0.1:9",
    ) as server:
        assert server.post("/score", body, octets).content == body[::-1]
        assert server.post("/score?form=stream", body, octets).content == body[::-1]
        assert server.post("/score?form=teapot", body, octets).status_code == 418
        records = arrived(live, 3)
        server.stop()
    for record in records:
        assert record.scorespan["prints"] == ["raw"]
        assert b64encode(body).decode() in record.request_text.decode()
    for record in records[:2]:
        assert b64encode(body[::-1]).decode() in record.response_text.decode()
    assert records[2].scorespan["error"]["type"] == "HTTP 418"
    ids = [[record.scorespan["trace_id"], record.scorespan["span_id"]] for record in records]
    assert [json.loads(line) for line in logs.read_text().splitlines()] == [
        ["raw", *its] for its in ids
    ]
    seen = spans.read_text()
    assert "/score" in seen
    assert "scoring" not in seen


def test_an_input_that_the_server_parses(serve, live):
    """`@input_schema`: the record has the body, not what was made of it; refusals are failures."""
    with serve(PROGRAMS / "azureml_schema.py") as server:
        assert server.post("/score", GOOD).json() == [104.0, 52.5]
        assert server.post("/score", b'{"rows": []}').status_code == 400
        assert server.post("/score", GOOD, "text/plain").status_code == 415
        server.stop()
    record, missing, unread = arrived(live, 3)
    assert json.loads(record.request_text)["values"] == [[100, 4], [50.5, 2]]
    assert json.loads(record.response_text)["values"] == [[104.0], [52.5]]
    assert missing.scorespan["error"]["type"].endswith("BadInput")
    assert "rows" in missing.request_text.decode()
    assert unread.scorespan["error"]["type"].endswith("UnsupportedInput")
    assert unread.scorespan["notes"]


def test_the_documents_own_script(serve, live, tmp_path):
    """The script that the document of Application Insights shows: the same, swallowed error too."""
    if not DOCUMENT.is_file():
        pytest.skip(f"{DOCUMENT} is not there; SCORESPAN_DOCUMENT_SCRIPT says where it is")
    script = tmp_path / "score.py"
    script.write_text(script_of(DOCUMENT.read_text()))
    for name, text in STUBS.items():
        stub = tmp_path / "stubs" / name
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(text)
    with serve(script, PYTHONPATH=str(tmp_path / "stubs")) as server:
        assert server.post("/score", GOOD).json() == [104.0, 52.5]
        text = server.post("/score", b"{broken").json()
        server.stop()
        assert "model initialized" in server.output.read_text()
    record, failed = arrived(live, 2)
    assert json.loads(record.request_text)["values"] == [[100, 4], [50.5, 2]]
    assert json.loads(record.response_text)["values"] == [[104.0], [52.5]]
    (printed,) = record.scorespan["prints"]
    assert json.loads(printed) == {"input": GOOD.decode(), "output": [104.0, 52.5]}
    assert failed.scorespan["error"]["type"] == "json.decoder.JSONDecodeError"
    assert failed.scorespan["error"]["message"] == text
    assert "Traceback" in failed.scorespan["error"]["stacktrace"]
    (printed,) = failed.scorespan["prints"]
    assert printed.startswith(text)


def script_of(document):
    """The Python block of a Markdown document that defines `run`."""
    blocks = re.findall(r"^ *```python\n(.*?)^ *```", document, re.DOTALL | re.MULTILINE)
    (block,) = [dedent(block) for block in blocks or [document] if "def run(" in block]
    return block
