"""A kept body: bounded, and never anything else than what passed."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan import attributes
from scorespan.instrumentation.body import REQUEST, KeptBody, Kind, codings_of, kind_of


def kept(parts, limit=1 << 20, *, digest=False, content_type=None, encoding=None):
    """The attributes and notes of a body of these parts."""
    body = KeptBody(limit, digest=digest)
    body.content_type, body.encoding = content_type, encoding
    for part in parts:
        body.add(part)
    values, notes = {}, []
    body.put_into(values, notes, REQUEST)
    return values, notes


@given(st.lists(st.binary(max_size=20)), st.integers(0, 60))
def test_what_is_kept_is_the_beginning_of_what_passed(parts, limit):
    """At most the limit is kept, the size is the true one, and a cut body says so."""
    whole = b"".join(parts)
    values, notes = kept(parts, limit, content_type="application/octet-stream")
    assert base64.b64decode(values[attributes.REQUEST]) == whole[:limit]
    if len(whole) > limit:
        assert values[attributes.REQUEST_SIZE] == len(whole)
        assert notes == [f"request: {limit} of {len(whole)} bytes kept"]
    else:
        assert attributes.REQUEST_SIZE not in values
        assert notes == []


@given(st.text(max_size=40), st.integers(0, 60), st.integers(1, 7))
def test_a_text_stays_text_wherever_it_is_cut(text, limit, step):
    """A cut within a character leaves that character out."""
    whole = text.encode()
    parts = [whole[at : at + step] for at in range(0, len(whole), step)]
    values, _ = kept(parts, limit, content_type="application/json")
    assert text.startswith(values[attributes.REQUEST])
    assert len(values[attributes.REQUEST].encode()) > min(limit, len(whole)) - 4
    assert attributes.REQUEST_ENCODING not in values


@given(st.lists(st.binary(max_size=20)), st.integers(0, 20))
def test_a_digest_is_over_all_bytes(parts, limit):
    """What is not kept counts, too."""
    whole = b"".join(parts)
    values, notes = kept(parts, limit, digest=True, content_type="image/png")
    if whole:
        assert values[attributes.REQUEST] == hashlib.sha256(whole).hexdigest()
        assert values[attributes.REQUEST_ENCODING] == "sha256"
        assert values[attributes.REQUEST_SIZE] == len(whole)
        assert notes == [f"request: only the SHA-256 of {len(whole)} bytes kept"]
    else:
        assert values == {attributes.REQUEST: "", attributes.REQUEST_CONTENT_TYPE: "image/png"}


@given(st.binary(min_size=1))
def test_an_unknown_type_is_text_where_it_is_utf8(whole):
    """Without a type the bytes decide."""
    values, _ = kept([whole])
    try:
        assert values[attributes.REQUEST] == whole.decode()
    except UnicodeDecodeError:
        assert values[attributes.REQUEST] == base64.b64encode(whole).decode()
        assert values[attributes.REQUEST_ENCODING] == "base64"


def test_an_unknown_type_that_is_text_is_no_digest():
    """Only what is no text is left out by that setting."""
    assert kept([b"a", b"b"], digest=True)[0] == {attributes.REQUEST: "ab"}


def test_a_text_that_is_not_utf8_is_never_left_out():
    """Said to be text, it is kept as base64, whatever becomes of binary bodies."""
    values, _ = kept([b"\xff"], digest=True, content_type="text/csv; charset=latin-1")
    assert values[attributes.REQUEST] == "/w=="
    assert values[attributes.REQUEST_ENCODING] == "base64"


def test_a_compressed_text_is_kept_as_it_came():
    """Nothing is decompressed here; what was done is named in its order."""
    values, _ = kept([b"{}"], digest=True, content_type="application/json", encoding="GZIP, br")
    assert values[attributes.REQUEST] == "e30="
    assert values[attributes.REQUEST_ENCODING] == "gzip,br,base64"


def test_identity_is_no_coding():
    """It says that nothing was done."""
    values, _ = kept([b"{}"], content_type="application/json", encoding="identity")
    assert values[attributes.REQUEST] == "{}"
    assert codings_of(None) == codings_of("") == ()


def test_changing_the_bytes_afterwards_changes_nothing():
    """A caller may use its buffer again."""
    buffer = bytearray(b"ab")
    body = KeptBody(10)
    body.add(buffer)
    body.add(memoryview(buffer))
    buffer[:] = b"xx"
    assert body.kept == b"abab"


@pytest.mark.parametrize("part", ["text", 7, None])
def test_what_is_no_bytes_is_refused(part):
    """A number would become so many zeros."""
    with pytest.raises(TypeError):
        KeptBody(10).add(part)


def test_a_body_of_which_less_came_says_so():
    """The announced size is the true one."""
    body = KeptBody(10)
    body.expected = 5
    body.add(b"abc")
    values, notes = {}, []
    body.put_into(values, notes, REQUEST)
    assert values == {attributes.REQUEST: "abc", attributes.REQUEST_SIZE: 5}
    assert notes == ["request: 3 of 5 bytes were read by the service"]


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("application/json; charset=utf-8", Kind.TEXT),
        ("Text/Event-Stream", Kind.TEXT),
        ("application/vnd.kserve+json", Kind.TEXT),
        ("application/x-www-form-urlencoded", Kind.TEXT),
        ("application/x-ndjson", Kind.TEXT),
        ("multipart/form-data; boundary=x", Kind.BINARY),
        ("application/x-npy", Kind.BINARY),
        ("image/png", Kind.BINARY),
        ("application/vnd.apache.parquet", Kind.BINARY),
        ("application/x-protobuf", Kind.BINARY),
        ("application/x-of-somebody", Kind.UNKNOWN),
        ("", Kind.UNKNOWN),
        (None, Kind.UNKNOWN),
    ],
)
def test_a_content_type_says_what_the_bytes_are(content_type, kind):
    """Parameters and case do not count."""
    assert kind_of(content_type) is kind
