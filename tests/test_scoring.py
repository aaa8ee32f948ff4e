"""Scorings from model code: `scoring_span()` and `@scored`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import subprocess
import sys
import threading
import time
import traceback
import uuid

import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import scorespan
from scorespan import attributes, producer, provider
from scorespan.errors import ConversionError

REQUEST = '{"fields":["a"],"values":[[1]]}'
RESPONSE = '{"fields":["p"],"values":[[0]]}'


class SpeechlessError(Exception):
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")


# scoring_span


def test_a_scoring_becomes_a_record(recorded):
    """Request and response arrive as they were, with an id that names the trace."""
    with scorespan.scoring_span(REQUEST) as scoring:
        scoring.set_response(RESPONSE)
    record = recorded.record()
    assert record.request == REQUEST.encode()
    assert record.response == RESPONSE.encode()
    assert record.scoring_id == scoring.id
    context = recorded.spans()[0].get_span_context()
    assert scoring.id == f"{context.trace_id:032x}{context.span_id:016x}"
    assert len(scoring.id) == 48


def test_everything_a_caller_names_arrives(recorded):
    """Ids, model, version, client and feature names stand on the record."""
    with scorespan.scoring_span(
        [[1, 2]],
        scoring_id="mine",
        subscription_id="s",
        deployment_id="d",
        binding_id="b",
        model="m",
        model_version="7",
        client_id="c",
        feature_names=["age", "income"],
    ) as scoring:
        scoring.set_response([0.5])
    record = recorded.record()
    assert scoring.id == record.scoring_id == "mine"
    assert (record.subscription_id, record.deployment_id, record.binding_id) == ("s", "d", "b")
    assert record.extras["model"] == "m"
    assert record.extras["model_version"] == "7"
    assert record.extras["client_id"] == "c"
    assert json.loads(record.request) == {"fields": ["age", "income"], "values": [[1, 2]]}
    assert json.loads(record.response) == {"fields": ["prediction"], "values": [[0.5]]}
    assert recorded.spans()[0].attributes[attributes.FEATURE_NAMES] == ("age", "income")


def test_ids_may_be_any_value_with_a_text(recorded):
    """A UUID, a number and numpy's text are the ids that they read as."""
    given = uuid.UUID(int=7)
    with scorespan.scoring_span(
        REQUEST, scoring_id=given, model_version=3, client_id=np.str_("c")
    ) as scoring:
        scoring.set_response(RESPONSE)
    record = recorded.record()
    assert scoring.id == record.scoring_id == str(given)
    assert record.extras["model_version"] == "3"
    assert record.extras["client_id"] == "c"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array(["a", "b"]), ("a", "b")),
        ((name for name in "ab"), ("a", "b")),
        ([0, 1], ("0", "1")),
        ("age", ("age",)),
        (5, ("5",)),
    ],
)
def test_feature_names_may_come_in_any_make(recorded, given, expected):
    """Feature names are strings on the span, whatever held them."""
    with scorespan.scoring_span(REQUEST, feature_names=given) as scoring:
        scoring.set_response(RESPONSE)
    assert recorded.record()
    assert recorded.spans()[0].attributes[attributes.FEATURE_NAMES] == expected


def test_an_exception_passes_unchanged_and_makes_a_failed_scoring(recorded):
    """What the model raises is the same object for the caller and the error of the record."""
    error = ValueError("no such model")
    with (
        pytest.raises(ValueError, match="no such model") as caught,
        scorespan.scoring_span(REQUEST),
    ):
        raise error
    assert caught.value is error
    record = recorded.record()
    assert record.failed
    assert record.response is None
    failure = record.extras["error"]
    assert "raise error" in failure.pop("stacktrace")
    assert failure == {"type": "ValueError", "message": "no such model"}


@pytest.mark.parametrize(
    "kind", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError]
)
def test_an_interruption_is_a_failed_scoring_too(recorded, kind):
    """What stops the process or the task goes on, and the scoring has failed."""
    with pytest.raises(kind), scorespan.scoring_span(REQUEST):
        raise kind
    record = recorded.record()
    assert record.failed
    assert kind.__name__ in record.extras["error"]["type"]


def test_an_error_may_be_told(recorded):
    """Code that catches what its model raises can say that the scoring failed."""
    with scorespan.scoring_span(REQUEST) as scoring:
        scoring.set_error(TypeError("bad row"))
        scoring.set_response({"error": "bad row"})
    record = recorded.record()
    assert record.failed
    assert record.extras["error"] == {
        "stacktrace": "TypeError: bad row\n",
        "type": "TypeError",
        "message": "bad row",
        "response": '{"error":"bad row"}',
    }


def test_an_exception_that_cannot_speak_is_named(recorded):
    """An exception whose `str` raises passes unchanged; its type is kept."""
    with pytest.raises(SpeechlessError), scorespan.scoring_span(REQUEST):
        raise SpeechlessError
    assert recorded.record().extras["error"]["type"].endswith(".SpeechlessError")


def test_a_scoring_without_an_answer_says_so(recorded):
    """A block that neither answers nor fails becomes a dead letter with that reason."""
    with scorespan.scoring_span(REQUEST):
        pass
    assert recorded.error().code == "no_response"


def test_a_request_without_json_form_is_not_lost(recorded):
    """A request that cannot be a body is a dead letter with the reason, even if the model fails."""
    with scorespan.scoring_span(object()) as scoring:
        scoring.set_response(RESPONSE)
    with pytest.raises(ValueError, match="x"), scorespan.scoring_span(object()):
        raise ValueError("x")
    for outcome in recorded.outcomes():
        assert isinstance(outcome, ConversionError)
        assert outcome.code == "wrong_attribute"
        assert "object has no JSON form" in outcome.reason
    assert len(recorded.outcomes()) == 2


def test_both_problems_are_told(recorded):
    """Where neither body has a JSON form, the reason names both."""
    with scorespan.scoring_span(object()) as scoring:
        scoring.set_response(1j)
    reason = recorded.error().reason
    assert "request: object" in reason
    assert "response: complex" in reason


def test_a_request_that_can_be_read_once_is_left_to_the_model(recorded):
    """A generator is still whole when the model gets it."""
    rows = iter([[1], [2]])
    with scorespan.scoring_span(rows) as scoring:
        assert list(rows) == [[1], [2]]
        scoring.set_response(RESPONSE)
    assert "read only once" in recorded.error().reason


def test_the_last_answer_counts(recorded):
    """A response set twice is the second one, without the first one's problem or notes."""
    with scorespan.scoring_span(REQUEST) as scoring:
        scoring.set_response(object())
        scoring.set_response(float("nan"))
        scoring.set_response([7])
    with scorespan.scoring_span(REQUEST) as scoring:
        scoring.set_response(float("nan"))
        scoring.set_response(RESPONSE)
    first, second = recorded.outcomes()
    assert json.loads(first.response)["values"] == [[7]]
    assert second.response == RESPONSE.encode()
    assert "notes" not in first.extras
    assert "notes" not in second.extras


def test_what_became_null_is_noted_on_the_record(recorded):
    """The notes of both bodies are kept beside the record."""
    with scorespan.scoring_span([[float("nan")]]) as scoring:
        scoring.set_response([float("inf")])
    assert recorded.record().extras["notes"] == (
        "request: 1 x nan became null",
        "response: 1 x inf became null",
    )


def test_the_request_is_taken_before_the_model_runs(recorded):
    """A model that changes its input in place does not change the record."""
    rows = [[1]]
    with scorespan.scoring_span(rows) as scoring:
        rows[0][0] = 99
        scoring.set_response([0])
    assert json.loads(recorded.record().request)["values"] == [[1]]


def test_ending_twice_is_one_record(recorded):
    """A scoring that is ended by hand and by its block is recorded once; later calls do nothing."""
    with scorespan.scoring_span(REQUEST) as scoring:
        scoring.set_response(RESPONSE)
        scoring.end()
        scoring.set_error(ValueError("too late"))
    assert not recorded.record().failed


def test_the_response_time_ends_with_the_response(recorded):
    """Work after the answer is not the model's time; the clock is the monotonic one."""
    before = time.perf_counter_ns()
    with scorespan.scoring_span(REQUEST) as scoring:
        scoring.set_response(RESPONSE)
        answered = time.perf_counter_ns()
        while time.perf_counter_ns() < answered + 20_000_000:
            pass
    (span,) = recorded.spans()
    assert 0 <= span.end_time - span.start_time <= answered - before
    assert recorded.record().response_time == round((span.end_time - span.start_time) / 1e6)


def test_the_response_time_covers_the_model(recorded):
    """The time between request and answer is what the span lasts."""
    with scorespan.scoring_span(REQUEST) as scoring:
        began = time.perf_counter_ns()
        while time.perf_counter_ns() < began + 5_000_000:
            pass
        scoring.set_response(RESPONSE)
    (span,) = recorded.spans()
    assert span.end_time - span.start_time >= 5_000_000


def test_the_span_is_not_made_current(recorded):
    """A child span of the application keeps its own parent; ours has the same parent."""
    application = TracerProvider(shutdown_on_exit=False).get_tracer("application")
    with (
        application.start_as_current_span("outer") as outer,
        scorespan.scoring_span(REQUEST) as scoring,
    ):
        assert trace.get_current_span() is outer
        with application.start_as_current_span("child") as child:
            assert child.parent.span_id == outer.get_span_context().span_id
        scoring.set_response(RESPONSE)
    (span,) = recorded.spans()
    assert span.parent.span_id == outer.get_span_context().span_id
    assert recorded.record().extras["trace_id"] == f"{outer.get_span_context().trace_id:032x}"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_where_nothing_records_nothing_is_kept():
    """Without an SDK, or where the span is not sampled, a scoring is a no-op of the same face."""
    provider.install(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("t"))
    number = producer.current().next_number()[1]
    with scorespan.scoring_span(object(), scoring_id="mine") as scoring:
        scoring.set_response(object())
        scoring.set_error(ValueError())
    assert not scoring.recording
    assert scoring.id == "mine"
    assert producer.current().last == number


# Our own faults.


def broken(*arguments):
    """Fail as a processor of the application might."""
    raise RuntimeError("broken")


@pytest.mark.parametrize("method", ["on_start", "on_end"])
def test_a_fault_around_the_span_does_not_reach_the_caller(method):
    """Whatever fails on the way of the span, the model's answer is returned."""
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    processor = type("BrokenProcessor", (SpanProcessor,), {method: broken})()
    tracer_provider.add_span_processor(processor)
    provider.install(tracer_provider.get_tracer("t"))

    @scorespan.scored
    def predict(rows):
        return RESPONSE

    assert predict(REQUEST) is RESPONSE


def test_a_stack_that_is_nearly_full_does_not_reach_the_caller(recorded):
    """Once the model has answered, the caller has the answer, however full the stack is."""
    answered = []

    @scorespan.scored
    def predict(rows):
        answered.append(len(rows))
        return [1]

    def descend(levels):
        return predict([1]) if levels == 0 else descend(levels - 1)

    room = sys.getrecursionlimit() - len(inspect.stack())
    seen = []
    for levels in range(room - 80, room):
        answered.clear()
        try:
            seen.append(descend(levels))
        except RecursionError:
            assert not answered
    assert [1] in seen


# Numbers.


def test_numbers_have_no_gap_under_threads(recorded):
    """Many threads together use each number once."""
    first = producer.current().next_number()[1] + 1

    def score():
        for _ in range(50):
            with scorespan.scoring_span(REQUEST) as scoring:
                scoring.set_response(RESPONSE)

    threads = [threading.Thread(target=score) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [span.attributes for span in recorded.spans()]
    numbers = sorted(attributes_[attributes.SEQUENCE] for attributes_ in found)
    assert numbers == list(range(first, first + 400))
    assert len({attributes_[attributes.PRODUCER_ID] for attributes_ in found}) == 1
    assert producer.current().last == first + 399


# @scored on functions.


def test_the_bare_decorator_records_a_call(recorded):
    """The first argument is the request and the result the response; the result is untouched."""
    answer = np.array([0.25, 0.75])

    @scorespan.scored
    def predict(rows, threshold=0.5):
        """Say what will be."""
        return answer

    assert predict([[1], [2]], threshold=0.1) is answer
    record = recorded.record()
    assert json.loads(record.request)["values"] == [[1], [2]]
    assert json.loads(record.response)["values"] == [[0.25], [0.75]]


def test_the_function_keeps_its_face(recorded):
    """Name, documentation, signature and the function itself stay visible."""

    def predict(rows: list, threshold: float = 0.5) -> list:
        """Say what will be."""
        return rows

    wrapped = scorespan.scored(model="m")(predict)
    assert wrapped.__name__ == "predict"
    assert wrapped.__doc__ == "Say what will be."
    assert inspect.signature(wrapped) == inspect.signature(predict)
    assert wrapped.__wrapped__ is predict
    assert wrapped.__module__ == __name__


def test_the_decorator_takes_what_scoring_span_takes(recorded):
    """Arguments of the decorator stand on every record."""

    @scorespan.scored(subscription_id="credit", model="m", feature_names=iter(["age"]))
    def predict(rows):
        return [1]

    predict([[31]])
    predict([[45]])
    for record in recorded.outcomes():
        assert record.subscription_id == "credit"
        assert record.extras["model"] == "m"
        assert json.loads(record.request)["fields"] == ["age"]


def test_a_wrong_argument_of_the_decorator_is_said_at_once():
    """A word that `scoring_span` does not know raises where it is written."""
    with pytest.raises(TypeError, match="no argument 'subscription'"):
        scorespan.scored(subscription="credit")


def test_ids_may_be_computed_from_the_call(recorded):
    """A callable scoring id or client id gets the call's arguments."""

    def name_scoring(rows, user):
        return f"{user}-1"

    def name_client(rows, user):
        return user

    @scorespan.scored(scoring_id=name_scoring, client_id=name_client)
    def predict(rows, user):
        return [1]

    predict([[1]], user="ann")
    record = recorded.record()
    assert record.scoring_id == "ann-1"
    assert record.extras["client_id"] == "ann"


def test_the_request_may_be_computed_from_the_call(recorded):
    """`request=` gets the call's arguments and names the request."""

    def body_of(http, *, model):
        return http["body"]

    @scorespan.scored(request=body_of)
    def predict(http, *, model):
        return [1]

    predict({"body": [[5]]}, model="m")
    assert json.loads(recorded.record().request)["values"] == [[5]]


@pytest.mark.parametrize("error", [KeyError("body"), SpeechlessError()])
def test_a_request_that_cannot_be_computed_does_not_stop_the_model(recorded, error):
    """The scoring runs, and its dead letter says what went wrong."""

    def fail(rows):
        raise error

    @scorespan.scored(request=fail)
    def predict(rows):
        return [1]

    assert predict([[1]]) == [1]
    assert recorded.error().code == "wrong_attribute"
    assert type(error).__name__ in recorded.error().reason


def test_an_id_that_cannot_be_computed_does_not_stop_the_model(recorded):
    """A failing callable for an id leaves a dead letter with the reason."""

    @scorespan.scored(client_id=lambda rows: rows["nobody"])
    def predict(rows):
        return [1]

    assert predict([[1]]) == [1]
    assert "TypeError" in recorded.error().reason


@pytest.mark.parametrize(
    "call",
    [
        lambda predict: predict([[3]], 1),
        lambda predict: predict(rows=[[3]], threshold=1),
        lambda predict: predict(threshold=1, rows=[[3]]),
        lambda predict: predict([[3]], threshold=1),
    ],
)
def test_keywords_are_found(recorded, call):
    """The request is found however the call passes it."""

    @scorespan.scored
    def predict(rows, threshold):
        return [threshold]

    assert call(predict) == [1]
    assert json.loads(recorded.record().request)["values"] == [[3]]


def test_a_lone_keyword_of_any_name_is_the_request(recorded):
    """A function that takes any keywords, called with one, was asked that one."""

    @scorespan.scored
    def predict(**inputs):
        return [1]

    predict(rows=[[3]])
    assert json.loads(recorded.record().request)["values"] == [[3]]


def test_a_call_without_a_request_says_so(recorded):
    """A call with nothing to record runs, and its dead letter says why."""

    @scorespan.scored
    def predict():
        return [1]

    assert predict() == [1]
    assert "no first argument" in recorded.error().reason


def test_methods_of_every_kind_are_recorded(recorded):
    """`self` and `cls` are not the request, and the order of the decorators does not matter."""

    class Model:
        """A model with every kind of method."""

        @scorespan.scored
        def plain(self, rows):
            assert isinstance(self, Model)
            return rows

        @classmethod
        @scorespan.scored
        def inner_class(cls, rows):
            assert cls is Model
            return rows

        @scorespan.scored
        @classmethod
        def outer_class(cls, rows):
            assert cls is Model
            return rows

        @staticmethod
        @scorespan.scored
        def inner_static(rows):
            return rows

        @scorespan.scored(model="m")
        @staticmethod
        def outer_static(rows):
            return rows

        async def slow(self, rows):
            return rows

        slow_static = scorespan.scored(staticmethod(slow))

    rows = [[1]]
    model = Model()
    calls = [model.plain, model.inner_class, Model.outer_class, model.inner_static]
    calls += [Model.outer_static, model.outer_static, scorespan.scored(model.plain)]
    for call in calls:
        assert call(rows) is rows
    assert asyncio.run(model.slow_static(model, rows)) is rows
    assert [json.loads(record.request)["values"] for record in recorded.outcomes()] == [[[1]]] * 9


def test_other_callables_are_recorded(recorded):
    """A partial, an object that can be called and a function written in C are functions too."""

    class Predictor:
        """An object that can be called."""

        def __call__(self, rows):
            return rows

    def predict(threshold, rows):
        return rows

    rows = [[1]]
    assert scorespan.scored(functools.partial(predict, 0.5))(rows) is rows
    assert scorespan.scored(Predictor())(rows) is rows
    assert scorespan.scored(max)([3, 4]) == 4
    assert [json.loads(outcome.request)["values"] for outcome in recorded.outcomes()] == [
        [[1]], [[1]], [[3, 4]],
    ]  # fmt: skip


def test_what_a_function_raises_is_the_same_object(recorded):
    """The exception keeps its identity, its cause and the frame that raised it."""
    cause = OSError("disk")
    error = RuntimeError("model")

    @scorespan.scored
    def predict(rows):
        raise error from cause

    with pytest.raises(RuntimeError) as caught:
        predict(REQUEST)
    assert caught.value is error
    assert caught.value.__cause__ is cause
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "predict"
    failure = recorded.record().extras["error"]
    assert "OSError: disk" in failure.pop("stacktrace")
    assert failure == {"type": "RuntimeError", "message": "model"}


# Coroutines.


def test_a_coroutine_is_recorded(recorded):
    """A coroutine function stays one, and its scoring ends with its result."""

    @scorespan.scored
    async def predict(rows):
        await asyncio.sleep(0)
        return rows

    assert inspect.iscoroutinefunction(predict)
    rows = [[1]]
    assert asyncio.run(predict(rows)) is rows
    assert json.loads(recorded.record().response)["values"] == [[1]]


def test_concurrent_tasks_do_not_mix(recorded):
    """Each task's scoring holds its own request, answer and parent, whatever order they end in."""
    application = TracerProvider(shutdown_on_exit=False).get_tracer("application")
    parents = {}

    def name_client(rows, turn):
        return rows[0][0]

    @scorespan.scored(client_id=name_client)
    async def predict(rows, turn):
        for _ in range(turn):
            await asyncio.sleep(0)
        return [rows[0][0] * 10]

    async def serve(number):
        with application.start_as_current_span(f"request {number}") as span:
            parents[str(number)] = f"{span.get_span_context().trace_id:032x}"
            await predict([[number]], 20 - number)

    async def all_of_them():
        await asyncio.gather(*(serve(number) for number in range(20)))

    asyncio.run(all_of_them())
    assert len(recorded.outcomes()) == 20
    for record in recorded.outcomes():
        client = record.extras["client_id"]
        assert json.loads(record.request)["values"] == [[int(client)]]
        assert json.loads(record.response)["values"] == [[int(client) * 10]]
        assert record.extras["trace_id"] == parents[client]


def test_a_task_that_is_cancelled_is_a_failed_scoring(recorded):
    """Cancelling reaches the model and the caller, and the record says so."""

    @scorespan.scored
    async def predict(rows):
        await asyncio.Event().wait()

    async def leave():
        task = asyncio.create_task(predict(REQUEST))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave())
    assert "CancelledError" in recorded.record().extras["error"]["type"]


# Generators.


def test_a_generator_ends_with_its_last_item(recorded):
    """The scoring ends when the items do; text items are one text."""

    @scorespan.scored
    def stream(rows):
        yield '{"fields":["p"],'
        assert not recorded.spans()
        yield '"values":[[1]]}'

    assert inspect.isgeneratorfunction(stream)
    assert "".join(stream([[1]])) == '{"fields":["p"],"values":[[1]]}'
    assert recorded.record().response == b'{"fields":["p"],"values":[[1]]}'


def test_items_of_bytes_are_one_body(recorded):
    """A stream of bytes is joined as a stream of text is."""

    @scorespan.scored
    def stream(rows):
        yield RESPONSE[:9].encode()
        yield RESPONSE[9:].encode()

    list(stream(REQUEST))
    assert recorded.record().response == RESPONSE.encode()


def test_other_items_are_the_rows_of_the_response(recorded):
    """Items that are values become the list of the items."""

    @scorespan.scored
    def stream(rows):
        for row in rows:
            yield row[0] * 2

    assert list(stream([[1], [2]])) == [2, 4]
    assert json.loads(recorded.record().response)["values"] == [[2], [4]]


def test_a_generator_hears_what_is_sent_and_thrown(recorded):
    """`send`, `throw` and the return value pass through unchanged."""
    heard = []

    @scorespan.scored
    def stream(rows):
        heard.append((yield 1))
        try:
            yield 2
        except KeyError as error:
            heard.append(error)
        yield 3
        return "done"

    running = stream([[1]] * 3)
    thrown = KeyError("x")
    assert next(running) == 1
    assert running.send("sent") == 2
    assert running.throw(thrown) == 3
    with pytest.raises(StopIteration) as ended:
        next(running)
    assert ended.value.value == "done"
    assert heard == ["sent", thrown]
    assert json.loads(recorded.record().response)["values"] == [[1], [2], [3]]


def test_what_a_generator_raises_is_the_same_object(recorded):
    """An exception between two items is the caller's and makes a failed scoring."""
    error = ValueError("row 2")

    @scorespan.scored
    def stream(rows):
        yield 1
        raise error

    running = stream(REQUEST)
    next(running)
    with pytest.raises(ValueError, match="row 2") as caught:
        next(running)
    assert caught.value is error
    assert recorded.record().failed


def test_what_is_thrown_and_not_caught_comes_back(recorded):
    """An exception thrown at the generator passes through it."""
    error = ValueError("stop")

    @scorespan.scored
    def stream(rows):
        yield 1

    running = stream(REQUEST)
    next(running)
    with pytest.raises(ValueError, match="stop") as caught:
        running.throw(error)
    assert caught.value is error
    assert recorded.record().failed


def test_a_caller_who_leaves_early_is_noted(recorded):
    """A stream closed before its end is no failure; the record has what was sent and says so."""
    closed = []

    @scorespan.scored
    def stream(rows):
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    running = stream([[1]])
    next(running)
    running.close()
    assert closed == [True]
    record = recorded.record()
    assert not record.failed
    assert json.loads(record.response)["values"] == [[1]]
    assert list(record.extras["notes"]) == ["response: the caller left before the last item"]


def test_a_generator_that_is_forgotten_is_closed(recorded):
    """A stream that nobody reads on ends when it is collected."""

    @scorespan.scored
    def stream(rows):
        yield 1
        yield 2

    for _ in stream([[1]]):
        break
    assert not recorded.record().failed


def test_an_exit_thrown_at_a_generator_comes_back(recorded):
    """GeneratorExit thrown by hand ends the generator as it would without us."""

    @scorespan.scored
    def stream(rows):
        yield 1

    running = stream([[1]])
    next(running)
    with pytest.raises(GeneratorExit):
        running.throw(GeneratorExit)
    assert len(recorded.spans()) == 1


def test_a_generator_nobody_reads_is_no_scoring(recorded):
    """The model has not run before the first item is asked for."""

    @scorespan.scored
    def stream(rows):
        yield 1

    stream(REQUEST).close()
    assert recorded.spans() == []


def test_an_asynchronous_generator_ends_with_its_last_item(recorded):
    """An asynchronous generator stays one; its items pass, and the scoring ends with them."""
    heard = []

    @scorespan.scored
    async def stream(rows):
        heard.append((yield 1))
        try:
            yield 2
        except KeyError as error:
            heard.append(error)
        yield 3

    assert inspect.isasyncgenfunction(stream)

    async def read():
        running = stream([[1]] * 3)
        thrown = KeyError("x")
        assert await anext(running) == 1
        assert await running.asend("sent") == 2
        assert await running.athrow(thrown) == 3
        assert [item async for item in running] == []
        assert heard == ["sent", thrown]

    asyncio.run(read())
    assert json.loads(recorded.record().response)["values"] == [[1], [2], [3]]


def test_an_asynchronous_generator_closed_early_is_noted(recorded):
    """A client that disconnects from a stream leaves a record with what it got."""
    closed = []

    @scorespan.scored
    async def stream(rows):
        try:
            yield "[1"
            yield "]"
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def read():
        running = stream(REQUEST)
        await anext(running)
        await running.aclose()

    asyncio.run(read())
    assert closed == [True]
    (span,) = recorded.spans()
    assert span.attributes[attributes.RESPONSE] == "[1"
    assert span.attributes[attributes.NOTES] == ("response: the caller left before the last item",)


def test_an_asynchronous_generator_that_fails_is_a_failed_scoring(recorded):
    """An exception of the stream is the caller's, and the record's error."""
    error = ValueError("row 2")

    @scorespan.scored
    async def stream(rows):
        yield 1
        raise error

    async def read():
        return [item async for item in stream(REQUEST)]

    with pytest.raises(ValueError, match="row 2") as caught:
        asyncio.run(read())
    assert caught.value is error
    assert recorded.record().failed


# Without an SDK.

ALONE = """
import sys

ALLOWED = {"opentelemetry", "scorespan", "typing_extensions", "importlib_metadata", "deprecated",
           "wrapt", "zipp"}

class Forbid:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        forbidden = name.startswith("opentelemetry.") and name.split(".")[1] in {"sdk", "exporter"}
        if forbidden or top in {"orjson", "requests", "urllib3", "numpy", "pandas", "msgspec"}:
            raise ImportError("forbidden: " + name)

sys.meta_path.insert(0, Forbid())
import asyncio
import scorespan

@scorespan.scored(model="m", feature_names=["a"])
def predict(rows):
    return rows

@scorespan.scored
async def slow(rows):
    return rows

@scorespan.scored
def stream(rows):
    yield from rows

rows = [[1]]
assert predict(rows) is rows
assert asyncio.run(slow(rows)) is rows
assert list(stream(rows)) == rows
with scorespan.scoring_span(object(), scoring_id="x") as scoring:
    scoring.set_response(object())
assert not scoring.recording
try:
    with scorespan.scoring_span(object()):
        raise KeyError
except KeyError:
    pass
loaded = {name.partition(".")[0] for name in sys.modules}
foreign = loaded - ALLOWED - set(sys.stdlib_module_names)
print(sorted(name for name in foreign if not name.startswith(("_", "site", "sitecustomize"))))
"""


def test_the_api_alone_is_enough():
    """Importing scorespan and scoring with it needs the OpenTelemetry API and nothing else."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
