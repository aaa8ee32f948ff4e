"""Fixtures for all tests: a clean environment, a data mart over loopback, payload logging on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

import scorespan
from scorespan import producer, provider
from scorespan.conversion.convert import convert
from scorespan.conversion.sdk import read_sdk
from scorespan.conversion.span import decode, encode
from scorespan.errors import ConversionError
from scorespan.record import PayloadRecord
from scorespan.spool.dead import DeadLetter, read_letters
from scorespan.testing import ScriptedMart

PREFIXES = ("SCORESPAN_", "OTEL_")
# A busy machine may need any time for one example.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting or number from before reaches a test, and payload logging is off after it."""
    producer.renew()
    for name in list(os.environ):
        if name.startswith(PREFIXES):
            monkeypatch.delenv(name)
    yield
    provider.install(None)
    door = sys.modules.get("scorespan.sdk")
    if door is not None:
        door.shutdown()


@pytest.fixture
def scripted_mart() -> Iterator[ScriptedMart]:
    """A data mart on a free loopback port that answers as it is told."""
    with ScriptedMart() as mart:
        yield mart


@pytest.fixture
def configure(scripted_mart: ScriptedMart, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`scorespan.configure` towards the scripted mart, with a spool of the test's own."""

    def call(**settings: Any) -> None:
        known = {**scripted_mart.settings, "spool_dir": tmp_path / "spool"}
        scorespan.configure(**{**known, **settings})

    yield call
    scorespan.shutdown()


class Configured(NamedTuple):
    """Payload logging that is on, and where it ends."""

    mart: ScriptedMart
    spool_dir: Path

    def records(self) -> list[dict[str, Any]]:
        """What the mart has stored once all is delivered, in the order of arrival."""
        assert scorespan.flush(30)
        return list(self.mart.stored.values())

    def record(self) -> dict[str, Any]:
        """The only record the mart has stored."""
        (record,) = self.records()
        return record

    def dead_letters(self) -> list[DeadLetter]:
        """The dead letters of this spool once all is delivered."""
        assert scorespan.flush(30)
        return list(read_letters(self.spool_dir / "dead"))


@pytest.fixture
def configured(
    configure: Callable[..., None], scripted_mart: ScriptedMart, tmp_path: Path
) -> Configured:
    """Payload logging switched on towards the scripted mart."""
    configure()
    return Configured(scripted_mart, tmp_path / "spool")


class Recorded(NamedTuple):
    """Scoring spans kept in memory, and what becomes of them on the way to a mart."""

    exporter: InMemorySpanExporter

    def spans(self) -> list[ReadableSpan]:
        """Every span that has ended, in order."""
        return list(self.exporter.get_finished_spans())

    def outcomes(self) -> list[PayloadRecord | ConversionError]:
        """Each scoring span as its record, or the reason why not; it goes through an entry."""
        read = [read_sdk(span) for span in self.spans()]
        entries = [b"".join(encode(span)) for span in read if span is not None]
        return [
            convert(span._replace(subscription_id=span.subscription_id or "subscription"))
            for span in map(decode, entries)
        ]

    def record(self) -> PayloadRecord:
        """The record of the only scoring."""
        (outcome,) = self.outcomes()
        assert isinstance(outcome, PayloadRecord), outcome
        return outcome

    def error(self) -> ConversionError:
        """The reason why the only scoring cannot become a record."""
        (outcome,) = self.outcomes()
        assert isinstance(outcome, ConversionError), outcome
        return outcome


@pytest.fixture
def recorded() -> Recorded:
    """Scorings of the test come from a provider that keeps their spans in memory."""
    exporter = InMemorySpanExporter()
    tracer_provider = TracerProvider(
        sampler=ALWAYS_ON, span_limits=SpanLimits(), shutdown_on_exit=False
    )
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.install(tracer_provider.get_tracer(provider.INSTRUMENTATION_NAME))
    return Recorded(exporter)
