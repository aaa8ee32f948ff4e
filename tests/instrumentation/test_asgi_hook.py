"""An ASGI call that a hook sees: messages, failures, and what stays as it was."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import time

import pytest

from instrumentation.calls import ask_asgi, asking, scope
from scorespan import attributes
from scorespan.instrumentation import asgi, switch
from scorespan.instrumentation.exchange import running
from scorespan.settings import Settings

REQUEST = b'{"fields": ["a"], "values": [[1]]}'
RESPONSE = b'{"fields": ["b"], "values": [[2]]}'
JSON = (b"content-type", b"application/json")
GONE = {"type": "http.disconnect"}

pytestmark = pytest.mark.usefixtures("capture")


def hooked(application):
    """The application with a hook before it."""
    return functools.partial(asgi.call, "test", application)


def start(status=200, headers=(JSON,)):
    """The message that an answer begins with."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body, *, more=False):
    """The message with a part of an answer."""
    return {"type": "http.response.body", "body": body, "more_body": more}


async def read(receive):
    """The whole request."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def answering(*messages, reads=True):
    """An application that sends these messages."""

    async def application(_scope, receive, send):
        if reads:
            await read(receive)
        for message in messages:
            await send(message)

    return application


def only(recorded):
    """The attributes of the only span."""
    (span,) = recorded.spans()
    return span.attributes


def test_a_scoring_becomes_a_record(recorded):
    """Request and answer, as they went over the wire."""
    messages = [start(), part(RESPONSE[:5], more=True), part(RESPONSE[5:])]
    sent = ask_asgi(hooked(answering(*messages)), scope(), [REQUEST[:7], REQUEST[7:]])
    assert sent.messages == messages
    record = recorded.record()
    assert (record.request, record.response) == (REQUEST, RESPONSE)
    found = only(recorded)
    assert found[attributes.REQUEST_CONTENT_TYPE] == "application/json"
    assert found[attributes.RESPONSE_CHUNKS] == 2
    assert attributes.NOTES not in found


@pytest.mark.parametrize("changed", [{"method": "GET"}, {"method": "HEAD"}, {"path": "/ping"},
                                     {"path": "/"}, {"type": "websocket"}, {"type": "lifespan"},
                                     {"type": "of a later version"}])  # fmt: skip
def test_what_is_no_scoring_is_left_alone(recorded, changed):
    """The application gets the server's own `receive` and `send`."""
    seen = []

    async def application(*arguments):
        seen.append(arguments)

    async def receive():
        """Nothing comes."""

    async def send(_message):
        """Nobody listens."""

    asked = scope(**changed)
    asyncio.run(hooked(application)(asked, receive, send))
    assert seen == [(asked, receive, send)]
    assert not recorded.spans()


def test_the_start_of_a_service_makes_the_provider():
    """No scoring waits until the SDK is loaded."""
    made = []
    switch.install(Settings.load({}), lambda: made.append(1), lambda _seconds: None)
    ask_asgi(hooked(answering(reads=False)), {"type": "lifespan"})
    assert made == [1]


@pytest.mark.parametrize("path", ["/api/score", "/score"])
def test_a_path_is_what_the_client_sent(recorded, capture, path):
    """Whether or not the server has put the root into it."""
    capture(paths="/api/score")
    ask_asgi(hooked(answering(start(), part(RESPONSE))), scope(path, root_path="/api"), [REQUEST])
    assert len(recorded.spans()) == 1


def test_one_request_is_one_record(recorded):
    """However many hooks it passes."""
    ask_asgi(hooked(hooked(answering(start(), part(RESPONSE)))), scope(), [REQUEST])
    assert len(recorded.spans()) == 1


def test_the_scoring_is_over_with_the_last_part(recorded):
    """What the service does then is none of it: not its time, not its errors, not its calls."""
    seen = []

    async def application(_scope, receive, send):
        await read(receive)
        await send(start())
        await send(part(RESPONSE))
        seen.extend([len(recorded.spans()), running.get().ended])
        await send({"type": "http.response.trailers", "headers": []})
        raise ValueError("later")

    sent = ask_asgi(hooked(application), scope(), [REQUEST])
    assert seen == [1, True]
    assert sent.error == "ValueError('later')"
    assert recorded.record().response == RESPONSE


def test_the_time_is_over_with_the_last_byte(recorded):
    """Middleware ends an answer with an empty part, however late."""
    times = [time.perf_counter_ns()]

    async def application(_scope, receive, send):
        await read(receive)
        await send(start())
        await send(part(RESPONSE, more=True))
        times.append(time.perf_counter_ns())
        while time.perf_counter_ns() - times[1] <= times[1] - times[0]:
            """It is as long again until the end."""
        await send(part(b""))

    ask_asgi(hooked(application), scope(), [REQUEST])
    (span,) = recorded.spans()
    assert span.end_time - span.start_time <= times[1] - times[0]
    assert recorded.record().response == RESPONSE


def test_an_exception_passes_and_is_a_failed_scoring(recorded):
    """The server gets it as it was."""

    async def application(_scope, receive, _send):
        await read(receive)
        raise ValueError("bad")

    assert ask_asgi(hooked(application), scope(), [REQUEST]).error == "ValueError('bad')"
    assert recorded.record().extras["error"]["type"] == "ValueError"


def test_an_answer_that_fails_in_its_middle_is_a_failed_scoring(recorded):
    """What went out until then is kept beside."""

    async def application(_scope, receive, send):
        await read(receive)
        await send(start())
        await send(part(b"half", more=True))
        raise ValueError("bad")

    ask_asgi(hooked(application), scope(), [REQUEST])
    error = recorded.record().extras["error"]
    assert (error["type"], error["response"]) == ("ValueError", "half")


def test_the_exception_that_an_error_answer_is_made_of_is_known(recorded):
    """Frameworks send the answer while they handle it."""

    async def application(_scope, receive, send):
        try:
            int(await read(receive))
        except ValueError:
            await send(start(400))
            await send(part(b"no number"))

    ask_asgi(hooked(application), scope(), [REQUEST])
    error = recorded.record().extras["error"]
    assert (error["type"], error["response"]) == ("ValueError", "no number")


def test_an_exception_of_the_servers_is_not_the_scorings(recorded):
    """It is handled by whoever calls the service."""

    async def call():
        try:
            int("x")
        except ValueError:
            await asking(hooked(answering(start(503), part(b"no"))), scope(), [REQUEST])

    asyncio.run(call())
    assert recorded.record().extras["error"]["type"] == "HTTP 503"


def test_a_service_that_sends_nothing_has_failed(recorded):
    """The server has to say so itself."""
    ask_asgi(hooked(answering()), scope(), [REQUEST])
    assert recorded.record().extras["error"]["type"] == "NoAnswer"


def test_a_client_that_is_gone_leaves_a_note(recorded):
    """What went out until then is the answer."""
    messages = [start(), part(b"half", more=True), part(b"rest")]
    sent = ask_asgi(hooked(answering(*messages)), scope(), [REQUEST], gone_after=2)
    assert sent.error == "OSError('the client is gone')"
    found = only(recorded)
    assert found[attributes.RESPONSE] == "half"
    assert found[attributes.NOTES] == ("response: the client was gone after 4 bytes",)
    assert recorded.record().response


def test_a_client_that_is_gone_before_the_answer_has_none(recorded):
    """A service that sees it may stop."""

    async def application(_scope, receive, _send):
        while (await receive())["type"] != "http.disconnect":
            pass

    ask_asgi(hooked(application), scope(), [REQUEST], then=[GONE])
    assert recorded.record().extras["error"]["type"] == "Abandoned"


def test_a_service_may_answer_a_client_that_is_gone(recorded):
    """It was scored, and the record says that nobody heard of it."""

    async def application(_scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        await send(start())
        await send(part(RESPONSE))

    ask_asgi(hooked(application), scope(), [REQUEST], then=[GONE])
    assert recorded.record().response == RESPONSE
    assert only(recorded)[attributes.NOTES] == (
        "response: the client was gone before it was complete",
    )


def test_a_disconnect_after_the_answer_is_the_usual_end(recorded):
    """Frameworks listen for it while they stream."""

    async def application(_scope, receive, send):
        await read(receive)
        await send(start())
        await send(part(RESPONSE))
        assert (await receive())["type"] == "http.disconnect"

    assert ask_asgi(hooked(application), scope(), [REQUEST]).error is None
    assert attributes.NOTES not in only(recorded)


def test_a_cancelled_scoring_has_failed(recorded):
    """The server ends it; the cancellation goes on."""

    async def application(_scope, receive, _send):
        await read(receive)
        await asyncio.Event().wait()

    async def call():
        task = asyncio.ensure_future(asking(hooked(application), scope(), [REQUEST]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(call())
    assert recorded.record().extras["error"]["type"] == "asyncio.exceptions.CancelledError"


def test_an_unread_body_is_not_read(recorded):
    """The record says how much of it there was, where that was announced."""
    announced = [JSON, (b"content-length", b"34")]
    for headers in (announced, [JSON, (b"transfer-encoding", b"chunked")], [JSON]):
        application = answering(start(), part(RESPONSE), reads=False)
        ask_asgi(hooked(application), scope(headers=headers), [REQUEST])
    assert [span.attributes.get(attributes.NOTES) for span in recorded.spans()] == [
        ("request: 0 of 34 bytes were read by the service",),
        ("request: 0 bytes were read by the service, not to the end",),
        None,
    ]


def test_a_body_of_known_length_that_was_read_is_whole(recorded):
    """Over HTTP/2, too: a service may stop where the length says, and not ask for the end."""

    async def application(_scope, receive, send):
        await receive()
        await send(start())
        await send(part(RESPONSE))

    headers = [JSON, (b"content-length", b"%d" % len(REQUEST))]
    asked = scope(headers=headers, http_version="2")
    ask_asgi(hooked(application), asked, [REQUEST, b""])
    assert attributes.NOTES not in only(recorded)
    assert recorded.record().request == REQUEST


def test_what_is_kept_of_a_content_type_is_bounded(recorded):
    """Whoever asks has sent it."""
    headers = [(b"content-type", b"text/plain; charset=" + b"x" * 1_000_000)]
    ask_asgi(hooked(answering(start(), part(RESPONSE))), scope(headers=headers), [REQUEST])
    assert len(only(recorded)[attributes.REQUEST_CONTENT_TYPE]) == 256


def test_a_call_that_is_collected_within_the_spool_waits(recorded):
    """There a lock may be held, or a record be half written: the next scoring puts it."""

    async def application(_scope, receive, _send):
        await receive()

    async def receive():
        await asyncio.sleep(0)

    async def send(_message):
        pass

    call = hooked(application)(scope(), receive, send)
    call.send(None)
    spool = {"__name__": "scorespan.spool.writer"}
    exec("def write(collect): collect()", spool)
    spool["write"](call.close)
    assert recorded.spans() == []
    ask_asgi(hooked(answering(start(), part(RESPONSE))), scope(), [REQUEST])
    assert len(recorded.spans()) == 2


def test_a_file_is_not_captured(recorded):
    """The server sends it by its path; the record says that it was not seen."""
    messages = [start(headers=[(b"content-length", b"34")]),
                {"type": "http.response.pathsend", "path": "/x"}]  # fmt: skip
    sent = ask_asgi(hooked(answering(*messages)), scope(), [REQUEST])
    assert sent.messages == messages
    found = only(recorded)
    assert "response: a file that the server sent, not captured" in found[attributes.NOTES]
    assert found[attributes.RESPONSE_SIZE] == 34
    assert recorded.record()


def test_events_are_counted_and_the_first_of_them_kept(recorded, capture):
    """A stream past the bound goes on; the record has its beginning and its size."""
    capture(body_max_bytes=20)
    events = [part(b"data: %d\n\n" % index, more=True) for index in range(9)]
    messages = [start(headers=[(b"content-type", b"text/event-stream")]), *events, part(b"")]
    sent = ask_asgi(hooked(answering(*messages)), scope(), [REQUEST])
    assert sent.messages == messages
    found = only(recorded)
    assert found[attributes.RESPONSE] == "data: 0\n\ndata: 1\n\nda"
    assert found[attributes.RESPONSE_SIZE] == 81
    assert found[attributes.RESPONSE_CHUNKS] == 9
    assert found[attributes.FIRST_BYTE_TIME] >= 0


def test_compressed_bodies_are_kept_as_they_are(recorded):
    """Both ways; what was done to them stands beside."""
    headers = [JSON, (b"content-encoding", b"gzip")]
    messages = [start(headers=headers), part(b"\x1f\x8b")]
    ask_asgi(hooked(answering(*messages)), scope(headers=headers), [b"\x1f\x8b"])
    found = only(recorded)
    assert found[attributes.REQUEST] == found[attributes.RESPONSE] == "H4s="
    assert found[attributes.REQUEST_ENCODING] == "gzip,base64"
    assert found[attributes.RESPONSE_ENCODING] == "gzip,base64"


def test_a_redirect_is_no_scoring(recorded):
    """The client comes again, to where it was sent."""
    ask_asgi(hooked(answering(start(307), part(b""))), scope(), [REQUEST])
    assert not recorded.spans()


def test_a_model_that_the_path_names_is_on_the_record(recorded):
    """With its version."""
    path = "/v2/models/credit/versions/3/infer"
    ask_asgi(hooked(answering(start(), part(RESPONSE))), scope(path), [REQUEST])
    found = only(recorded)
    assert (found[attributes.MODEL_NAME], found[attributes.MODEL_VERSION]) == ("credit", "3")


def test_scorings_that_run_at_once_do_not_mix(recorded):
    """Each record's answer belongs to its request, and so does what was told meanwhile."""
    count = 50
    turns = asyncio.Barrier(count) if hasattr(asyncio, "Barrier") else None

    async def application(_scope, receive, send):
        body = await read(receive)
        if turns is not None:
            await turns.wait()  # all are under way
        running.get().tell(body.decode())
        for message in (start(), part(b"answer to ", more=True), part(body)):
            await asyncio.sleep(0)
            await send(message)

    async def call():
        asked = [
            asking(hooked(application), scope(), [str(index).encode()]) for index in range(count)
        ]
        await asyncio.gather(*asked)

    asyncio.run(call())
    spans = recorded.spans()
    assert len(spans) == count
    for span in spans:
        body = span.attributes[attributes.REQUEST]
        assert span.attributes[attributes.RESPONSE] == f"answer to {body}"
        assert span.attributes[attributes.NOTES] == (body,)


def test_no_credential_is_on_the_record(recorded):
    """Neither of a header nor of the query."""
    told = [
        (b"authorization", b"Bearer hidden"),
        (b"cookie", b"session=hidden"),
        (b"x-api-key", b"hidden"),
    ]
    answer = answering(start(headers=(JSON, (b"set-cookie", b"session=hidden"))), part(RESPONSE))
    asked = scope(headers=told, query_string=b"code=hidden")
    ask_asgi(hooked(answer), asked, [REQUEST])
    (span,) = recorded.spans()
    assert "hidden" not in span.to_json()


@pytest.mark.parametrize(
    "more", [{"headers": [JSON, (b"transfer-encoding", b"chunked")]}, {"http_version": "2"}]
)
def test_an_unread_body_of_unknown_length_says_so(recorded, more):
    """Read to its end, in however many parts, it does not."""
    for reads in (True, False):
        application = hooked(answering(start(), part(RESPONSE), reads=reads))
        ask_asgi(application, scope(**more), [REQUEST[:5], REQUEST[5:]])
    assert [span.attributes.get(attributes.NOTES) for span in recorded.spans()] == [
        None,
        ("request: 0 bytes were read by the service, not to the end",),
    ]


def test_a_call_leaves_nothing_in_its_context(recorded):
    """Whoever called the service is in no scoring any more."""

    async def call():
        await asking(hooked(answering(start(), part(RESPONSE))), scope(), [REQUEST])
        return running.get()

    assert asyncio.run(call()) is None
    assert recorded.record()


def test_an_application_that_runs_elsewhere_within_another_makes_no_second_record(recorded):
    """The scope tells it where no context does, as in a task that was made without one."""
    inner = hooked(answering(start(), part(RESPONSE)))

    async def outer(asked, receive, send):
        await contextvars.Context().run(asyncio.ensure_future, inner(asked, receive, send))

    ask_asgi(hooked(outer), scope(), [REQUEST])
    assert recorded.record().response == RESPONSE


def test_a_call_that_is_closed_in_another_context_is_recorded(recorded):
    """As by the collector, once its event loop is gone: nothing of ours is raised there."""

    async def application(_scope, receive, _send):
        await receive()

    class Forever:
        def __await__(self):
            yield

    async def receive():
        await Forever()

    call = hooked(application)(scope(), receive, None)
    contextvars.copy_context().run(call.send, None)
    call.close()
    (span,) = recorded.spans()
    assert span.status.description.startswith("GeneratorExit")


def test_a_request_that_begins_while_another_ends_is_its_own(recorded):
    """Servers start a pipelined request in the context of the one before it."""
    tasks = []

    async def call():
        async def receive():
            return {"type": "http.request", "body": REQUEST, "more_body": False}

        async def send(message):
            if message["type"] == "http.response.body" and not tasks:
                tasks.append(asyncio.ensure_future(served(scope(), receive, send)))

        served = hooked(answering(start(), part(RESPONSE)))
        await served(scope(), receive, send)
        await tasks[0]

    asyncio.run(call())
    assert len(recorded.spans()) == 2
