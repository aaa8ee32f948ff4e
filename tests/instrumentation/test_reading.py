"""Responses that are seen as they are read, and those that cannot be."""

from __future__ import annotations

import io
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest
import urllib3

from scorespan import attributes
from scorespan.instrumentation import unread
from scorespan.instrumentation.call import Call
from scorespan.instrumentation.exchange import Exchange
from scorespan.instrumentation.reading import undone, watch
from scorespan.settings import Settings


@pytest.fixture(autouse=True)
def none_waits() -> Iterator[None]:
    """Calls that a test drops are recorded by no other."""
    yield
    unread._waiting.clear()


def call() -> Call:
    """A call that is a scoring."""
    return Call(None, Exchange("test", Settings(), {}))


@pytest.mark.parametrize("response", [io.BytesIO(b"x"), object(), None, urllib3.PoolManager()])
def test_what_is_no_response_cannot_be_seen(response):
    """A response of another make stays as it is, and the call knows that nothing is seen."""
    kind = type(response)
    assert not watch(response, call())
    assert type(response) is kind


def test_such_an_answer_is_recorded_without_its_body(recorded):
    """The record says that the body is not there."""
    unseen = call()
    unseen.answered(200)
    unseen.watch(io.BytesIO(b"x"))
    (span,) = recorded.spans()
    assert span.attributes[attributes.NOTES] == ("response: this kind is not captured",)
    assert span.attributes[attributes.RESPONSE] == ""


def test_one_class_is_made_for_each_kind_and_passes_for_it():
    """Responses of a kind share the class, which has its name, and is one of it."""
    first, second = (urllib3.HTTPResponse(io.BytesIO(b"x"), preload_content=False) for _ in "12")
    assert watch(first, call())
    assert watch(second, call())
    assert type(first) is type(second)
    assert isinstance(first, urllib3.HTTPResponse)
    assert not issubclass(type(first), HTTPResponse)
    assert repr(type(first)) == repr(urllib3.HTTPResponse)
    assert first.read() == second.read() == b"x"


def test_a_response_that_is_seen_no_longer_reads_on(recorded):
    """After its record a response is read as any other."""
    response = urllib3.HTTPResponse(io.BytesIO(b"x"), preload_content=False)
    seen = call()
    seen.answered(200)
    seen.watch(response)
    assert response.read() == b"x"
    assert response.read() == b""
    assert list(response.stream()) == []
    response.close()
    (span,) = recorded.spans()
    assert span.attributes[attributes.RESPONSE] == "x"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [(None, True), ("gzip", True), ("GZIP , deflate", True), ("gzip, other", False), ("x", False)],
)
def test_a_coding_is_undone_by_who_knows_it(encoding, expected):
    """Only where a client knows all codings nothing is left of them."""
    assert undone(encoding, ["gzip", "deflate"]) is expected
