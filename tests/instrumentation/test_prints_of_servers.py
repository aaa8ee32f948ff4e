"""Prints of services under real frameworks are tied to the call that they belong to."""

from __future__ import annotations

import builtins
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import fastapi
import flask
import pytest
from fastapi.testclient import TestClient

from scorespan import attributes
from scorespan.instrumentation import prints

# ruff: noqa: T201 - printing is what is tested


@pytest.fixture(autouse=True)
def _reading(monkeypatch):
    """`print` is read along during the test."""
    monkeypatch.setattr(prints, "_left", False)
    monkeypatch.setattr(builtins, "print", builtins.print)  # so that it comes back
    prints.instrument(pytest)


def halved(number):
    """Half of an even number."""
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def model(body):
    """Halves a number; an odd one is refused, by an exception that is caught and told."""
    try:
        number = json.loads(body)
        builtins.print("got", number, sep="=")
        return {"predictions": [halved(number)]}
    except ValueError as error:
        builtins.print(error)
        return {"error": str(error)}


def flask_client():
    """Posts to a Flask application."""
    app = flask.Flask("service")
    app.post("/score")(lambda: model(flask.request.get_data()))

    # A server closes an answer, too, when it has been sent.
    return lambda body: app.test_client().post("/score", data=body).close()


def starlette_client():
    """Posts to a FastAPI application, whose route is a plain function: it runs in a thread."""
    app = fastapi.FastAPI()

    @app.post("/score")
    def score(number: Annotated[int, fastapi.Body()]):
        return model(str(number))

    client = TestClient(app)
    return lambda body: client.post("/score", content=body)


@pytest.mark.parametrize("make", [flask_client, starlette_client])
def test_each_call_has_its_own_lines(hooked, recorded, make):
    """Many at once, in as many threads; the swallowed exception fails its own call only."""
    post = make()
    with ThreadPoolExecutor(4) as clients:
        list(clients.map(lambda number: post(str(number)), range(40)))
    spans = {span.attributes[attributes.REQUEST]: span for span in recorded.spans()}
    assert len(spans) == 40
    for number in range(40):
        span = spans[str(number)]
        lines = span.attributes[attributes.PRINTS]
        if number % 2:
            assert lines == (f"got={number}", f"{number} is odd")
            (event,) = span.events
            assert event.attributes["exception.type"] == "ValueError"
            assert event.attributes["exception.message"] == f"{number} is odd"
        else:
            assert lines == (f"got={number}",)
            assert not span.events
