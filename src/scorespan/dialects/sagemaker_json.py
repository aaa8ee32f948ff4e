"""The SageMaker JSON dialect: `{"instances": [{"features": [0, 1]}]}`, JSON lines, bare matrices.

============================================  ======================================================
request                                      rows
============================================  ======================================================
`{"instances": [{"features": [0, 1]}, ...]}`  one for each list
`{"features": [0, 1]}`                        one; in JSON lines one for each line
`{"data": {"features": {"values": [0]}}}`     the same; what is sparse (`keys`, `shape`) is one cell
JSON lines of anything else                   one for each line: objects, lists, scalars
`[[0, 1], [1, 0]]`                            one for each list
`[0, 1, 2]`                                   one; several of one cell where there are as many
                                              predictions, unless the feature names are as many, or
                                              the prediction fields as the predictions
============================================  ======================================================

The answer: see `sagemaker_answer`.
"""

from __future__ import annotations

from typing import Any

from scorespan.dialects import lines
from scorespan.dialects.answers import names_one_row
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.instances import left_out, table_of
from scorespan.dialects.native import Native
from scorespan.dialects.sagemaker_answer import answer_of, is_batch
from scorespan.dialects.table import Table, named_rows, paired
from scorespan.errors import ConversionError

NAME = "sagemaker_json"
KEEPS_TEXT = False
_INSTANCES, _FEATURES, _DATA = "instances", "features", "data"
_DENSE = {"values"}


def recognises(native: Native) -> bool:
    """Whether the request is JSON lines, a bare list, or has `features`."""
    body = native.request
    if body.media_type in lines.MEDIA_TYPES:
        return True
    if not body.is_json:
        return False
    document = body.document
    if isinstance(document, list):
        return bool(document) and not isinstance(document[0], dict)
    if not isinstance(document, dict):
        return False
    instances = document.get(_INSTANCES)
    if isinstance(instances, list):
        return bool(instances) and _has_features(instances[0])
    features = document.get(_FEATURES)
    # Rows under that name are a custom service's.
    matrix = isinstance(features, list) and any(isinstance(row, list) for row in features)
    return _has_features(document) and not matrix


def read(native: Native) -> DialectBodies | ConversionError:
    """Both bodies; see `scorespan.dialects.read`."""
    request, notes = _request(native)
    if native.response is None:
        return paired(NAME, native, request, None, notes)
    response, changed = answer_of(native, len(request.rows))
    return paired(NAME, native, request, response, notes + changed)


def _request(native: Native) -> tuple[Table, tuple[str, ...]]:
    body, names = native.request, native.feature_names
    if body.media_type in lines.MEDIA_TYPES:
        return _rows(lines.documents_of(body), names, "request")
    document = body.document
    if isinstance(document, list):
        if document and not any(isinstance(item, (dict, list)) for item in document):
            document = _flat(document, native)
        return table_of(document, names, "request"), ()
    if not isinstance(document, dict):
        raise ConversionError(
            "wrong_type", "request: an object with `instances` or `features`, or a list of rows"
        )
    if _INSTANCES not in document:
        return _rows([document], names, "request")
    instances = document[_INSTANCES]
    if not isinstance(instances, list):
        raise ConversionError("wrong_type", "request.instances: a list is needed")
    table, notes = _rows(instances, names, "request.instances")
    return table, notes + left_out(document, {_INSTANCES}, "request")


def _flat(cells: list[Any], native: Native) -> list[Any]:
    """The rows of a bare list of scalars."""
    if native.feature_names is not None and len(native.feature_names) == len(cells):
        return [cells]
    response = native.response
    if response is None or names_one_row(native):
        return [cells]
    column = is_batch(response, len(cells))
    return cells if column else [cells]


def _rows(
    instances: list[Any], names: tuple[str, ...] | None, where: str
) -> tuple[Table, tuple[str, ...]]:
    """The rows of objects that have `features`; of anything else as it is."""
    if not any(map(_has_features, instances)):
        return table_of(instances, names, where), ()
    rows: list[Any] = []
    others: dict[str, None] = {}
    for position, instance in enumerate(instances):
        if not _has_features(instance):
            raise ConversionError(
                "wrong_type",
                f"{where}[{position}]: an object with a list of `features` is needed, as in others",
            )
        holder = _FEATURES if _FEATURES in instance else _DATA
        features = instance[_FEATURES] if holder == _FEATURES else instance[_DATA][_FEATURES]
        is_dense = isinstance(features, dict) and features.keys() == _DENSE
        rows.append(features["values"] if is_dense else features)
        others.update(dict.fromkeys(name for name in instance if name != holder))
    notes = left_out(others, set(), where)
    if any(isinstance(features, dict) for features in rows):
        return Table([_FEATURES], [[features] for features in rows]), notes
    return named_rows(rows, names, where), notes


def _has_features(instance: Any) -> bool:
    if not isinstance(instance, dict):
        return False
    data = instance.get(_DATA)
    features = instance.get(_FEATURES, data.get(_FEATURES) if isinstance(data, dict) else None)
    if isinstance(features, dict):
        return isinstance(features.get("values"), list)
    return isinstance(features, list)
