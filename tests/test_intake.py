"""The intake: yes means in the spool; a refusal is counted; nothing reaches the caller."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from errno import EIO, ENOSPC
from pathlib import Path

import pytest

from running import wait_until
from scorespan.conversion.span import ScoringSpan
from scorespan.errors import SettingsError, SpoolClosedError, SpoolError, SpoolFullError
from scorespan.intake import Intake
from scorespan.reconcile import read_account
from scorespan.settings import Settings
from scorespan.spool.files import Files
from scorespan.spool.root import directories, is_owned
from scorespan.testing import Answer, ScriptedMart

SPAN = ScoringSpan(
    request=b'{"fields": ["a"], "values": [[1]]}',
    response=b'{"fields": ["p"], "values": [[0]]}',
    trace_id="0" * 32,
)


def span(number: int) -> ScoringSpan:
    """A span with an id of its own and nothing else."""
    return SPAN._replace(span_id=f"{number:016x}")


@pytest.fixture
def intake(scripted_mart: ScriptedMart, tmp_path: Path) -> Iterator[Intake]:
    """An intake before the scripted mart."""
    opened = Intake(Settings.load({**scripted_mart.settings, "spool_dir": tmp_path}, {}))
    yield opened
    opened.close()


def test_nothing_is_opened_before_the_first_span(intake: Intake):
    """A process that only imports and configures leaves no directory and no thread."""
    assert directories(intake.root) == []
    assert intake.accept(span(1))
    assert len(directories(intake.root)) == 1


def test_what_a_span_leaves_open_comes_from_the_settings(
    intake: Intake, scripted_mart: ScriptedMart
):
    """Subscription, deployment, producer and sequence are filled in, and only where absent."""
    intake.accept(span(1))
    intake.accept(span(2)._replace(subscription_id="own", producer_id="p", sequence=9))
    assert intake.flush()
    first, second = scripted_mart.stored.values()
    assert first["subscription_id"] == "subscription"
    assert first["deployment_id"] == "generic_deployment"
    assert first["scorespan"]["sequence"] >= 1
    assert second["subscription_id"] == "own"
    assert (second["scorespan"]["producer"], second["scorespan"]["sequence"]) == ("p", 9)


def test_a_full_spool_refuses_exactly_what_it_counts(scripted_mart: ScriptedMart, tmp_path: Path):
    """Nothing raises, nothing waits, nothing old is dropped; the account balances."""
    scripted_mart.answers.extend([Answer(503)] * 1000)
    settings = {**scripted_mart.settings, "spool_dir": tmp_path, "spool_max_bytes": 1024 * 1024}
    intake = Intake(Settings.load({**settings, "shutdown_seconds": 0}, {}))
    large = b'{"fields": ["a"], "values": [["' + b"x" * 50_000 + b'"]]}'
    taken = [intake.accept(span(number)._replace(request=large)) for number in range(40)]
    assert 15 < sum(taken) < 40
    intake.close()
    account = read_account(tmp_path)
    assert account.totals["refused"] == taken.count(False)
    assert account.totals["waiting"] == taken.count(True)
    assert account.missing == []


def test_a_refused_record_with_odd_ids_stops_nothing(scripted_mart: ScriptedMart, tmp_path: Path):
    """Ids without UTF-8 are written down as an entry has them, and delivery goes on."""
    settings = {**scripted_mart.settings, "spool_dir": tmp_path, "spool_max_bytes": 1024 * 1024}
    intake = Intake(Settings.load(settings, {}))
    odd = span(1)._replace(request=b"x" * 2**21, subscription_id="\ud800", scoring_id="\udfff")
    assert not intake.accept(odd)
    assert intake.accept(span(2))
    assert intake.flush()
    intake.close()
    account = read_account(tmp_path)
    assert account.ids("refused") == {"\\udfff"}
    assert account.ids("stored") == {span(2).key}
    assert account.missing == []


def test_a_span_after_the_end_opens_a_spool_again(intake: Intake, scripted_mart: ScriptedMart):
    """A scoring that runs into the shutdown of its process is taken as any other."""
    intake.accept(span(1))
    intake.close()
    assert directories(intake.root) == []
    assert intake.accept(span(2))
    intake.close()
    intake.close()
    assert len(scripted_mart.stored) == 2
    account = read_account(intake.root)
    assert (account.totals["stored"], account.totals["refused"], account.missing) == (2, 0, [])


def test_a_span_that_meets_the_end_halfway_is_taken(intake: Intake, scripted_mart: ScriptedMart):
    """A spool that closes between a scoring's decision and its put costs no record."""
    intake.accept(span(1))
    intake._opening.delivery.close(drain_seconds=30)
    assert intake.accept(span(2))
    assert intake.flush(30)
    assert len(scripted_mart.stored) == 2


def test_wrong_settings_raise_before_anything_is_opened(tmp_path: Path):
    """The error names what is missing."""
    with pytest.raises(SettingsError, match="SCORESPAN_DATA_MART_URL"):
        Intake(Settings.load({"spool_dir": tmp_path / "root"}, {}))
    assert not (tmp_path / "root").exists()


def test_a_mart_that_hangs_keeps_the_spool_until_it_has_answered(
    scripted_mart: ScriptedMart, tmp_path: Path
):
    """Closing does not wait for it; what is open is closed by the worker when the answer comes."""
    settings = {**scripted_mart.settings, "spool_dir": tmp_path, "shutdown_seconds": 0}
    intake = Intake(Settings.load(settings, {}))
    answer = scripted_mart.answer_post
    held = threading.Event()

    def hang(body: bytes) -> Answer:
        held.wait(30)
        return answer(body)

    scripted_mart.answer_post = hang
    intake.accept(span(1))
    intake._opening.delivery._spool.arrived.set()
    while not scripted_mart.authorizations:
        intake.flush(0.01)
    delivery = intake._opening.delivery
    intake.close()
    (directory,) = directories(tmp_path)
    assert is_owned(directory)
    held.set()
    delivery._worker._thread.join(30)
    assert directories(tmp_path) == []
    assert read_account(tmp_path).totals["stored"] == 1


def durable(mart: ScriptedMart, spool_dir: Path, **more: object) -> Intake:
    """An intake as a receiver has it."""
    settings = {**mart.settings, "spool_dir": spool_dir, "sync": "durable", "shutdown_seconds": 0}
    return Intake(Settings.load({**settings, **more}, {}))


def test_all_are_taken_with_their_ids_and_numbers(intake: Intake, scripted_mart: ScriptedMart):
    """As one by one: what they leave open is filled in, and what they bring is kept."""
    intake.accept_all([])
    brought = span(1)._replace(subscription_id="own", producer_id="p", sequence=9)
    intake.accept_all([brought, span(2), span(3)])
    assert intake.accept(span(4))
    assert intake.flush()
    own, *others = scripted_mart.stored.values()
    assert own["subscription_id"] == "own"
    assert (own["scorespan"]["producer"], own["scorespan"]["sequence"]) == ("p", 9)
    assert [record["scorespan"]["sequence"] for record in others] == [1, 2, 3]
    assert {record["subscription_id"] for record in others} == {"subscription"}
    assert {record["deployment_id"] for record in others} == {"generic_deployment"}


def test_all_of_a_large_request_arrive(intake: Intake, scripted_mart: ScriptedMart):
    """More than is written at once, among them bodies that are written uncopied."""
    request = SPAN.request.replace(b"[1]", b'["' + b"x" * 100_000 + b'"]')
    spans = [span(number)._replace(request=request) for number in range(100)]
    intake.accept_all(spans)
    assert intake.flush(60)
    intake.close()
    assert read_account(intake.root).ids("stored") == {one.key for one in spans}


def test_many_threads_give_each_number_once(scripted_mart: ScriptedMart, tmp_path: Path):
    """Requests and single scorings side by side, on a disk that they sync together."""
    intake = durable(scripted_mart, tmp_path)

    def send(first: int) -> None:
        for start in range(first, first + 200, 20):
            intake.accept_all([span(number) for number in range(start, start + 19)])
            assert intake.accept(span(start + 19))

    threads = [threading.Thread(target=send, args=(first,)) for first in range(0, 1600, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert intake.flush(60)
    intake.close()
    sequences = [record["scorespan"]["sequence"] for record in scripted_mart.stored.values()]
    assert sorted(sequences) == list(range(1, 1601))
    assert read_account(tmp_path).missing == []


def test_what_has_no_room_is_told_and_not_counted(scripted_mart: ScriptedMart, tmp_path: Path):
    """All of a request or nothing; the sender sends it again, so it was not refused for ever."""
    scripted_mart.answers.extend([Answer(503)] * 1000)
    intake = durable(scripted_mart, tmp_path, spool_max_bytes=1024 * 1024)
    assert intake.not_ready() == "the spool is not open"
    intake.open()
    assert intake.not_ready() is None
    spans = [span(number)._replace(request=b"x" * 50_000) for number in range(30)]
    intake.accept_all(spans[:15])
    with pytest.raises(SpoolFullError, match="of 1048576 bytes"):
        intake.accept_all(spans[15:])
    intake.accept_all(spans[15:17])
    numbers = iter(range(1000, 2000))
    while intake.accept(span(next(numbers))._replace(request=b"x" * 10_000)):
        pass
    assert "of 1048576 bytes" in str(intake.not_ready())
    intake.close()
    account = read_account(tmp_path)
    assert account.totals["refused"] == 1  # the single one's
    assert account.missing == []


def test_numbers_of_what_the_disk_did_not_take_are_missing_nowhere(
    scripted_mart: ScriptedMart, tmp_path: Path
):
    """Neither where a write failed, nor where the sync did."""
    intake = durable(scripted_mart, tmp_path)
    intake.accept_all([span(1)])
    writer = intake._opening.delivery._spool._writer
    whole, writer.segments.live._writev = writer.segments.live._writev, no_room
    with pytest.raises(SpoolFullError, match="No space"):
        intake.accept_all([span(2), span(3)])
    writer.segments.live._writev = whole
    disk = FailingDisk()
    writer.segments._files = writer.segments.live._files = disk
    with pytest.raises(SpoolError, match="Input/output"):
        intake.accept_all([span(2), span(3)])
    assert "Input/output" in str(intake.not_ready())
    disk.fails = False
    wait_until(lambda: intake.not_ready() is None, "the disk works again")
    intake.accept_all([span(2), span(3)])
    assert intake.flush(60)
    intake.close()
    account = read_account(tmp_path)
    assert account.ids("stored") == {span(number).key for number in (1, 2, 3)}
    # By the numbers that only the failed sync has seen.
    assert (account.totals["refused"], account.missing) == (2, [])


def no_room(descriptor: int, pieces: object) -> int:
    """A disk that is full."""
    raise OSError(ENOSPC, os.strerror(ENOSPC))


class FailingDisk(Files):
    """A disk whose syncs fail."""

    fails = True

    def datasync(self, descriptor: int) -> None:
        """Sync, or fail."""
        if self.fails:
            raise OSError(EIO, os.strerror(EIO))
        super().datasync(descriptor)


def test_after_the_end_nothing_more_is_taken_from_senders(
    scripted_mart: ScriptedMart, tmp_path: Path
):
    """They keep what they have, and no spool is opened for it."""
    intake = durable(scripted_mart, tmp_path)
    intake.accept_all([span(1)])
    intake.close()
    for call in (lambda: intake.accept_all([span(2)]), intake.open):
        with pytest.raises(SpoolClosedError):
            call()
    assert intake.not_ready() == "the spool is not open"
    intake.close()


def test_a_spool_that_was_removed_is_followed_by_another(
    scripted_mart: ScriptedMart, tmp_path: Path
):
    """Whoever asks makes it; what was lost is missing by its number, and nothing else is."""
    scripted_mart.always = Answer(503)
    intake = durable(scripted_mart, tmp_path / "root")
    intake.accept_all([span(1), span(2)])
    gone = intake._opening.delivery
    removed(intake.root)
    with pytest.raises(SpoolError, match="removed"):
        intake.accept_all([span(3)])
    assert gone.gone
    scripted_mart.always = None
    assert intake.not_ready() is None
    intake.accept_all([span(4)])
    assert intake.accept(span(5))
    assert intake.flush(60)
    intake.close()
    wait_until(lambda: not gone._worker._thread.is_alive(), "the end of the former worker")
    account = read_account(intake.root)
    assert account.ids("stored") == {span(4).key, span(5).key}
    # Number 3 was refused; that may have gone to the ledger that was removed.
    (gap,) = account.missing
    assert gap.first == 1
    assert gap.last in {2, 3}
    assert directories(intake.root) == []


def test_a_scoring_opens_another_spool_where_one_was_removed(
    intake: Intake, scripted_mart: ScriptedMart
):
    """The first one that is turned away goes into it, and is not refused."""
    scripted_mart.always = Answer(503)
    assert intake.accept(span(1))
    gone = intake._opening.delivery
    removed(directories(intake.root)[0])
    assert intake.accept(span(2))
    wait_until(lambda: gone.gone, "the sync that sees it")
    assert all(intake.accept(span(number)) for number in range(3, 13))
    scripted_mart.always = None
    assert intake.flush(60)
    intake.close()
    account = read_account(intake.root)
    assert {span(number).key for number in range(3, 13)} <= account.ids("stored")
    assert all(gap.last <= 2 for gap in account.missing)
    assert account.totals["refused"] == 0


def test_a_root_that_cannot_be_made_again_is_awaited(scripted_mart: ScriptedMart, tmp_path: Path):
    """Senders are told to come again until it can be."""
    intake = durable(scripted_mart, tmp_path / "root")
    intake.accept_all([span(1)])
    assert intake.flush(60)
    removed(intake.root)
    intake.root.touch()
    for _ in range(3):
        with pytest.raises(SpoolError):
            intake.accept_all([span(2)])
    assert "opened" in str(intake.not_ready())
    intake.root.unlink()
    wait_until(lambda: intake.not_ready() is None, "another spool")
    intake.accept_all([span(2)])
    assert intake.flush(60)
    intake.close()
    assert len(scripted_mart.stored) == 2


def removed(folder: Path) -> None:
    """Remove a folder, though files are made in it meanwhile."""
    away = folder.with_name(".away")
    folder.rename(away)
    shutil.rmtree(away, ignore_errors=True)


def test_what_others_left_is_delivered_before_the_first_request(
    scripted_mart: ScriptedMart, tmp_path: Path
):
    """An intake that is opened looks for what a dead process could not deliver."""
    scripted_mart.answers.extend([Answer(503)] * 1000)
    dead = durable(scripted_mart, tmp_path)
    dead.accept_all([span(1)])
    dead.close()
    scripted_mart.answers.clear()
    heir = durable(scripted_mart, tmp_path)
    heir.open()
    wait_until(lambda: len(scripted_mart.stored) == 1, "the record is delivered")
    heir.close()


def test_a_spool_that_cannot_be_used_says_so_at_the_start(
    scripted_mart: ScriptedMart, tmp_path: Path
):
    """Not with the first request."""
    intake = durable(scripted_mart, tmp_path / "root")
    shutil.rmtree(intake.root)
    intake.root.touch()
    with pytest.raises(SpoolError, match="cannot be opened"):
        intake.open()
    assert intake.not_ready() == "the spool is not open"


def run(script: str, mart: ScriptedMart, spool_dir: Path) -> str:
    """What a script prints in a process of its own, with payload logging in its environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "SCORESPAN_DATA_MART_URL": mart.url,
        "SCORESPAN_DATA_MART_ID": mart.DATA_MART_ID,
        "SCORESPAN_API_KEY": mart.API_KEY,
        "SCORESPAN_SUBSCRIPTION_ID": "subscription",
        "SCORESPAN_SPOOL_DIR": str(spool_dir),
        "SCORESPAN_SHUTDOWN_SECONDS": "30",
    }
    command = [sys.executable, "-W", "ignore", "-c", script]
    return subprocess.check_output(command, env=environment, text=True)


FORKING = """
import os, sys
import scorespan

scorespan.configure()
def score(n):
    for number in range(n):
        with scorespan.scoring_span({"fields": ["a"], "values": [[number]]}) as scoring:
            scoring.set_response({"fields": ["p"], "values": [[number]]})
        print(scoring.id, flush=True)
score(50)
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        score(50)
        os._exit(0)  # no atexit, no flush: what was accepted is on disk
    children.append(child)
score(50)
for child in children:
    os.waitpid(child, 0)
"""


def test_a_fork_with_a_non_empty_queue_stores_each_record_once(
    scripted_mart: ScriptedMart, tmp_path: Path
):
    """Children have directories and numbers of their own, and `os._exit` loses nothing."""
    printed = run(FORKING, scripted_mart, tmp_path)
    scored = printed.split()
    assert len(scored) == len(set(scored)) == 250
    heir = Intake(Settings.load({**scripted_mart.settings, "spool_dir": tmp_path}, {}))
    heir.accept(span(1))
    assert heir.flush()
    heir.close()
    assert set(scored) <= set(scripted_mart.stored)
    account = read_account(tmp_path)
    assert account.totals["stored"] == 251
    assert account.missing == []


SIGNALLED = """
import os, signal, sys
import scorespan

scorespan.configure()
ids = []
def score():
    with scorespan.scoring_span({"fields": ["a"], "values": [[1]]}) as scoring:
        scoring.set_response({"fields": ["p"], "values": [[1]]})
    ids.append(scoring.id)
def interrupt(*_):
    score()
    signal.setitimer(signal.ITIMER_REAL, 0.0002)
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.0002)
while len(ids) < 5000:
    score()
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(*ids, flush=True)
scorespan.shutdown()
"""


def test_a_scoring_in_a_signal_handler_neither_waits_nor_is_lost(
    scripted_mart: ScriptedMart, tmp_path: Path
):
    """A handler that interrupts a put scores as well; every record arrives once."""
    printed = run(SIGNALLED, scripted_mart, tmp_path)
    scored = printed.split()
    assert len(scored) >= 5000
    assert set(scored) == set(scripted_mart.stored)
    assert read_account(tmp_path).missing == []
