"""The scoring span's encoding in the spool."""

from __future__ import annotations

import struct

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.conversion.attribute_values import DETAILS
from scorespan.conversion.span import OPAQUE_BYTES, ScoringSpan, decode, encode, salvage
from scorespan.errors import SpoolDamagedError

HEAD = struct.Struct("<BIII")
ABSENT = 0xFFFFFFFF

text = st.text(st.characters())
texts = st.none() | st.lists(text, max_size=3).map(tuple)
integer = st.integers(-(2**63), 2**63 - 1)
body = st.none() | st.binary(max_size=20)
KINDS = {
    "request": body,
    "response": body,
    "name": text,
    "trace_id": text,
    "span_id": text,
    "start_time": integer,
    "end_time": integer,
    "failed": st.booleans(),
    "feature_names": texts,
    "response_time": st.none() | integer,
    "sequence": st.none() | integer,
    "notes": texts,
    "problems": texts,
    "details": st.none()
    | st.dictionaries(
        st.sampled_from(sorted(DETAILS.values())), text | integer | st.lists(text, max_size=3)
    ),
}
spans = st.builds(
    ScoringSpan, **{name: KINDS.get(name, st.none() | text) for name in ScoringSpan._fields}
)


def readable(value):
    """A value as an entry can hold it: lone surrogates as the escapes that name them."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, (tuple, list)):
        return type(value)(map(readable, value))
    if isinstance(value, dict):
        return {name: readable(item) for name, item in value.items()}
    return value


def entry(meta: object, request: bytes | None = b"{}", response: bytes | None = None) -> bytes:
    """An entry with this meta."""
    packed = meta if isinstance(meta, bytes) else orjson.dumps(meta)
    lengths = [ABSENT if part is None else len(part) for part in (request, response)]
    return HEAD.pack(1, len(packed), *lengths) + packed + (request or b"") + (response or b"")


@given(span=spans)
def test_a_span_survives_its_entry(span):
    """What is decoded is what was encoded, to the byte; no body is not an empty body."""
    decoded = decode(b"".join(encode(span)))
    assert decoded == ScoringSpan._make(map(readable, span))
    assert list(map(type, decoded)) == list(map(type, span))


def test_the_layout_is_the_documented_one():
    """A reader in another version or language finds what the docstring says."""
    span = ScoringSpan(request=b"{}", response=None, trace_id="t", notes=("n",))
    packed = b"".join(encode(span))
    version, meta, request, response = HEAD.unpack_from(packed)
    assert (version, request, response) == (1, 2, ABSENT)
    assert orjson.loads(packed[HEAD.size : HEAD.size + meta]) == [
        list(value) if isinstance(value, tuple) else value for value in span[2:]
    ]
    assert packed[HEAD.size + meta :] == b"{}"


@pytest.mark.parametrize("times", [1, 100_000])
def test_bodies_are_spliced_in_unread(times):
    """A body of any bytes is the same bytes again; a large one is not copied on the way in."""
    request, response = b"\xff\x00 cut" * times, b'{"fields"'
    pieces = encode(ScoringSpan(request=request, response=response))
    assert any(piece is request for piece in pieces) == (times > 1)
    assert decode(b"".join(pieces))[:2] == (request, response)


def test_an_entry_of_a_newer_version_of_the_library_is_read():
    """Fields that were added at the end are left out."""
    span = ScoringSpan(request=b"{}", trace_id="t", notes=("n",))
    meta = [*span[2:], "added", {"more": [1]}]
    assert decode(entry(meta)) == span


def test_an_entry_of_an_older_version_of_the_library_is_read():
    """Fields that were not there yet have their defaults."""
    assert decode(entry(["scoring", "t", "s"])) == ScoringSpan(
        request=b"{}", name="scoring", trace_id="t", span_id="s"
    )
    assert decode(entry([])) == ScoringSpan(request=b"{}")


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x01",
        entry([])[:-1],
        entry([]) + b"x",
        b"\x02" + entry([])[1:],
        entry({}),
        entry({str(number): None for number in range(28)}),
        entry("text"),
        entry("x" * 28),
        entry(5),
        entry(None),
        entry(b"[1,"),
        entry(b'["\xff"]'),
        entry(b'["\\ud800"]'),
        entry([5]),
        entry(["", "", "", "not a time"]),
        entry(["", "", "", 1.5]),
        entry(["", "", "", None]),
        entry(["", "", "", 0, 0, 1]),
        entry([*ScoringSpan()[2:-1], "not a list"]),
        entry([*ScoringSpan()[2:-1], [1]]),
        entry([*ScoringSpan()[2:-2], {"a": 1}]),
        entry([*ScoringSpan()[2:-1], {"a": 1.5}]),
        entry([*ScoringSpan()[2:-1], {"a": True}]),
        entry([*ScoringSpan()[2:-1], {"a": [1]}]),
        entry([*ScoringSpan()[2:-1], {"a": {}}]),
    ],
)
def test_bytes_that_are_no_entry_are_refused(damaged):
    """What was not written by us is named as damaged, not read as something else."""
    with pytest.raises(SpoolDamagedError):
        decode(damaged)


def test_an_unknown_version_is_named():
    """The reason says which version the entry has."""
    with pytest.raises(SpoolDamagedError, match="version 9"):
        decode(b"\x09" + entry([])[1:])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
metas = st.lists(json_values, max_size=30) | json_values | st.binary(max_size=20)


def assert_span_or_damage(damaged: bytes) -> None:
    """Bytes are a span whose fields have their types, or they are damaged."""
    try:
        span = decode(damaged)
    except SpoolDamagedError:
        return
    assert decode(b"".join(encode(span))) == span


@given(damaged=st.binary(max_size=60))
def test_any_bytes_are_a_span_or_damaged(damaged):
    """No bytes raise anything else."""
    assert_span_or_damage(damaged)


@given(meta=metas, request=body, response=body)
def test_any_meta_is_a_span_or_damaged(meta, request, response):
    """No meta raises anything else, whatever its members hold."""
    assert_span_or_damage(entry(meta, request, response))


@given(span=spans, data=st.data())
def test_a_changed_entry_is_a_span_or_damaged(span, data):
    """One wrong byte anywhere raises nothing else."""
    packed = bytearray(b"".join(encode(span)))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] = data.draw(st.integers(0, 255))
    assert_span_or_damage(bytes(packed))


def test_the_key_is_the_given_id_or_names_the_trace():
    """A scoring id is the key; without one, trace id and span id are."""
    span = ScoringSpan(trace_id="0" * 32, span_id="1" * 16)
    assert span.key == "0" * 32 + "1" * 16
    assert span._replace(scoring_id="mine").key == "mine"
    assert span._replace(scoring_id="").key == span.key


FRAME_HEAD = struct.Struct("<4sIIQH")


def damaged_frame(span: ScoringSpan) -> bytearray:
    """The bytes of a span's frame; any checksum is wrong."""
    whole = b"".join(encode(span))
    return bytearray(FRAME_HEAD.pack(b"\xf8Sp\xff", len(whole), 0, 7, 0) + whole)


def test_a_damaged_entry_still_tells_its_names():
    """Whatever is broken behind or before the meta, the names are read; the bodies are not."""
    span = ScoringSpan(
        request=b"{}",
        trace_id="a" * 32,
        span_id="b" * 16,
        start_time=5,
        failed=True,
        subscription_id="s",
        producer_id="p",
        sequence=9,
        notes=("n",),
    )
    frame = damaged_frame(span)
    frame[4:35] = bytes(31)  # lengths, checksum, version
    frame[-2:] = b"\xff\xff"
    found = salvage(bytes(frame[:-2]))
    assert found == span._replace(request=None)


def test_one_flipped_bit_seldom_takes_the_name_of_an_entry():
    """Producer and number are read wherever the bit is, but for the bytes of the name itself."""
    name = "0123456789abcdef" * 2
    whole = damaged_frame(
        ScoringSpan(request=b"{}", trace_id="a" * 32, producer_id=name, sequence=7)
    )
    own = range(whole.index(name.encode()) - 1, whole.index(name.encode()) + len(name) + 4)
    for place in {*range(35, whole.index(b"{}"))} - {*own}:
        frame = whole.copy()
        frame[place] ^= 4
        found = salvage(bytes(frame))
        assert (found.producer_id, found.sequence) == (name, 7), place


@given(span=spans, flips=st.lists(st.tuples(st.integers(0), st.integers(0, 7)), max_size=8))
def test_salvage_never_raises_and_gives_only_what_a_letter_can_hold(span, flips):
    """After any bit flips each field has its type, or its default."""
    frame = damaged_frame(span)
    for place, bit in flips:
        frame[place % len(frame)] ^= 1 << bit
    found = salvage(bytes(frame))
    orjson.dumps(found[2:])
    assert decode(b"".join(encode(found))) == found
    if not flips:
        assert found == ScoringSpan._make((None, None, *map(readable, span[2:])))


@given(st.binary(max_size=300), st.booleans())
def test_salvage_of_anything_never_raises(content: bytes, framed: bool):
    """Zeros, rubbish, nothing at all."""
    found = salvage(bytes(35) + b"[" + content if framed else content)
    assert isinstance(found, ScoringSpan)
    orjson.dumps(found[2:])


@pytest.mark.parametrize(
    "meta",
    [
        b"[" * 70_000,
        b'["\\ud800"]',
        b"[" + b"9" * 5000 + b"]",
        b'["a","b","c",true,1e999]',
        b"[" + b"null," * (len(ScoringSpan._fields) - 3) + b'{"request_size":%d}]' % 10**20,
    ],
    ids=lambda meta: repr(meta[:20]),
)
def test_salvage_of_hostile_meta_never_raises(meta: bytes):
    """Deep, surrogate, endless, infinite."""
    orjson.dumps(salvage(bytes(35) + meta)[2:])


def test_large_bodies_are_views_of_the_entry():
    """Nothing of them is copied; what is just not large is bytes."""
    large = ScoringSpan(request=b"x" * OPAQUE_BYTES, response=b"y", producer_id="p", sequence=1)
    entry = b"".join(encode(large))
    decoded = decode(entry)
    assert isinstance(decoded.request, memoryview)
    assert isinstance(decoded.response, memoryview)
    assert decoded.request.obj is entry
    assert decoded == large
    small = decode(b"".join(encode(large._replace(response=None))))
    assert isinstance(small.request, bytes)
