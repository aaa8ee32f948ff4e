"""Calls through `requests`: what becomes a record, and that the caller sees no difference."""

from __future__ import annotations

import base64
import gc
import gzip
import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
import requests.sessions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3.util.retry import Retry

import scorespan.instrumentation.requests as hook
from engine import JSON, REQUEST, RESPONSE, Engine, Reply, engine
from scorespan import attributes
from scorespan.instrumentation import guard, unread


@contextmanager
def hooked() -> Iterator[None]:
    """The hook, while the block runs."""
    send = requests.sessions.Session.send
    hook.instrument(requests.sessions)
    try:
        yield
    finally:
        requests.sessions.Session.send = send


@pytest.fixture
def served(capture) -> Iterator[Engine]:
    """An engine whose address is allowed, and the hook."""
    with engine() as served, hooked():
        capture(client_urls=served.address + "*")
        yield served
        assert guard.counted == {}
    assert not unread._waiting


def only(recorded) -> dict[str, Any]:
    """The attributes of the only scoring."""
    (span,) = recorded.spans()
    return dict(span.attributes)


def test_a_call_of_an_allowed_address_is_a_scoring(served, recorded):
    """Request, answer, ids and status of a plain POST stand on the span."""
    headers = {**JSON, "azureml-model-deployment": "blue", "x-request-id": "r-1"}
    answer = requests.post(served.url, data=REQUEST, headers=headers, timeout=30)
    assert answer.content == RESPONSE
    assert not answer.raw.read()
    found = only(recorded)
    assert found[attributes.REQUEST].encode() == REQUEST
    assert found[attributes.RESPONSE].encode() == RESPONSE
    assert found[attributes.DEPLOYMENT_ID] == "blue"
    assert found[attributes.REQUEST_ID] == "r-1"
    assert found[attributes.HTTP_STATUS] == 200
    assert found[attributes.HOOK] == "requests"
    assert found[attributes.REQUEST_CONTENT_TYPE] == "application/json"
    assert found[attributes.RESPONSE_CONTENT_TYPE] == "application/json"
    assert attributes.NOTES not in found
    assert recorded.record().request == REQUEST


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("PUT", ""), ("POST", "/../other")])
def test_other_calls_are_none(served, recorded, capture, method, path):
    """What is no POST, or goes elsewhere, passes by."""
    capture(client_urls=served.address)
    url = served.url + "s" if path else served.url
    requests.request(method, url, timeout=30)
    assert recorded.spans() == []
    assert served.requests[0].method == method


def test_ids_of_the_answer_count_where_the_request_has_none(served, recorded):
    """An endpoint that chooses deployment and request id tells both."""
    headers = {**JSON, "azureml-model-deployment": "green", "x-ms-request-id": "r-2"}
    served.replies.append(Reply(headers=headers))
    requests.post(served.url, data=REQUEST, timeout=30)
    found = only(recorded)
    assert found[attributes.DEPLOYMENT_ID] == "green"
    assert found[attributes.REQUEST_ID] == "r-2"


def test_a_generator_is_seen_as_it_is_sent(served, recorded):
    """A body that is made while it is sent runs once, and is kept whole."""
    made = []

    def body() -> Iterator[bytes]:
        for part in (REQUEST[:9], REQUEST[9:]):
            made.append(part)
            yield part

    given_body = body()
    answer = requests.post(served.url, data=given_body, headers=JSON, timeout=30)
    assert made == [REQUEST[:9], REQUEST[9:]]
    assert answer.request.body is given_body
    assert served.requests[0].body == REQUEST
    assert only(recorded)[attributes.REQUEST].encode() == REQUEST


@pytest.mark.parametrize("kind", ["binary", "text", "disk"])
def test_a_file_is_seen_as_it_is_sent(served, recorded, tmp_path, kind):
    """A file is sent from where it stands, and stands at its end afterwards."""
    path = tmp_path / "request.json"
    path.write_bytes(b"ab" + REQUEST)
    with {
        "binary": lambda: io.BytesIO(path.read_bytes()),
        "text": lambda: io.StringIO(path.read_text()),
        "disk": lambda: path.open("rb"),
    }[kind]() as file:
        file.seek(2)
        requests.post(served.url, data=file, headers=JSON, timeout=30)
        assert file.tell() == len(REQUEST) + 2
    assert served.requests[0].body == REQUEST
    assert only(recorded)[attributes.REQUEST].encode() == REQUEST


def test_a_retry_and_a_redirect_are_one_record(served, recorded):
    """A call that is sent three times is one record with the last answer, its file kept once."""
    served.replies += [
        Reply(status=503, body=b"later"),
        Reply(status=307, body=b"there", headers={"Location": "/score?again"}),
        Reply(),
    ]
    with requests.Session() as session:
        retry = Retry(total=2, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
        answer = session.post(served.url, data=io.BytesIO(REQUEST), headers=JSON, timeout=30)
    assert answer.content == RESPONSE
    assert [request.body for request in served.requests] == [REQUEST] * 3
    found = only(recorded)
    assert found[attributes.REQUEST].encode() == REQUEST
    assert found[attributes.RESPONSE].encode() == RESPONSE
    assert found[attributes.HTTP_STATUS] == 200


def test_an_error_status_is_a_failed_scoring(served, recorded):
    """500 makes it a failed one, with what the engine has said."""
    served.replies.append(Reply(status=500, body=b'{"error": "no model"}'))
    assert requests.post(served.url, data=REQUEST, timeout=30).status_code == 500
    (span,) = recorded.spans()
    assert not span.status.is_ok
    assert span.attributes[attributes.HTTP_STATUS] == 500
    assert span.attributes[attributes.RESPONSE] == '{"error": "no model"}'


def test_a_timeout_is_a_failed_scoring(served, recorded):
    """An answer that does not come in time is a failed scoring of that type, raised as before."""
    never = threading.Event()
    served.replies.append(Reply(parts=(b"{", b"}"), wait=never))
    try:
        with pytest.raises(requests.ConnectionError):
            requests.post(served.url, data=REQUEST, timeout=0.2)
    finally:
        never.set()
    (span,) = recorded.spans()
    assert not span.status.is_ok
    assert span.events[0].attributes["exception.type"] == "requests.exceptions.ConnectionError"
    assert span.attributes[attributes.REQUEST].encode() == REQUEST


def test_no_connection_is_a_failed_scoring(capture, recorded):
    """Where nobody listens the call fails, and is a record, without the key in the address."""
    with engine() as served:
        pass
    capture(client_urls=served.address)
    with hooked(), pytest.raises(requests.ConnectionError, match="code=secret"):
        requests.post(f"{served.url}?code=secret", data=REQUEST, timeout=30)
    (span,) = recorded.spans()
    told = span.events[0].attributes
    assert "ConnectionError" in told["exception.type"]
    assert "/score?***" in told["exception.message"]
    assert "secret" not in told["exception.stacktrace"] + span.status.description


def test_a_streamed_answer_is_left_to_its_reader(served, recorded):
    """Parts come when they are sent; the record is there once the last one was read."""
    last = threading.Event()
    served.replies.append(Reply(parts=(RESPONSE[:5], RESPONSE[5:]), wait=last))
    with requests.post(served.url, data=REQUEST, stream=True, timeout=30) as answer:
        parts = answer.iter_content(None)
        assert next(parts) == RESPONSE[:5]
        assert recorded.spans() == []
        last.set()
        assert list(parts) == [RESPONSE[5:]]
        assert only(recorded)[attributes.RESPONSE].encode() == RESPONSE
    assert attributes.NOTES not in only(recorded)


def test_a_compressed_answer_is_kept_as_it_was_read(served, recorded):
    """What the client has decompressed is text on the span; what it has not says so."""
    packed = gzip.compress(RESPONSE)
    for _ in range(3):
        served.replies.append(Reply(body=packed, headers={**JSON, "Content-Encoding": "gzip"}))
    requests.post(served.url, data=REQUEST, timeout=30)
    with requests.post(served.url, data=REQUEST, stream=True, timeout=30) as answer:
        assert b"".join(answer.iter_content(3)) == RESPONSE
    with requests.post(served.url, data=REQUEST, stream=True, timeout=30) as answer:
        assert answer.raw.read() == packed
    whole, parts, raw = (span.attributes for span in recorded.spans())
    for found in (whole, parts):
        assert found[attributes.RESPONSE].encode() == RESPONSE
        assert attributes.RESPONSE_ENCODING not in found
        assert attributes.NOTES not in found
    assert raw[attributes.RESPONSE_ENCODING] == "gzip,base64"


def test_an_answer_that_is_closed_early_says_so(served, recorded):
    """What was not read is not there, and a note tells."""
    with requests.post(served.url, data=REQUEST, stream=True, timeout=30) as answer:
        assert answer.raw.read(4) == RESPONSE[:4]
    found = only(recorded)
    assert found[attributes.RESPONSE].encode() == RESPONSE[:4]
    (note,) = found[attributes.NOTES]
    assert note.startswith(f"response: 4 of {len(RESPONSE)} bytes")


def test_an_answer_that_nobody_reads_is_recorded_with_the_next_call(served, recorded):
    """A dropped response ends with the call after it: a collector may wait for nothing."""
    served.replies.append(Reply(parts=(RESPONSE,)))
    with requests.Session() as session:
        session.post(served.url, data=REQUEST, stream=True, timeout=30)
        gc.collect()
        assert recorded.spans() == []
        session.post(served.url, data=REQUEST, timeout=30)
    dropped, read = (span.attributes for span in recorded.spans())
    assert dropped[attributes.NOTES] == ("response: its caller did not read it to the end",)
    assert read[attributes.RESPONSE].encode() == RESPONSE


def test_an_answer_that_breaks_off_is_a_failed_scoring(served, recorded):
    """Where the connection ends in the middle the caller sees it, and so does the record."""
    served.replies.append(Reply(parts=(RESPONSE[:5],), cut=0))
    answer = requests.post(served.url, data=REQUEST, stream=True, timeout=30)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(answer.iter_content(None))
    (span,) = recorded.spans()
    assert "ProtocolError" in span.events[0].attributes["exception.type"]
    assert span.attributes[attributes.RESPONSE].encode() == RESPONSE[:5]
    answer.close()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 2, 7, 100]), max_size=12),
    cuts=st.lists(st.integers(1, 200), max_size=5, unique=True),
    in_chunks=st.booleans(),
    packed=st.booleans(),
    step=st.sampled_from([1, 11, 1000, None]),
)
def test_however_it_is_read_the_bytes_are_the_same(  # noqa: PLR0913, PLR0917 - what is drawn
    served, recorded, sizes, cuts, in_chunks, packed, step
):
    """Sent in any parts, read in any steps, an answer gives reader and record the same bytes."""
    body = bytes(range(256)) + b"end"
    headers = {"Content-Type": "application/octet-stream"}
    if packed:
        headers["Content-Encoding"] = "gzip"
    sent = gzip.compress(body) if packed else body
    places = [0, *sorted(cuts), len(sent)]
    parts = tuple(sent[start:end] for start, end in itertools.pairwise(places))
    served.replies.append(Reply(body=sent, headers=headers, parts=parts if in_chunks else None))
    recorded.exporter.clear()
    with requests.post(served.url, data=REQUEST, stream=True, timeout=30) as answer:
        got = b"".join(answer.raw.read(size, decode_content=True) for size in sizes)
        # With chunks, urllib3 cannot go over from the one way of reading to the other.
        got += (
            answer.raw.read(decode_content=True) if sizes else b"".join(answer.iter_content(step))
        )
    assert got == body
    found = only(recorded)
    assert base64.b64decode(found[attributes.RESPONSE]) == body
    assert found[attributes.RESPONSE_ENCODING] == "base64"
    assert attributes.NOTES not in found
