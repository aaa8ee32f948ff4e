"""Putting many at once: one write for a part, one sync for all, all of it or a clear no."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from errno import EDQUOT, EIO, ENOSPC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.disks import fill, small_disk
from running import wait_until
from scorespan.errors import SpoolClosedError, SpoolError, SpoolFullError
from scorespan.spool.files import Files, Piece
from scorespan.spool.root import prepare_root
from scorespan.spool.segment import segments_of
from scorespan.spool.segment_log import SEGMENT_BYTES
from scorespan.spool.segment_writer import SegmentWriter
from scorespan.spool.spool import Spool
from spool.parts import MANY, ROUTE, Bodies, bodies, inherited

MIB = 1024 * 1024


class CountingFiles(Files):
    """The real file system, which counts, and stops or fails when it is told to.

    Attributes:
        writes: bytes that each write was asked for.
        syncs: how many syncs there were.
        room: bytes that the next writes take in all; None: any.
        no_room: the error that the write behind that meets.
        interrupted: whether a signal handler raises behind each write.
        cuts_fail: whether nothing can be cut off.
        failing: asked before each sync whether it fails.
    """

    def __init__(self) -> None:
        self.writes: list[int] = []
        self.syncs = 0
        self.room: int | None = None
        self.no_room = ENOSPC
        self.interrupted = self.cuts_fail = False
        self.failing: Callable[[], bool] = lambda: False

    def writev(self, descriptor: int, pieces: Sequence[Piece]) -> int:
        """Write, as far as there is room."""
        self.writes.append(sum(map(len, pieces)))
        if self.interrupted:
            super().writev(descriptor, pieces)
            raise TimeoutError
        if self.room is None:
            return super().writev(descriptor, pieces)
        if not self.room:
            raise OSError(self.no_room, os.strerror(self.no_room))
        taken = os.write(descriptor, b"".join(pieces)[: self.room])
        self.room -= taken
        return taken

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut, or fail."""
        if self.cuts_fail:
            raise OSError(EIO, os.strerror(EIO))
        super().truncate(descriptor, size)

    def datasync(self, descriptor: int) -> None:
        """Sync, or fail."""
        if self.failing():
            raise OSError(EIO, os.strerror(EIO))
        self.syncs += 1
        super().datasync(descriptor)


@pytest.fixture
def files() -> CountingFiles:
    """A file system that counts."""
    return CountingFiles()


@pytest.fixture
def spool(root: Path, files: CountingFiles) -> Iterator[Spool]:
    """A durable spool whose thread does nothing by itself."""
    opened = Spool(
        root, ROUTE, max_bytes=MANY, min_free=0, durable=True, files=files, sync_seconds=None
    )
    files.writes.clear()
    yield opened
    opened.abandon()


def put_all(spool: Spool, *parts: Bodies) -> None:
    """Put parts whose size is told."""
    spool.put_all(parts, sum(len(body) for part in parts for body in part.bodies))


@settings(deadline=None)
@given(st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=8), max_size=5))
def test_many_are_written_as_one_after_another_is(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[bytes]]
):
    """The bytes of a segment do not say how its entries came."""
    folder = tmp_path_factory.mktemp("segments")
    one, many = (SegmentWriter(folder / f"{name}.segment", 1, {}) for name in ("one", "many"))
    number = 0
    for part in parts:
        numbers = range(number + 1, number + 1 + len(part))
        for number, body in zip(numbers, part, strict=True):
            one.append(number, [body], len(body))
        many.append_all(numbers, [[body[:3], body[3:]] for body in part])
    for writer in (one, many):
        writer.seal()
        writer.close()
    assert one.path.read_bytes() == many.path.read_bytes()


@pytest.mark.parametrize("count", [1, 512, 513, 5000])
def test_a_part_is_one_write_and_a_put_one_sync(spool: Spool, files: CountingFiles, count: int):
    """However many entries there are; then all are on the disk."""
    expected = [b"%d" % number for number in range(count)]
    put_all(spool, Bodies(expected))
    assert (len(files.writes), files.syncs) == (1, 1)
    assert spool.synced
    assert spool.waiting == count
    assert bodies(spool) == expected
    put_all(spool, Bodies([b"a"]), Bodies([b"b", b"c"]))
    assert (len(files.writes), files.syncs) == (3, 2)
    assert bodies(spool) == [b"a", b"b", b"c"]


def test_nothing_at_all_is_put_at_once(spool: Spool, files: CountingFiles):
    """It needs no write and no sync."""
    put_all(spool)
    assert (files.writes, files.syncs) == ([], 0)


def test_a_large_put_goes_on_in_other_segments(root: Path, spool: Spool, files: CountingFiles):
    """So that what is delivered gives its disk back; and little is kept in memory."""
    parts = [Bodies([b"%d" % number + b"x" * 4 * MIB]) for number in range(15)]
    put_all(spool, *parts)
    sizes = [segment.stat().st_size for segment in segments_of(spool.path)]
    assert len(sizes) > 2
    assert max(sizes) < SEGMENT_BYTES + 5 * MIB
    assert files.syncs < 10
    spool.abandon()
    assert [body[:2] for body in inherited(root)] == [part.bodies[0][:2] for part in parts]


@pytest.mark.parametrize("no_room", [ENOSPC, EDQUOT])
@pytest.mark.parametrize("taken", [0, 1, 21, 22, 23, 100])
def test_of_a_part_that_has_no_room_nothing_stays(
    root: Path, spool: Spool, files: CountingFiles, taken: int, no_room: int
):
    """It is told so, the part before it stays, and the next put stands behind that."""
    files.no_room = no_room
    first, second = Bodies([b"first"]), Bodies([b"x" * 30, b"y" * 30, b"z" * 30])
    files.room = 22 + 5 + taken
    with pytest.raises(SpoolFullError):
        put_all(spool, first, second)
    assert (first.taken_back, second.taken_back) == (0, 1)
    files.room = None
    put_all(spool, Bodies([b"after"]))
    assert bodies(spool) == [b"first", b"after"]
    spool.abandon()
    assert inherited(root) == [b"first", b"after"]


def test_what_a_signal_handler_interrupted_is_not_taken_back(spool: Spool, files: CountingFiles):
    """It is there, though who put it is told no; and stays, where the sync fails."""
    part = Bodies([b"there"])
    files.interrupted = True
    with pytest.raises(SpoolError, match="TimeoutError"):
        put_all(spool, part)
    files.interrupted = False
    answers = iter([True])
    files.failing = lambda: next(answers, False)
    put_all(spool, Bodies([b"after"]))
    assert part.taken_back == 0
    assert spool.sync_failures == 1
    assert bodies(spool) == [b"there", b"after"]


def test_what_cannot_be_cut_off_is_not_taken_back(spool: Spool, files: CountingFiles):
    """Some of it may be there for whoever reads the file."""
    part = Bodies([b"first", b"x" * 100])
    files.room = 22 + 5 + 22
    files.cuts_fail = True
    with pytest.raises(SpoolError, match="Input/output"):
        put_all(spool, part)
    assert part.taken_back == 0


def test_room_is_asked_for_all_before_anything_is_written(root: Path, files: CountingFiles):
    """The bound is not reached by a part of what was asked; what fits is taken."""
    spool = Spool(root, ROUTE, max_bytes=10_000, min_free=0, files=files, sync_seconds=None)
    parts = [Bodies([b"x" * 4000]) for _ in range(3)]
    put_all(spool, parts[0])
    files.writes.clear()
    with pytest.raises(SpoolFullError, match="of 10000 bytes: no room for 8000 more"):
        put_all(spool, *parts[1:])
    assert files.writes == []
    put_all(spool, parts[1])
    assert spool.refusal() is None
    assert len(bodies(spool)) == 2
    while spool.size + 122 <= 10_000:
        spool.put([b"x" * 100])
    assert "of 10000 bytes" in str(spool.refusal())
    spool.abandon()


def test_the_disk_is_asked_for_all_before_anything_is_written(tmp_path: Path):
    """What would go below the floor is refused whole, though the floor is not reached yet."""
    with small_disk(tmp_path / "disk", 16, "tmpfs") as disk:
        root = disk / "spool"
        prepare_root(root)
        spool = Spool(root, ROUTE, max_bytes=MANY, min_free=4 * MIB, sync_seconds=None)
        put_all(spool, Bodies([b"x" * MIB]))
        with pytest.raises(SpoolFullError, match="nearly full: no room for 11"):
            put_all(spool, *(Bodies([b"x" * MIB]) for _ in range(11)))
        assert len(bodies(spool)) == 1
        assert spool.refusal() is None
        fill(disk, leave=MIB)
        spool._writer.wake.clear()
        with pytest.raises(SpoolFullError, match="nearly full"):
            put_all(spool, Bodies([b"y"]))
        assert spool._writer.wake.is_set()
        spool.keep_ballast()
        assert spool.refusal() == "the disk is nearly full"
        spool.abandon()


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "written"])
def test_a_failed_sync_of_many_is_made_good_by_another_file(
    root: Path, files: CountingFiles, durable: bool
):
    """From memory, and from the file where memory has not all of it."""
    spool = Spool(
        root, ROUTE, max_bytes=MANY, min_free=0, durable=durable, files=files, sync_seconds=None
    )
    expected = [b"%d" % number + b"x" * 700 for number in range(2000)]
    answers = iter([True])
    files.failing = lambda: next(answers, False)
    kept, read_back = Bodies(expected[:1000]), Bodies(expected[1000:])
    # Memory keeps the first part only.
    spool._writer.segments.live._keep_to = 800_000
    put_all(spool, kept, read_back)
    spool.sync()
    assert spool.synced
    assert spool.sync_failures == 1
    spool.abandon()
    assert inherited(root) == expected


def test_a_put_that_the_disk_fails_is_told_so(spool: Spool, files: CountingFiles):
    """So are those that follow, before they write; and again yes when it works."""
    files.failing = lambda: True
    part = Bodies([b"x"])
    with pytest.raises(SpoolError, match="the disk fails: Input/output"):
        put_all(spool, part)
    assert part.taken_back == 0  # it may be there
    assert "the disk fails" in str(spool.refusal())
    files.writes.clear()
    with pytest.raises(SpoolError, match="the disk fails"):
        put_all(spool, Bodies([b"y"]))
    assert files.writes == []
    files.failing = lambda: False
    spool.sync()
    assert spool.refusal() is None
    put_all(spool, Bodies([b"z"]))
    assert bodies(spool) == [b"z"]


def test_a_sync_that_failed_between_two_parts_is_no_yes(spool: Spool, files: CountingFiles):
    """What it left is forgotten, even where the disk works again before the next part comes."""
    whole = Bodies([b"kept"])

    def parts() -> Iterator[Bodies]:
        yield Bodies([b"lost"])
        files.failing = lambda: True
        with pytest.raises(OSError, match="Input/output"):
            spool.sync()
        files.failing = lambda: False
        spool.sync()
        yield whole

    with pytest.raises(SpoolError, match="the disk fails: Input/output"):
        spool.put_all(parts(), 8)
    assert spool.refusal() is None
    put_all(spool, whole)
    assert b"lost" not in bodies(spool)


def test_puts_of_many_threads_share_their_syncs(spool: Spool, files: CountingFiles):
    """Those that come while one is under way are synced together by the next."""
    gate, entered = threading.Event(), threading.Event()

    def slow() -> bool:
        entered.set()
        assert gate.wait(60)
        return False

    files.failing = slow
    threads = [
        threading.Thread(target=put_all, args=(spool, Bodies([b"%d" % n] * 10))) for n in range(20)
    ]
    threads[0].start()
    assert entered.wait(60)
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: spool._writer.segments.live.count == 200, "all have written")
    gate.set()
    for thread in threads:
        thread.join(60)
    assert files.syncs == 2
    assert len(bodies(spool)) == 200


def test_a_closed_spool_says_so(root: Path):
    """To a put, and to who asks."""
    spool = Spool(root, ROUTE, max_bytes=MANY, min_free=0)
    assert spool.refusal() is None
    spool.close()
    assert spool.refusal() == "the spool is closed"
    with pytest.raises(SpoolClosedError):
        put_all(spool, Bodies([b"late"]))
