"""Calls through `urllib.request`: what becomes a record, and that the caller sees no difference."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scorespan.instrumentation.urllib as hook
from engine import JSON, REQUEST, RESPONSE, Engine, Reply, engine
from scorespan import attributes
from scorespan.instrumentation import guard, unread


@pytest.fixture
def served(capture, monkeypatch) -> Iterator[Engine]:
    """An engine whose address is allowed, and the hook."""
    director = urllib.request.OpenerDirector
    monkeypatch.setattr(director, "open", director.open)
    hook.instrument(urllib.request)
    with engine() as served:
        capture(client_urls=served.address)
        yield served
    assert guard.counted == {}
    assert not unread._waiting


def only(recorded) -> dict[str, Any]:
    """The attributes of the only scoring."""
    (span,) = recorded.spans()
    return dict(span.attributes)


def test_a_call_of_an_allowed_address_is_a_scoring(served, recorded):
    """The sample that the Azure portal shows becomes a record."""
    headers = {**JSON, "azureml-model-deployment": "blue"}
    request = Request(served.url + "?api-version=2.0", REQUEST, headers)
    response = urlopen(request, timeout=30)
    assert recorded.spans() == []
    assert response.read() == RESPONSE
    assert type(response).__name__ == "HTTPResponse"
    assert isinstance(response, http.client.HTTPResponse)
    found = only(recorded)
    assert found[attributes.REQUEST].encode() == REQUEST
    assert found[attributes.RESPONSE].encode() == RESPONSE
    assert found[attributes.DEPLOYMENT_ID] == "blue"
    assert found[attributes.REQUEST_CONTENT_TYPE] == "application/json"
    assert found[attributes.HTTP_STATUS] == 200
    assert attributes.NOTES not in found
    response.close()


def test_an_address_with_data_is_a_scoring(served, recorded):
    """A text as the address, with data beside it, is a POST as well; without data it is none."""
    with urlopen(served.url, REQUEST, 30) as response:
        assert json.load(response) == json.loads(RESPONSE)
    with urlopen(served.url, timeout=30) as response:
        response.read()
    assert only(recorded)[attributes.REQUEST].encode() == REQUEST


def read_lines(response: Any) -> bytes:
    """All lines."""
    return b"".join(response)


def read_into(response: Any) -> bytes:
    """All of it, through a buffer."""
    got, buffer = b"", bytearray(10)
    while size := response.readinto(buffer):
        got += buffer[:size]
    return got


WAYS = {
    "read": lambda response: response.read(),
    "read in steps": lambda response: b"".join(iter(lambda: response.read(5), b"")),
    "read1": lambda response: b"".join(iter(lambda: response.read1(5), b"")),
    "iterate": b"".join,
    "readlines": lambda response: b"".join(response.readlines()),
    "readline": lambda response: b"".join(iter(response.readline, b"")),
    "readinto": read_into,
    "text": lambda response: io.TextIOWrapper(response).read().encode(),
}


@pytest.mark.parametrize("parts", [None, (b"1,2\n3", b",4\n5,", b"6\n")])
@pytest.mark.parametrize("way", WAYS)
def test_the_answer_can_be_read_in_any_way(served, recorded, way, parts):
    """However the answer is read, its reader and the record get the same."""
    body = b"1,2\n3,4\n5,6\n"
    served.replies.append(Reply(body=body, headers={"Content-Type": "text/csv"}, parts=parts))
    with urlopen(Request(served.url, REQUEST), timeout=30) as response:
        assert WAYS[way](response) == body
    found = only(recorded)
    assert found[attributes.RESPONSE].encode() == body
    assert attributes.NOTES not in found


def test_an_error_status_is_a_failed_scoring_with_its_body(served, recorded):
    """The error that is raised can be read as before; the record has what was read of it."""
    served.replies.append(Reply(status=502, body=b'{"error": "no model"}'))
    with pytest.raises(HTTPError) as raised:
        urlopen(Request(served.url, REQUEST), timeout=30)
    assert raised.value.code == 502
    assert raised.value.read() == b'{"error": "no model"}'
    (span,) = recorded.spans()
    assert not span.status.is_ok
    assert span.attributes[attributes.HTTP_STATUS] == 502
    assert span.attributes[attributes.RESPONSE] == '{"error": "no model"}'
    raised.value.close()


def test_no_connection_is_a_failed_scoring(capture, served, recorded):
    """Where nobody listens the call fails, and is a record."""
    with engine() as gone:
        pass
    capture(client_urls=gone.address)
    with pytest.raises(URLError):
        urlopen(Request(gone.url, REQUEST), timeout=30)
    (span,) = recorded.spans()
    assert span.events[0].attributes["exception.type"] == "urllib.error.URLError"


def test_a_file_and_a_generator_are_seen_as_they_are_sent(served, recorded):
    """Neither is read before it is sent, and the request keeps both."""
    file, parts = io.BytesIO(REQUEST), (part for part in (REQUEST[:5], REQUEST[5:]))
    for data in (file, parts):
        request = Request(served.url, data, JSON)
        with urlopen(request, timeout=30) as response:
            response.read()
        assert request.data is data
    with urlopen(served.url, io.BytesIO(REQUEST), 30) as response:
        response.read()
    assert [request.body for request in served.requests] == [REQUEST] * 3
    assert {span.attributes[attributes.REQUEST].encode() for span in recorded.spans()} == {REQUEST}
    assert len(recorded.spans()) == 3


def test_a_compressed_answer_is_kept_as_it_came(served, recorded):
    """Nothing decompresses here: the span says which coding the bytes have."""
    packed = gzip.compress(RESPONSE)
    served.replies.append(Reply(body=packed, headers={**JSON, "Content-Encoding": "gzip"}))
    with urlopen(Request(served.url, REQUEST), timeout=30) as response:
        assert response.read() == packed
    assert only(recorded)[attributes.RESPONSE_ENCODING] == "gzip,base64"


def test_an_answer_that_is_closed_early_says_so(served, recorded):
    """What was not read is not there, and a note tells."""
    with urlopen(Request(served.url, REQUEST), timeout=30) as response:
        assert response.read(4) == RESPONSE[:4]
    (note,) = only(recorded)[attributes.NOTES]
    assert note.startswith(f"response: 4 of {len(RESPONSE)} bytes")


def test_wrong_arguments_raise_as_before(served, recorded):
    """What is no request raises the error of the function itself."""
    with pytest.raises(AttributeError):
        urlopen(7)
    with pytest.raises(ValueError, match="unknown url type"):
        urlopen("nothing")
    assert recorded.spans() == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=12),
    ways=st.lists(st.sampled_from(["read", "read1", "readline", "peek"]), min_size=12, max_size=12),
    in_chunks=st.booleans(),
)
def test_however_it_is_read_the_bytes_are_the_same(served, recorded, sizes, ways, in_chunks):
    """Read in any steps by any method, an answer gives its reader and the record the same."""
    body = b"a line of text\nanother\n\nand a long one without an end" * 3
    parts = (body[:7], body[7:90], body[90:]) if in_chunks else None
    served.replies.append(Reply(body=body, headers={"Content-Type": "text/plain"}, parts=parts))
    recorded.exporter.clear()
    with urlopen(Request(served.url, REQUEST), timeout=30) as response:
        got = b""
        for way, size in zip(ways, sizes, strict=False):
            part = getattr(response, way)(size)
            got += b"" if way == "peek" else part
        got += response.read()
    assert got == body
    found = only(recorded)
    assert found[attributes.RESPONSE].encode() == body
    assert attributes.NOTES not in found


def test_patching_it_loads_next_to_nothing():
    """A process that imports it for something else pays no import of OpenTelemetry, nor a call."""
    code = (
        "import sys, urllib.request\n"
        "from scorespan.instrumentation import switch, urllib as hook\n"
        "before = set(sys.modules)\n"
        "hook.instrument(urllib.request)\n"
        "switch.ask_first(lambda: print('asked'))\n"
        "urllib.request.urlopen('data:,x').read()\n"
        "try:\n"
        "    urllib.request.urlopen('http://127.0.0.1:1/', b'x')\n"
        "except OSError:\n"
        "    pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
