"""Dialects: an engine's native bodies as fields/values.

One module for each dialect, behind one door: `read(name, native)`. A dialect keeps the exact text
of a body that is in fields/values form already.
"""

from __future__ import annotations

from scorespan import attributes
from scorespan.dialects import detector, fields_values, opaque, text
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.failures import failure_of
from scorespan.dialects.native import Native, NativeBody
from scorespan.dialects.table import PREDICTION, SCORING_INPUT
from scorespan.errors import ConversionError

__all__ = ["DialectBodies", "Native", "NativeBody", "as_they_are", "read", "read_opaque"]


def as_they_are(
    name: str | None, request: bytes, response: bytes | None
) -> DialectBodies | ConversionError | None:
    """The bodies, where both are in fields/values form; the short way that most scorings take.

    Args:
        name: the dialect that the span names.
        request: the body as it was on the span.
        response: likewise; None for a failed scoring.

    Returns:
        The bodies, or None: `read` knows more. Never raises.
    """
    # Most other bodies are told from these without a parse that would have to be done again.
    if (name is not None and name != fields_values.NAME) or b'"fields"' not in request:
        return None
    bodies = fields_values.exact(request, response)
    return bodies if isinstance(bodies, DialectBodies) else None


def read(name: str | None, native: Native) -> DialectBodies | ConversionError:
    """Bodies of one scoring as fields/values, with row counts and widths checked.

    An engine's error body in place of an answer is a `failure`. The request of a failed scoring is
    read as text where no dialect can read it: the failure is what there is to say.

    Args:
        name: the dialect that the span names; None: detected.
        native: the bodies as they were.

    Returns:
        The bodies, or the reason why they cannot become a record. Never raises.
    """
    dialect = _named(name)
    if isinstance(dialect, ConversionError):
        return dialect
    twice = _named_twice(native)
    if twice is not None:
        return twice
    failure = None if native.response is None else failure_of(native.response)
    if failure is not None:
        native = native._replace(response=None)
    if not native.request.whole or (native.response is not None and not native.response.whole):
        dialect = text
    try:
        bodies = (dialect or detector.detected(native)).read(native)
    except ConversionError as error:
        bodies = error
    if isinstance(bodies, ConversionError) and native.response is None:
        reason = bodies.reason
        bodies = text.read(native)
        if isinstance(bodies, DialectBodies):
            notes = (*bodies.notes, f"{reason}; kept as text")
            bodies = bodies._replace(notes=tuple(dict.fromkeys(notes)))
    if failure is not None and isinstance(bodies, DialectBodies):
        bodies = bodies._replace(failure=failure)
    return bodies


def read_opaque(
    name: str | None,
    request: memoryview,
    response: memoryview | None,
    *,
    tables: bool = True,
) -> DialectBodies | ConversionError:
    """Bodies too large to be parsed: as they are where they may be fields/values, else as texts.

    As they are, each must be one whole object as far as its brackets go, or it could end the record
    that it is sent in. All else is left to the data mart, and a note says so. A dialect that would
    have to parse them does not: one row of text is a record, and a later version could read no more
    out of a dead letter, because the bound that keeps other records from waiting would be the same.

    Args:
        name: the dialect that the span names.
        request: the body as it was on the span.
        response: likewise; None for a failed scoring.
        tables: false where they cannot be fields/values: cut, or no JSON by their content type.

    Returns:
        The bodies, or the reason why they cannot become a record. Never raises.
    """
    dialect = _named(name)
    if isinstance(dialect, ConversionError):
        return dialect
    size = len(request) + len(response or b"")
    bodies = [("request", request)] + ([] if response is None else [("response", response)])
    if tables and (dialect is None or dialect.KEEPS_TEXT):
        faults = [(side, opaque.fault_of(body)) for side, body in bodies]
        fault = next((f"{side}: {fault}" for side, fault in faults if fault), None)
        if fault is not None and response is not None:
            return ConversionError("invalid_json", fault)
        known = dialect is not None or all(opaque.looks_like_table(body) for _, body in bodies)
        if fault is None and known:
            return DialectBodies(request, response, None, (f"bodies: {size} bytes, not checked",))
    return DialectBodies(
        opaque.as_cell(SCORING_INPUT, request),
        None if response is None else opaque.as_cell(PREDICTION, response),
        1,
        (f"bodies: {size} bytes are not parsed; kept as text",),
        dialect=text.NAME,
    )


def _named(name: str | None) -> detector.Dialect | ConversionError | None:
    """The dialect of this name; None where there is no name."""
    if name is None:
        return None
    dialect = detector.BY_NAME.get(name)
    if dialect is None:
        allowed = ", ".join(detector.BY_NAME)
        return ConversionError(
            "unknown_dialect", f"scoring.dialect: {name!r} is not one of: {allowed}"
        )
    return dialect


def _named_twice(native: Native) -> ConversionError | None:
    """What is wrong with names of columns that are not all different."""
    given = {
        attributes.FEATURE_NAMES: native.feature_names,
        attributes.PREDICTION_FIELDS: native.prediction_fields,
    }
    for attribute, names in given.items():
        if names is not None and len(set(names)) < len(names):
            twice = next(name for place, name in enumerate(names) if name in names[:place])
            return ConversionError(
                "duplicate_names", f"{attribute}: must be different names; {twice!r} is there twice"
            )
    return None
