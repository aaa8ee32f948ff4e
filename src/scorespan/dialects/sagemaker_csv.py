"""The SageMaker CSV dialect: lines of cells, no header; answered in JSON, JSON lines or CSV.

Columns have the names that the settings give, in the order of training, else `f0`, `f1`, ... A
first line that equals those names is a header and no row. Text that is a number becomes one, where
its whole column does; an empty cell is null. The answer: see `sagemaker_answer`.
"""

from __future__ import annotations

from scorespan.dialects import delimited
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.native import Native
from scorespan.dialects.sagemaker_answer import answer_of
from scorespan.dialects.table import named_rows, numbers_from_text, paired
from scorespan.errors import ConversionError

NAME = "sagemaker_csv"
KEEPS_TEXT = False


def recognises(native: Native) -> bool:
    """Whether the request says that it is CSV."""
    return native.request.media_type in delimited.MEDIA_TYPES


def read(native: Native) -> DialectBodies | ConversionError:
    """Both bodies; see `scorespan.dialects.read`."""
    names = native.feature_names
    rows = delimited.rows_of(native.request)
    notes: tuple[str, ...] = ()
    if names is not None and rows and tuple(rows[0]) == names:
        rows = rows[1:]
        notes = ("request: header left out",)
    request, changed = numbers_from_text(named_rows(rows, names, "request"), "request")
    notes += changed
    if native.response is None:
        return paired(NAME, native, request, None, notes)
    try:
        response, changed = answer_of(native, len(rows))
        bodies = paired(NAME, native, request, response, notes + changed)
    except ConversionError as error:
        bodies = error
    if isinstance(bodies, ConversionError) and bodies.code == "row_count_mismatch" and not names:
        hint = "a header is told from a row by the feature names, which are not set"
        return ConversionError(bodies.code, f"{bodies.reason}; {hint}")
    return bodies
