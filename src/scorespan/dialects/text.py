"""The text dialect: what has no rows and columns, as one row of one column.

Plain text, requests to language models, and whatever no other dialect recognises: the request's
text stands in `scoring_input`, the response's in `prediction`, each whole. So do bodies that are
not whole, or are no text and stand there as base64 or digest.
"""

from __future__ import annotations

from typing import Any

from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.native import Native, NativeBody
from scorespan.dialects.table import PREDICTION, SCORING_INPUT, Table, paired
from scorespan.errors import ConversionError

NAME = "text"
KEEPS_TEXT = False


def recognises(native: Native) -> bool:
    """Whether the request is one to a language model: `messages`, `prompt`, or a text to go on."""
    body = native.request
    if not body.is_json:
        return False
    document = body.document
    if not isinstance(document, dict):
        return False
    if isinstance(document.get("messages"), list):
        return True
    prompt = document.get("prompt")
    if isinstance(prompt, str) or (isinstance(prompt, list) and _all_texts(prompt)):
        return True
    return isinstance(document.get("inputs", document.get("input")), str)


def read(native: Native) -> DialectBodies | ConversionError:
    """Both bodies as one cell each; see `scorespan.dialects.read`. Every body can be read so."""
    request, response = native.request, native.response
    notes = _notes(request) + (_notes(response) if response is not None else ())
    return paired(
        NAME,
        native._replace(request=_unparsed(request), response=response and _unparsed(response)),
        Table([SCORING_INPUT], [[shown(request)]]),
        None if response is None else Table([PREDICTION], [[shown(response)]]),
        notes,
    )


def shown(body: NativeBody) -> str:
    """A body's text as a cell: bytes that are no UTF-8 are shown by their numbers."""
    return body.text.decode("utf-8", "backslashreplace")


def _notes(body: NativeBody) -> tuple[str, ...]:
    if not body.whole or not body.says_json:
        return ()
    try:
        body.document  # noqa: B018 - parsed for its fault
    except ConversionError as error:
        return (f"{error.reason}; kept as text",)
    return ()


def _unparsed(body: NativeBody) -> NativeBody:
    """The body without notes of a parse: its text is unchanged."""
    return NativeBody(body.text, body.content_type, body.side, whole=body.whole)


def _all_texts(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, str) for item in items)
