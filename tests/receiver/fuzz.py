"""The fuzz: what nobody should send to a receiver, case by case, and what may come of it.

A case is what goes over one connection. It follows from the seed and its number alone, so that the
one that fails can be made again: `case_of(seed, number)`.
"""

from __future__ import annotations

import gzip
import random
import re
import socket
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import zstandard

from receiver.door import json_of, payload_of, read_all

MIB = 1024 * 1024
SECONDS = 60
"""What takes longer hangs."""
PROTOBUF, JSON = "application/x-protobuf", "application/json"

ANY_REFUSAL = frozenset({400, 404, 405, 408, 413, 415, 431})
# 503 stands for a fault of ours as well: only what needs much memory may get it.
FOR_SIZE = frozenset({400, 413, 503})


class Case(NamedTuple):
    """What is sent over a connection, and the statuses that may answer it."""

    kind: str
    sent: bytes
    allowed: frozenset[int]
    answered: bool = True
    """Whether there must be an answer; else the connection may be closed without one."""


Chance = random.Random
Kind = Callable[[Chance], Case]


def case_of(seed: int, number: int) -> Case:
    """The case with this number: of the kinds that are dear, a few in a thousand."""
    chance = Chance(f"{seed}-{number}")
    if number % 500 == 250:
        kinds = DEAR
    elif number % 100 == 50:
        kinds = BOMBS
    else:
        kinds = CHEAP
    return kinds[chance.randrange(len(kinds))](chance)


def answers_to(case: Case, address: tuple[str, int]) -> list[int]:
    """The statuses that come back, until the connection is closed.

    Raises:
        TimeoutError: neither an answer nor an end.
    """
    with socket.create_connection(address, SECONDS) as connection:
        try:
            connection.sendall(case.sent)
            come = connection.recv(65536) if case.answered else b""
            connection.shutdown(socket.SHUT_WR)
        except TimeoutError:
            raise
        except OSError:
            come = b""  # closed before all was sent; what it was answered with may be there
        return [
            int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", come + read_all(connection))
        ]


def wrong_in(case: Case, answers: list[int]) -> str | None:
    """What is wrong with these answers; None: nothing."""
    if case.answered and not answers:
        return "no answer"
    others = set(answers) - case.allowed
    return f"answered with {sorted(others)}" if others else None


def peak_bytes(process_id: int) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{process_id}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def post(body: bytes, content_type: str = PROTOBUF, encoding: str = "", *, more: str = "") -> bytes:
    """A request with this body."""
    return head(content_type, encoding, more=f"content-length: {len(body)}\r\n{more}") + body


def head(content_type: str, encoding: str, *, more: str) -> bytes:
    """The head of such a request."""
    lines = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\n{more}"
    if encoding:
        lines += f"content-encoding: {encoding}\r\n"
    return f"{lines}\r\n".encode("latin-1")


def some_names(chance: Chance) -> list[str]:
    """Ids of scorings that nobody waits for."""
    return [f"fuzz-{chance.getrandbits(40):x}" for _ in range(chance.randint(1, 8))]


def damaged(body: bytes, chance: Chance) -> bytes:
    """The body with a few of its bytes changed, left out, doubled, or its end gone."""
    result = bytearray(body)
    for _ in range(chance.choice((1, 1, 2, 5, 30))):
        at, length = chance.randrange(len(result) + 1), chance.choice((1, 1, 2, 8, 100))
        what = chance.randrange(5)
        if what == 0:
            result[at : at + 1] = bytes([chance.randrange(256)])
        elif what == 1 and at < len(result):
            result[at] ^= 1 << chance.randrange(8)
        elif what == 2:
            del result[at : at + length]
        elif what == 3:
            result[at:at] = result[at : at + length]
        else:
            del result[at + (len(result) - at) // 2 :]
    return bytes(result)


def field(tag: int, body: bytes) -> bytes:
    """A field of protobuf whose value has a length."""
    length, size = bytearray(), len(body)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([tag]) + bytes(length) + bytes([size]) + body


def in_span(*attributes: bytes) -> bytes:
    """A request of one scoring span with these attributes."""
    pairs = [field(0x4A, field(0x0A, b"scoring.request") + field(0x12, field(0x0A, b"{}")))]
    span = field(0x0A, b"t" * 16) + field(0x12, b"s" * 8) + b"".join([*pairs, *attributes])
    return field(0x0A, field(0x12, field(0x12, span)))


# Bodies.


def noise(chance: Chance) -> Case:
    """Arbitrary bytes in place of a request."""
    body = chance.randbytes(chance.choice((0, 1, 10, 100, 5000)))
    content_type = chance.choice((PROTOBUF, JSON))
    return Case("noise", post(body, content_type), frozenset({200, 400}))


def damaged_protobuf(chance: Chance) -> Case:
    """Protobuf that was cut or changed on its way."""
    body = damaged(payload_of(*some_names(chance), others=chance.randrange(3)), chance)
    return Case("damaged protobuf", post(body), frozenset({200, 400}))


def damaged_json(chance: Chance) -> Case:
    """JSON that was cut or changed on its way."""
    body = damaged(json_of(*some_names(chance)), chance)
    return Case("damaged JSON", post(body, JSON), frozenset({200, 400}))


def deep_json(chance: Chance) -> Case:
    """JSON as deep as it is long."""
    depth = chance.choice((100, 1000, 5000, 100_000))
    opening, closing = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opening * depth + b"1" + closing * chance.choice((depth, 0))
    where = chance.choice((
        b"%s",
        b'{"resourceSpans":%s}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":%s}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"value":%s}]}]}]}]}',
    ))  # fmt: skip
    return Case("deep JSON", post(where % deep, JSON), frozenset({200, 400}))


def odd_json(chance: Chance) -> Case:
    """JSON with a text or number that JSON or UTF-8 does not have, where nothing is read."""
    odd = chance.choice((rb'"\ud83d"', b'"\xff"', b'"a\nb"', b"NaN", b"-1e400", b"9" * 5000))
    body = b'{"odd":[%b],%b' % (odd, json_of(*some_names(chance))[1:])
    return Case("odd JSON", post(body, JSON), frozenset({200}))


def deep_protobuf(chance: Chance) -> Case:
    """Values within values."""
    value = b""
    for _ in range(chance.choice((50, 99, 200, 2000))):
        value = field(0x2A, field(0x0A, value)) if chance.random() < 0.9 else field(0x32, value)
    key = chance.choice((b"x", b"scoring.response", b"scoring.id"))
    body = in_span(field(0x4A, field(0x0A, key) + field(0x12, value)))
    return Case("deep protobuf", post(body), frozenset({200, 400}))


def other_values(chance: Chance) -> Case:
    """Attributes that have another type than they should, or come twice."""
    values = (b"", b"\x10\x01", b"\x18\x05", b"\x21" + chance.randbytes(8),
              field(0x0A, b"\xff\xfe"), field(0x3A, b"\x00\xff"), field(0x2A, b""),
              field(0x32, field(0x0A, b"")))  # fmt: skip
    keys = (b"scoring.id", b"scoring.request", b"scoring.response", b"scoring.timestamp",
            b"scoring.response_time", b"scoring.sequence", b"scoring.producer.id", b"\xff", b"",
            b"scoring.feature.names", b"scoring.subscription.id")  # fmt: skip
    pairs = [
        field(0x4A, field(0x0A, chance.choice(keys)) + field(0x12, chance.choice(values)))
        for _ in range(chance.randint(1, 10))
    ]
    return Case("other values", post(in_span(*pairs)), frozenset({200}))


# Headers.


def wrong_type(chance: Chance) -> Case:
    """A content type that is not read."""
    kind = chance.choice(("text/plain", "", "application/grpc", "x/" * 500, "application/json2"))
    return Case("content type", post(payload_of("no"), kind), frozenset({415}))


def wrong_encoding(chance: Chance) -> Case:
    """A content encoding that is not read, or is not what the body has."""
    if chance.random() < 0.5:
        encoding = chance.choice(("br", "gzip, zstd", "snappy", "\xff", "identity, gzip"))
        return Case("encoding", post(payload_of("no"), encoding=encoding), frozenset({415}))
    encoding = chance.choice(("gzip", "zstd", "deflate"))
    return Case("not encoded", post(payload_of("no"), encoding=encoding), frozenset({400}))


def damaged_compression(chance: Chance) -> Case:
    """A compressed body that was cut or changed on its way."""
    encoding = chance.choice(("gzip", "zstd", "deflate"))
    compressed = damaged(compress(payload_of(*some_names(chance)), encoding), chance)
    return Case("compression", post(compressed, encoding=encoding), frozenset({200, 400, 413}))


def wrong_place(chance: Chance) -> Case:
    """Another method or another path."""
    sent = post(payload_of("no"))
    if chance.random() < 0.5:
        sent = sent.replace(b"POST", chance.choice((b"GET", b"PUT", b"DELETE", b"OPTIONS")), 1)
        return Case("method", sent, frozenset({405}))
    path = chance.choice((b"/", b"/v1/logs", b"/v1/traces/", b"//v1/traces", b"/%ff", b"/../etc"))
    return Case("path", sent.replace(b"/v1/traces", path, 1), frozenset({404}))


def declared_too_large(chance: Chance) -> Case:
    """A length above the limit."""
    length = chance.choice((64 * MIB + 1, 2**31, 2**32 + 5, 2**62))
    more = f"content-length: {length}\r\n" + chance.choice(("", "expect: 100-continue\r\n"))
    return Case("declared", head(PROTOBUF, "", more=more), frozenset({413}))


# HTTP/1.1.


def garbage(chance: Chance) -> Case:
    """Bytes that are no HTTP."""
    return Case("garbage", chance.randbytes(chance.randint(1, 3000)), ANY_REFUSAL, answered=False)


def damaged_head(chance: Chance) -> Case:
    """A request whose head was changed on its way."""
    sent = post(payload_of(*some_names(chance)), more="accept: */*\r\nuser-agent: fuzz\r\n")
    end = sent.index(b"\r\n\r\n") + 4
    changed = damaged(sent[:end], chance) + sent[end:]
    return Case("damaged head", changed, ANY_REFUSAL | {200}, answered=False)


def conflicting_framing(chance: Chance) -> Case:
    """More than one word on where the body ends."""
    words = ("content-length: 5\r\n", "content-length: 50\r\n", "transfer-encoding: chunked\r\n",
             "transfer-encoding: gzip, chunked\r\n", "content-length: 0x5\r\n",
             "transfer-encoding: identity\r\n", "content-length: \r\n",
             "transfer-encoding:\tchunked\r\n", "transfer-encoding: xchunked\r\n")  # fmt: skip
    more = "".join(chance.sample(words, 2))
    body = b"5\r\nabcde\r\n0\r\n\r\n"
    return Case("framing", head(PROTOBUF, "", more=more) + body, ANY_REFUSAL, answered=False)


def damaged_chunks(chance: Chance) -> Case:
    """A chunked body that was cut or changed on its way."""
    body = payload_of(*some_names(chance))
    size = chance.randint(1, 200)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    sent = head(PROTOBUF, "", more="transfer-encoding: chunked\r\n") + damaged(chunks, chance)
    return Case("damaged chunks", sent, ANY_REFUSAL | {200}, answered=False)


def large_head(chance: Chance) -> Case:
    """A head that is long, or of many lines."""
    more = chance.choice((
        "a: b\r\n" * 1000,
        f"a: {'b' * 100_000}\r\n",
        f"{'a' * 100_000}: b\r\n",
        "".join(f"h{number}: {'v' * 300}\r\n" for number in range(110)),
    ))  # fmt: skip
    return Case("large head", post(b"", more=more), frozenset({431}), answered=False)


def pipeline(chance: Chance) -> Case:
    """Requests that do not wait for each other, wrong ones among them."""
    sent = b"".join(
        CHEAP[chance.randrange(len(CHEAP) - 1)](chance).sent
        if chance.random() < 0.2
        else post(payload_of(*some_names(chance)))
        for _ in range(chance.randint(2, 12))
    )
    return Case("pipeline", sent, ANY_REFUSAL | {200}, answered=False)


def cut_off(chance: Chance) -> Case:
    """A request whose sender is gone in the middle."""
    sent = post(payload_of(*some_names(chance)))
    sent = sent[: chance.randrange(len(sent))]
    return Case("cut off", sent, frozenset({400, 408}), answered=False)


# What is dear.


def compress(body: bytes, encoding: str) -> bytes:
    """The body in this encoding."""
    return {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.compress}[encoding](
        body
    )


@cache
def zeros(encoding: str, mebibytes: int) -> bytes:
    """So many zeros, compressed piece by piece."""
    compressor = {
        "gzip": lambda: zlib.compressobj(9, zlib.DEFLATED, 31),
        "deflate": lambda: zlib.compressobj(9),
        "zstd": lambda: zstandard.ZstdCompressor(1).compressobj(),
    }[encoding]()
    block = bytes(MIB)
    return b"".join([*(compressor.compress(block) for _ in range(mebibytes)), compressor.flush()])


@cache
def ten_gigabytes() -> bytes:
    """A zip bomb of zstd, some hundred KB long, that would become 10 GB."""
    return zeros("zstd", 1024) * 10


def bomb(chance: Chance) -> Case:
    """A body that becomes more than the limit."""
    encoding = chance.choice(("gzip", "deflate", "zstd"))
    return Case("bomb", post(zeros(encoding, 260), encoding=encoding), frozenset({413}))


def bomb_of_members(chance: Chance) -> Case:
    """Many compressed members, each of them harmless."""
    if chance.random() < 0.5:
        return Case("10 GB", post(ten_gigabytes(), encoding="zstd"), frozenset({413}))
    encoding = chance.choice(("gzip", "zstd"))
    members = compress(b"", encoding) * 100_000
    return Case("members", post(members, encoding=encoding), frozenset({400}))


def huge_window(_: Chance) -> Case:
    """A frame that wants a window of a gigabyte."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=30)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = compressor.compress(payload_of("no")) + compressor.flush()
    return Case("window", post(frame, encoding="zstd"), frozenset({400}))


def many_attributes(chance: Chance) -> Case:
    """A span with a million attributes."""
    pairs = [field(0x4A, field(0x0A, b"a%d" % at) + b"\x12\x02\x18\x01") for at in range(1_000_000)]
    body = in_span(*pairs)
    if chance.random() < 0.5:
        return Case("attributes", post(compress(body, "zstd"), encoding="zstd"), FOR_SIZE | {200})
    return Case("attributes", post(body), FOR_SIZE | {200})


def many_parts(chance: Chance) -> Case:
    """Nothing but parts: empty attributes, spans, events, values, a few bytes each."""
    part = chance.choice((b"\x4a\x00", b"\x5a\x00"))
    return Case("parts", post(in_span(part * (2 * MIB))), FOR_SIZE | {200})


def too_large(_: Chance) -> Case:
    """A chunked body that goes on above the limit."""
    chunks = b"%x\r\n%s\r\n" % (MIB, bytes(MIB)) * 66
    return Case("too large", head(PROTOBUF, "", more="transfer-encoding: chunked\r\n") + chunks,
                frozenset({413}))  # fmt: skip


CHEAP: tuple[Kind, ...] = (
    noise, damaged_protobuf, damaged_protobuf, damaged_json, odd_json, deep_json, deep_protobuf,
    other_values, wrong_type, wrong_encoding, damaged_compression, wrong_place, declared_too_large,
    garbage, damaged_head, damaged_head, conflicting_framing, damaged_chunks, large_head, cut_off,
    pipeline,
)  # fmt: skip
BOMBS: tuple[Kind, ...] = (bomb, bomb_of_members, huge_window)
DEAR: tuple[Kind, ...] = (many_attributes, many_parts, too_large)
