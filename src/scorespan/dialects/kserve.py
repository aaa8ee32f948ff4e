"""The KServe dialect, version 1, as TensorFlow Serving has it: `{"instances": [[1, 2], [3, 4]]}`.

===========================================  =======================================================
request                                      table
===========================================  =======================================================
`{"instances": [...]}`, `{"inputs": [...]}`  one row for each; see `instances`
`{"inputs": {"a": [...], "b": [...]}}`       the lists side by side
===========================================  =======================================================

The answer is `{"predictions": ...}` or `{"outputs": ...}`, or what stands there alone. Scalars and
lists are one column, `prediction`, unless the settings name as many as a list has; objects and
columns are columns. What is binary (`{"b64": ...}`) stays a cell as it is.
"""

from __future__ import annotations

from scorespan.dialects.answers import answer
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.instances import left_out, table_of
from scorespan.dialects.native import Native
from scorespan.dialects.table import paired
from scorespan.errors import ConversionError

NAME = "kserve"
KEEPS_TEXT = False
_ROWS = ("instances", "inputs")
_SIGNATURE = "signature_name"


def recognises(native: Native) -> bool:
    """Whether the request has rows in `instances`, or rows or columns in `inputs`."""
    if not native.request.is_json:
        return False
    document = native.request.document
    if not isinstance(document, dict):
        return False
    return any(isinstance(document.get(name), (list, dict)) for name in _ROWS)


def read(native: Native) -> DialectBodies | ConversionError:
    """Both bodies; see `scorespan.dialects.read`."""
    document = native.request.document
    for name in _ROWS:
        if isinstance(document, dict) and name in document:
            request = table_of(document[name], native.feature_names, f"request.{name}")
            notes = left_out(document, {name, _SIGNATURE}, "request")
            response = None if native.response is None else answer(native, len(request.rows))
            return paired(NAME, native, request, response, notes)
    raise ConversionError(
        "missing_member", "request: an object with `instances` or `inputs` is needed"
    )
