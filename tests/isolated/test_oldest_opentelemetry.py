"""OpenTelemetry 1.33.0, which the Azure ML server pins exactly."""

from __future__ import annotations

import json

import pytest

from faults.processes import SCORER
from isolated.environments import CORE, TOOLS
from isolated.suite import CORE_TESTS, run_tests
from running import run

PINS = (
    *CORE,
    *TOOLS,
    "opentelemetry-api==1.33.0",
    "opentelemetry-exporter-otlp-proto-http==1.33.0",
    "opentelemetry-sdk==1.33.0",
)

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def oldest(make_environment):
    """An environment that really has 1.33.0."""
    environment = make_environment("otel-1.33", PINS)
    assert environment.versions("opentelemetry-api", "opentelemetry-sdk") == ["1.33.0"] * 2
    return environment


def test_core_and_sdk_door_pass_their_tests_on_1_33(oldest):
    """The tests of the core, the SDK door and the conversion must pass on 1.33.0."""
    assert run_tests(oldest, *CORE_TESTS) >= 600


def test_scoring_on_1_33_reaches_a_real_mart(oldest, live, tmp_path):
    """A scoring in a process with 1.33.0 must be in the mart when the process has ended."""
    accepted = tmp_path / "accepted"
    how = {"accepted": str(accepted), "settings": {}, "count": 1, "flush": 80}
    command = [oldest.python, "-W", "error", SCORER, json.dumps(how)]
    done = run(command, live.environment())
    assert done.stderr == ""
    assert live.ids() == accepted.read_text().split()
