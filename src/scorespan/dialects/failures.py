"""Failures: error bodies that engines send with status 200 in place of an answer."""

from __future__ import annotations

import re
from typing import Any

import orjson

from scorespan.dialects.native import NativeBody
from scorespan.errors import ConversionError

TYPE = "engine_error"
"""The type of an error that names none."""
_NAMES = ("error", "Error", "errors")
_TYPES = ("type", "code", "error_code", "name", "status")
_MESSAGES = ("message", "msg", "detail", "details", "description", "reason")
_SAID = ("message", "msg", "detail")
"""Members without which a code or a status says too little to be an error."""
_PROBLEM = "application/problem+json"
_HINT = re.compile(rb'rror|"(?:success|ok|code|status)\\*"')
_ERROR_STATUS = 400
_NONE = {"", "0", "00", "000", "ok", "none", "null", "no", "false", "success"}
"""What says that there is no error, where a text always stands."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ABOUT = {
    *("error", "errors", "errno", "err", "errormessage", "errorcode", "exception", "fault"),
    *("code", "type", "name", "kind", "status", "statuscode", "state", "success", "ok"),
    *("failed", "message", "msg", "detail", "details", "description", "reason", "title"),
    *("cause", "trace", "traceback", "stack", "stacktrace", "hint", "help", "docs"),
    *("documentation", "link", "links", "info", "warnings", "http", "request", "requestid"),
    *("id", "uuid", "correlation", "instance", "span", "path", "url", "uri", "method", "input"),
    *("inputs", "body", "timestamp", "time", "date", "datetime", "at", "elapsed", "duration"),
    *("took", "latency", "ms", "seconds", "retry", "after", "version", "server", "host"),
    *("service", "endpoint", "model", "deployment", "meta", "metadata", "context"),
}
"""Words that the names of members are made of which tell of an error, or of the request."""


def failure_of(body: NativeBody) -> tuple[str, str] | None:
    """Type and message of the error that a response is; None where it is an answer.

    An error is an object without an answer in it: its member `error` holds a text, an object, a
    list of them or true (a number may be a prediction's error), or it has an `error_code`, or
    beside a message `success` is false, `status` is `error`, or either it or `code` is a status of
    HTTP from 400 on, or it has no members. Where anything else stands beside that, all of it is the
    answer, and an error in it is one of its columns. JSON text in a string counts too. A body whose
    type says that it is a problem is one.
    """
    text = body.text
    problem = body.media_type == _PROBLEM
    # Most answers need no parse for this.
    if not problem and not _HINT.search(text) and text.strip(b' \\"\t\r\n') != b"{}":
        return None
    try:
        document = body.document
    except ConversionError:
        return None
    if not isinstance(document, dict):
        return None
    if not document:
        return TYPE, "the engine answered {}"
    if problem:
        kind = _first(document, ("title", *_TYPES)) or TYPE
        return kind, _first(document, _MESSAGES) or _shown(document)
    if any(_is_answer(name, value) for name, value in document.items()):
        return None
    return _error_of(document) or _refusal_of(document)


def _error_of(document: dict[str, Any]) -> tuple[str, str] | None:
    """The error that an object without an answer names so."""
    error = next((document[name] for name in _NAMES if _says(document.get(name))), None)
    if isinstance(error, dict):
        return _first(error, _TYPES) or TYPE, _first(error, _MESSAGES) or _shown(error)
    beside = {name: document[name] for name in document if name not in _NAMES}
    if error is True or isinstance(error, (str, list)):
        message = error if isinstance(error, str) else _first(beside, _MESSAGES) or _shown(document)
        return _first(beside, _TYPES) or TYPE, message
    code = document.get("error_code")
    if _says(code) and isinstance(code, (str, int)):
        return str(code), _first(document, _MESSAGES) or _shown(document)
    return None


def _refusal_of(document: dict[str, Any]) -> tuple[str, str] | None:
    """The error that an object without an answer tells of by a status and a message."""
    told = _first(document, _MESSAGES)
    # It may be anything, also what has no hash.
    if told is not None and str(document.get("status")) in {"error", "Error"}:
        return TYPE, told
    told = _first(document, _SAID)
    if told is None:
        return None
    for status in (document.get("code"), document.get("status")):
        if type(status) is int and _ERROR_STATUS <= status < 600:
            return str(status), told
    return (TYPE, told) if document.get("success", document.get("ok")) is False else None


def tells_of(name: str) -> bool:
    """Whether a member of this name says something about an answer or error, and is neither."""
    words = _WORD.findall(name)
    return bool(words) and all(word.lower() in _ABOUT for word in words)


def _is_answer(name: str, value: Any) -> bool:
    """Whether a member is more than something said about an error; an empty one is nothing."""
    if value is None or value in ("", [], {}):
        return False
    return not tells_of(name)


def _says(error: Any) -> bool:
    """Whether what stands for an error is one; numbers in a list are errors of predictions."""
    if isinstance(error, list) and not any(isinstance(item, (str, dict)) for item in error):
        return False
    return bool(error) and (not isinstance(error, str) or error.strip().lower() not in _NONE)


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
