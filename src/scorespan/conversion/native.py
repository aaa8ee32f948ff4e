"""Native bodies of a span: what the text of an attribute was made of, undone.

A hook puts bytes on a span as they passed: compressed bodies and other binary ones as base64, large
ones cut, some as their SHA-256 only. Here base64 and compression are undone, so that a dialect can
read what there is; what is not whole, or no text, is marked as such and told in a note.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import zlib
from typing import Any, NamedTuple

from scorespan.conversion.span import OPAQUE_BYTES, ScoringSpan

MOST_INFLATED = 64 * 1024 * 1024
"""Bytes that a compressed body may have: eight times what is parsed at all, and a small body that
would become more than that was made to fill somebody's memory."""
_MOST_UNDONE = 2 * OPAQUE_BYTES
"""Bytes of base64 that are undone: what holds more is too large to be parsed anyway."""
_GZIP, _ZLIB, _RAW = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _RAW), "zlib": (_ZLIB,)}
_CHARSETS = {"iso8859-1", "iso8859-15", "cp1252", "ascii", "utf-16", "utf-16-le", "utf-16-be"}
_MOST_STEPS = 4
"""Encodings of one body that are undone; nobody does more to one."""
_MOST_MEMBERS = 64
"""Streams that may follow each other in one gzip body: each costs a copy of all that follow."""
_CUT_CHARACTER = 3
"""Bytes of a UTF-8 character that a cut may leave at the end."""


class Kept(NamedTuple):
    """A body as a dialect can have it.

    `whole` is false where part of it is missing or the text only stands for it. `notes` are about
    that. `facts` are kept beside the record.
    """

    text: bytes | memoryview
    content_type: str | None
    whole: bool = True
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] | None = None


def kept_bodies(span: ScoringSpan) -> tuple[Kept, Kept | None]:
    """Request and response of a span, undone; the span has a request. Never raises."""
    request = _kept(span, "request", span.request or b"", span.request_content_type)
    if span.response is None:
        return request, None
    return request, _kept(span, "response", span.response, span.response_content_type)


def _kept(span: ScoringSpan, side: str, text: bytes | memoryview, content_type: str | None) -> Kept:
    details = span.details or {}
    if content_type is None and "hook" in details:
        content_type = ""  # the hook would have told a type, had there been one
    encoding, size = details.get(f"{side}_encoding"), details.get(f"{side}_size")
    facts: dict[str, Any] = {}
    if encoding:
        facts["encoding"] = encoding
    if size is not None:
        facts["size"] = size
    told = any(note.startswith(f"{side}: ") and " bytes " in note for note in span.notes or ())
    if not encoding:
        body = Kept(text, content_type)
        if size is not None and size > len(text):
            body = body._replace(whole=False, notes=(f"{side}: {len(text)} of {size} bytes kept",))
        else:
            body = _as_utf8(body, side)
    else:
        body = _undone(side, text, content_type, encoding, size)
    if told:
        body = body._replace(notes=tuple(note for note in body.notes if " bytes kept" not in note))
    if facts and not body.whole:
        facts["kept"] = len(text)
    if bytes(body.text[: len(codecs.BOM_UTF8)]) == codecs.BOM_UTF8:
        # Some clients put it in front of UTF-8; JSON has none, and no text begins with it.
        body = body._replace(text=body.text[len(codecs.BOM_UTF8) :])
    return body._replace(facts=facts or None)


def _undone(
    side: str, text: bytes | memoryview, content_type: str | None, encoding: str, size: int | None
) -> Kept:
    """A body with its encodings undone, as many of them as can be."""
    as_it_is = Kept(text, content_type, whole=False)
    kind = content_type or "bytes"
    steps = [step.strip().lower() for step in encoding.split(",") if step.strip()]
    if steps and steps[-1] == "sha256":
        return as_it_is._replace(notes=(f"{side}: only the SHA-256 of {size} bytes kept",))
    if steps[-1:] != ["base64"] or len(steps) > _MOST_STEPS:
        return as_it_is._replace(notes=(f"{side}: {encoding} is not undone",))
    if len(text) > _MOST_UNDONE:
        return as_it_is._replace(notes=(f"{side}: {kind} as {encoding}",))
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return as_it_is._replace(notes=(f"{side}: not valid base64",))
    notes: tuple[str, ...] = ()
    whole = size is None or size <= len(content)
    if not whole:
        notes = (f"{side}: {len(content)} of {size} bytes kept",)
    for step in reversed(steps[:-1]):
        inflated = _inflated(step, content, whole=whole)
        if inflated is None:
            return as_it_is._replace(notes=(*notes, f"{side}: {encoding} cannot be undone"))
        content = inflated
    try:
        text = _decoded(content, content_type, whole=whole)
    except (ValueError, LookupError):
        return as_it_is._replace(notes=(*notes, f"{side}: {kind} as {encoding}"))
    return Kept(text, content_type, whole, notes)


def _as_utf8(body: Kept, side: str) -> Kept:
    """A text in another charset, which its content type names, in UTF-8."""
    if body.content_type is None or isinstance(body.text, memoryview):
        return body
    try:
        return body._replace(text=_decoded(body.text, body.content_type, whole=True))
    except (ValueError, LookupError):
        encoded = base64.b64encode(body.text)
        note = f"{side}: {body.content_type or 'bytes'} as base64"
        return body._replace(text=encoded, whole=False, notes=(*body.notes, note))


def _inflated(coding: str, content: bytes, *, whole: bool) -> bytes | None:
    """Content without a coding; None where it cannot be undone or is too large.

    Of content that is not whole, as far as it goes.
    """
    for window in _WINDOWS.get(coding, ()):
        parts: list[bytes] = []
        room, rest = MOST_INFLATED, content
        try:
            while rest and len(parts) < _MOST_MEMBERS:
                inflater = zlib.decompressobj(window)
                parts.append(inflater.decompress(rest, room + 1))
                room -= len(parts[-1])
                if room < 0:
                    return None
                if not inflater.eof:
                    if whole:
                        break
                    return b"".join(parts)
                rest = inflater.unused_data if window == _GZIP else b""
            if not rest:
                return b"".join(parts)
        except zlib.error:  # `deflate` is sent in two forms; None where it is neither
            continue
    return None


def _decoded(content: bytes, content_type: str | None, *, whole: bool) -> bytes:
    """Text in UTF-8, whatever charset it was in; a cut may have left part of a character."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        if not whole and error.start >= len(content) - _CUT_CHARACTER:
            return content[: error.start]
        charset = _charset(content_type)
        if charset is None:
            raise
        return codecs.decode(content, charset).encode()
    return content


def _charset(content_type: str | None) -> str | None:
    for parameter in (content_type or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = codecs.lookup(value.strip().strip('"')).name
            # Codecs of bytes, such as zlib, are none of text; and of UTF-8 it was told above.
            return charset if charset in _CHARSETS else None
    return None
