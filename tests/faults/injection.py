"""Faults in files and system calls: directories left behind, and syncs that fail."""

from __future__ import annotations

import itertools
import os
import random
import re
import uuid
from pathlib import Path

from faults.disks import installed
from faults.oracle import Oracle, scoring
from scorespan.conversion.span import encode
from scorespan.settings import Settings
from scorespan.spool.frames import FILE_MAGIC
from scorespan.spool.root import Route, prepare_root
from scorespan.spool.segment import read_segment
from scorespan.spool.spool import Spool


def orphans(oracle: Oracle, count: int, records: int, size: int = 0) -> list[Orphan]:
    """Directories of processes that are gone, each with so many records of about this size."""
    known = Settings.load(oracle.settings, {})
    assert known.spool_dir is not None
    prepare_root(known.spool_dir)
    return [Orphan(known.spool_dir, known, records, size) for _ in range(count)]


class Orphan:
    """A directory whose process is gone, and the ids of its records in order."""

    def __init__(self, root: Path, settings: Settings, records: int, size: int = 0) -> None:
        self.producer_id = uuid.uuid4().hex
        route = Route(settings.data_mart_url or "", settings.data_mart_id or "")
        spool = Spool(root, route, max_bytes=2**50, min_free=0)
        self.path = spool.path
        self.ids: list[str] = []
        for number in range(1, records + 1):
            request = b'{"fields": ["n", "t"], "values": [[%d, "%s"]]}' % (number, b"x" * size)
            span = scoring(self.producer_id, number, request)
            span = span._replace(subscription_id=settings.subscription_id)
            spool.put(encode(span))
            self.ids.append(span.key)
        spool.close()

    @property
    def segment(self) -> Path:
        """Its first segment."""
        return min(self.path.glob("*.segment"))

    def cut(self, count: int) -> None:
        """Cut the last bytes off."""
        os.truncate(self.segment, self.segment.stat().st_size - count)

    def flip(self, chance: random.Random) -> None:
        """Flip one bit, anywhere."""
        content = bytearray(self.segment.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        self.segment.write_bytes(content)

    def zero_page(self, chance: random.Random) -> set[str]:
        """Make a page of zeros; returns the ids of the records that are not on it."""
        size = self.segment.stat().st_size
        start = chance.randrange(1, size // 4096) * 4096
        read = read_segment(self.segment, 0, size, max_bytes=size, max_frames=len(self.ids) + 1)
        # The first frame is the header's.
        ends = [len(FILE_MAGIC) + frame.end for frame in read.frames]
        with self.segment.open("r+b") as file:
            file.seek(start)
            file.write(bytes(min(4096, size - start)))
        return {
            scoring_id
            for scoring_id, (begin, end) in zip(self.ids, itertools.pairwise(ends), strict=True)
            if end <= start or begin >= start + 4096
        }


_CALL = re.compile(
    r"^(?P<thread>\d+)\s+(?:(?P<name>\w+)\((?P<arguments>.*?)|<\.\.\. (?P<resumed>\w+) resumed>.*?)"
    r"(?:(?P<unfinished><unfinished \.\.\.>)|\)?\s+= (?P<result>-?\d+).*)$"
)
_KEY = re.compile(r"key-\d+-[0-9a-f]{8}-\d+-\d+")


class SystemCalls:
    """What `strace -f -y` saw of writes and syncs, in order."""

    def __init__(self, path: Path) -> None:
        self._lines = path.read_text(errors="replace").splitlines()

    @property
    def injected(self) -> int:
        """How many calls were made to fail."""
        return sum("(INJECTED)" in line for line in self._lines)

    def too_early(self, accepted: Path) -> list[str]:
        """Keys that were accepted before a sync of a file that held them had succeeded.

        A sync counts for what was written to its file before it began.
        """
        held: dict[str, set[str]] = {}  # keys by file, written and not yet synced
        synced: set[str] = set()
        begun: dict[str, tuple[str, str, set[str]]] = {}
        early: list[str] = []
        for line in self._lines:
            found = _CALL.match(line)
            if found is None:
                continue
            thread = found["thread"]
            if found["name"]:
                arguments = found["arguments"]
                target = re.match(r"-?\d+<([^>]*)>", arguments)
                file = target[1] if target else ""
                keys = set(_KEY.findall(arguments))
                if found["name"] in {"write", "writev", "pwritev"} and file == str(accepted):
                    early += sorted(keys - synced)
                now = (
                    found["name"],
                    file,
                    set(held.get(file, ())) if "sync" in found["name"] else keys,
                )
                begun[thread] = now
                if found["unfinished"]:
                    continue
            name, file, keys = begun.pop(thread, ("", "", set()))
            succeeded = found["result"] is not None and int(found["result"]) >= 0
            if not succeeded:
                continue
            if "sync" in name:
                synced |= keys
            elif ".segment" in file:
                held.setdefault(file, set()).update(keys)
        return early


def straced(calls: Path, inject: str) -> list[str]:
    """The command that runs another one under strace and makes some of its syncs fail."""
    return [
        installed("strace"), "-f", "--seccomp-bpf", "-y", "-q", "-s", "100000", "-o", str(calls),
        "-e", "trace=write,writev,pwritev,fdatasync,fsync", "-e", inject,
    ]  # fmt: skip
