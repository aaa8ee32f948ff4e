"""What is no HTTP/1.1, slow or too much is answered with a 4xx or closed, and the door goes on."""

from __future__ import annotations

import logging
import re
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from faults.certificates import Authority
from receiver.door import TOKEN, Door, payload_of, read_all
from running import wait_until
from scorespan.receiver.bounds import Bounds

LIVENESS = 60
LIVE = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
CLOSE = b"connection: close\r\n"


def statuses(answers: bytes) -> list[int]:
    """The status of each answer in these bytes."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def post(*names: str, more: bytes = b"") -> bytes:
    """A whole request."""
    body = payload_of(*names)
    return POST + more + f"content-length: {len(body)}\r\n\r\n".encode() + body


def chunked(body: bytes, size: int) -> bytes:
    """A body in chunks."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def is_well(door: Door) -> None:
    """The door takes what is right, and holds nothing of what was not."""
    assert statuses(door.exchange(post("well", more=CLOSE))) == [200]
    wait_until(lambda: door.memory.held == 0, "the budget back")


REFUSED = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), 400),
    "words": (b"hello there\r\n\r\n", 400),
    "another version": (b"GET /healthz HTTP/3.7\r\nhost: x\r\n\r\n", 400),
    "an unknown method": (b"BREW /v1/traces HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a blank in a name": (b"GET /healthz HTTP/1.1\r\nho st: x\r\n\r\n", 400),
    "a control in a value": (b"GET /healthz HTTP/1.1\r\nhost: \x00x\r\n\r\n", 400),
    "a folded header": (b"GET /healthz HTTP/1.1\r\nhost: x\r\n y\r\n z\r\n: q\r\n\r\n", 400),
    "lengths that differ": (
        POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd", 400),
    "a length twice": (POST + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc", 400),
    "a list of lengths": (POST + b"content-length: 3, 3\r\n\r\nabc", 400),
    "a negative length": (POST + b"content-length: -1\r\n\r\n", 400),
    "a length with a sign": (POST + b"content-length: +3\r\n\r\nabc", 400),
    "a length in words": (POST + b"content-length: three\r\n\r\nabc", 400),
    "a length beyond 64 bits": (POST + b"content-length: 99999999999999999999\r\n\r\n", 400),
    "a length beyond the bound": (POST + b"content-length: 9999999999\r\n\r\n", 413),
    "length and chunks": (
        POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks and length": (
        POST + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n", 400),
    "another transfer": (POST + b"transfer-encoding: gzip\r\n\r\n", 400),
    "chunks not last": (POST + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    "a chunk size in words": (POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
    "a chunk size beyond 64 bits": (
        POST + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
    "a negative chunk size": (POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
    "a chunk longer than it says": (
        POST + b"transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", 400),
    "a long target": (b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n", 431),
    "a long header": (LIVE + b"x: " + b"y" * 200_000 + b"\r\n\r\n", 431),
    "a long name": (LIVE + b"x" * 200_000 + b": y\r\n\r\n", 431),
    "an endless header": (LIVE + b"x: " + b"y" * 600_000, 431),
    "an endless target": (b"GET /" + b"x" * 600_000, 431),
    "many headers": (LIVE + b"a: b\r\n" * 200 + b"\r\n", 431),
    "a flood of headers": (LIVE + b"a: b\r\n" * 100_000, 431),
    "a tunnel": (b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "an authority": (b"GET example.com HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "a star": (b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", 404),
}  # fmt: skip


def test_what_is_no_request_is_refused(make_door):
    """Each is answered once with the right status, and the connection closed."""
    door = make_door(bounds=Bounds(linger_seconds=0.1))
    answered = {name: statuses(door.exchange(sent)) for name, (sent, _) in REFUSED.items()}
    assert answered == {name: [status] for name, (_, status) in REFUSED.items()}
    is_well(door)


@pytest.mark.parametrize("bare", [b"\r\n", b"\n"])
def test_line_ends_before_a_request_are_nothing(door, bare):
    """A few of them do no harm."""
    assert statuses(door.exchange(bare * 3 + LIVE + CLOSE + b"\r\n")) == [200]


@pytest.mark.parametrize("target", [b"/healthz?a=b", b"http://elsewhere/healthz", b"/%68ealthz"])
def test_other_forms_of_a_target_are_read(door, target):
    """An absolute one, a query and escapes lead to the same path."""
    sent = b"GET " + target + b" HTTP/1.1\r\nhost: x\r\n" + CLOSE + b"\r\n"
    assert statuses(door.exchange(sent)) == [200]


def test_http_1_0_is_answered_and_closed(door):
    """The older protocol works, and without a length there is no body."""
    body = payload_of("old")
    head = POST.replace(b"1.1", b"1.0") + f"content-length: {len(body)}\r\n\r\n".encode()
    assert statuses(door.exchange(head + body)) == [200]
    assert door.stored() == {"old"}


def test_a_body_comes_in_any_pieces(door):
    """A request that trickles in is one; so are chunks of any size."""
    with door.connect() as connection:
        for byte in post("bytes"):
            connection.sendall(bytes([byte]))
        answer = connection.recv(65536)
        assert statuses(answer) == [200]
        for number, size in enumerate((1, 7, 100_000)):
            body = payload_of(f"chunks-{number}")
            connection.sendall(POST + b"transfer-encoding: chunked\r\n\r\n" + chunked(body, size))
            assert statuses(connection.recv(65536)) == [200]
    assert door.stored() == {"bytes", "chunks-0", "chunks-1", "chunks-2"}


def test_a_head_below_the_bound_is_read(door):
    """Whole or in pieces, a head of 30 KB is none too large."""
    sent = LIVE + CLOSE + b"x: " + b"y" * 30_000 + b"\r\n\r\n"
    with door.connect() as connection:
        for at in range(0, len(sent), 1000):
            connection.sendall(sent[at : at + 1000])
        assert statuses(read_all(connection)) == [200]
    assert statuses(door.exchange(sent)) == [200]


def test_who_expects_100_is_told_to_go_on(door):
    """The body is asked for, then taken."""
    body = payload_of("expected")
    with door.connect() as connection:
        head = POST + CLOSE + b"expect: 100-continue\r\n"
        connection.sendall(head + f"content-length: {len(body)}\r\n\r\n".encode())
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert statuses(read_all(connection)) == [200]


def test_pipelined_requests_are_answered_in_order(door):
    """Requests that do not wait for each other's answers are all taken."""
    sent = post("one") + LIVE + b"\r\n" + post("two") + b"GET /no HTTP/1.1\r\nhost: x\r\n\r\n"
    assert statuses(door.exchange(sent)) == [200, 200, 200, 404]
    assert door.stored() == {"one", "two"}


def test_a_flood_of_pipelined_requests_is_cut_off(door):
    """Only a few wait; what was answered was answered in order, with what it was."""
    answered = statuses(door.exchange((LIVE + b"\r\n") * 20_000))
    assert set(answered) == {200}
    assert len(answered) < 20_000
    is_well(door)


def test_an_error_does_not_overtake_an_answer(door):
    """Behind a request that is worked on, garbage gets no answer that would be taken for its."""
    assert statuses(door.exchange(post("first") + b"garbage\r\n\r\n")) == [200]
    assert door.stored() == {"first"}


UPGRADE = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"


@pytest.mark.parametrize("size", [1, 50, 1_000_000])
def test_an_upgrade_is_not_taken_up(door, size):
    """A request that offers another protocol is taken with its body, and so is the next one."""
    chunks = chunked(payload_of("chunks"), 20)
    sent = (
        post("length", more=UPGRADE)
        + (POST + UPGRADE + b"transfer-encoding: chunked\r\n\r\n" + chunks)
        + (LIVE + UPGRADE + b"\r\n")
        + post("last", more=CLOSE)
    )
    with door.connect() as connection:
        for at in range(0, len(sent), size):
            connection.sendall(sent[at : at + size])
        assert statuses(read_all(connection)) == [200, 200, 200, 200]
    assert door.stored() == {"length", "chunks", "last"}


def test_connections_are_kept(door):
    """Many requests go through one connection."""
    with door.connect() as connection:
        for number in range(20):
            connection.sendall(post(str(number)))
            assert statuses(connection.recv(65536)) == [200]
    assert len(door.stored()) == 20


QUICK = Bounds(
    handshake_seconds=1,
    head_seconds=1,
    body_seconds=1,
    body_pace=1_000_000,
    answer_seconds=0.5,
    linger_seconds=0.3,
    connections=5,
)


LATE = {
    "nothing": (b"", []),
    "line ends": (b"\r\n", []),
    "a word": (b"GE", [408]),
    "half a head": (LIVE, [408]),
    "a body that does not come": (POST + b"content-length: 100\r\n\r\n", [503]),
    "half a body": (POST + b"content-length: 100\r\n\r\n" + bytes(50), [503]),
    "half a chunk": (POST + b"transfer-encoding: chunked\r\n\r\n64\r\nabc", [503]),
    "a head behind an answer": (LIVE + b"\r\n" + LIVE, [200, 408]),
    "a body behind an answer": (LIVE + b"\r\n" + post("x")[:-5], [200, 503]),
}


def test_what_does_not_come_is_not_waited_for(make_door):
    """A head has its time, then 408; so has a body, which may come again, for it is a sender's."""
    door = make_door(bounds=QUICK._replace(connections=50))
    with ThreadPoolExecutor(len(LATE)) as threads:
        answers = [*threads.map(lambda case: door.exchange(case[0]), LATE.values())]
    assert {name: statuses(answer) for name, answer in zip(LATE, answers, strict=True)} == {
        name: expected for name, (_, expected) in LATE.items()
    }
    for answer in answers:
        assert (b" 503 " in answer) == (b"\r\nretry-after: 1\r\n" in answer)
    is_well(door)


def test_a_trickle_is_cut_off(make_door):
    """Bytes now and then do not put off the end of a head."""
    door = make_door(bounds=QUICK)
    with door.connect() as connection:
        connection.settimeout(0.05)
        connection.sendall(b"GET /")
        answer, until = b"", time.monotonic() + LIVENESS
        while not answer and time.monotonic() < until:
            connection.sendall(b"x")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert statuses(answer) == [408]


def test_a_body_that_keeps_its_pace_has_time(make_door):
    """The deadline of a body grows with what has come."""
    door = make_door(bounds=QUICK._replace(body_pace=100))
    body = payload_of(*map(str, range(20)))
    with door.connect() as connection:
        connection.sendall(POST + CLOSE + f"content-length: {len(body)}\r\n\r\n".encode())
        connection.sendall(body[:-1])
        connection.settimeout(2 * QUICK.body_seconds)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(LIVENESS)
        connection.sendall(body[-1:])
        assert statuses(read_all(connection)) == [200]


def test_an_answer_that_is_not_read_is_dropped(make_door):
    """Who sends and never reads is cut off; what was sent is no reason to keep anything."""
    door = make_door(bounds=QUICK._replace(pipelined=100_000))
    with door.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(1)
        until = time.monotonic() + LIVENESS
        with pytest.raises(ConnectionError):  # noqa: PT012 - the sending is what is cut off
            while time.monotonic() < until:
                try:
                    connection.sendall(b"GET /no HTTP/1.1\r\nhost: x\r\n\r\n" * 1000)
                except TimeoutError:
                    continue
    is_well(door)


def sender(door: Door, name: str, **more: bytes) -> socket.socket:
    """A connection on which a request was taken."""
    connection = door.connect()
    connection.sendall(post(name, **more))
    assert statuses(connection.recv(65536)) == [200]
    return connection


def test_strangers_make_room(make_door):
    """The oldest without a request that may be sent goes, whatever it did; the senders stay."""
    door = make_door(bounds=QUICK._replace(head_seconds=LIVENESS), token=TOKEN)
    shown = {"more": f"authorization: Bearer {TOKEN}\r\n".encode()}
    there = [sender(door, "a", **shown), sender(door, "b", **shown)]
    with door.connect() as silent, door.connect() as asking, door.connect() as begun:
        begun.sendall(LIVE)
        asking.sendall(LIVE + b"\r\n")
        assert statuses(asking.recv(65536)) == [200]
        there.append(sender(door, "c", **shown))
        assert statuses(read_all(silent)) == [503]
        there.append(sender(door, "d", **shown))
        assert statuses(read_all(asking)) == [503]
        there.append(sender(door, "e", **shown))
        assert statuses(read_all(begun)) == [503]
        for number, connection in enumerate(there):
            with connection:
                connection.sendall(post(f"{number}", more=shown["more"] + CLOSE))
                assert statuses(read_all(connection)) == [200]
    assert door.stored() == set("abcde01234")


def test_more_connections_than_there_may_be_are_told_so(make_door):
    """One too many is 503 with a time; there is room again when others end."""
    door = make_door(bounds=QUICK._replace(head_seconds=LIVENESS))
    held = [sender(door, f"{number}") for number in range(5)]
    answer = door.exchange(LIVE + CLOSE + b"\r\n")
    assert statuses(answer) == [503]
    assert b"retry-after: 1\r\n" in answer
    for connection in held:
        connection.close()
    wait_until(lambda: statuses(door.exchange(LIVE + CLOSE + b"\r\n")) == [200], "room again")


def test_a_refusal_arrives_though_the_body_goes_on(door):
    """An answer before the end of a body is not lost with the connection."""
    head = POST.replace(b"x-protobuf", b"xml") + b"content-length: 30000000\r\n\r\n"
    with door.connect() as connection:
        connection.sendall(head + bytes(30_000_000))
        assert statuses(read_all(connection)) == [415]
    is_well(door)


def test_all_of_it_holds_with_tls(make_door, tmp_path, caplog):
    """Encrypted, requests are taken, refusals arrive, and who is slow or gone is let go."""
    authority = Authority(tmp_path)
    authority.server(timedelta(days=1))
    (certificate,) = tmp_path.glob("server*.pem")
    door = make_door(bounds=QUICK, certificate=certificate)
    context = ssl.create_default_context(cafile=authority.file)
    refused = POST.replace(b"x-protobuf", b"xml") + b"content-length: 3000000\r\n\r\n"
    for sent, expected in (
        (post("a") + post("b", more=CLOSE), [200, 200]),
        (refused + bytes(3_000_000), [415]),
        (b"garbage\r\n\r\n", [400]),
        (LIVE, [408]),
        (post("c")[:-1], [503]),
    ):
        with context.wrap_socket(door.connect(), server_hostname="localhost") as connection:
            connection.sendall(sent)
            assert statuses(read_all(connection)) == expected
    with context.wrap_socket(door.connect(), server_hostname="localhost") as connection:
        connection.sendall(post("gone")[:-1])
    assert door.stored() == {"a", "b"}
    wait_until(lambda: door.memory.held == 0, "the budget back")
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio warns of what it leaves open")
def test_a_tls_handshake_has_its_time(make_door, tmp_path):
    """Who connects and does not come to speak is let go."""
    Authority(tmp_path).server(timedelta(days=1))
    (certificate,) = tmp_path.glob("server*.pem")
    door = make_door(bounds=QUICK, certificate=certificate)
    with door.connect() as silent, door.connect() as begun:
        begun.sendall(b"\x16\x03\x01\x02\x00\x01")
        silent.settimeout(LIVENESS / 2)  # without a bound of ours, twice as long
        assert (read_all(silent), read_all(begun)) == (b"", b"")


def test_what_others_do_wrong_is_not_logged(door, caplog):
    """Garbage writes no line: whoever can connect could fill the disk with them."""
    with caplog.at_level(logging.INFO):
        door.exchange(b"garbage\r\n\r\n")
        door.exchange(b"CONNECT example.com:443 HTTP/1.1\r\n\r\n")
        door.exchange(post("x", more=b"connection: upgrade, close\r\nupgrade: h2c\r\n"))
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
