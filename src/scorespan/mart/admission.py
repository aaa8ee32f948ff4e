"""Admission: which records of a payload its subscriptions take, and how tables grow. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scorespan.errors import MartError
from scorespan.mart.faults import Fault, fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scorespan.mart.payload import Payload, Record
    from scorespan.mart.store import PayloadTable
    from scorespan.mart.table import Columns


@dataclass(slots=True)
class Admitted:
    """A payload that may be stored whole.

    Attributes:
        records: each with the id of its table, in list order.
        columns: by table id, the columns of the tables that grow.
    """

    records: list[tuple[int, Record]] = field(default_factory=list)
    columns: dict[int, Columns] = field(default_factory=dict)


def admit(payload: Payload, tables: Mapping[str, PayloadTable]) -> Admitted:
    """Check every record against its subscription.

    Args:
        payload: what was parsed, its faults included.
        tables: payload table by subscription id, for those of the payload that exist.

    Raises:
        MartError: at least one record is refused. 400 if any fault is about a record's own form,
            422 if all are about where it should go. Every fault of the list is named.
    """
    admitted = Admitted()
    misplaced: list[Fault] = []
    unfit: list[Fault] = []
    seen: set[tuple[int, int, int]] = set()
    for record in payload.records:
        table = tables.get(record.subscription_id)
        wrong = _misplaced(record, table)
        if table is None or wrong is not None:
            misplaced.append(wrong or {})
            continue
        shape = (table.table_id, id(record.request_layout), id(record.response_layout))
        if shape not in seen:
            unknown = _grow(table, record, admitted)
            if unknown is not None:
                unfit.append(unknown)
                continue
            seen.add(shape)
        admitted.records.append((table.table_id, record))
    wrong_form = [*payload.faults, *unfit]
    if wrong_form or misplaced:
        faults = sorted([*wrong_form, *misplaced], key=lambda one: int(str(one["index"])))
        raise MartError(400 if wrong_form else 422, faults)
    return admitted


def _misplaced(record: Record, table: PayloadTable | None) -> Fault | None:
    if table is None:
        return fault(
            "unknown_subscription",
            "the data mart has no such subscription",
            field="subscription_id",
            index=record.index,
        )
    if record.binding_id is not None and record.binding_id != table.binding_id:
        return fault(
            "unknown_binding",
            "the subscription does not belong to that binding",
            field="binding_id",
            index=record.index,
        )
    if not table.enabled:
        return fault(
            "payload_logging_disabled",
            "payload logging is switched off for the subscription",
            field="subscription_id",
            index=record.index,
        )
    return None


def _grow(table: PayloadTable, record: Record, admitted: Admitted) -> Fault | None:
    columns = admitted.columns.get(table.table_id, table.columns)
    if not table.dynamic_schema and columns.known:
        unknown = columns.unknown(record.request_layout, record.response_layout)
        if unknown:
            side = "request" if unknown[0] in record.request_layout.fields else "response"
            side = "request.meta" if unknown[0] in record.request_layout.meta_fields else side
            return fault(
                "unknown_columns",
                f"{len(unknown)} columns are new and the table's schema is fixed",
                field=f"{side}.fields",
                index=record.index,
            )
    grown = columns.absorbed(record.request_layout, record.response_layout)
    if grown is not columns:
        admitted.columns[table.table_id] = grown
    return None
