"""Payload routes: records go in; rows, whole records and conflicts come out."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from scorespan.errors import MartError
from scorespan.mart.access import (
    Mart,
    TheMart,
    require_data_mart,
    require_subscription,
    require_token,
)
from scorespan.mart.admission import admit
from scorespan.mart.answers import MartRoute, answer
from scorespan.mart.data_mart_routes import DATA_MART
from scorespan.mart.faults import refusal
from scorespan.mart.incoming import flag, number, read_body
from scorespan.mart.payload import parse
from scorespan.mart.rows import rows_of
from scorespan.mart.store import StoredName, StoredRecord
from scorespan.mart.subscription_routes import properties_text
from scorespan.mart.table import table_schema
from scorespan.mart.timestamp import utc_text
from scorespan.record import content_hash

LARGEST_PAGE = 1000
"""Rows or records of one answer."""

LARGEST_PAGE_OF_NAMES = 10_000
"""Records of one answer that has their names only."""

_LARGEST_PAGE_TEXT = 32 * 1024 * 1024
"""Characters of bodies after which a page of whole records ends early."""

_LAST_SEQUENCE = 2**63 - 1

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])

router = APIRouter(route_class=MartRoute, dependencies=[Depends(require_token)])


@router.post(f"{DATA_MART}/scoring_payloads")
def add_payloads(
    data_mart_id: str, body: Annotated[bytes, Depends(read_body)], mart: TheMart
) -> Response:
    """Store a list of records, all or none; 204 means committed and synced."""
    store_payload(mart, data_mart_id, body)
    return Response(status_code=204)


def store_payload(mart: Mart, data_mart_id: str, body: bytes) -> None:
    """Store the records of a request's body, all or none; returns once they are synced.

    Raises:
        MartError: nothing was stored; every record that is at fault is named.
    """
    now = mart.clock()
    try:
        payload = parse(body, now=now, shapes=mart.shapes, owner=data_mart_id)
    except MartError:
        with mart.store.reading() as reader:
            require_data_mart(reader, data_mart_id)
        raise
    named = {record.subscription_id for record in payload.records}
    with mart.store.writing() as writer:
        tables = writer.tables(data_mart_id, named)
        # Where all tables are there, so is the data mart: no need to ask.
        if payload.faults or len(tables) < len(named):
            require_data_mart(writer, data_mart_id)
        admitted = admit(payload, tables)
        for table_id, columns in admitted.columns.items():
            writer.put_columns(table_id, columns)
        writer.add_records(admitted.records, utc_text(now))
    for owner, layout in payload.fresh.items():
        mart.shapes.remember(owner, layout)


@router.get(f"{DATA_MART}/scoring_payloads")
def get_payloads(data_mart_id: str, request: Request, mart: TheMart) -> Response:
    """Records in the order they were stored; `after` of one page asks for the next.

    Whole ones, or with `fields=ids` their names only: ids, timestamp, status, producer, sequence.
    """
    names_only = _names_only(request)
    most = LARGEST_PAGE_OF_NAMES if names_only else LARGEST_PAGE
    limit = min(number(request, "limit", most, least=1), most)
    after = _position(request.query_params.get("after"))
    subscription_id = request.query_params.get("subscription_id")
    with mart.store.reading() as reader:
        require_data_mart(reader, data_mart_id)
        if subscription_id is not None and not reader.has_table(data_mart_id, subscription_id):
            require_subscription(reader, data_mart_id, subscription_id)
        if names_only:
            return _page_of_names(
                reader.names(data_mart_id, subscription_id, after, limit + 1), limit
            )
        found = reader.records(data_mart_id, subscription_id, after, limit + 1)
    page: list[StoredRecord] = []
    text = 0
    for record in found[:limit]:
        if page and text > _LARGEST_PAGE_TEXT:
            break
        page.append(record)
        text += len(record.request) + len(record.response)
    more = len(page) < len(found)
    return answer(
        {
            "records": [_wire(record) for record in page],
            "after": _cursor(page[-1].sequence_in_store) if more else None,
        }
    )


@router.get(f"{DATA_MART}/scoring_transactions")
def get_transactions(data_mart_id: str, request: Request, mart: TheMart) -> Response:
    """Rows of the payload table, newest timestamp first."""
    subscription_id = request.query_params.get("subscription_id")
    if not subscription_id:
        message = "subscription_id is needed"
        raise refusal(400, "missing_parameter", message, field="subscription_id")
    limit = min(number(request, "limit", LARGEST_PAGE), LARGEST_PAGE)
    offset = number(request, "offset", 0)
    include_failed = flag(request, "include_failed")
    with mart.store.reading() as reader:
        subscription = require_subscription(reader, data_mart_id, subscription_id)
        table = reader.tables(data_mart_id, [subscription_id])[subscription_id]
        found = reader.rows(table.table_id, offset, limit, include_failed=include_failed)
        total = (
            reader.row_count(table.table_id, include_failed=include_failed)
            if flag(request, "include_total_count")
            else None
        )
    schema = table_schema(table.columns.text(), properties_text(subscription))
    values: list[list[Any]] = []
    for record, first, count in found:
        values += rows_of(_verified(record), schema, first, count)
    document: dict[str, Any] = {"fields": schema.names, "values": values}
    if total is not None:
        document["total_count"] = total
    return answer(document)


@router.get(f"{DATA_MART}/scoring_conflicts")
def get_conflicts(data_mart_id: str, request: Request, mart: TheMart) -> Response:
    """Records that came under the key of another one, newest first.

    With `fields=ids` without the record itself.
    """
    names_only = _names_only(request)
    limit = min(number(request, "limit", LARGEST_PAGE, least=1), LARGEST_PAGE)
    subscription_id = request.query_params.get("subscription_id")
    with mart.store.reading() as reader:
        require_data_mart(reader, data_mart_id)
        if subscription_id is not None and not reader.has_table(data_mart_id, subscription_id):
            require_subscription(reader, data_mart_id, subscription_id)
        found = reader.conflicts(data_mart_id, subscription_id, limit)
    conflicts = [
        {
            "subscription_id": conflict.record.subscription_id,
            "scoring_id": conflict.record.scoring_id,
            "stored_hash": conflict.stored_hash,
            "hash": conflict.record.content_hash,
            "received_at": conflict.record.received_at,
            **({} if names_only else {"record": _wire(conflict.record)}),
        }
        for conflict in found
    ]
    return answer({"conflicts": conflicts})


def _names_only(request: Request) -> bool:
    fields = request.query_params.get("fields")
    if fields not in {None, "ids"}:
        message = "fields must be ids, or absent for whole records"
        raise refusal(400, "invalid_parameter", message, field="fields")
    return fields is not None


def _page_of_names(found: list[StoredName], limit: int) -> Response:
    page = found[:limit]
    more = len(page) < len(found)
    return answer(
        {
            "records": [
                {
                    "subscription_id": name.subscription_id,
                    "deployment_id": name.deployment_id,
                    "scoring_id": name.scoring_id,
                    "scoring_timestamp": name.timestamp_utc,
                    "status": name.status,
                    "producer": name.producer,
                    "sequence": name.sequence,
                }
                for name in page
            ],
            "after": _cursor(page[-1].sequence_in_store) if more else None,
        }
    )


def _verified(record: StoredRecord) -> StoredRecord:
    """The record, if its bodies are what was stored.

    Raises:
        MartError: 500, they are not.
    """
    request, response = record.request.encode(), record.response.encode()
    if content_hash(request, response, record.status) != record.content_hash:
        message = f"the stored record {record.scoring_id} does not match its hash"
        raise refusal(500, "record_damaged", message, field="scoring_id")
    return record


def _wire(record: StoredRecord) -> dict[str, Any]:
    _verified(record)
    members: dict[str, Any] = {
        "binding_id": record.binding_id,
        "subscription_id": record.subscription_id,
        "deployment_id": record.deployment_id,
        "scoring_id": record.scoring_id,
        "scoring_timestamp": record.scoring_timestamp,
        "response_time": record.response_time,
        "request": msgspec.Raw(record.request.encode()),
        "response": msgspec.Raw(record.response.encode()),
    }
    for optional in ("binding_id", "response_time"):
        if members[optional] is None:
            del members[optional]
    if record.extras is not None:
        kept = _object.decode(record.extras)
        members = {**kept, **members}
    if record.conflicts:
        members["conflicts"] = record.conflicts
    return members


def _cursor(sequence: int) -> str:
    return base64.urlsafe_b64encode(str(sequence).encode()).decode().rstrip("=")


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LAST_SEQUENCE):
        message = "after must be a cursor from an earlier answer"
        raise refusal(400, "invalid_parameter", message, field="after")
    return int(text)
