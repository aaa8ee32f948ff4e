"""Dialects: an engine's native bodies as fields/values.

One module for each dialect, behind one door: `read(name, request, response)`. A dialect keeps the
exact text of a body that is in fields/values form already.
"""

from __future__ import annotations

from typing import Protocol

from scorespan.dialects import fields_values
from scorespan.dialects.bodies import DialectBodies
from scorespan.errors import ConversionError

__all__ = ["DialectBodies", "read"]


class Dialect(Protocol):
    """What a dialect's module offers."""

    NAME: str

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
    if name is not None and name not in _DIALECTS:
        allowed = ", ".join(_DIALECTS)
        return ConversionError(
            "unknown_dialect", f"scoring.dialect: {name!r} is not one of: {allowed}"
        )
    return _DIALECTS[name or fields_values.NAME].read(request, response)
