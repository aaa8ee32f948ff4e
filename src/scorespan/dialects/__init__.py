"""Dialects: an engine's native bodies as fields/values.

One module for each dialect, behind one door: `read(name, request, response)`. A dialect keeps the
exact text of a body that is in fields/values form already.
"""

from __future__ import annotations

from typing import Protocol

from scorespan.dialects import fields_values, opaque
from scorespan.dialects.bodies import DialectBodies
from scorespan.errors import ConversionError

__all__ = ["DialectBodies", "read", "read_opaque"]


class Dialect(Protocol):
    """What a dialect's module offers."""

    NAME: str
    KEEPS_TEXT: bool
    """Whether its bodies go on as they came, so that nobody has to parse them."""

    def read(self, request: bytes, response: bytes | None) -> DialectBodies | ConversionError:
        """Both bodies as fields/values, or the reason why not. None: the scoring failed."""


_DIALECTS: dict[str, Dialect] = {fields_values.NAME: fields_values}


def read(
    name: str | None, request: bytes, response: bytes | None
) -> DialectBodies | ConversionError:
    """Bodies of one scoring as fields/values, with row counts and widths checked.

    Args:
        name: the dialect that the span names; None: detected.
        request: the body as it was on the span.
        response: likewise; None for a failed scoring.

    Returns:
        The bodies, or the reason why they cannot become a record. Never raises.
    """
    if name is None:
        return fields_values.read(request, response)
    dialect = _dialect(name)
    return dialect if isinstance(dialect, ConversionError) else dialect.read(request, response)


def read_opaque(
    name: str | None, request: memoryview, response: memoryview | None
) -> DialectBodies | ConversionError:
    """Bodies too large to be parsed, as they are; one dialect at most may be asked of them.

    Each must be one whole object as far as its brackets go, or it could end the record that it
    is sent in. All else is left to the data mart, and a note says so.

    Args:
        name: the dialect that the span names.
        request: the body as it was on the span.
        response: likewise; None for a failed scoring.

    Returns:
        The bodies, or the reason why they cannot become a record. Never raises.
    """
    dialect = _dialect(name)
    if isinstance(dialect, ConversionError):
        return dialect
    size = len(request) + len(response or b"")
    if not dialect.KEEPS_TEXT:
        return ConversionError(
            "too_large_to_convert",
            f"scoring.dialect: {name!r} would have to parse {size} bytes of bodies",
        )
    for side, body in (("request", request), ("response", response)):
        fault = None if body is None else opaque.fault_of(body)
        if fault is not None:
            return ConversionError("invalid_json", f"{side}: {fault}")
    return DialectBodies(request, response, None, (f"bodies: {size} bytes, not checked",))


def _dialect(name: str | None) -> Dialect | ConversionError:
    """The dialect of this name; fields/values where there is no name."""
    if name is not None and name not in _DIALECTS:
        allowed = ", ".join(_DIALECTS)
        return ConversionError(
            "unknown_dialect", f"scoring.dialect: {name!r} is not one of: {allowed}"
        )
    return _DIALECTS[name or fields_values.NAME]
