"""The decorator: every call of a function is one scoring."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar, overload

from scorespan.scoring import Scoring, column_names, scoring_span
from scorespan.telemetry import said

_F = TypeVar("_F", bound=Callable[..., Any])


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
    scoring ends with its last item, and its response is the list of the items (text and
    bytes are joined). What the function returns and raises is unchanged.

    Args:
        function: where used without arguments.
        request: called with the call's arguments, returns the request; else the request is the
            first argument, after `self`.
        span: as for `scoring_span`; `scoring_id` and `client_id` may be callables, which get the
            call's arguments.
    """

    def decorate(target: Any) -> Any:
        if isinstance(target, (staticmethod, classmethod)):
            return type(target)(decorate(target.__func__))
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
        try:
            names = list(inspect.signature(target).parameters)
        except ValueError:  # some functions written in C do not tell
            names = []
        self._first = 1 if names and names[0] in {"self", "cls"} else 0
        self._keyword = names[self._first] if len(names) > self._first else None
        self._request = request
        self._fixed = {name: value for name, value in span.items() if not callable(value)}
        if self._fixed.get("feature_names") is not None:
            self._fixed["feature_names"] = column_names(self._fixed["feature_names"])
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
            kind = type(error).__name__
            problem = f"request: {kind} while it was taken from the call: {said(error)}"
        scoring = scoring_span(body, **values)
        if problem is not None:
            scoring.tell("call", problem=problem)
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
                    if scoring.recording:
                        items.append(item)
                    try:
                        sent = yield item
                    except GeneratorExit:
                        inner.close()
                        _closed_early(scoring, items)
                        raise
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
                    if scoring.recording:
                        items.append(item)
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await inner.aclose()
                        _closed_early(scoring, items)
                        raise
                    except BaseException as error:  # noqa: BLE001 - handed to the generator it was thrown at
                        item = await inner.athrow(error)
                    else:
                        item = await inner.asend(sent)
            except StopAsyncIteration:
                scoring.set_response(_joined(items))

    return scored_async_generator


def _closed_early(scoring: Scoring, items: list[Any]) -> None:
    scoring.tell("left", "response: the caller left before the last item")
    scoring.set_response(_joined(items))
    scoring.end()


def _joined(items: list[Any]) -> object:
    if items and all(isinstance(item, str) for item in items):
        return "".join(items)
    if items and all(isinstance(item, bytes) for item in items):
        return b"".join(items)
    return items
