"""The dialects beside each other: each knows its own bodies, and none stumbles over another's."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from native_bodies import CSV, JSON, LINES, native
from scorespan import dialects
from scorespan.dialects import Native
from scorespan.dialects.detector import BY_NAME, detected
from scorespan.errors import ConversionError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
NAMES = st.lists(st.sampled_from(["age", "sex", "ä b", "x,y", "amount"]), min_size=2, unique=True)


@st.composite
def scorings(draw: st.DrawFn, name: str) -> Native:
    """A scoring in a dialect's own words, of the same rows in any of its forms."""
    names = draw(NAMES)
    row = st.lists(VALUES, min_size=len(names), max_size=len(names))
    rows = draw(st.lists(row, min_size=1, max_size=4))
    return FORMS[name](draw, names, rows)


def fields_values(draw, names, rows):
    """Fields/values, as they are or wrapped."""
    body = {"fields": names, "values": rows}
    answer = {"fields": ["p"], "values": [[0]] * len(rows)}
    wrapped = {"input_data": [body]}, {"predictions": [answer]}
    return native(*draw(st.sampled_from([(body, answer), wrapped])))


def azure_studio(draw, names, rows):
    """The classic web service in both forms."""
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    table = {"ColumnNames": names, "Values": rows}
    answers = {"Results": {"output1": [{"Scored Labels": "1"}] * len(rows)}}
    return native({"Inputs": {"input1": draw(st.sampled_from([objects, table]))}}, answers)


def azure_service(draw, names, rows):
    """A script's rows."""
    rows = draw(st.sampled_from([rows, [dict(zip(names, row, strict=True)) for row in rows]]))
    answer = draw(st.sampled_from([[0] * len(rows), json.dumps({"result": [0] * len(rows)})]))
    return native({draw(st.sampled_from(["data", "input"])): rows}, json.dumps(answer))


def objects(draw, names, rows):
    """Rows of a service of one's own."""
    items = [dict(zip(names, row, strict=True)) for row in rows]
    return native(items, {"output": [0] * len(rows)})


def text(draw, names, rows):
    """A prompt, or no JSON at all."""
    prompt = {"prompt": draw(TEXTS), "max_tokens": 5}
    chat = {"messages": [{"role": "user", "content": draw(TEXTS)}]}
    bodies = [
        (prompt, JSON),
        (chat, JSON),
        ({"inputs": draw(TEXTS)}, JSON),
        ("how, why?", "text/plain"),
    ]
    body, kind = draw(st.sampled_from(bodies))
    return native(body, {"choices": ["because"]}, sent=kind)


def sagemaker_csv(draw, names, rows):
    """Lines of numbers."""
    line = st.lists(NUMBERS, min_size=len(names), max_size=len(names))
    body = "\n".join(",".join(map(str, draw(line))) for _ in rows)
    answer, kind = draw(st.sampled_from(sagemaker_answers(len(rows))))
    return native(body, answer, sent=CSV, answered=kind)


def sagemaker_json(draw, names, rows):
    """Features, wrapped or in lines, and bare rows."""
    items = [{"features": row} for row in rows]
    bodies = [
        ({"instances": items}, JSON),
        ("\n".join(map(json.dumps, items)), LINES),
        (rows, JSON),
    ]
    body, kind = draw(st.sampled_from(bodies))
    answer, answered = draw(st.sampled_from(sagemaker_answers(len(rows))))
    return native(body, answer, sent=kind, answered=answered)


def sagemaker_answers(rows):
    """An endpoint's answer in its formats."""
    items = [{"score": 0.5, "predicted_label": 1}] * rows
    return [
        ({"predictions": items}, JSON),
        ("\n".join(map(json.dumps, items)), LINES),
        ("1,0.5\n" * rows, CSV),
    ]


def mlflow(draw, names, rows):
    """Data frames."""
    frame = {"columns": names, "data": rows}
    records = [dict(zip(names, row, strict=True)) for row in rows]
    lines = "\n".join(["h1,h2", *("1,2" for _ in rows)])
    bodies = [
        ({"dataframe_split": frame, "params": {}}, JSON),
        ({"dataframe_records": records}, JSON),
        ({"input_data": frame}, JSON),
        (frame, JSON),
        (lines, CSV),
    ]
    body, kind = draw(st.sampled_from(bodies))
    return native(body, {"predictions": [0] * len(rows)}, sent=kind)


def kserve(draw, names, rows):
    """Instances, or inputs by column."""
    records = [dict(zip(names, row, strict=True)) for row in rows]
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    bodies = [{"instances": rows}, {"instances": records}, {"inputs": columns}, {"inputs": rows}]
    member = draw(st.sampled_from(["predictions", "outputs"]))
    return native(draw(st.sampled_from(bodies)), {member: [0] * len(rows)})


def open_inference(draw, names, rows):
    """One tensor for each column, or one for all."""
    one = {"name": "x", "shape": [len(rows), len(names)], "datatype": "BYTES", "data": rows}
    several = [
        {"name": name, "shape": [len(rows), 1], "datatype": "BYTES", "data": list(column)}
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    ]
    answer = {"name": "y", "shape": [len(rows)], "datatype": "INT64", "data": [0] * len(rows)}
    return native({"inputs": draw(st.sampled_from([[one], several]))}, {"outputs": [answer]})


FORMS = {
    form.__name__: form
    for form in (
        fields_values,
        azure_studio,
        azure_service,
        objects,
        text,
        sagemaker_csv,
        sagemaker_json,
        mlflow,
        kserve,
        open_inference,
    )
}


def test_every_dialect_takes_part():
    """A new dialect is held against all others."""
    assert FORMS.keys() == BY_NAME.keys()


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=60)
@given(st.data())
def test_a_dialect_recognises_its_own(name, data):
    """What is written as a dialect writes it is detected as that dialect, and becomes a record."""
    scoring = data.draw(scorings(name))
    assert name == detected(scoring).NAME
    bodies = dialects.read(None, scoring)
    assert not isinstance(bodies, ConversionError), bodies
    assert bodies.failure is None
    assert_is_a_record(bodies)


@pytest.mark.parametrize("reader", FORMS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_dialect_stumbles_over_another(reader, data):
    """Whatever is sent and answered, a dialect makes a record of it, or says why it does not."""
    sent = data.draw(st.sampled_from(list(FORMS)).flatmap(scorings))
    answered = data.draw(st.sampled_from(list(FORMS)).flatmap(scorings))
    scoring = Native(sent.request, answered.response, *data.draw(SETTINGS))
    bodies = dialects.read(reader, scoring)
    if not isinstance(bodies, ConversionError):
        assert_is_a_record(bodies)


SETTINGS = st.tuples(*[st.none() | st.just(("a", "b")) | st.just(("a",))] * 2)


def assert_is_a_record(bodies):
    """The bodies are fields/values, row for row, as the strictest reader of them wants it."""
    response = None if bodies.response is None else bytes(bodies.response)
    exact = dialects.as_they_are(None, bytes(bodies.request), response)
    assert exact is not None
    assert exact.rows == bodies.rows
