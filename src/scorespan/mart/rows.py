"""Rows: what a stored record looks like in its payload table. Cells keep their text as sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from scorespan.mart.body import WRAPPERS

if TYPE_CHECKING:
    from scorespan.mart.store import StoredRecord
    from scorespan.mart.table import TableSchema

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_objects = msgspec.json.Decoder(list[msgspec.Raw])
_names = msgspec.json.Decoder(list[str])


def rows_of(record: StoredRecord, schema: TableSchema, first: int, count: int) -> list[list[Any]]:
    """Rows `first` to `first + count - 1` (from 0) of a record, in the order of the schema.

    Row i has the scoring id `{scoring_id}-{i+1}`. Columns that the record lacks are null.
    """
    # Where a name stands twice, the later one here wins: features before outputs before meta.
    frames = _frames(record)
    places = {
        name: (rows, at)
        for fields, rows in reversed(frames)
        for at, name in reversed(list(enumerate(fields)))
    }
    exploded = []
    for row in range(first, first + count):
        cells: dict[str, Any] = {
            name: _shown(rows[row][at]) for name, (rows, at) in places.items() if row < len(rows)
        }
        cells["prediction_probability"] = _probability(
            [cells[name] for name in schema.probabilities if name in cells]
        )
        cells["scoring_id"] = f"{record.scoring_id}-{row + 1}"
        cells["scoring_timestamp"] = record.timestamp_utc
        cells["deployment_id"] = record.deployment_id
        for absent in _ALWAYS_NULL:
            cells[absent] = None
        exploded.append([cells.get(name) for name in schema.names])
    return exploded


_ALWAYS_NULL = (
    "asset_revision",
    "debiased_prediction",
    "debiased_probability",
    "debiased_decoded_target",
)


def _frames(record: StoredRecord) -> list[tuple[list[str], list[list[msgspec.Raw]]]]:
    request = _unwrapped(record.request, "request")
    frames = [_frame(request)]
    if not record.failed:
        frames.append(_frame(_unwrapped(record.response, "response")))
    if "meta" in request and bytes(request["meta"]) != b"null":
        frames.append(_frame(_object.decode(request["meta"])))
    return frames


def _unwrapped(text: str, side: str) -> dict[str, msgspec.Raw]:
    document = _object.decode(text)
    wrapper = WRAPPERS[side]
    if wrapper in document and not {"fields", "values"} & document.keys():
        return _object.decode(_objects.decode(document[wrapper])[0])
    return document


def _frame(document: dict[str, msgspec.Raw]) -> tuple[list[str], list[list[msgspec.Raw]]]:
    rows = _objects.decode(document["values"])
    if all(bytes(row).startswith(b"[") for row in rows):
        return _names.decode(document["fields"]), [_objects.decode(row) for row in rows]
    return _names.decode(document["fields"]), [rows]


def _shown(cell: msgspec.Raw) -> Any:
    """A cell as the table shows it: its own text, except that an object becomes a string."""
    text = bytes(cell)
    return text.decode() if text.startswith(b"{") else cell


def _probability(cells: list[Any]) -> float | None:
    """The probability of the prediction: the largest of several, or for one p max(p, 1 - p)."""
    found: list[float] = []
    single = len(cells) == 1
    for cell in cells:
        value = msgspec.json.decode(cell) if isinstance(cell, msgspec.Raw) else None
        if isinstance(value, list):
            single = False
            found += [number for number in map(_number, value) if number is not None]
        else:
            number = _number(value)
            found += [] if number is None else [number]
    if not found:
        return None
    if single:
        return max(found[0], 1 - found[0]) if 0 <= found[0] <= 1 else None
    return max(found)


def _number(value: object) -> float | None:
    if isinstance(value, str):
        # Some engines answer every number as text.
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN
