"""A WSGI call that a hook sees: bodies, failures, and what stays as it was."""

from __future__ import annotations

import contextvars
import functools
import gc
import io
import os
import sys
import time

import pytest

from instrumentation.calls import FileWrapper, ask_wsgi, environ
from scorespan import attributes
from scorespan.instrumentation import gate, guard, wsgi
from scorespan.instrumentation.exchange import running
from scorespan.record import STATUS_ERROR

REQUEST = b'{"fields": ["a"], "values": [[1]]}'
RESPONSE = b'{"fields": ["b"], "values": [[2]]}'
JSON = ("Content-Type", "application/json")

pytestmark = pytest.mark.usefixtures("capture")


def hooked(application):
    """The application with a hook before it."""
    return functools.partial(wsgi.call, "test", application)


def answering(parts, *, status="200 OK", headers=(JSON,), read=True):
    """An application that answers with these parts."""

    def application(asked, start_response):
        if read:
            asked["wsgi.input"].read()
        start_response(status, list(headers))
        return parts

    return application


def only(recorded):
    """The attributes of the only span."""
    (span,) = recorded.spans()
    return span.attributes


def test_a_scoring_becomes_a_record(recorded):
    """Request and answer, as they went over the wire."""
    answer = ask_wsgi(hooked(answering([RESPONSE[:5], RESPONSE[5:]])), environ(body=REQUEST))
    assert answer.body == RESPONSE
    record = recorded.record()
    assert (record.request, record.response) == (REQUEST, RESPONSE)
    found = only(recorded)
    assert found[attributes.REQUEST_CONTENT_TYPE] == "application/json"
    assert found[attributes.RESPONSE_CONTENT_TYPE] == "application/json"
    assert found[attributes.RESPONSE_CHUNKS] == 2
    assert attributes.NOTES not in found


@pytest.mark.parametrize("asked", [{"REQUEST_METHOD": "GET"}, {"REQUEST_METHOD": "HEAD"},
                                   {"REQUEST_METHOD": "OPTIONS"}, {"PATH_INFO": "/ping"},
                                   {"PATH_INFO": "/"}])  # fmt: skip
def test_what_is_no_scoring_is_left_alone(recorded, asked):
    """The application gets the server's own input and the server its own answer."""
    seen = []

    def application(found, start_response):
        seen.append(found["wsgi.input"])
        start_response("200 OK", [])
        return result

    result = [b"x"]
    call = environ(**asked)
    assert hooked(application)(call, lambda *_: None) is result
    assert seen == [call["wsgi.input"]]
    assert not recorded.spans()


def test_a_path_is_what_the_client_sent(recorded, capture):
    """What the application is mounted at is a part of it, and it may hold any character."""
    capture(paths="/mü/score")
    mounted = {"SCRIPT_NAME": "/mü".encode().decode("latin-1"), "PATH_INFO": "/score"}
    ask_wsgi(hooked(answering([RESPONSE])), environ(body=REQUEST, **mounted))
    assert len(recorded.spans()) == 1


def test_one_request_is_one_record(recorded):
    """However many hooks it passes."""
    ask_wsgi(hooked(hooked(answering([RESPONSE]))), environ(body=REQUEST))
    assert len(recorded.spans()) == 1


def test_the_exchange_runs_while_the_service_works(recorded):
    """In the call and in each part of its answer, and not between them."""
    seen = []

    def application(asked, start_response):
        asked["wsgi.input"].read()
        seen.append(running.get())
        start_response("200 OK", [])

        def parts():
            seen.append(running.get())
            yield b"x"

        return parts()

    result = hooked(application)(environ(), lambda *_: None)
    assert running.get() is None
    iterator = iter(result)
    next(iterator)
    assert running.get() is None
    assert seen[0] is seen[1] is not None
    result.close()
    assert len(recorded.spans()) == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda body: body.read(),
        lambda body: b"".join(iter(lambda: body.read(3), b"")),
        b"".join,
        lambda body: b"".join(body.readlines()),
        lambda body: b"".join(iter(body.readline, b"")),
        lambda body: next(body) + body.read(),
        lambda body: body.read1(100),
        lambda body: io.BufferedReader(body).read(),
    ],
)
def test_every_way_to_read_shows_what_was_read(recorded, read):
    """The service reads as it likes; the record has it once."""
    lines = b'{"fields": ["a"],\n"values": [[1]]}\n'
    seen = []

    def application(asked, start_response):
        seen.append(read(asked["wsgi.input"]))
        start_response("200 OK", [JSON])
        return [RESPONSE]

    ask_wsgi(hooked(application), environ(body=lines))
    assert seen == [lines]
    assert recorded.record().request == lines
    assert attributes.NOTES not in only(recorded)


def test_the_input_is_the_servers_in_all_else(recorded):
    """Attributes of the original pass through."""

    class Input(io.BytesIO):
        mode = "rb"

    def application(asked, start_response):
        body = asked["wsgi.input"]
        assert (body.mode, body.tell(), hasattr(body, "nothing")) == ("rb", 0, False)
        return answering([RESPONSE])(asked, start_response)

    assert not ask_wsgi(hooked(application), environ(wsgi__input=Input(b""))).error


def test_an_unread_body_is_not_read(recorded):
    """The record says how much of it there was."""
    call = environ(body=REQUEST)
    ask_wsgi(hooked(answering([RESPONSE], read=False)), call)
    found = only(recorded)
    assert found[attributes.REQUEST] == ""
    assert found[attributes.REQUEST_SIZE] == len(REQUEST)
    assert found[attributes.NOTES] == (
        f"request: 0 of {len(REQUEST)} bytes were read by the service",
    )
    assert call["wsgi.input"].tell() == 0
    assert recorded.record().response


def test_an_unread_body_of_unknown_length_says_so(recorded):
    """Chunked, nobody knows how much there was."""
    for read in (True, False):
        call = environ(body=REQUEST, CONTENT_LENGTH=None, HTTP_TRANSFER_ENCODING="chunked")
        ask_wsgi(hooked(answering([RESPONSE], read=read)), call)
    assert [span.attributes.get(attributes.NOTES) for span in recorded.spans()] == [
        None,
        ("request: 0 bytes were read by the service, not to the end",),
    ]
    dialects = [span.attributes.get(attributes.DIALECT) for span in recorded.spans()]
    assert dialects == [None, "text"]


def test_a_body_past_the_bound_is_cut_and_says_so(recorded, capture):
    """The client gets all of the answer."""
    capture(body_max_bytes=10)
    answer = ask_wsgi(hooked(answering([b"x" * 8, b"y" * 8])), environ(body=b"z" * 30))
    assert answer.body == b"x" * 8 + b"y" * 8
    found = only(recorded)
    assert (found[attributes.REQUEST], found[attributes.REQUEST_SIZE]) == ("z" * 10, 30)
    assert (found[attributes.RESPONSE], found[attributes.RESPONSE_SIZE]) == ("xxxxxxxxyy", 16)


def test_compressed_bodies_are_kept_as_they_are(recorded):
    """Both ways; what was done to them stands beside."""
    headers = [JSON, ("Content-Encoding", "gzip")]
    call = environ(body=b"\x1f\x8b", HTTP_CONTENT_ENCODING="gzip")
    ask_wsgi(hooked(answering([b"\x1f\x8b"], headers=headers)), call)
    found = only(recorded)
    assert found[attributes.REQUEST] == found[attributes.RESPONSE] == "H4s="
    assert found[attributes.REQUEST_ENCODING] == "gzip,base64"
    assert found[attributes.RESPONSE_ENCODING] == "gzip,base64"


def test_an_exception_passes_and_is_a_failed_scoring(recorded):
    """The server gets it as it was."""

    def application(asked, _start_response):
        asked["wsgi.input"].read()
        raise ValueError("bad")

    assert ask_wsgi(hooked(application), environ(body=REQUEST)).error == "ValueError('bad')"
    assert recorded.record().extras["error"]["type"] == "ValueError"
    assert running.get() is None


def test_an_answer_that_fails_in_its_middle_is_a_failed_scoring(recorded):
    """What went out until then is kept beside."""

    def parts():
        yield b"half"
        raise ValueError("bad")

    answer = ask_wsgi(hooked(answering(parts())), environ(body=REQUEST))
    assert (answer.parts, answer.error) == ([b"half"], "ValueError('bad')")
    error = recorded.record().extras["error"]
    assert (error["type"], error["response"]) == ("ValueError", "half")
    assert attributes.NOTES not in only(recorded)


def test_a_client_that_is_gone_leaves_a_note(recorded):
    """What went out until then is the answer."""
    ask_wsgi(hooked(answering([b"half", b"rest"])), environ(body=REQUEST), parts=1)
    found = only(recorded)
    assert found[attributes.RESPONSE] == "half"
    assert found[attributes.NOTES] == ("response: the client was gone after 4 bytes",)
    assert found[attributes.DIALECT] == "text"
    assert recorded.record().response


def test_a_client_that_got_nothing_was_not_answered(recorded):
    """That is a failed scoring."""
    ask_wsgi(hooked(answering([b"all"])), environ(body=REQUEST), parts=0)
    assert recorded.record().extras["error"]["type"] == "Abandoned"


def test_a_server_need_not_ask_past_the_announced_length(recorded):
    """All bytes were there: nobody was gone."""
    headers = [JSON, ("Content-Length", str(len(RESPONSE)))]
    ask_wsgi(hooked(answering([RESPONSE], headers=headers)), environ(body=REQUEST), parts=1)
    assert attributes.NOTES not in only(recorded)


def test_a_server_need_not_ask_for_what_is_never_there(recorded):
    """An answer without content has no part."""
    ask_wsgi(hooked(answering([], status="204 No Content")), environ(body=REQUEST), parts=0)
    assert recorded.spans()[0].status.is_ok


def test_a_redirect_is_no_scoring(recorded):
    """The client comes again, to where it was sent."""
    before = len(gate.answering)
    ask_wsgi(hooked(answering([b""], status="307 Temporary Redirect")), environ(body=REQUEST))
    assert not recorded.spans()
    assert len(gate.answering) == before


def test_the_time_is_over_with_the_last_part(recorded):
    """Not when the server closes the answer, however late."""
    began = time.perf_counter_ns()
    answer = hooked(answering([RESPONSE]))(environ(body=REQUEST), lambda *_: None)
    assert list(answer) == [RESPONSE]
    elapsed = time.perf_counter_ns() - began
    while time.perf_counter_ns() - began <= 2 * elapsed:
        """It is as long again until the end."""
    answer.close()
    (span,) = recorded.spans()
    assert span.end_time - span.start_time <= elapsed


def test_an_application_that_runs_elsewhere_within_another_makes_no_second_record(recorded):
    """The environ tells it where no context does, as in a pool of threads."""

    def outer(asked, start_response):
        return contextvars.Context().run(hooked(answering([RESPONSE])), asked, start_response)

    ask_wsgi(hooked(outer), environ(body=REQUEST))
    assert recorded.record().response == RESPONSE


def test_an_answer_that_cannot_be_looked_at_goes_out(recorded):
    """As it is: its record has what was seen until then."""

    class Odd:
        def __getattr__(self, name):
            raise RuntimeError(name)

        def __iter__(self):
            return iter([RESPONSE])

    odd = Odd()
    assert hooked(answering(odd))(environ(body=REQUEST), lambda *_: None) is odd
    assert only(recorded)[attributes.REQUEST] == REQUEST.decode()
    assert guard.counted == {"wsgi": 1}


def test_close_is_passed_on_once_and_the_record_made_before(recorded):
    """Whatever the service does then is none of the scoring."""
    closed = []

    class Parts(list):
        def close(self):
            closed.append(len(recorded.spans()))

    result = hooked(answering(Parts([b"x"])))(environ(), lambda *_: None)
    assert list(result) == [b"x"]
    result.close()
    result.close()
    assert closed == [1]


def test_an_error_of_close_reaches_the_server(recorded):
    """It is the service's; the scoring was answered."""

    class Parts(list):
        def close(self):
            raise ValueError("bad")

    answer = ask_wsgi(hooked(answering(Parts([RESPONSE]))), environ(body=REQUEST))
    assert answer.error == "ValueError('bad')"
    assert recorded.record().response == RESPONSE


def test_a_server_that_never_closes_loses_no_record(recorded):
    """The record is made when the answer is dropped."""
    answer = hooked(answering([RESPONSE]))(environ(body=REQUEST), lambda *_: None)
    assert list(answer) == [RESPONSE]
    assert not recorded.spans()
    del answer
    gc.collect()
    assert recorded.record().response == RESPONSE


def test_an_answer_that_is_collected_within_the_spool_waits(recorded):
    """There a lock may be held, or a record be half written: the next scoring puts it."""
    held = [hooked(answering([RESPONSE]))(environ(body=REQUEST), lambda *_: None)]
    assert list(held[0]) == [RESPONSE]
    spool = {"__name__": "scorespan.spool.writer"}
    exec("def write(collect): collect()", spool)
    spool["write"](held.clear)
    assert recorded.spans() == []
    ask_wsgi(hooked(answering([RESPONSE])), environ(body=REQUEST))
    assert len(recorded.spans()) == 2


def test_the_number_of_parts_stays_known():
    """Servers make a length of an answer with one part; where it was unknown it stays so."""
    call = hooked(answering([RESPONSE]))
    assert len(call(environ(), lambda *_: None)) == 1
    call = hooked(answering(iter([RESPONSE])))
    assert not hasattr(call(environ(), lambda *_: None), "__len__")


def test_a_file_goes_to_the_server_as_it_is(recorded):
    """The server sends it without a copy; the record says that it was not seen."""
    file = FileWrapper(io.BytesIO(RESPONSE))
    headers = [JSON, ("Content-Length", str(len(RESPONSE)))]
    call = environ(body=REQUEST)
    assert hooked(answering(file, headers=headers))(call, lambda *_: None) is file
    found = only(recorded)
    assert "response: a file that the server sent, not captured" in found[attributes.NOTES]
    assert found[attributes.RESPONSE_SIZE] == len(RESPONSE)
    assert found[attributes.DIALECT] == "text"
    assert recorded.record()


def test_what_is_written_the_old_way_is_kept(recorded):
    """`start_response` returns a function that sends."""

    def application(asked, start_response):
        asked["wsgi.input"].read()
        start_response("200 OK", [JSON])(RESPONSE[:3])
        return [RESPONSE[3:]]

    answer = ask_wsgi(hooked(application), environ(body=REQUEST))
    assert (answer.written, answer.parts) == ([RESPONSE[:3]], [RESPONSE[3:]])
    assert recorded.record().response == RESPONSE


def test_the_time_is_over_with_the_last_part_that_is_written(recorded):
    """Likewise; and what the server's function returns is the application's."""
    times = [time.perf_counter_ns()]

    def application(_environ, start_response):
        assert start_response("200 OK", [JSON])(RESPONSE) == len(RESPONSE)
        times.append(time.perf_counter_ns())
        while time.perf_counter_ns() - times[1] <= times[1] - times[0]:
            """It is as long again until the end."""
        return []

    answer = hooked(application)(environ(body=REQUEST), lambda *_: len)
    assert list(answer) == []
    answer.close()
    (span,) = recorded.spans()
    assert span.end_time - span.start_time <= times[1] - times[0]


def test_an_application_may_start_its_answer_again(recorded):
    """With the exception that made it do so: the second status counts, and it says why."""

    def application(asked, start_response):
        asked["wsgi.input"].read()
        start_response("200 OK", [JSON])
        try:
            int("x")
        except ValueError as error:
            start_response("500 Oh", [], (type(error), error, error.__traceback__))
        return [b"sorry"]

    answer = ask_wsgi(hooked(application), environ(body=REQUEST))
    assert answer.started == [("200 OK", [JSON], False), ("500 Oh", [], True)]
    record = recorded.record()
    assert record.extras["status"] == STATUS_ERROR
    assert record.extras["error"]["type"] == "ValueError"


def test_an_id_that_the_server_gave_the_call_is_kept(recorded):
    """Where the caller gave none; its own counts before."""
    headers = [JSON, ("X-Ms-Request-Id", "of the server")]
    application = hooked(answering([RESPONSE], headers=headers))
    ask_wsgi(application, environ(body=REQUEST))
    ask_wsgi(application, environ(body=REQUEST, HTTP_X_REQUEST_ID="of the caller"))
    ids = [span.attributes[attributes.REQUEST_ID] for span in recorded.spans()]
    assert ids == ["of the server", "of the caller"]


def test_a_signal_handler_that_raises_leaves_no_answer_open(recorded, monkeypatch):
    """The service's own cleaning up is done, whatever ends the worker meanwhile."""
    closed = []

    class Parts(list):
        def close(self):
            closed.append(True)

    def ending(_self):
        raise SystemExit

    monkeypatch.setattr(wsgi.Seen, "end", ending)
    with pytest.raises(SystemExit):
        ask_wsgi(hooked(answering(Parts([RESPONSE]))), environ())
    assert closed


def test_no_credential_is_on_the_record(recorded):
    """Neither of a header nor of the query."""
    told = {
        "HTTP_AUTHORIZATION": "Bearer hidden",
        "HTTP_COOKIE": "session=hidden",
        "HTTP_X_API_KEY": "hidden",
        "QUERY_STRING": "code=hidden",
    }
    answer = answering([RESPONSE], headers=[JSON, ("Set-Cookie", "session=hidden")])
    ask_wsgi(hooked(answer), environ(body=REQUEST, **told))
    (span,) = recorded.spans()
    assert "hidden" not in span.to_json()


def test_the_end_of_the_process_waits_for_a_call_until_it_is_over(recorded):
    """Its record is made before."""
    exchanges = []

    def application(_environ, start_response):
        exchanges.append(running.get())
        assert exchanges[0] in gate.answering
        start_response("200 OK", [])
        return [RESPONSE]

    assert not ask_wsgi(hooked(application), environ()).error
    assert exchanges[0] not in gate.answering


def test_a_child_that_is_forked_in_a_call_records_nothing_of_it(recorded):
    """The answer is the parent's, however the child ends."""

    def application(_environ, start_response):
        if os.fork() == 0:
            sys.exit()
        start_response("200 OK", [])
        return [RESPONSE]

    try:
        ask_wsgi(hooked(application), environ())
    except SystemExit:
        os._exit(len(recorded.spans()))
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    assert len(recorded.spans()) == 1
