"""The SageMaker hook: the scorings of a handler that takes a batch, such as its inference toolkit.

A handler is called with a list of requests and a context, and returns a list of answers: each
request is a scoring, however many come at once. The toolkit's transformer raises nothing; an error
is an answer of its own, which is read here.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import Any, NamedTuple

from scorespan import attributes
from scorespan.failure import MOST
from scorespan.instrumentation import gate, switch
from scorespan.instrumentation.exchange import Exchange, running
from scorespan.instrumentation.guard import guarded
from scorespan.instrumentation.headers import plain
from scorespan.settings import Settings

NAME = "sagemaker"
_CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
_LONGEST_ATTRIBUTES = 1024  # as SageMaker has it
_INFERENCE_ID = "x-amzn-sagemaker-inference-id"
_TRACEBACK = re.compile(r"(?<=\n)Traceback \(most recent call last\):\n")
# Frames and their source are indented: what begins a line after them is the error's type.
_LAST_LINE = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)
_MISMATCH = 503
"""What the server answers where the number of answers is not that of the requests."""


class Swallowed(NamedTuple):
    """An error that a handler caught and answered with.

    Attributes:
        kind: its class, with the module where that is not Python's own.
    """

    kind: str
    message: str
    stacktrace: str | None


_open: ContextVar[tuple[Exchange, ...]] = ContextVar("scorespan_sagemaker", default=())
"""The exchanges of the call that runs in this context."""


def instrument(module: ModuleType) -> None:
    """Capture what the toolkit's `Transformer.transform` answers."""
    original = module.Transformer.transform

    @functools.wraps(original)
    def transform(self: Any, data: Any, context: Any) -> Any:
        return scored(NAME, functools.partial(original, self), data, context)

    module.Transformer.transform = transform


def scored(hook: str, call: Callable[[Any, Any], Any], data: Any, context: Any) -> Any:
    """What a handler returns or raises; each of its requests is captured.

    Args:
        hook: name of the hook. Of two, one within the other, the inner is the more specific one,
            and the outer makes the records.
        call: the handler.
        data: a list of requests, each a dict with the `body`.
        context: the model server's, of this batch.
    """
    outer = _open.get()
    for exchange in outer:
        exchange.hook = hook
    settings = switch.ready()
    if settings is None or outer or _captured():
        return call(data, context)
    exchanges = _begun(hook, settings, data, context) or ()
    opened = _open.set(exchanges)
    # Of several, none is known to have printed a line or made a call.
    runs = running.set(exchanges[0] if len(exchanges) == 1 else None)
    try:
        answers = call(data, context)
    except BaseException as error:
        _raised(exchanges, error)
        raise
    finally:
        running.reset(runs)
        _open.reset(opened)
    _answered(exchanges, answers, context)
    return answers


def _captured() -> bool:
    """Whether another hook has the request already."""
    exchange = running.get()
    return exchange is not None and not exchange.ended


@guarded(NAME)
def _begun(
    hook: str, settings: Settings, data: Sequence[Mapping[str, Any]], context: Any
) -> tuple[Exchange, ...]:
    """An exchange for each of the requests, in their order."""
    return tuple(
        _exchange(hook, settings, request, context, index) for index, request in enumerate(data)
    )


def _exchange(
    hook: str, settings: Settings, request: Mapping[str, Any], context: Any, index: int
) -> Exchange:
    properties = context.request_processor[index].get_request_properties()
    # A part of the request has its own properties there, as an object.
    headers = {name.lower(): value for name, value in properties.items() if type(value) is str}
    exchange = Exchange(hook, settings, headers)
    gate.enter(exchange)
    body = request.get("body")
    if body is None:  # a form, which the server has taken apart
        body = {
            name: _bytes_of(value).decode("utf-8", "replace") for name, value in request.items()
        }
        exchange.request.content_type = "application/json"
    else:
        exchange.request.content_type = plain(headers.get("content-type"))
        exchange.request.encoding = plain(headers.get("content-encoding"))
    exchange.request.add(_bytes_of(body))
    exchange.set(attributes.MODEL_NAME, context.model_name)
    request_id = plain(headers.get(_INFERENCE_ID)) or context.request_ids.get(index)
    if request_id:
        exchange.set(attributes.REQUEST_ID, request_id)
    if said := plain(headers.get(_CUSTOM_ATTRIBUTES), _LONGEST_ATTRIBUTES):
        exchange.tell(f"custom attributes of the caller: {said}")
    return exchange


@guarded(NAME)
def _raised(exchanges: tuple[Exchange, ...], error: BaseException) -> None:
    """The handler raised: no request has an answer."""
    for exchange in exchanges:
        exchange.fail(error)
        exchange.end()


@guarded(NAME)
def _answered(exchanges: tuple[Exchange, ...], answers: Any, context: Any) -> None:
    """Give each exchange its answer, and end it."""
    for exchange in exchanges:
        exchange.stop()
    listed = answers if isinstance(answers, list) else []
    for index, exchange in enumerate(exchanges):
        if len(listed) == len(exchanges):
            _answer(exchange, listed[index], context, index)
        else:
            exchange.answered(_MISMATCH)
            # Where one request of several fails, the toolkit has one answer to all of them.
            error = read_error(listed[0]) if listed else None
            _fail(exchange, error or Swallowed("ValueError", "no answer to each request", None))
        exchange.end()


def _answer(exchange: Exchange, answer: Any, context: Any, index: int) -> None:
    status = context.get_response_status(index)[0] or 200
    exchange.answered(status)
    error = read_error(answer) if status >= 400 else None
    if error is not None:
        _fail(exchange, error)
        return
    # The toolkit says the type of several answers only with the first.
    content_type = context.get_response_headers(index).get("content-type")
    first = context.get_response_headers(0).get("content-type")
    exchange.response.content_type = content_type or first
    try:
        exchange.response.add(_bytes_of(answer))
    except TypeError as unserialised:
        exchange.fail(unserialised)


def _fail(exchange: Exchange, error: Swallowed) -> None:
    exchange.fail_as(error.kind, error.message)
    if error.stacktrace is not None:
        exchange.set(attributes.STACKTRACE, error.stacktrace[-MOST:])


def read_error(answer: Any) -> Swallowed | None:
    """The error that the toolkit has put into an answer: message, line feed, traceback."""
    if not isinstance(answer, str):
        return None
    places = [found.start() for found in _TRACEBACK.finditer(answer)]
    # The message may hold tracebacks, too, and the traceback those of causes.
    for place in reversed(places):
        message, stacktrace = answer[: place - 1], answer[place:]
        before, found, after = stacktrace.rpartition(f": {message}\n")
        if found and not after:
            return Swallowed(before.rpartition("\n")[2], message, stacktrace)
    last = _LAST_LINE.search(answer, places[-1]) if places else None
    if last is None:
        return None
    return Swallowed(last[1], answer[: places[0] - 1], answer[places[0] :])


def _bytes_of(value: Any) -> bytes | bytearray:
    """The bytes that the model server reads or sends for a value.

    Raises:
        TypeError: it is no JSON; the server answers with an error, too.
    """
    if isinstance(value, (bytes, bytearray)):
        return value
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, indent=2).encode()
