"""The hooks change nothing: every byte is as without them, whatever happens, even to themselves."""

from __future__ import annotations

import functools

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from instrumentation.calls import ask_asgi, ask_wsgi, environ, scope
from scorespan import producer, provider
from scorespan.instrumentation import asgi, guard, http, switch, wsgi
from scorespan.instrumentation.body import KeptBody
from scorespan.instrumentation.exchange import Exchange

SHORT = st.binary(max_size=12)
STATUSES = st.sampled_from([200, 201, 204, 307, 400, 422, 500, 503])
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["Content-Type", "content-encoding", "Content-Length", "X-Other", "Set-Cookie"]
        ),
        st.sampled_from(["application/json", "gzip", "7", "text/event-stream", "", "a b"]),
    ),
    max_size=4,
)
READS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["read", "readline"]), st.integers(0, 9)),
        st.tuples(st.sampled_from(["read", "readline", "readlines"])),
    ),
    max_size=4,
)
# The spans of all examples are one fixture's: nothing is asked of them but that they are there.
SHARED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

pytestmark = pytest.mark.usefixtures("capture")


def wsgi_service(  # noqa: PLR0913, PLR0917 - what a service may do
    read, reads, status, headers, written, parts, fails_at, kind
):
    """A WSGI application that does as it is told; `read` gets what it has read."""

    def application(asked, start_response):
        for name, *arguments in reads:
            read.append(getattr(asked["wsgi.input"], name)(*arguments))
        if fails_at == -2:
            raise ValueError("before")
        write = start_response(f"{status} As told", list(headers))
        for part in written:
            write(part)
        if fails_at == -1:
            raise ValueError("after its start")

        def answer():
            for index, part in enumerate(parts):
                if index == fails_at:
                    raise ValueError("within")
                yield part

        return list(parts) if kind == "list" else answer()

    return application


@SHARED
@given(
    body=SHORT,
    reads=READS,
    status=STATUSES,
    headers=HEADERS,
    written=st.lists(SHORT, max_size=2),
    parts=st.lists(SHORT, max_size=4),
    fails_at=st.sampled_from([None, None, -2, -1, 0, 1]),
    kind=st.sampled_from(["list", "generator"]),
    stops=st.sampled_from([None, None, 0, 1]),
)
def test_a_wsgi_server_gets_the_same(recorded, stops, body, reads, **told):
    """Status, headers, parts, errors and what the service reads are as without the hook."""
    before = len(recorded.spans())
    guard.counted.clear()
    read, read_hooked = [], []
    plain = ask_wsgi(wsgi_service(read, reads, **told), environ(body=body), parts=stops)
    service = wsgi_service(read_hooked, reads, **told)
    hooked = functools.partial(wsgi.call, "test", service)
    assert ask_wsgi(hooked, environ(body=body), parts=stops)._replace(closed=0) == plain._replace(
        closed=0
    )
    assert read_hooked == read
    assert not guard.counted
    redirect = told["status"] == 307 and not (plain.error and plain.started == [])
    assert len(recorded.spans()) - before <= 1
    if not redirect:
        assert len(recorded.spans()) - before == 1


def asgi_service(read, reads, messages, fails_at):
    """An ASGI application that receives and sends as it is told."""

    async def application(_scope, receive, send):
        for _ in range(reads):
            read.append(dict(await receive()))
        for index, message in enumerate(messages):
            if index == fails_at:
                raise ValueError("within")
            await send(dict(message))
        if fails_at == -1:
            raise ValueError("at the end")

    return application


MESSAGES = st.one_of(
    st.builds(
        lambda status, headers: {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        },
        STATUSES,
        HEADERS,
    ),
    st.builds(
        lambda body, more: {"type": "http.response.body", "body": body, "more_body": more},
        SHORT,
        st.booleans(),
    ),
    st.sampled_from(
        [
            {"type": "http.response.body"},
            {"type": "http.response.pathsend", "path": "/x"},
            {"type": "http.response.trailers", "headers": []},
            {"type": "http.response.debug", "info": {}},
            {"type": "of a later version"},
        ]
    ),
)


@SHARED
@given(
    parts=st.lists(SHORT, min_size=1, max_size=3),
    reads=st.integers(0, 3),
    messages=st.lists(MESSAGES, max_size=5),
    fails_at=st.sampled_from([None, None, -1, 0, 1, 2]),
    gone_after=st.sampled_from([None, None, 0, 1, 2]),
)
@example([b""], 0, [{"type": "http.response.body", "body": b"no start"}], None, None)
def test_an_asgi_server_gets_the_same(  # noqa: PLR0913, PLR0917 - what a service may do
    recorded, parts, reads, messages, fails_at, gone_after
):
    """Every message, error and what the service receives are as without the hook."""
    reads = min(reads, len(parts))  # past the end it would wait for the client
    before = len(recorded.spans())
    guard.counted.clear()
    read, read_hooked = [], []
    options = {"gone_after": gone_after}
    plain = ask_asgi(asgi_service(read, reads, messages, fails_at), scope(), parts, **options)
    service = asgi_service(read_hooked, reads, messages, fails_at)
    hooked = functools.partial(asgi.call, "test", service)
    assert ask_asgi(hooked, scope(), parts, **options) == plain
    assert read_hooked == read
    assert not guard.counted
    made = len(recorded.spans()) - before
    redirected = any(message.get("status") == 307 for message in messages)
    assert made <= 1 if redirected else made == 1


def boom(*_arguments, **_more):
    """What replaces a step of ours."""
    raise ValueError("broken")


STEPS = [
    (switch, "ready"),
    (http, "scoring_path"),
    (http, "describe"),
    (http, "end"),
    (Exchange, "__init__"),
    (Exchange, "_look_for_parent"),
    (Exchange, "_attributes"),
    (Exchange, "answered"),
    (Exchange, "fail"),
    (KeptBody, "__init__"),
    (KeptBody, "add"),
    (KeptBody, "put_into"),
    (provider, "slot"),
    (producer, "current"),
]
"""What runs within a hook."""


@pytest.mark.parametrize(
    ("owner", "step", "fails_at"),
    [
        (owner, step, fails_at)
        for owner, step in STEPS
        for fails_at in (None, 1)
        if step != "fail" or fails_at is not None
    ],
)
def test_a_broken_step_of_ours_is_counted_and_not_seen(monkeypatch, owner, step, fails_at):
    """The service goes on as if there were no hook, and so does the next request."""
    headers = [("Content-Type", "application/json"), ("Content-Length", "4")]
    told = ([("read",)], 503, headers, [b"a"], [b"b", b"cd"], fails_at, "generator")
    start = {
        "type": "http.response.start",
        "status": 503,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }
    messages = [
        start,
        {"type": "http.response.body", "body": b"ab", "more_body": True},
        {"type": "http.response.body", "body": b"cd"},
    ]
    plain = ask_wsgi(wsgi_service([], *told), environ(body=b"{}"))
    plain_sent = ask_asgi(asgi_service([], 1, messages, fails_at), scope(), [b"{}"])
    monkeypatch.setattr(owner, step, boom)
    hooked = functools.partial(wsgi.call, "test", wsgi_service([], *told))
    hooked_asgi = functools.partial(asgi.call, "test", asgi_service([], 1, messages, fails_at))
    for _ in range(2):
        guard.counted.clear()
        assert ask_wsgi(hooked, environ(body=b"{}"))._replace(closed=0) == plain._replace(closed=0)
        assert guard.counted
        guard.counted.clear()
        assert ask_asgi(hooked_asgi, scope(), [b"{}"]) == plain_sent
        assert guard.counted


@pytest.mark.parametrize(
    "asked",
    [
        {"PATH_INFO": None, "SCRIPT_NAME": None},
        {"PATH_INFO": "/score", "CONTENT_LENGTH": "x"},
        {"PATH_INFO": "/score", "CONTENT_LENGTH": "9" * 5000},
        {"PATH_INFO": "/score", "HTTP_TRAFFIC": "x", "HTTP_TRACEPARENT": "\xff" * 100},
        {"PATH_INFO": "\u1234/score"},
        {"PATH_INFO": "/score", "wsgi.file_wrapper": lambda file: file},
        {"PATH_INFO": "/score", "wsgi.file_wrapper": None},
    ],
)
def test_an_odd_request_is_served(asked):
    """Whatever a server or client has put into it."""
    service = wsgi_service([], [("read",)], 200, [], [], [b"x"], None, "list")
    call = environ(body=b"{}")
    call.update(asked)
    hooked = functools.partial(wsgi.call, "test", service)
    assert ask_wsgi(hooked, {name: v for name, v in call.items() if v is not None}).body == b"x"


def test_headers_that_can_be_read_once_are_the_servers():
    """They are not used up here."""

    async def application(_scope, _receive, send):
        headers = iter([(b"content-type", b"text/plain")])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    sent = ask_asgi(functools.partial(asgi.call, "test", application), scope())
    assert list(sent.messages[0]["headers"]) == [(b"content-type", b"text/plain")]
