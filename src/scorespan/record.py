"""The payload record: its wire form, its key and its hash.

Wire form (v1) of one record, an element of the JSON list that is POSTed to
``{url}/v1/data_marts/{id}/scoring_payloads``::

    {"binding_id": "...", "subscription_id": "...", "deployment_id": "...",
     "scoring_id": "...", "scoring_timestamp": "2026-01-31T12:00:00.123456Z", "response_time": 42,
     "request": {"fields": ["a"], "values": [[1]]}, "response": {"fields": ["p"], "values": [[0]]},
     "scorespan": {"v": 1, "status": "ok", "trace_id": "...", "producer": "...", "sequence": 7}}

The member ``scorespan`` goes to our own mart only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import orjson

GENERIC_DEPLOYMENT = "generic_deployment"
"""The deployment id of records that name none."""

MAX_SCORING_ID = 56
"""Longest scoring id in characters: the mart's key columns hold 64, a row suffix included."""

STATUS_OK = "ok"
STATUS_ERROR = "error"

Body: TypeAlias = bytes | memoryview | Mapping[str, object]
"""A request or response: JSON text (kept byte for byte) or a mapping that is encoded when sent.

A view is opaque: text that nobody has parsed, too large to be copied.
"""


def body_text(body: Body | None) -> bytes:
    """JSON text of a body: unchanged where it is text already; `null` for none."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, memoryview):
        return bytes(body)
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def content_hash(request: bytes, response: bytes, status: str) -> str:
    """SHA-256, in hex, over request, response (`null` where there is none) and status, as sent.

    Every part is preceded by its length, so no two different triples share an input. Extras take
    no part: a record sent again by a newer version of the library has the same hash.
    """
    digest = hashlib.sha256()
    for part in (request, response, status.encode()):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


class PayloadRecord(NamedTuple):
    """One scoring as the data mart keeps it.

    Attributes:
        scoring_id: key of the record together with data mart and subscription.
        scoring_timestamp: RFC 3339, UTC.
        response_time: milliseconds; None where unknown.
        request: `{"fields", "values"}`, with `meta` at will.
        response: the same, or None for a failed scoring.
        extras: the `scorespan` member towards our own mart: status, error, trace and span id,
            producer and sequence, model, client id, notes.
    """

    scoring_id: str
    subscription_id: str
    request: Body
    response: Body | None
    scoring_timestamp: str
    binding_id: str | None = None
    deployment_id: str = GENERIC_DEPLOYMENT
    response_time: int | None = None
    extras: Mapping[str, object] | None = None

    @property
    def status(self) -> str:
        """`ok`, or `error` for a failed scoring."""
        return str((self.extras or {}).get("status", STATUS_OK))

    @property
    def failed(self) -> bool:
        """Whether the scoring itself failed."""
        return self.status == STATUS_ERROR

    @property
    def opaque(self) -> bool:
        """Whether nobody has parsed the bodies; such a record is sent alone, in pieces."""
        return isinstance(self.request, memoryview)

    @property
    def content_hash(self) -> str:
        """The record's hash; see `content_hash`."""
        return content_hash(body_text(self.request), body_text(self.response), self.status)

    def wire(self, *, extras: bool) -> bytes:
        """JSON text of the record; see `wire_members`."""
        return orjson.dumps(self.wire_members(extras=extras))

    def wire_members(self, *, extras: bool) -> dict[str, object]:
        """The members of the wire form, for orjson; bodies that are text already are fragments.

        Args:
            extras: whether to add the `scorespan` member. Only our own mart knows it.
        """
        members: dict[str, object] = {
            "subscription_id": self.subscription_id,
            "deployment_id": self.deployment_id,
            "scoring_id": self.scoring_id,
            "scoring_timestamp": self.scoring_timestamp,
            "request": orjson.Fragment(body_text(self.request)),
            "response": orjson.Fragment(body_text(self.response)),
        }
        if self.binding_id is not None:
            members["binding_id"] = self.binding_id
        if self.response_time is not None:
            members["response_time"] = self.response_time
        if extras and self.extras is not None:
            members["scorespan"] = self.extras
        return members

    def wire_pieces(self, *, extras: bool) -> list[bytes | memoryview]:
        """The JSON list of this record alone, in pieces: opaque bodies are not copied."""
        members = self._replace(request={}, response=None).wire_members(extras=extras)
        del members["request"], members["response"]
        request, response = (
            body if isinstance(body, memoryview) else body_text(body)
            for body in (self.request, self.response)
        )
        head = b"[" + orjson.dumps(members)[:-1] + b',"request":'
        return [head, request, b',"response":', response, b"}]"]


def wire_list(records: Iterable[PayloadRecord], *, extras: bool) -> bytes:
    """The JSON list that is posted; see `PayloadRecord.wire_members`."""
    return orjson.dumps([record.wire_members(extras=extras) for record in records])
