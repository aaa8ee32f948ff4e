"""Scoring spans from model code: `scoring_span()`, and what `@scored` is made of.

A scoring measures with a monotonic clock, leaves its span out of the current context (a child span
of the application keeps its own parent), lets what the model raises pass unchanged, and never
raises itself. Where no SDK is configured it does next to nothing.
"""

from __future__ import annotations

import functools
import importlib
import time
import uuid
from collections.abc import Iterable, Sequence
from types import ModuleType, TracebackType
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from scorespan import attributes, producer, provider
from scorespan.failure import Failure
from scorespan.telemetry import RepeatedLog, said

_NAME = "scoring"
_log = RepeatedLog()


class Scoring:
    """One scoring while it runs: a context manager, made by `scoring_span`.

    Attributes:
        recording: false where no SDK is configured or the span is not sampled; then nothing of
            this scoring is kept.
    """

    __slots__ = ("_ended", "_id", "_numbered", "_span", "_started", "_stopped", "_told", "_values",
                 "_wall_start", "recording")  # fmt: skip

    def __init__(
        self, request: object, feature_names: Sequence[str] | None, values: dict[str, Any]
    ) -> None:
        self._id: str | None = values.get(attributes.ID) or None
        self._values = values
        self._told: dict[str, tuple[tuple[str, ...], str | None]] = {}  # notes and problem, by body
        self._ended = False
        self._stopped: int | None = None
        self._started = 0
        self._wall_start = time.time_ns()
        try:
            tracer, self._numbered, _ = provider.slot()
            self._span = tracer.start_span(_NAME, start_time=self._wall_start)
        except Exception as error:  # noqa: BLE001 - a sampler or processor of the application failed
            _log.warning("start", "a scoring was not recorded: %s", type(error).__name__)
            self._span = trace.INVALID_SPAN
        self.recording = self._span.is_recording()
        if self.recording:
            if type(request) is str:
                values[attributes.REQUEST] = request
            else:
                self._keep(attributes.REQUEST, "encode_request", request, feature_names)
            self._started = time.perf_counter_ns()

    @property
    def id(self) -> str:
        """The scoring id: the given one, else made of trace id and span id."""
        if self._id is None:
            context = self._span.get_span_context()
            self._id = (
                f"{context.trace_id:032x}{context.span_id:016x}"
                if context.is_valid
                else uuid.uuid4().hex  # nothing is recorded; callers may count by it all the same
            )
        return self._id

    def set_response(self, response: object) -> None:
        """The model's answer; the response time ends here. See `bodies` for what becomes of it.

        Called again, the last answer counts.
        """
        if not self.recording:
            return
        self._stopped = time.perf_counter_ns()
        if type(response) is str:
            self._values[attributes.RESPONSE] = response
            self._told.pop(attributes.RESPONSE, None)
        else:
            self._keep(attributes.RESPONSE, "encode_response", response)

    def set_error(self, error: BaseException) -> None:
        """The scoring failed; for code that catches what its model raises."""
        if not self.recording or self._ended:
            return
        if self._stopped is None:
            self._stopped = time.perf_counter_ns()
        failure = Failure.of(error)
        self._span.add_event("exception", failure.attributes())
        status = Status(StatusCode.ERROR, f"{type(error).__name__}: {failure.message}")
        self._span.set_status(status)

    def end(self) -> None:
        """End the scoring; the record is in the spool when this returns. Idempotent."""
        if self._ended or not self.recording:
            return
        self._ended = True
        try:
            elapsed = (self._stopped or time.perf_counter_ns()) - self._started
            values = self._values
            if self._told:
                self._add_told(values)
            if self._numbered:
                values[attributes.PRODUCER_ID], values[attributes.SEQUENCE] = (
                    producer.current().next_number()
                )
            self._span.set_attributes(values)
            self._span.end(self._wall_start + elapsed)
        except Exception as error:  # noqa: BLE001 - the caller's scoring must not see our fault
            _log.warning("end", "a scoring was not recorded: %s", type(error).__name__)

    def tell(self, key: str, *notes: str, problem: str | None = None) -> None:
        """Add notes to the record, or a problem that makes it a dead letter."""
        self._told[key] = notes, problem

    def _keep(self, name: str, encode: str, *arguments: object) -> None:
        try:
            text, notes, problem = getattr(_bodies(), encode)(*arguments)
        except Exception as error:  # noqa: BLE001 - such as a stack that is nearly full
            text, notes, problem = None, (), f"{name}: {type(error).__name__} while it was encoded"
        self._told[name] = notes, problem
        if text is not None:
            self._values[name] = text
        else:
            self._values.pop(name, None)

    def _add_told(self, values: dict[str, Any]) -> None:
        notes = tuple(note for notes, _ in self._told.values() for note in notes)
        problems = [problem for _, problem in self._told.values() if problem is not None]
        if notes:
            values[attributes.NOTES] = notes
        if problems:
            values[attributes.PROBLEM] = "; ".join(problems)
            # Without bodies this is what makes it a scoring span still.
            values[attributes.ID] = self.id

    def __enter__(self) -> Scoring:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.set_error(error)
        self.end()


def scoring_span(  # noqa: C901, PLR0913 - one argument for each attribute a caller may set
    request: object,
    *,
    scoring_id: str | None = None,
    subscription_id: str | None = None,
    deployment_id: str | None = None,
    binding_id: str | None = None,
    model: str | None = None,
    model_version: str | None = None,
    client_id: str | None = None,
    feature_names: Sequence[str] | None = None,
) -> Scoring:
    """A scoring as a context manager.

    ::

        with scoring_span(payload) as scoring:
            answer = model.predict(payload)
            scoring.set_response(answer)

    An exception that leaves the block makes it a failed scoring and goes on unchanged. The response
    time ends with `set_response`. Use a scoring in one thread or task at a time.

    Args:
        request: what the model was asked; see `scorespan.bodies` for what becomes of a value.
        scoring_id: at most 56 characters; unique within the subscription.
        subscription_id: this and the other ids: else those of the resource or the settings.
        deployment_id: the deployment that scored.
        binding_id: the service binding.
        model: name of the model.
        model_version: its version.
        client_id: who asked.
        feature_names: columns of a request that has none.
    """
    values: dict[str, Any] = {}
    if scoring_id is not None:
        values[attributes.ID] = scoring_id
    if subscription_id is not None:
        values[attributes.SUBSCRIPTION_ID] = subscription_id
    if deployment_id is not None:
        values[attributes.DEPLOYMENT_ID] = deployment_id
    if binding_id is not None:
        values[attributes.BINDING_ID] = binding_id
    if model is not None:
        values[attributes.MODEL_NAME] = model
    if model_version is not None:
        values[attributes.MODEL_VERSION] = model_version
    if client_id is not None:
        values[attributes.CLIENT_ID] = client_id
    for name, value in values.items():
        if type(value) is not str:
            values[name] = said(value)  # a UUID, a number
    if feature_names is not None:
        values[attributes.FEATURE_NAMES] = feature_names = column_names(feature_names)
    return Scoring(request, feature_names, values)


def column_names(given: Iterable[object]) -> tuple[str, ...]:
    """Feature names as strings, whatever holds them. Never raises."""
    if isinstance(given, str):
        return (given,)
    try:
        return tuple(map(said, given))
    except Exception:  # noqa: BLE001 - not a sequence, or one that fails; the record shows what it was
        return (said(given),)


@functools.cache
def _bodies() -> ModuleType:
    """The body encoder, loaded with the first scoring that is recorded.

    Importing scorespan must need the OpenTelemetry API alone, and be cheap.
    """
    return importlib.import_module("scorespan.bodies")
