"""Golden spool roots: what the writer of a version left, and what a later one may write.

`PYTHONPATH=tests python -m faults.golden` writes `tests/data/spool/1` with the present writer. Only
a change of the format is a reason to, and then the old one stays beside. What a later version may
write is made of it in the test: one field more than the present reader knows, whatever it knows.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from faults.oracle import Oracle, stored_in
from faults.proxy import SteeredMart
from scorespan.conversion.span import ScoringSpan
from scorespan.spool.frames import FILE_MAGIC, FLAG_HEADER, frame
from scorespan.spool.segment import read_segment
from scorespan.testing import Answer

GOLDEN = Path(__file__).parents[1] / "data" / "spool"
URL = "http://127.0.0.1:8787"
"""The mart's address in the golden files; a test puts its own in its place."""
_WRITTEN = "1"
_KNOWN = len(ScoringSpan._fields) - len(("request", "response"))
"""Fields of an entry's meta that the present reader knows."""


class Left(NamedTuple):
    """What a golden root holds: ids, and of those that wait the requests."""

    stored: list[str]
    dead: list[str]
    waiting: Mapping[str, str]


def copied(version: str, root: Path, url: str) -> Left:
    """A copy of a golden root whose route leads to this mart, and what is in it.

    Args:
        version: `1`, or `next`, made of it.
        root: where to.
        url: the mart's address.
    """
    shutil.copytree(GOLDEN / _WRITTEN, root)
    if version == "next":
        _modernise(root)
    for path in root.rglob("*"):
        # In a segment's header the route is under a checksum; the owner file's comes first.
        if path.is_file() and path.suffix != ".segment":
            path.write_bytes(path.read_bytes().replace(URL.encode(), url.encode()))
    known = root / "left.json"
    left = Left(**json.loads(known.read_bytes()))
    known.unlink()
    return left


def make() -> None:
    """Write the golden root."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder, SteeredMart() as mart:
        oracle = Oracle({**mart.settings, "shutdown_seconds": 0}, stored_in(mart), Path(folder))
        poison = b'{"fields": ["n"], "values": "none"}'
        with oracle.scorer() as scorer:
            scorer.score_many(5)
            dead = scorer.score(poison)
            assert scorer.intake.flush(10)
            mart.rule = lambda _: Answer(503)
            bodies = {scorer.score(body): body.decode() for body in _bodies()}
            mart.wait_for_posts(len(mart.posts) + 1)
        left = Left(list(mart.stored), [dead], bodies)
        shutil.rmtree(oracle.root / "ballast", ignore_errors=True)
        shutil.copytree(oracle.root, GOLDEN / _WRITTEN)
        for path in (GOLDEN / _WRITTEN).rglob("*"):
            if path.is_file() and path.suffix != ".segment":
                path.write_bytes(path.read_bytes().replace(mart.url.encode(), URL.encode()))
    (GOLDEN / _WRITTEN / "left.json").write_text(json.dumps(left._asdict(), indent=1) + "\n")


def _modernise(root: Path) -> None:
    """Make a root what a later version may have left."""
    for segment in root.rglob("*.segment"):
        _modernise_segment(segment)
    for path in [*root.rglob("owner"), *root.rglob("status.json")]:
        path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), "later": {"a": 1}}))
    for path in root.rglob("*.letter"):
        head, _, entry = path.read_bytes().partition(b"\n")
        head = orjson.dumps({**orjson.loads(head), "later": [1]})
        path.write_bytes(head + b"\n" + _longer(entry))


def _bodies() -> list[bytes]:
    requests = [b'{"fields":["n"],"values":[[%d]]}' % number for number in range(8)]
    return [*requests, b'{"fields":["text"],"values":[["%s"]]}' % (b"x" * 3000)]


def _modernise_segment(segment: Path) -> None:
    """The same records with a member more in the header and a field more in each entry."""
    size = segment.stat().st_size
    content = bytearray(FILE_MAGIC)
    read = read_segment(segment, 0, size, max_bytes=size, max_frames=1000)
    assert not read.damage
    for sequence, flags, body, *_ in read.frames:
        if flags & FLAG_HEADER:
            later: dict[str, Any] = {**orjson.loads(body), "later": True}
            newer = orjson.dumps(later)
        else:
            newer = _longer(body) if not flags else bytes(body)
        content += b"".join(frame(sequence, flags, [newer], len(newer)))
    segment.write_bytes(content)


def _longer(entry: bytes) -> bytes:
    """An entry with one field more in its meta than the present reader knows."""
    length = int.from_bytes(entry[1:5], "little")
    fields = orjson.loads(entry[13 : 13 + length])
    unsaid = [None] * (_KNOWN - len(fields))
    meta = orjson.dumps([*fields, *unsaid, "a later field"])
    return entry[:1] + len(meta).to_bytes(4, "little") + entry[5:13] + meta + entry[13 + length :]


if __name__ == "__main__":
    make()
