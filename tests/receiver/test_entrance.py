"""The entrance keeps within its bound and goes on, whoever comes and whatever accepting does."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import ssl
import sys
import threading
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest

from faults.certificates import Authority
from receiver.door import read_all
from running import wait_until
from scorespan.receiver.bounds import Bounds
from scorespan.receiver.entrance import Entrance

LIVENESS = 60
PATIENT = Bounds(handshake_seconds=LIVENESS, connections=3)


class Echo(asyncio.Protocol):
    """Sends back what comes; `known` has shown that it may send."""

    def __init__(self, visit):
        self._visit = visit
        self.transport = None

    def connection_made(self, transport):
        """Begin."""
        self.transport = transport
        self._visit.leave = transport.abort
        if self._visit.is_one_too_many():
            transport.write(b"full")
            transport.close()

    def data_received(self, data):
        """Send it back."""
        if data == b"known":
            self._visit.known()
        self.transport.write(data)

    def connection_lost(self, exc):  # noqa: ARG002 - asyncio gives it
        """End."""
        self._visit.over()


class Exhausted(socket.socket):
    """A listener whose process has no descriptor left, some times."""

    fails = 0

    def accept(self):
        """Fail, or accept."""
        if self.fails:
            self.fails -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@contextmanager
def entrance(bounds=PATIENT, *, tls=None, fails=0):
    """An entrance in a thread of its own; yields its address."""
    with Exhausted() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.fails = fails
        loop, stop, served = asyncio.new_event_loop(), asyncio.Event(), []

        def welcome(visit):
            served.append(Echo(visit))
            return served[-1]

        async def serve():
            opened = Entrance(bounds, welcome, tls, pause=0.01)
            opened.open(listener)
            await stop.wait()
            opened.close()
            await opened.end()
            for one in served:
                if one.transport is not None:
                    one.transport.abort()
            for _ in range(3):  # turns of the loop, in which it closes what is lost
                await asyncio.sleep(0)

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(LIVENESS)
            loop.close()


def said(address, words=b"hello", *, hold=None):
    """What comes back for these words on a connection of its own."""
    connection = socket.create_connection(address, LIVENESS)
    if hold is not None:
        hold.enter_context(connection)
        connection.sendall(words)
        return connection.recv(100)
    with connection:
        connection.sendall(words)
        return connection.recv(100)


def test_where_accepting_fails_it_is_tried_again(caplog):
    """One line tells of it, however often; who waited is served."""
    with caplog.at_level(logging.INFO), entrance(fails=20) as address:
        assert said(address) == b"hello"
    assert [record.getMessage() for record in caplog.records] == [
        "connections cannot be accepted: Too many open files"
    ]


def test_a_newcomer_takes_the_place_of_the_oldest_stranger(caplog):
    """Those who have shown that they may send stay; one line tells of many that had to go."""
    with ExitStack() as hold, entrance() as address:
        known = hold.enter_context(socket.create_connection(address, LIVENESS))
        known.sendall(b"known")
        assert known.recv(100) == b"known"
        strangers = [
            hold.enter_context(socket.create_connection(address, LIVENESS)) for _ in range(10)
        ]
        for gone in strangers[:-2]:
            assert read_all(gone) == b""
        for there in (known, *strangers[-2:]):
            there.sendall(b"hello")
            assert there.recv(100) == b"hello"
    (record,) = caplog.records
    assert "3 connections" in record.getMessage()


def test_where_all_may_send_a_newcomer_is_one_too_many():
    """It is told so, and there is room again when one has gone."""
    with ExitStack() as hold, entrance() as address:
        for _ in range(3):
            assert said(address, b"known", hold=hold) == b"known"
        assert said(address, b"") == b"full"
        hold.close()
        wait_until(lambda: said(address) == b"hello", "room again")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio warns of what it leaves open")
@pytest.mark.parametrize("start", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_handshakes_count_and_go_first(tmp_path, start):
    """Silent connections, however many and patient, do not keep out who speaks TLS."""
    authority = Authority(tmp_path)
    authority.server(timedelta(days=1))
    (certificate,) = tmp_path.glob("server*.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    context = ssl.create_default_context(cafile=authority.file)
    with ExitStack() as hold, entrance(tls=tls) as address:
        silent = [
            hold.enter_context(socket.create_connection(address, LIVENESS)) for _ in range(20)
        ]
        for connection in silent[-3:]:
            connection.sendall(start)
        with context.wrap_socket(
            socket.create_connection(address, LIVENESS), server_hostname="localhost"
        ) as connection:
            connection.sendall(b"hello")
            assert connection.recv(100) == b"hello"
        for gone in silent[:18]:
            assert read_all(gone) == b""
