"""Bodies are decompressed within a bound, and what is none is refused."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from scorespan.errors import ReceiverError
from scorespan.receiver.decompression import check_encoding, decompressed

LIMIT = 256 * 1024 * 1024
COMPRESS = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
}
COMPRESSED = [name for name in COMPRESS if name not in {"", "identity"}]


def refused(body: bytes, encoding: str, limit: int = LIMIT, **more) -> ReceiverError:
    """What a body is refused with."""
    with pytest.raises(ReceiverError) as caught:
        decompressed(body, encoding, limit, **more)
    return caught.value


@pytest.mark.parametrize("encoding", COMPRESS)
@given(body=st.binary(max_size=3000), copies=st.integers(1, 300))
@example(body=b"", copies=1)
def test_a_body_comes_back_as_it_was(encoding, body, copies):
    """What a sender has compressed is what is read, byte for byte."""
    body *= copies
    compressed = COMPRESS[encoding](body)
    assert decompressed(compressed, encoding, len(body)) == body


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_large_bodies_come_back_whole(encoding):
    """A body of many pieces is put together in order."""
    body = b"".join(str(number).encode() for number in range(700_000))
    assert decompressed(COMPRESS[encoding](body), f" {encoding.upper()} ", LIMIT) == body


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_members_that_follow_each_other_are_one_body(encoding):
    """A body may be made of several compressed ones, empty ones among them."""
    members = [COMPRESS[encoding](part) for part in (b"one", b"", b"two" * 50_000, b"three")]
    whole = b"one" + b"two" * 50_000 + b"three"
    assert decompressed(b"".join(members), encoding, LIMIT) == whole


@pytest.mark.parametrize("encoding", COMPRESS)
def test_the_bound_is_exact(encoding):
    """As much as the limit is taken, a byte more is 413."""
    body = bytes(70_000)
    assert decompressed(COMPRESS[encoding](body), encoding, 70_000) == body
    assert refused(COMPRESS[encoding](body), encoding, 69_999).status == 413


@pytest.mark.parametrize("encoding", COMPRESSED)
@given(body=st.binary(min_size=1, max_size=400), part=st.floats(0, 1, exclude_max=True))
def test_a_body_cut_short_is_refused(encoding, body, part):
    """Of a compressed body no beginning is taken for the whole."""
    compressed = COMPRESS[encoding](body)
    assert refused(compressed[: int(len(compressed) * part)], encoding).status == 400


@pytest.mark.parametrize("encoding", COMPRESSED)
@given(body=st.binary(min_size=1, max_size=400))
@example(body=b"\x28\xb5\x2f\xfd")
def test_arbitrary_bytes_are_refused(encoding, body):
    """What is not compressed is 400 (no member of these formats begins by chance)."""
    assert refused(b"\x00" + body, encoding).status == 400
    assert refused(COMPRESS[encoding](body) + b"\x00rest", encoding).status == 400


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "snappy", "x" * 5000])
def test_another_encoding_is_refused(encoding):
    """An encoding that is not known is 415, said in few words."""
    error = refused(b"body", encoding)
    assert error.status == 415
    assert len(error.reason) < 100
    with pytest.raises(ReceiverError):
        check_encoding(encoding)


def zeros(encoding: str, size: int) -> bytes:
    """So many zeros, compressed without having them all."""
    compressor = {
        "gzip": lambda: zlib.compressobj(9, zlib.DEFLATED, 31),
        "deflate": lambda: zlib.compressobj(9),
        "zstd": lambda: zstandard.ZstdCompressor(1).compressobj(),
    }[encoding]()
    block = bytes(4 * 1024 * 1024)
    pieces = [compressor.compress(block) for _ in range(size // len(block))]
    return b"".join([*pieces, compressor.flush()])


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_bomb_stops_at_the_bound(encoding):
    """However much a body would become, no more than the limit and one piece is ever made."""
    most = 0

    def hold(size: int) -> None:
        nonlocal most
        most = size

    bomb = zeros(encoding, 128 * 1024 * 1024)
    assert len(bomb) < 200_000
    assert refused(bomb, encoding, 32 * 1024 * 1024, hold=hold).status == 413
    assert most <= 32 * 1024 * 1024


def test_no_room_ends_it_in_the_middle():
    """Where the budget has no room for more, that is the answer."""

    def hold(size: int) -> None:
        if size > 5_000_000:
            raise ReceiverError(503, "no room", retry_after=1)

    assert refused(zeros("gzip", 64 * 1024 * 1024), "gzip", hold=hold).status == 503


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_million_empty_members_are_refused_early(encoding):
    """Members that hold nothing are not worth the time they take."""
    before = time.process_time()
    assert refused(COMPRESS[encoding](b"") * 1_000_000, encoding).status == 400
    assert time.process_time() - before < 30


def test_a_huge_window_is_refused():
    """A zstd frame that wants a window of 1 GiB gets none."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=30)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = compressor.compress(b"body") + compressor.flush()
    assert "memory" in refused(frame, "zstd").reason
