"""The HTTP door takes what OTLP/HTTP sends, and refuses the rest as OTLP/HTTP asks."""

from __future__ import annotations

import asyncio
import gzip
import logging
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import zstandard
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from receiver.door import TOKEN, Door, json_of, payload_of, read_all
from running import wait_until
from scorespan.receiver.access import Access
from scorespan.receiver.body_format import format_of
from scorespan.receiver.bounds import Bounds
from scorespan.receiver.http import create_app
from scorespan.receiver.memory import WIRE_BYTES, Memory
from scorespan.receiver.reception import Reception
from scorespan.testing import Answer

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
TIMEOUT = 60
MIB = 1024 * 1024


def post(door: Door, body=b"", content_type: str | None = PROTOBUF, path="/v1/traces", **headers):
    """Post a body; an iterable goes in chunks."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        named["content-type"] = content_type
    return requests.post(door.url + path, data=body, headers=named, timeout=TIMEOUT)


def reason(answer: requests.Response) -> str:
    """What a refusal says, in whichever format it is."""
    if answer.headers["content-type"] == PROTOBUF:
        status = Status.FromString(answer.content)
        assert status.code
        return status.message
    assert answer.headers["content-type"] == JSON
    told = answer.json()
    assert told["code"]
    return told["message"]


COMPRESS = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON, "Application/JSON; charset=utf-8"])
def test_every_form_of_a_request_is_taken(door, content_type, encoding, chunked):
    """Format, compression and framing are the sender's choice; the answer is in its format."""
    write = payload_of if content_type == PROTOBUF else json_of
    body = COMPRESS[encoding](write("a", "b"))
    headers = {"content_encoding": encoding} if encoding else {}
    answer = post(door, iter([body[:7], body[7:]]) if chunked else body, content_type, **headers)
    assert answer.status_code == 200
    if content_type == PROTOBUF:
        assert answer.headers["content-type"] == PROTOBUF
        assert not ExportTraceServiceResponse.FromString(answer.content).HasField("partial_success")
    else:
        assert (answer.headers["content-type"], answer.json()) == (JSON, {})
    assert door.stored() == {"a", "b"}


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_a_warning_refuses_nothing(content_type):
    """What is told beside yes has `rejected_spans` 0: nothing is to be sent again."""
    form = format_of(content_type)
    assert form is not None
    answer = ExportTraceServiceResponse()
    read = answer.ParseFromString if content_type == PROTOBUF else json_reader(answer)
    read(form.yes("one cannot be read \ud800"))
    partial = answer.partial_success
    assert (partial.rejected_spans, partial.error_message) == (0, "one cannot be read ?")


def json_reader(answer: ExportTraceServiceResponse):
    """Reads JSON into this answer."""
    return lambda text: json_format.Parse(text, answer)


def test_spans_that_are_no_scorings_are_no_fault(door):
    """They are counted and left out; so is a request without any span."""
    assert post(door, payload_of(others=3)).status_code == 200
    assert post(door, b"").status_code == 200
    assert post(door, b"{}", JSON).json() == {}
    assert door.reception.spans["other"] == 3
    assert door.stored() == set()


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("encoding", ["", "gzip", "zstd", "deflate"])
def test_a_body_that_is_none_is_400(door, content_type, encoding):
    """What cannot be parsed is refused for good, in the format of the request."""
    answer = post(door, b"\xff{]", content_type, content_encoding=encoding)
    assert (answer.status_code, answer.headers["content-type"]) == (400, content_type)
    assert "retry-after" not in answer.headers
    assert reason(answer)
    assert door.reception.requests == {"invalid": 1}


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/xml", ";", "x" * 99])
def test_another_content_type_is_415(door, content_type):
    """Only the two formats of OTLP are read."""
    answer = post(door, payload_of("a"), content_type)
    assert answer.status_code == 415
    assert "content type" in reason(answer)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "snappy"])
def test_another_encoding_is_415(door, encoding):
    """What cannot be decompressed is said before it is read."""
    answer = post(door, payload_of("a"), content_encoding=encoding)
    assert (answer.status_code, answer.headers["content-type"]) == (415, PROTOBUF)
    assert "encoding" in reason(answer)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_405(door, method):
    """Who asks otherwise is told how to ask."""
    answer = requests.request(method, f"{door.url}/v1/traces", timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = requests.post(f"{door.url}/healthz", timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/v1/metrics", "/v1/traces/", "/v1/traces/x", "/%00"])
def test_another_path_is_404(door, path):
    """There is nothing else here."""
    answer = post(door, payload_of("a"), path=path)
    assert answer.status_code == 404
    assert "/v1/traces" in reason(answer)


def test_only_who_shows_the_token_may_send(make_door, caplog):
    """The rest is 401, and told what to show; nothing of it is kept, and one line tells of all."""
    door = make_door(token=TOKEN)
    for shown in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        answer = post(door, payload_of("no"), **shown)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert TOKEN not in reason(answer)
    assert post(door, payload_of("yes"), authorization=f"Bearer {TOKEN}").status_code == 200
    assert door.stored() == {"yes"}
    assert door.reception.requests == {"unauthorized": 3, "taken": 1}
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == ["requests are refused: no bearer token that is known here"]


def test_a_body_declared_too_large_is_refused_at_once(make_door):
    """413 comes before any of it is read, `Expect: 100-continue` or not."""
    door = make_door(bounds=Bounds(linger_seconds=0.1))
    head = (
        f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n"
        f"content-length: {WIRE_BYTES + 1}\r\n"
    )
    for expect in ("", "expect: 100-continue\r\n"):
        answer = door.exchange(f"{head}{expect}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 413 ")
    assert door.memory.held == 0


def test_a_body_is_read_no_further_than_the_bound(door):
    """A chunked body past the limit is 413, however long it would go on."""

    def endless():
        for _ in range(WIRE_BYTES // MIB + 1):
            yield bytes(MIB)

    answer = post(door, endless())
    assert answer.status_code == 413
    assert door.reception.requests == {"too_large": 1}
    wait_until(lambda: door.memory.held == 0, "the budget back")


def test_a_bomb_is_413(door):
    """A body that becomes more than the bound is refused; the next one is taken."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(compressor.compress(bytes(4 * MIB)) for _ in range(70)) + compressor.flush()
    answer = post(door, bomb, content_encoding="gzip")
    assert answer.status_code == 413
    assert post(door, payload_of("next")).status_code == 200
    assert door.stored() == {"next"}


def test_no_room_is_503_with_a_time(make_door):
    """Beyond the budget a request may come again, and what it held is free for the others."""
    door = make_door(memory=Memory(budget=3000, large=3000))
    hog = door.memory.share()
    hog.hold(2900)
    for body in (payload_of("later"), gzip.compress(payload_of("later"))):
        headers = {"content_encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}
        answer = post(door, body, **headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert door.memory.held == 2900
    hog.hold(0)
    assert post(door, payload_of("later")).status_code == 200
    assert door.stored() == {"later"}


class Broken(Memory):
    """A budget with a fault in it."""

    def share(self):
        """Fail."""
        raise ZeroDivisionError("private")


def test_a_fault_of_ours_is_503_with_a_time(make_door, caplog):
    """Never 500: the request may come again, and the log says what failed by its type alone."""
    door = make_door(memory=Broken())
    for _ in range(3):
        answer = post(door, payload_of("a"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "private" not in reason(answer)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == ["a request failed: ZeroDivisionError"]


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_a_full_spool_is_503_with_a_time(make_door, scripted_mart, content_type):
    """A sender keeps what there is no room for, and `/readyz` says so; then it is taken."""
    scripted_mart.always = Answer(503)
    door = make_door(spool_max_bytes=1_500_000)
    write = payload_of if content_type == PROTOBUF else json_of
    answer = post(door, write("0"), content_type)
    count = 0
    while answer.status_code == 200:
        count += 1
        names = [f"{count}-{number}" for number in range(20)]
        answer = post(door, write(*names), content_type)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "spool" in reason(answer)
    ready = requests.get(f"{door.url}/readyz", timeout=TIMEOUT)
    assert ready.status_code == 503
    assert "spool" in ready.text
    assert requests.get(f"{door.url}/healthz", timeout=TIMEOUT).status_code == 200
    scripted_mart.always = None
    wait_until(lambda: requests.get(f"{door.url}/readyz", timeout=TIMEOUT).ok, "room again")
    assert post(door, write("later"), content_type).status_code == 200


def test_a_door_that_stops_is_alive_and_not_ready(door):
    """What comes is 503 with a time, so that it comes again, to another process."""
    answer = requests.get(f"{door.url}/readyz", timeout=TIMEOUT)
    assert (answer.status_code, answer.text) == (200, "ready\n")
    door.reception.stop()
    answer = post(door, payload_of("a"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    answer = requests.get(f"{door.url}/readyz", timeout=TIMEOUT)
    assert (answer.status_code, answer.text) == (503, "the receiver is stopping\n")
    assert requests.get(f"{door.url}/healthz", timeout=TIMEOUT).status_code == 200
    assert requests.head(f"{door.url}/healthz", timeout=TIMEOUT).status_code == 200


def test_health_and_readiness_need_no_token(make_door):
    """Who watches the process has no token, and is told no secret."""
    door = make_door(token=TOKEN)
    for path in ("/healthz", "/readyz"):
        answer = requests.get(door.url + path, timeout=TIMEOUT)
        assert answer.status_code == 200
        assert TOKEN not in answer.text


def test_many_connections_send_at_the_same_time(door):
    """Requests of many connections are all taken, each once."""
    barrier = threading.Barrier(16)

    def send(which: int) -> None:
        barrier.wait()
        with requests.Session() as session:
            for number in range(10):
                answer = session.post(
                    f"{door.url}/v1/traces",
                    data=payload_of(f"{which}-{number}"),
                    headers={"content-type": PROTOBUF},
                    timeout=TIMEOUT,
                )
                assert answer.status_code == 200

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(send, range(16)))
    assert door.stored() == {f"{which}-{number}" for which in range(16) for number in range(10)}
    assert door.memory.held == 0


def test_who_leaves_in_the_middle_holds_nothing(door):
    """A body whose sender is gone is forgotten, and what it held is free."""
    head = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n".encode()
    with door.connect() as connection:
        connection.sendall(head + b"content-length: 5000000\r\n\r\n" + bytes(3_000_000))
        wait_until(lambda: door.memory.held >= 3_000_000, "a body that is being read")
    wait_until(lambda: door.memory.held == 0, "the budget back")
    assert post(door, payload_of("next")).status_code == 200


def test_who_does_not_wait_for_the_answer_is_kept_all_the_same(door):
    """A request that came whole is taken, though nobody is there for the answer."""
    body = payload_of("gone")
    head = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n".encode()
    with door.connect() as connection:
        connection.sendall(head + f"content-length: {len(body)}\r\n\r\n".encode() + body)
    wait_until(lambda: door.reception.requests["taken"] == 1, "the request taken")
    assert door.stored() == {"gone"}


def test_what_is_cancelled_before_its_turn_holds_nothing(make_intake):
    """What a whole request held is free when it is given up before a thread has it."""
    memory, free = Memory(), threading.Event()
    app = create_app(Reception(make_intake()), Access(None), memory, threads=1)
    app._threads.submit(free.wait, TIMEOUT)
    body = payload_of("a")
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/traces",
        "headers": [(b"content-type", PROTOBUF.encode())],
        "state": {"known": lambda: None},
    }

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def cancelled() -> None:
        # Whatever it would answer, there is nobody to answer.
        request = asyncio.create_task(app(scope, receive, receive))
        while not memory.held:  # noqa: ASYNC110 - no one tells
            await asyncio.sleep(0)
        assert memory.held == len(body)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(cancelled())
    assert memory.held == 0
    free.set()


def test_an_answer_to_half_a_connection_arrives(door):
    """Who has nothing more to send gets the answer to what was sent."""
    body = payload_of("half")
    head = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n".encode()
    with door.connect() as connection:
        connection.sendall(head + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        connection.shutdown(1)
        assert read_all(connection).startswith(b"HTTP/1.1 200 OK\r\n")
    assert door.stored() == {"half"}
