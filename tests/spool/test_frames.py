"""Frames: what is written is read back, and damage costs only what it hits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorespan.spool.frames import FLAG_SEAL, HEAD_SIZE, frame, read_frame
from scorespan.spool.segment import SegmentRead, read_segment
from scorespan.spool.segment_writer import SegmentWriter

BODIES = st.lists(st.binary(max_size=300), min_size=1, max_size=20)


def write_segment(folder: Path, bodies: list[bytes]) -> Path:
    """A segment that holds these entries, numbered from 1."""
    path = folder / "00000001.segment"
    path.unlink(missing_ok=True)
    writer = SegmentWriter(path, 1, {"owner": "test"})
    for sequence, body in enumerate(bodies, 1):
        writer.append(sequence, [body], len(body))
    writer.close()
    return path


def read_all(path: Path, max_bytes: int = 1000) -> SegmentRead:
    """Everything in a segment, read in small pieces."""
    end = path.stat().st_size
    frames, damage, offset = [], [], 0
    while offset < end:
        read = read_segment(path, offset, end, max_bytes=max_bytes, max_frames=3)
        frames += read.frames
        damage += read.damage
        assert read.offset > offset
        offset = read.offset
    return SegmentRead(frames, offset, damage)


def entries(path: Path, max_bytes: int = 1000) -> dict[int, bytes]:
    """The entries of a segment by sequence."""
    return {
        found.sequence: found.body for found in read_all(path, max_bytes).frames if not found.flags
    }


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=4), st.integers(0, 2**64 - 1))
def test_a_frame_is_read_back_as_it_was_written(pieces: list[bytes], sequence: int):
    """Sequence, flags and the joined pieces come back; the frame ends where it says."""
    body = b"".join(pieces)
    whole = b"".join(frame(sequence, FLAG_SEAL, pieces, len(body)))
    assert len(whole) == HEAD_SIZE + len(body)
    assert read_frame(whole, 0) == (sequence, FLAG_SEAL, body, len(whole))


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_is_always_seen(body: bytes, place: int, bit: int):
    """A frame with one wrong bit is no frame, wherever the bit is."""
    whole = bytearray(b"".join(frame(7, 0, [body], len(body))))
    whole[place % len(whole)] ^= 1 << bit
    assert read_frame(bytes(whole), 0) is None


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_no_frames(noise: bytes):
    """Noise is no frame."""
    assert read_frame(noise, 0) is None


@pytest.mark.parametrize("max_bytes", [1, 64, 1000, 10**6])
def test_a_segment_gives_back_its_entries_whatever_is_read_at_a_time(
    tmp_path: Path, max_bytes: int
):
    """Entries smaller and larger than one read come whole and in order."""
    bodies = [b"a" * size for size in (0, 1, 63, 64, 65, 5000, 10)]
    path = write_segment(tmp_path, bodies)
    assert list(entries(path, max_bytes).values()) == bodies
    assert not read_all(path, max_bytes).damage


def test_a_torn_tail_costs_only_the_torn_entry(tmp_path: Path):
    """Cut at each of the last 400 bytes, every entry before the cut is kept."""
    bodies = [bytes([number]) * 90 for number in range(10)]
    path = write_segment(tmp_path, bodies)
    content = path.read_bytes()
    for cut in range(1, 401):
        path.write_bytes(content[:-cut])
        whole = 10 - -(-cut // (HEAD_SIZE + 90))
        assert list(entries(path).values()) == bodies[:whole]


@settings(deadline=None)
@given(BODIES, st.data())
def test_a_damaged_byte_costs_at_most_one_entry(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes], data: st.DataObject
):
    """Whatever byte of the file is wrong, all other entries are read, and none is wrong."""
    path = write_segment(tmp_path_factory.mktemp("damage"), bodies)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    written = dict(enumerate(bodies, 1))
    found = entries(path)
    assert len(found) >= len(bodies) - 1
    assert all(written[sequence] == body for sequence, body in found.items())


def test_a_zeroed_page_costs_only_what_stood_on_it(tmp_path: Path):
    """A page of zeros is stepped over and reported with its size."""
    bodies = [bytes([number]) * 1000 for number in range(40)]
    path = write_segment(tmp_path, bodies)
    content = bytearray(path.read_bytes())
    content[8192:12288] = bytes(4096)
    path.write_bytes(content)
    found = entries(path)
    assert len(found) >= 40 - 6
    assert all(bodies[sequence - 1] == body for sequence, body in found.items())
    assert sum(damage.end - damage.start for damage in read_all(path).damage) >= 4096


def test_a_body_that_holds_frames_is_one_entry(tmp_path: Path):
    """An entry whose body looks like the spool's own frames does not confuse the reader."""
    inner = b"".join(frame(99, 0, [b"inner"], 5))
    bodies = [inner * 3, b"after"]
    assert list(entries(write_segment(tmp_path, bodies)).values()) == bodies
