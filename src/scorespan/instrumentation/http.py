"""Scorings over HTTP: where a request is one, and its exchange."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from scorespan import attributes
from scorespan.instrumentation import gate, switch
from scorespan.instrumentation.body import KeptBody
from scorespan.instrumentation.exchange import Exchange, running
from scorespan.instrumentation.headers import plain
from scorespan.instrumentation.paths import scoring_path

MARK = "scorespan.exchange"
"""Where a scope or environ says that its request is seen already."""
OPAQUE = "text"
"""The dialect of bodies of which a part is missing: read as anything else they would be wrong."""
_UNREAD = "scorespan.instrumentation.unread"
_DIGITS = 18
_NO_CONTENT = 204


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
    if _UNREAD in sys.modules:
        sys.modules[_UNREAD].end_waiting()
    exchange = Exchange(hook, settings, headers)
    if found.model:
        exchange.set(attributes.MODEL_NAME, found.model)
    if found.version:
        exchange.set(attributes.MODEL_VERSION, found.version)
    request = exchange.request
    request.content_type = plain(headers.get("content-type"))
    request.encoding = plain(headers.get("content-encoding"))
    request.expected = _length(headers.get("content-length"))
    gate.enter(exchange)
    return exchange


def describe(exchange: Exchange, headers: Mapping[str, str]) -> None:
    """Note what the answer's headers say of it; names in lower case."""
    body = exchange.response
    body.content_type = plain(headers.get("content-type"))
    body.encoding = plain(headers.get("content-encoding"))
    body.expected = _length(headers.get("content-length"))
    exchange.name_call(headers)  # a server gives a call an id where its client gave none


def sent_as_file(exchange: Exchange) -> None:
    """The server has sent a file, which did not pass here."""
    exchange.tell("response: a file that the server sent, not captured")
    exchange.set(attributes.DIALECT, OPAQUE)


def end(exchange: Exchange, *, unread: bool, complete: bool, collected: bool = False) -> None:
    """End an exchange over HTTP.

    Args:
        exchange: one that runs.
        unread: whether the service has left something of a request of unknown length.
        complete: whether the answer went out to its end; else its client was gone.
        collected: whether the collector may have come here, within anything that a thread does.
    """
    if 300 <= (exchange.status or 0) < 400:
        exchange.drop()  # the scoring is at another address
        return
    response = exchange.response
    if unread:
        size = exchange.request.size
        exchange.tell(f"request: {size} bytes were read by the service, not to the end")
        exchange.set(attributes.DIALECT, OPAQUE)
    if not complete and not _is_whole(response, exchange.status):
        if response.size:
            exchange.tell(f"response: the client was gone after {response.size} bytes")
            exchange.set(attributes.DIALECT, OPAQUE)
        elif not exchange.failed:
            exchange.fail_as("Abandoned", "the client was gone before it was answered")
    if collected:
        _end_collected(exchange)
    else:
        exchange.end()


def _end_collected(exchange: Exchange) -> None:
    # Where this was imported the end of the process has something to do.
    from scorespan.instrumentation import unread  # noqa: PLC0415 - hardly ever

    if unread.within_writing():
        gate.answering.discard(exchange)
        unread.wait(exchange)
    else:
        exchange.end()


def _is_whole(response: KeptBody, status: int | None) -> bool:
    """Whether all of an answer is there, though the server has not asked for its end."""
    if response.expected is None:
        return status == _NO_CONTENT
    return response.size >= response.expected


def _length(given: str | None) -> int | None:
    if given and given.isascii() and given.isdigit() and len(given) <= _DIGITS:
        return int(given)
    return None
