"""The hook of `requests`: calls of `Session.send`, which all of its calls are.

One call is one record, whatever redirects and retries it takes.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from scorespan.instrumentation import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scorespan.instrumentation.call import Call

_HOOK = "requests"


def instrument(module: ModuleType) -> None:
    """Patch `requests.sessions`."""
    session = module.Session
    original = session.send

    @functools.wraps(original)
    def send(self: Any, request: Any, **options: Any) -> Any:
        method, url = getattr(request, "method", None), getattr(request, "url", None)
        call = client.begin(_HOOK, method, url, getattr(request, "headers", None))
        if call is None:
            return original(self, request, **options)
        body = getattr(request, "body", None)
        sent = call.sends(body)
        if sent is not body:
            request.body = sent
        try:
            with call:
                response = original(self, request, **options)
        finally:
            if sent is not body:
                request.body = body
        _answered(call, response)
        return response

    session.send = send


def _answered(call: Call, response: Any) -> None:
    from scorespan.instrumentation.guard import swallowed  # noqa: PLC0415 - see client
    from scorespan.instrumentation.reading import undone  # noqa: PLC0415

    with swallowed(_HOOK):
        call.answered(response.status_code, response.headers)
        exchange = call.exchange
        if exchange is None:
            return
        if not response._content_consumed:  # noqa: SLF001 - `content` would read it
            call.watch(response.raw)
            return
        decoders = getattr(response.raw, "CONTENT_DECODERS", ())
        if undone(exchange.response.encoding, decoders):
            call.decoded()
        call.seen(response.content or b"")
        call.finish()
