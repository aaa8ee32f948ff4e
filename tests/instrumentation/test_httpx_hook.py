"""Calls through `httpx` and `httpx2`: what becomes a record, and that the caller sees the same."""

from __future__ import annotations

import asyncio
import gc
import gzip
import importlib
import itertools
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scorespan.instrumentation.httpx as hook
from engine import JSON, REQUEST, RESPONSE, Engine, Reply, engine
from scorespan import attributes
from scorespan.instrumentation import guard, unread

MODULES = ["httpx"] if sys.version_info < (3, 11) else ["httpx", "httpx2"]


class Served(NamedTuple):
    """An engine whose address is allowed, and the module that has the hook."""

    engine: Engine
    module: ModuleType

    def post(self, **options: Any) -> Any:
        """One call."""
        with self.module.Client(timeout=30) as client:
            return client.post(self.engine.url, **{"headers": JSON, **options})


@pytest.fixture(params=MODULES)
def served(request, capture, monkeypatch) -> Iterator[Served]:
    """An engine whose address is allowed, and the hook."""
    module = importlib.import_module(request.param)
    for kind in (module.Client, module.AsyncClient):
        monkeypatch.setattr(kind, "send", kind.send)
    hook.instrument(module)
    with engine() as running:
        capture(client_urls=running.address + "*")
        yield Served(running, module)
    assert guard.counted == {}
    assert not unread._waiting


def only(recorded) -> dict[str, Any]:
    """The attributes of the only scoring."""
    (span,) = recorded.spans()
    return dict(span.attributes)


def holds_both(found: dict[str, Any]) -> bool:
    """Whether request and answer are on the span as they were."""
    bodies = found[attributes.REQUEST].encode(), found[attributes.RESPONSE].encode()
    return bodies == (REQUEST, RESPONSE)


def test_a_call_of_an_allowed_address_is_a_scoring(served, recorded):
    """Request, answer, ids and status of a plain POST stand on the span."""
    headers = {**JSON, "azureml-model-deployment": "blue"}
    answer = served.post(content=REQUEST, headers=headers)
    assert answer.content == RESPONSE
    assert answer.elapsed.total_seconds() > 0
    found = only(recorded)
    assert holds_both(found)
    assert found[attributes.DEPLOYMENT_ID] == "blue"
    assert found[attributes.HTTP_STATUS] == 200
    assert found[attributes.HOOK] == "httpx"
    assert attributes.NOTES not in found


def test_other_calls_are_none(served, recorded):
    """What is no POST, or goes elsewhere, passes by."""
    served.module.get(served.engine.url)
    served.module.post(served.engine.url.replace("/score", "/other"), content=b"x")
    assert len(served.engine.requests) == 2
    assert recorded.spans() == []


def test_a_call_of_the_async_client_is_a_scoring(served, recorded):
    """Tasks see no difference, whole answers and streamed ones."""
    ended: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        yield REQUEST[:4]
        yield REQUEST[4:]

    async def calls() -> None:
        async with served.module.AsyncClient(timeout=30) as client:
            answer = await client.post(served.engine.url, content=REQUEST, headers=JSON)
            assert answer.content == RESPONSE
            async with client.stream(
                "POST", served.engine.url, content=body(), headers=JSON
            ) as streamed:
                ended.append(len(recorded.spans()))
                assert b"".join([part async for part in streamed.aiter_bytes()]) == RESPONSE

    asyncio.run(calls())
    assert ended == [1]
    whole, streamed = recorded.spans()
    assert holds_both(whole.attributes)
    assert holds_both(streamed.attributes)
    assert attributes.NOTES not in streamed.attributes


def test_a_task_that_is_cancelled_is_a_failed_scoring(served, recorded):
    """A caller that waits no longer leaves a failed scoring of that type."""
    never = threading.Event()
    served.engine.replies.append(Reply(parts=(b"{", b"}"), wait=never))

    async def call() -> None:
        async with served.module.AsyncClient(timeout=30) as client:
            await asyncio.wait_for(client.post(served.engine.url, content=REQUEST), 0.2)

    try:
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(call())
    finally:
        never.set()
    (span,) = recorded.spans()
    assert "CancelledError" in span.events[0].attributes["exception.type"]


def test_a_generator_is_seen_as_it_is_sent(served, recorded):
    """A body that is made while it is sent runs once, and the request keeps it."""
    with served.module.Client(timeout=30) as client:
        request = client.build_request(
            "POST", served.engine.url, content=iter([REQUEST[:9], REQUEST[9:]]), headers=JSON
        )
        stream = request.stream
        assert client.send(request).content == RESPONSE
    assert request.stream is stream
    assert served.engine.requests[0].body == REQUEST
    assert holds_both(only(recorded))


def test_a_stream_for_the_other_client_is_refused_as_before(served, recorded):
    """The stand-in of a stream is of the same kind: what did not go with a client does not."""

    async def body() -> AsyncIterator[bytes]:
        yield REQUEST

    with pytest.raises(RuntimeError, match="async request"):
        served.post(content=body())
    (span,) = recorded.spans()
    assert not span.status.is_ok


def test_a_redirect_is_one_record(served, recorded):
    """A call that is sent on is one record with the last answer, its body kept once."""
    served.engine.replies.append(Reply(status=307, headers={"Location": "/score?again"}))
    files = {"file": ("name", b"content")}
    assert served.post(files=files, headers={}, follow_redirects=True).status_code == 200
    first, second = served.engine.requests
    assert first.body == second.body
    found = only(recorded)
    assert found[attributes.HTTP_STATUS] == 200
    assert attributes.REQUEST_SIZE not in found


def test_an_error_status_is_a_failed_scoring(served, recorded):
    """500 makes it a failed one, with what the engine has said."""
    served.engine.replies.append(Reply(status=500, body=b'{"error": "no model"}'))
    assert served.post(content=REQUEST).status_code == 500
    (span,) = recorded.spans()
    assert not span.status.is_ok
    assert span.attributes[attributes.RESPONSE] == '{"error": "no model"}'


def test_a_timeout_is_a_failed_scoring(served, recorded):
    """An answer that does not come in time is a failed scoring of that type, raised as before."""
    never = threading.Event()
    served.engine.replies.append(Reply(parts=(b"{", b"}"), wait=never))
    try:
        with pytest.raises(served.module.ReadTimeout):
            served.post(content=REQUEST, timeout=0.2)
    finally:
        never.set()
    (span,) = recorded.spans()
    kind = span.events[0].attributes["exception.type"]
    assert kind == f"{served.module.__name__}.ReadTimeout"


def test_a_streamed_answer_is_left_to_its_reader(served, recorded):
    """Parts come when they are sent; the record is there once the last one was read."""
    last = threading.Event()
    served.engine.replies.append(Reply(parts=(RESPONSE[:5], RESPONSE[5:]), wait=last))
    with (
        served.module.Client(timeout=30) as client,
        client.stream("POST", served.engine.url, content=REQUEST, headers=JSON) as answer,
    ):
        parts = answer.iter_bytes()
        assert next(parts) == RESPONSE[:5]
        assert recorded.spans() == []
        last.set()
        assert b"".join(parts) == RESPONSE[5:]
        assert holds_both(only(recorded))


def test_a_compressed_answer_is_kept_as_it_was_read(served, recorded):
    """What was read whole is text on the span; a stream's bytes have the coding that they had."""
    packed = gzip.compress(RESPONSE)
    for _ in range(2):
        served.engine.replies.append(Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    assert served.post(content=REQUEST).content == RESPONSE
    with (
        served.module.Client(timeout=30) as client,
        client.stream("POST", served.engine.url, content=REQUEST, headers=JSON) as answer,
    ):
        assert answer.read() == RESPONSE
    whole, streamed = (span.attributes for span in recorded.spans())
    assert holds_both(whole)
    assert attributes.RESPONSE_ENCODING not in whole
    assert streamed[attributes.RESPONSE_ENCODING] == "gzip,base64"
    assert attributes.NOTES not in streamed


def test_an_answer_that_is_closed_early_says_so(served, recorded):
    """What was not read is not there, and a note tells."""
    served.engine.replies.append(Reply(parts=(RESPONSE[:5], RESPONSE[5:])))
    with (
        served.module.Client(timeout=30) as client,
        client.stream("POST", served.engine.url, content=REQUEST, headers=JSON) as answer,
    ):
        next(answer.iter_raw(2))
    assert only(recorded)[attributes.NOTES] == ("response: its caller did not read it to the end",)


def test_an_answer_that_nobody_reads_is_recorded_with_the_next_call(served, recorded):
    """A dropped response ends with the call after it."""
    with served.module.Client(timeout=30) as client:
        request = client.build_request("POST", served.engine.url, content=REQUEST)
        client.send(request, stream=True)
        gc.collect()
        client.post(served.engine.url, content=REQUEST, headers=JSON)
    dropped, read = (span.attributes for span in recorded.spans())
    assert dropped[attributes.RESPONSE] == ""
    assert dropped[attributes.NOTES]
    assert holds_both(read)


def test_an_answer_that_breaks_off_is_a_failed_scoring(served, recorded):
    """Where the connection ends in the middle the caller sees it, and so does the record."""
    served.engine.replies.append(Reply(cut=5))
    with (
        served.module.Client(timeout=30) as client,
        client.stream("POST", served.engine.url, content=REQUEST, headers=JSON) as answer,
        pytest.raises(served.module.RemoteProtocolError),
    ):
        answer.read()
    (span,) = recorded.spans()
    assert "RemoteProtocolError" in span.events[0].attributes["exception.type"]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.integers(1, 200), max_size=5, unique=True),
    step=st.sampled_from([1, 11, 1000, None]),
)
def test_however_it_is_read_the_bytes_are_the_same(served, recorded, cuts, step):
    """Sent in any parts, read in any steps, an answer gives reader and record the same bytes."""
    body = b"a line of text " * 20
    places = [0, *sorted(cuts), len(body)]
    parts = tuple(body[start:end] for start, end in itertools.pairwise(places))
    served.engine.replies.append(Reply(parts=parts, headers={"Content-Type": "text/plain"}))
    recorded.exporter.clear()
    with (
        served.module.Client(timeout=30) as client,
        client.stream("POST", served.engine.url, content=REQUEST, headers=JSON) as answer,
    ):
        assert b"".join(answer.iter_bytes(step)) == body
    assert only(recorded)[attributes.RESPONSE].encode() == body
