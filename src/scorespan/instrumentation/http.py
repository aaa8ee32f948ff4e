"""Scorings over HTTP: where a request is one, and its exchange."""

from __future__ import annotations

from collections.abc import Mapping

from scorespan import attributes
from scorespan.instrumentation import switch
from scorespan.instrumentation.exchange import Exchange, running
from scorespan.instrumentation.guard import guarded
from scorespan.instrumentation.paths import scoring_path

_DIGITS = 18


@guarded("http")
def begin(
    hook: str, method: str, path: str, headers: Mapping[str, str], *, root: str = ""
) -> Exchange | None:
    """The exchange of a request that has come; None where it is no scoring.

    That is so, too, where capture is off, and where an exchange runs in this context already: one
    request is one record. Who begins one sets `running` while the service works on it, and ends it.

    Args:
        hook: name of the hook.
        method: of the request; only POST scores.
        path: as the client sent it, without the query.
        headers: by their names in lower case.
        root: what the application is mounted at, with which the path begins.
    """
    settings = switch.ready()
    if settings is None or method != "POST":
        return None
    found = scoring_path(path, root, settings.paths)
    if found is None:
        return None
    outer = running.get()
    if outer is not None and not outer.ended:
        return None
    exchange = Exchange(hook, settings, headers)
    if found.model:
        exchange.set(attributes.MODEL_NAME, found.model)
    if found.version:
        exchange.set(attributes.MODEL_VERSION, found.version)
    request = exchange.request
    request.content_type = headers.get("content-type")
    request.encoding = headers.get("content-encoding")
    length = headers.get("content-length") or ""
    if length.isascii() and length.isdigit() and len(length) <= _DIGITS:
        request.expected = int(length)
    return exchange
