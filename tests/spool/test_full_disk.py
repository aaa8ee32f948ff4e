"""A disk that is full to the last byte: nothing is lost, and it is drained from within."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.disks import fill, small_disk
from running import wait_until
from scorespan.conversion.span import ScoringSpan
from scorespan.errors import SpoolFullError
from scorespan.intake import Intake
from scorespan.reconcile import read_account
from scorespan.settings import Settings
from scorespan.spool.room import Room
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.spool import Spool
from scorespan.testing import Answer, ScriptedMart

SPAN = ScoringSpan(
    request=b'{"fields": ["a"], "values": [["' + b"x" * 2000 + b'"]]}',
    response=b'{"fields": ["p"], "values": [[0]]}',
    trace_id="0" * 32,
)


@pytest.fixture(name="small_disk")
def eight_mebibytes(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    with small_disk(tmp_path / "disk", 8, "tmpfs") as folder:
        yield folder


def test_a_disk_that_the_spool_has_filled_is_drained(small_disk: Path, scripted_mart: ScriptedMart):
    """What was taken is delivered, what was not is counted, and then there is room again."""
    scripted_mart.answers.extend([Answer(503)] * 10_000)
    settings = {**scripted_mart.settings, "spool_dir": small_disk / "spool", "shutdown_seconds": 1}
    intake = Intake(Settings.load(settings, {}))
    taken, refused = set(), 0
    number = 0
    while refused < 50:
        number += 1
        span = SPAN._replace(scoring_id=str(number))
        if intake.accept(span):
            taken.add(str(number))
        else:
            refused += 1
    fill(small_disk)
    assert shutil.disk_usage(small_disk).free == 0
    scripted_mart.answers.clear()
    assert intake.flush(60)
    assert set(scripted_mart.stored) == taken
    intake._opening.delivery._spool.keep_ballast()
    assert intake.accept(SPAN._replace(scoring_id="after"))
    assert intake.flush(60)
    intake.close()
    account = read_account(small_disk / "spool")
    assert account.totals["stored"] == len(taken) + 1
    assert account.totals["refused"] == refused
    assert account.missing == []


def test_a_process_begins_on_a_full_disk(small_disk: Path, scripted_mart: ScriptedMart):
    """What another has left there is delivered, though there is no byte for a new one."""
    scripted_mart.answers.extend([Answer(503)] * 10_000)
    settings = {**scripted_mart.settings, "spool_dir": small_disk / "spool", "shutdown_seconds": 0}
    former = Intake(Settings.load(settings, {}))
    taken = {str(number) for number in range(50)}
    assert all(former.accept(SPAN._replace(scoring_id=one)) for one in taken)
    ballast = small_disk / "spool" / "ballast" / "space"
    # A file is there before its space is.
    wait_until(lambda: ballast.exists() and ballast.stat().st_size > 0, "the ballast is kept")
    former.close()
    fill(small_disk)
    assert shutil.disk_usage(small_disk).free == 0
    scripted_mart.answers.clear()
    intake = Intake(Settings.load(settings, {}))
    intake.open()
    wait_until(lambda: set(scripted_mart.stored) == taken, "what was left is delivered")
    intake.close()


def test_the_ballast_is_kept_only_where_there_is_room(small_disk: Path):
    """It leaves as much free as it takes; given up, its space is the disk's."""
    room = Room(small_disk)
    free = shutil.disk_usage(small_disk).free
    assert not room.look()
    assert not room.look()
    assert free - shutil.disk_usage(small_disk).free >= 1024 * 1024
    room.give_up_ballast()
    assert room.short
    assert shutil.disk_usage(small_disk).free >= free - 65536
    (small_disk / "others").write_bytes(b"x" * 7 * 1024 * 1024)
    assert room.look()


def test_less_than_the_floor_free_refuses_and_resumes(small_disk: Path):
    """Somebody else fills the disk, three times: puts are refused, and taken again after."""
    root = small_disk / "spool"
    prepare_root(root)
    spool = Spool(root, Route("http://mart", "one"), max_bytes=10**9, min_free=2 * 1024 * 1024)
    taken: list[bytes] = []

    def is_refused() -> bool:
        try:
            spool.put([b"y"])
        except SpoolFullError:
            return True
        taken.append(b"y")
        return False

    for cycle in range(1, 4):
        assert not is_refused()
        others = fill(small_disk, leave=1024 * 1024)
        wait_until(is_refused, "a put is refused")
        assert len(taken) >= cycle
        assert [entry.body for entry in spool.claim(10**9, 10**6).entries] == taken
        spool.release()
        others.unlink()
        wait_until(lambda: not spool._room.short, "there is room again")
    spool.abandon()


@pytest.mark.parametrize(("min_free", "short"), [(None, False), (0, False), (2**62, True)])
def test_the_floor_is_a_setting(tmp_path: Path, min_free: int | None, short: bool):
    """More than the disk has refuses everything; 0 switches the floor off."""
    assert Room(tmp_path, min_free).look() is short


def test_without_a_floor_the_disk_may_be_filled(small_disk: Path):
    """Only the ballast is kept then; without the setting a twentieth stays free."""
    free, none = Room(small_disk, 0), Room(small_disk)
    assert not free.look()
    fill(small_disk, leave=200_000)
    assert none.look()
    assert not free.look()
