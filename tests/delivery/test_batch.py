"""Items: damaged entries keep the record's own name where that can still be read."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from delivery.bench import Bench, span
from scorespan.conversion.span import encode
from scorespan.delivery.batch import Unreadable, dead_letter, is_place, ledger_item, read_items
from scorespan.spool.dead import read_letters
from scorespan.spool.reader import Entry
from scorespan.spool.segment import segments_of

HEAD = struct.Struct("<4sIIQH")


class Reading:
    """A segment that an entry is from."""

    path = Path("/root/w-1-a/00000003.segment")


def damaged(content: bytes, offset: int = 40) -> Unreadable:
    """What is made of damaged bytes at an offset."""
    ready, (unreadable,) = read_items([Entry(Reading(), -offset, content, damaged=True)])
    assert ready == []
    assert unreadable.error.code == "damaged"
    return unreadable


@pytest.mark.parametrize("offset", [0, 40, 10_000])
def test_a_damaged_record_has_its_own_name(offset: int):
    """Letter and ledger item say which record it was, and the letter's place where it stood."""
    whole = b"".join(encode(span(7)))
    item = damaged(HEAD.pack(b"\xf8Sp\xff", len(whole), 0, 1, 0) + whole[:-3], offset)
    letter = dead_letter(item, item.error.code, item.error.reason)
    assert letter.place == f"w-1-a.00000003.at-{offset}"
    assert letter.entry == item.entry.body
    assert (letter.producer_id, letter.sequence, letter.scoring_id) == ("producer", 7, "s7")
    assert letter.subscription_id == "subscription"
    assert ledger_item(item.span, "dead-lettered").sequence == 7
    assert f"at {offset} of w-1-a/00000003.segment" in letter.reason


@pytest.mark.parametrize(
    "content", [b"", bytes(4096), b"rubbish", HEAD.pack(b"\xf8Sp\xff", 9, 0, 1, 0) + b"\x01"]
)
def test_a_place_stands_for_a_name_that_cannot_be_read(content: bytes):
    """It gives no numbers, so it can be missing nowhere."""
    item = damaged(content)
    assert is_place(item.span.producer_id)
    assert item.span.sequence == -40


def test_a_number_without_its_producer_names_nothing():
    """Half a name would be another record's."""
    whole = b"".join(encode(span(7, producer_id=None)))
    item = damaged(HEAD.pack(b"\xf8Sp\xff", len(whole), 0, 1, 0) + whole)
    assert is_place(item.span.producer_id)
    assert item.span.key == "s7"


def test_a_damaged_record_on_the_disk_is_named_in_the_account(bench: Bench):
    """From a flipped bit in a body to a dead letter of that record; the others are stored."""
    bench.put(*map(span, range(1, 6)))
    (segment,) = segments_of(bench.spool.path)
    content = bytearray(segment.read_bytes())
    third = content.index(b'"s3"')
    content[content.index(b'{"fields"', third)] ^= 1
    with segment.open("r+b") as file:
        file.write(content)
    bench.deliver()
    assert bench.outcomes() == {
        f"s{number}": "dead-lettered" if number == 3 else "stored" for number in range(1, 6)
    }
    (letter,) = read_letters(bench.root / "dead")
    assert (letter.code, letter.producer_id, letter.sequence) == ("damaged", "producer", 3)
