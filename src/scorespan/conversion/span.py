"""The scoring span as scorespan holds it, and its encoding in the spool.

Encoding of one entry, all integers little-endian::

    version    u8    1
    meta       u32   length in bytes
    request    u32   length in bytes; 0xFFFFFFFF: the span has none
    response   u32   likewise
    ...              meta, request, response

meta is a JSON list of the other fields in the order of `ScoringSpan`. Fields are only ever added at
its end: an older reader leaves them out, a newer one has defaults for those that are not there.

Bodies are spliced in as they are, never parsed: a cut or broken body is still an entry. Bodies of
more than `OPAQUE_BYTES` together stay slices of the entry, uncopied, and are never parsed at all.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any, NamedTuple

import orjson

from scorespan.errors import SpoolDamagedError

_VERSION = 1
_HEAD = struct.Struct("<BIII")
_ABSENT = 0xFFFFFFFF
MAX_BODY = _ABSENT - 1
"""Longest body in bytes that an entry can hold."""
OPAQUE_BYTES = 8 * 1024 * 1024
"""Request and response of more bytes than this together are opaque: sent on without a parse."""


class ScoringSpan(NamedTuple):
    """One scoring span, whichever door it came through.

    Bodies are UTF-8 text, or whatever bytes were there; views where they are slices of a large
    entry. `start_time` and `end_time` are nanoseconds since the epoch; `problems` say which
    attributes could not be read and why.
    """

    request: bytes | memoryview | None = None
    response: bytes | memoryview | None = None
    name: str = ""
    trace_id: str = ""
    span_id: str = ""
    start_time: int = 0
    end_time: int = 0
    failed: bool = False
    error_type: str | None = None
    error_message: str | None = None
    request_content_type: str | None = None
    response_content_type: str | None = None
    dialect: str | None = None
    scoring_id: str | None = None
    binding_id: str | None = None
    subscription_id: str | None = None
    deployment_id: str | None = None
    feature_names: tuple[str, ...] | None = None
    response_time: int | None = None
    timestamp: str | None = None
    model_name: str | None = None
    model_version: str | None = None
    client_id: str | None = None
    producer_id: str | None = None
    sequence: int | None = None
    service_name: str | None = None
    service_instance_id: str | None = None
    notes: tuple[str, ...] | None = None
    problems: tuple[str, ...] | None = None
    details: dict[str, Any] | None = None
    """What few spans say, by the names of `attribute_values.DETAILS`: texts, whole numbers, lists
    of texts. They share a place, so that the entries of all others are no longer for it."""

    @property
    def key(self) -> str:
        """The scoring id, given or derived; the same through every door and every retry."""
        return self.scoring_id or self.trace_id + self.span_id


_BODIES = 2
_PRODUCER, _SEQUENCE, _BINDING, _SUBSCRIPTION, _DEPLOYMENT = (
    ScoringSpan._fields.index(name) - _BODIES
    for name in ("producer_id", "sequence", "binding_id", "subscription_id", "deployment_id")
)
_DEFAULTS = list(ScoringSpan()[_BODIES:])
_LISTS = tuple(
    ScoringSpan._fields.index(name) - _BODIES for name in ("feature_names", "notes", "problems")
)
_NONE = type(None)
_KINDS: dict[str, Any] = {
    "name": str,
    "trace_id": str,
    "span_id": str,
    "start_time": int,
    "end_time": int,
    "failed": bool,
    "response_time": (int, _NONE),
    "sequence": (int, _NONE),
    "feature_names": (tuple, _NONE),
    "notes": (tuple, _NONE),
    "problems": (tuple, _NONE),
    "details": (dict, _NONE),
}
_META_KINDS: list[Any] = [_KINDS.get(name, (str, _NONE)) for name in ScoringSpan._fields[_BODIES:]]

_COPIED = 64 * 1024
"""Bytes of a body that is faster copied than handled as a piece of its own."""
_FRAME_HEAD = 22
"""Bytes of a frame in the spool before its entry."""
_SALVAGED = 64 * 1024
"""Bytes of a damaged entry that are looked at for its meta."""
_JSON = json.JSONDecoder()
_NAME = re.compile(r'"([0-9a-f]{32})",(\d{1,18}),')
"""Producer and sequence in a meta, where nothing before them can be told from its place."""
_INT64 = 2**63

# Neighbours mostly have the same fields set: types that were right once need no second look.
_plain_kinds: tuple[type, ...] = ()


class Ids(NamedTuple):
    """Where the records of spans belong that do not say it themselves."""

    binding_id: str | None = None
    subscription_id: str | None = None
    deployment_id: str | None = None

    def completed(self, span: ScoringSpan, number: tuple[str, int] | None = None) -> ScoringSpan:
        """The span with these ids where it has none, and with a number in place of its own."""
        request, response, *fields = span
        self.fill(fields, number)
        return ScoringSpan._make((request, response, *fields))

    def fill(self, fields: list[Any], number: tuple[str, int] | None) -> None:
        """The same for what a span has beside its bodies."""
        # By place: named ones take several times as long.
        if fields[_BINDING] is None:
            fields[_BINDING] = self.binding_id
        if fields[_SUBSCRIPTION] is None:
            fields[_SUBSCRIPTION] = self.subscription_id
        if fields[_DEPLOYMENT] is None:
            fields[_DEPLOYMENT] = self.deployment_id
        if number is not None:
            fields[_PRODUCER], fields[_SEQUENCE] = number


_NO_IDS = Ids()


def encode(
    span: ScoringSpan, number: tuple[str, int] | None = None, ids: Ids | None = None
) -> list[bytes]:
    """The entry of a span, in pieces that are written one after another; large bodies uncopied.

    Args:
        span: the span.
        number: producer and number to write in place of the span's.
        ids: written where the span has none.
    """
    request, response, *fields = span
    (ids or _NO_IDS).fill(fields, number)
    try:
        meta = orjson.dumps(fields)
    except TypeError:  # lone surrogates, which have no UTF-8
        meta = orjson.dumps(escape_surrogates(fields))
    head = _HEAD.pack(
        _VERSION,
        len(meta),
        _ABSENT if request is None else len(request),
        _ABSENT if response is None else len(response),
    )
    # A view is as good for a gathering write; doors bring bytes.
    pieces: list[Any] = [head, meta, request or b"", response or b""]
    large = len(pieces[2]) > _COPIED or len(pieces[3]) > _COPIED
    return pieces if large else [b"".join(pieces)]


def escape_surrogates(value: Any) -> Any:
    """Texts, and what a tuple, list or dict holds of them, in a form that has UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, (tuple, list)):
        return [escape_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {name: escape_surrogates(item) for name, item in value.items()}
    return value


def decode(entry: bytes) -> ScoringSpan:
    """The span of an entry; bodies of more than `OPAQUE_BYTES` are views that keep it alive.

    Raises:
        SpoolDamagedError: these bytes are no entry, or one of a newer version.
    """
    global _plain_kinds  # noqa: PLW0603 - a one-place cache; a lost race only checks once more
    try:
        version, meta_length, request_length, response_length = _HEAD.unpack_from(entry)
        if version != _VERSION:
            raise SpoolDamagedError(f"the entry has version {version}; this library reads 1")
        meta_end = _HEAD.size + meta_length
        request_end = meta_end + (0 if request_length == _ABSENT else request_length)
        response_end = request_end + (0 if response_length == _ABSENT else response_length)
        if response_end != len(entry):
            raise SpoolDamagedError(f"the entry has {len(entry)} bytes instead of {response_end}")
        meta = orjson.loads(entry[_HEAD.size : meta_end])
        if type(meta) is not list:
            raise SpoolDamagedError("the entry's meta is no list")
        if len(meta) != len(_DEFAULTS):
            # Longer: written by a newer version. Shorter: by an older one.
            meta = meta[: len(_DEFAULTS)] + _DEFAULTS[len(meta) :]
        kinds = tuple(map(type, meta))
        if kinds != _plain_kinds:
            _check(meta)
            if list not in kinds and dict not in kinds:
                _plain_kinds = kinds
    except (struct.error, ValueError, TypeError) as error:
        raise SpoolDamagedError(f"the entry cannot be read: {error}") from error
    held: bytes | memoryview = entry
    if response_end - meta_end > OPAQUE_BYTES:
        held = memoryview(entry)
    request = None if request_length == _ABSENT else held[meta_end:request_end]
    response = None if response_length == _ABSENT else held[request_end:response_end]
    return ScoringSpan._make((request, response, *meta))


def salvage(damaged: bytes) -> ScoringSpan:
    """What can still be read of the span in a damaged frame, without its bodies. Never raises.

    A field is given where it has its type; one that damage has hit may have another value.

    Args:
        damaged: bytes from the frame's head on.
    """
    start = _FRAME_HEAD + _HEAD.size
    text = bytes(damaged[start : start + _SALVAGED]).decode("utf-8", "replace")
    fields = list(_DEFAULTS)
    position = 1
    for place, kind in enumerate(_META_KINDS if text[:1] == "[" else ()):
        try:
            value, position = _JSON.raw_decode(text, position)
            if place in _LISTS and value is not None:
                value = _texts(value)
            elif type(value) is dict:
                _check_details(value)
        except (ValueError, TypeError, RecursionError):
            break
        # In JSON true is no number, in Python it is one.
        fits = isinstance(value, kind) and (type(value) is not bool or kind is bool)
        if fits and not (type(value) is int and not -_INT64 <= value < _INT64):
            fields[place] = escape_surrogates(value) if type(value) is str else value
        if text[position : position + 1] != ",":
            break
        position += 1
    if fields[_PRODUCER] is None and (found := _NAME.search(text)):
        fields[_PRODUCER], fields[_SEQUENCE] = found[1], int(found[2])
    return ScoringSpan._make((None, None, *fields))


def _check(meta: list[Any]) -> None:
    """Check the types of all fields, and make tuples of the lists."""
    for place in _LISTS:
        if meta[place] is not None:
            meta[place] = _texts(meta[place])
    if not all(map(isinstance, meta, _META_KINDS)):
        raise SpoolDamagedError("a field of the entry has the wrong type")
    _check_details(meta[-1] or {})


def _check_details(details: dict[str, Any]) -> None:
    for value in details.values():
        if type(value) is list:
            _texts(value)
        elif type(value) is not str and not (type(value) is int and -_INT64 <= value < _INT64):
            raise TypeError("a detail has the wrong type")


def _texts(value: list[Any]) -> tuple[str, ...]:
    if type(value) is not list or not all(type(item) is str for item in value):
        raise TypeError("a list of strings is needed")
    return tuple(value)
