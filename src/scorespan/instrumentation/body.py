"""A kept body: what passed of a request or an answer, up to a bound, and the attributes it becomes.

Text stays text. Other bytes become base64, or their SHA-256 where the settings say so. What content
coding the bytes had is kept beside them: nothing is decompressed on the service's thread.
"""

from __future__ import annotations

import base64
import codecs
import enum
import functools
import hashlib
from typing import Any, NamedTuple

from scorespan import attributes


class Names(NamedTuple):
    """The attributes of one of the two bodies, and what notes call it."""

    word: str
    text: str
    content_type: str
    encoding: str
    size: str
    passed: str


REQUEST = Names(
    "request",
    attributes.REQUEST,
    attributes.REQUEST_CONTENT_TYPE,
    attributes.REQUEST_ENCODING,
    attributes.REQUEST_SIZE,
    "read by the service",
)
RESPONSE = Names(
    "response",
    attributes.RESPONSE,
    attributes.RESPONSE_CONTENT_TYPE,
    attributes.RESPONSE_ENCODING,
    attributes.RESPONSE_SIZE,
    "sent",
)


class Kind(enum.Enum):
    """What a content type says of the bytes."""

    TEXT = enum.auto()
    BINARY = enum.auto()
    UNKNOWN = enum.auto()


_TEXTS = frozenset(
    "application/" + name
    for name in (
        "csv", "javascript", "json", "json-lines", "jsonl", "jsonlines", "jsonlines+json",
        "ndjson", "x-json", "x-jsonlines", "x-ndjson", "x-www-form-urlencoded", "x-yaml", "xml",
        "yaml",
    )
)  # fmt: skip
_BINARIES = frozenset(
    "application/" + name
    for name in (
        "grpc", "gzip", "msgpack", "octet-stream", "parquet", "protobuf", "vnd.apache.arrow.file",
        "vnd.apache.arrow.stream", "vnd.apache.parquet", "x-gzip", "x-msgpack", "x-npy", "x-npz",
        "x-parquet", "x-protobuf", "x-python-pickle", "x-recordio-protobuf", "zip",
    )
)  # fmt: skip
_BINARY_KINDS = ("audio/", "font/", "image/", "multipart/", "video/")


@functools.lru_cache(maxsize=64)
def kind_of(content_type: str | None) -> Kind:
    """What a content type says of the bytes; parameters such as the charset do not count."""
    name = (content_type or "").partition(";")[0].strip().lower()
    if name.startswith("text/") or name in _TEXTS or name.endswith(("+json", "+xml")):
        return Kind.TEXT
    if name in _BINARIES or name.startswith(_BINARY_KINDS):
        return Kind.BINARY
    return Kind.UNKNOWN


@functools.lru_cache(maxsize=64)
def codings_of(encoding: str | None) -> tuple[str, ...]:
    """The content codings of a `Content-Encoding`, in the order in which they were done."""
    named = [part.strip().lower() for part in (encoding or "").split(",")]
    return tuple(name for name in named if name not in {"", "identity"})


class KeptBody:
    """One body as it passes, part by part; one thread or task at a time.

    Attributes:
        size: bytes that have passed, kept or not.
        content_type: what it says it is; set before the first part.
        encoding: its `Content-Encoding`; likewise.
        expected: bytes that were announced, where that is known: fewer are told in a note.

    Args:
        limit: bytes that are kept at most.
        digest: keep only the SHA-256 of what is no text.
    """

    __slots__ = (
        "_digest", "_hash", "_kept", "_limit", "content_type", "encoding", "expected", "size",
    )  # fmt: skip

    def __init__(self, limit: int, *, digest: bool = False) -> None:
        self._limit = limit
        self._digest = digest
        self._hash: Any = None
        self._kept: bytes | bytearray = b""
        self.size = 0
        self.content_type: str | None = None
        self.encoding: str | None = None
        self.expected: int | None = None

    @property
    def kept(self) -> bytes:
        """The bytes that are kept."""
        return bytes(self._kept)

    def add(self, part: bytes | bytearray | memoryview) -> None:
        """Keep a part, as far as there is room; the caller may change its bytes afterwards.

        Raises:
            TypeError: these are no bytes.
        """
        if type(part) is not bytes:
            part = memoryview(part).tobytes()
        if not part:
            return
        if self._digest:
            self._add_to_digest(part)
        room = self._limit - len(self._kept)
        self.size += len(part)
        if room <= 0:
            return
        if len(part) > room:
            part = part[:room]
        if not self._kept:
            self._kept = part
        elif type(self._kept) is bytearray:
            self._kept += part
        else:  # many small parts must not become many objects
            self._kept = bytearray(self._kept) + part

    def put_into(self, values: dict[str, Any], notes: list[str], names: Names) -> None:
        """Add the body to a span's attributes, and what is to be told of it to the notes."""
        text, encoding = self._encoded()
        values[names.text] = text
        if self.content_type:
            values[names.content_type] = self.content_type
        if encoding:
            values[names.encoding] = encoding
        size = self.size
        if encoding.endswith("sha256"):
            values[names.size] = size
            notes.append(f"{names.word}: only the SHA-256 of {size} bytes kept")
        elif size > len(self._kept):
            values[names.size] = size
            notes.append(f"{names.word}: {len(self._kept)} of {size} bytes kept")
        if self.expected is not None and self.expected > size:
            values[names.size] = self.expected
            notes.append(f"{names.word}: {size} of {self.expected} bytes were {names.passed}")

    def _add_to_digest(self, part: bytes) -> None:
        if self._hash is None:
            if self.size or kind_of(self.content_type) is Kind.TEXT:
                return
            self._hash = hashlib.sha256()
        self._hash.update(part)

    def _encoded(self) -> tuple[str, str]:
        """The body as text, and how that was made of its bytes; empty: it is the text."""
        kept = self._kept
        if not kept and not self.size:
            return "", ""
        codings = codings_of(self.encoding) if self.encoding else ()
        if not codings and kind_of(self.content_type) is not Kind.BINARY:
            try:
                # Cut, it may end within a character, which is left out.
                return codecs.utf_8_decode(kept, "strict", self.size == len(kept))[0], ""
            except UnicodeDecodeError:  # no text, whatever it calls itself: kept as bytes are
                pass
        if self._hash is not None:
            return self._hash.hexdigest(), ",".join((*codings, "sha256"))
        return base64.b64encode(kept).decode("ascii"), ",".join((*codings, "base64"))
