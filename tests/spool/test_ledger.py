"""The ledger as it is written: whose it is, how large, and what a fault leaves of it."""

from __future__ import annotations

from collections.abc import Sequence
from errno import ENOSPC
from pathlib import Path

import orjson
import pytest

from scorespan.spool.files import Files, Piece
from scorespan.spool.ledger import STORED, Ledger, LedgerItem
from scorespan.spool.ledger_files import Records, Scored, ledger_files, read_ledger
from scorespan.spool.root import Route

ROUTE = Route("http://mart", "one")


def items(first: int, last: int, outcome: str = STORED) -> list[LedgerItem]:
    """Records of one producer."""
    return [
        LedgerItem(outcome, "s", "d", "p", one, f"id-{one}", 5) for one in range(first, last + 1)
    ]


def named(folder: Path) -> list[int]:
    """Sequences in all files, in order."""
    return [
        record[0]
        for path in ledger_files(folder)
        for line in read_ledger(path)
        if isinstance(line, Records)
        for record in line.named
    ]


class FullDisk(Files):
    """A disk that takes so many bytes more, and new files as long as it is told to."""

    def __init__(self) -> None:
        self.left = 10**9
        self.creates = True

    def create(self, path: Path) -> int:
        """As the disk does, unless it may not."""
        if not self.creates:
            raise OSError(ENOSPC, "full")
        return super().create(path)

    def writev(self, descriptor: int, pieces: Sequence[Piece]) -> int:
        """Takes what there is room for."""
        if not self.left:
            raise OSError(ENOSPC, "full")
        taken = b"".join(pieces)[: self.left]
        self.left -= len(taken)
        return super().writev(descriptor, [taken])


def test_a_file_begins_with_its_route_and_directory(tmp_path: Path):
    """Whoever reads it knows where the records went, and whose they are."""
    Ledger(tmp_path, "w-1", route=ROUTE, producer_id="p").close()
    (line,) = read_ledger(tmp_path / "w-1.ledger")
    assert line == Scored(ROUTE, "p", 0, "w-1")


def test_the_version_before_reads_a_new_file(tmp_path: Path):
    """Every line has what it takes for granted; a first line says nothing to it."""
    ledger = Ledger(tmp_path, "w-1", route=ROUTE, producer_id="p")
    ledger.append(items(1, 2))
    ledger.append_ranges(items(3, 3, "refused")[0], [(3, 9)])
    ledger.append_scored("p", 9)
    ledger.close()
    known, scored = [], {}
    for line in (tmp_path / "w-1.ledger").read_bytes().splitlines():
        found = orjson.loads(line)
        if found["o"] == "scored":
            scored[found["p"]] = max(scored.get(found["p"], 0), found["n"])
            continue
        names = (found["o"], found["s"], found["d"], found["p"])
        known.extend(LedgerItem(*names, *record) for record in found["r"])
    assert known == items(1, 2)
    assert scored == {"p": 9}


def test_a_file_of_the_version_before_is_read(tmp_path: Path):
    """It names no route."""
    (tmp_path / "w-1.ledger").write_bytes(
        b'{"o":"stored","s":"s","d":"d","p":"p","r":[[1,"id-1",5]]}\n{"o":"scored","p":"p","n":3}\n'
    )
    records, scored = read_ledger(tmp_path / "w-1.ledger")
    assert records == Records(None, "stored", "s", "d", "p", [[1, "id-1", 5]], [], 0)
    assert scored == Scored(None, "p", 3)


def test_a_new_file_is_begun_when_one_is_large_enough(tmp_path: Path):
    """Each with its route; nothing is lost or doubled in between."""
    ledger = Ledger(tmp_path, "w-1", route=ROUTE, part_bytes=1000)
    for first in range(1, 301, 10):
        ledger.append(items(first, first + 9))
        ledger.sync()
    ledger.close()
    files = ledger_files(tmp_path)
    assert len(files) > 3
    assert all(path.stat().st_size < 1500 for path in files)
    assert all(next(read_ledger(path)) == Scored(ROUTE, "", 0, "w-1") for path in files)
    assert sorted(named(tmp_path)) == list(range(1, 301))


def test_a_second_ledger_of_the_same_name_takes_a_file_of_its_own(tmp_path: Path):
    """What was written late never stands in the way of what comes later still."""
    for first in (1, 2, 3):
        ledger = Ledger(tmp_path, "w-1-late")
        ledger.append(items(first, first))
        ledger.close()
    assert sorted(named(tmp_path)) == [1, 2, 3]


@pytest.mark.parametrize("left", range(0, 400, 7))
def test_a_full_disk_leaves_whole_lines(tmp_path: Path, left: int):
    """What was refused is cut away, wherever the disk stopped, and may be written again."""
    disk = FullDisk()
    ledger = Ledger(tmp_path, "w-1", files=disk)
    ledger.append(items(1, 3))
    disk.left = left
    try:
        ledger.append(items(4, 20))
    except OSError:
        disk.left = 10**9
        ledger.append(items(4, 20))
    ledger.close()
    assert named(tmp_path) == list(range(1, 21))
    assert b"\n{" in (tmp_path / "w-1.ledger").read_bytes()


def test_a_disk_that_takes_no_new_file_does_not_stop_the_old_one(tmp_path: Path):
    """A file larger than it should be is no harm; a record without a line is."""
    disk = FullDisk()
    ledger = Ledger(tmp_path, "w-1", part_bytes=1, files=disk)
    ledger.append(items(1, 1))
    disk.creates = False
    ledger.append(items(2, 2))
    disk.creates = True
    ledger.append(items(3, 3))
    ledger.close()
    assert sorted(named(tmp_path)) == [1, 2, 3]
    assert len(ledger_files(tmp_path)) == 3  # the first one was large enough with its head alone


def test_a_ledger_that_cannot_begin_leaves_nothing(tmp_path: Path):
    """Neither a file nor a descriptor."""
    disk = FullDisk()
    disk.left = 10
    with pytest.raises(OSError, match="full"):
        Ledger(tmp_path, "w-1", files=disk)
    assert list(tmp_path.iterdir()) == []
