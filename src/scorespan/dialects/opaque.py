"""Opaque bodies: too large to be parsed, looked at only as far as their brackets go.

A body is spliced into the record that it is sent in. One that closes more than it opens would end
that record and begin another; one that a length limit has cut would leave it open. What is no
fields/values can still be a text: the one cell of a table.

Everything here goes in small parts: other threads wait no longer than one of them takes.
"""

from __future__ import annotations

import codecs
import re

import orjson

_CHUNK = 256 * 1024
"""Bytes looked at in one go."""
_DEEPEST = 10_000
"""Levels of nesting that are followed; no reader of JSON goes that deep."""
_SPACE = b" \t\r\n"
_OTHERS = bytes(set(range(256)) - set(b"{}[]"))
_TABLE_KEYS = re.compile(rb'"(fields|values)"[ \t\r\n]*:')
_KEY_LENGTH = 64
_PARTNER = {ord("}"): ord("{"), ord("]"): ord("[")}


def fault_of(body: memoryview) -> str | None:
    """Why a body is not one whole JSON object, as far as its brackets tell; None where it is.

    Takes time in proportion to the body, and hardly any memory.
    """
    first, last = bytes(body[:_CHUNK]), bytes(body[-_CHUNK:])
    start = len(first) - len(first.lstrip(_SPACE))
    end = len(body) - (len(last) - len(last.rstrip(_SPACE)))
    if end - start < 2 or body[start] != ord("{") or body[end - 1] != ord("}"):
        return "not one whole JSON object; a length limit may have cut it"
    # Between the outer braces every bracket must have its partner: then these two are a pair.
    still_open = bytearray()
    within_string = False
    escape = b""
    for offset in range(start + 1, end - 1, _CHUNK):
        chunk = escape + bytes(body[offset : min(offset + _CHUNK, end - 1)])
        # Pairs of backslashes go first: what is left of them belongs to the character behind.
        chunk = chunk.replace(b"\\\\", b"")
        escape = chunk[-1:] if chunk.endswith(b"\\") else b""
        parts = chunk.removesuffix(b"\\").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[1 if within_string else 0 :: 2])
        within_string ^= len(parts) % 2 == 0
        if not _follow(outside.translate(None, _OTHERS), still_open):
            return "its brackets do not match, or nest too deep"
    if within_string or escape or still_open:
        return "it ends too early, as a text does that a length limit has cut"
    return None


def looks_like_table(body: memoryview) -> bool:
    """Whether `fields` and `values` stand somewhere in a JSON text, as the keys of something."""
    found: set[bytes] = set()
    for offset in range(0, len(body), _CHUNK):
        part = bytes(body[max(0, offset - _KEY_LENGTH) : offset + _CHUNK])
        found.update(_TABLE_KEYS.findall(part))
        if len(found) > 1:
            return True
    return False


def as_cell(column: str, body: memoryview) -> memoryview:
    """The fields/values text of one row and column that holds a text, whatever its bytes are."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    text = bytearray(b'{"fields":' + orjson.dumps([column]) + b',"values":[["')
    for offset in range(0, len(body), _CHUNK):
        last = offset + _CHUNK >= len(body)
        text += orjson.dumps(decoder.decode(bytes(body[offset : offset + _CHUNK]), last))[1:-1]
    text += b'"]]}'
    return memoryview(text).toreadonly()


def _follow(brackets: bytes, still_open: bytearray) -> bool:
    """Bring what is open up to date; false where a bracket closes what is not open."""
    for _ in range(4):  # the rows of a table: nothing is left then to look at one by one
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    for bracket in brackets:
        partner = _PARTNER.get(bracket)
        if partner is None:
            still_open.append(bracket)
        elif not still_open or still_open.pop() != partner:
            return False
    return len(still_open) <= _DEEPEST
