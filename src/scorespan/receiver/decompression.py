"""The decompression of a request's body, whatever it claims to be, within a bound.

It goes piece by piece and ends with the piece that passes the bound: a body that would become ten
gigabytes costs no more than one at the bound.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO

import zstandard

from scorespan.errors import ReceiverError

_PIECE = 1024 * 1024
# So little of zstd can become 16 MiB, and there is no way to ask for less at a time.
_ZSTD_STEP = 512
# What is left over behind the end of a member is copied: never more than this.
_GZIP_STEP = 64 * 1024
# The encoders in use stay at or below 32 MiB; those who ask for more want our memory.
_LARGEST_WINDOW = 32 * 1024 * 1024
# Concatenated members are allowed; millions of empty ones take long for nothing.
_MOST_MEMBERS = 1000


def check_encoding(encoding: str) -> None:
    """Hold that this is a `content-encoding` that can be read.

    Raises:
        ReceiverError: 415.
    """
    if _named(encoding) not in _DECODERS:
        raise ReceiverError(415, f"content encoding {encoding[:40]!r} is not known")


def decompressed(
    body: bytes, encoding: str, limit: int, hold: Callable[[int], None] = lambda _: None
) -> bytes:
    """The body without its content encoding; the body itself where it has none.

    Args:
        body: as it came.
        encoding: `gzip`, `zstd`, `deflate` (RFC 1950), or none: empty or `identity`.
        limit: the most bytes that it may become.
        hold: asked with the bytes it has become so far, before more are made; may raise.

    Raises:
        ReceiverError: 400, not what it claims to be; 413, larger than `limit`; 415, another
            encoding.
    """
    check_encoding(encoding)
    decode = _DECODERS[_named(encoding)]
    if decode is None:
        if len(body) > limit:
            raise _too_large(limit)
        return body
    whole = BytesIO()
    try:
        for piece in decode(body):
            size = whole.tell() + len(piece)
            if size > limit:
                raise _too_large(limit)
            hold(size)
            whole.write(piece)
    except (zlib.error, zstandard.ZstdError) as error:
        raise ReceiverError(400, f"the body is not {encoding}: {error}") from error
    return whole.getvalue()


def _inflated(body: bytes, *, format_bits: int, most: int) -> Iterator[bytes]:
    """The pieces of zlib's formats; `most` members may follow each other."""
    view = memoryview(body)
    at = members = 0
    while at < len(body) or not members:
        members = _next_member(members, most)
        inflate = zlib.decompressobj(format_bits)
        rest: bytes | memoryview = b""
        while not inflate.eof:
            if not rest:
                rest = view[at : at + _GZIP_STEP]
                at += len(rest)
                if not rest:
                    raise ReceiverError(400, "the body ends in the middle of its compressed data")
            yield inflate.decompress(rest, _PIECE)
            rest = inflate.unconsumed_tail
        at -= len(inflate.unused_data)


def _unzstd(body: bytes) -> Iterator[bytes]:
    """The pieces of zstd frames."""
    view = memoryview(body)
    at = members = 0
    decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    while at < len(body) or not members:
        members = _next_member(members, _MOST_MEMBERS)
        frame = decompressor.decompressobj()
        while not frame.eof:
            step = view[at : at + _ZSTD_STEP]
            at += len(step)
            if not step:
                raise ReceiverError(400, "the body ends in the middle of its compressed data")
            yield frame.decompress(step)
        at -= len(frame.unused_data)


def _next_member(members: int, most: int) -> int:
    if members >= most:
        raise ReceiverError(400, f"the body has more than {most} compressed members")
    return members + 1


def _named(encoding: str) -> str:
    return encoding.strip().lower()


def _too_large(limit: int) -> ReceiverError:
    return ReceiverError(413, f"the body is larger than {limit} bytes when decompressed")


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]] | None] = {
    "": None,
    "identity": None,
    "gzip": partial(_inflated, format_bits=31, most=_MOST_MEMBERS),
    "deflate": partial(_inflated, format_bits=15, most=1),
    "zstd": _unzstd,
}
