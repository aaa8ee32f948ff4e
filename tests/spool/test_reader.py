"""The reader: damage costs what it hits and is handed out, and memory is bounded by a claim."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from random import Random
from typing import NamedTuple

import orjson
import pytest

from faults.size import sized
from scorespan.spool.acks import acks_path
from scorespan.spool.frames import FRAME_MAGIC, HEAD_SIZE, frame
from scorespan.spool.reader import DirectoryReader, Entry
from scorespan.spool.root import Route, directories
from scorespan.spool.segment import read_header, segments_of
from scorespan.spool.segment_reading import Faults
from scorespan.spool.segment_writer import SegmentWriter
from scorespan.spool.spool import Spool
from scorespan.telemetry import RepeatedLog

ROUTE = Route("http://mart", "one")
MANY = 10**9
PAGE = 4096


class Found(NamedTuple):
    """What a reader found in a directory, and what it counted."""

    whole: dict[int, bytes]
    damaged: list[Entry]
    faults: Faults

    def lost(self, written: dict[int, bytes]) -> set[int]:
        """What was written and not found; what was found must be what was written."""
        assert self.whole.items() <= written.items()
        return written.keys() - self.whole.keys()


def read(folder: Path, *, room: int = MANY, count: int = 1000) -> Found:
    """Claim all that is in a directory, and settle nothing."""
    faults = Faults(RepeatedLog())
    reader = DirectoryReader(folder, on_removed=lambda *_: None, faults=faults)
    entries: list[Entry] = []
    more = True
    while more:
        found, _, more = reader.claim(room, count)
        assert found or not more
        entries += found
    whole = {entry.sequence: entry.body for entry in entries if not entry.damaged}
    damaged = [entry for entry in entries if entry.damaged]
    assert len(whole) + len(damaged) == len(entries)
    return Found(whole, damaged, faults)


def write(folder: Path, count: int, size: int, *, seal: bool = True) -> dict[int, bytes]:
    """One segment of entries of about this size; by number."""
    random = Random(size)
    writer = SegmentWriter(folder / "00000001.segment", 1, {"owner": "test"})
    bodies = {}
    for number in range(1, count + 1):
        bodies[number] = b'{"number": %d, "' % number + random.randbytes(size).hex().encode()[:size]
        writer.append(number, [bodies[number]], len(bodies[number]))
    if seal:
        writer.seal()
    writer.close()
    return bodies


def test_a_flipped_bit_costs_at_most_its_record(tmp_path: Path):
    """Wherever it is; the damaged bytes are handed out, with what can be read of the record."""
    written = write(tmp_path, 60, 300)
    path = tmp_path / "00000001.segment"
    content = path.read_bytes()
    random = Random(10)
    for _ in range(sized(300, 3000)):
        place = random.randrange(len(content))
        path.write_bytes(
            content[:place]
            + bytes([content[place] ^ 1 << random.randrange(8)])
            + content[place + 1 :]
        )
        found = read(tmp_path)
        lost = found.lost(written)
        assert len(lost) <= 1
        assert found.faults.lost_entries == len(lost)
        for number in lost:
            (damaged,) = found.damaged
            assert len(damaged.body) == len(written[number]) + HEAD_SIZE
            at = -damaged.sequence
            assert at <= place < at + len(damaged.body)
            assert path.read_bytes()[at : at + len(damaged.body)] == damaged.body


def test_a_zeroed_page_costs_only_what_stood_on_it(tmp_path: Path):
    """All records that do not touch it are read; the seal tells how many are gone."""
    written = write(tmp_path, 300, 300)
    path = tmp_path / "00000001.segment"
    content = path.read_bytes()
    places = {number: content.index(body) for number, body in written.items()}
    random = Random(11)
    for _ in range(sized(40, 300)):
        start = random.randrange(len(content) // PAGE) * PAGE
        path.write_bytes(content[:start] + bytes(PAGE) + content[start + PAGE :])
        found = read(tmp_path, room=20_000)
        touched = {
            number
            for number, place in places.items()
            if place - HEAD_SIZE < start + PAGE and place + len(written[number]) > start
        }
        assert found.lost(written) <= touched
        assert found.faults.lost_entries == len(found.lost(written))
        assert found.faults.damaged_bytes >= PAGE - 2 * 400


def test_a_cut_tail_costs_only_what_was_cut(tmp_path: Path):
    """At each of the last 400 bytes every record before the cut is kept."""
    written = write(tmp_path, 20, 100, seal=False)
    path = tmp_path / "00000001.segment"
    content = path.read_bytes()
    ends = {number: content.index(body) + len(body) for number, body in written.items()}
    for cut in range(1, 401):
        path.write_bytes(content[:-cut])
        found = read(tmp_path)
        assert found.lost(written) == {
            number for number, end in ends.items() if end > len(content) - cut
        }
        torn = b"".join(entry.body for entry in found.damaged)
        assert content[:-cut].endswith(torn)


def test_each_broken_frame_is_handed_out_for_itself(tmp_path: Path):
    """Two damaged neighbours are two letters, each with its own record's bytes."""
    written = write(tmp_path, 5, 100)
    path = tmp_path / "00000001.segment"
    broken = {number: body[:20] + b"?" + body[21:] for number, body in written.items()}
    content = path.read_bytes()
    for number in (2, 3):
        content = content.replace(written[number], broken[number])
    path.write_bytes(content)
    found = read(tmp_path)
    assert [entry.body[HEAD_SIZE:] for entry in found.damaged] == [broken[2], broken[3]]
    assert all(entry.body.startswith(FRAME_MAGIC) for entry in found.damaged)


def test_a_frame_with_an_unknown_flag_is_damaged(tmp_path: Path):
    """Nobody here knows what the flag says of the body, so it is no record."""
    path = tmp_path / "00000001.segment"
    writer = SegmentWriter(path, 1, {})
    writer.append(1, [b"one"], 3)
    writer.close()
    unknown = b"".join(frame(2, 0x0001, [b"packed"], 6))
    path.write_bytes(path.read_bytes() + unknown + b"".join(frame(3, 0, [b"three"], 5)))
    found = read(tmp_path)
    assert found.whole == {1: b"one", 3: b"three"}
    assert [entry.body for entry in found.damaged] == [unknown]


@pytest.mark.parametrize("room", [1, 500, 100_000])
def test_a_claim_is_bounded_by_bytes_or_one_entry(tmp_path: Path, room: int):
    """A large entry waits for a claim of its own; none is left out."""
    writer = SegmentWriter(tmp_path / "00000001.segment", 1, {})
    sizes = [10, 200, 300, 0, 1_500_000, 20, 131_072, 131_073 - HEAD_SIZE, 5]
    for number, size in enumerate(sizes, 1):
        writer.append(number, [b"x" * size], size)
    writer.close()
    faults = Faults(RepeatedLog())
    reader = DirectoryReader(tmp_path, on_removed=lambda *_: None, faults=faults)
    found: list[int] = []
    more = True
    while more:
        entries, _, more = reader.claim(room, 100)
        assert len(entries) == 1 or sum(len(entry.body) for entry in entries) <= room
        found += [len(entry.body) for entry in entries]
    assert found == sizes


def test_the_other_file_version_is_read_alike(tmp_path: Path):
    """What the next version of this library writes, and the one before read, is read here."""
    written = write(tmp_path, 3, 50)
    path = tmp_path / "00000001.segment"
    path.write_bytes(b"scspool\x02" + path.read_bytes()[8:])
    assert read(tmp_path).whole == written


def test_a_segment_of_an_unknown_version_is_left_alone(
    root: Path, caplog: pytest.LogCaptureFixture
):
    """It is neither delivered nor deleted, and said once; what else is there is delivered."""
    dead = Spool(root, ROUTE, max_bytes=MANY)
    dead.put([b"ours"])
    dead._writer.roll()
    dead.abandon()
    foreign = dead.path / "00000009.segment"
    header = b"".join(frame(0, 0x8000, [orjson.dumps({"version": 3})], 13))
    foreign.write_bytes(b"scspool\x03" + header + b"".join(frame(1, 0, [b"theirs"], 6)))
    content = foreign.read_bytes()
    heir = Spool(root, ROUTE, max_bytes=MANY)
    with caplog.at_level(logging.WARNING):
        assert heir.adopt() == [dead.path]
        entries = heir.claim(MANY, 10).entries
        assert [entry.body for entry in entries] == [b"ours"]
        mark = heir.mark()
        heir.settle(entries)
        heir.claim(MANY, 10)
        heir.claim(MANY, 10)
    assert heir.passed(mark)
    assert [record.message for record in caplog.records if "newer version" in record.message] == [
        "spool: segments of a newer version are left as they are"
    ]
    assert foreign.read_bytes() == content
    assert heir.adopt() == []
    assert heir.damaged_bytes == 0
    heir.close()
    assert directories(root) == [dead.path]


def test_one_wrong_byte_makes_no_foreign_version(tmp_path: Path):
    """The header says the version, too, and has a checksum."""
    written = write(tmp_path, 3, 50)
    path = tmp_path / "00000001.segment"
    path.write_bytes(b"scspool\x41" + path.read_bytes()[8:])
    assert read(tmp_path).whole == written


def test_a_seal_tells_what_is_gone_without_a_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Records that left not even damage behind are counted as lost."""
    written = write(tmp_path, 5, 50)
    path = tmp_path / "00000001.segment"
    content = path.read_bytes()
    start = content.index(written[2]) - HEAD_SIZE
    end = content.index(written[4]) - HEAD_SIZE
    path.write_bytes(content[:start] + content[end:])
    with caplog.at_level(logging.WARNING):
        found = read(tmp_path)
    assert found.lost(written) == {2, 3}
    assert not found.damaged
    assert found.faults.lost_entries == 2
    assert "lacks 2 of its 5 entries" in caplog.text


def test_damage_keeps_its_segment_until_it_is_settled(root: Path):
    """It is met again after a restart; settled, it does not come again and the file goes."""
    dead = Spool(root, ROUTE, max_bytes=MANY)
    for number in range(3):
        dead.put([b"body-%d" % number])
    dead.abandon()
    (segment,) = segments_of(dead.path)
    segment.write_bytes(segment.read_bytes().replace(b"body-1", b"bodyX1"))
    for _ in range(2):
        heir = Spool(root, ROUTE, max_bytes=MANY)
        heir.adopt()
        entries = heir.claim(MANY, 10).entries
        heir.settle([entry for entry in entries if not entry.damaged])
        (damaged,) = [entry for entry in entries if entry.damaged]
        assert segment.exists()
        heir.abandon()
    heir = Spool(root, ROUTE, max_bytes=MANY)
    heir.adopt()
    (damaged,) = heir.claim(MANY, 10).entries
    assert damaged.damaged
    heir.release()
    (damaged,) = heir.claim(MANY, 10).entries
    assert heir.damaged_bytes == len(damaged.body)
    heir.settle([damaged])
    assert not segment.exists()
    heir.close()


def test_settled_damage_does_not_come_again_with_a_release(root: Path):
    """A fault of ours elsewhere repeats nothing that is settled."""
    dead = Spool(root, ROUTE, max_bytes=MANY)
    for number in range(3):
        dead.put([b"body-%d" % number])
    dead.abandon()
    (segment,) = segments_of(dead.path)
    segment.write_bytes(segment.read_bytes().replace(b"body-1", b"bodyX1"))
    heir = Spool(root, ROUTE, max_bytes=MANY)
    heir.adopt()
    entries = heir.claim(MANY, 10).entries
    heir.settle([entry for entry in entries if entry.damaged])
    heir.release()
    assert [entry.body for entry in heir.claim(MANY, 10).entries] == [b"body-0", b"body-2"]
    heir.close()


@pytest.mark.parametrize("what", ["gone", "empty", "noise", "older"])
@pytest.mark.parametrize("name", ["owner", "acks", "status.json"])
def test_what_stands_beside_the_segments_may_be_damaged(root: Path, name: str, what: str):
    """Nothing is ever started empty: at worst what was settled comes again."""
    dead = Spool(root, ROUTE, max_bytes=MANY)
    dead.put([b"zero"])
    dead.settle(dead.claim(MANY, 1).entries)
    (segment,) = segments_of(dead.path)
    path = acks_path(segment) if name == "acks" else dead.path / name
    older = path.read_bytes() if path.exists() else b""
    for number in range(10):
        dead.put([b"%d" % number])
    dead.settle(dead.claim(MANY, 4).entries)
    dead.abandon()
    contents = {"empty": b"", "noise": b"\xff\x00{" * 7, "older": older}
    path.unlink(missing_ok=True)
    if what != "gone":
        path.write_bytes(contents[what])
    heir = Spool(root, ROUTE, max_bytes=MANY)
    assert heir.adopt() == [dead.path]
    entries = heir.claim(MANY, 100).entries
    assert {entry.body for entry in entries} >= {b"%d" % number for number in range(4, 10)}
    assert not any(entry.damaged for entry in entries)
    heir.settle(entries)
    heir.claim(MANY, 1)
    heir.close()
    assert directories(root) == []


def test_missing_and_touched_segments_stop_nothing(root: Path):
    """Order goes by number; a file that is gone, or goes while it is read, is stepped over."""
    dead = Spool(root, ROUTE, max_bytes=MANY)
    for number in range(6):
        dead.put([b"%d" % number])
        dead._writer.roll()
    dead.abandon()
    segments = segments_of(dead.path)
    segments[1].unlink()
    os.utime(segments[2], (0, 0))
    os.utime(segments[0])
    (dead.path / "notes.segment").write_bytes(b"not ours")
    heir = Spool(root, ROUTE, max_bytes=MANY)
    heir.adopt()
    first = heir.claim(1, 1).entries
    segments[3].unlink()
    rest = heir.claim(MANY, 10).entries
    assert [entry.body for entry in first + rest] == [b"0", b"2", b"4", b"5"]
    heir.settle(first + rest)
    heir.claim(MANY, 10)
    heir.close()


def test_a_mark_is_passed_when_all_before_it_is_settled(root: Path):
    """What is put later does not hold it up; what was adopted before does."""
    dead = Spool(root, ROUTE, max_bytes=MANY)
    dead.put([b"old"])
    dead.abandon()
    spool = Spool(root, ROUTE, max_bytes=MANY, sync_seconds=None)
    assert not spool.claim(MANY, 10).entries
    assert spool.passed(spool.mark())
    spool.adopt()
    spool.put([b"one"])
    spool._writer.roll()
    spool.put([b"two"])
    mark = spool.mark()
    spool.put([b"three"])
    assert not spool.passed(mark)
    old, one, two, three = spool.claim(MANY, 10).entries
    spool.settle([one, two])
    assert not spool.passed(mark)
    spool.settle([old])
    spool.claim(MANY, 10)
    assert spool.passed(mark)
    assert not spool.passed(spool.mark())
    spool.settle([three])
    assert spool.passed(spool.mark())
    spool.close()


def test_the_oldest_is_the_begin_of_the_oldest_unsettled_segment(root: Path):
    """An empty spool has none; what a dead process left is older than what is put now."""
    dead = Spool(root, ROUTE, max_bytes=MANY)
    dead.put([b"old"])
    dead.abandon()
    header = read_header(segments_of(dead.path)[0])
    spool = Spool(root, ROUTE, max_bytes=MANY)
    assert spool.claim(MANY, 10).entries == []
    assert spool.oldest() is None
    spool.adopt()
    spool.put([b"new"])
    assert header is not None
    assert spool.oldest() == header["created"]
    spool.settle(spool.claim(MANY, 1).entries)
    later = spool.oldest()
    assert later is not None
    assert later > header["created"]
    spool.settle(spool.claim(MANY, 1).entries)
    assert spool.oldest() is None
    spool.close()
