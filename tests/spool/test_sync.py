"""Syncing: nobody is told yes before the disk has it, and a failed sync loses nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from errno import EIO
from pathlib import Path

import pytest

from running import wait_until
from scorespan.errors import SpoolClosedError, SpoolError, SpoolFullError
from scorespan.spool.files import Files, Piece
from scorespan.spool.root import directories
from scorespan.spool.segment import segments_of
from scorespan.spool.segment_writer import SegmentWriter
from scorespan.spool.spool import Spool
from scorespan.spool.sync import SyncThread
from scorespan.threads import Bell
from spool.parts import MANY, ROUTE, bodies, inherited


class FailingFiles(Files):
    """The real file system, whose syncs fail when they are told to.

    Attributes:
        failing: asked before each sync whether it fails.
        synced: what was synced, in order.
    """

    def __init__(self, failing: Callable[[], bool] = lambda: False) -> None:
        self.failing = failing
        self.synced: list[int] = []
        self.writes_fail = False
        self.cuts_fail = False

    def datasync(self, descriptor: int) -> None:
        """Sync, or fail."""
        if self.failing():
            raise OSError(EIO, os.strerror(EIO))
        self.synced.append(descriptor)
        super().datasync(descriptor)

    def writev(self, descriptor: int, pieces: Sequence[Piece]) -> int:
        """Write, or stop in the middle."""
        if self.writes_fail:
            os.write(descriptor, b"".join(pieces)[:5])
            raise OSError(EIO, os.strerror(EIO))
        return super().writev(descriptor, pieces)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut, or fail."""
        if self.cuts_fail:
            raise OSError(EIO, os.strerror(EIO))
        super().truncate(descriptor, size)


@pytest.fixture
def files() -> FailingFiles:
    """A file system that can fail."""
    return FailingFiles()


@pytest.fixture
def spool(root: Path, files: FailingFiles) -> Iterator[Spool]:
    """A spool that syncs when the test says so."""
    opened = Spool(root, ROUTE, max_bytes=MANY, files=files, sync_seconds=None)
    yield opened
    opened.abandon()


def once() -> Callable[[], bool]:
    """The next sync fails, and no other."""
    answers = iter([True])
    return lambda: next(answers, False)


def test_a_failed_sync_is_made_good_by_another_file(root: Path, spool: Spool, files: FailingFiles):
    """What had not been synced is in a new segment, which is synced; the old one is cut."""
    spool.put([b"before"])
    spool.sync()
    size = segments_of(spool.path)[0].stat().st_size
    for number in range(100):
        spool.put([b"%d:" % number, b"x" * 50, b""])
    files.failing = once()
    spool.sync()
    assert spool.synced
    assert spool.sync_failures == 1
    assert segments_of(spool.path)[0].stat().st_size == size
    spool.put([b"after"])
    spool.abandon()
    expected = [b"before", *(b"%d:" % number + b"x" * 50 for number in range(100)), b"after"]
    assert sorted(inherited(root)) == sorted(expected)


def test_a_descriptor_whose_sync_failed_is_never_synced_again(spool: Spool, files: FailingFiles):
    """The kernel would say yes the second time."""
    spool.put([b"x"])
    failed = spool._writer.segments.live._fd
    files.failing = once()
    spool.sync()
    spool.sync()
    assert files.synced
    assert failed not in files.synced


def test_while_the_disk_fails_puts_are_refused_and_what_was_taken_stays(
    root: Path, spool: Spool, files: FailingFiles
):
    """It is readable meanwhile, and on the disk as soon as that works again."""
    for number in range(10):
        spool.put([b"%d" % number])
    files.failing = lambda: True
    for _ in range(50):
        with pytest.raises(OSError, match="Input/output"):
            spool.sync()
    assert not spool.synced
    with pytest.raises(SpoolError, match="the disk fails: Input/output error"):
        spool.put([b"refused"])
    assert bodies(spool) == [b"%d" % number for number in range(10)]
    assert len(segments_of(spool.path)) <= 3
    files.failing = lambda: False
    spool.sync()
    assert spool.synced
    spool.put([b"taken"])
    spool.abandon()
    assert {b"%d" % number for number in range(10)} | {b"taken"} == set(inherited(root))


def test_the_thread_tries_again_by_itself(root: Path, files: FailingFiles):
    """Within about a second of the disk's recovery puts are taken."""
    spool = Spool(root, ROUTE, max_bytes=MANY, files=files)
    files.failing = lambda: True
    spool.put([b"x"])
    wait_until(lambda: spool._writer.refusing, "the sync fails")
    files.failing = lambda: False
    wait_until(lambda: not spool._writer.refusing, "puts are taken again")
    spool.put([b"y"])
    spool.close()
    assert sorted(inherited(root)) == [b"x", b"y"]


def test_a_failure_that_a_caller_met_is_tried_again_by_the_thread(root: Path, files: FailingFiles):
    """Refused puts sync nothing; the thread does."""
    spool = Spool(root, ROUTE, max_bytes=MANY, files=files, durable=True)
    files.failing = lambda: True
    with pytest.raises(SpoolError, match="Input/output"):
        spool.put([b"x"])
    files.failing = lambda: False
    wait_until(lambda: not spool._writer.refusing, "puts are taken again")
    spool.put([b"y"])
    spool.close()
    assert inherited(root) == [b"y"]


def test_a_disk_that_fails_is_tried_once_a_second(root: Path, files: FailingFiles):
    """Not in a hurry, and without a file or a descriptor more for each try."""
    spool = Spool(root, ROUTE, max_bytes=MANY, files=files, durable=True, sync_seconds=None)
    files.failing = lambda: True
    with pytest.raises(SpoolError, match="Input/output"):
        spool.put([b"x"])
    for _ in range(50):
        assert spool._writer.tend()
        assert not spool._writer.wake.is_set()
    assert len(segments_of(spool.path)) <= 3
    assert len(spool._writer.disk.failed) <= 3
    files.failing = lambda: False
    assert not spool._writer.tend()
    spool.put([b"y"])
    assert bodies(spool) == [b"y"]
    spool.abandon()


def test_entries_beyond_what_memory_keeps_are_read_back(tmp_path: Path):
    """Behind the bound the file itself is asked, and its checksums."""
    segment = SegmentWriter(tmp_path / "00000001.segment", 1, {})
    expected = []
    for number in range(1, 400):
        if number == 100:
            segment._keep_to = segment.size  # as after 64 MiB
        segment.append(number, [b"%d" % number, b"x" * 500], 500 + len(str(number)))
        expected.append((number, b"%d" % number + b"x" * 500))
    found = [(entry.sequence, b"".join(entry.pieces)) for entry in segment.unsynced()]
    assert found == expected
    segment.begin_sync()
    segment.append(400, [b"y"], 1)
    segment.end_sync()
    assert [entry.sequence for entry in segment.unsynced()] == [400]
    segment.close()


def test_a_failed_sync_at_a_roll_or_at_the_end_is_made_good(
    root: Path, spool: Spool, files: FailingFiles
):
    """Sealing and closing follow the same rule as any sync."""
    spool.put([b"one"])
    files.failing = once()
    spool._writer.roll()
    assert spool.synced
    spool.put([b"two"])
    files.failing = once()
    spool.close()
    assert sorted(inherited(root)) == [b"one", b"two"]


def test_a_close_that_cannot_sync_says_so(spool: Spool, files: FailingFiles):
    """And the spool is closed all the same."""
    spool.put([b"one"])
    files.failing = lambda: True
    with pytest.raises(OSError, match="Input/output"):
        spool.close()
    with pytest.raises(SpoolClosedError):
        spool.put([b"late"])


def test_a_torn_write_that_cannot_be_cut_back_is_left_behind(
    root: Path, spool: Spool, files: FailingFiles
):
    """Nothing is appended behind it; the spool goes on in another segment."""
    spool.put([b"one"])
    files.writes_fail = files.cuts_fail = True
    with pytest.raises(SpoolError):
        spool.put([b"torn"])
    files.writes_fail = files.cuts_fail = False
    with pytest.raises(SpoolError, match="cannot be written"):
        spool.put([b"behind"])
    spool.sync()
    spool.put([b"two"])
    assert sorted(bodies(spool)) == [b"one", b"two"]
    spool.abandon()
    assert sorted(inherited(root)) == [b"one", b"two"]


def test_a_full_disk_is_said_to_be_full(root: Path):
    """The receiver answers it as it answers a full spool."""

    class FullFiles(Files):
        full = False

        def writev(self, descriptor: int, pieces: Sequence[Piece]) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().writev(descriptor, pieces)

    files = FullFiles()
    spool = Spool(root, ROUTE, max_bytes=MANY, files=files, sync_seconds=None)
    files.full = True
    with pytest.raises(SpoolFullError, match="No space left"):
        spool.put([b"x"])
    spool.abandon()


def test_a_durable_put_is_synced_when_it_returns(root: Path, files: FailingFiles):
    """And a reader gets nothing before that."""
    spool = Spool(root, ROUTE, max_bytes=MANY, files=files, durable=True, sync_seconds=None)
    spool.put([b"one"])
    assert files.synced
    assert spool.synced
    assert bodies(spool) == [b"one"]
    spool._writer.segments.live.append(2, [b"two"], 3)
    assert not spool.synced
    assert bodies(spool) == []
    spool.sync()
    assert bodies(spool) == [b"two"]
    spool.abandon()


def test_durable_puts_of_many_threads_share_their_syncs(root: Path, files: FailingFiles):
    """Those that come while one is under way are synced together by the next."""
    gate = threading.Event()
    entered = threading.Event()

    def slow() -> bool:
        entered.set()
        assert gate.wait(60)
        return False

    spool = Spool(root, ROUTE, max_bytes=MANY, files=files, durable=True, sync_seconds=None)
    files.failing = slow
    threads = [threading.Thread(target=spool.put, args=([b"%d" % n],)) for n in range(20)]
    threads[0].start()
    assert entered.wait(60)
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: spool._writer.segments.live.count == 20, "all have appended")
    gate.set()
    for thread in threads:
        thread.join(60)
    assert len(files.synced) == 2
    assert sorted(bodies(spool)) == sorted(b"%d" % n for n in range(20))
    spool.abandon()


@pytest.mark.parametrize("working", [True, False], ids=["rewritten", "lost"])
def test_nobody_of_a_failed_group_is_told_yes_for_nothing(
    root: Path, files: FailingFiles, working: bool
):
    """Eight threads, syncs that fail now and then: who is told yes is on the disk."""
    accepted: list[bytes] = []
    refused: list[bytes] = []
    calls = iter(range(10**9))
    lock = threading.Lock()

    def failing() -> bool:
        # Every fifth sync fails; where nothing works after it, the rewritten file's does, too.
        with lock:
            number = next(calls) % 10
        return number == 4 or (number == 5 and not working)

    files.failing = failing
    spool = Spool(root, ROUTE, max_bytes=MANY, files=files, durable=True)

    def write(name: int) -> None:
        for number in range(60):
            body = b"%d-%d" % (name, number)
            try:
                spool.put([body])
                accepted.append(body)
            except SpoolError:
                refused.append(body)
                wait_until(lambda: not spool._writer.refusing, "puts are taken again")

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert spool.sync_failures
    assert working != bool(refused)
    spool.abandon()
    assert set(accepted) <= set(inherited(root))


def test_a_put_inside_of_a_durable_put_is_refused(root: Path, files: FailingFiles):
    """A signal handler that scores in the middle cannot wait for what it has interrupted."""
    spool = Spool(root, ROUTE, max_bytes=MANY, files=files, durable=True, sync_seconds=None)
    inner: list[str] = []

    def score() -> bool:
        if not inner:
            with pytest.raises(SpoolError) as raised:
                spool.put([b"inner"])
            inner.append(str(raised.value))
        return False

    files.failing = score
    spool.put([b"outer"])
    assert "inside" in inner[0]
    assert bodies(spool) == [b"outer"]
    spool.abandon()


def test_an_exception_in_the_middle_of_a_durable_put_stops_no_other(
    root: Path, files: FailingFiles
):
    """A signal handler that raises during the sync costs that put its yes, and nothing else."""
    spool = Spool(root, ROUTE, max_bytes=MANY, files=files, durable=True, sync_seconds=None)

    class AlarmError(Exception):
        pass

    def interrupted() -> bool:
        files.failing = lambda: False
        raise AlarmError

    files.failing = interrupted
    with pytest.raises(AlarmError):
        spool.put([b"one"])
    spool.put([b"two"])
    assert b"two" in bodies(spool)
    spool.abandon()


def test_a_forked_child_lets_go_whatever_the_parent_was_at(root: Path):
    """A lock that another thread of the parent held at the fork is held in the child for ever."""
    spool = Spool(root, ROUTE, max_bytes=MANY)
    with spool._writer._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            spool.abandon()
            os._exit(0)
    _, status = os.waitpid(child, 0)
    spool.close()
    assert status == 0


def test_a_spool_without_a_thread_leaves_nothing_behind(root: Path):
    """Where the process may not have more threads, each try would cost descriptors and a folder."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    size = threading.stack_size(2**46)
    try:
        with pytest.raises(RuntimeError):
            Spool(root, ROUTE, max_bytes=MANY)
    finally:
        threading.stack_size(size)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert directories(root) == []


def test_a_fault_of_ours_does_not_end_the_syncs():
    """The thread tries again, a second later."""
    wake, tries = Bell(), []

    def fail() -> bool:
        tries.append(None)
        raise LookupError

    thread = SyncThread(wake, fail, interval=0.0)
    thread.start()
    wake.set()
    wait_until(lambda: len(tries) > 1, "another try")
    thread.stop()
