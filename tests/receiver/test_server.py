"""The server: what it has answered is stored, however it ends, and it ends in time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import grpc
import pytest
import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from collector.hop import free_port
from examples.live import live_mart
from receiver.receiver_process import (
    COMMAND,
    Senders,
    body_of,
    certain_ports,
    children_of,
    receiver_process,
)
from running import run, wait_until

REQUEST = '{"fields":["age","name"],"values":[[41,"Łucja"]]}'
RESPONSE = '{"fields":["prediction"],"values":[["Risk"]]}'


@pytest.fixture
def live(tmp_path):
    """A running mart with one subscription."""
    with live_mart(tmp_path) as mart:
        yield mart


def stored(live, accepted):
    """Wait until all that was accepted is stored; nothing is twice."""
    wait_until(lambda: set(accepted) <= set(live.ids()), "all that was accepted is stored")
    assert len(live.ids()) == len(set(live.ids()))


def test_spans_of_the_exporter_become_records(live):
    """What OpenTelemetry's own exporter sends is a record with the same bytes; others are none."""
    with receiver_process(live.environment()) as receiver:
        exporter = OTLPSpanExporter(f"{receiver.url}/v1/traces")
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracer = provider.get_tracer("a service")
        with tracer.start_as_current_span("a request"):
            tracer.start_span(
                "scoring", attributes={"scoring.request": REQUEST, "scoring.response": RESPONSE}
            ).end()
        provider.shutdown()
        wait_until(lambda: live.ids() != [], "the record is stored")
        (record,) = live.records()
        assert record.request_text.decode() == REQUEST
        assert record.response_text.decode() == RESPONSE
        said = receiver.end()
    assert all(" INFO " in line for line in said.splitlines()), said


def test_what_was_answered_survives_a_kill(live):
    """Killed under load and started again at the same ports, it delivers all it said yes to."""
    environment, ports = live.environment(), certain_ports()
    with receiver_process(environment, *ports) as receiver, Senders(receiver) as senders:
        senders.wait_for(100)
        receiver.process.kill()
        receiver.process.wait()
        with receiver_process(environment, *ports) as other:
            senders.wait_for(len(senders.accepted) + 20)
            stored(live, list(senders.accepted))
            assert other.url == receiver.url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_under_load(live, number):
    """Every yes is stored before the end; who comes late is told to come again, elsewhere."""
    with receiver_process(live.environment()) as receiver, Senders(receiver) as senders:
        senders.wait_for(100)
        receiver.end(number)
        ids = live.ids()
    assert set(senders.accepted) <= set(ids)
    assert len(ids) == len(set(ids))
    for answer in senders.answers:
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_told_to_stop_while_calls_come(live, workers):
    """Over gRPC each OK is stored before the end, and no other answer but UNAVAILABLE is given."""
    accepted, codes = [], {grpc.StatusCode.OK}
    with (
        receiver_process(live.environment(), "--workers", workers) as receiver,
        grpc.insecure_channel(receiver.grpc) as channel,
    ):
        export = TraceServiceStub(channel).Export
        while codes == {grpc.StatusCode.OK}:
            if len(accepted) == 50:
                receiver.process.terminate()
            request = ExportTraceServiceRequest.FromString(body_of(f"{len(accepted)}"))
            try:
                export(request, timeout=60)
            except grpc.RpcError as error:
                codes.add(error.code())
            else:
                accepted.append(f"{len(accepted)}")
        receiver.ended()
    assert codes == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert len(accepted) >= 50
    assert set(accepted) <= set(live.ids())


def test_an_open_connection_is_told_to_leave(live):
    """A sender on a kept connection is answered with 503, and the connection is closed after it."""
    with receiver_process(live.environment()) as receiver, requests.Session() as session:
        answer = receiver.post("first", session=session)
        assert answer.status_code == 200
        assert "Connection" not in answer.headers
        receiver.process.terminate()
        while answer.status_code == 200:
            answer = receiver.post("other", session=session)
        assert answer.status_code == 503
        assert answer.headers["Connection"] == "close"
        assert int(answer.headers["Retry-After"]) > 0
        receiver.ended()


def test_told_to_stop_while_the_mart_is_down(tmp_path):
    """It ends in time, and what it has is delivered by the next one."""
    port = free_port()
    with live_mart(tmp_path, port=port) as live:
        environment = {**live.environment(), "SCORESPAN_SHUTDOWN_SECONDS": "0.5"}
    with receiver_process(environment) as receiver:
        assert receiver.post("a", "b").status_code == 200
        receiver.end()
    with live_mart(tmp_path, port=port) as live, receiver_process(environment) as receiver:
        stored(live, ["a", "b"])


def test_a_second_signal_ends_it_at_once(tmp_path):
    """Whoever cannot wait need not: all is on disk anyway."""
    port = free_port()
    with live_mart(tmp_path, port=port) as live:
        environment = {**live.environment(), "SCORESPAN_SHUTDOWN_SECONDS": "3600"}
    with receiver_process(environment) as receiver:
        assert receiver.post("a").status_code == 200
        receiver.process.terminate()
        assert "stopping" in receiver.process.stderr.readline()
        receiver.process.terminate()
        assert receiver.process.wait(60) == 128 + signal.SIGTERM
    with live_mart(tmp_path, port=port) as live, receiver_process(environment) as receiver:
        stored(live, ["a"])


def test_nobody_holds_up_the_end(tmp_path):
    """A client in the middle of a body and a mart that is down: it ends by itself, with 0."""
    with live_mart(tmp_path) as live:
        environment = {**live.environment(), "SCORESPAN_SHUTDOWN_SECONDS": "1"}
    with receiver_process(environment) as receiver, receiver.connect() as slow:
        assert receiver.post("a").status_code == 200
        slow.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        began = time.monotonic()
        receiver.end()
        assert time.monotonic() - began < 60


def test_ready_until_told_to_stop(live):
    """`/readyz` and `/healthz` answer 200 from the moment it says where it listens."""
    with receiver_process(live.environment()) as receiver:
        for path in ("readyz", "healthz"):
            assert requests.get(f"{receiver.url}/{path}", timeout=60).status_code == 200


def test_both_doors_or_one(live):
    """With gRPC there are two addresses that take connections, without it one."""
    with receiver_process(live.environment()) as receiver:
        host, _, port = receiver.grpc.rpartition(":")
        socket.create_connection((host, int(port)), timeout=60).close()
    with receiver_process(live.environment(), "--no-grpc") as receiver:
        assert receiver.grpc is None
        assert receiver.post("a").status_code == 200


def test_its_spool_looks_as_any_other(live):
    """`scorespan spool status` shows the receiver's directory and what it has counted."""
    environment = live.environment()
    with receiver_process(environment) as receiver:
        assert receiver.post("a", "b", "c").status_code == 200
        stored(live, ["a", "b", "c"])
        command = [sys.executable, "-m", "scorespan.cli", "spool", "status", "--json"]

        def directories():
            return json.loads(run(command, environment).stdout)["directories"]

        wait_until(lambda: directories()[0]["status"] is not None, "its status is written")
        (directory,) = directories()
        assert directory["alive"] is True
        assert f"w-{receiver.process.pid}-" in directory["name"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_alone_in_a_container(live, workers):
    """As process 1 with nothing to write to but its spool: it serves, takes orphans away, stops."""
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs the right to make name spaces")
    spool = live.spool
    spool.mkdir(mode=0o700)
    inside = (
        f"mount --bind {spool} {spool} && mount -o remount,bind,ro / && "
        f'exec {" ".join(COMMAND)} "$@"'
    )
    command = [*unshare, "sh", "-c", inside, "receive"]
    with receiver_process(live.environment(), "--workers", workers, command=command) as receiver:
        assert receiver.post("a").status_code == 200
        (first,) = receiver.workers
        ours = children_of(first)
        enter = ["nsenter", "--target", str(first), "--pid", "--mount"]
        run([*enter, "sh", "-c", "sleep 0.1 >&- 2>&- & exit 0"], live.environment())
        wait_until(lambda: children_of(first) == ours, "no dead process is left")
        os.kill(first, signal.SIGTERM)
        receiver.ended()
    assert live.ids() == ["a"]
