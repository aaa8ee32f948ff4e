"""Dead letters: kept whole and on the disk, read back as they were, and cheap to look through."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from datetime import datetime, timezone
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.spool.dead import (
    SUFFIX,
    DeadLetter,
    letter_files,
    read_letter,
    read_letters,
)
from scorespan.spool.dead_writer import ANSWER_KEPT, write_letters
from scorespan.spool.files import Files

MIB = 1024 * 1024
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc).timestamp()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for dead letters, not made yet."""
    return tmp_path / "dead"


def letter(place: str = "place", entry: bytes | memoryview = b"entry", **known) -> DeadLetter:
    """A dead letter."""
    return DeadLetter(entry, place, "code", "a reason", **known)


def unreadable_in(folder: Path) -> list[str]:
    """Names of the files that are no letters."""
    found: list[Path] = []
    list(letter_files(folder, on_unreadable=found.append))
    return [path.name for path in found]


def fail(path: Path) -> None:
    """For folders where every file is a letter."""
    pytest.fail(f"{path} is no letter")


texts = st.text(max_size=20)
numbers = st.none() | st.integers(-(2**63), 2**63)
letters = st.builds(
    DeadLetter,
    st.binary(max_size=50),
    st.just("place"),
    texts,
    texts,
    numbers,
    st.none() | texts,
    st.integers(0, 2**31),
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
    numbers,
    st.none() | st.tuples(texts, texts, texts),
    st.none(),
    st.none(),
)


@given(letters)
def test_a_letter_comes_back_as_it_was(written: DeadLetter):
    """Every field and every byte of the entry, whatever they hold; the times are filled in."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "dead"
        write_letters(folder, [written], clock=lambda: NOON)
        (read,) = read_letters(folder, on_unreadable=fail)
    noon = "2026-11-20T12:00:00.000000+00:00"
    assert read == written._replace(first_time=noon, time=noon)


def test_a_letter_that_is_written_again_replaces_itself(folder: Path):
    """It is one letter, with its first time and the newest everything else."""
    write_letters(folder, [letter(attempts=1)], clock=lambda: NOON)
    write_letters(folder, [letter(attempts=3)], clock=lambda: NOON + 60)
    (read,) = read_letters(folder, on_unreadable=fail)
    assert read.attempts == 3
    assert read.first_time == "2026-11-20T12:00:00.000000+00:00"
    assert read.time == "2026-11-20T12:01:00.000000+00:00"


def test_the_first_time_may_lie_before_the_letter(folder: Path):
    """Who has tried for hours before can say since when."""
    earlier = "2026-11-20T09:00:00.000000+00:00"
    write_letters(folder, [letter(first_time=earlier)], clock=lambda: NOON)
    (read,) = read_letters(folder, on_unreadable=fail)
    assert (read.first_time, read.time) == (earlier, "2026-11-20T12:00:00.000000+00:00")


def test_one_place_twice_is_one_letter(folder: Path):
    """The later of two in one call stands."""
    write_letters(folder, [letter(entry=b"first"), letter(entry=b"second")])
    assert [read.entry for read in read_letters(folder)] == [b"second"]


def test_many_letters_are_kept_and_no_descriptor_stays_open(folder: Path):
    """More than are written together: all are there, in the order they were written."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    write_letters(folder, [letter(f"place.{number}", b"%d" % number) for number in range(300)])
    assert [read.entry for read in read_letters(folder)] == [b"%d" % n for n in range(300)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_large_entry_is_not_copied(folder: Path):
    """Writing 64 MiB from a memoryview takes next to no memory; nor does looking at its head."""
    entry = memoryview(bytes(64 * MIB + 5))[5:]
    tracemalloc.start()
    write_letters(folder, [letter(entry=entry)])
    (found,) = letter_files(folder, on_unreadable=fail)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MIB
    assert found.size == 64 * MIB
    assert found.read_entry() == entry


def test_the_answer_is_kept_up_to_a_bound(folder: Path):
    """4 KiB of it, and no half character."""
    write_letters(folder, [letter(answer="é" * ANSWER_KEPT)])
    (read,) = read_letters(folder)
    assert read.answer == "é" * (ANSWER_KEPT // 2)


def test_texts_without_bound_do_not_hide_a_letter(folder: Path):
    """Ids of any length and lone surrogates: the head is readable, and says what it cut."""
    write_letters(folder, [letter(scoring_id="x" * 3 * MIB, subscription_id="\ud800")])
    (read,) = read_letters(folder, on_unreadable=fail)
    assert read.scoring_id == "x" * 4096 + f"… ({3 * MIB} characters)"
    assert read.subscription_id == "\\ud800"


def test_a_letter_of_an_older_version_is_read(folder: Path):
    """Route and first time are not known; the rest is."""
    head = {"place": "old", "code": "refused", "reason": "HTTP 400", "status": 400, "answer": None,
            "attempts": 1, "scoring_id": "s", "subscription_id": "m", "deployment_id": None,
            "producer_id": "p", "sequence": 7, "time": "2026-11-01T10:00:00+00:00"}  # fmt: skip
    folder.mkdir()
    (folder / "old.letter").write_bytes(orjson.dumps(head) + b"\nthe\nentry")
    (found,) = letter_files(folder, on_unreadable=fail)
    assert found.letter() == DeadLetter(
        b"the\nentry", "old", "refused", "HTTP 400", 400, None, 1, "s", "m", None, "p", 7,
        time="2026-11-01T10:00:00+00:00",
    )  # fmt: skip
    assert found.moment == datetime(2026, 11, 1, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "change",
    [
        {"code": None}, {"reason": 5}, {"attempts": "many"}, {"scoring_id": 7}, {"route": 3},
        {"route": ["http://mart", 5]}, {"time": "soon"}, {"time": None}, {"sequence": "1"},
    ],
)  # fmt: skip
def test_a_head_with_a_wrong_value_is_no_letter(folder: Path, change: dict[str, object]):
    """What a command would stumble over is told apart from letters."""
    write_letters(folder, [letter()])
    (path,) = folder.iterdir()
    head, _, entry = path.read_bytes().partition(b"\n")
    path.write_bytes(orjson.dumps({**orjson.loads(head), **change}) + b"\n" + entry)
    assert unreadable_in(folder) == [path.name]


@given(st.binary(max_size=200))
def test_any_other_file_is_told_and_hides_no_letter(content: bytes):
    """Whatever lies in the folder, letters are read, and the rest is counted."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        write_letters(folder, [letter()])
        (folder / f"other{SUFFIX}").write_bytes(content)
        (folder / "README").write_bytes(content)
        (folder / "folder.letter").mkdir()
        assert sorted(unreadable_in(folder)) == ["README", "folder.letter", f"other{SUFFIX}"]
        assert [read.entry for read in read_letters(folder)] == [b"entry"]


def test_a_folder_that_is_not_there_has_no_letters(folder: Path):
    """Nothing was dead-lettered yet."""
    assert list(letter_files(folder, on_unreadable=fail)) == []


def test_a_letter_that_goes_meanwhile_is_no_fault(folder: Path):
    """Somebody requeues it while another one looks."""
    write_letters(folder, [letter("one"), letter("two")])
    files = letter_files(folder, on_unreadable=fail)
    assert next(files).head.place == "one"
    (folder / f"two{SUFFIX}").unlink()
    assert list(files) == []


def test_a_disk_that_takes_no_more_leaves_nothing_half(folder: Path):
    """The error comes out, whole letters stay, and no hidden file takes room."""
    write_letters(folder, [letter("before")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_letters(folder, [letter("small"), letter("large", bytes(MIB))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in folder.iterdir()] == [f"before{SUFFIX}"]


def test_a_kill_leaves_whole_letters_only(folder: Path):
    """Each call that returned is there whole; what was half written is no letter, and no harm."""
    script = (
        "import sys, itertools, pathlib\n"
        "from scorespan.spool.dead import DeadLetter\n"
        "from scorespan.spool.dead_writer import write_letters\n"
        "for turn in itertools.count():\n"
        "    write_letters(pathlib.Path(sys.argv[1]), [\n"
        "        DeadLetter(b'x' * 5000, f'{turn}.{n}', 'code', 'why') for n in range(20)])\n"
        "    print(turn, flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if int(line) == 10:
                process.send_signal(signal.SIGKILL)
        process.wait()
    found = {file.head.place: file.size for file in letter_files(folder, on_unreadable=fail)}
    assert {f"{turn}.{n}" for turn in range(11) for n in range(20)} <= set(found)
    assert set(found.values()) == {5000}
    for hidden in folder.glob(".*"):
        write_letters(folder, [letter(hidden.name[1:])])
        assert read_letter(folder / f"{hidden.name[1:]}{SUFFIX}").head.code == "code"
    assert list(folder.glob(".*")) == []


class WatchedFiles(Files):
    """A disk that knows which bytes and names are not safe yet."""

    def __init__(self) -> None:
        self.paths: dict[int, Path] = {}
        self.unsafe: set[Path] = set()

    def open_append(self, path: Path) -> int:
        """Neither the file's bytes nor its name are safe."""
        descriptor = super().open_append(path)
        self.paths[descriptor] = path
        self.unsafe |= {path, path.parent}
        return descriptor

    def writev(self, descriptor, pieces) -> int:
        """Takes a little at a time, as a disk does that is nearly full."""
        self.unsafe.add(self.paths[descriptor])
        return super().writev(descriptor, [memoryview(pieces[0])[:100]])

    def datasync(self, descriptor: int) -> None:
        """The bytes are safe."""
        super().datasync(descriptor)
        self.unsafe.discard(self.paths[descriptor])

    def rename(self, path: Path, target: Path) -> None:
        """Only a file whose bytes are safe may get the name of a letter."""
        assert path not in self.unsafe
        super().rename(path, target)
        self.unsafe.add(target.parent)

    def mkdir(self, path: Path) -> None:
        """The folder's name is not safe."""
        super().mkdir(path)
        self.unsafe.add(path.parent)

    def sync_folder(self, path: Path) -> None:
        """The names are safe."""
        super().sync_folder(path)
        self.unsafe.discard(path)


def test_letters_are_on_the_disk_when_the_call_returns(folder: Path):
    """Bytes before names, and the names of files and folder before the end."""
    files = WatchedFiles()
    written = [letter(str(number), b"%d" % number * 100) for number in range(70)]
    write_letters(folder, written, files=files)
    assert files.unsafe == set()
    assert [read.entry for read in read_letters(folder)] == [one.entry for one in written]
