"""JSON text of a request: into values, and of values again.

One odd text or number must not cost a whole request. What orjson does not read, and senders do
write, is read by the standard library, within narrower bounds: it takes more time and memory.
"""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from scorespan.conversion.otlp_reading import no_request

_MOST_CONTAINERS = 4_000_000
"""Each takes many times its bytes in memory. More than the largest request of real spans has."""
_ODD_BYTES = 16 * 1024 * 1024
_ODD_CONTAINERS = 1_000_000
"""What a request may have of bytes, and of objects and lists, that orjson does not read."""
_LONGEST = 20
"""Digits of a whole number of 64 bits, or one digit and a sign less."""


def parsed(body: bytes) -> Any:
    """The value of this JSON.

    Read although JSON has none of it: half a surrogate pair, and bytes that are no UTF-8, both as
    lone surrogates; control characters in texts; NaN and infinity, and numbers beyond what a float
    can hold, as texts, which is how protobuf's mapping has them.

    Raises:
        ConversionError: it is no JSON, or more than can be read.
    """
    containers = body.count(b"{") + body.count(b"[")
    if containers > _MOST_CONTAINERS:
        raise no_request("it holds more objects and lists than can be read at once")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        refusal = no_request(f"it is no JSON ({error.msg}, line {error.lineno})")
    if len(body) > _ODD_BYTES or containers > _ODD_CONTAINERS:
        raise refusal
    try:
        return json.loads(
            body.decode("utf-8", "surrogateescape"),
            strict=False,
            parse_int=_whole,
            parse_float=_real,
            parse_constant=str,
        )
    except (ValueError, RecursionError):
        raise refusal from None


def _whole(digits: str) -> int | float | str:
    """A whole number: of 64 bits as it is, as a float beyond, as orjson has it."""
    if len(digits) <= _LONGEST:
        number = int(digits)
        if -(2**63) <= number < 2**64:
            return number
    return _real(digits)


def _real(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def dumped(value: Any) -> bytes:
    """The JSON of a part of a request, to be parsed as the same again."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # a lone surrogate, a large number, or nested deeply
        return _dumped_odd(value)


def _dumped_odd(value: Any) -> bytes:
    try:
        return _ascii(value)
    except RecursionError:
        return _dumped_deep(value)


def _ascii(value: Any) -> bytes:
    """JSON that shows a lone surrogate, which has no UTF-8, as its escape."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _dumped_deep(value: Any) -> bytes:
    """The JSON of what is read but not written by a parser's own writer: nested very deeply."""
    pieces: list[bytes] = []
    rest: list[Any] = [value]
    while rest:
        item = rest.pop()
        if type(item) is bytes:  # JSON has none: it is a piece
            pieces.append(item)
        elif type(item) is dict:
            rest.append(b"}")
            for place, (key, held) in enumerate(reversed(item.items()), 1 - len(item)):
                rest += (held, (b"," if place else b"") + _ascii(key) + b":")
            pieces.append(b"{")
        elif type(item) is list:
            rest.append(b"]")
            for place, held in enumerate(reversed(item), 1 - len(item)):
                rest += (held, b"," if place else b"")
            pieces.append(b"[")
        else:
            pieces.append(_ascii(item))
    return b"".join(pieces)
