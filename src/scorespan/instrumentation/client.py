"""The client hook: what the hooks of HTTP clients ask about each call that goes out.

It is a scoring of an address that the settings allow, or a dependency of the scoring that runs in
this context, or part of a call that is seen already, or traffic of our own, or nothing. Nearly all
are nothing, in processes of any kind: until a call is more, nothing of OpenTelemetry is imported.

A context variable tells which scoring runs: tasks of asyncio inherit it, threads of a pool do not.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from contextvars import ContextVar

from scorespan.instrumentation import switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from scorespan.instrumentation.call import Call
    from scorespan.instrumentation.exchange import Exchange

_EXCHANGE = "scorespan.instrumentation.exchange"
_VARIABLE = "SCORESPAN_CLIENT_URLS"

calling: ContextVar[Call | None] = ContextVar("scorespan_call", default=None)
"""The call of this context; it may be over, where the context outlives it."""


def begin(hook: str, method: object, url: object, headers: Any) -> Call | None:
    """The call that goes out now; None where there is nothing to see of it. Never raises.

    Args:
        hook: name of the hook.
        method: of the request; only POST scores.
        url: with the scheme; anything of which `str` makes a text.
        headers: of the request, with `items`; read only for a scoring.
    """
    if not switch.is_on() or _is_part():
        return None
    try:
        outer = _running()
        if outer is not None:
            return _dependency(outer) if str(url)[:4].lower() == "http" else None
        if method != "POST" or not allowed(str(url), _patterns()):
            return None
        return _scoring(hook, str(url), headers)
    except Exception as error:  # noqa: BLE001 - the service must not see our fault
        _failed(error)
        return None


def begin_named(hook: str, *, scores: bool) -> Call | None:
    """The same, for a client that says by name what it asks for. Never raises.

    Args:
        hook: name of the hook.
        scores: whether what it asks for is a scoring.
    """
    if not switch.is_on() or _is_part():
        return None
    try:
        outer = _running()
        if outer is not None:
            return _dependency(outer)
        return _scoring(hook, "", {}) if scores else None
    except Exception as error:  # noqa: BLE001 - the service must not see our fault
        _failed(error)
        return None


@functools.lru_cache(maxsize=512)
def allowed(url: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern allows an address.

    Args:
        url: with the scheme. Neither that nor user, query and fragment count, nor upper case; a
            port need not stand in the pattern.
        patterns: `*` stands for any text.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in {"http", "https"}:
        return False
    address, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    address = address.rpartition("@")[2]
    pattern = _compiled(patterns)
    host = re.sub(r":\d*\Z", "", address)
    return any(pattern.fullmatch(f"{name}{slash}{path}") for name in {address, host})


@functools.lru_cache(maxsize=8)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    texts = (".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns)
    return re.compile("|".join(texts) if patterns else r"(?!)", re.DOTALL | re.IGNORECASE)


def _is_part() -> bool:
    """Whether the call is made by another one: a redirect, or a client that is built on another."""
    call = calling.get()
    return call is not None and not call.over


def _running() -> Exchange | None:
    """The scoring that runs in this context."""
    module = sys.modules.get(_EXCHANGE)  # there is none where nobody has loaded it
    running = getattr(module, "running", None)
    exchange: Exchange | None = None if running is None else running.get()
    return None if exchange is None or exchange.ended else exchange


def _patterns() -> tuple[str, ...]:
    settings = switch.known()
    return _of_environment() if settings is None else settings.client_urls


@functools.cache
def _of_environment() -> tuple[str, ...]:
    """The setting alone: nobody has asked yet whether the others are right."""
    from scorespan import setting_values, settings  # noqa: PLC0415 - with the first POST

    told = os.environ.get(_VARIABLE)
    return setting_values.patterns(told) if told else settings.Settings().client_urls


def _dependency(outer: Exchange) -> Call | None:
    from scorespan.instrumentation import call  # noqa: PLC0415 - most processes never come here

    return call.dependency(outer)


def _scoring(hook: str, url: str, headers: Any) -> Call | None:
    # Before our module: what ends open calls at exit is to run before the drain.
    settings = switch.ready()
    if settings is None:
        return None
    from scorespan.instrumentation import call  # noqa: PLC0415 - most processes never come here

    return call.scoring(hook, settings, url, headers)


def _failed(error: Exception) -> None:
    from scorespan.instrumentation.guard import failed  # noqa: PLC0415 - most never come here

    failed("client", error)
