"""Dead letters in the account: one that is gone is missing, and named; no other one is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compacting import compact_all
from examples.live import SUBSCRIPTION_ID, live_mart
from reconcile_world import FIRST_MINUTE, World, missing_numbers
from scorespan.cli.command import scorespan
from scorespan.conversion.span import encode
from scorespan.letters import Selection, select
from scorespan.reconcile import Gap, Window, read_account
from scorespan.requeue import Edit, Requeued, requeue
from scorespan.spool.dead import DEAD, DeadLetter
from scorespan.spool.dead_writer import write_letters
from scorespan.spool.files import Files
from scorespan.spool.ledger import DEAD_LETTERED, MOVED, WITHHELD, Ledger, LedgerItem
from scorespan.spool.ledger_files import Records, ledger_files, read_ledger
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.segment import segments_of
from scorespan.spool.spool import Spool

ROUTE = Route("http://mart", "one")
OTHER = Route("http://other", "two")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running mart, and a root with ten records: the even ones stored, the odd ones dead."""
    with live_mart(tmp_path) as live:
        world = World(live)
        spool = Spool(world.root, world.route, max_bytes=10**9)
        for number in range(1, 11):
            subscription = "nobody" if number % 2 else SUBSCRIPTION_ID
            spool.put(encode(world.span("p", number, subscription_id=subscription)))
        spool.abandon()
        world.deliver()
        assert len(letters(world.root)) == 5
        yield world


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared root."""
    prepare_root(tmp_path / "root")
    return tmp_path / "root"


def letters(root: Path) -> dict[int, Path]:
    """Dead letters by number."""
    found = select(root, Selection(folders=(DEAD,)), on_unreadable=print)
    return {letter.head.sequence or 0: letter.path for letter in found}


def requeue_all(world: World, **options) -> Requeued:
    """Requeue every letter for a subscription that is there."""
    found = select(world.root, Selection(), on_unreadable=print)
    return requeue(world.root, found, edit=Edit(subscription_id=SUBSCRIPTION_ID), **options)


def run(world: World, *arguments: str) -> Result:
    """A command with the settings of the mart in its environment."""
    known = {f"SCORESPAN_{name.upper()}": value for name, value in world.live.settings.items()}
    return CliRunner().invoke(scorespan, arguments, env={**known, "COLUMNS": "200"})


def write_ledger(root: Path, outcome: str, numbers: Iterable[int], producer: str = "p") -> None:
    """A ledger file that says so of these."""
    ledger = Ledger(root / "ledger", f"w-{outcome}", route=ROUTE)
    ledger.append(LedgerItem(outcome, "s", "d", producer, one, f"id-{one}", 1) for one in numbers)
    ledger.close()


def bury(root: Path, numbers: Iterable[int], route: Route | None) -> None:
    """Dead letters of records with these numbers."""
    write_letters(
        root / DEAD,
        [
            DeadLetter(
                b"{}", f"w-1.1.{one}", "refused", "no", producer_id="p", sequence=one, route=route
            )
            for one in numbers
        ],
    )


def test_deleted_letters_are_missing_and_named(world: World):
    """They are in no term any more; the sum is what it was."""
    for number in (3, 7):
        letters(world.root)[number].unlink()
    report = world.report()
    assert report.verdict == (
        "2 records are missing: 10 scored = 5 stored + 3 dead-lettered + 2 missing"
    )
    named = report.account.letterless.named
    assert [(one.scoring_id, one.number, one.producer_id) for one in named] == [
        ("p-3", 3, "p"),
        ("p-7", 7, "p"),
    ]
    assert missing_numbers(report) == {}


def test_both_commands_tell_of_deleted_letters(world: World):
    """In words and for machines; they end with 1."""
    assert run(world, "reconcile").exit_code == run(world, "spool", "status").exit_code == 0
    letters(world.root)[3].unlink()
    for arguments in (["reconcile"], ["spool", "status"]):
        done = run(world, *arguments)
        assert done.exit_code == 1, done.output
        assert "missing: the ledger calls them dead-lettered, their letters are gone" in done.output
        assert "\n  p-3  nobody / deployment  2025-02-19 21:20  producer p number 3" in done.output
        lines = [line.split() for line in done.output.splitlines()]
        (scored,) = [line[1:] for line in lines if line[:1] == ["scored"]]
        (missing,) = [line[2:] for line in lines if line[:2] == ["+", "missing"]]
        assert (sorted(scored), missing) == (["10", "5", "5"], ["1", "1"])
        done = run(world, *arguments, "--json")
        known = json.loads(done.output)
        assert done.exit_code == 1
        assert (known["scored"], known["dead-lettered"], known["missing"]) == (10, 4, 1)
        (one,) = known["missing_letters"]
        assert (one["scoring_id"], one["producer_id"], one["number"]) == ("p-3", "p", 3)


def test_a_window_chooses_letters_too(world: World):
    """By scoring timestamp, as it does all that has a name."""
    for path in letters(world.root).values():
        path.unlink()
    named = world.report(window=Window(since=None, until=_minute(0))).account.letterless.named
    assert [one.number for one in named] == [1, 3, 5, 7, 9]
    assert world.report(window=Window(since=_minute(2))).missing == 0


def test_requeued_records_that_wait_or_are_stored_are_not_missing(world: World):
    """Their letters went on purpose; nothing is said of them but where they are."""
    requeue_all(world)
    assert world.report().verdict == "nothing is missing: 10 scored = 5 stored + 5 waiting"
    world.deliver()
    assert world.report().verdict == "nothing is missing: 10 scored = 10 stored"


@pytest.mark.parametrize("compacted", [False, True])
def test_requeued_records_whose_directory_is_lost_are_missing(world: World, compacted: bool):
    """Neither letter nor entry is there; by number where the names have gone."""
    requeue_all(world)
    for directory in world.root.glob("w-*"):
        shutil.rmtree(directory)
    if compacted:
        compact_all(world.root)
    report = world.report()
    assert report.verdict == "5 records are missing: 10 scored = 5 stored + 5 missing"
    letterless = report.account.letterless
    assert {one.number for one in letterless.named} == (set() if compacted else {1, 3, 5, 7, 9})
    assert [gap.first for gap in letterless.numbers] == ([1, 3, 5, 7, 9] if compacted else [])
    assert "their letters are gone" in run(world, "reconcile").output


@pytest.mark.parametrize("compacted", [False, True])
def test_records_that_went_to_another_route_are_not_missing(world: World, compacted: bool):
    """The ledger of the old route knows it, whichever of its files was written last."""
    assert requeue_all(world, route=OTHER).counts == {OTHER: 5}
    assert letters(world.root) == {}
    if compacted:
        compact_all(world.root)
    report = world.report()
    assert report.verdict == "nothing is missing: 10 scored = 5 stored + 5 dead-lettered"
    assert report.elsewhere == {OTHER: 5}
    assert read_account(world.root).is_complete
    for path in ledger_files(world.root / "ledger"):
        os.utime(path, (0, 0) if "-moved" in path.name else None)
    assert world.report().is_complete


class WatchingFiles(Files):
    """Lets no letter go of which the ledger does not say that it was moved, safe on the disk."""

    def __init__(self, root: Path) -> None:
        self.ledger = root / "ledger"
        self.safe: set[str] = set()
        self.seen = 0

    def datasync(self, descriptor: int) -> None:
        """What this file says is safe."""
        super().datasync(descriptor)
        self.safe.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def unlink(self, path: Path) -> None:
        """Look before a letter goes."""
        if path.suffix == ".letter":
            told = {
                number
                for file in ledger_files(self.ledger)
                if file.name in self.safe
                for line in read_ledger(file)
                if isinstance(line, Records) and line.outcome == MOVED
                for number, _, _ in line.named
            }
            assert told == {1, 3, 5, 7, 9}
            self.seen += 1
        super().unlink(path)


def test_the_word_that_a_record_was_moved_comes_before_its_letter_goes(world: World):
    """A crash in between leaves both."""
    files = WatchingFiles(world.root)
    requeue_all(world, route=OTHER, files=files)
    assert files.seen == 5


def test_a_requeue_while_reconcile_reads_takes_no_record_away(world: World):
    """Letters that went between ledger and look wait in the spool by then."""
    steps = []

    def on_step(step: str) -> None:
        steps.append(step)
        if step == "comparing with the data mart":
            requeue_all(world)

    report = world.report(on_step=on_step)
    assert report.verdict == "nothing is missing: 10 scored = 5 stored + 5 dead-lettered"
    assert letters(world.root) == {}
    assert "comparing with the data mart" in steps


def test_a_letter_of_another_name_or_route_is_no_substitute(root: Path):
    """One that does not say its route, of an older version, is."""
    write_ledger(root, DEAD_LETTERED, (1, 2, 3))
    bury(root, [1], OTHER)
    bury(root, [2], None)
    bury(root, [3, 4], ROUTE)
    (lost,) = read_account(root).letterless.named
    assert lost.number == 1


def test_that_a_record_was_moved_holds_whatever_is_read_after_it(root: Path):
    """By name or by number: a file with an older word may have been written to since."""
    write_ledger(root, MOVED, (1, 2))
    compact_all(root)
    write_ledger(root, DEAD_LETTERED, (1, 2))
    for _ in range(2):
        account = read_account(root)
        assert account.is_complete
        assert (account.totals["dead-lettered"], account.scored) == (2, 2)
        compact_all(root)
    assert account.letterless.size == 0


def test_a_letter_whose_head_cannot_be_read_is_none(world: World):
    """Nobody could tell whose it is."""
    path = letters(world.root)[5]
    path.write_bytes(b"?" + path.read_bytes())
    (lost,) = world.report().account.letterless.named
    assert lost.number == 5


def test_withheld_records_need_no_letter(root: Path):
    """Beyond a cap their bodies are not kept."""
    write_ledger(root, WITHHELD, (1, 2))
    account = read_account(root)
    assert account.is_complete
    assert account.totals["withheld"] == 2


def test_a_producer_of_a_long_name_has_its_letters(root: Path):
    """A letter's head has such a name shortened."""
    name = "p" * 10_000
    write_ledger(root, DEAD_LETTERED, (1,), name)
    letter = DeadLetter(b"", "w-1.1.1", "refused", "no", producer_id=name, sequence=1, route=ROUTE)
    write_letters(root / DEAD, [letter])
    assert read_account(root).is_complete


@pytest.mark.parametrize("compacted", [False, True])
def test_a_damaged_stretch_without_a_name_counts_once(world: World, compacted: bool):
    """Its number is missing; it is told beside the terms, first in the spool, then as a letter."""
    directory = world.put("q", range(1, 11))
    (segment,) = segments_of(directory)
    content = segment.read_bytes()
    start = content.index(b'"values": [[4]]') - 100
    segment.write_bytes(content[:start] + bytes(500) + content[start + 500 :])
    gone = missing_numbers(world.report())["q"]
    assert gone
    waiting = world.report()
    assert (waiting.scored, waiting.missing) == (20, len(gone))
    assert waiting.account.nameless == {"waiting": 1}
    world.deliver()
    if compacted:
        compact_all(world.root)
    report = world.report()
    assert (report.scored, report.missing) == (20, len(gone))
    assert missing_numbers(report) == {"q": gone}
    assert report.account.totals["dead-lettered"] == 5
    assert report.account.nameless == {"dead-lettered": 1}
    status = read_account(world.root)
    assert (status.scored, status.missing_count) == (20, len(gone))
    for command in ("reconcile", "spool status"):
        assert "1 damaged stretch without a name: kept as dead letters" in (
            run(world, *command.split()).output
        )
    (place,) = [number for number in letters(world.root) if number < 0]
    letters(world.root)[place].unlink()
    report = world.report()
    name = f"{directory.name}/{segment.stem}"
    assert report.account.letterless.places == (Gap(name, place, place),)
    assert (report.scored, report.missing, report.account.nameless) == (20, len(gone), {})
    assert f"  {name} at byte {-place}\n" in run(world, "reconcile").output


def test_a_letter_that_goes_alone_is_told_though_no_number_is_missing(world: World):
    """What no producer counted is no record; its bytes are lost all the same."""
    spool = Spool(world.root, world.route, max_bytes=10**9)
    spool.put([b"rubbish"])
    spool.abandon()
    world.deliver()
    assert world.report().is_complete
    (path,) = (world.root / DEAD).glob(f"{spool.path.name}.*")
    path.unlink()
    done = run(world, "reconcile")
    assert done.exit_code == 1
    assert done.output.startswith("no record is missing, and letters of damaged stretches are: 10")
    assert f"  {spool.path.name}/00000001 at " in done.output


def _minute(offset: int) -> datetime:
    return datetime.fromtimestamp((FIRST_MINUTE + offset) * 60, timezone.utc)
