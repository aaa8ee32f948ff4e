"""The requeue: a letter becomes an entry again, is delivered once, and is never in no place."""

from __future__ import annotations

import dataclasses
import itertools
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.live import SUBSCRIPTION_ID, LiveMart, live_mart
from running import started, wait_until
from scorespan.conversion.span import ScoringSpan, decode, encode
from scorespan.letters import Selection, select
from scorespan.reconcile import read_account
from scorespan.requeue import Edit, Requeued, requeue
from scorespan.spool.dead import DEAD, WITHHELD, DeadLetter, read_letter
from scorespan.spool.dead_writer import write_letters
from scorespan.spool.files import Files
from scorespan.spool.root import Route, directories, prepare_root
from scorespan.spool.spool import Spool

ROUTE = Route("http://mart", "one")
OTHER = Route("http://other", "two")
MIB = 1024 * 1024


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared root."""
    prepare_root(tmp_path / "root")
    return tmp_path / "root"


def span(number: int, **known) -> ScoringSpan:
    """A numbered span."""
    first = ScoringSpan(request=b"{}", response=b"{}", scoring_id=f"id-{number}")
    return first._replace(**{"producer_id": "p", "sequence": number, **known})


def bury(
    root: Path, *spans: ScoringSpan, route: Route | None = ROUTE, folder: str = DEAD
) -> list[bytes]:
    """Make dead letters of spans; their entries."""
    entries = [b"".join(encode(one)) for one in spans]
    write_letters(
        root / folder,
        [
            DeadLetter(entry, f"w-1.{one.scoring_id}", "refused", "HTTP 400", route=route)
            for one, entry in zip(spans, entries, strict=True)
        ],
    )
    return entries


def requeue_all(root: Path, **options) -> Requeued:
    """Requeue every letter of the root."""
    letters = select(root, Selection(), on_unreadable=lambda path: pytest.fail(str(path)))
    return requeue(root, letters, **options)


def letters_left(root: Path) -> int:
    """How many letters there are."""
    return len(list(root.glob("*/*.letter")))


def adopted(root: Path, route: Route = ROUTE) -> list[bytes]:
    """The entries that the next process of a route takes over, all of them settled."""
    heir = Spool(root, route, max_bytes=10**10)
    found: list[bytes] = []
    try:
        while heir.adopt() or heir.orphans_left:
            while entries := heir.claim(10**9, 1000).entries:
                assert not any(entry.damaged for entry in entries)
                found += [bytes(entry.body) for entry in entries]
                heir.settle(entries)
    finally:
        heir.close()
    return found


def test_entries_go_back_as_they_were(root: Path):
    """To the byte and in order; the letters are gone, and the next process has the entries."""
    entries = bury(root, *(span(number) for number in range(1, 200)))
    assert requeue_all(root) == Requeued({ROUTE: 199}, [])
    assert letters_left(root) == 0
    assert adopted(root) == entries
    assert directories(root) == []


def test_each_letter_goes_to_its_own_data_mart(root: Path):
    """A process adopts what has its route, and nothing else."""
    (here,), (there,) = bury(root, span(1)), bury(root, span(2), route=OTHER)
    assert requeue_all(root).counts == {ROUTE: 1, OTHER: 1}
    assert adopted(root) == [here]
    assert adopted(root, OTHER) == [there]


def test_withheld_records_can_be_requeued(root: Path):
    """They are letters like others."""
    (entry,) = bury(root, span(1, failed=True), folder=WITHHELD)
    assert requeue_all(root).counts == {ROUTE: 1}
    assert adopted(root) == [entry]


def test_a_letter_without_a_route_needs_one(root: Path):
    """It stays with the reason; with a route it goes, under its own name."""
    (entry,) = bury(root, span(1), route=None)
    ((path, reason),) = requeue_all(root).refused
    assert (path.name, reason) == ("w-1.id-1.letter", "it does not say where it was to go")
    assert letters_left(root) == 1
    assert requeue_all(root, route=OTHER).counts == {OTHER: 1}
    assert adopted(root, OTHER) == [entry]


@pytest.mark.parametrize("route", [ROUTE, None])
def test_a_letter_that_holds_no_span_stays_and_stops_nobody(root: Path, route: Route | None):
    """It is named with the reason; the others go."""
    bury(root, span(1), span(3))
    rubbish = DeadLetter(b"rubbish", "w-1.id-2", "damaged", "7 bytes", route=ROUTE)
    write_letters(root / DEAD, [rubbish])
    done = requeue_all(root, route=route)
    assert done.counts == {ROUTE: 2}
    ((path, reason),) = done.refused
    assert path.name == "w-1.id-2.letter"
    assert reason.startswith("it is no span any more: the entry cannot be read")
    assert letters_left(root) == 1
    assert len(adopted(root)) == 2


def test_a_letter_that_has_gone_meanwhile_is_told(root: Path):
    """Somebody else took it between the look and the requeue."""
    bury(root, span(1))
    found = list(select(root, Selection(), on_unreadable=print))
    found[0].path.unlink()
    assert requeue(root, found).refused == [(found[0].path, "it has gone meanwhile")]
    assert directories(root) == []


def test_nothing_to_requeue_leaves_nothing(root: Path):
    """No directory is made for no letters."""
    assert requeue_all(root) == Requeued()
    assert directories(root) == []


def test_many_bytes_go_into_several_segments(root: Path):
    """Letters are removed with each, so that a requeue needs little room beside them."""
    spans = [span(number, request=b"x" * 9 * MIB) for number in range(1, 5)]
    entries = bury(root, *spans)
    left: list[int] = []
    requeue_all(root, progress=lambda: left.append(letters_left(root)))
    assert left == [4, 2, 2, 0]
    assert adopted(root) == entries


def test_on_another_route_a_record_has_another_name(root: Path):
    """Its number is complete on its own route alone; a note tells the first name."""
    bury(root, span(7), span(9))
    letters = list(select(root, Selection(), on_unreadable=print))
    saved = [(letter.path, letter.path.read_bytes()) for letter in letters]
    requeue(root, letters, route=OTHER)
    first = [decode(entry) for entry in adopted(root, OTHER)]
    assert [one.scoring_id for one in first] == ["id-7", "id-9"]
    assert {one.sequence for one in first} == {1}
    assert len({one.producer_id for one in first} | {"p"}) == 3
    assert first[0].notes == ("requeue: was to go to http://mart, one, v1 as p/7",)
    for path, content in saved:
        path.write_bytes(content)
    requeue(root, letters, route=OTHER)
    assert [decode(entry) for entry in adopted(root, OTHER)] == first


texts = st.none() | st.text(min_size=1, max_size=10)
bodies = st.none() | st.binary(max_size=10)


columns = st.none() | st.lists(st.text(min_size=1), min_size=1).map(tuple)


@given(st.builds(Edit, bodies, bodies, texts, texts, texts, texts, columns, columns))
def test_an_edit_changes_what_it_says_and_notes_it(edit: Edit):
    """Nothing else changes; a span that is not changed is the same one."""
    before = span(1, notes=("first",), subscription_id="s")
    after = edit.apply(before)
    changed = {name: value for name, value in edit._asdict().items() if value is not None}
    fields = changed.keys() - {"prediction_fields"}
    assert {name: getattr(after, name) for name in fields} == {
        name: changed[name] for name in fields
    }
    assert (after.details or {}).get("prediction_fields") == (
        None if edit.prediction_fields is None else list(edit.prediction_fields)
    )
    kept = (*fields, "notes", "details")
    assert after._replace(**{name: getattr(before, name) for name in kept}) == before
    assert (after is before) is (not changed)
    if changed:
        assert after.notes[0] == "first"
        assert after.notes[1].startswith("requeue: scoring.")


def test_a_new_body_is_whole_and_plain():
    """That the former was compressed or cut is not told of it; the other body's marks stay."""
    details = {"request_encoding": "gzip,base64", "request_size": 9, "response_size": 8}
    span = Edit(request=b"{}").apply(ScoringSpan(request=b"H4s=", details=details))
    assert span.details == {"response_size": 8}


@pytest.mark.parametrize(
    ("problems", "edit", "left"),
    [
        (("request: set has no JSON form",), Edit(request=b"{}"), None),
        (("scoring.request: 5 bytes are more",), Edit(request=b"{}"), None),
        (("request: a; response: b",), Edit(request=b"{}"), ("response: b",)),
        (("request: a; response: b",), Edit(b"{}", b"{}"), None),
        (
            ("scoring.subscription.id: a string is needed", "scoring.response_time: an integer"),
            Edit(subscription_id="s"),
            ("scoring.response_time: an integer",),
        ),
        (("request: a",), Edit(response=b"{}"), ("request: a",)),
    ],
)
def test_what_is_given_anew_is_wrong_no_longer(problems, edit, left):
    """A problem of an attribute goes with the attribute, and only then."""
    assert edit.apply(span(1, problems=problems)).problems == left


class Crash(BaseException):
    """The machine stops here."""


class CrashingFiles(Files):
    """A disk that stops at the change of this number.

    It knows what of it would be lost then, and lets no letter go whose entry is not safe.
    """

    def __init__(self, last: int) -> None:
        self.left = last
        self.paths: dict[int, Path] = {}
        self.unsafe: set[Path] = set()

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash

    def create(self, path: Path) -> int:
        """Neither its bytes nor its name are safe."""
        self._step()
        descriptor = super().create(path)
        self.paths[descriptor] = path
        self.unsafe |= {path, path.parent}
        return descriptor

    def rename(self, path: Path, target: Path) -> None:
        """The new name is not safe."""
        self._step()
        super().rename(path, target)
        self.unsafe.add(target.parent)

    def writev(self, descriptor, pieces) -> int:
        """What is written is not safe."""
        self._step()
        self.unsafe.add(self.paths[descriptor])
        return super().writev(descriptor, pieces)

    def datasync(self, descriptor: int) -> None:
        """The bytes are safe."""
        self._step()
        super().datasync(descriptor)
        self.unsafe.discard(self.paths[descriptor])

    def sync_folder(self, path: Path) -> None:
        """The names are safe."""
        self._step()
        super().sync_folder(path)
        self.unsafe.discard(path)

    def unlink(self, path: Path) -> None:
        """A letter may go only when its entry is safe."""
        self._step()
        if path.suffix == ".letter":
            entry = read_letter(path).read_entry()
            root = path.parent.parent
            safe = [
                segment
                for segment in root.glob("w-*/*.segment")
                if self.unsafe.isdisjoint({segment, segment.parent, root})
            ]
            assert any(entry in segment.read_bytes() for segment in safe)
        super().unlink(path)


def test_a_crash_at_any_change_leaves_each_record_somewhere(tmp_path: Path):
    """In the letters or in the spool, or in both: never in neither; until the last step is done."""
    for last in itertools.count():
        root = tmp_path / str(last)
        prepare_root(root)
        entries = set(bury(root, span(1), span(2)) + bury(root, span(3), route=OTHER))
        files = CrashingFiles(last)
        try:
            requeue_all(root, files=files)
        except Crash:
            pass
        else:
            assert last > 10
            break
        found = {letter.read_entry() for letter in select(root, Selection(), on_unreadable=print)}
        found |= set(adopted(root)) | set(adopted(root, OTHER))
        assert found == entries


def test_a_disk_that_takes_no_more_costs_nothing(root: Path):
    """The error comes out; every letter is still there, and no part of a directory."""
    entries = bury(root, *(span(number, request=b"x" * 100_000) for number in range(1, 5)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            requeue_all(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert letters_left(root) == len(entries)
    assert directories(root) == []


def test_a_requeued_record_waits(root: Path):
    """In the account it is what it was until the requeue, and then waiting; nothing is missing."""
    bury(root, span(1))
    requeue_all(root)
    account = read_account(root)
    assert account.ids("waiting") == {"id-1"}
    assert (account.scored, account.missing) == (1, [])


SERVICE = """
import contextlib, sys, scorespan
scorespan.configure()

def score(subscription=None):
    request = {"fields": ["a"], "values": [[1]]}
    with contextlib.suppress(KeyError), scorespan.scoring_span(
        request, subscription_id=None if subscription == "fail" else subscription
    ) as scoring:
        if subscription == "fail":
            raise KeyError
        scoring.set_response({"fields": ["b"], "values": [[2]]})
    print(scoring.id, flush=True)

for line in sys.stdin:
    score(*line.split()[1:])
"""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveMart]:
    """A running mart with one subscription."""
    with live_mart(tmp_path) as mart:
        yield mart


def service(live: LiveMart, **more: str):
    """A process that scores once for each line it is given."""
    return started(
        [sys.executable, "-c", SERVICE],
        live.environment(**more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def end(process: subprocess.Popen[str]) -> None:
    """Have the process drain and end."""
    process.stdin.close()
    assert process.wait(60) == 0


def score(process: subprocess.Popen[str], subscription: str = "") -> str:
    """Have the process score, for a subscription or to `fail`; the scoring id."""
    process.stdin.write(f"score {subscription}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def command(live: LiveMart, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `scorespan spool`."""
    return subprocess.run(
        [sys.executable, "-m", "scorespan.cli", "spool", *arguments],
        env=live.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("running", [True, False])
def test_a_dead_letter_is_mended_requeued_and_stored(live: LiveMart, running: bool):
    """From the mart's no to its yes, with a process that runs on or one that has gone since."""
    with service(live) as process:
        good, bad = score(process), score(process, "nobody")
        wait_until(lambda: letters_left(live.spool) == 1, "the dead letter")
        wait_until(lambda: live.ids() == [good], "the good record")
        account = read_account(live.spool)
        assert (account.ids("stored"), account.ids("dead-lettered")) == ({good}, {bad})
        if not running:
            end(process)

        listed = json.loads(command(live, "list", "--json").stdout)
        assert [letter["scoring_id"] for letter in listed["letters"]] == [bad]
        done = command(live, "requeue", bad, "--set-subscription", SUBSCRIPTION_ID)
        assert done.returncode == 0, done.stderr
        assert f"1 record requeued to {live.running.url}" in done.stdout
        assert ("a running process delivers" in done.stdout) is running
        if not running:
            account = read_account(live.spool)
            assert (account.ids("stored"), account.ids("waiting")) == ({good}, {bad})
            assert (account.scored, account.missing) == (2, [])
        else:
            wait_until(lambda: bad in live.ids(), "the mended record")
            end(process)
    expected = {good, bad}
    if not running:
        with service(live) as process:
            expected.add(score(process))
            wait_until(lambda: bad in live.ids(), "the mended record")
            end(process)

    assert sorted(live.ids()) == sorted(expected)
    (mended,) = [record for record in live.records() if record.scoring_id == bad]
    assert mended.scorespan["notes"] == ["requeue: scoring.subscription.id changed"]
    account = read_account(live.spool)
    assert account.ids("stored") == expected
    assert account.totals == {**dict.fromkeys(account.totals, 0), "stored": len(expected)}
    assert account.missing == []
    assert letters_left(live.spool) == 0
    assert directories(live.spool) == []


def test_a_withheld_record_is_requeued_and_stored(live: LiveMart):
    """Set aside towards the hosted mart, it is stored by one that has a place for it."""
    with service(live, SCORESPAN_DATA_MART_KIND="openscale") as process:
        good, failed = score(process), score(process, "fail")
        end(process)
    account = read_account(live.spool)
    assert (account.ids("stored"), account.ids("withheld")) == ({good}, {failed})
    assert command(live, "requeue", "--all").stdout == "nothing was requeued\n"
    assert command(live, "requeue", "--withheld", "--route-from-settings").returncode == 0
    assert read_account(live.spool).ids("waiting") == {failed}
    with service(live) as process:
        last = score(process)
        wait_until(lambda: failed in live.ids(), "the withheld record")
        end(process)
    (record,) = [one for one in live.records() if one.scoring_id == failed]
    assert record.failed
    assert record.response_text == b"null"
    account = read_account(live.spool)
    assert account.ids("stored") == {good, failed, last}
    assert (account.scored, account.missing) == (3, [])
    assert letters_left(live.spool) == 0


def test_a_letter_can_go_to_another_data_mart(live: LiveMart, tmp_path: Path):
    """It is stored there once, and no number seems to be missing on either route."""
    with service(live) as process:
        good, bad = score(process), score(process, "nobody")
        end(process)
    (tmp_path / "other").mkdir()
    with live_mart(tmp_path / "other") as other:
        here = dataclasses.replace(other, spool=live.spool)
        done = command(
            here, "requeue", bad, "--route-from-settings", "--set-subscription", SUBSCRIPTION_ID
        )
        assert done.returncode == 0, done.stderr
        assert other.running.url in done.stdout
        with service(here) as process:
            last = score(process)
            wait_until(lambda: bad in other.ids(), "the record at the other mart")
            end(process)
        assert sorted(other.ids()) == sorted([bad, last])
        (record,) = [one for one in other.records() if one.scoring_id == bad]
    assert record.scorespan["notes"][1].startswith(f"requeue: was to go to {live.running.url}, ")
    assert live.ids() == [good]
    account = read_account(live.spool)
    assert account.missing == []
    assert account.ids("stored") == {good, bad, last}
    assert account.ids("dead-lettered") == {bad}


def test_a_letter_whose_bytes_have_changed_stays(root: Path):
    """A flipped bit must not go to the data mart as what was scored."""
    (entry,) = bury(root, span(1))
    (path,) = (root / DEAD).glob("*.letter")
    whole = path.read_bytes()
    for place in range(len(whole) - len(entry), len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        ((stays, _),) = requeue_all(root).refused
        assert stays == path
    path.write_bytes(whole)
    assert requeue_all(root).counts == {ROUTE: 1}


def test_a_letter_of_an_older_version_needs_no_checksum(root: Path):
    """It has none, and goes back as it is."""
    bury(root, span(1))
    (path,) = (root / DEAD).glob("*.letter")
    head, newline, entry = path.read_bytes().partition(b"\n")
    known = json.loads(head)
    del known["check"]
    path.write_bytes(json.dumps(known).encode() + newline + entry)
    assert requeue_all(root).counts == {ROUTE: 1}
