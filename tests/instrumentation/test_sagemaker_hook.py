"""What the SageMaker hook reads and gives; `tests/servers` has the real toolkit and server."""

from __future__ import annotations

import traceback
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan import attributes
from scorespan.instrumentation import gate, guard, mms, sagemaker, switch
from scorespan.instrumentation.exchange import Exchange, running
from scorespan.settings import Settings


class Request:
    """A request processor, and the status and headers of its answer."""

    def __init__(self, **headers):
        self.headers = headers

    def get_request_properties(self):
        """The request's headers."""
        return self.headers


class Context:
    """A batch's context, as far as the hook asks."""

    model_name = "churn"

    def __init__(self, *requests, status=200):
        self.request_processor = requests
        self.request_ids = dict(enumerate(f"id-{number}" for number, _ in enumerate(requests)))
        self.status = status

    def get_response_status(self, _index):
        """The status and its phrase."""
        return self.status, None

    def get_response_headers(self, index):
        """Of the first answer only, as with the toolkit."""
        return {} if index else {"content-type": "text/csv"}


@pytest.fixture
def transformer(capture):
    """An instrumented transformer whose answer, or error, is what it is given."""

    class Transformer:
        """The part of the toolkit's class that is instrumented."""

        def __init__(self, answer):
            self.answer = answer

        def transform(self, data, context):
            """The answer; an error is raised."""
            return self.answer(data, context)

    sagemaker.instrument(SimpleNamespace(Transformer=Transformer))
    return Transformer


def values(span):
    """What a span says of the two bodies, and who saw it."""
    known = span.attributes
    names = ("request", "response", "hook", "request.id")
    return [known.get(f"scoring.{name}") for name in names]


def test_each_request_is_a_scoring_with_an_answer_of_its_own(transformer, recorded):
    """In their order, with the bytes that the client gets, whatever a handler makes them of."""
    context = Context(
        Request(**{"Content-Type": "text/csv", "X-Amzn-SageMaker-Inference-Id": "mine"}),
        Request(),
        Request(body={"content-type": "text/plain"}),
    )
    data = [{"body": bytearray(b"1,2")}, {"body": "3"}, {"a": b"4"}]
    answers = ["1", b"2", {"score": 3}]
    assert transformer(lambda *_: answers).transform(data, context) is answers
    assert [values(span) for span in recorded.spans()] == [
        ["1,2", "1", "sagemaker", "mine"],
        ["3", "2", "sagemaker", "id-1"],
        ['{\n  "a": "4"\n}', '{\n  "score": 3\n}', "sagemaker", "id-2"],
    ]
    types = [span.attributes.get(attributes.RESPONSE_CONTENT_TYPE) for span in recorded.spans()]
    assert types == ["text/csv"] * 3
    assert all(span.attributes[attributes.MODEL_NAME] == "churn" for span in recorded.spans())
    assert not guard.counted


def test_what_a_handler_changes_later_is_not_what_is_kept(transformer, recorded):
    """The server's buffer may be written again."""
    body = bytearray(b"before")

    def answer(data, _context):
        data[0]["body"][:] = b"behind"
        return ["1"]

    transformer(answer).transform([{"body": body}], Context(Request()))
    assert recorded.spans()[0].attributes[attributes.REQUEST] == "before"


def test_what_a_handler_raises_goes_on_and_is_kept_with_each_request(transformer, recorded):
    """None of them has an answer."""
    error = ValueError("no")

    def answer(*_):
        raise error

    with pytest.raises(ValueError, match="no") as raised:
        transformer(answer).transform([{"body": b"1"}, {"body": b"2"}], Context(*[Request()] * 2))
    assert raised.value is error
    assert [span.status.description for span in recorded.spans()] == ["ValueError: no"] * 2


def test_a_toolkit_within_its_server_is_one_scoring(transformer, recorded):
    """The inner hook names it, the outer one makes the record."""

    class Service:
        """The part of the server's class that is instrumented."""

        def __init__(self, *known):
            self.known = known
            self.entry_point = known[3]

    mms.instrument(SimpleNamespace(Service=Service))
    inner = transformer(lambda *_: ["2"]).transform
    service = Service("m", "/m", None, inner, 0, 1)
    assert (*service.known[:3], *service.known[4:]) == ("m", "/m", None, 0, 1)
    assert service.entry_point([{"body": b"1"}], Context(Request())) == ["2"]
    service = Service("m", "/m", None, entry_point=lambda *_: ["4"], gpu=0, batch_size=1)
    service.entry_point([{"body": b"3"}], Context(Request()))
    assert [values(span)[:3] for span in recorded.spans()] == [
        ["1", "2", "sagemaker"],
        ["3", "4", "multi-model-server"],
    ]


def test_prints_belong_to_a_request_that_is_alone(transformer):
    """Of several nobody knows which one printed."""
    seen = []

    def answer(data, _context):
        seen.append(running.get() is not None)
        return ["1"] * len(data)

    handler = transformer(answer)
    handler.transform([{"body": b"1"}], Context(Request()))
    handler.transform([{"body": b"1"}] * 2, Context(*[Request()] * 2))
    assert seen == [True, False]
    assert running.get() is None


def test_a_scoring_that_another_hook_has_is_not_taken_twice(transformer, recorded):
    """As where an application calls the transformer itself."""
    exchange = Exchange("flask", Settings(), {})
    token = running.set(exchange)
    handler = transformer(lambda *_: ["1"])
    handler.transform([{"body": b"1"}], Context(Request()))
    assert recorded.spans() == []
    exchange.end()
    handler.transform([{"body": b"1"}], Context(Request()))
    running.reset(token)
    assert [values(span)[2] for span in recorded.spans()] == ["flask", "sagemaker"]


@pytest.mark.parametrize("data", [None, [None], [{"body": object()}]])
def test_what_the_hook_cannot_read_is_scored_all_the_same(transformer, recorded, data):
    """It is counted as an error of ours."""
    assert transformer(lambda *_: ["1"]).transform(data, Context(Request())) == ["1"]
    assert recorded.spans() == []
    assert guard.counted["sagemaker"] == 1


def test_with_capture_off_the_handler_is_called_and_nothing_else(transformer, recorded):
    """Whatever it is called with."""
    switch.off()
    assert transformer(lambda *given: given).transform(1, context=2) == (1, 2)
    assert recorded.spans() == []


class OddError(Exception):
    """One with a module, and a text of its own."""

    def __str__(self):
        return "odd: " + str(self.args[0])


MESSAGES = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        "Traceback (most recent call last):\n  File x\nKeyError: 'a'",
        "a\nTraceback (most recent call last):\n  File x\nKeyError: a",
        "KeyError: a",
        "\n",
    ]
)


@given(MESSAGES, st.sampled_from([ValueError, OddError]), st.booleans())
def test_the_error_in_an_answer_is_the_one_that_was_raised(message, kind, chained):
    """Whatever its text holds, and whatever came before it."""
    try:
        try:
            {}["first"]
        except KeyError as first:
            raise kind(message) from (first if chained else None)
    except (ValueError, OddError) as error:
        text, trace = str(error), traceback.format_exc()
    # The toolkit has a text of its own for an error without one.
    found = sagemaker.read_error(f"{text or 'Invalid Request'}\n{trace}")
    name = "ValueError" if kind is ValueError else f"{OddError.__module__}.OddError"
    assert found == (name, text or "Invalid Request", trace)


@pytest.mark.parametrize("answer", ["odd", "", b"odd", {"error": 1}, "Traceback (most recent"])
def test_an_answer_without_a_traceback_is_no_error_of_the_toolkit(answer):
    """Its status alone says that it failed."""
    assert sagemaker.read_error(answer) is None


def test_the_end_of_the_process_waits_for_a_batch_until_it_is_over(transformer, recorded):
    """Its records are made before."""
    before, inside = len(gate.answering), []

    def answer(data, _context):
        inside.append(len(gate.answering) - before)
        return ["1"] * len(data)

    context = Context(Request(), Request())
    transformer(answer).transform([{"body": b"1"}, {"body": b"2"}], context)
    assert inside == [2]
    assert len(gate.answering) == before
    assert len(recorded.spans()) == 2
