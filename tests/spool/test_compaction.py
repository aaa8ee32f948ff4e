"""Compaction: ids go, and the counts stay exactly as they were, whatever stops it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorespan.spool.compaction import Kept, compact
from scorespan.spool.counts import FILE, Counts, Source, Spot, read_counts
from scorespan.spool.files import Files, Piece
from scorespan.spool.ledger import (
    DEAD_LETTERED,
    REFUSED,
    STORED,
    SWITCHED_OFF,
    Ledger,
    LedgerItem,
)
from scorespan.spool.ledger_files import ledger_files, locked, read_ledger
from scorespan.spool.root import Route, create_directory, prepare_root

ROUTE = Route("http://mart", "one")
ALL = Kept(seconds=-1.0)
DAY = 24 * 3600.0
IDS = ("p", "q", "", "a/b", 'a"b', "a\\", '","route":', "\n", "\u00fc\u2028", "\\u0070")
"""Producers call themselves what they like."""


class Stopped(BaseException):
    """The process died."""


class Mortal(Files):
    """A disk whose process dies before a change that is counted down to."""

    def __init__(self, changes: int) -> None:
        self.left = changes

    def _change(self) -> None:
        if not self.left:
            raise Stopped
        self.left -= 1

    def create(self, path: Path) -> int:
        """As the disk."""
        self._change()
        return super().create(path)

    def writev(self, descriptor: int, pieces: Sequence[Piece]) -> int:
        """As the disk, half of it before the death."""
        if not self.left:
            whole = b"".join(pieces)
            super().writev(descriptor, [whole[: len(whole) // 2]])
        self._change()
        return super().writev(descriptor, pieces)

    def rename(self, path: Path, target: Path) -> None:
        """As the disk."""
        self._change()
        super().rename(path, target)

    def unlink(self, path: Path) -> None:
        """As the disk."""
        self._change()
        super().unlink(path)

    def sync_folder(self, path: Path) -> None:
        """As the disk."""
        self._change()
        super().sync_folder(path)


def item(number: int, outcome: str = STORED, producer: str = "p") -> LedgerItem:
    """A record; ten to a minute, subscriptions in turn."""
    return LedgerItem(
        outcome, f"s{number % 3}", "d", producer, number, f"id-{number}", number // 10
    )


def write(folder: Path, name: str, *items: LedgerItem, age: float = 0.0) -> Path:
    """A finished ledger file, last written so many seconds ago."""
    one = Ledger(folder, name, route=ROUTE, producer_id="p")
    one.append(items)
    one.append_scored("p", max((one.sequence for one in items), default=0))
    one.close()
    path = folder / f"{name}.ledger"
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def counted(folder: Path) -> Counts:
    """Everything the folder knows, as counts."""
    counts = read_counts(folder)
    for path in ledger_files(folder):
        for line in read_ledger(path):
            counts.count(line)
    return counts


def known(folder: Path) -> dict[object, object]:
    """The same, to compare."""
    counts = counted(folder)
    return {
        (source, outcome): (list(ended.ranges), +ended.spots)
        for source, by_outcome in counts.ended.items()
        for outcome, ended in by_outcome.items()
        if ended.ranges
    } | {source: highest for source, highest in counts.scored.items() if highest}


def finish(folder: Path, kept: Kept = ALL) -> None:
    """Compact as long as there is something to do."""
    while compact(folder, kept):
        pass


def test_counts_say_what_the_lines_said(tmp_path: Path):
    """For each source, outcome and place; the lines are gone."""
    write(tmp_path, "a", *(item(number) for number in range(1, 31)))
    write(tmp_path, "b", item(31, REFUSED), item(33, DEAD_LETTERED), item(1, producer="q"))
    before = known(tmp_path)
    finish(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert known(tmp_path) == before
    source = Source(ROUTE, "p")
    assert before[source, STORED][0] == [(1, 30)]
    assert before[source, STORED][1][Spot("s1", "d", 1)] == 4
    assert before[source] == 33


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(IDS), st.integers(1, 9)), min_size=1),
        min_size=1,
        max_size=5,
    )
)
@settings(deadline=None, max_examples=50)
def test_producers_that_say_nothing_more_keep_their_counts(steps: list[list[tuple[str, int]]]):
    """Whatever they are called: a step changes the lines of those that it counts, and no other."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        expected: dict[str, set[int]] = {}
        for place, step in enumerate(steps):
            write(folder, f"{place}", *(item(number, producer=one) for one, number in step))
            for one, number in step:
                expected.setdefault(one, set()).add(number)
            finish(folder)
        counts = read_counts(folder)
        assert {
            source.producer_id: {
                number for first, last in one[STORED].ranges for number in range(first, last + 1)
            }
            for source, one in counts.ended.items()
            if one
        } == expected
        assert sum(sum(one[STORED].spots.values()) for one in counts.ended.values() if one) == sum(
            map(len, expected.values())
        )


def test_who_counted_elsewhere_is_known_by_the_counts(tmp_path: Path):
    """Of whom the ledger has a first line counts here, also where it has not counted far."""
    one = Ledger(tmp_path, "a", route=ROUTE, producer_id="own")
    one.append([item(1, producer="own"), item(1, producer="far")])
    one.close()
    finish(tmp_path)
    assert read_counts(tmp_path).scored == {Source(ROUTE, "own"): 0}
    write(tmp_path, "b", item(2, producer="far"))
    finish(tmp_path)
    assert read_counts(tmp_path).scored == {Source(ROUTE, "own"): 0, Source(ROUTE, "p"): 2}


def test_a_damaged_line_of_the_counts_is_told_for_ever(tmp_path: Path):
    """By the steps that pass it on, and by the one that drops it."""
    write(tmp_path, "a", item(1, producer="quiet"), item(1, producer="talks"))
    finish(tmp_path)
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content.replace(b'"stored"', b'"storad"'))
    damaged = read_counts(tmp_path).cut
    assert damaged == 2
    for producer in ("another", "talks", "quiet"):
        write(tmp_path, "b", item(2, producer=producer))
        finish(tmp_path)
        assert read_counts(tmp_path).cut == damaged


def test_young_and_few_files_stay(tmp_path: Path):
    """Ids are kept for 7 days."""
    write(tmp_path, "a", item(1), age=6 * DAY)
    assert not compact(tmp_path)
    write(tmp_path, "b", item(2), age=8 * DAY)
    assert compact(tmp_path)
    assert [path.name for path in ledger_files(tmp_path)] == ["a.ledger"]


def test_the_oldest_go_when_all_are_too_large(tmp_path: Path):
    """Ids are kept for so many bytes."""
    paths = [
        write(tmp_path, f"{number}", *(item(one) for one in range(100)), age=1000 - number)
        for number in range(5)
    ]
    size = paths[0].stat().st_size
    finish(tmp_path, Kept(size=3 * size))
    assert ledger_files(tmp_path) == paths[2:]


@pytest.mark.parametrize("ahead", [3 * DAY, 12 * 365 * DAY])
def test_a_clock_that_jumps_ahead_costs_ids_and_no_count(tmp_path: Path, ahead: float):
    """What the lines said is kept, however early they go; a clock that jumps back takes nothing."""
    write(tmp_path, "a", *(item(number) for number in range(1, 31)), age=5 * DAY)
    before = known(tmp_path)
    now = (tmp_path / "a.ledger").stat().st_mtime + 5 * DAY
    assert not compact(tmp_path, clock=lambda: now - 400 * DAY)
    assert compact(tmp_path, clock=lambda: now + ahead)
    assert known(tmp_path) == before


def test_a_file_that_is_written_is_left_alone(tmp_path: Path):
    """Its lock says so, whatever its age."""
    ledger = Ledger(tmp_path, "a", route=ROUTE)
    ledger.append([item(1)])
    assert not compact(tmp_path, ALL)
    ledger.append([item(2)])
    ledger.close()
    finish(tmp_path)
    assert known(tmp_path)[Source(ROUTE, "p"), STORED][0] == [(1, 2)]


def test_a_file_of_the_version_before_is_left_alone_while_its_process_lives(tmp_path: Path):
    """That version holds only its directory."""
    prepare_root(tmp_path / "root")
    owned = create_directory(tmp_path / "root", ROUTE)
    folder = tmp_path / "root" / "ledger"
    path = folder / f"{owned.path.name}.ledger"
    path.write_bytes(b'{"o":"stored","s":"s","d":"d","p":"p","r":[[1,"id-1",5]]}\n')
    assert not compact(folder, ALL)
    owned.release()
    finish(folder)
    assert known(folder) == {(Source(ROUTE, "p"), STORED): ([(1, 1)], {Spot("s", "d", 5): 1})}


def test_only_one_process_works_at_a_time(tmp_path: Path):
    """Whoever comes second goes on with its own work; readers are not disturbed either."""
    write(tmp_path, "a", item(1))
    with locked(tmp_path):
        assert not compact(tmp_path, ALL)
    with locked(tmp_path, alone=True) as held:
        assert held
        assert not compact(tmp_path, ALL)
    assert compact(tmp_path, ALL)


@pytest.mark.parametrize("kept", [ALL, Kept(small=1)], ids=["counted", "joined"])
def test_a_crash_at_any_step_loses_and_doubles_nothing(tmp_path: Path, kept: Kept):
    """What is read afterwards is what was read before, and the next step goes on from there."""
    for changes in count():
        folder = tmp_path / str(changes)
        folder.mkdir()
        write(folder, "a", *(item(number) for number in range(1, 31)), age=20)
        finish(folder)
        write(folder, "b", *(item(number) for number in range(31, 61)), item(2), age=10)
        write(folder, "c", item(61, DEAD_LETTERED), item(62, REFUSED))
        before = known(folder)
        died = False
        try:
            compact(folder, kept, files=Mortal(changes))
        except Stopped:
            died = True
        assert known(folder) == before, f"after {changes} changes"
        finish(folder, kept)
        assert known(folder) == before, f"after {changes} changes, finished"
        if not died:
            assert changes > 4
            return


def test_many_small_files_become_few_and_keep_their_ids(tmp_path: Path):
    """Short-lived processes leave a file each; a day of them must not fill the folder."""
    for number in range(100):
        write(tmp_path, f"w-{number}", item(number + 1), age=100 - number)
    (tmp_path / "w-50.ledger").write_bytes((tmp_path / "w-50.ledger").read_bytes() + b'{"cut')
    oldest = min(path.stat().st_mtime for path in ledger_files(tmp_path))
    finish(tmp_path, Kept(small=10))
    (path,) = ledger_files(tmp_path)
    lines = list(read_ledger(path))
    named = [record for line in lines if hasattr(line, "named") for record in line.named]
    assert {record[1] for record in named} == {f"id-{number}" for number in range(1, 101)}
    assert path.stat().st_mtime > oldest
    assert counted(tmp_path).cut == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(1, 30), st.sampled_from([STORED, DEAD_LETTERED, SWITCHED_OFF])),
            min_size=1,
            max_size=12,
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 5),
)
def test_it_does_not_matter_when_it_is_done(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[int, str]]],
    when: int,
):
    """Counted once at the end, or in between: the same; each number once, stored if ever."""
    results = []
    for steps in (False, True):
        folder = tmp_path_factory.mktemp("ledger")
        for place, batch in enumerate(batches):
            items = (item(number, outcome) for number, outcome in batch)
            write(folder, str(place), *items, age=100 - place)
            if steps and place >= when:
                finish(folder)
        finish(folder)
        results.append(known(folder))
    assert results[0] == results[1]
    source = Source(ROUTE, "p")
    stored = {number for batch in batches for number, outcome in batch if outcome == STORED}
    numbers = {number for batch in batches for number, _ in batch}
    ended = read_counts(folder).ended[source]
    assert sum(one.ranges.count for one in ended.values()) == len(numbers)
    assert sum(sum(one.spots.values()) for one in ended.values()) == len(numbers)
    assert stored == {
        one
        for first, last in (ended[STORED].ranges if stored else ())
        for one in range(first, last + 1)
    }


def test_damaged_lines_are_counted_not_hidden(tmp_path: Path):
    """In ledger files, and later in the counts themselves."""
    path = write(tmp_path, "a", item(1), item(2))
    path.write_bytes(path.read_bytes() + b'{"o":"stored","s":1}\n[]\nrubbish\n{"o":"sto')
    assert counted(tmp_path).cut == 4
    finish(tmp_path)
    assert counted(tmp_path).cut == 4
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes() + b"rubbish\n")
    assert counted(tmp_path).cut == 5


def test_what_a_crash_left_without_a_name_goes_after_a_while(tmp_path: Path):
    """Unseen it would take room for ever."""
    write(tmp_path, "a", item(1))
    left = tmp_path / ".counts-1.new"
    left.write_bytes(b"x")
    finish(tmp_path)
    assert left.exists()
    os.utime(left, (0, 0))
    write(tmp_path, "b", item(2))
    finish(tmp_path)
    assert not left.exists()
