"""JSON lines: a body of several JSON documents, one on each line."""

from __future__ import annotations

from typing import Any

import orjson

from scorespan.dialects.native import NativeBody

MEDIA_TYPES = frozenset(
    {
        "application/jsonlines",
        "application/x-jsonlines",
        "application/jsonl",
        "application/x-jsonl",
        "application/ndjson",
        "application/x-ndjson",
    }
)


def documents_of(body: NativeBody) -> list[Any]:
    """The documents of a body in JSON lines, in order; blank lines count for nothing.

    The notes of the parse are put on the body.

    Raises:
        ConversionError: `invalid_json`; a line is no JSON.
    """
    lines = [line for line in body.text.splitlines() if line.strip()]
    for position, line in enumerate(lines):
        try:
            orjson.loads(line)
        except orjson.JSONDecodeError:
            # What JSON has not but Python writes is taken; the reason for anything else is there.
            NativeBody(line, None, f"{body.side}, line {position + 1}").document  # noqa: B018 - parsed for its fault
    together = NativeBody(b"[" + b",".join(lines) + b"]", None, body.side)
    documents: list[Any] = together.document
    body.notes = together.notes
    return documents
