"""Printed: the lines that one scoring has printed, and what they tell of how it ended."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from scorespan.instrumentation.guard import guarded
from scorespan.telemetry import said

if TYPE_CHECKING:
    from opentelemetry._logs import Logger
    from opentelemetry.trace import SpanContext

    from scorespan.instrumentation.exchange import Exchange

UNKNOWN = "unknown"
"""Type of an error of which only the text was printed."""
MOST_LINES = 10_000
"""Lines of one scoring that are kept, however short they are."""
_HOOK = "prints"
_TIME = re.compile(r"\d\d:\d\d:\d\d", re.ASCII)
_TIME_LENGTH = len("00:00:00")
_MOST_ERRORS = 8
_MOST_ANSWER = 64 * 1024
"""Bytes of an answer that may be an error's text; a longer one is none."""
_LEAST_WITHIN = 4
"""Characters of an error's text below which it has to be the whole of what tells of an error."""
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ERROR = {
    *("error", "errors", "err", "exception", "fault", "failure", "message", "msg", "detail"),
    *("details", "description", "reason", "cause"),
}
"""Words of names whose members tell of an error."""
_BESIDE = {
    *("code", "type", "kind", "name", "id", "request", "time", "timestamp", "trace", "traceback"),
    *("stack", "stacktrace", "title", "hint", "path", "url", "version", "model"),
}
"""Words of names whose members may stand beside that, and are no prediction."""
_FAILED = re.compile(r"err|fail|exception|fault|invalid|bad|[45]\d\d", re.IGNORECASE)
_STATUS = {"status", "state"}
_SUCCESS = {"success", "ok"}


class Line(NamedTuple):
    """One printed line.

    Attributes:
        text: without the line feed at its end.
        time: nanoseconds since the epoch.
        error: the exception that was being handled, where it began within the scoring.
    """

    text: str
    time: int
    error: BaseException | None

    def pair(self) -> dict[str, Any] | None:
        """The line as an object with `input` and `output`, where it is one."""
        if self.text[:1] != "{" or '"input"' not in self.text or '"output"' not in self.text:
            return None
        value = _parsed(self.text)
        known = isinstance(value, dict) and "input" in value and "output" in value
        return value if known else None


class Printed:
    """The lines of one scoring: at most `MOST_LINES`, of at most `limit` bytes.

    Made when the scoring begins, by the thread that runs it. Lines may come from any thread, and
    from code that a signal interrupts at any place: what is added is there whole, or not at all.
    """

    __slots__ = (
        "_begun", "_begun_size", "_errors", "_left", "_output", "_outside", "count", "lines",
    )  # fmt: skip

    def __init__(self, limit: int) -> None:
        self.lines: list[Line] = []
        self.count = 0
        """Lines that were printed, those included that are not kept."""
        self._left = limit
        self._errors: list[BaseException] = []
        # What a caller handles while it calls the model is not the model's.
        self._outside = sys.exc_info()[1]
        self._output = getattr(sys, "stdout", None)
        self._begun: list[str] = []
        self._begun_size = 0

    def is_output(self, file: object) -> bool:
        """Whether what is written there is the process's output, and not the model's to use.

        That is standard output, and what stood in its place when the scoring began. What the model
        has put there since, such as a buffer for a report, is not.
        """
        return file is self._output or file is sys.__stdout__

    def add(self, text: str, *, ended: bool = True) -> None:
        """Keep a printed text; one that does not end its line is continued by the next."""
        error = sys.exc_info()[1]
        if error is self._outside:
            error = None
        elif error is not None and not any(error is known for known in self._errors):
            self._errors[_MOST_ERRORS - 1 :] = [error]  # of very many the last
        if not ended:
            if text and self._begun_size <= self._left:  # past the bound it is cut anyway
                self._begun.append(text)
                self._begun_size += len(text)
            return
        if self._begun:
            text = "".join((*self._begun, text))
            self._begun, self._begun_size = [], 0
        self.count += 1
        if self._left <= 0 or len(self.lines) == MOST_LINES:
            return
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if size > self._left:
            text = text.encode("utf-8", "replace")[: self._left].decode("utf-8", "ignore")
        self._left -= size
        self.lines.append(Line(text, time.time_ns(), error))

    @guarded(_HOOK)
    def finish(self, exchange: Exchange) -> None:
        """The scoring is over: tell the exchange what the lines say that nothing else does.

        An error that was caught, printed and answered with makes a failed scoring; one that was
        caught and got over is a note. Where the hook saw no body, the last line with `input` and
        `output` has them.
        """
        if self._begun:
            self.add("")
        if not self.count:
            return
        if note := self.note:
            exchange.tell(note)
        if not exchange.request.size or not exchange.response.size:
            self._give_bodies(exchange)
        if exchange.failed:
            return
        response = exchange.response
        cause = self.cause(response.kept) if response.size <= _MOST_ANSWER else None
        if isinstance(cause, BaseException):
            exchange.fail(cause)
        elif cause is not None:
            exchange.fail_as(UNKNOWN, cause)
        else:
            for kind in self.handled:
                exchange.tell(f"handled: {kind}")

    @guarded(_HOOK)
    def emit(self, logger: Logger, span: SpanContext) -> None:
        """Emit the lines as log records, in the trace context of the scoring's span."""
        if self.lines:
            from scorespan.instrumentation import (  # noqa: PLC0415 - few processes have a logger
                log_records,
            )

            log_records.emit(logger, self.lines, span)

    def _give_bodies(self, exchange: Exchange) -> None:
        pair = self.pair()
        if pair is None:
            return
        for body, text in zip((exchange.request, exchange.response), pair, strict=True):
            if not body.size:
                body.content_type, body.encoding, body.expected = "application/json", None, None
                body.add(text.encode("utf-8", "replace"))

    @property
    def note(self) -> str | None:
        """What was left out."""
        if self._left >= 0 and self.count == len(self.lines):
            return None
        cut = ", the last one cut" if self._left < 0 else ""
        return f"prints: {len(self.lines)} of {self.count} lines kept{cut}"

    def cause(self, answer: bytes) -> BaseException | str | None:
        """The error that model code caught, printed and answered with, where it did so.

        Its text is then the whole answer, or stands in a member that is named after an error, of an
        object without a prediction. Anywhere else it may be one: a rule that has an exception for
        each decision answers with their texts, too.

        Args:
            answer: the body of the response.

        Returns:
            The exception; its text alone where no exception was handled while it was printed.
        """
        timed = [line.text for line in self.lines if _TIME.fullmatch(line.text[-_TIME_LENGTH:])]
        if not (self._errors or timed):
            return None
        value = _parsed(answer)
        whole = answer.decode("utf-8", "replace") if value is None else value
        errors = _errors_of(value) if isinstance(value, dict) else []
        for error in reversed(self._errors):
            text = said(error)
            if text == whole or any(_is_within(text, other) for other in errors):
                return error
        for text in timed:
            told = text[:-_TIME_LENGTH]
            if told and (told == whole or told in errors):
                return told
        return None

    @property
    def handled(self) -> tuple[str, ...]:
        """Types of the exceptions that model code caught and printed, each once."""
        return tuple(dict.fromkeys(type(error).__name__ for error in self._errors))

    def pair(self) -> tuple[str, str] | None:
        """Request and response as the last line with both told them, as JSON."""
        for line in reversed(self.lines):
            value = line.pair()
            if value is not None:
                return _as_text(value["input"]), json.dumps(value["output"])
        return None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _parsed(text: str | bytes) -> Any:
    """JSON as a value; None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _errors_of(members: dict[str, Any]) -> list[str]:
    """The texts of an object that tell of an error; none where it has a prediction."""
    texts = []
    for name, value in members.items():
        if value is None or value in ("", [], {}):
            continue
        words = {word.lower() for word in _WORD.findall(name)}
        if not words or not _is_beside(words, value):
            return []
        if isinstance(value, str) and words & _ERROR:
            texts.append(value)
    return texts


def _is_beside(words: set[str], value: Any) -> bool:
    """Whether a member with these words in its name may tell of an error, or of the request."""
    if words <= _SUCCESS:
        return not value
    if words <= _STATUS:
        return _FAILED.search(str(value)) is not None
    return words <= _ERROR | _BESIDE | _STATUS


def _is_within(text: str, other: str) -> bool:
    return text == other or (len(text) >= _LEAST_WITHIN and text in other)
