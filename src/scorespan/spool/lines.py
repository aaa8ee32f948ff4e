"""Checked lines: JSON objects, each on a line, with a checksum of the line as its last member.

::

    {"p": "...", "n": 7, "c": 1234567890}

The checksum is the CRC-32 of the line up to the comma before it. Who does not know of it reads the
line all the same.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import orjson

_MARK = b',"c":'


def checked_line(members: dict[str, Any]) -> bytes:
    """The line of an object that has at least one member."""
    body = orjson.dumps(members)[:-1]
    return b"%b%b%d}\n" % (body, _MARK, crc32(body))


def read_line(line: bytes, *, checked: bool) -> dict[str, Any]:
    """The object of a line.

    Args:
        line: the line.
        checked: whether a line without a checksum is refused, too.

    Raises:
        ValueError: this is no such line, or not as it was written.
        TypeError: it is JSON, and no object.
    """
    body, mark, check = line.rstrip().rpartition(_MARK)
    if (mark or checked) and check != b"%d}" % crc32(body):
        raise ValueError("the line is damaged")
    found = orjson.loads(line)
    if not isinstance(found, dict):
        raise TypeError("the line is no object")
    return found
