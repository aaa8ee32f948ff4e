"""Scoring spans from model code: `@scored` and `scoring_span()`.

Both measure with a monotonic clock, leave the span out of the current context (a child span of the
application keeps its own parent), re-raise what the model raises unchanged, and never raise
themselves. Where no SDK is configured they do next to nothing.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from types import ModuleType, TracebackType
from typing import Any, TypeVar, overload

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from scorespan import attributes, producer, provider
from scorespan.telemetry import RepeatedLog

_F = TypeVar("_F", bound=Callable[..., Any])
_NAME = "scoring"
_log = RepeatedLog()


class Scoring:
    """One scoring while it runs: a context manager, made by `scoring_span`.

    Attributes:
        recording: false where no SDK is configured or the span is not sampled; then nothing of
            this scoring is kept.
    """

    __slots__ = (
        "_ended",
        "_id",
        "_notes",
        "_problem",
        "_span",
        "_started",
        "_stopped",
        "_values",
        "_wall_start",
        "recording",
    )

    def __init__(
        self, request: object, feature_names: Sequence[str] | None, values: dict[str, Any]
    ) -> None:
        self._id: str | None = values.get(attributes.ID)
        self._values = values
        self._notes: tuple[str, ...] = ()
        self._problem: str | None = None
        self._ended = False
        self._stopped: int | None = None
        self._started = 0
        self._wall_start = time.time_ns()
        try:
            self._span = provider.tracer().start_span(_NAME, start_time=self._wall_start)
        except Exception as error:  # noqa: BLE001 - a sampler or processor of the application failed
            _log.warning("start", "a scoring was not recorded: %s", type(error).__name__)
            self._span = trace.INVALID_SPAN
        self.recording = self._span.is_recording()
        if self.recording:
            if type(request) is str:
                values[attributes.REQUEST] = request
            else:
                self._keep(attributes.REQUEST, _bodies().encode_request(request, feature_names))
            self._started = time.perf_counter_ns()

    @property
    def id(self) -> str:
        """The scoring id: the given one, else made of trace id and span id."""
        if self._id is None:
            context = self._span.get_span_context()
            self._id = f"{context.trace_id:032x}{context.span_id:016x}"
        return self._id

    def set_response(self, response: object) -> None:
        """The model's answer; the response time ends here. See `bodies` for what becomes of it."""
        if not self.recording:
            return
        self._stopped = time.perf_counter_ns()
        if type(response) is str:
            self._values[attributes.RESPONSE] = response
        else:
            self._keep(attributes.RESPONSE, _bodies().encode_response(response))

    def set_error(self, error: BaseException) -> None:
        """The scoring failed; for code that catches what its model raises."""
        if not self.recording:
            return
        if self._stopped is None:
            self._stopped = time.perf_counter_ns()
        try:
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        except Exception:  # noqa: BLE001 - an exception whose str() raises
            self._span.set_status(Status(StatusCode.ERROR, type(error).__name__))

    def end(self) -> None:
        """End the scoring; the record is in the spool when this returns. Idempotent."""
        if self._ended or not self.recording:
            return
        self._ended = True
        try:
            elapsed = (self._stopped or time.perf_counter_ns()) - self._started
            values = self._values
            if self._notes:
                values[attributes.NOTES] = self._notes
            if self._problem is not None:
                values[attributes.PROBLEM] = self._problem
            values[attributes.PRODUCER_ID], values[attributes.SEQUENCE] = producer.next_number()
            self._span.set_attributes(values)
            self._span.end(self._wall_start + elapsed)
        except Exception as error:  # noqa: BLE001 - the caller's scoring must not see our fault
            _log.warning("end", "a scoring was not recorded: %s", type(error).__name__)

    def _keep(self, name: str, encoded: Any) -> None:
        if encoded.text is None:
            self._problem = encoded.problem
        else:
            self._values[name] = encoded.text
        self._notes += encoded.notes

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


def scoring_span(  # noqa: PLR0913 - one argument for each attribute a caller may set
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
    if feature_names is not None:
        values[attributes.FEATURE_NAMES] = tuple(feature_names)
    return Scoring(request, feature_names, values)


@overload
def scored(function: _F, /) -> _F: ...
@overload
def scored(*, request: Callable[..., object] | None = None, **span: Any) -> Callable[[_F], _F]: ...
def scored(
    function: Callable[..., Any] | None = None,
    /,
    *,
    request: Callable[..., object] | None = None,
    **span: Any,
) -> Any:
    """Make every call of a function one scoring.

    ::

        @scored(subscription_id="credit", feature_names=["age", "amount"])
        def predict(rows): ...

    Works on functions, coroutine functions, generators and asynchronous generators; a generator's
    scoring ends with its last item, and its response is the list of the items (text items are
    joined). What the function returns and raises is unchanged.

    Args:
        function: where used without arguments.
        request: called with the call's arguments, returns the request; else the request is the
            first argument, after `self`.
        span: as for `scoring_span`; `scoring_id` and `client_id` may be callables, which get the
            call's arguments.
    """

    def decorate(target: Callable[..., Any]) -> Callable[..., Any]:
        begin = _Beginning(target, request, span)
        if inspect.isasyncgenfunction(target):
            return _wrap_async_generator(target, begin)
        if inspect.isgeneratorfunction(target):
            return _wrap_generator(target, begin)
        if inspect.iscoroutinefunction(target):
            return _wrap_coroutine(target, begin)
        return _wrap_function(target, begin)

    unknown = span.keys() - inspect.signature(scoring_span).parameters.keys()
    if unknown:
        raise TypeError(f"scored() has no argument {min(unknown)!r}")
    return decorate if function is None else decorate(function)


class _Beginning:
    """Begins the scoring of a call."""

    def __init__(
        self,
        target: Callable[..., Any],
        request: Callable[..., object] | None,
        span: dict[str, Any],
    ) -> None:
        names = list(inspect.signature(target).parameters)
        self._first = 1 if names and names[0] in {"self", "cls"} else 0
        self._keyword = names[self._first] if len(names) > self._first else None
        self._request = request
        self._fixed = {name: value for name, value in span.items() if not callable(value)}
        self._called = {name: value for name, value in span.items() if callable(value)}

    def __call__(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Scoring:
        problem: str | None = None
        body: object = None
        values = self._fixed
        try:
            body = self._body(arguments, keywords)
            if self._called:
                values = dict(values)
                for name, function in self._called.items():
                    values[name] = function(*arguments, **keywords)
        except Exception as error:  # noqa: BLE001 - the user's callable failed; the scoring must go on
            problem = f"request: {type(error).__name__} while it was taken from the call: {error}"
        scoring = scoring_span(body, **values)
        if problem is not None and scoring.recording:
            scoring._problem = problem  # noqa: SLF001 - the same module
        return scoring

    def _body(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> object:
        if self._request is not None:
            return self._request(*arguments, **keywords)
        if len(arguments) > self._first:
            return arguments[self._first]
        if self._keyword in keywords:
            return keywords[self._keyword]
        if len(keywords) == 1:
            return next(iter(keywords.values()))
        raise TypeError("the call has no first argument")


def _wrap_function(target: Callable[..., Any], begin: _Beginning) -> Callable[..., Any]:
    @functools.wraps(target)
    def scored_function(*arguments: Any, **keywords: Any) -> Any:
        with begin(arguments, keywords) as scoring:
            result = target(*arguments, **keywords)
            scoring.set_response(result)
        return result

    return scored_function


def _wrap_coroutine(target: Callable[..., Any], begin: _Beginning) -> Callable[..., Any]:
    @functools.wraps(target)
    async def scored_coroutine(*arguments: Any, **keywords: Any) -> Any:
        with begin(arguments, keywords) as scoring:
            result = await target(*arguments, **keywords)
            scoring.set_response(result)
        return result

    return scored_coroutine


def _wrap_generator(target: Callable[..., Any], begin: _Beginning) -> Callable[..., Any]:
    @functools.wraps(target)
    def scored_generator(*arguments: Any, **keywords: Any) -> Generator[Any, Any, Any]:
        items: list[Any] = []
        with begin(arguments, keywords) as scoring:
            inner = target(*arguments, **keywords)
            try:
                item = next(inner)
                while True:
                    items.append(item)
                    try:
                        sent = yield item
                    except GeneratorExit:
                        inner.close()
                        _closed_early(scoring, items)
                        return None
                    except BaseException as error:  # noqa: BLE001 - handed to the generator it was thrown at
                        item = inner.throw(error)
                    else:
                        item = inner.send(sent)
            except StopIteration as stop:
                scoring.set_response(_joined(items))
                return stop.value

    return scored_generator


def _wrap_async_generator(target: Callable[..., Any], begin: _Beginning) -> Callable[..., Any]:
    @functools.wraps(target)
    async def scored_async_generator(*arguments: Any, **keywords: Any) -> AsyncGenerator[Any, Any]:
        items: list[Any] = []
        with begin(arguments, keywords) as scoring:
            inner = target(*arguments, **keywords)
            try:
                item = await anext(inner)
                while True:
                    items.append(item)
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await inner.aclose()
                        _closed_early(scoring, items)
                        return
                    except BaseException as error:  # noqa: BLE001 - handed to the generator it was thrown at
                        item = await inner.athrow(error)
                    else:
                        item = await inner.asend(sent)
            except StopAsyncIteration:
                scoring.set_response(_joined(items))

    return scored_async_generator


def _closed_early(scoring: Scoring, items: list[Any]) -> None:
    if scoring.recording:
        scoring._notes += ("response: the caller left before the last item",)  # noqa: SLF001 - the same module
    scoring.set_response(_joined(items))


def _joined(items: list[Any]) -> object:
    if items and all(isinstance(item, str) for item in items):
        return "".join(items)
    return items


def _bodies() -> ModuleType:
    """The body encoder, loaded with the first scoring that is recorded.

    Importing scorespan must need the OpenTelemetry API alone, and be cheap.
    """
    return sys.modules.get("scorespan.bodies") or importlib.import_module("scorespan.bodies")
