"""The fault table: what scorespan survives, end to end, one row after the other.

Every row goes through the public door to a real spool, a real worker and a mart over HTTP, and ends
with the oracle: nothing accepted is missing, nothing is double, the account balances, and a new
record arrives. The sizes are those of a test run; `SCORESPAN_FAULTS=soak` has them in full.

| row | fault | how | outcome | detail |
| --- | --- | --- | --- | --- |
| 1 | kill -9 in the middle of an append | 8 threads, 2 processes, killed after 0.15-0.6 s | every accepted record arrives | faults/test_faults |
| 2 | kill -9 between the mart's commit and the acks | the proxy kills the sender at its answer | sent again, stored once | faults/test_faults |
| 3 | power loss | the image of an ext4 disk as it is, unsynced data gone | durable: nothing accepted lost; written: the last moment | spool/test_power_loss |
| 4 | a sync fails with EIO | strace injects it, 1 and 8 threads | nobody is told yes for it, nothing accepted is lost | spool/test_sync |
| 5 | the disk is full in the middle of a record | ext4 of 32 MiB, filled | refused, counted, the rest stays readable | spool/test_full_disk |
| 6 | disk full to the last byte, then drained | the same, padded | drained without a free byte | spool/test_full_disk |
| 7 | somebody else fills the disk, three times | a pad grows up to the floor | refuses, goes on when there is room | spool/test_full_disk |
| 8 | the spool's bound is reached | small bound, mart down | the refused are counted exactly; a receiver says 503 | spool/test_spool |
| 9 | torn tail | a file cut at each of its last 400 bytes | all earlier records arrive | spool/test_frames |
| 10 | a flipped bit anywhere | one in each of many spools | at most that record, and it is reported | spool/test_reader |
| 11 | a zeroed page | 4 KiB of a file | only the records on it | spool/test_reader |
| 12 | acks or owner file damaged, gone or old | deleted, flipped, yesterday's | sent again, stored once, never started empty | spool/test_acks |
| 13 | a segment file gone, another touched | deleted, utime | the rest arrives, the gap is named by number | spool/test_spool |
| 14 | spool root read-only, foreign, removed | mount, chown, rm -r | refused at the start; later made anew, until then refused and counted | spool/test_root |
| 15 | a large backlog | generated | starts at once, in bounded memory | spool/test_backlog |
| 16 | the mart answers 503 for long | steered mart | all delivered, few requests, scoring unmoved | delivery/test_once |
| 17 | 429 with every form of Retry-After | steered marts | waits that long; other routes go on | delivery/test_retry |
| 18 | the receiver's disk fails, is full or gone; it stops; the mart is down | strace, tmpfs, rm -r, SIGTERM | 503 and when to come again, never 500 | faults/test_faults |
| 19 | one poison record among 1000 | refused without a name | at most 21 posts; that one is a dead letter | delivery/test_lists |
| 20 | 413 | a cap of 1 MB | halved; what is over the cap alone is a dead letter | delivery/test_lists |
| 21 | 401, 403, a rotated key | steered marts | paused and said, resumes after the fix | delivery/test_auth |
| 22 | 404, a wrong address | steered mart | paused and said, resumes after the fix | delivery/test_sender |
| 23 | answers that the contract does not know | steered marts | not taken for success; named records alone dropped | delivery/test_retry |
| 24 | answers that come after the timeout | a slow proxy | few copies, stored once | delivery/test_patience |
| 25 | the answer is lost after the commit | the proxy resets | sent again, stored once | delivery/test_network |
| 26 | silence, resets, 502, no name, expired TLS | proxy, own network, test authority | retried, no descriptor or thread left over | delivery/test_network |
| 29 | one key, two bodies | an edited response | the first one stays, the conflict is listed | mart/test_mart_payload |
| 30 | fork with a full queue | os.fork, os._exit | each record once | hosts/test_hosts |
| 31 | eight processes on one root, one dies | SIGKILL | adopted by another, never two owners | hosts/test_hosts |
| 32 | exit and SIGTERM while the mart is down | subprocess | all on disk, the next start delivers | hosts/test_hosts |
| 33 | a stopped process | SIGSTOP | still the owner; goes on | hosts/test_hosts |
| 34 | the clock jumps | faketime | nothing expires, order by number | hosts/test_hosts |
| 35 | huge and odd bodies | corpus | stored byte for byte, or a dead letter with its reason | delivery/test_large |
| 36 | zip bombs, wrong lengths, connections that stand still | raw sockets, some at once | 413 or 408, 503 for half a body, bounded memory, the rest goes on | receiver/test_fuzz |
| 37 | a sampler and limits of the application | environment | every record, whole | test_limits |
| 38 | an OTLP batch comes twice | one after the other, and at once | stored once, the account balances | faults/test_faults |
| 39 | another version's spool | golden directories | read, both ways | faults/golden |
| 40 | each hop of service, Collector, receiver, mart is gone for a while; one says yes too early | SIGKILL, a queue in memory | what is lost is named by number, and nothing else | collector/test_pipeline |
| 43 | all of it for long | seeded mix | the oracle, and memory and descriptors stay flat | faults/soak |
"""  # noqa: E501 - a table

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import msgspec
import orjson
import pytest
import requests
from grpc import StatusCode

from collector.hop import killed
from collector.pipeline import CLI, environment_of, pipeline
from collector.real import AGENT
from collector.replaying import python_service
from examples.payloads import read_payloads
from faults import golden, resolver, soak
from faults.certificates import Authority
from faults.disks import after_power_loss, fill, installed, needed, small_disk
from faults.injection import SystemCalls, orphans, straced
from faults.oracle import ODD_BODIES, Oracle, pause, scoring, stored_in, text
from faults.processes import program, score_in
from faults.proxy import CountingMart, Exchange, Proxy, is_down, passes
from faults.receiving import Told, receiver
from faults.size import sized
from receiver import fuzz
from receiver.fuzz import post
from running import run, wait_until
from scorespan.conversion.span import decode
from scorespan.errors import SettingsError
from scorespan.intake import Intake
from scorespan.receiver.memory import LEAST_SPOOL_BYTES
from scorespan.reconcile import read_account, read_directories
from scorespan.settings import Settings
from scorespan.testing import Answer

DOWN = Answer(503)
SERVICE = "service"
TESTS = Path(__file__).parents[1]

pytestmark = pytest.mark.timeout(sized(300, 7200))


def test_the_table_and_the_tests_name_the_same_rows():
    """A row without a test, or a test without a row, must not be."""
    table = re.findall(r"^\| (\d+) \|.* (\S+) \|$", __doc__, re.MULTILINE)
    named = " ".join(name for name in globals() if name.startswith("test_row_"))
    tests = {str(int(number)) for number in re.findall(r"_(\d\d)(?=_)", named)}
    assert {row for row, _ in table} == tests
    assert all((TESTS / f"{detail}.py").is_file() for _, detail in table)


def test_row_01_kill_mid_append(real, proxy, start):
    """Whoever is killed among eight threads that score loses nothing that was accepted."""
    rounds, threads = sized(60, 1000), 8
    chance = random.Random(20260131)
    for _ in range(rounds):
        # A mart that is down shows whether what a dead sender had was still on disk.
        proxy.fault = is_down if chance.random() < 0.3 else passes
        pair = [start(real, threads=threads, burst=5, pause_ms=sized(25, 60)) for _ in range(2)]
        real.accepted.wait_for_more()
        pause(chance.uniform(0.15, 0.6))
        for process in pair:
            process.kill()
    proxy.fault = passes
    real.recovers(sized(200, 3000), unaccepted=rounds * 2 * threads)
    assert read_directories(real.root) == []


def test_row_02_kill_between_commit_and_acks(real, proxy, start):
    """Killed between the mart's commit and its own acks, a sender's records are stored once."""
    chance = random.Random(2)
    kills = sized(15, 200)

    def kill_sender(exchange: Exchange) -> None:
        answer = exchange.forward()
        if chance.random() < 0.3:
            running.kill()
            exchange.reset()
        else:
            exchange.answer(answer)
            pause(chance.random() * 0.003)
            running.kill()

    proxy.fault = kill_sender
    for _ in range(kills):
        running = start(real, count=200, flush=60)
        running.wait()
    proxy.fault = passes
    real.recovers(unaccepted=kills)
    assert proxy.resent > 0, "no kill came between commit and acks"


@pytest.mark.parametrize("sync", ["durable", "written"])
def test_row_03_power_loss(mart, tmp_path, start, sync):
    """After a power loss all that was accepted is there; `written` may lack the last moment."""
    mart.rule = lambda _: DOWN
    # The file system itself syncs nothing while this lasts.
    with small_disk(tmp_path / "disk", 64, options="commit=300") as disk:
        oracle = Oracle({**mart.settings, "sync": sync}, stored_in(mart), disk)
        oracle.note_in(tmp_path / "accepted")
        process = start(oracle, threads=8, burst=1, pause_ms=4, door="intake")
        oracle.accepted.wait_for_more()
        pause(1)
        earlier = oracle.accepted.ids()
        pause(sized(1.0, 5.0))
        with process.stopped(), after_power_loss(disk) as found:
            accepted = oracle.accepted.ids()
            waiting = read_account(found / "spool").ids("waiting")
        process.kill()
    assert len(earlier) > 50
    assert set(accepted if sync == "durable" else earlier) <= waiting


@pytest.mark.parametrize("sync", ["durable", "written"])
@pytest.mark.parametrize(("threads", "when"), [(1, "3+4"), (8, "3+4"), (8, "3..6")])
def test_row_04_sync_fails_with_eio(oracle, tmp_path, sync, threads, when):
    """Nobody is told yes before a sync that worked, and what was accepted arrives."""
    oracle.root.mkdir()
    oracle.settings["sync"] = sync
    calls = tmp_path / "calls"
    strace = straced(calls, f"inject=fdatasync:error=EIO:when={when}")
    how = {"threads": threads, "count": sized(30, 200), "door": "intake", "burst": 1}
    said = score_in(oracle, strace, **how, pause_ms=30, flush=60)
    assert said["flushed"], "the process did not get over it"
    seen = SystemCalls(calls)
    assert seen.injected >= sized(3, 8)
    if sync == "durable":
        assert seen.too_early(oracle.accepted.path) == []
    # Who was told no may have a record all the same: a sync that failed may have worked in part.
    oracle.recovers(unaccepted=said["refused"])


def test_row_05_disk_full_mid_record(mart, tmp_path):
    """A record that the disk cannot take whole is refused; those before it arrive."""
    with small_disk(tmp_path / "disk", 32) as disk:
        oracle = Oracle({**mart.settings, "spool_min_free_bytes": 0}, stored_in(mart), disk)
        mart.rule = lambda _: DOWN
        with oracle.scorer(shutdown_seconds=0) as scorer:
            scorer.score_many(10)
            pad = fill(disk, leave=300_000)
            taken = [bool(scorer.score(text(4000))) for _ in range(300)]
        assert 0 < sum(taken) < 300
        assert len(read_account(oracle.root).ids("waiting")) == 10 + sum(taken)
        pad.unlink()
        mart.rule = lambda _: None
        assert oracle.recovers().totals["refused"] == taken.count(False)


def test_row_06_full_disk_is_drained(mart, tmp_path):
    """A spool on a disk without a free byte is delivered to the end."""
    with small_disk(tmp_path / "disk", 32) as disk:
        oracle = Oracle({**mart.settings, "spool_min_free_bytes": 0}, stored_in(mart), disk)
        mart.rule = lambda _: DOWN
        with oracle.scorer() as scorer:
            scorer.score_many(10)
            while scorer.score(text(20_000)):
                pass
            fill(disk)
            assert shutil.disk_usage(disk).free == 0
            mart.rule = lambda _: None
            wait_until(lambda: scorer.intake.flush(5), "delivery from a full disk")
            assert sum(report.waiting for report in read_directories(oracle.root)) == 0
        oracle.check()


def test_row_07_others_fill_the_disk(mart, tmp_path):
    """At the floor of free space new records are refused, and taken again when there is room."""
    with small_disk(tmp_path / "disk", 32, kind="tmpfs") as disk:
        floor = 8 * 1024 * 1024
        oracle = Oracle({**mart.settings, "spool_min_free_bytes": floor}, stored_in(mart), disk)
        with oracle.scorer() as scorer:
            for _ in range(3):
                wait_until(lambda: bool(scorer.score()), "records are taken")
                pad = fill(disk, leave=floor // 2)
                wait_until(lambda: not scorer.score(), "records are refused")
                assert shutil.disk_usage(disk).free >= floor // 4
                pad.unlink()
        assert oracle.recovers().totals["refused"] >= 3


def test_row_08_bound_reached(oracle, mart):
    """What the bound refuses is counted exactly, and nothing that was taken is dropped for it."""
    mart.rule = lambda _: DOWN
    bound = sized(4, 64) * 1024 * 1024
    with oracle.scorer(spool_max_bytes=bound, shutdown_seconds=0) as scorer:
        taken = [bool(scorer.score(text(2000))) for _ in range(bound // 1500)]
    assert all(taken[: bound // 3000])
    assert not all(taken)
    mart.rule = lambda _: None
    assert oracle.recovers().totals["refused"] == taken.count(False)


def test_row_08_receiver_at_its_bound(oracle, mart):
    """A full receiver says 503 and when to come again, and keeps all that it said yes to."""
    mart.rule = lambda _: DOWN
    bound = sized(4, 64) * 1024 * 1024
    oracle.root.mkdir(mode=0o700, exist_ok=True)
    with (oracle.root / "others").open("wb") as others:
        others.truncate(LEAST_SPOOL_BYTES - bound)  # it takes no room on the disk
    with receiver(oracle, spool_max_bytes=LEAST_SPOOL_BYTES) as door:
        told = [door.post(door.batch(size=2000)) for _ in range(bound // 30_000)]
        assert {one.status for one in told} == {200, 503}
        assert all(one.retry_after for one in told if one.status == 503)
        refused = door.export(door.batch(size=200_000))
        assert refused.status == StatusCode.UNAVAILABLE
        assert refused.retry_after > 0
        mart.rule = lambda _: None
        for send in (door.post, door.export):
            wait_until(lambda send=send: send(door.batch()).status == 200, "room for new records")
    oracle.recovers(unaccepted=door.refused)


def test_row_09_torn_tail(oracle, mart):
    """A file that was cut anywhere in its last record gives all the others."""
    spools = orphans(oracle, 400, 3, size=600)
    for cut, orphan in enumerate(spools):
        orphan.cut(cut + 1)
    oracle.liveness(200)
    assert {scoring_id for orphan in spools for scoring_id in orphan.ids[:2]} <= set(mart.stored)
    oracle.check(unaccepted=3 * 400)


def test_row_10_flipped_bit(oracle, mart):
    """One flipped bit costs one record at most, and a dead letter says where it was."""
    chance = random.Random(10)
    spools = orphans(oracle, sized(100, 3000), 6, size=100)
    for orphan in spools:
        orphan.flip(chance)
    oracle.liveness(600)
    reported = {letter.place.partition(".")[0] for letter in oracle.dead_letters()}
    lost = {orphan.path.name: set(orphan.ids) - set(mart.stored) for orphan in spools}
    assert max(map(len, lost.values())) == 1
    assert {name for name, ids in lost.items() if ids} <= reported
    oracle.check(unaccepted=6 * len(spools), lost=set().union(*lost.values()))


def test_row_11_zeroed_page(oracle, mart):
    """A page of zeros costs the records on it, and no other."""
    chance = random.Random(11)
    spools = orphans(oracle, sized(30, 300), 40, size=300)
    safe = set().union(*(orphan.zero_page(chance) for orphan in spools))
    assert len(safe) < 40 * len(spools)
    oracle.liveness(200)
    assert safe <= set(mart.stored)
    lost = {scoring_id for orphan in spools for scoring_id in orphan.ids} - set(mart.stored)
    oracle.check(unaccepted=40 * len(spools), lost=lost)


def test_row_12_acks_and_owner_damaged(oracle, mart, tmp_path):
    """Damaged, missing or old bookkeeping costs copies, which the mart ignores; never a record."""
    mart.rule = lambda _: DOWN if mart.posts else None
    with oracle.scorer(shutdown_seconds=0) as scorer:
        for posts in (1, 2):
            scorer.score_many(100)
            mart.wait_for_posts(posts)
    (left,) = oracle.root.glob("w-*")
    (acks,) = left.glob("*.acks")
    whole, owner = acks.read_bytes(), (left / "owner").read_bytes()
    kept = shutil.copytree(left, tmp_path / "kept")
    waiting = set(oracle.accepted.ids()) - set(mart.stored)
    assert waiting
    mart.rule = lambda _: None
    flipped = bytes([whole[0] ^ 1]) + whole[1:]
    yesterday = whole[: len(whole) // 2]
    damage = (None, b"", yesterday, flipped, b"nonsense", whole)
    for content, owned in itertools.product(damage, (owner, b"")):
        shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(kept, left)
        acks.unlink() if content is None else acks.write_bytes(content)
        (left / "owner").write_bytes(owned)
        (left / "status.json").write_bytes(b"\0")
        for scoring_id in waiting:
            mart.stored.pop(scoring_id, None)
        oracle.recovers()


def test_row_13_segment_gone(oracle, mart):
    """Without one segment the others arrive, and the account names the numbers that it held."""
    mart.rule = lambda _: DOWN
    held: list[list[str]] = []
    with oracle.scorer(shutdown_seconds=0) as scorer:
        for segments in (2, 3, 4):
            held.append([scorer.score(text(1024 * 1024)) for _ in range(18)])
            (left,) = oracle.root.glob("w-*")
            following = left / f"{segments:08d}.segment"
            wait_until(following.exists, "a new segment")
    os.utime(left / "00000003.segment", (0, 0))
    (left / "00000002.segment").unlink()
    mart.rule = lambda _: None
    account = oracle.recovers(120, lost=held[1])
    assert set(mart.stored) >= {*held[0], *held[2]}
    assert [(gap.first, gap.last) for gap in account.outstanding] == [(19, 36)]


def test_row_14_root_that_cannot_be_used(oracle, mart, tmp_path):
    """An unusable root is refused at the start, by name; one that is removed is made anew."""
    with small_disk(tmp_path / "disk", 4, kind="tmpfs") as disk:
        needed(["mount", "-o", "remount,ro", str(disk)])
        foreign = tmp_path / "foreign"
        foreign.mkdir()
        os.chown(foreign, 12345, 12345)
        for root in (disk / "spool", foreign, oracle.accepted.path):
            with pytest.raises(SettingsError, match="SCORESPAN_SPOOL_DIR"):
                Intake(Settings.load({**oracle.settings, "spool_dir": root}, {}))
    with oracle.scorer() as scorer:
        scorer.score_many(10)
        assert scorer.intake.flush(60)
        oracle.root.rename(oracle.root.with_name("away"))
        oracle.root.touch()
        numbers = itertools.count(1)
        # What is put before the next sync looks is lost with the directory: it is not ours to keep.
        wait_until(
            lambda: not scorer.intake.accept(scoring("p", next(numbers))), "records are refused"
        )
        oracle.root.unlink()
        wait_until(lambda: scorer.intake.accept(scoring("p", next(numbers))), "another spool")
    oracle.liveness()
    assert set(oracle.accepted.ids()) <= set(mart.stored)


def test_row_15_large_backlog(tmp_path):
    """A large backlog neither delays the first scoring nor fills the memory, and is delivered."""
    records = sized(128, 4096) * 1024
    with CountingMart(records) as mart:
        oracle = Oracle({**mart.settings, "spool_max_bytes": 2**40}, list, tmp_path)
        orphans(oracle, 1, records, size=600)
        said = score_in(oracle, count=1, door="intake", flush=sized(150, 3000))
        assert mart.has_all
    assert said["peak"] < 300 * 1024 * 1024
    # Two seconds where nothing else runs; a scan of the backlog would take many.
    assert said["opened"] < sized(10, 2)


def test_row_16_503_for_long(oracle, mart):
    """While the mart says 503 few requests are made, scoring is as fast as ever; all arrives."""
    seconds = sized(4.0, 60.0)
    with oracle.scorer() as scorer:
        up = statistics.median(scorer.score_for(1.0))
        mart.rule = lambda _: DOWN
        begun = len(mart.times)
        down = statistics.median(scorer.score_for(seconds))
        assert len(mart.times) - begun <= 3 + seconds
        mart.rule = lambda _: None
    assert down < 5 * up
    oracle.recovers()


def test_row_17_retry_after(route):
    """The next request comes no sooner than Retry-After asks; nonsense is backoff as usual."""

    def asked(value: str):
        return route(Answer(429, headers=(("Retry-After", value),)), shutdown_seconds=1)

    soon = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=4), usegmt=True)
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    never = asked(str(10 * 365 * 86400))
    routes = {value: asked(value) for value in ("2", soon, past, "0", "-5", "nonsense", "")}
    for value, (mart, _, _) in routes.items():
        wait_until(lambda stored=mart.stored: bool(stored), f"delivery after {value!r}")
        assert mart.times[1] - mart.times[0] >= {"2": 2, soon: 1}.get(value, 0)
    # Ten years are an hour; so long nothing of the test lasts, but the others have gone on.
    assert len(never.mart.times) == 1
    route.end()
    for one in (never, *routes.values()):
        one.oracle.recovers()


def test_row_18_receiver_whose_syncs_fail(oracle, tmp_path):
    """No request is answered with yes or 500 for a sync that failed: it is to come again."""
    calls = tmp_path / "calls"
    # A single one is made good by writing to another file; of these several threads have theirs.
    strace = straced(calls, f"inject=fdatasync:error=EIO:when=2..{sized(8, 30)}")
    told = set()
    with receiver(oracle, strace) as door:
        wait_until(
            lambda: told.add(door.post(door.batch(3))) or len({one.status for one in told}) > 1,
            "yes and no",
        )
        wait_until(lambda: door.post(door.batch(3)).status == 200, "a disk that is mended")
    check_told(told)
    assert SystemCalls(calls).injected >= sized(8, 30)
    # Killed before it has written down which numbers it gave to those that it refused.
    oracle.recovers(unaccepted=door.refused, refused=door.refused)


def test_row_18_receiver_without_room_or_mart(mart, tmp_path):
    """A full disk is a 503 that passes; a mart that is down is none at all."""
    with small_disk(tmp_path / "disk", 64, kind="tmpfs") as disk:
        settings = {**mart.settings, "spool_min_free_bytes": 0}
        oracle = Oracle(settings, stored_in(mart), disk)
        oracle.note_in(tmp_path / "accepted")
        mart.rule = lambda _: DOWN
        with receiver(oracle) as door:
            told = {door.post(door.batch()) for _ in range(20)}
            assert {one.status for one in told} == {200}
            pad = fill(disk)
            told |= {door.post(door.batch(size=20_000)) for _ in range(20)}
            pad.unlink()
            wait_until(lambda: door.post(door.batch()).status == 200, "room for new records")
        check_told(told)
        mart.rule = lambda _: None
        oracle.recovers(unaccepted=door.refused)


def test_row_18_receiver_whose_spool_is_removed(oracle, mart):
    """A spool root that is removed is a 503 for a moment; what comes then goes into another."""
    with receiver(oracle) as door:
        assert door.post(door.batch()).status == 200
        wait_until(lambda: len(mart.stored) == 20, "delivery")
        accepted = oracle.accepted.ids()
        oracle.root.rename(oracle.root.with_name("away"))  # files are made in it meanwhile
        told = set()
        # What comes before the next sync looks is lost with the directory: not ours to keep.
        wait_until(
            lambda: told.add(door.post(door.batch())) or 503 in {one.status for one in told},
            "records are refused",
        )
        wait_until(lambda: door.post(door.batch()).status == 200, "another spool")
        assert requests.get(f"{door.url}/readyz", timeout=60).status_code == 200
        later = door.batch()
        assert door.post(later).status == 200
    assert {one.status for one in told} <= {200, 503}
    oracle.liveness()
    assert set(later.ids) <= set(mart.stored)
    assert set(accepted) <= set(mart.stored)


def test_row_18_receiver_that_stops(oracle):
    """Until a receiver that stops is gone it answers yes or 503, and yes is kept."""
    told = set()
    with receiver(oracle) as door:

        def send() -> None:
            with suppress(requests.ConnectionError):
                while True:
                    told.add(door.post(door.batch(5)))

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: bool(told), "the first answers")
        door.hop.signal(signal.SIGTERM)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    assert {one.status for one in told} <= {200, 503}
    # Whose connection broke was told nothing.
    oracle.recovers(unaccepted=door.refused + 4 * 5)


def check_told(told: set[Told]) -> None:
    """Both yes and no, and every no with when to come again."""
    assert {one.status for one in told} == {200, 503}
    assert all(one.retry_after for one in told if one.status == 503)


def test_row_19_poison_record(oracle, mart):
    """One record that is refused without a name is found in 21 posts; 999 are stored."""
    (orphan,) = orphans(oracle, 1, 1000)
    poison = orphan.ids[617]
    mart.rule = lambda body: Answer(400, b"bad body") if poison.encode() in body else None
    oracle.liveness()
    assert len(set(orphan.ids) & set(mart.stored)) == 999
    # The liveness record is one post more.
    assert len(mart.posts) <= 22
    (letter,) = oracle.dead_letters()
    assert (letter.scoring_id, letter.status, letter.answer) == (poison, 400, "bad body")
    oracle.check(dead=1, unaccepted=999)


def test_row_20_too_large_for_the_mart(oracle, mart):
    """A list over the cap is halved; a record over the cap is a dead letter with its size."""
    mart.rule = lambda body: Answer(413) if len(body) > 1_000_000 else None
    with oracle.scorer() as scorer:
        for size in (300_000, 300_000, 1_200_000, 300_000, 300_000, 300_000):
            scorer.score(text(size))
    (letter,) = oracle.dead_letters()
    assert letter.scoring_id == oracle.accepted.ids()[2]
    assert letter.status == 413
    assert re.search(r"1[\d,]*2\d\d[,\d]*\d", letter.reason), letter.reason
    assert len(letter.entry) > 1_200_000
    oracle.recovers(dead=1)


@pytest.mark.parametrize("codes", [(401, 403), (404, 405)], ids=["token", "address"])
def test_row_21_and_22_route_is_paused(route, codes):
    """A token or an address that is refused pauses the route and says so; the fix resumes it."""
    for code in codes:
        mart, oracle, scorer = route(Answer(code))
        mart.rule = lambda _, code=code: Answer(code)
        scorer.score_many(10)
        wait_until(lambda o=oracle, c=code: f"HTTP {c}" in o.blocked(), "the pause is said")
        tokens = mart.tokens_given
        assert not mart.stored
        mart.rule = lambda _: None
        wait_until(lambda m=mart: len(m.stored) == 11, "delivery after the fix", seconds=30)
        assert mart.tokens_given > tokens or code >= 404
        oracle.recovers()


def test_row_23_answers_outside_the_contract(route):
    """Only what the contract allows settles a record; of a list only what is named is dropped."""
    login = Answer(200, b"<html>please log in</html>", (("Content-Type", "text/html"),))
    named = b'{"errors": [{"index": 1, "code": "bad_values", "message": "no"}]}'
    answers = [
        Answer(200), login, login._replace(status=202), Answer(207, b"[]"), Answer(206, b"{}"),
        Answer(302, headers=(("Location", "/login"),)), Answer(500), Answer(502, login.body),
        Answer(200, b"{", (("Content-Length", "100"),)), Answer(400, named), Answer(422, named),
    ]  # fmt: skip
    routes = [route(answer, records=3, timeout_seconds=2) for answer in answers]
    route.end()
    for answer, (mart, oracle, _) in zip(answers, routes, strict=True):
        dead = answer.body == named
        oracle.recovers(dead=dead, unaccepted=3)
        assert len(mart.stored) == 5 - dead


def test_row_24_answers_after_the_timeout(real, proxy):
    """A mart that answers after our timeout gets few copies, few at a time; each is stored once."""

    def late(exchange: Exchange) -> None:
        answer = exchange.forward()
        pause(2.5)
        exchange.answer(answer)

    proxy.fault = late
    with real.scorer(timeout_seconds=1) as scorer:
        ids = scorer.score_many(50)
        wait_until(lambda: scorer.intake.flush(5), "delivery to a slow mart", seconds=120)
        assert max(Counter(itertools.chain(*proxy.posted)).values()) <= 6
        assert proxy.most_at_once <= 3
        assert set(ids) <= set(real.stored())
    proxy.fault = passes
    real.recovers()


def test_row_25_answer_lost(real, proxy):
    """Every record's first answer is lost after the commit: sent again, and stored once."""
    known: set[str] = set()
    resets = sized(12, 1000)

    def lose(exchange: Exchange) -> None:
        answer = exchange.forward()
        first = not known.issuperset(exchange.ids)
        known.update(exchange.ids)
        exchange.reset() if first else exchange.answer(answer)

    proxy.fault = lose
    with real.scorer() as scorer:
        for _ in range(resets):
            scorer.score_many(20)
            wait_until(lambda: scorer.intake.flush(5), "delivery through a proxy that resets")
    proxy.fault = passes
    real.recovers()
    assert proxy.resent >= 20 * resets


def test_row_26_silence_resets_502(real, proxy, start):
    """Through silence, resets and a proxy's 502 nothing is lost, no descriptor or thread stays."""
    silent = threading.Event()
    real.settings["timeout_seconds"] = 0.3
    process = start(real, burst=1, pause_ms=50)
    wait_until(lambda: proxy.count > 2, "the first posts")
    descriptors, threads = process.held
    gateway = Answer(502, b"<html>Bad Gateway</html>")
    for fault in (lambda _: silent.wait(30), Exchange.reset, lambda held: held.answer(gateway)):
        proxy.fault = fault
        enough = proxy.count + sized(3, 8)
        wait_until(lambda enough=enough: proxy.count >= enough, "more posts")
        assert process.held[0] <= descriptors + 3
        assert process.held[1] <= threads
    proxy.fault = passes
    silent.set()
    process.kill()
    real.recovers(unaccepted=1)


def test_row_26_no_name(tmp_path):
    """SERVFAIL and NXDOMAIN are waited out: delivery begins when the name is found."""
    needed(["unshare", "-n", "-m", installed("ip"), "link"])
    assert resolver.run_apart(tmp_path) == 10


def test_row_26_expired_certificate(mart, tmp_path):
    """A certificate that has expired is no reason to drop or to send: it is waited out."""
    authority = Authority(tmp_path)
    contexts = deque([authority.server(-timedelta(days=1))])
    with Proxy(mart.url, contexts=contexts) as between:
        settings = {**mart.settings, "data_mart_url": between.url, "ca_file": authority.file}
        oracle = Oracle(settings, stored_in(mart), tmp_path)
        with oracle.scorer() as scorer:
            scorer.score_many(10)
            assert not scorer.intake.flush(2)
            assert not mart.posts
            contexts.appendleft(authority.server(timedelta(days=1)))
            wait_until(lambda: scorer.intake.flush(5), "delivery under a good certificate")
        oracle.recovers()


def test_row_29_one_key_two_bodies(real, live):
    """A second body under the same key never takes the place of the first; it is listed."""
    with real.scorer() as scorer:
        first = scorer.score()
        assert scorer.intake.flush(30)
        second = scoring(scorer.producer_id, 2, response=b"[[1]]")._replace(scoring_id=first)
        assert scorer.intake.accept(second)
    (stored,) = live.records()
    assert msgspec.json.decode(stored.response_text)["values"] == [[0]]
    assert [one["scoring_id"] for one in live.conflicts()] == [first]
    real.recovers()


def test_row_30_fork_with_a_full_queue(oracle, mart):
    """Parent and children deliver each record once, whether they exit, `os._exit` or are killed."""
    mart.rule = lambda _: DOWN
    with program("forker.py", oracle, "300", shutdown_seconds=1) as process:
        assert process.wait(60) == 0
    mart.rule = lambda _: None
    posted = len(mart.posts)
    assert oracle.recovers().totals["stored"] == 4 * 300 + 1
    ids = [one["scoring_id"] for body in mart.posts[posted:] for one in msgspec.json.decode(body)]
    assert len(ids) == len(set(ids))


def test_row_31_eight_processes_one_dies(real, proxy, start, tmp_path):
    """What a dead process left is adopted by one living one; appends do not wait for each other."""
    proxy.fault = is_down
    how = {"door": "intake", "burst": 1, "pause_ms": 10, "flush": 60}
    victim = start(real, **how)
    reports = [tmp_path / f"report{number}" for number in range(7)]
    living = [start(real, **how, count=2000, report=str(report)) for report in reports]
    wait_until(lambda: proxy.count > 8, "every process at work")
    victim.kill()
    proxy.fault = passes
    (left,) = real.root.glob(f"w-{victim.pid}-*")
    wait_until(lambda: not left.exists(), "the adoption of what was left", seconds=30)
    for process in living:
        process.wait(120)
    times = [time for one in reports for time in msgspec.json.decode(one.read_bytes())["times"]]
    assert statistics.quantiles(times, n=100)[98] < sized(0.5, 0.02)
    real.recovers(unaccepted=1)


@pytest.mark.parametrize("end", ["exit", "SIGTERM"])
def test_row_32_end_while_the_mart_is_down(oracle, mart, end):
    """With the mart down a process ends in time, and the next start delivers all it had."""
    mart.rule = lambda _: DOWN
    with program("ender.py", oracle, end, shutdown_seconds=2) as process:
        wait_until(lambda: len(oracle.accepted.ids()) == 1000, "1000 accepted records")
        began = time.monotonic()
        if end == "SIGTERM":
            process.terminate()
        # Two seconds on a machine of its own.
        assert process.wait(timeout=30) == (0 if end == "exit" else -signal.SIGTERM)
        assert time.monotonic() - began < 15
    assert len(read_account(oracle.root).ids("waiting")) == 1000
    mart.rule = lambda _: None
    oracle.recovers()


def test_row_33_stopped_process(real, proxy, start):
    """A stopped process stays the owner of what it wrote; going on, it delivers that itself."""
    proxy.fault = is_down
    process = start(real, count=200, flush=60)
    wait_until(lambda: len(real.accepted.ids()) == 200, "200 accepted records")
    with process.stopped():
        pause(1)  # a post that it had sent already is turned away, too
        proxy.fault = passes
        with real.scorer() as scorer:
            # Two rounds of adoption, in which nothing may be taken over.
            pause(sized(7, 60))
            new = scorer.score()
            assert scorer.intake.flush(30)
        assert set(real.stored()) == {new}
    process.wait(90)
    assert len(real.stored()) == 201
    real.recovers()


@pytest.mark.parametrize(
    "clock", ["+3d", "-1d", "1970-01-02 00:00:00", "2038-01-20 00:00:00", "2026-10-25 02:59:59"]
)
def test_row_34_clock_jumps(oracle, mart, clock):
    """Whatever the clock said when records were put, they are delivered, in their order."""
    faketime = [installed("faketime"), *(["-f"] if clock[0] in "+-" else []), clock]
    environment = {"DONT_FAKE_MONOTONIC": "1", "TZ": "Europe/Berlin"}
    mart.rule = lambda _: DOWN
    oracle.settings["shutdown_seconds"] = 0
    score_in(oracle, faketime, environment, count=100)
    assert len(read_account(oracle.root).ids("waiting")) == 100
    mart.rule = lambda _: None
    score_in(oracle, faketime, environment, count=100, flush=60)
    numbers = [record["scorespan"]["sequence"] for record in mart.stored.values()]
    assert numbers == [*range(1, 101), *range(1, 101)]
    oracle.recovers()


@pytest.mark.parametrize("mebibytes", sized([1, 9, 20, 65], [1, 20, 63, 65, 256]))
def test_row_35_huge_bodies(real, live, mebibytes):
    """A huge body takes three times its size at most; over the mart's limit it is a dead letter."""
    size = mebibytes * 1024 * 1024
    real.settings["timeout_seconds"] = 60
    said = score_in(real, count=1, size=size, door="intake", flush=100)
    assert said["peak"] - said["memory"] <= 3 * size + 32 * 1024 * 1024
    over = mebibytes > 64
    if over:
        (letter,) = real.dead_letters()
        assert letter.status == 413
        assert text(size) in letter.entry
    else:
        (record,) = live.records()
        assert record.request_text == text(size)
    real.recovers(dead=over)


def test_row_35_odd_bodies(real, live):
    """An odd body is stored byte for byte, or it is a dead letter that says why."""
    with real.scorer() as scorer:
        ids = [scorer.score(request, response) for request, response in ODD_BODIES]
        assert all(ids)
        assert scorer.intake.flush(60)
    stored = {record.scoring_id: record.request_text for record in live.records()}
    letters = {letter.scoring_id: letter for letter in real.dead_letters()}
    assert set(stored) | set(letters) == set(ids)
    for scoring_id, (request, _) in zip(ids, ODD_BODIES, strict=True):
        if scoring_id in stored:
            assert stored[scoring_id] == request
        else:
            assert letters[scoring_id].reason
            assert request in letters[scoring_id].entry
    assert len(stored) >= 3
    real.recovers(dead=len(letters))


def test_row_36_bombs_wrong_lengths_and_slow_senders(oracle):
    """Who sends bombs, wrong lengths or next to nothing costs bounded memory and stops nobody."""
    bombs = [post(fuzz.zeros(encoding, 300), encoding=encoding) for encoding in ("gzip", "zstd")]
    declared = fuzz.head(fuzz.PROTOBUF, "", more=f"content-length: {2**40}\r\n")
    hostile = [post(fuzz.ten_gigabytes(), encoding="zstd"), *bombs, declared]
    with receiver(oracle) as door, ExitStack() as connections, ThreadPoolExecutor(4) as threads:
        address = ("127.0.0.1", door.hop.port)
        slow = []
        standing = {b"408": b"POST /v1/traces HT", b"503": post(b"x" * 100)[:-1]}
        expected = [*standing][: sized(1, 2)]
        for status in expected:
            for _ in range(40):
                connection = connections.enter_context(socket.create_connection(address, 60))
                connection.sendall(standing[status])
                slow.append(connection)

        def answers(sent: bytes) -> list[int]:
            return fuzz.answers_to(fuzz.Case("row 36", sent, frozenset()), address)

        assert [answers(sent) for sent in hostile] == [[413]] * len(hostile)
        told = [threads.submit(answers, sent) for sent in hostile * sized(2, 20)]
        while not all(one.done() for one in told):
            assert door.post(door.batch()).status in {200, 503}
        assert {status for one in told for status in one.result()} <= {413, 503}
        shorter = fuzz.Case("shorter", post(b"x" * 100)[:-1], frozenset(), answered=False)
        assert fuzz.answers_to(shorter, address) == []
        assert door.post(door.batch()).status == 200
        assert {connection.recv(100)[9:12] for connection in slow} == {*expected}
        assert fuzz.peak_bytes(door.hop._process.pid) < 1024**3
    oracle.recovers(unaccepted=door.refused)


def test_row_37_sampler_and_limits(real, live):
    """The application's sampler and limits touch no record: 1000 of 1000 arrive whole."""
    limits = {
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "10",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1",
    }
    score_in(real, environment=limits, count=1000, size=100, flush=60)
    records = live.records()
    assert len(records) == 1000
    assert all(b"x" * 100 in record.request_text for record in records)
    real.recovers()


@pytest.mark.parametrize("producer_id", ["", "another-service"], ids=["plain", "numbered"])
def test_row_38_batch_that_comes_twice(real, live, producer_id):
    """An OTLP batch that comes again, even at once, gives each record once; nothing is missing."""
    with receiver(real) as door:
        batches = [door.batch(producer_id=producer_id) for _ in range(sized(10, 200))]
        with ThreadPoolExecutor(8) as side_by_side:
            for batch in batches:
                twice = [*side_by_side.map(door.post, [batch] * 2), door.export(batch)]
                assert {one.status for one in twice} == {200}
        wait_until(lambda: len(live.ids()) == 20 * len(batches), "delivery")
    real.recovers()
    assert live.conflicts() == []
    found = json.loads(run([*CLI, "reconcile", "--json"], environment_of(real.settings)).stdout)
    # One more came with `recovers`.
    assert found["scored"] == found["stored"] == 20 * len(batches) + 1


@pytest.mark.parametrize("version", ["1", "next"])
def test_row_39_spool_of_another_version(oracle, mart, version):
    """What another version left is read: waiting records are delivered, the account knows all."""
    left = golden.copied(version, oracle.root, mart.url)
    for scoring_id in (*left.stored, *left.waiting, *left.dead):
        oracle.accepted.add(scoring_id)
    account = read_account(oracle.root)
    assert account.ids("stored") == set(left.stored)
    assert account.ids("waiting") == set(left.waiting)
    assert account.ids("dead-lettered") == set(left.dead)
    assert account.missing == []
    mart.stored.update({scoring_id: {} for scoring_id in left.stored})
    oracle.recovers(dead=len(left.dead))
    for scoring_id, body in left.waiting.items():
        assert orjson.dumps(mart.stored[scoring_id]["request"]) == body.encode()
    assert [decode(letter.entry).key for letter in oracle.dead_letters()] == list(left.dead)


def test_row_40_each_hop_is_gone_for_a_while(tmp_path):
    """Whichever of Collector, receiver and mart is killed for a while: lost is what is named."""
    records = [*read_payloads().values()]
    with (
        pipeline(tmp_path, (SERVICE,)) as whole,
        python_service(tmp_path / SERVICE, whole.collector.http_url, SERVICE, rate=200) as service,
    ):
        for number, hop in enumerate((whole.collector, whole.receiver, whole.mart)):
            service.feed(records[number * 300 : (number + 1) * 300])
            service.wait_for(number * 300 + 100)
            with killed(hop):
                pause(sized(1.5, 60))
        service.finish(300)
        # In the soak the Collector is gone for longer than the exporter before it has patience.
        whole.wait_for_all(service, lost=sized(0, 300))
        wait_until(
            lambda: whole.named() == whole.lost(service),
            "what is lost is what is named",
            seconds=sized(60, 300),
        )


def test_row_40_hop_that_says_yes_too_early(tmp_path):
    """What a Collector with a queue in memory loses is named by producer and number, exactly."""
    records = [*read_payloads().values()]
    careless = tmp_path / "careless.yaml"
    agent = AGENT.read_text()
    careless.write_text(agent.replace("      storage: file_storage/scorings\n", ""))
    assert careless.read_text() != agent
    with (
        pipeline(tmp_path, (SERVICE,), config=careless) as whole,
        python_service(tmp_path / SERVICE, whole.collector.http_url, SERVICE, rate=500) as service,
    ):
        service.feed(records[:200])
        wait_until(lambda: len(whole.ids(SERVICE)) == 200, "the first 200")
        with killed(whole.receiver):
            service.feed(records[200:500])
            wait_until(
                lambda: whole.collector.metric("otelcol_receiver_accepted_spans") >= 500,
                "the Collector's yes",
            )
            whole.collector.kill()
        whole.collector.start()
        service.feed(records[500:700])
        service.finish()
        wait_until(lambda: len(whole.ids(SERVICE)) >= 400, "the last 200")
        lost = whole.lost(service)
        assert {number for _, number in lost} == set(range(201, 501))
        assert whole.named() == lost


def test_row_43_soak(tmp_path):
    """Under a mix of faults nothing accepted is lost; memory and descriptors stay flat."""
    soak.run(tmp_path, seconds=soak.seconds(60), seed=soak.seed(), say=print)
