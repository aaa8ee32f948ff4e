"""The answer: complete within one deadline, read up to a bound."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import zlib
from contextlib import suppress
from typing import Any

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.wait import wait_for_read, wait_for_write

ENCODING = "gzip"
"""The only compression that is asked for: the one that is undone here, within the bound."""
_PIECE = 64 * 1024
_LONGEST_LINE = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


def start_of(answer: requests.Response, most: int) -> bytes:
    """An answer's body, or its start where it is longer than `most` bytes.

    Args:
        answer: of a request that was made with `stream=True`.
        most: bytes that are read at most; and, where they are compressed, that they become.

    Raises:
        requests.RequestException: the body broke off, did not come in time, or is damaged.
    """
    held = bytearray()
    try:
        for piece in answer.raw.stream(_PIECE, decode_content=False):
            held += piece
            if len(held) > most:
                break
    except ReadTimeoutError as error:
        raise requests.ReadTimeout(error, response=answer) from error
    except HTTPError as error:
        raise requests.ConnectionError(error, response=answer) from error
    body = bytes(held[:most])
    if body and answer.headers.get("Content-Encoding", "").strip().lower() == ENCODING:
        try:
            return zlib.decompressobj(_GZIP).decompress(body, most)
        except zlib.error as error:
            raise requests.exceptions.ContentDecodingError(error, response=answer) from error
    return body


class Answer(http.client.HTTPResponse):
    """An answer whose deadline runs from the moment that the request is sent.

    A timeout of the library's own begins again with every byte. Who sends one now and then, in the
    status line, the headers, interim answers or the body, would hold the caller for ever.
    """

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = _Lines(_Reader(self.fp.detach(), sock))


class _Lines(io.BufferedReader):
    """Lines of bounded length: not all who read them care."""

    def readline(self, size: int | None = -1, /) -> bytes:
        return super().readline(_LONGEST_LINE + 1 if size is None or size < 0 else size)


class _Reader(io.RawIOBase):
    """A socket read until a deadline, which is its timeout from now on.

    The waiting is done here, on a socket that does not wait: several kinds of socket (of gevent, of
    TLS within TLS) may read often, each time within their timeout, before they have one byte.
    """

    def __init__(self, raw: io.RawIOBase, sock: Any) -> None:
        self._raw = raw
        self._socket = sock
        self._timeout = sock.gettimeout()
        self._until = time.monotonic() + self._timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._left()
        self._socket.settimeout(0.0)
        try:
            while True:
                try:
                    count: int = self._socket.recv_into(buffer)
                except ssl.SSLWantWriteError:
                    wait_for_write(self._socket, self._left())
                except (BlockingIOError, ssl.SSLWantReadError, TimeoutError):
                    wait_for_read(self._socket, self._left())
                else:
                    return count
        finally:
            self._socket.settimeout(self._timeout)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()

    def _left(self) -> float:
        """Seconds until the deadline; there is nothing to be had from the socket after it."""
        left: float = self._until - time.monotonic()
        if left > 0:
            return left
        # Another process may hold the connection too; closing alone would not end it.
        with suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)
        raise TimeoutError("the answer was not complete in time")
