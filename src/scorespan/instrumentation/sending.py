"""The sending: a request's body as a client sends it, seen on its way.

A file is not read, nor a generator run: the client gets a stand-in that passes every use on and
sees what is read. A body that is rewound and sent again is kept once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from scorespan.instrumentation.body import KeptBody
from scorespan.instrumentation.guard import guarded

_GUARDED = "client"


class Sent:
    """What was sent of a body, as a position in it.

    Args:
        kept: where it is kept.
    """

    __slots__ = ("_kept", "_seen", "position")

    def __init__(self, kept: KeptBody) -> None:
        self._kept: KeptBody | None = kept
        self._seen = 0
        self.position = 0

    @guarded(_GUARDED)
    def add(self, part: bytes | str | memoryview) -> None:
        """A part that was read from the position on."""
        if self._kept is None:
            return
        held = part.encode() if isinstance(part, str) else part
        view = memoryview(held).cast("B")
        start, self.position = self.position, self.position + len(view)
        if start <= self._seen < self.position:
            old = self._seen - start
            self._kept.add(view[old:] if old else held)  # a view would be copied
            self._seen = self.position

    def let_go(self) -> None:
        """See nothing more; who holds the stand-in holds no body."""
        self._kept = None


def seen(body: Any, sent: Sent) -> Any:
    """What is to be sent in place of a body: itself, where it is known now, else a stand-in."""
    if isinstance(body, str):
        sent.add(body)
        return body
    sized = hasattr(type(body), "__len__")
    if not isinstance(body, (bytes, bytearray, memoryview)):
        if hasattr(body, "read"):
            return (_SizedFile if sized else _File)(body, sent)
        try:
            memoryview(body)
        except TypeError:
            if hasattr(body, "__iter__"):
                return (_SizedParts if sized else _Parts)(body, sent)
            return body
    sent.add(body)
    return body


class _StandIn:
    """Something that passes for the body, also for `isinstance`."""

    __slots__ = ("_body", "_sent")

    def __init__(self, body: Any, sent: Sent) -> None:
        self._body = body
        self._sent = sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    @property  # type: ignore[misc]  # to be read only, here
    def __class__(self) -> type:
        return type(self._body)

    def __iter__(self) -> Iterator[Any]:
        for part in self._body:
            self._sent.add(part)
            yield part

    def __next__(self) -> Any:
        part = next(self._body)
        self._sent.add(part)
        return part


class _Parts(_StandIn):
    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        if not hasattr(type(self._body), "__next__"):  # else it goes on where it stands
            self._sent.position = 0
        return super().__iter__()


class _SizedParts(_Parts):
    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)


class _File(_StandIn):
    __slots__ = ("_start",)

    def __init__(self, body: Any, sent: Sent) -> None:
        super().__init__(body, sent)
        self._start = _position(body)

    def __getattr__(self, name: str) -> Any:
        # Only what the file has: clients ask it what it can do.
        value = getattr(self._body, name)
        look = _LOOKS.get(name)
        return value if look is None else functools.partial(look, self, value)

    def _read(self, read: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        part = read(*arguments, **named)
        if part:
            self._sent.add(part)
        return part

    def _read_into(self, read: Callable[[Any], int], buffer: Any) -> int:
        size = read(buffer)
        if size:
            self._sent.add(memoryview(buffer).cast("B")[:size])
        return size

    def _read_lines(self, read: Callable[..., Any], *arguments: Any) -> Any:
        lines = read(*arguments)
        for line in lines:
            self._sent.add(line)
        return lines

    def _seek(self, seek: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        position = seek(*arguments, **named)
        known = position if isinstance(position, int) else _position(self._body)
        self._sent.position = known - self._start
        return position


class _SizedFile(_File):
    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)


_LOOKS: dict[str, Callable[..., Any]] = {
    "read": _File._read,  # noqa: SLF001 - of the class above
    "read1": _File._read,  # noqa: SLF001
    "readline": _File._read,  # noqa: SLF001
    "readinto": _File._read_into,  # noqa: SLF001
    "readlines": _File._read_lines,  # noqa: SLF001
    "seek": _File._seek,  # noqa: SLF001
}


def _position(body: Any) -> int:
    try:
        position = body.tell()
    except Exception:  # noqa: BLE001 - a pipe, or no file at all
        return 0
    return position if isinstance(position, int) else 0
