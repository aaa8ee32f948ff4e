"""A payload: the records of one POST, from bytes to checked values. Pure; reads no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from scorespan.errors import MartError
from scorespan.mart.body import (
    DEEPEST,
    Body,
    BodyError,
    check_pairing,
    nested_deeper,
    read_body,
    too_deep,
)
from scorespan.mart.faults import Fault, fault, refusal
from scorespan.mart.members import LARGEST_INTEGER, Members, RecordError, members_of
from scorespan.mart.shapes import Shapes
from scorespan.mart.timestamp import sortable
from scorespan.record import STATUS_ERROR, STATUS_OK, content_hash

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from datetime import datetime

    from scorespan.mart.layout import Layout

_DEEPEST_MEMBER = DEEPEST - 2
"""A member of a record stands two levels down in the document."""

_NULL = b"null"


class Record(msgspec.Struct, gc=False):
    """A payload record that is fit to be stored, in the terms of the store.

    `request`, `response` and `extras` are JSON text as it came; `timestamp_utc` sorts.
    """

    index: int
    subscription_id: str
    binding_id: str | None
    deployment_id: str
    scoring_id: str
    scoring_timestamp: str
    timestamp_utc: str
    response_time: int | None
    status: str
    content_hash: str
    row_count: int
    request: str
    response: str
    extras: str | None
    producer: str | None
    sequence: int | None
    request_layout: Layout
    response_layout: Layout | None


class Payload(NamedTuple):
    """The good records of a list and the faults of the others, both in list order.

    `fresh` holds the layouts that had to be worked out, for `Shapes.remember` once the records
    are stored.
    """

    records: list[Record]
    faults: list[Fault]
    fresh: dict[Hashable, Layout]


class _Extras(msgspec.Struct, gc=False):
    status: str = STATUS_OK
    producer: str | None = None
    sequence: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_INTEGER)] | None = None


_STATUSES = frozenset((STATUS_OK, STATUS_ERROR))
_NO_EXTRAS = _Extras()
_straight: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[Members])
_elements: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[msgspec.Raw])
_document: msgspec.json.Decoder[Any] = msgspec.json.Decoder(msgspec.Raw)
_extras = msgspec.json.Decoder(_Extras)


def parse(body: bytes, *, now: datetime, shapes: Shapes | None = None, owner: str = "") -> Payload:
    """Read the body of a POST of payload records.

    Args:
        body: the request's bytes, at most one JSON document.
        now: scoring timestamp of records that have none.
        shapes: shapes to try first; the outcome is the same without.
        owner: whose shapes these are (the data mart).

    Raises:
        MartError: 400, the body as a whole is no list of records.
    """
    bodies = _Bodies(shapes or Shapes(), owner)
    records: list[Record] = []
    faults: list[Fault] = []
    for index, element in enumerate(_listed(body)):
        try:
            if isinstance(element, Members):
                records.append(_record(index, element, {}, bodies))
            else:
                members, unknown = members_of(element, now)
                records.append(_record(index, members, unknown, bodies))
        except (RecordError, BodyError) as doubt:
            faults.append({**doubt.fault, "index": index})
    return Payload(records, faults, bodies.fresh)


def _listed(body: bytes) -> Sequence[Members | msgspec.Raw]:
    try:
        body.decode()
        # What is wrong in form may hide what is no JSON at all: the next parser looks closer.
        for parser in (_straight, _elements, _document):
            try:
                found = parser.decode(body)
            except msgspec.ValidationError:
                continue
            break
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise refusal(400, "invalid_json", "the body is not valid JSON in UTF-8") from None
    except RecursionError:
        raise MartError(400, [too_deep()]) from None
    if not isinstance(found, list):
        raise refusal(400, "not_a_list", "the body must be a JSON list of payload records")
    if not found:
        raise refusal(400, "empty_list", "the list holds no payload record")
    return found


class _Bodies:
    """Reads the bodies of one list; equal layouts become one object."""

    def __init__(self, shapes: Shapes, owner: str) -> None:
        self._shapes = shapes
        self._owner = owner
        self._layouts: dict[object, Layout] = {}
        self.fresh: dict[Hashable, Layout] = {}

    def read(self, text: bytes, subscription: str, side: str) -> Body:
        owner = (self._owner, subscription, side)
        found = self._shapes.match(owner, text)
        if found is None:
            found = read_body(text, side)
            layout = self._layouts.setdefault(found.layout.key, found.layout)
            self.fresh[owner] = layout
            found = Body(layout, found.rows)
        return found


def _record(
    index: int, members: Members, unknown: dict[str, msgspec.Raw], bodies: _Bodies
) -> Record:
    request, response = bytes(members.request), bytes(members.response)
    extras_text = bytes(members.scorespan)
    texts = (request, response, extras_text)
    # Each level takes two characters: most records are too short to be looked at.
    if sum(map(len, texts)) > 2 * _DEEPEST_MEMBER and any(
        nested_deeper(text, _DEEPEST_MEMBER) for text in texts
    ):
        raise BodyError(too_deep())
    try:
        extras = _NO_EXTRAS if extras_text == _NULL else _extras.decode(extras_text)
    except msgspec.ValidationError as error:
        raise _extras_doubt(error) from None
    if extras.status not in _STATUSES:
        message = f"status must be {STATUS_OK} or {STATUS_ERROR}"
        raise _doubt("unknown_status", message, "scorespan.status")
    timestamp_utc = sortable(members.scoring_timestamp)
    if timestamp_utc is None:
        message = "scoring_timestamp must be an RFC 3339 timestamp"
        raise _doubt("invalid_timestamp", message, "scoring_timestamp")
    asked = bodies.read(request, members.subscription_id, "request")
    answered: Layout | None = None
    if extras.status == STATUS_OK:
        if response == _NULL:
            message = "a record without a response needs scorespan.status error"
            raise _doubt("missing_response", message, "response")
        answer = bodies.read(response, members.subscription_id, "response")
        if answer.rows != asked.rows:
            check_pairing(asked.rows, answer.rows, "response.values")
        answered = answer.layout
    return Record(
        index,
        members.subscription_id,
        members.binding_id,
        members.deployment_id,
        members.scoring_id,
        members.scoring_timestamp,
        timestamp_utc,
        members.response_time,
        extras.status,
        content_hash(request, response, extras.status),
        asked.rows,
        request.decode(),
        response.decode(),
        _kept(extras_text, unknown),
        extras.producer,
        extras.sequence,
        asked.layout,
        answered,
    )


def _doubt(code: str, message: str, field: str) -> RecordError:
    return RecordError(fault(code, message, field=field))


def _extras_doubt(error: msgspec.ValidationError) -> RecordError:
    """The parser says which member is of the wrong type as a path at the end of its message."""
    _, found, path = str(error).rpartition("`$.")
    field = f"scorespan.{path.rstrip('`')}" if found else "scorespan"
    return _doubt("wrong_type", f"{field} is of the wrong type or out of range", field)


def _kept(extras: bytes, unknown: dict[str, msgspec.Raw]) -> str | None:
    """The members that the mart only keeps, as the text of one JSON object."""
    if unknown:
        members = unknown if extras == _NULL else {"scorespan": msgspec.Raw(extras), **unknown}
        return msgspec.json.encode(members).decode()
    return None if extras == _NULL else f'{{"scorespan":{extras.decode()}}}'
