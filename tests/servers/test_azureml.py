"""The Azure ML inference server with the script of the examples, unchanged, over real HTTP."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager

import pytest

from examples.live import EXAMPLES
from servers.serving import arrived, free_port, installed, serving

EXAMPLE = EXAMPLES / "azureml_score"
SERVER = "Azure ML inference server 1.5.1"
MODEL = EXAMPLE / "models" / "house-prices" / "3"
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


@pytest.fixture
def script(tmp_path):
    """Writes a scoring script; its `init` does nothing."""

    def write(run, imports=""):
        path = tmp_path / "script.py"
        path.write_text(f"{imports}\ndef init():\n    pass\n\n{run}")
        return path

    return write


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
