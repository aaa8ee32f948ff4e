"""The exporter that the variables of OTLP name."""

from __future__ import annotations

import pytest

import scorespan
from scorespan.errors import SettingsError
from scorespan.otlp import exporter_module
from scorespan.outbox import otlp_exporter

HTTP = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        },
    ],
)
def test_the_standard_variables_choose_the_exporter(variables):
    """The one of traces wins; without any it is HTTP."""
    assert exporter_module(variables) == HTTP


def test_the_exporter_takes_its_address_from_the_environment(monkeypatch):
    """It is the stock one, made without arguments."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    exporter = otlp_exporter()
    assert type(exporter).__module__ == HTTP
    assert exporter._endpoint == "http://collector:4318/v1/traces"
    exporter.shutdown()


def test_what_cannot_be_had_is_said_with_its_variable(monkeypatch):
    """A protocol that nobody speaks, and one whose package is missing."""
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf"):
        exporter_module({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})
    with pytest.raises(SettingsError, match=r"SCORESPAN_EXPORT.*install .*otlp-proto-grpc"):
        exporter_module({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "smoke")
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"):
        scorespan.configure(export="otlp")
