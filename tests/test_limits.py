"""Limits of an application's provider: told of once, before or when they cut a record."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

import scorespan
from scorespan.limits import Limits

SCORED = {"scoring.request": "[[1]]", "scoring.response": "[[2]]", "more": "more"}


def ended(provider: TracerProvider):
    """A scoring span of a provider, at its end."""
    span = provider.get_tracer("test").start_span("scoring", attributes=SCORED)
    span.end()
    return span


def looked(caplog: pytest.LogCaptureFixture, **limits: int) -> list[str]:
    """What is said of two scoring spans of a provider with these limits."""
    provider = TracerProvider(span_limits=SpanLimits(**limits), shutdown_on_exit=False)
    found = Limits({}, lambda: provider)
    for _ in range(2):
        found.look(ended(provider))
    # The SDK has a word of its own to say.
    return [record.getMessage() for record in caplog.records if record.name == "scorespan"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "10"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "65536"),
    ],
)
def test_limits_of_the_environment_are_told_at_the_start(caplog, name, value):
    """Whoever samples everything away would never see a span that could tell."""
    Limits({name: value})
    (message,) = caplog.messages
    assert f"{name}={value}" in message


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_SAMPLER": "parentbased_always_on"},
        {"OTEL_TRACES_SAMPLER": " Always_On "},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "128", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": ""},
        {"OTEL_ATTRIBUTE_COUNT_LIMIT": "many"},
    ],
)
def test_what_limits_nothing_is_not_told(caplog, environ):
    """The SDK's defaults hold a whole scoring; what it cannot read, it says itself."""
    Limits(environ)
    assert caplog.messages == []


def test_a_limit_of_length_is_told_at_the_first_span(caplog):
    """A limit given in code is seen before it has cut anything."""
    (message,) = looked(caplog, max_attribute_length=60_000)
    assert "cut at 60000 characters" in message


def test_dropped_attributes_are_told_at_the_first_cut(caplog):
    """A limit of the count is only a fault where it drops something."""
    (message,) = looked(caplog, max_attributes=2)
    assert "1 attributes of a span were dropped" in message


def test_a_sampler_is_told_at_the_first_span(caplog):
    """A sampler given in code is named, as it describes itself."""
    provider = TracerProvider(sampler=TraceIdRatioBased(0.5), shutdown_on_exit=False)
    Limits({}, lambda: provider).look(ended(TracerProvider(shutdown_on_exit=False)))
    (message,) = caplog.messages
    assert "TraceIdRatioBased{0.5}" in message


def test_a_whole_provider_is_not_told_of(caplog):
    """Where nothing is dropped or cut, nothing is said; nor of what is no span at all."""
    assert looked(caplog) == []
    Limits({}).look(None)
    assert caplog.messages == []


def test_a_processor_on_an_own_provider_tells(scripted_mart, tmp_path, monkeypatch, caplog):
    """The doors for an application's provider tell; `configure` has nothing to tell of."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1")
    settings = {**scripted_mart.settings, "spool_dir": tmp_path}
    scorespan.configure(**settings)
    assert caplog.messages == []
    scorespan.ScoringSpanProcessor(**settings)
    scorespan.PayloadSpanExporter(**settings)
    assert len(caplog.messages) == 2
