"""Native bodies: what an engine was sent and what it answered, before a dialect reads them.

Numbers keep their value: one that a double cannot hold stays in a document as the piece of JSON
text that it was, and goes like that into the record.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
from typing import Any, NamedTuple

import orjson

from scorespan.errors import ConversionError

JSON = "application/json"
_VAGUE = {
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "binary/octet-stream",
}
_SHAPES = bytes.maketrans(b"123456789.E+", b"0000000000e-")
_SUSPECT = (b"0" * 16, b"0e000", b"0e-000")
_LONG = re.compile(rb"-?\d[\d.]{15,}(?:[eE][-+]?\d+)?|-?\d[\d.]{0,14}[eE][-+]?\d{3,}")
"""Whatever looks like a number that may not fit into a double; within strings too."""
_UNREAD = object()
_NOT_FINITE = re.compile(rb"\b(?:NaN|Infinity)\b")


@functools.lru_cache(maxsize=64)
def media_type_of(content_type: str | None) -> str:
    """A content type in small letters, without parameters; JSON where there is none."""
    return JSON if content_type is None else content_type.partition(";")[0].strip().lower()


@functools.lru_cache(maxsize=64)
def says_json(content_type: str | None) -> bool:
    """Whether a content type says JSON, one document; so does none at all."""
    media_type = media_type_of(content_type)
    return media_type in {JSON, "text/json"} or media_type.endswith("+json")


def is_vague(content_type: str | None) -> bool:
    """Whether a content type is what tools and frameworks say when nobody chose one."""
    return media_type_of(content_type) in _VAGUE


class NativeBody:
    """One body, decoded from what it was transported in; one thread at a time.

    Attributes:
        text: the bytes of the body.
        content_type: as the span says it; None where it says nothing, which means JSON; empty
            where the engine said nothing.
        side: `request` or `response`, for messages.
        whole: false where part of the body is missing or the text only stands for it (base64, a
            digest): then there is nothing to parse.
        json_text: of the document, once that was read: JSON text within a JSON string, or `text`.
        notes: what parsing had to change.
    """

    __slots__ = ("_document", "content_type", "json_text", "notes", "side", "text", "whole")

    def __init__(
        self,
        text: bytes,
        content_type: str | None = None,
        side: str = "request",
        *,
        whole: bool = True,
    ) -> None:
        self.text = text
        self.content_type = content_type
        self.side = side
        self.whole = whole
        self.json_text = text
        self.notes: tuple[str, ...] = ()
        self._document: Any = _UNREAD

    @property
    def media_type(self) -> str:
        """The content type in small letters, without parameters."""
        return media_type_of(self.content_type)

    @property
    def says_json(self) -> bool:
        """Whether the content type says JSON, or the span says nothing."""
        return says_json(self.content_type)

    @property
    def is_json(self) -> bool:
        """Whether this may be one JSON document: by its type, or by its looks where that is vague.

        Command line tools send JSON as a form, and many services do not care.
        """
        return self.says_json or (
            is_vague(self.content_type) and self.text.lstrip()[:1] in {b"{", b"[", b'"'}
        )

    @property
    def document(self) -> Any:
        """The parsed JSON, whatever the content type; parsed once.

        JSON text within a JSON string is parsed as well. NaN and infinities, which JSON has not
        but Python writes, become null with a note. What does not fit into a double is an
        `orjson.Fragment`.

        Raises:
            ConversionError: `invalid_json`; it is none.
        """
        if self._document is _UNREAD:
            try:
                self._read()
            except ConversionError as error:
                self._document = error
        if isinstance(self._document, ConversionError):
            raise self._document
        return self._document

    @property
    def value(self) -> Any:
        """The document; the text, where that is no JSON and its content type does not say so.

        Raises:
            ConversionError: `invalid_json`; it should be JSON and is none.
        """
        try:
            return self.document
        except ConversionError:
            if self.says_json or not self.whole:
                raise
            return self.text.decode("utf-8", "backslashreplace")

    def _read(self) -> None:
        """Parse the text, and the text within it where it is a string of JSON text."""
        if not self.whole:
            raise ConversionError("invalid_json", f"{self.side}: not the whole body")
        document, notes = _parsed(self.text, self.side)
        if isinstance(document, str) and document.lstrip()[:1] in {"{", "["}:
            inner = document.encode()
            with contextlib.suppress(ConversionError):
                document, notes = _parsed(inner, self.side)
                self.json_text = inner
        self._document, self.notes = document, notes


class Native(NamedTuple):
    """Both bodies of one scoring as they were, and what settings say of their columns.

    `response` is None where the scoring failed. A dialect uses the names of the request's columns
    where the body has none, those of the response's columns in their order.
    """

    request: NativeBody
    response: NativeBody | None = None
    feature_names: tuple[str, ...] | None = None
    prediction_fields: tuple[str, ...] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What parsing the bodies had to change."""
        return self.request.notes + (self.response.notes if self.response else ())


def json_fault(error: orjson.JSONDecodeError) -> str:
    """What is wrong with a text that is not JSON."""
    # Of a text that is not UTF-8, orjson shows nothing.
    early = error.doc and error.pos >= len(error.doc)
    hint = "; it ends too early, as a text does that a length limit has cut" if early else ""
    return f"not valid JSON: {error}{hint}"


def _parsed(text: bytes, side: str) -> tuple[Any, tuple[str, ...]]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if not _NOT_FINITE.search(text):
            raise ConversionError("invalid_json", f"{side}: {json_fault(error)}") from None
        return _slowly(text, side, json_fault(error))
    # In most bodies no number is that long, and this says so ten times faster than a pattern.
    shapes = text.translate(_SHAPES)
    if not any(suspect in shapes for suspect in _SUSPECT) or all(
        _fits(found[0]) for found in _LONG.finditer(text)
    ):
        return document, ()
    return _slowly(text, side, "a number cannot be read")


def _fits(number: bytes) -> bool:
    """Whether a double says the same, to the last digit."""
    try:
        return repr(float(number)).encode() == number
    except ValueError:
        return False


def _slowly(text: bytes, side: str, fault: str) -> tuple[Any, tuple[str, ...]]:
    """A document with numbers that orjson would change or refuse."""
    odd: list[str] = []
    try:
        document = json.loads(
            text.decode(), parse_int=_integer, parse_float=_float, parse_constant=odd.append
        )
        orjson.dumps(document)  # lone surrogates have no UTF-8
    except (ValueError, TypeError, RecursionError):
        raise ConversionError("invalid_json", f"{side}: {fault}") from None
    kinds = dict.fromkeys(odd)
    return document, tuple(f"{side}: {odd.count(kind)} {kind} became null" for kind in kinds)


def _integer(digits: str) -> Any:
    return int(digits) if len(digits) < 19 else _float(digits)


def _float(digits: str) -> Any:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("beyond the range of a double, which no reader takes")
    return number if repr(number) == digits else orjson.Fragment(digits)
