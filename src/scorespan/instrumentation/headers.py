"""The header: what is kept of the value of one, or of a name in a path; anybody may send these."""

from __future__ import annotations

import re

MOST = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def plain(value: object, most: int = MOST) -> str | None:
    """A value as it may stand on a record: bounded, and without control characters.

    Args:
        value: of a header, or a part of a path; None: there is none.
        most: characters that are kept.
    """
    if not value:
        return None
    text = str(value)[:most]
    return text if text.isprintable() else _CONTROL.sub("", text)
