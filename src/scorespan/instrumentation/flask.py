"""The Flask hook: every call of a Flask application, whatever server makes it.

A server calls the application, or its `wsgi_app`, which middlewares are told to wrap. The first of
both that a request comes to makes the record: the whole of the answer, middlewares included, where
the application was called.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from scorespan.instrumentation import wsgi
from scorespan.instrumentation.exchange import running
from scorespan.instrumentation.guard import swallowed

HOOK = "flask"


def instrument(module: ModuleType) -> None:
    """Capture the scorings of applications.

    Args:
        module: `flask.app`.
    """
    flask = module.Flask
    if hasattr(flask.__call__, "scorespan"):
        return
    flask.__call__, flask.wsgi_app = _seen(flask.__call__), _seen(flask.wsgi_app)
    with swallowed(HOOK):  # old versions have no signals without another package
        module.got_request_exception.connect(_raised)


def _seen(original: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    @functools.wraps(original)
    def call(
        self: Any, environ: wsgi.Environ, start_response: wsgi.StartResponse
    ) -> Iterable[bytes]:
        return wsgi.call(HOOK, functools.partial(original, self), environ, start_response)

    call.scorespan = True  # type: ignore[attr-defined]  # the mark of ours
    return call


def _raised(_sender: object, exception: BaseException, **_more: object) -> None:
    """Flask answers an exception of the service with a page that does not name it."""
    exchange = running.get()
    if exchange is not None and not exchange.ended:
        exchange.fail(exception)
