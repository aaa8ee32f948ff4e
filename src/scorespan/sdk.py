"""The SDK door: span processor, span exporter, and `configure()`."""

from __future__ import annotations

import atexit
import logging
import os
import random
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from opentelemetry import context as context_api
from opentelemetry._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from scorespan import attributes, producer, provider
from scorespan.conversion.sdk import read_sdk
from scorespan.dependencies import Dependencies
from scorespan.errors import SettingsError
from scorespan.intake import Intake
from scorespan.limits import Limits
from scorespan.outbox import Outbox, otlp_exporter
from scorespan.settings import Settings
from scorespan.telemetry import RepeatedLog
from scorespan.threads import native

_logger = logging.getLogger("scorespan")
_UNLIMITED = SpanLimits(
    max_attributes=SpanLimits.UNSET,
    max_events=SpanLimits.UNSET,
    max_links=SpanLimits.UNSET,
    max_span_attributes=SpanLimits.UNSET,
    max_event_attributes=SpanLimits.UNSET,
    max_link_attributes=SpanLimits.UNSET,
    max_attribute_length=SpanLimits.UNSET,
    max_span_attribute_length=SpanLimits.UNSET,
)


class _Door:
    """What processor and exporter share: an intake, and a guard before it."""

    def __init__(self, intake: Intake | None = None, **settings: object) -> None:
        self._intake = intake or Intake(Settings.load(settings))
        # An intake is given by `configure`, whose provider has no limits.
        self._limits = Limits() if intake is None else None
        self._dependencies: Dependencies | None = None
        self._log = RepeatedLog()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._intake.settings

    def _take(self, span: ReadableSpan) -> bool:
        """Put the span in the spool if it is a scoring span; false where it was not taken."""
        try:
            scoring_span = read_sdk(span)
            if self._dependencies is not None:
                scoring_span = self._dependencies.ended(span, scoring_span)
            if scoring_span is None:
                return True
            if self._limits is not None:
                self._limits.look(span)
            return self._intake.accept(scoring_span)
        except Exception as error:  # noqa: BLE001 - the caller's scoring must not see our fault
            # The type alone: the text of a foreign error may hold a payload value.
            self._log.warning("take", "a span was not taken: %s", type(error).__name__)
            self._intake.refuse()
            return False

    @property
    def intake(self) -> Intake:
        """Where spans go."""
        return self._intake

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Deliver what was put; false where that took longer. Nothing is lost by that."""
        return self._intake.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Drain for the configured time; the rest stays on disk for the next start."""
        self._intake.close()


class ScoringSpanProcessor(_Door, SpanProcessor):
    """Puts every scoring span that ends into the spool, on the thread that ends it.

    The recommended door: `on_end` returns when the entry is written, and a full queue of spans
    cannot exist. Other spans pass by. It works on any provider, beside other processors; on the
    application's own, that provider's sampler and limits decide what is recorded, and its client
    spans are counted as dependencies of the scorings in which they were.

    Args:
        settings: keyword arguments named like the settings; the environment fills the rest.

    Raises:
        SettingsError: a setting is missing or wrong.
    """

    def __init__(self, intake: Intake | None = None, **settings: object) -> None:
        super().__init__(intake, **settings)
        if intake is None:  # else no spans of others come here
            self._dependencies = Dependencies()

    def on_start(
        self,
        span: Span,
        parent_context: context_api.Context | None = None,  # noqa: ARG002 - the SDK gives it
    ) -> None:
        """See where the span stands; a scoring span is known by what it holds when it ends."""
        if self._dependencies is not None:
            self._dependencies.started(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Put the span in the spool if it is a scoring span. Never raises."""
        self._take(span)


class PayloadSpanExporter(_Door, SpanExporter):
    """The span exporter, for `OTEL_TRACES_EXPORTER=scorespan` and for the convention.

    The SDK's batch processor stands before it, which drops spans when its queue is full; where you
    can choose, take `ScoringSpanProcessor`. SUCCESS means that the spans are in the spool.

    Args:
        settings: keyword arguments named like the settings; the environment fills the rest.

    Raises:
        SettingsError: a setting is missing or wrong.
    """

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Put the scoring spans among these in the spool; one that fails does not stop the rest."""
        taken = [self._take(span) for span in spans]
        return SpanExportResult.SUCCESS if all(taken) else SpanExportResult.FAILURE


class PrivateIdGenerator(IdGenerator):
    """Trace and span ids from a random source of our own.

    The SDK draws from the process-wide one, which model code seeds: a service that calls
    `random.seed(42)` for each request would give all its scorings one id.
    """

    def __init__(self) -> None:
        self._random = random.Random(os.urandom(32))  # noqa: S311 - unique, not secret

    def reseed(self) -> None:
        """Part from the parent's ids, in a forked child."""
        self._random.seed(os.urandom(32))

    def generate_span_id(self) -> int:
        """A span id, never 0."""
        return self._random.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        """A trace id, never 0."""
        return self._random.getrandbits(128) or 1

    def is_trace_id_random(self) -> bool:
        """Yes: all bits are."""
        return True


_ids = PrivateIdGenerator()
os.register_at_fork(after_in_child=_ids.reseed)


class _Configuration(NamedTuple):
    provider: TracerProvider
    intake: Intake | None
    """None where the spans go to an exporter."""


_lock = native.Lock()
_configured: _Configuration | None = None


def configure(
    *,
    exporter: SpanExporter | None = None,
    logger_provider: LoggerProvider | None = None,
    **settings: object,
) -> None:
    """Switch payload logging on for this process.

    Scoring spans then come from a private provider: every one is recorded, whole, whatever
    sampler and limits the application has, and no other exporter sees a body.

    Args:
        exporter: send the scoring spans there instead of to a data mart, for example
            `OTLPSpanExporter(...)` to a Collector. It takes no settings beside it.
        logger_provider: lines that a captured service prints while it scores become log records of
            its, too, in the trace context of the scoring. They may hold bodies: no other provider
            gets them, the global one neither.
        settings: keyword arguments named like the settings of the README; they win over the
            environment's `SCORESPAN_*` variables.

    Raises:
        SettingsError: names the variable that is missing or wrong. Nothing was changed.

    Called again, it takes the place of the former configuration, which then drains. Nothing is
    opened before the first scoring of a process, so it may be called before a fork. With
    `OTEL_SDK_DISABLED=true` it switches nothing on and says so.
    """
    global _configured
    if exporter is not None and settings:
        name = next(iter(settings))
        raise SettingsError(f"SCORESPAN_{name.upper()}", "has no use beside `exporter`")
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        Settings.load(settings)
        shutdown()
        _logger.warning("OTEL_SDK_DISABLED is set: payload logging is off")
        return
    processor, resource = _way(exporter, Settings.load(settings) if exporter is None else None)
    intake = processor.intake if isinstance(processor, ScoringSpanProcessor) else None
    tracer_provider = TracerProvider(
        # Ours is the only processor: a list of one would cost every span three loops.
        active_span_processor=cast("SynchronousMultiSpanProcessor", processor),
        sampler=ALWAYS_ON,
        resource=resource,
        shutdown_on_exit=False,
        span_limits=_UNLIMITED,
        id_generator=_ids,
    )
    producer.renew()  # what was scored until here has the numbers of the former one
    with _lock:
        former, _configured = _configured, _Configuration(tracer_provider, intake)
        # Before the former one drains: in between a scoring would go to the global provider.
        tracer = tracer_provider.get_tracer(provider.INSTRUMENTATION_NAME)
        # The intake numbers when it writes; an exporter sends the spans to where nobody does.
        name = provider.INSTRUMENTATION_NAME
        logger = None if logger_provider is None else logger_provider.get_logger(name)
        provider.install(tracer, numbered=intake is None, logger=logger)
    if former is not None:
        former.provider.shutdown()


def _way(
    exporter: SpanExporter | None, settings: Settings | None
) -> tuple[SpanProcessor, Resource]:
    """Where scoring spans go, and what stands on each of them."""
    if settings is None:
        return BatchSpanProcessor(cast("SpanExporter", exporter)), Resource.create()
    if settings.export == "otlp":
        return Outbox(otlp_exporter, settings.shutdown_seconds), _resource(settings)
    return ScoringSpanProcessor(Intake(settings)), _resource(settings)


def _resource(settings: Settings) -> Resource:
    """The environment's resource, with what the settings say of every scoring where it is open."""
    values: dict[str, Any] = {
        attributes.BINDING_ID: settings.binding_id,
        attributes.SUBSCRIPTION_ID: settings.subscription_id,
        attributes.DEPLOYMENT_ID: settings.deployment_id,
        attributes.DIALECT: settings.dialect,
        attributes.FEATURE_NAMES: settings.feature_names,
        attributes.PREDICTION_FIELDS: settings.prediction_fields,
    }
    known = Resource({name: value for name, value in values.items() if value is not None})
    return known.merge(Resource.create())


def flush(timeout: float = 10.0) -> bool:
    """Deliver what was scored so far; false where that took longer than `timeout` seconds."""
    current = _configured
    return current is None or bool(current.provider.force_flush(int(timeout * 1000)))


def drain(seconds: float) -> None:
    """Deliver what was scored, for so many seconds at most; leave nothing behind if that was all.

    What is scored later opens what it needs again.
    """
    current = _configured
    if flush(seconds) and current is not None and current.intake is not None:
        current.intake.close()


def shutdown() -> None:
    """Switch payload logging off: drain for the configured time, leave the rest on disk.

    What is scored meanwhile is delivered or left on disk, too; afterwards scoring spans come from
    the application's global provider.
    """
    global _configured  # noqa: PLW0603 - see configure
    ending = _configured
    if ending is None:
        return
    ending.provider.shutdown()
    with _lock:
        if _configured is ending:
            _configured = None
            provider.install(None)
    if ending.intake is not None:
        # A scoring that came after the drain has opened a spool again.
        ending.intake.close()


def _drain_at_exit() -> None:
    """Drain, and stay: handlers that run later, and threads that go on, score to the disk."""
    ending = _configured
    if ending is not None:
        ending.provider.shutdown()


atexit.register(_drain_at_exit)
