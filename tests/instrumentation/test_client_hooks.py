"""What the hooks of clients share: which calls are scorings, dependencies, or nothing."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import botocore.client
import httpx
import pytest
import requests
import requests.sessions
import starlette.applications
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from starlette.responses import Response
from starlette.routing import Route

import scorespan.instrumentation.botocore
import scorespan.instrumentation.httpx
import scorespan.instrumentation.requests
import scorespan.instrumentation.starlette
import scorespan.instrumentation.urllib
from engine import JSON, REQUEST, RESPONSE, Engine, Reply, engine
from instrumentation.test_botocore_hook import client_of, invoke
from scorespan import attributes
from scorespan.delivery.client import MartClient
from scorespan.instrumentation import client, gate, guard, switch, unread
from scorespan.instrumentation.body import KeptBody
from scorespan.instrumentation.call import Call
from scorespan.instrumentation.exchange import Exchange, running
from scorespan.instrumentation.sending import Sent
from scorespan.settings import Settings

AZURE = Settings().client_urls


@pytest.fixture
def served(capture, monkeypatch) -> Iterator[Engine]:
    """An engine whose address is allowed, and all hooks."""
    for owner, name in (
        (botocore.client.BaseClient, "_make_api_call"),
        (httpx.Client, "send"),
        (httpx.AsyncClient, "send"),
        (requests.sessions.Session, "send"),
        (urllib.request.OpenerDirector, "open"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    scorespan.instrumentation.botocore.instrument(botocore.client)
    scorespan.instrumentation.httpx.instrument(httpx)
    scorespan.instrumentation.requests.instrument(requests.sessions)
    scorespan.instrumentation.urllib.instrument(urllib.request)
    with engine() as served:
        capture(client_urls=served.address)
        yield served
    assert guard.counted == {}
    assert not unread._waiting


@contextmanager
def scoring() -> Iterator[Exchange]:
    """A scoring that runs in this context."""
    exchange = Exchange("test", Settings(), {})
    exchange.request.add(REQUEST)
    exchange.response.add(RESPONSE)
    outer = running.set(exchange)
    try:
        yield exchange
    finally:
        running.reset(outer)
        exchange.end()


def dependencies(recorded) -> tuple[Any, ...]:
    """How many calls the only scoring has counted, and how many had failed."""
    (span,) = recorded.spans()
    found = span.attributes
    assert found.get(attributes.DEPENDENCY_TIME, 0) >= 0
    return found.get(attributes.DEPENDENCY_COUNT), found.get(attributes.DEPENDENCY_FAILURES)


@pytest.mark.parametrize(
    "url",
    [
        "https://credit.westeurope.inference.ml.azure.com/score",
        "https://CREDIT.WestEurope.Inference.ML.Azure.com:443/score?x=1#y",
        "https://ussouthcentral.services.azureml.net/workspaces/1/services/2/execute?api-version=2.0",
        "http://1234.westus2.azurecontainer.io/score",
        "http://1234.westus2.azurecontainer.io:80/api/v1/service/credit/score",
        "http://key:secret@credit.westus2.cloudapp.azure.com/score",
    ],
)
def test_addresses_of_azure_are_allowed(url):
    """Endpoints and services of Azure ML are captured without a setting."""
    assert client.allowed(url, AZURE)


@pytest.mark.parametrize(
    "url",
    [
        "https://login.microsoftonline.com/tenant/oauth2/token",
        "https://management.azure.com/subscriptions/1/score",
        "http://1234.westus2.azurecontainer.io/health",
        "https://example.com/?to=a.inference.ml.azure.com/score",
        "https://a.inference.ml.azure.com@example.com/score",
        "ftp://a.inference.ml.azure.com/score",
        "/score",
        "",
    ],
)
def test_other_addresses_are_not(url):
    """Neither other hosts, nor what only looks like one of those."""
    assert not client.allowed(url, AZURE)


@given(st.text(max_size=60), st.lists(st.text(max_size=10), max_size=3))
def test_no_text_makes_the_comparison_fail(text, patterns):
    """Whatever an address or a pattern is, the answer is yes or no."""
    for url in (text, f"http://{text}"):
        assert client.allowed(url, tuple(patterns)) in {True, False}


def test_a_pattern_stands_for_the_whole_address():
    """What a pattern does not say in full it says with an asterisk."""
    assert client.allowed("http://host:8080/a", ("host:8080/a",))
    assert client.allowed("http://host:8080/a", ("host/a",))
    assert not client.allowed("http://host:8080/ab", ("host:8080/a",))
    assert client.allowed("http://host:8080/ab", ("host:8080/a*",))
    assert not client.allowed("http://host/a", ())


def test_every_client_counts_as_a_dependency(served, recorded):
    """Within a scoring no call is a record of its own, and each is counted, whatever it calls."""
    elsewhere = served.url + "/other"
    with scoring():
        requests.post(served.url, data=REQUEST, timeout=30)
        requests.get(elsewhere, timeout=30)
        httpx.post(served.url, content=REQUEST)
        urllib.request.urlopen(elsewhere, timeout=30).read()
        invoke(client_of(served))["Body"].read()
    assert len(served.requests) == 5
    assert dependencies(recorded) == (5, 0)


def test_what_fails_is_counted_as_failed(served, recorded):
    """An error status from 400 on, and an exception, are failures."""
    served.replies += [Reply(status=404), Reply(status=500), Reply(status=500), Reply(status=302)]
    with engine() as gone:
        pass
    with scoring():
        requests.get(served.url, timeout=30)
        httpx.get(served.url)
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(served.url, timeout=30)
        raised.value.close()
        requests.get(served.url, timeout=30)
        with pytest.raises(requests.ConnectionError):
            requests.get(gone.url, timeout=30)
        served.replies.append(Reply(status=400, body=b"{}"))
        with pytest.raises(botocore.client.ClientError):
            invoke(client_of(served))
    assert dependencies(recorded) == (6, 5)


def test_a_call_that_makes_others_is_one(served, recorded):
    """A redirect, and a client that is built on another one, count once."""
    served.replies.append(Reply(status=302, headers={"Location": "/elsewhere"}))

    def ask_first(request: httpx.Request) -> None:
        requests.get(served.url, timeout=30)

    with scoring():
        requests.get(served.url, timeout=30)
        with httpx.Client(event_hooks={"request": [ask_first]}) as built:
            built.get(served.url)
    assert len(served.requests) == 4
    assert dependencies(recorded) == (2, 0)


def test_tasks_inherit_the_scoring_and_threads_do_not(served, recorded):
    """What a task calls is counted; a pool's thread has no context, and its scoring is a record."""

    async def ask() -> None:
        async with httpx.AsyncClient() as api:
            tasks = [asyncio.create_task(api.get(served.url)) for _ in range(3)]
            await asyncio.gather(*tasks)

    with scoring(), ThreadPoolExecutor(1) as pool:
        asyncio.run(ask())
        pool.submit(requests.post, served.url, data=REQUEST, headers=JSON, timeout=30).result()
    of_pool, outer = recorded.spans()
    assert of_pool.attributes[attributes.HOOK] == "requests"
    assert outer.attributes[attributes.DEPENDENCY_COUNT] == 3


def test_after_the_scoring_its_context_counts_no_more(served, recorded):
    """A context that outlives its scoring begins records of its own."""
    with scoring() as ended:
        pass
    outer = running.set(ended)
    try:
        requests.post(served.url, data=REQUEST, headers=JSON, timeout=30)
    finally:
        running.reset(outer)
    assert len(recorded.spans()) == 2


def test_a_server_that_answers_within_the_call_makes_no_second_record(served, recorded):
    """Client and server in one process and context are one record."""

    def answer(request: httpx.Request) -> httpx.Response:
        within = running.get()
        assert within is not None
        assert within.hook == "httpx"
        return httpx.Response(200, content=RESPONSE)

    with httpx.Client(transport=httpx.MockTransport(answer)) as api:
        api.post(served.url, content=REQUEST, headers=JSON)
    assert running.get() is None
    assert len(recorded.spans()) == 1


def test_an_application_that_is_asked_in_the_same_task_makes_no_second_record(
    served, recorded, monkeypatch
):
    """Nor does one with a hook of its own, whose path scores."""
    owner = starlette.applications.Starlette
    monkeypatch.setattr(owner, "__call__", owner.__call__)
    scorespan.instrumentation.starlette.instrument(starlette.applications)

    async def score(request: Any) -> Response:
        return Response(await request.body(), media_type="application/json")

    app = owner(routes=[Route("/score", score, methods=["POST"])])

    async def ask() -> bytes:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as api:
            within = await api.post(served.url, content=REQUEST, headers=JSON)
            await api.post("http://elsewhere/score", content=REQUEST, headers=JSON)
            return within.content

    assert asyncio.run(ask()) == REQUEST
    hooks = [span.attributes[attributes.HOOK] for span in recorded.spans()]
    assert hooks == ["httpx", "starlette"]


def test_suppressed_traffic_is_not_seen(served, recorded):
    """What an exporter sends is neither a scoring nor a dependency."""
    token = context.attach(context.set_value("suppress_instrumentation", True))
    try:
        requests.post(served.url, data=REQUEST, timeout=30)
        with scoring():
            requests.post(served.url, data=REQUEST, timeout=30)
    finally:
        context.detach(token)
    assert dependencies(recorded) == (None, None)


def test_what_an_exporter_of_the_application_sends_is_not_seen(served, recorded, capture):
    """Its spans go out while a scoring runs, to an address that is allowed."""
    capture(client_urls="*")
    application = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=served.url)
    application.add_span_processor(SimpleSpanProcessor(exporter))
    with scoring(), application.get_tracer("application").start_as_current_span("step"):
        requests.get(served.url, timeout=30)
    assert [request.method for request in served.requests] == ["GET", "POST"]
    assert dependencies(recorded) == (1, 0)
    application.shutdown()


def test_what_is_no_http_is_no_dependency(served, recorded):
    """A text in the address itself goes nowhere."""
    with scoring():
        urllib.request.urlopen("data:,x").read()
    assert dependencies(recorded) == (None, None)


def test_our_own_delivery_is_not_seen(served, recorded, scripted_mart, capture):
    """Whatever is allowed, records on their way and the tokens for them are no scorings."""
    settings = capture(**scripted_mart.settings, client_urls="*")
    sender = MartClient(settings)
    with scoring():
        sender.post_records(b"[]", count=0)
    sender.close()
    assert scripted_mart.requests == 2
    requests.post(f"{scripted_mart.url}/v1/preauth/validateAuth", timeout=30)
    assert dependencies(recorded) == (None, None)
    requests.post(f"{served.url}", timeout=30)
    assert len(recorded.spans()) == 2


def test_what_only_begins_like_our_own_address_is_seen(served, recorded, capture):
    """A mart at port 80 does not hide an engine at port 8080."""
    mart = served.url.removesuffix("/score")
    capture(data_mart_url=mart[:-1], client_urls="*")
    requests.post(served.url, data=REQUEST, timeout=30)
    capture(data_mart_url=mart, client_urls="*")
    requests.post(served.url, data=REQUEST, timeout=30)
    assert len(recorded.spans()) == 1


def test_where_capture_is_off_nothing_is_seen(served, recorded):
    """The hooks stay in place, and do nothing."""
    switch.off()
    with scoring():
        requests.post(served.url, data=REQUEST, timeout=30)
    requests.post(served.url, data=REQUEST, timeout=30)
    assert dependencies(recorded) == (None, None)


def test_calls_to_elsewhere_make_no_provider(served):
    """The private provider is made for a scoring, not for a call that goes by."""
    made = []
    settings = Settings.load({"client_urls": served.address})
    switch.install(settings, lambda: made.append(1), lambda _seconds: None)
    requests.get(served.url, timeout=30)
    requests.post(served.url + "/other", data=REQUEST, timeout=30)
    assert made == []
    requests.post(served.url, data=REQUEST, timeout=30)
    assert made == [1]


def test_addresses_are_known_before_the_settings_are_checked(monkeypatch):
    """Until a call is a scoring, whether the other settings are right is not asked."""
    client._of_environment.cache_clear()
    monkeypatch.setenv("SCORESPAN_CLIENT_URLS", "host/score")
    monkeypatch.setenv("SCORESPAN_SPOOL_MAX_BYTES", "wrong")
    asked = []
    switch.ask_first(lambda: asked.append(1))
    try:
        assert client.begin("test", "POST", "http://host/other", {}) is None
        assert asked == []
        assert client.begin("test", "POST", "http://host/score", {}) is None
        assert asked == [1]
    finally:
        switch.off()
        client._of_environment.cache_clear()


def test_a_fault_of_ours_is_the_caller_s_least_worry(served):
    """Whatever a client hands over, the call goes out."""

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    assert client.begin("test", "POST", Odd(), {}) is None
    assert guard.counted == {"client": 1}
    guard.counted.clear()


def stream(url: str) -> bytes:
    """An answer that is read in steps, to a body that is a file."""
    with requests.post(url, io.BytesIO(REQUEST), headers=JSON, stream=True, timeout=30) as answer:
        return b"".join(answer.iter_content(7))


async def ask_async(url: str) -> bytes:
    """An answer that is read in a task."""
    async with httpx.AsyncClient() as api, api.stream("POST", url, content=REQUEST) as answer:
        return await answer.aread()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (KeptBody, "add"),
        (KeptBody, "__init__"),
        (Exchange, "__init__"),
        (Exchange, "answered"),
        (Exchange, "stop"),
        (Exchange, "set"),
        (Exchange, "end"),
        (Call, "_take"),
        (Sent, "__init__"),
    ],
)
def test_whatever_fails_in_ours_every_caller_gets_its_answer(served, monkeypatch, owner, name):
    """An error in any part of capture is counted, and changes no call."""

    def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(owner, name, broken)
    assert requests.post(served.url, REQUEST, timeout=30).content == RESPONSE
    assert stream(served.url) == RESPONSE
    assert httpx.post(served.url, content=REQUEST).content == RESPONSE
    assert asyncio.run(ask_async(served.url)) == RESPONSE
    with urllib.request.urlopen(served.url, io.BytesIO(REQUEST), 30) as answer:
        assert answer.read() == RESPONSE
    api = client_of(served)
    assert invoke(api, io.BytesIO(REQUEST), InferenceId="i")["Body"].read() == RESPONSE
    del answer, api
    gc.collect()  # what is dropped in this test
    assert sum(guard.counted.values()) > 0
    guard.counted.clear()
    unread._waiting.clear()


def test_a_forked_child_records_nothing_of_its_parent(served, recorded):
    """An answer that is open at a fork is the parent's to record."""
    answer = requests.post(served.url, data=REQUEST, headers=JSON, stream=True, timeout=30)
    dropped = requests.post(served.url, data=REQUEST, stream=True, timeout=30)
    del dropped
    gc.collect()
    assert len(unread._waiting) == 1
    child = os.fork()
    if child == 0:
        found = 1
        try:
            answer.close()
            unread.end_all()
            found = len(recorded.spans())
        finally:
            os._exit(found)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert answer.content == RESPONSE
    assert len(recorded.spans()) == 2


def test_an_answer_that_is_closed_within_the_spool_waits(served, recorded):
    """A collector may run anywhere, and close what it finds: the record is put by another call."""
    answer = requests.post(served.url, data=REQUEST, headers=JSON, stream=True, timeout=30)
    spool = {"__name__": "scorespan.spool.writer"}
    exec("def write(collect): collect()", spool)
    spool["write"](answer.close)
    assert recorded.spans() == []
    requests.post(served.url, data=REQUEST, headers=JSON, timeout=30)
    assert len(recorded.spans()) == 2


def test_what_is_open_at_exit_is_recorded_then(served, recorded):
    """Nobody reads it any more, and the record says so."""
    answer = requests.post(served.url, data=REQUEST, headers=JSON, stream=True, timeout=30)
    unread.end_all()
    (span,) = recorded.spans()
    assert span.attributes[attributes.NOTES]
    assert answer.content == RESPONSE


def test_an_answer_that_is_left_open_holds_up_no_end(served):
    """The end of a process waits for what it answers itself, and for nobody to read."""
    before = len(gate.answering)
    answer = requests.post(served.url, data=REQUEST, headers=JSON, stream=True, timeout=30)
    assert len(gate.answering) == before
    assert answer.content == RESPONSE


def test_many_threads_share_a_session(served, recorded):
    """Each call is a record of its own, whichever thread makes it."""
    with requests.Session() as session:

        def ask() -> None:
            for _ in range(5):
                session.post(served.url, data=REQUEST, headers=JSON, timeout=30)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(recorded.spans()) == 20
