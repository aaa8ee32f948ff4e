"""The account: every record is in exactly one term, and a missing one is named."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compacting import compact_all
from scorespan.conversion.span import ScoringSpan, encode
from scorespan.delivery.settle import STATUS_FILE
from scorespan.reconcile import Gap, read_account, read_directories
from scorespan.reconcile.gaps import Gaps, look_again
from scorespan.reconcile.numbers import Numbers
from scorespan.reconcile.reading import RootReader
from scorespan.reconcile.tally import Tally
from scorespan.spool.dead import DEAD, DeadLetter
from scorespan.spool.dead_writer import write_letters
from scorespan.spool.ledger import (
    DAMAGED,
    DEAD_LETTERED,
    REFUSED,
    STORED,
    SWITCHED_OFF,
    Ledger,
    LedgerItem,
)
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.segment import segments_of
from scorespan.spool.spool import Spool

ROUTE = Route("http://mart", "one")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared root."""
    prepare_root(tmp_path / "root")
    return tmp_path / "root"


def span(number: int, subscription: str = "s") -> ScoringSpan:
    """A numbered span."""
    return ScoringSpan(
        request=b"{}",
        start_time=60_000_000_000 * number,
        scoring_id=f"id-{number}",
        subscription_id=subscription,
        deployment_id="d",
        producer_id="p",
        sequence=number,
    )


def item(number: int, outcome: str) -> LedgerItem:
    """What the ledger says of the same."""
    return LedgerItem(outcome, "s", "d", "p", number, f"id-{number}", number)


def write_ledger(root: Path, *items: LedgerItem, scored: int = 0, producer_id: str = "p") -> None:
    """A ledger file with these items, of a process that numbered as this producer."""
    name = str(len(list((root / "ledger").iterdir())))
    ledger = Ledger(root / "ledger", name, producer_id=producer_id)
    ledger.append(items)
    ledger.append_scored("p", scored)
    ledger.close()


def bury(root: Path, *numbers: int, producer_id: str = "p", route: Route = ROUTE) -> None:
    """Dead letters of records with these numbers."""
    write_letters(
        root / DEAD,
        [
            DeadLetter(
                b"{}", f"w-1.{producer_id}.{number}", "refused", "HTTP 400",
                producer_id=producer_id, sequence=number, route=route,
            )
            for number in numbers
        ],
    )  # fmt: skip


def damage(spool: Spool, here: bytes, there: bytes) -> None:
    """Write other bytes over some of the one segment of a spool."""
    (segment,) = segments_of(spool.path)
    content = segment.read_bytes()
    assert content.count(here) == 1
    segment.write_bytes(content.replace(here, there))


def fill_spool(root: Path, *spans: ScoringSpan) -> Spool:
    """A spool of this process with these spans."""
    spool = Spool(root, ROUTE, max_bytes=10**9)
    for one in spans:
        spool.put(encode(one))
    return spool


def test_terms_add_up_to_what_was_scored(root: Path):
    """Waiting, stored, dead-lettered and refused records are each in one term."""
    spool = fill_spool(root, span(1), span(2))
    bury(root, 4)
    write_ledger(root, item(3, STORED), item(4, DEAD_LETTERED), item(5, REFUSED), scored=5)
    account = read_account(root)
    assert account.scored == 5
    assert account.missing == []
    assert account.totals == {
        "stored": 1, "waiting": 2, "dead-lettered": 1, "withheld": 0, "refused": 1,
        "switched off": 0,
    }  # fmt: skip
    assert account.ids("waiting") == {"id-1", "id-2"}
    spool.close()


def test_a_number_that_is_nowhere_is_missing_and_named(root: Path):
    """Gaps below the highest known number are real; a trailing loss shows by the count."""
    write_ledger(root, item(1, STORED), item(4, STORED), scored=6)
    account = read_account(root)
    assert account.missing == [Gap("p", 2, 3), Gap("p", 5, 6)]
    assert account.scored == 6


def test_an_entry_cut_out_of_a_segment_is_named(root: Path):
    """Damage in the spool becomes a name in the account."""
    write_ledger(root)
    spool = fill_spool(root, span(1), span(2), span(3))
    spool.abandon()
    (segment,) = segments_of(spool.path)
    content = segment.read_bytes()
    start = content.rindex(b"\xf8Sp\xff", 0, content.index(b"id-2"))
    segment.write_bytes(content[:start] + content[content.index(b"\xf8Sp\xff", start + 1) :])
    assert read_account(root).missing == [Gap("p", 2, 2)]


def test_a_damaged_entry_waits_under_its_own_name(root: Path):
    """Its bytes are there, and will be a dead letter: nothing is missing."""
    spool = fill_spool(root, span(1), span(2), span(3))
    spool.abandon()
    damage(spool, b'"id-2"', b'"id+2"')
    account = read_account(root)
    assert account.missing == []
    assert account.totals["waiting"] == 3


@pytest.mark.parametrize("compacted", [False, True])
def test_a_name_from_damaged_bytes_makes_no_gap(root: Path, compacted: bool):
    """A flipped bit in a number or a producer's id is no reason to miss thousands."""
    spool = fill_spool(root, *(span(number) for number in range(1, 4)))
    spool.abandon()
    damage(spool, b'"p",3', b'"p",9')
    assert read_account(root).missing == []
    assert read_account(root).totals["waiting"] == 3
    write_ledger(root, item(1, STORED), item(4, STORED))
    bury(root, 3, 9)
    bury(root, 70, producer_id="q")
    damaged = [item(9, DAMAGED), item(70, DAMAGED)._replace(producer_id="q")]
    write_ledger(root, *damaged, item(3, DEAD_LETTERED), item(3, DAMAGED))
    if compacted:
        compact_all(root)
    account = read_account(root)
    assert account.missing == []
    assert account.totals["stored"] == 2
    assert account.totals["dead-lettered"] == 3
    assert account.totals["waiting"] == 1


def test_the_ledger_is_right_about_a_record_that_still_stands_in_the_spool(root: Path):
    """A crash between ledger and acks does not count a record twice."""
    spool = fill_spool(root, span(1))
    write_ledger(root, item(1, STORED), item(1, STORED))
    account = read_account(root)
    assert account.totals["stored"] == 1
    assert account.totals["waiting"] == 0
    spool.close()


def test_settled_entries_do_not_wait(root: Path):
    """What is acked in the spool is left to the ledger."""
    spool = fill_spool(root, span(1), span(2))
    spool.settle(spool.claim(10**6, 1).entries)
    write_ledger(root, item(1, STORED))
    assert read_account(root).ids("waiting") == {"id-2"}
    spool.close()


def test_the_last_status_of_a_dead_process_counts(root: Path):
    """What a killed process had counted is known though nothing else tells."""
    spool = fill_spool(root, span(1))
    status = {"producer": "p", "scored": 3}
    (spool.path / STATUS_FILE).write_bytes(orjson.dumps(status))
    spool.abandon()
    assert read_account(root).missing == [Gap("p", 2, 3)]


def test_places_are_told_apart(root: Path):
    """Subscriptions have lines of their own, and minutes where asked for."""
    spool = fill_spool(root, span(1, "a"), span(2, "a"), span(3, "b"))
    account = read_account(root)
    assert [
        (place.subscription_id, terms["waiting"]) for place, terms in account.by_place().items()
    ] == [
        ("a", 2),
        ("b", 1),
    ]
    assert len(account.by_place(minutes=True)) == 3
    spool.close()


def test_a_number_out_of_all_proportion_costs_no_time(root: Path):
    """A span may say any number of itself; the account names the stretch below it."""
    write_ledger(root, item(2**62, STORED))
    assert read_account(root).missing == [Gap("p", 1, 2**62 - 1)]


def test_entries_that_are_no_spans_are_told_beside_the_terms(root: Path):
    """What has no name is known by its place; it leaves no gap, and is no record of its own."""
    spool = fill_spool(root, span(1))
    spool.put([b"rubbish"])
    spool.put([b"more rubbish"])
    account = read_account(root)
    assert account.totals["waiting"] == 1
    assert account.nameless == {"waiting": 2}
    assert (account.scored, account.missing) == (1, [])
    spool.close()


def test_a_cut_ledger_line_costs_that_line_only(root: Path):
    """A crash in the middle of a line hides no other one."""
    write_ledger(root, item(1, STORED))
    with (root / "ledger" / "0.ledger").open("ab") as file:
        file.write(b'{"o": "stored", "s": "s", "d')
    write_ledger(root, item(2, STORED))
    assert read_account(root).totals["stored"] == 2


def test_directories_are_shown_dead_or_alive(root: Path):
    """Who is alive, what waits, and since when."""
    alive = fill_spool(root, span(5), span(7))
    dead = fill_spool(root, span(9))
    dead.abandon()
    first, second = read_directories(root)
    assert (first.alive, first.waiting, first.oldest, first.route) == (True, 2, 5, ROUTE)
    assert (second.alive, second.waiting) == (False, 1)
    assert first.name.startswith(f"w-{os.getpid()}")
    alive.close()


@pytest.mark.parametrize("compacted", [False, True])
def test_stored_is_more_than_waiting_and_waiting_more_than_the_last_word(
    root: Path, compacted: bool
):
    """A dead letter that was requeued waits, and then is stored; each record is in one term."""
    bury(root, 1)
    write_ledger(
        root,
        *(item(number, DEAD_LETTERED) for number in (1, 2, 3, 4)),
        item(3, STORED),
        item(4, SWITCHED_OFF),
        item(5, STORED),
        item(5, DEAD_LETTERED),
    )
    if compacted:
        compact_all(root)
    spool = fill_spool(root, span(2), span(3))
    spool.abandon()
    account = read_account(root)
    outcomes = {place.minute: terms for place, terms in account.by_place(minutes=True).items()}
    assert {
        minute: [term for term, count in terms.items() if count]
        for minute, terms in outcomes.items()
        if any(terms.values())
    } == {
        1: ["dead-lettered"],
        2: ["waiting"],
        3: ["stored"],
        4: ["switched off"],
        5: ["stored"],
    }
    assert account.scored == 5
    write_ledger(root, item(2, STORED))
    assert read_account(root).totals["stored"] == 3


def test_an_account_without_names_says_the_same(root: Path):
    """Counts and numbers need no ids."""
    spool = fill_spool(root, span(1), span(2))
    bury(root, 5)
    write_ledger(root, item(3, STORED), item(5, DEAD_LETTERED), scored=7)
    with_names, without = read_account(root), read_account(root, names=False)
    assert without.totals == with_names.totals
    assert without.missing == with_names.missing == [Gap("p", 4, 4), Gap("p", 6, 7)]
    assert without.by_place(minutes=True) == with_names.by_place(minutes=True)
    assert without.items == {}
    assert len(with_names.items) == 4
    spool.close()


def test_routes_are_told_apart(root: Path):
    """One producer that serves two data marts has every number twice, once for each."""
    other = Route("http://other", "two")
    bury(root, 1, route=other)
    for route, outcome in ((ROUTE, STORED), (other, DEAD_LETTERED)):
        ledger = Ledger(root / "ledger", route.data_mart_id, route=route, producer_id="p")
        ledger.append([item(1, outcome)])
        ledger.close()
    by_route = read_account(root).by_place(routes=True)
    assert {
        place.route: (terms["stored"], terms["dead-lettered"]) for place, terms in by_route.items()
    } == {ROUTE: (1, 0), other: (0, 1)}


def test_a_ledger_without_a_route_belongs_to_the_only_one(root: Path):
    """What the version before wrote is the same producer's as what waits."""
    (root / "ledger" / "w-1.ledger").write_bytes(
        b'{"o":"stored","s":"s","d":"d","p":"p","r":[[1,"id-1",1],[3,"id-3",3]]}\n'
    )
    spool = fill_spool(root, span(2), span(4))
    account = read_account(root)
    assert account.missing == []
    assert {place.route for place in account.by_place(routes=True)} == {ROUTE}
    compact_all(root)
    assert read_account(root).missing == []
    spool.close()


def test_refused_records_without_ids_are_counted(root: Path):
    """By their numbers; one that is told twice counts once."""
    ledger = Ledger(root / "ledger", "w-1", route=ROUTE, producer_id="p")
    ledger.append([item(1, REFUSED)])
    ledger.append_ranges(item(0, REFUSED), [(2, 500), (502, 600)])
    ledger.append_ranges(item(0, REFUSED), [(590, 600)])
    ledger.close()
    account = read_account(root)
    assert account.totals["refused"] == 599
    assert account.missing == [Gap("p", 501, 501)]


def test_cut_ledger_lines_are_counted(root: Path):
    """Not skipped over in silence; a line that is just being written is no cut one."""
    write_ledger(root, item(1, STORED))
    with (root / "ledger" / "0.ledger").open("ab") as file:
        file.write(b'rubbish\n{"o": "stored", "s": "s", "d')
    assert read_account(root).cut == 2
    compact_all(root)
    assert read_account(root).cut == 2
    ledger = Ledger(root / "ledger", "w-9", route=ROUTE)
    with (root / "ledger" / "w-9.ledger").open("ab") as file:
        file.write(b'{"o": "stored", "s": "s", "d')
    assert read_account(root).cut == 2
    ledger.close()
    assert read_account(root).cut == 3


@given(st.dictionaries(st.integers(-(2**62), 2**62) | st.integers(-600, 600), st.integers(1, 99)))
def test_numbers_hold_what_a_dictionary_holds(expected: dict[int, int]):
    """Wherever they lie, in order, from both ends."""
    numbers = Numbers("I")
    for number, value in expected.items():
        numbers.set(number, 7)
        numbers.set(number, value)
    assert dict(numbers.items()) == expected
    assert [number for number, _ in numbers.items()] == sorted(expected)
    assert list(numbers.from_the_end()) == list(numbers.items())[::-1]
    assert all(numbers.get(number) == value for number, value in expected.items())
    assert numbers.get(12345) == expected.get(12345, 0)


class Waiting:
    """A living process whose number 2 of 3 is nowhere; `wait` lets something happen, once."""

    def __init__(self, root: Path, spool: Spool) -> None:
        self.root = root
        self.spool = spool
        self.ledger = Ledger(root / "ledger", spool.name, route=ROUTE, producer_id="p")
        self.happens: Callable[[], None] = lambda: None
        self.waited = 0
        self.brought: tuple[str, int] | None = None
        self.say(1.0)

    def say(self, moment: float) -> None:
        """Have the process write its status."""
        status = {"producer": "p", "scored": 3, "brought": self.brought, "time": moment}
        (self.spool.path / STATUS_FILE).write_bytes(orjson.dumps(status))

    def die(self) -> None:
        """Let the process end."""
        self.ledger.close()
        self.spool.abandon()

    def wait(self, _: float) -> None:
        """Instead of waiting."""
        self.waited += 1
        if self.waited == 2:
            self.happens()

    def look(self) -> tuple[list[Gap], list[Gap]]:
        """What is missing then, and what nothing can be said of."""
        tally = Tally(unknown_route=ROUTE)
        reader = RootReader(self.root, tally)
        reader.read()
        gaps = Gaps(tally, tally.sources())
        clock = itertools.count()
        held = look_again(reader, gaps, patience=10, wait=self.wait, clock=lambda: next(clock))
        return [*gaps.left()], held


@pytest.fixture
def waiting(root: Path) -> Iterator[Waiting]:
    """Numbers 1 and 3 are in the spool of this process."""
    spool = fill_spool(root, span(1), span(3))
    made = Waiting(root, spool)
    yield made
    made.ledger.close()
    spool.close()


def test_a_number_that_is_put_meanwhile_is_no_gap(waiting: Waiting):
    """Its caller was between the number and the put."""
    waiting.happens = lambda: waiting.spool.put(encode(span(2)))
    assert waiting.look() == ([], [])
    assert waiting.waited == 2


def test_a_number_that_is_refused_meanwhile_is_no_gap(waiting: Waiting):
    """Its name was in the memory of the process, and is in the ledger now."""
    waiting.happens = lambda: write_ledger(waiting.root, item(2, REFUSED))
    assert waiting.look() == ([], [])


def test_a_number_is_missing_once_its_process_has_moved(waiting: Waiting):
    """It has written down what it had, and this was not in it."""
    waiting.happens = lambda: waiting.say(2.0)
    assert waiting.look() == ([Gap("p", 2, 2)], [])
    assert waiting.waited == 2


def test_a_number_that_a_process_brings_is_missing_once_it_has_moved(waiting: Waiting):
    """Another producer of the same process numbered it: it counts here, and not elsewhere."""
    for number in (1, 3):
        waiting.spool.put(encode(span(number)._replace(producer_id="q")))
    waiting.brought = ("q", 3)
    waiting.say(1.0)
    waiting.happens = lambda: waiting.say(2.0)
    assert waiting.look() == ([Gap("p", 2, 2), Gap("q", 2, 2)], [])


def test_a_number_is_missing_once_its_process_has_ended(waiting: Waiting):
    """All that it had is on the disk."""
    waiting.happens = waiting.die
    assert waiting.look() == ([Gap("p", 2, 2)], [])
    assert waiting.waited == 2


def test_a_number_of_a_dead_process_is_missing_whoever_holds_its_directory(waiting: Waiting):
    """A living process has taken it over, and writes no status there."""
    waiting.die()
    heir = Spool(waiting.root, ROUTE, max_bytes=10**9)
    assert heir.adopt() == [waiting.spool.path]
    assert waiting.look() == ([Gap("p", 2, 2)], [])
    heir.close()


def test_a_number_of_a_process_that_does_not_move_is_not_judged(waiting: Waiting):
    """Nobody can tell what its threads are about to do."""
    assert waiting.look() == ([], [Gap("p", 2, 2)])
    assert waiting.waited > 5


def test_the_account_of_a_root_judges_no_process_that_does_not_move(waiting: Waiting):
    """`spool status` says the same of it as reconcile."""
    account = read_account(waiting.root, patience=0.1)
    assert (account.missing, account.held) == ([], [Gap("p", 2, 2)])
    assert account.scored == 2


def test_a_process_is_known_to_live_before_its_first_status(waiting: Waiting):
    """By the first line of its ledger."""
    (waiting.spool.path / STATUS_FILE).unlink()
    assert waiting.look() == ([], [Gap("p", 2, 2)])
