"""What each setting of `agent.yaml` is for: without it scorings are lost, with it none is."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from collector.backend import Backend
from collector.real import AGENT, TOKEN, RealCollector, running_collector
from collector.sending import RESPONSE, post, request_of, scoring, scorings, span
from collector.variants import variant
from faults.disks import installed
from running import wait_until

MIB = 1 << 20
QUICK = ("max_interval: 15s", "max_interval: 1s")
"""So that a test need not wait for the longest pause between two attempts."""
WAITING = "otelcol_exporter_queue_size"
DROPPED = "otelcol_exporter_send_failed_spans"


@pytest.fixture
def backend() -> Backend:
    """What stands in the receiver's place; not up."""
    return Backend()


def arrived(backend: Backend, names: set[str]) -> None:
    """Return when all of them are at the backend."""
    wait_until(lambda: backend.names >= names, "every scoring at the receiver")


def start(
    stack: ExitStack, folder: Path, backend: Backend, *edits: tuple[str, str]
) -> RealCollector:
    """A Collector under `agent.yaml` but for the edits."""
    folder.mkdir()
    config = variant(AGENT, folder, *edits)
    return stack.enter_context(running_collector(folder, config=config, RECEIVER_URL=backend.url))


def test_scorings_arrive_whole_and_nothing_else_does(backend: Backend, tmp_path: Path):
    """Every span with one of the three attributes is kept as it is; the rest is let go."""
    kept = [
        scoring("whole"),
        span("without response", scoring_request="{}"),
        span("without request", scoring_response=RESPONSE),
        span("id alone", scoring_id="4711"),
    ]
    with backend.up(), running_collector(tmp_path, RECEIVER_URL=backend.url) as agent:
        assert post(agent.http_url, [span("other"), *kept, span("GET /", http_route="/")]) == 200
        assert post(agent.http_url, [span("another")]) == 200
        arrived(backend, {one.name for one in kept})
    assert sorted(backend.spans, key=str) == sorted(kept, key=str)
    assert backend.tokens == {f"Bearer {TOKEN}"}


def test_what_waits_outlives_the_collector(backend: Backend, tmp_path: Path):
    """Killed while the receiver is away: a queue on disk keeps all, one in memory nothing."""
    kept, lost, late = scorings("kept", 20), scorings("lost", 20), scoring("late")
    in_memory = ("      storage: file_storage/scorings\n", "")
    with ExitStack() as stack:
        agent = start(stack, tmp_path / "agent", backend, QUICK)
        forgetful = start(stack, tmp_path / "forgetful", backend, QUICK, in_memory)
        for one, spans in ((agent, kept), (forgetful, lost)):
            assert post(one.http_url, spans) == 200
            one.kill()
            one.start()
        stack.enter_context(backend.up())
        assert post(forgetful.http_url, [late]) == 200
        arrived(backend, {one.name for one in [*kept, late]})
    assert backend.names.isdisjoint(one.name for one in lost)


def test_little_is_in_flight(backend: Backend, tmp_path: Path):
    """What a Collector that starts takes off its disk before it puts it back is a few requests.

    Whoever kills it in that moment has lost them; in a variant that gathers requests they are many.
    """
    gathering = ("min_size: 0", f"min_size: {MIB}")
    with ExitStack() as stack:
        agent = start(stack, tmp_path / "agent", backend, QUICK)
        other = start(stack, tmp_path / "other", backend, QUICK, gathering)
        for one in scorings("waiting", 40):
            assert {post(agent.http_url, [one]), post(other.http_url, [one])} == {200}
        wait_until(lambda: _taken_off_by_a_start(other) > 10, "many requests in flight")
        assert _taken_off_by_a_start(agent) <= 5


def _taken_off_by_a_start(one: RealCollector) -> int:
    """How many requests a Collector finds in flight when it starts after a kill."""
    one.kill()
    one.start()
    return int(re.findall(r'"dispatchedItems": (\d+)', one.said.read_text())[-1])


def test_what_waits_outlives_an_upgrade(backend: Backend, tmp_path: Path):
    """Ended by SIGTERM while the receiver is away: the queue on disk keeps all."""
    sent = scorings("waiting", 20)
    with ExitStack() as stack:
        agent = start(stack, tmp_path / "agent", backend, QUICK)
        assert post(agent.http_url, sent) == 200
        agent.terminate()
        agent.start()
        stack.enter_context(backend.up())
        arrived(backend, {one.name for one in sent})


def test_an_outage_may_be_longer_than_a_give_up_time(backend: Backend, tmp_path: Path):
    """A receiver is away longer than `max_elapsed_time`: spans are dropped, unless it is 0.

    The variant's time is the default's five minutes made two seconds.
    """
    sent = scorings("early", 20)
    gives_up = ("max_elapsed_time: 0s", "max_elapsed_time: 2s")
    with ExitStack() as stack:
        agent = start(stack, tmp_path / "agent", backend, QUICK)
        hasty = start(stack, tmp_path / "hasty", backend, QUICK, gives_up)
        assert post(agent.http_url, sent) == 200
        assert post(hasty.http_url, scorings("dropped", 20)) == 200
        wait_until(lambda: hasty.metric(DROPPED) == 20, "spans that are dropped")
        stack.enter_context(backend.up())
        assert post(hasty.http_url, scorings("late", 20)) == 200
        arrived(backend, {one.name for one in [*sent, *scorings("late", 20)]})
        assert agent.metric(DROPPED) == 0
    assert not any(name.startswith("dropped") for name in backend.names)


def test_a_full_queue_makes_the_sender_wait(backend: Backend, tmp_path: Path):
    """A sender that tries once loses nothing to a queue that blocks; the other answers it 503.

    The queue is made small: it holds three of these requests.
    """
    small = ("queue_size: 1073741824", f"queue_size: {4 * MIB}")
    refusing = ("block_on_overflow: true", "block_on_overflow: false")
    sent = [scoring(f"large {number}", size=MIB) for number in range(8)]
    with ExitStack() as stack:
        agent = start(stack, tmp_path / "agent", backend, QUICK, small)
        other = start(stack, tmp_path / "other", backend, QUICK, small, refusing)
        answers = [post(other.http_url, [one]) for one in sent]
        assert answers == [200] * 3 + [503] * 5
        with ThreadPoolExecutor(len(sent)) as threads:
            waiting = [threads.submit(post, agent.http_url, [one]) for one in sent]
            wait_until(lambda: sum(one.done() for one in waiting) >= 3, "a queue that is full")
            assert sum(one.done() for one in waiting) == 3
            stack.enter_context(backend.up())
            assert [one.result() for one in waiting] == [200] * 8
        arrived(backend, {one.name for one in sent})


def test_a_large_scoring_comes_in_and_goes_out(backend: Backend, tmp_path: Path):
    """5 MiB over gRPC and 21 MiB over HTTP: refused by the default limits, delivered by these."""
    by_default = (
        ("        max_recv_msg_size_mib: 48\n", ""),
        ("        max_request_body_size: 50331648\n", ""),
    )
    by_grpc, by_http = scoring("gRPC", size=5 * MIB), scoring("HTTP", size=21 * MIB)
    with ExitStack() as stack:
        stack.enter_context(backend.up())
        agent = start(stack, tmp_path / "agent", backend)
        narrow = start(stack, tmp_path / "narrow", backend, *by_default)
        assert post(narrow.http_url, [by_http]) == 400
        with grpc.insecure_channel(narrow.grpc_endpoint) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                TraceServiceStub(channel).Export(request_of([by_grpc]))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert post(agent.http_url, [by_http]) == 200
        with grpc.insecure_channel(agent.grpc_endpoint) as channel:
            TraceServiceStub(channel).Export(request_of([by_grpc]))
        arrived(backend, {"gRPC", "HTTP"})


def test_a_span_larger_than_a_batch_would_be_dropped(backend: Backend, tmp_path: Path):
    """A span above `max_size` is dropped, so that stands above all that can come in."""
    narrow = ("max_size: 58720256", f"max_size: {MIB}")
    with ExitStack() as stack:
        stack.enter_context(backend.up())
        agent = start(stack, tmp_path / "agent", backend)
        other = start(stack, tmp_path / "other", backend, narrow)
        assert post(other.http_url, [scoring("dropped", size=2 * MIB)]) == 200
        wait_until(lambda: "dropping items: 1" in other.said.read_text(), "a span that is dropped")
        largest = scoring("largest", size=47 * MIB)
        assert post(agent.http_url, [largest]) == 200
        arrived(backend, {"largest"})
    assert backend.names == {"largest"}


def test_a_queue_must_be_full_before_its_file_is(backend: Backend, tmp_path: Path):
    """A file that cannot grow loses what waits in it, so the queue stops well below: at an eighth.

    The file may grow to 8 MiB here; in the variant the queue may still hold 1 GiB. What is lost is
    what a Collector that is started again has no room to take back.
    """
    narrow = ("max_size: 8589934592", f"max_size: {8 * MIB}")
    an_eighth = ("queue_size: 1073741824", f"queue_size: {MIB}")
    kept = [scoring(f"kept {number}", size=20_000) for number in range(50)]
    taken = set()
    with ExitStack() as stack:
        agent = start(stack, tmp_path / "agent", backend, QUICK, narrow, an_eighth)
        other = start(stack, tmp_path / "other", backend, QUICK, narrow)
        assert {post(agent.http_url, [one]) for one in kept} == {200}
        for number in range(1000):
            one = scoring(f"taken {number}", size=20_000)
            if post(other.http_url, [one]) != 200:
                break
            taken.add(one.name)
        for restarted in (agent, other):
            restarted.kill()
            restarted.start()
        stack.enter_context(backend.up())
        arrived(backend, {one.name for one in kept})
        wait_until(lambda: other.metric(WAITING) == 0, "an empty queue")
    assert 100 < len(taken) < 1000
    assert taken - backend.names


def test_a_wrong_token_drops_what_is_sent(backend: Backend, tmp_path: Path):
    """What is answered 401 is gone and counted; so a token cannot be left out of `agent.yaml`."""
    backend.status = 401
    with backend.up(), running_collector(tmp_path, RECEIVER_URL=backend.url) as agent:
        assert post(agent.http_url, scorings("dropped", 5)) == 200
        wait_until(lambda: agent.metric(DROPPED) == 5, "spans that are dropped")
        backend.status = 200
        assert post(agent.http_url, [scoring("late")]) == 200
        arrived(backend, {"late"})
    assert backend.names == {"late"}


def test_yes_means_on_disk(backend: Backend, tmp_path: Path):
    """Before the agent answers, it syncs; without `fsync` it never does."""
    unsynced = ("    fsync: true", "    fsync: false")
    with ExitStack() as stack:
        synced = {}
        for name, edits in {"agent": (), "other": (unsynced,)}.items():
            one = start(stack, tmp_path / name, backend, *edits)
            synced[name] = _syncs_of_a_post(one, tmp_path / f"{name}.strace")
    assert synced["agent"] > 0
    assert synced["other"] == 0


def _syncs_of_a_post(one: RealCollector, trace: Path) -> int:
    """How many times a Collector has synced by the time it answers a request."""
    watching = [installed("strace"), "-f", "-e", "trace=fdatasync,fsync", "-o", trace]
    with subprocess.Popen(
        [*watching, "-p", str(one.pid)], stderr=subprocess.PIPE, text=True
    ) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        assert post(one.http_url, [scoring("synced")]) == 200
        strace.terminate()
    return len(re.findall(r"f(?:data)?sync\(", trace.read_text()))
