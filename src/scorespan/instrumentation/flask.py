"""The Flask hook: every call of a Flask application, whatever server makes it."""

from __future__ import annotations

import functools
from collections.abc import Iterable
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
    original = module.Flask.__call__
    if hasattr(original, "scorespan"):
        return

    @functools.wraps(original)
    def __call__(  # noqa: N807 - it takes the place of one
        self: Any, environ: wsgi.Environ, start_response: wsgi.StartResponse
    ) -> Iterable[bytes]:
        return wsgi.call(HOOK, functools.partial(original, self), environ, start_response)

    __call__.scorespan = True  # type: ignore[attr-defined]  # the mark of ours
    module.Flask.__call__ = __call__
    with swallowed(HOOK):  # old versions have no signals without another package
        module.got_request_exception.connect(_raised)


def _raised(_sender: object, exception: BaseException, **_more: object) -> None:
    """Flask answers an exception of the service with a page that does not name it."""
    exchange = running.get()
    if exchange is not None and not exchange.ended:
        exchange.fail(exception)
