"""The Flask hook: applications as they are, under the servers' calling convention."""

from __future__ import annotations

import inspect

import flask
import flask.app
import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

import scorespan.instrumentation.flask
from instrumentation.calls import ask_wsgi, environ
from scorespan import attributes

REQUEST = b'{"fields": ["a"], "values": [[1]]}'
RESPONSE = b'{"fields": ["b"], "values": [[2]]}'

pytestmark = pytest.mark.usefixtures("hooked")


@pytest.fixture
def service():
    """A service as people write them."""
    app = flask.Flask("service")

    @app.post("/score")
    def score():
        flask.request.get_json()
        return flask.Response(RESPONSE, mimetype="application/json")

    @app.post("/invocations")
    def invocations():
        flask.request.get_json()
        raise ValueError("bad")

    @app.post("/predict")
    def predict():
        return flask.abort(422)

    @app.get("/ping")
    def ping():
        return "pong"

    return app


def test_a_service_gets_records(service, recorded):
    """It does nothing for them."""
    assert ask_wsgi(service, environ(body=REQUEST)).body == RESPONSE
    record = recorded.record()
    assert (record.request, record.response) == (REQUEST, RESPONSE)
    assert recorded.spans()[0].attributes[attributes.HOOK] == "flask"


def test_its_other_routes_do_not(service, recorded):
    """Nobody asked a model there."""
    assert ask_wsgi(service, environ("/ping", REQUEST_METHOD="GET")).body == b"pong"
    ask_wsgi(service, environ("/score", REQUEST_METHOD="GET"))
    assert not recorded.spans()


def test_an_exception_behind_an_error_page_is_known(service, recorded):
    """Flask answers with a page that does not name it."""
    answer = ask_wsgi(service, environ("/invocations", REQUEST))
    assert answer.started[0][0] == "500 INTERNAL SERVER ERROR"
    error = recorded.record().extras["error"]
    assert (error["type"], error["message"]) == ("ValueError", "bad")
    assert "in invocations" in error["stacktrace"]
    assert recorded.record().request == REQUEST


def test_an_exception_that_leaves_the_application_is_known(service, recorded):
    """In testing and debugging Flask raises it."""
    service.testing = True
    assert ask_wsgi(service, environ("/invocations", REQUEST)).error == "ValueError('bad')"
    assert recorded.record().extras["error"]["type"] == "ValueError"


def test_an_answer_by_abort_is_a_failed_scoring(service, recorded):
    """It is the service's way to say no."""
    ask_wsgi(service, environ("/predict", REQUEST))
    assert recorded.record().extras["error"]["type"] == "HTTP 422"


class Calling(flask.Flask):
    """A service whose call is its own."""

    def __call__(self, environ, start_response):
        """Past the call of Flask."""
        return self.wsgi_app(environ, start_response)


def wrapped(service):
    """A service that was told to wrap its `wsgi_app`, as Flask's documentation says."""
    service.wsgi_app = ProxyFix(service.wsgi_app)
    return service


@pytest.mark.parametrize(
    "served",
    [
        lambda service: service.wsgi_app,
        lambda service: ProxyFix(service.wsgi_app),
        lambda service: DispatcherMiddleware(flask.Flask("outer").wsgi_app, {"/v1": service}),
        lambda service: DispatcherMiddleware(flask.Flask("x"), {"/v1": service.wsgi_app}),
        wrapped,
        lambda service: wrapped(service).wsgi_app,
    ],
)
def test_a_service_is_captured_however_it_is_called(service, recorded, served):
    """Through its call, or past it; a request is one record."""
    app = served(service)
    path = "/v1/score" if isinstance(app, DispatcherMiddleware) else "/score"
    assert ask_wsgi(app, environ(path, REQUEST)).body == RESPONSE
    record = recorded.record()
    assert (record.request, record.response) == (REQUEST, RESPONSE)


def test_a_service_with_a_call_of_its_own_is_captured(recorded):
    """Its `wsgi_app` is Flask's still."""
    app = Calling("service")
    app.add_url_rule("/score", view_func=lambda: flask.request.data, methods=["POST"])
    assert ask_wsgi(app, environ(body=REQUEST)).body == REQUEST
    assert recorded.record().request == REQUEST


def test_mounted_applications_make_one_record(service, recorded):
    """The one that answers makes it."""
    outer = flask.Flask("outer")
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/v1": service})
    assert ask_wsgi(outer, environ("/v1/score", REQUEST)).body == RESPONSE
    assert len(recorded.spans()) == 1


def test_a_form_is_kept_as_it_was_sent(service, recorded):
    """Flask takes it apart; the record has its bytes."""

    @service.post("/v1/models/m:predict")
    def form():
        return dict(flask.request.form)

    call = environ("/v1/models/m:predict", b"a=1&b=2")
    call["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
    ask_wsgi(service, call)
    assert recorded.spans()[0].attributes[attributes.REQUEST] == "a=1&b=2"
    assert recorded.spans()[0].attributes[attributes.MODEL_NAME] == "m"


def test_a_streamed_answer_keeps_its_context(service, recorded):
    """A generator of the service runs while the server asks for parts."""

    @service.post("/predictions/m")
    def stream():
        @flask.stream_with_context
        def parts():
            yield flask.request.path
            yield "!"

        return flask.Response(parts(), mimetype="text/plain")

    assert ask_wsgi(service, environ("/predictions/m")).parts == [b"/predictions/m", b"!"]
    assert recorded.spans()[0].attributes[attributes.RESPONSE_CHUNKS] == 2


def test_the_hook_is_put_in_place_once():
    """However often it is asked for; and the method looks as before."""
    patched = flask.Flask.__call__
    scorespan.instrumentation.flask.instrument(flask.app)
    assert flask.Flask.__call__ is patched
    assert list(inspect.signature(patched).parameters) == ["self", "environ", "start_response"]
