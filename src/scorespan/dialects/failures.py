"""Failures: error bodies that engines send with status 200 in place of an answer."""

from __future__ import annotations

from typing import Any

import orjson

from scorespan.dialects.native import NativeBody
from scorespan.errors import ConversionError

TYPE = "engine_error"
"""The type of an error that names none."""
_NAMES = ("error", "Error")
_TYPES = ("type", "code", "error_code", "name", "status")
_MESSAGES = ("message", "msg", "detail", "details", "description", "reason")


def failure_of(body: NativeBody) -> tuple[str, str] | None:
    """Type and message of the error that a response is; None where it is an answer.

    An error is an object whose member `error` holds a text, an object, a list or true (a number may
    be a prediction's error), or one with `error_code`, or whose `status` is `error` beside a
    message, or one without members. JSON text in a string counts too.
    """
    text = body.text
    # Most answers need no parse for this.
    if b"rror" not in text and text.strip(b' \\"\t\r\n') != b"{}":
        return None
    try:
        document = body.document
    except ConversionError:
        return None
    if not isinstance(document, dict) or "values" in document:
        return None
    if not document:
        return TYPE, "the engine answered {}"
    error = next((document[name] for name in _NAMES if document.get(name)), None)
    if isinstance(error, dict):
        return _first(error, _TYPES) or TYPE, _first(error, _MESSAGES) or _shown(error)
    beside = {name: document[name] for name in document if name not in _NAMES}
    if error is True or isinstance(error, (str, list)):
        message = error if isinstance(error, str) else _first(beside, _MESSAGES) or _shown(document)
        return _first(beside, _TYPES) or TYPE, message
    if isinstance(document.get("error_code"), str):
        return document["error_code"], _first(document, _MESSAGES) or _shown(document)
    told = _first(document, _MESSAGES)
    # It may be anything, also what has no hash.
    if told is not None and str(document.get("status")) in {"error", "Error"}:
        return TYPE, told
    return None


def _first(members: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of these members that says something, as text."""
    for name in names:
        value = members.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return None


def _shown(members: dict[str, Any]) -> str:
    try:
        return orjson.dumps(members).decode()
    except TypeError:  # nested deeper than can be written
        return "an error that cannot be shown"
