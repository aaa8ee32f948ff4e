"""The reading: an answer's body, seen as the caller reads it.

The response stays the object that it is, as lazy as before: its class becomes a subclass whose
reading methods tell the call what they return. So whatever is built on it (a `StreamingBody`, an
`iter_content`, a text wrapper, a socket's timeout) goes on as it did. Methods set on the object
would do as well, but hold it in a cycle, and with it its socket, until the collector comes.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from scorespan.instrumentation.guard import guarded

if TYPE_CHECKING:
    from scorespan.instrumentation.call import Call

_GUARDED = "client"
_MARK = "_scorespan_reading"
_DEFAULT_DECODERS = ("gzip", "deflate")


def watch(response: Any, call: Call) -> bool:
    """Let a call see what is read of a response of `http.client` or `urllib3`.

    It is finished when that was read to the end or closed. False where this kind cannot be seen.
    """
    kind: Any = type(response)
    if not all(hasattr(kind, name) for name in ("read", "isclosed")):
        return False
    try:
        response.__class__ = _seen_kind(kind)
        response.__dict__[_MARK] = _Reading(call)
    except (AttributeError, TypeError):  # of C, or with no place for what is known of it
        return False
    return True


def undone(encoding: str | None, decoders: Any) -> bool:
    """Whether a client that decodes leaves nothing of a content coding.

    Args:
        encoding: the answer's `Content-Encoding`.
        decoders: names of those that the client knows.
    """
    names = [name.strip().lower() for name in (encoding or "").split(",") if name.strip()]
    return all(name in decoders for name in names)


class _Reading:
    """What is known of a response while it is read.

    Attributes:
        inside: one of its methods runs; others that it uses see nothing of their own.
        decodes: whether what is read has no content coding any more; None until something is.
    """

    __slots__ = ("call", "decodes", "inside")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.inside = False
        self.decodes: bool | None = None

    @guarded(_GUARDED)
    def passed(self, response: Any, part: Any, wanted: object, *, decode: object) -> None:
        """A part was read.

        Args:
            response: the one that is read.
            part: the bytes.
            wanted: how many were asked for; None: all.
            decode: what the reader has said of content codings; None: as the response does.
        """
        if self.decodes is None:
            self._decide(response, decode=decode)
        if part:
            self.call.seen(part)
        whole = wanted is None or (isinstance(wanted, int) and wanted < 0)
        ends = not part and wanted != 0, response.isclosed()
        # A few bytes may decompress to nothing, and what is closed may have more in its buffer.
        at_end = all(ends) if self.decodes else any(ends)
        if whole or at_end:
            self.call.finish()

    def _decide(self, response: Any, *, decode: object) -> None:
        if decode is None:
            decode = getattr(response, "decode_content", False)
        self.decodes = bool(decode)
        decoders = getattr(response, "CONTENT_DECODERS", _DEFAULT_DECODERS)
        exchange = self.call.exchange
        if decode and exchange is not None and undone(exchange.response.encoding, decoders):
            self.call.decoded()


@functools.cache
def _seen_kind(kind: type) -> type:
    """A subclass of a response's class that tells what is read; it passes for the class."""
    names: dict[str, Any] = {
        "__slots__": (),
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    for name, make in (
        ("read", _reader),
        ("read1", _part_reader),
        ("readline", _part_reader),
        ("readinto", _filler),
        ("stream", _run_through),
        ("read_chunked", _parts_reader),
        ("close", _closer),
    ):
        original = getattr(kind, name, None)
        if original is not None:
            names[name] = functools.wraps(original)(make(original))
    return types.new_class(kind.__name__, (kind,), {}, lambda space: space.update(names))


def _next(_response: Any, parts: Iterator[bytes]) -> bytes | None:
    return next(parts, None)


def _within(original: Callable[..., Any], response: Any, *arguments: Any, **named: Any) -> Any:
    """Call a method that may use others that are seen."""
    reading: _Reading = response.__dict__[_MARK]
    reading.inside = True
    try:
        return original(response, *arguments, **named)
    except BaseException as error:
        reading.call.raised(error)
        raise
    finally:
        reading.inside = False


def _reading_of(response: Any) -> _Reading | None:
    """What is known of a response; None where nothing is to be seen now."""
    reading: _Reading | None = response.__dict__.get(_MARK)
    seen = reading is not None and not reading.inside and reading.call.exchange is not None
    return reading if seen else None


def _argument(place: int, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    return arguments[place] if len(arguments) > place else named.get(name)


def _reader(original: Callable[..., Any]) -> Callable[..., Any]:
    def read(self: Any, *arguments: Any, **named: Any) -> Any:
        reading = _reading_of(self)
        if reading is None:
            return original(self, *arguments, **named)
        part = _within(original, self, *arguments, **named)
        wanted = _argument(0, "amt", arguments, named)
        decode = _argument(1, "decode_content", arguments, named)
        reading.passed(self, part, wanted, decode=decode)
        return part

    return read


def _part_reader(original: Callable[..., Any]) -> Callable[..., Any]:
    """Of a method that returns a part where it is not told how much."""

    def read(self: Any, *arguments: Any, **named: Any) -> Any:
        reading = _reading_of(self)
        if reading is None:
            return original(self, *arguments, **named)
        part = _within(original, self, *arguments, **named)
        wanted = 0 if arguments and arguments[0] == 0 else 1
        decode = _argument(1, "decode_content", arguments, named)
        reading.passed(self, part, wanted, decode=decode)
        return part

    return read


def _filler(original: Callable[..., Any]) -> Callable[..., Any]:
    def readinto(self: Any, buffer: Any) -> Any:
        reading = _reading_of(self)
        if reading is None:
            return original(self, buffer)
        size = _within(original, self, buffer)
        view = memoryview(buffer).cast("B")
        reading.passed(self, view[: size or 0], len(view), decode=None)
        return size

    return readinto


def _parts_reader(original: Callable[..., Any]) -> Callable[..., Any]:
    def read_chunked(self: Any, *arguments: Any, **named: Any) -> Iterator[bytes]:
        reading = _reading_of(self)
        if reading is None:
            yield from original(self, *arguments, **named)
            return
        # Not said, it means here: not at all.
        decode = bool(_argument(1, "decode_content", arguments, named))
        parts = original(self, *arguments, **named)
        try:
            while (part := _within(_next, self, parts)) is not None:
                reading.passed(self, part, 1, decode=decode)
                yield part
        finally:
            parts.close()
        reading.call.finish()

    return read_chunked


def _run_through(original: Callable[..., Any]) -> Callable[..., Any]:
    """Of a generator that uses the methods above: its end is the answer's."""

    def stream(self: Any, *arguments: Any, **named: Any) -> Iterator[bytes]:
        yield from original(self, *arguments, **named)
        reading = _reading_of(self)
        if reading is not None:
            reading.call.finish()

    return stream


def _closer(original: Callable[..., Any]) -> Callable[..., Any]:
    def close(self: Any) -> Any:
        reading = _reading_of(self)
        try:
            return original(self)
        finally:
            # The collector closes what nobody holds; then the call's own end comes, too.
            if reading is not None and not self.__dict__.get("_finalizing"):
                reading.call.finish(unread_rest=True)

    return close
