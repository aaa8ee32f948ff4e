"""The example without scorespan in its code, under `opentelemetry-instrument`."""

from __future__ import annotations

import json
import math
import time

import pytest

from examples.live import EXAMPLES
from isolated.environments import CORE
from running import run

# Betas that pin each other exactly: named one by one, pip has nothing to try out.
WITHOUT_DISTRO = (
    *CORE,
    "opentelemetry-api==1.45.1",
    "opentelemetry-instrumentation==0.66b1",
    "opentelemetry-sdk==1.45.1",
    "opentelemetry-semantic-conventions==0.66b1",
)
WITH_DISTRO = (*WITHOUT_DISTRO, "opentelemetry-distro==0.66b1")
EXPORTERS = {
    "OTEL_TRACES_EXPORTER": "scorespan",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
SAID = "refused: a contract of less than no months\n11 scorings\n"

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


def instrumented(environment, live):
    """What the example said, run as its docstring says."""
    command = [environment.script("opentelemetry-instrument"), environment.python]
    return run([*command, EXAMPLES / "otel_api.py"], live.environment(**EXPORTERS))


def test_scoring_attributes_alone_reach_the_mart(make_environment, live):
    """With the exporter named in the environment, all eleven scorings must be in the mart."""
    environment = make_environment("distro", WITH_DISTRO)
    began = time.monotonic()
    done = instrumented(environment, live)
    milliseconds = (time.monotonic() - began) * 1000
    assert done.stdout == SAID

    records = live.records()
    assert len(records) == len({record.scoring_id for record in records}) == 11
    assert live.row_count() == 10
    assert all(0 <= record.response_time < milliseconds for record in records)
    assert {record.scorespan["model"] for record in records} == {"churn"}
    for complaints, record in enumerate(records[:10]):
        request = {"fields": ["months", "complaints"], "values": [[24, complaints]]}
        response = {"fields": ["probability"], "values": [[1 / (1 + math.exp(2.4 - complaints))]]}
        assert record.request_text == json.dumps(request).encode()
        assert json.loads(record.response_text)["values"][0] == pytest.approx(response["values"][0])
        assert record.scoring_id == record.scorespan["trace_id"] + record.scorespan["span_id"]
    assert records[10].failed
    assert records[10].response_text == b"null"
    failure = records[10].scorespan["error"]
    assert "Traceback" in failure.pop("stacktrace")
    assert failure == {
        "type": "ValueError",
        "message": "a contract of less than no months",
    }


def test_exporter_ends_without_a_word(make_environment, live):
    """A program that ends must not find words of ours, or of our libraries, on its stderr."""
    done = instrumented(make_environment("distro", WITH_DISTRO), live)
    assert done.stderr == ""


def test_without_a_distro_nothing_is_recorded_and_the_script_works(make_environment, live):
    """Without a distro there is no SDK to record: the script must work, and nothing be kept."""
    environment = make_environment("no-distro", WITHOUT_DISTRO)
    done = instrumented(environment, live)
    assert done.stdout == SAID
    assert live.records() == []
    assert not live.spool.exists(), "nothing opened the spool, as nothing was recorded"
