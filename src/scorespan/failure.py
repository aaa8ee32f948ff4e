"""The failure: what a record keeps of an exception, bounded.

An exception may hold a payload in its text, and is looked at on the service's own thread.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from scorespan.telemetry import said

MOST = 64 * 1024
"""Characters of a message, and of a stack trace, beside the mark of what was left out."""
_PART = 16 * 1024
"""Characters of one part of a stack trace: room is left for frames beside a text."""
_FRAMES = 2000


class Failure(NamedTuple):
    """What is kept of an exception.

    Attributes:
        kind: its class, with the module where that is not Python's own.
        message: what it says, from its beginning.
        stacktrace: as Python prints it, from its end; None: it cannot be printed.
    """

    kind: str
    message: str
    stacktrace: str | None

    @classmethod
    def of(cls, error: BaseException, *, secret: str = "") -> Failure:
        """What is kept of this. Raises nothing.

        Args:
            error: an exception, raised or not.
            secret: a text that is not kept where it stands in it.
        """
        kind = type(error)
        place = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        message = said(error)
        if secret:
            message = message.replace(secret, "***")
        try:
            told = traceback.TracebackException(kind, error, error.__traceback__, limit=-_FRAMES)
            stacktrace = _end_of(told.format(), secret)
        except Exception:  # noqa: BLE001 - foreign code, such as a source that cannot be read
            stacktrace = None
        return cls(place + kind.__qualname__, beginning(message), stacktrace)

    def attributes(self) -> dict[str, str]:
        """Those of OpenTelemetry's convention for exceptions."""
        known = {"exception.type": self.kind, "exception.message": self.message}
        if self.stacktrace is not None:
            known["exception.stacktrace"] = self.stacktrace
        return known


def beginning(text: str, most: int = MOST) -> str:
    """The beginning of a text; where it is longer than this, with a mark that says so.

    Args:
        text: of any length.
        most: characters that are kept.
    """
    if len(text) <= most:
        return text
    return f"{text[:most]}... ({len(text) - most} characters left out)"


def _end_of(parts: Iterable[str], secret: str) -> str:
    kept: deque[str] = deque()
    size = before = 0
    for whole in parts:
        shown = whole.replace(secret, "***") if secret else whole
        part = shown if len(shown) <= _PART else beginning(shown, _PART) + "\n"
        kept.append(part)
        size += len(part)
        while size - len(kept[0]) >= MOST:
            size -= len(kept[0])
            before += len(kept.popleft())
    text = "".join(kept)
    if size > MOST:
        before += size - MOST
    return f"({before} characters left out) ...{text[-MOST:]}" if before else text
