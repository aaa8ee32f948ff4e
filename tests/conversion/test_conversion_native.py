"""Native bodies of a span: base64 and compression undone, cuts and digests told."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.conversion import native as module
from scorespan.conversion.convert import convert
from scorespan.conversion.native import kept_bodies
from scorespan.conversion.span import OPAQUE_BYTES, ScoringSpan
from scorespan.errors import ConversionError
from scorespan.record import PayloadRecord

REQUEST = b'{"fields":["a"],"values":[[1]]}'
RESPONSE = b'{"fields":["p"],"values":[[0]]}'
WHOLE = ScoringSpan(
    request=REQUEST,
    response=RESPONSE,
    trace_id="a" * 32,
    span_id="b" * 16,
    start_time=1,
    end_time=2,
    subscription_id="s",
)


gzipped = functools.partial(gzip.compress, mtime=0)  # the same bytes in every process


def record_of(span: ScoringSpan) -> dict[str, Any]:
    """The record on the wire."""
    record = convert(span)
    assert isinstance(record, PayloadRecord), record
    return json.loads(b"".join(record.wire_pieces(extras=True)))[0]


def captured(side: str, body: bytes, encoding: str, **details: Any) -> ScoringSpan:
    """A span with one body that a hook put there as base64, after these content codings."""
    held = {"hook": "flask", f"{side}_encoding": f"{encoding},base64".lstrip(","), **details}
    return WHOLE._replace(**{side: base64.b64encode(body)}, details=held)


def deflated(body: bytes) -> bytes:
    """The deflate format without its frame, as some servers send it under the same name."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(body) + deflater.flush()


@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("", bytes),
        ("gzip", gzipped),
        ("x-gzip", gzipped),
        ("GZIP", gzipped),
        ("deflate", zlib.compress),
        ("deflate", deflated),
        ("gzip,deflate", lambda body: zlib.compress(gzipped(body))),
        ("gzip", lambda body: gzipped(body[:9]) + gzipped(body[9:])),
    ],
)
def test_compressed_bodies_are_read(side, encoding, encode):
    """What was compressed on its way is the same record, and the way is kept beside it."""
    body = REQUEST if side == "request" else RESPONSE
    record = record_of(captured(side, encode(body), encoding))
    assert record["request"] == json.loads(REQUEST)
    assert record["response"] == json.loads(RESPONSE)
    assert "notes" not in record["scorespan"]
    told = f"{encoding},base64".lstrip(",")
    assert record["scorespan"]["bodies"] == {side: {"encoding": told}}


@pytest.mark.parametrize(
    ("body", "encoding", "note"),
    [
        (b"no gzip", "gzip", "response: gzip,base64 cannot be undone"),
        (gzipped(RESPONSE)[:-9], "gzip", "response: gzip,base64 cannot be undone"),
        (gzipped(RESPONSE) + b"rest", "gzip", "response: gzip,base64 cannot be undone"),
        (RESPONSE, "br", "response: br,base64 cannot be undone"),
        (RESPONSE, "zstd", "response: zstd,base64 cannot be undone"),
        (b"\x93NUMPY\xff", "", "response: application/x-npy as base64"),
        (gzipped(b"\xff"), "gzip", "response: application/x-npy as gzip,base64"),
    ],
    ids=["none", "cut", "more behind", "br", "zstd", "binary", "binary within"],
)
def test_what_cannot_be_undone_stays_base64(body, encoding, note):
    """Nothing is thrown away: the text of the attribute is the cell, and a note says what it is."""
    span = captured("response", body, encoding)
    record = record_of(span._replace(response_content_type="application/x-npy"))
    cell = base64.b64encode(body).decode()
    assert record["response"] == {"fields": ["prediction"], "values": [[cell]]}
    assert record["request"]["fields"] == ["scoring_input"]
    assert record["scorespan"]["dialect"] == "text"
    assert record["scorespan"]["notes"] == [note]
    assert record["scorespan"]["bodies"]["response"]["content_type"] == "application/x-npy"


def test_a_body_that_would_fill_the_memory_stays_compressed():
    """A kilobyte for every megabyte: past the bound, no more of it is undone."""
    small = gzipped(b"0" * (module.MOST_INFLATED + 1))
    assert len(small) < 100_000
    record = record_of(captured("request", small, "gzip"))
    assert record["scorespan"]["notes"] == ["request: gzip,base64 cannot be undone"]
    assert record["request"]["values"] == [[base64.b64encode(small).decode()]]


def test_a_body_of_very_many_parts_stays_compressed():
    """Each part costs a copy of all that follow."""
    many = gzipped(b"") * 100_000
    record = record_of(captured("request", many, "gzip"))
    assert record["scorespan"]["notes"] == ["request: gzip,base64 cannot be undone"]


def test_a_body_that_is_large_only_when_undone_is_not_parsed():
    """A large table goes on as it is, any other large body as text."""
    large = b'{"fields":["a"],"values":[["' + b"x" * OPAQUE_BYTES + b'"]]}'
    record = record_of(captured("request", gzipped(large), "gzip"))
    assert record["request"] == json.loads(large)
    assert "not checked" in record["scorespan"]["notes"][0]
    other = b'{"data":["' + b"x" * OPAQUE_BYTES + b'"]}'
    record = record_of(captured("request", gzipped(other), "gzip"))
    assert record["request"] == {"fields": ["scoring_input"], "values": [[other.decode()]]}
    assert "kept as text" in record["scorespan"]["notes"][0]


def test_what_is_not_base64_is_kept_as_it_is():
    """An attribute that says something wrong of itself."""
    span = captured("request", b"", "gzip")._replace(request=b"not base64!")
    record = record_of(span)
    assert record["request"]["values"] == [["not base64!"]]
    assert record["scorespan"]["notes"] == ["request: not valid base64"]
    for encoding in ("rot13", "gzip,gzip,gzip,gzip,base64"):
        odd = record_of(WHOLE._replace(details={"request_encoding": encoding}))
        assert odd["scorespan"]["notes"] == [f"request: {encoding} is not undone"]


def test_a_digest_stands_for_its_body():
    """The record says so, and how large the body was."""
    digest = hashlib.sha256(b"image").hexdigest()
    details = {"request_encoding": "sha256", "request_size": 5}
    record = record_of(WHOLE._replace(request=digest.encode(), details=details))
    assert record["request"] == {"fields": ["scoring_input"], "values": [[digest]]}
    assert record["scorespan"]["notes"] == ["request: only the SHA-256 of 5 bytes kept"]
    facts = {"encoding": "sha256", "size": 5, "kept": 64}
    assert record["scorespan"]["bodies"] == {"request": facts}


@pytest.mark.parametrize("dialect", [None, "fields_values", "mlflow"])
def test_a_cut_body_is_a_record_that_says_so(dialect):
    """It is never a dead letter, whatever the dialect is called."""
    details = {"request_size": 104_857_600}
    record = record_of(WHOLE._replace(request=REQUEST[:9], details=details, dialect=dialect))
    assert record["request"] == {"fields": ["scoring_input"], "values": [[REQUEST[:9].decode()]]}
    assert record["scorespan"]["notes"] == ["request: 9 of 104857600 bytes kept"]
    assert record["scorespan"]["bodies"] == {"request": {"size": 104_857_600, "kept": 9}}


def test_what_the_hook_told_of_a_cut_is_not_told_again():
    """Its note has the bytes as they passed."""
    note = "request: 10 of 99 bytes kept"
    span = WHOLE._replace(request=REQUEST[:9], details={"request_size": 99}, notes=(note,))
    assert record_of(span)["scorespan"]["notes"] == [note]


def test_a_cut_body_of_the_usual_bound_is_a_record():
    """Request and answer are then more than is ever parsed."""
    kept = b'{"data": ["' + "ä".encode() * (OPAQUE_BYTES // 2)
    record = record_of(WHOLE._replace(request=kept, details={"request_size": len(kept) + 9}))
    assert record["request"]["values"] == [[kept.decode()]]
    assert record["response"]["values"] == [[RESPONSE.decode()]]
    assert record["scorespan"]["notes"][0] == f"request: {len(kept)} of {len(kept) + 9} bytes kept"


def test_a_cut_compressed_body_is_undone_as_far_as_it_goes():
    """With the bytes that passed, and without the half of a character at its end."""
    body = "äöü".encode() * 50_000 + bytes(range(256)).hex().encode() * 50
    content = gzipped(body)
    span = captured("response", content[:200], "gzip", response_size=len(content))
    record = record_of(span)
    ((cell,),) = record["response"]["values"]
    assert 0 < len(cell.encode()) < len(body)
    assert body.startswith(cell.encode())
    assert record["scorespan"]["notes"] == [f"response: 200 of {len(content)} bytes kept"]


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/plain; charset=iso-8859-1", "latin-1"),
        ('text/plain; Charset="windows-1252"', "cp1252"),
        ("text/plain;charset=UTF-16", "utf-16"),
    ],
)
def test_a_text_in_another_charset_is_read(content_type, charset):
    """The content type names it; what hooks cannot show as text comes as base64."""
    span = captured("request", "café".encode(charset), "")
    record = record_of(span._replace(request_content_type=content_type, dialect="text"))
    assert record["request"]["values"] == [["café"]]
    plain = WHOLE._replace(request="café".encode(charset), request_content_type=content_type)
    assert record_of(plain._replace(dialect="text"))["request"]["values"] == [["café"]]


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", ""])
@pytest.mark.parametrize("hook", [{}, {"hook": "flask"}])
def test_a_byte_order_mark_is_no_part_of_a_body(content_type, hook):
    """Clients on Windows put one in front of UTF-8; bodies in form are else what they were."""
    span = WHOLE._replace(
        request=MARK + REQUEST,
        response=MARK + RESPONSE,
        request_content_type=content_type,
        response_content_type=content_type,
        details=hook,
    )
    record = convert(span)
    assert isinstance(record, PayloadRecord), record
    assert (record.request, record.response) == (REQUEST, RESPONSE)


def test_a_byte_order_mark_within_other_encodings_is_none_either():
    """Compressed, in a large body that is not parsed, and where a form is to be detected."""
    assert record_of(captured("request", gzipped(MARK + REQUEST), "gzip"))["request"] == json.loads(
        REQUEST
    )
    large = MARK + REQUEST[:-2] + b" " * OPAQUE_BYTES + REQUEST[-2:]
    record = convert(WHOLE._replace(request=memoryview(large)))
    assert isinstance(record, PayloadRecord), record
    assert bytes(record.request) == large[len(MARK) :]
    found = record_of(WHOLE._replace(request=MARK + b'[{"a":1}]', response=MARK + b'{"error":"x"}'))
    assert found["request"] == json.loads(REQUEST)
    assert found["response"] is None


@pytest.mark.parametrize("charset", ["zlib", "rot13", "nothing", "utf-8", "hex", "", "\0", "é"])
def test_bytes_that_are_no_text_are_base64(charset):
    """A charset that is none, or not this text's, is not believed."""
    kind = f"text/plain; charset={charset}"
    record = record_of(WHOLE._replace(request=b"caf\xe9", request_content_type=kind))
    assert record["request"]["values"] == [[base64.b64encode(b"caf\xe9").decode()]]
    assert record["scorespan"]["notes"] == [f"request: {kind} as base64"]


def test_without_a_hook_a_broken_body_is_still_refused():
    """Model code promises JSON where it says nothing; the dead letter shows what was there."""
    error = convert(WHOLE._replace(request=b"\xff"))
    assert isinstance(error, ConversionError)
    assert error.code == "invalid_json"


def test_where_a_hook_saw_no_type_the_looks_decide():
    """An empty or plain body without a content type is a text; JSON is JSON."""
    hooked = WHOLE._replace(details={"hook": "flask"})
    assert record_of(hooked._replace(request=b""))["request"]["values"] == [[""]]
    assert record_of(hooked._replace(request=b"hello"))["request"]["values"] == [["hello"]]
    assert record_of(hooked._replace(request=b"[[1, 2]]", response=b"[0]"))["request"] == {
        "fields": ["f0", "f1"],
        "values": [[1, 2]],
    }


def test_a_compressed_error_body_is_a_failed_scoring():
    """Its answer is kept beside the error as text."""
    answer = b'{"error": "bad row"}'
    record = record_of(captured("response", gzipped(answer), "gzip"))
    assert record["response"] is None
    assert record["scorespan"]["status"] == "error"
    assert record["scorespan"]["error"] == {
        "type": "engine_error",
        "message": "bad row",
        "response": answer.decode(),
    }


encodings = st.lists(
    st.sampled_from(["gzip", "deflate", "br", "base64", "sha256", "identity", ""]) | st.text(),
    max_size=4,
).map(",".join)
sizes = st.none() | st.integers(-5, 100)
contents = st.binary() | st.text().map(str.encode)
contents = contents | contents.map(gzipped) | contents.map(zlib.compress)
contents = contents | contents.map(base64.b64encode)
kinds = st.none() | st.sampled_from(
    ["", "application/json", "text/csv", "application/x-npy", "text/plain; charset=utf-16"]
) | st.text()  # fmt: skip


@given(
    bodies=st.tuples(contents, contents | st.none()),
    encoded=st.tuples(encodings, encodings),
    size=st.tuples(sizes, sizes),
    kind=st.tuples(kinds, kinds),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_any_bytes_are_a_record_or_a_reason(bodies, encoded, size, kind, flags):
    """Nothing that an attribute holds raises, and every record can be sent."""
    failed, hook = flags
    details: dict[str, Any] = {"hook": "x"} if hook else {}
    for at, side in enumerate(("request", "response")):
        if encoded[at]:
            details[f"{side}_encoding"] = encoded[at]
        if size[at] is not None:
            details[f"{side}_size"] = size[at]
    span = WHOLE._replace(
        request=bodies[0],
        response=bodies[1],
        request_content_type=kind[0],
        response_content_type=kind[1],
        failed=failed,
        details=details,
    )
    request, response = kept_bodies(span)
    assert (response is None) == (bodies[1] is None)
    assert request.whole or request.notes
    outcome = convert(span)
    if isinstance(outcome, ConversionError):
        assert not failed
        return
    record = json.loads(outcome.wire(extras=True))
    assert (record["response"] is None) == (record["scorespan"]["status"] == "error")
