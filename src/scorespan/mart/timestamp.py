"""A scoring timestamp: RFC 3339 as people really write it, and its one sortable form."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_FORM = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?"
    r"(?:[Zz]|([+-])(\d\d)(?::?([0-5]\d))?)?",
    re.ASCII,
)
_CANONICAL_LENGTH = len("2026-01-31T12:00:00.123456Z")


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(timezone.utc)


def utc_text(moment: datetime) -> str:
    """The sortable form: UTC, six digits of fraction, `Z`. Text order is time order."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat("T", "microseconds") + "Z"


def sortable(text: str) -> str | None:
    """The sortable form of a timestamp, or None where it is none.

    `Z`, an offset or no zone (read as UTC), any number of fraction digits; those beyond the sixth
    are cut here and only here.
    """
    if len(text) == _CANONICAL_LENGTH:
        try:
            canonical = datetime.fromisoformat(text[:-1]).isoformat("T", "microseconds") + "Z"
        except ValueError:
            return _converted(text)
        # The interpreter's own reader takes more forms than this one.
        if canonical == text:
            return text
    return _converted(text)


def _converted(text: str) -> str | None:
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    date, clock, fraction, sign, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}.{(fraction or '')[:6]:0<6}")
        if sign is not None:
            offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        return None
    return moment.isoformat("T", "microseconds") + "Z"
