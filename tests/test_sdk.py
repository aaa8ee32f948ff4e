"""The SDK door: `configure()`, the span processor, the span exporter."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import subprocess
import sys
import textwrap
import threading

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

import scorespan
import scorespan.sdk
from scorespan import attributes, provider
from scorespan.errors import SettingsError
from scorespan.reconcile import read_account
from scorespan.settings import Settings
from scorespan.testing import ScriptedMart

REQUEST = '{"fields":["a"],"values":[[1.10]]}'
RESPONSE = '{"fields":["p"],"values":[[12345678901234567890123456789]]}'


@pytest.fixture
def door(scripted_mart, tmp_path):
    """Settings of a door towards the scripted mart."""
    yield {**scripted_mart.settings, "spool_dir": tmp_path / "spool"}
    scorespan.shutdown()


def score(request: object = REQUEST, response: object = RESPONSE, **ids: object) -> str:
    """One scoring; its id."""
    with scorespan.scoring_span(request, **ids) as scoring:
        scoring.set_response(response)
    return scoring.id


# Switching payload logging on and off.


def test_a_scoring_reaches_the_mart(configured):
    """What is scored is stored, its bodies byte for byte."""
    scoring_id = score(model="m")
    record = configured.record()
    assert record["scoring_id"] == scoring_id
    assert record["subscription_id"] == "subscription"
    assert record["deployment_id"] == "generic_deployment"
    assert record["scorespan"]["model"] == "m"
    (post,) = configured.mart.posts
    assert f'"request":{REQUEST}'.encode() in post
    assert f'"response":{RESPONSE}'.encode() in post


def test_ids_of_the_settings_fill_what_a_scoring_leaves_open(configure, scripted_mart):
    """The span's own id wins, then the resource's, then the settings'."""
    configure(subscription_id="settings", deployment_id="d", binding_id="b")
    score(scoring_id="1")
    score(scoring_id="2", subscription_id="span", deployment_id="own", binding_id="own")
    assert scorespan.flush(30)
    first, second = scripted_mart.stored["1"], scripted_mart.stored["2"]
    names = ("subscription_id", "deployment_id", "binding_id")
    assert [first[name] for name in names] == ["settings", "d", "b"]
    assert [second[name] for name in names] == ["span", "own", "own"]


def test_ids_of_the_environments_resource_win_over_the_settings(
    configure, scripted_mart, monkeypatch
):
    """`OTEL_RESOURCE_ATTRIBUTES` says what this process is; the settings are for the rest."""
    monkeypatch.setenv(
        "OTEL_RESOURCE_ATTRIBUTES", f"{attributes.SUBSCRIPTION_ID}=resource,service.name=svc"
    )
    configure(subscription_id="settings", deployment_id="d")
    score(scoring_id="1")
    assert scorespan.flush(30)
    record = scripted_mart.stored["1"]
    assert (record["subscription_id"], record["deployment_id"]) == ("resource", "d")
    assert record["scorespan"]["service_name"] == "svc"


def test_a_scoring_that_cannot_be_a_record_is_dead_lettered(configured):
    """Nothing is silently gone: the letter has the reason and the ids."""
    scoring_id = score(request="no json", model="m")
    (letter,) = configured.dead_letters()
    assert letter.code == "invalid_json"
    assert letter.scoring_id == scoring_id
    assert letter.subscription_id == "subscription"
    assert configured.records() == []


def test_a_request_callable_that_fails_is_dead_lettered(configured):
    """The model runs, and the dead letter says what went wrong before it."""

    def fail(rows):
        raise KeyError("body")

    @scorespan.scored(request=fail)
    def predict(rows):
        return [1]

    assert predict([[1]]) == [1]
    (letter,) = configured.dead_letters()
    assert letter.code == "wrong_attribute"
    assert "KeyError while it was taken from the call: 'body'" in letter.reason


def test_a_failed_scoring_reaches_the_mart(configured):
    """Our own mart keeps failed scorings with a null response and the error."""
    with pytest.raises(ValueError, match="bad"), scorespan.scoring_span(REQUEST):
        raise ValueError("bad \ud800 row")
    record = configured.record()
    assert record["response"] is None
    assert record["scorespan"]["status"] == "error"
    assert record["scorespan"]["error"]["type"] == "ValueError"
    assert "row" in record["scorespan"]["error"]["message"]


def test_the_numbers_of_a_process_are_gapless_in_the_mart(configured):
    """Producer and sequence of every record tell whether one is missing."""

    def many():
        for _ in range(25):
            score()

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    extras = [record["scorespan"] for record in configured.records()]
    numbers = sorted(extra["sequence"] for extra in extras)
    assert numbers == list(range(numbers[0], numbers[0] + 100))
    assert len({extra["producer"] for extra in extras}) == 1


def test_the_provider_is_private(configured):
    """Nothing global is set, and no span is made current."""
    with scorespan.scoring_span(REQUEST) as scoring:
        assert trace.get_current_span() is trace.INVALID_SPAN
        scoring.set_response(RESPONSE)
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "0"),
    ],
)
def test_no_limit_of_the_application_touches_a_record(
    configure, scripted_mart, variable, value, monkeypatch
):
    """Neither a sampler nor a limit of the environment cuts or drops a record."""
    monkeypatch.setenv(variable, value)
    configure()
    score(scoring_id="good", model="m", client_id="c")
    with pytest.raises(ValueError, match="bad"), scorespan.scoring_span(REQUEST, scoring_id="bad"):
        raise ValueError("bad row")
    assert scorespan.flush(30)
    good, bad = scripted_mart.stored["good"], scripted_mart.stored["bad"]
    assert good["request"] == json.loads(REQUEST)
    assert good["scorespan"]["client_id"] == "c"
    error = bad["scorespan"]["error"]
    assert (error["type"], error["message"]) == ("ValueError", "bad row")


def test_an_unsampled_trace_is_recorded(configured):
    """A parent that is not sampled hides no record; ids are those of its trace."""
    parent = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(0))
    with use_span(NonRecordingSpan(parent)):
        score()
    assert configured.record()["scorespan"]["trace_id"] == f"{0xABC:032x}"


def test_ids_are_unique_although_the_model_seeds_the_random_source(configured):
    """A model that seeds `random` for each request gives no two scorings one id."""
    state = random.getstate()
    try:
        ids = set()
        for _ in range(50):
            random.seed(1)
            ids.add(score())
    finally:
        random.setstate(state)
    assert len(ids) == 50
    assert {record["scoring_id"] for record in configured.records()} == ids


def test_nothing_is_opened_before_the_first_scoring(configure, tmp_path):
    """A process may configure before it forks: no directory, no file, no thread."""
    before = set(threading.enumerate())
    configure()
    assert list((tmp_path / "spool").rglob("*.seg*")) == []
    mine = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in mine if name.startswith("scorespan")}


def test_configuring_again_ends_the_former_configuration(configure, scripted_mart, tmp_path):
    """What was scored before goes to the former mart, what comes after to the new one."""
    with ScriptedMart() as other:
        configure()
        score(scoring_id="before")
        scorespan.configure(**other.settings, spool_dir=tmp_path / "other")
        score(scoring_id="after")
        assert scorespan.flush(30)
        assert set(scripted_mart.stored) == {"before"}
        assert set(other.stored) == {"after"}
        scorespan.shutdown()


@pytest.mark.parametrize(
    ("wrong", "variable"),
    [
        ({"data_mart_url": "mart"}, "SCORESPAN_DATA_MART_URL"),
        ({"data_mart_url": "http://mart.example.com"}, "SCORESPAN_DATA_MART_URL"),
        ({"password": "p"}, "SCORESPAN_USERNAME"),
        ({"mystery": 1}, "SCORESPAN_MYSTERY"),
        ({"spool_dir": "/dev/null/spool"}, "SCORESPAN_SPOOL_DIR"),
    ],
)
def test_wrong_settings_leave_the_former_configuration(configured, configure, wrong, variable):
    """A refused `configure` names the variable and changes nothing."""
    with pytest.raises(SettingsError) as caught:
        configure(**wrong)
    assert caught.value.variable == variable
    scoring_id = score()
    assert configured.record()["scoring_id"] == scoring_id


def test_nothing_configured_is_said_with_the_variable():
    """Without any setting, the first that is missing is named."""
    with pytest.raises(SettingsError) as caught:
        scorespan.configure()
    assert caught.value.variable == "SCORESPAN_DATA_MART_URL"


def test_the_environment_is_enough(scripted_mart, tmp_path, monkeypatch):
    """Every setting may come from the environment."""
    for name, value in {**scripted_mart.settings, "spool_dir": tmp_path / "spool"}.items():
        monkeypatch.setenv(f"SCORESPAN_{name.upper()}", str(value))
    scorespan.configure()
    scoring_id = score()
    assert scorespan.flush(30)
    assert set(scripted_mart.stored) == {scoring_id}


def test_the_kill_switch_is_honoured_and_said(configure, scripted_mart, monkeypatch, caplog):
    """With OTEL_SDK_DISABLED nothing is recorded, and the log says why."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    configure()
    score()
    assert scorespan.flush(30)
    assert scripted_mart.posts == []
    assert ["OTEL_SDK_DISABLED" in record.getMessage() for record in caplog.records] == [True]


def test_the_kill_switch_hides_no_wrong_setting(configure, monkeypatch):
    """A service that is switched off learns of its wrong settings all the same."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.raises(SettingsError):
        configure(data_mart_url="mart")


def test_an_exporter_takes_the_place_of_the_mart():
    """`configure(exporter=...)` sends whole, unsampled spans to a Collector."""
    exporter = InMemorySpanExporter()
    scorespan.configure(exporter=exporter)
    score(model="m")
    assert scorespan.flush(30)
    (span,) = exporter.get_finished_spans()
    assert span.attributes[attributes.REQUEST] == REQUEST
    assert span.attributes[attributes.RESPONSE] == RESPONSE
    assert span.attributes[attributes.SEQUENCE] >= 1
    scorespan.shutdown()


def test_what_the_settings_say_of_every_scoring_stands_on_the_resource(monkeypatch):
    """Ids, dialect and columns go to a Collector, too; the environment's resource wins."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "scoring.deployment.id=named,service.name=s")
    settings = Settings.load(
        {
            "subscription_id": "s",
            "deployment_id": "d",
            "dialect": "sagemaker_csv",
            "feature_names": "a,b",
            "prediction_fields": ["p"],
        }
    )
    said = scorespan.sdk._resource(settings).attributes
    assert {name: said[name] for name in said if name.startswith("scoring.")} == {
        attributes.SUBSCRIPTION_ID: "s",
        attributes.DEPLOYMENT_ID: "named",
        attributes.DIALECT: "sagemaker_csv",
        attributes.FEATURE_NAMES: ("a", "b"),
        attributes.PREDICTION_FIELDS: ("p",),
    }


def test_a_drain_leaves_nothing_behind_and_may_be_followed_by_more(configured):
    """The directory of a process that is killed afterwards would look like an orphan's."""
    score()
    assert list(configured.spool_dir.glob("w-*"))
    scorespan.sdk.drain(60)
    assert not list(configured.spool_dir.glob("w-*"))
    assert len(configured.mart.stored) == 1
    score()
    scorespan.sdk.drain(60)
    assert len(configured.mart.stored) == 2


def test_an_exporter_takes_no_settings_beside_it():
    """A setting that would have no effect is refused."""
    with pytest.raises(SettingsError, match="SCORESPAN_SUBSCRIPTION_ID: has no use"):
        scorespan.configure(exporter=InMemorySpanExporter(), subscription_id="s")


def test_after_shutdown_scorings_are_no_ops(configured):
    """Switched off, model code goes on without payload logging."""
    scoring_id = score()
    scorespan.shutdown()
    scorespan.shutdown()
    with scorespan.scoring_span(REQUEST) as scoring:
        scoring.set_response(RESPONSE)
    assert not scoring.recording
    assert scorespan.flush()
    assert set(configured.mart.stored) == {scoring_id}


def test_a_scoring_that_outlives_the_configuration_reaches_no_caller(configured, caplog):
    """A scoring that ends after shutdown is refused and said, and the caller goes on."""
    scoring = scorespan.scoring_span(REQUEST)
    score()
    scorespan.shutdown()
    scoring.set_response(RESPONSE)
    scoring.end()
    assert len(configured.mart.stored) == 1


# On a provider of the application.


class Application:
    """A provider of the application, with our door beside an exporter of its own."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("application")


@pytest.fixture
def application(door):
    """An application with tracing of its own."""
    made = Application()
    yield made
    made.provider.shutdown()


def test_the_processor_stands_beside_others(application, door, scripted_mart):
    """Scoring spans are taken, other spans pass by, and other processors see all of them."""
    application.provider.add_span_processor(scorespan.ScoringSpanProcessor(**door))
    with application.tracer.start_as_current_span("GET /") as outer:
        with application.tracer.start_as_current_span("scoring") as span:
            span.set_attributes({attributes.REQUEST: REQUEST, attributes.RESPONSE: RESPONSE})
        with application.tracer.start_as_current_span("query") as query:
            query.set_attribute("db.system", "sqlite")
    assert application.provider.force_flush(30_000)
    (record,) = scripted_mart.stored.values()
    assert record["scorespan"]["trace_id"] == f"{outer.get_span_context().trace_id:032x}"
    assert record["scorespan"]["sequence"] >= 1
    names = [span.name for span in application.exporter.get_finished_spans()]
    assert names == ["scoring", "query", "GET /"]


def test_numbers_of_another_producer_are_kept(application, door, scripted_mart):
    """A span that is numbered already keeps its producer and number."""
    application.provider.add_span_processor(scorespan.ScoringSpanProcessor(**door))
    span = application.tracer.start_span("scoring")
    span.set_attributes(
        {
            attributes.REQUEST: REQUEST,
            attributes.RESPONSE: RESPONSE,
            attributes.PRODUCER_ID: "theirs",
            attributes.SEQUENCE: 7,
        }
    )
    span.end()
    assert application.provider.force_flush(30_000)
    (record,) = scripted_mart.stored.values()
    assert record["scorespan"]["producer"] == "theirs"
    assert record["scorespan"]["sequence"] == 7


def test_the_providers_sampler_decides_there(door, scripted_mart):
    """On the application's provider, what is not sampled is not recorded."""
    tracer_provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    tracer_provider.add_span_processor(scorespan.ScoringSpanProcessor(**door))
    tracer_provider.get_tracer("t").start_span("s", attributes={attributes.REQUEST: REQUEST}).end()
    tracer_provider.shutdown()
    assert scripted_mart.posts == []


def test_scorings_go_to_the_applications_provider_where_none_is_configured(
    application, door, scripted_mart
):
    """Who attached the door to a provider scores through it, with the same functions."""
    application.provider.add_span_processor(scorespan.ScoringSpanProcessor(**door))
    provider.install(application.provider.get_tracer("scorespan"))
    scoring_id = score()
    assert application.provider.force_flush(30_000)
    assert set(scripted_mart.stored) == {scoring_id}


def test_two_doors_of_one_process_number_apart(application, door, scripted_mart):
    """What goes to one data mart leaves no gap in the account of another."""
    with ScriptedMart() as other:
        elsewhere = {**door, **other.settings}
        providers = [TracerProvider(shutdown_on_exit=False) for _ in range(2)]
        for tracer_provider, known in zip(providers, (door, elsewhere), strict=True):
            tracer_provider.add_span_processor(scorespan.ScoringSpanProcessor(**known))
        for _ in range(10):
            for tracer_provider in providers:
                values = {attributes.REQUEST: REQUEST, attributes.RESPONSE: RESPONSE}
                tracer_provider.get_tracer("t").start_span("s", attributes=values).end()
        for tracer_provider in providers:
            tracer_provider.shutdown()
        assert len(scripted_mart.stored) == len(other.stored) == 10
    account = read_account(door["spool_dir"])
    assert account.missing == []
    assert account.scored == 20


def test_a_scoring_that_outlives_its_configuration_leaves_no_gap(door, scripted_mart):
    """It ends where it began, under a number of there."""
    with ScriptedMart() as other:
        scorespan.configure(**door)
        with scorespan.scoring_span(REQUEST) as scoring:
            scorespan.configure(**{**door, **other.settings})
            score()
            scoring.set_response(RESPONSE)
        score()
        scorespan.shutdown()
        assert len(other.stored) == 2
    scorespan.configure(**door)
    score()
    assert scorespan.flush(30)
    scorespan.shutdown()
    account = read_account(door["spool_dir"])
    assert account.missing == []
    assert account.scored == 4


def test_what_waits_in_a_batch_queue_is_not_missing(application, door):
    """Numbers that scorings bring along are expected here when the process has ended."""
    queue = BatchSpanProcessor(
        scorespan.PayloadSpanExporter(**door), schedule_delay_millis=3_600_000
    )
    application.provider.add_span_processor(queue)
    provider.install(application.provider.get_tracer("scorespan"))
    score()
    assert application.provider.force_flush(30_000)
    for _ in range(7):
        score()
    assert read_account(door["spool_dir"]).missing == []
    application.provider.shutdown()
    account = read_account(door["spool_dir"])
    assert account.missing == []
    assert account.scored == account.totals["stored"] == 8


@pytest.mark.parametrize("kind", ["processor", "exporter"])
def test_a_spool_that_was_removed_reaches_no_caller(application, door, kind, caplog):
    """Whatever becomes of the disk, ending a span raises nothing."""
    made = (
        scorespan.ScoringSpanProcessor(**door)
        if kind == "processor"
        else SimpleSpanProcessor(scorespan.PayloadSpanExporter(**door))
    )
    application.provider.add_span_processor(made)
    shutil.rmtree(door["spool_dir"])
    door["spool_dir"].touch()
    for _ in range(2):
        span = application.tracer.start_span("s", attributes={attributes.REQUEST: REQUEST})
        span.end()
    assert len(application.exporter.get_finished_spans()) == 2
    warnings = [record for record in caplog.records if record.name == "scorespan"]
    assert len(warnings) == 1, "the failure is said, and said once"


def test_a_spool_that_is_removed_while_it_runs_reaches_no_caller(configured):
    """Model code goes on when its spool is deleted under it."""
    score(scoring_id="before")
    assert scorespan.flush(30)
    shutil.rmtree(configured.spool_dir)
    for _ in range(3):
        score()
    scorespan.shutdown()
    assert "before" in configured.mart.stored


@pytest.mark.parametrize("broken", [None, 5, object()])
def test_a_span_that_is_none_reaches_no_caller(door, broken):
    """A processor of the application may hand over anything."""
    processor = scorespan.ScoringSpanProcessor(**door)
    processor.on_end(broken)
    processor.shutdown()


def test_the_exporter_answers_for_the_spool(door, scripted_mart):
    """SUCCESS means that the scoring spans are in the spool; the others are left to others."""
    exporter = scorespan.PayloadSpanExporter(**door)
    context = SpanContext(1, 2, is_remote=False)
    bodies = {attributes.REQUEST: REQUEST, attributes.RESPONSE: RESPONSE}
    spans = [
        ReadableSpan("other", context, attributes={"a": 1}, resource=Resource({})),
        ReadableSpan("scoring", context, attributes=bodies, resource=Resource({})),
    ]
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    assert exporter.force_flush(30_000)
    assert len(scripted_mart.stored) == 1
    assert exporter.export([]) is SpanExportResult.SUCCESS
    assert exporter.export([object(), spans[1]]) is SpanExportResult.FAILURE
    exporter.shutdown()


def test_the_exporter_stands_behind_the_stock_batch_processor(application, door, scripted_mart):
    """The convention works: batch processor, exporter, spool, mart."""
    application.provider.add_span_processor(
        BatchSpanProcessor(scorespan.PayloadSpanExporter(**door))
    )
    for number in range(20):
        span = application.tracer.start_span("scoring")
        span.set_attributes(
            {
                attributes.REQUEST: REQUEST,
                attributes.RESPONSE: RESPONSE,
                attributes.ID: str(number),
            }
        )
        span.end()
    application.provider.shutdown()
    assert set(scripted_mart.stored) == {str(number) for number in range(20)}


def test_the_exporter_is_found_by_name():
    """`OTEL_TRACES_EXPORTER=scorespan` finds the exporter, which needs no arguments."""
    from importlib.metadata import entry_points

    (entry,) = entry_points(group="opentelemetry_traces_exporter", name="scorespan")
    assert entry.load() is scorespan.PayloadSpanExporter
    assert issubclass(scorespan.PayloadSpanExporter, SpanExporter)
    with pytest.raises(SettingsError):
        entry.load()()


# Processes.


def run(code: str, settings: dict[str, object], **environment: str) -> str:
    """What a process prints that configures itself from the environment."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={
            **os.environ,
            **{f"SCORESPAN_{name.upper()}": str(value) for name, value in settings.items()},
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


FORKING = f"""
import os, warnings
import scorespan
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what is tested
scorespan.configure()

def score(name):
    with scorespan.scoring_span({REQUEST!r}, client_id=name) as scoring:
        scoring.set_response({RESPONSE!r})

if BEFORE:
    score("parent before")
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        for turn in range(5):
            score(f"child {{number}}.{{turn}}")
        assert scorespan.flush(30)
        os._exit(0)
    children.append(child)
score("parent after")
for child in children:
    assert os.waitpid(child, 0)[1] == 0
assert scorespan.flush(30)
"""


@pytest.mark.parametrize("before", [True, False])
def test_a_forked_process_records_everything_once(door, scripted_mart, before):
    """Parent and children each score; every record is there, once, under numbers of its own."""
    run(FORKING.replace("BEFORE", str(before)), door)
    posted = [record for post in scripted_mart.posts for record in json.loads(post)]
    clients = [record["scorespan"]["client_id"] for record in posted]
    expected = [f"child {number}.{turn}" for number in range(3) for turn in range(5)]
    expected += ["parent after"] + ["parent before"] * before
    assert sorted(clients) == sorted(expected)
    assert len({record["scoring_id"] for record in posted}) == len(expected)
    numbers = sorted(
        (record["scorespan"]["producer"], record["scorespan"]["sequence"]) for record in posted
    )
    by_producer: dict[str, list[int]] = {}
    for name, number in numbers:
        by_producer.setdefault(name, []).append(number)
    assert len(by_producer) == 4
    assert all(found == list(range(1, len(found) + 1)) for found in by_producer.values())


def test_the_end_of_a_process_delivers_what_was_scored(door, scripted_mart):
    """A process that just ends has delivered, or left the rest on the disk."""
    run(
        f"""
        import scorespan
        scorespan.configure()
        for _ in range(50):
            with scorespan.scoring_span({REQUEST!r}) as scoring:
                scoring.set_response({RESPONSE!r})
        """,
        door,
    )
    assert len(scripted_mart.stored) == 50


def test_what_a_killed_process_has_scored_is_delivered_by_the_next(door, scripted_mart):
    """A record is on the disk when its scoring ends; the next process of the route sends it."""
    run(
        f"""
        import os, scorespan
        scorespan.configure()
        with scorespan.scoring_span({REQUEST!r}, scoring_id="lost") as scoring:
            scoring.set_response({RESPONSE!r})
        os._exit(0)
        """,
        door,
    )
    scorespan.configure(**door)
    score(scoring_id="next")
    assert scorespan.flush(30)
    assert set(scripted_mart.stored) == {"lost", "next"}


def test_the_exporter_works_without_code(door, scripted_mart):
    """The SDK's own configuration from the environment leads to the mart."""
    run(
        f"""
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from importlib.metadata import entry_points
        (entry,) = entry_points(group="opentelemetry_traces_exporter", name="scorespan")
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(entry.load()()))
        trace.set_tracer_provider(provider)
        import scorespan
        with scorespan.scoring_span({REQUEST!r}, scoring_id="global") as scoring:
            scoring.set_response({RESPONSE!r})
        provider.shutdown()
        """,
        door,
    )
    assert set(scripted_mart.stored) == {"global"}


def test_no_warning_of_the_sdk_is_provoked(configured, caplog):
    """A usual scoring makes the SDK say nothing."""
    with caplog.at_level(logging.DEBUG, logger="opentelemetry"):
        score(model="m", feature_names=["a"])
        scoring = scorespan.scoring_span(REQUEST)
        scoring.set_error(ValueError("x"))
        scoring.end()
        scoring.set_error(ValueError("too late"))
        scoring.end()
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


def test_a_scoring_without_a_recorded_span_has_an_id_of_its_own():
    """Who counts by ids is not misled where nothing is recorded."""
    with scorespan.scoring_span("{}") as first, scorespan.scoring_span("{}") as second:
        assert first.id != second.id
        assert first.id == first.id


def test_what_is_scored_during_the_shutdown_is_counted(configure, scripted_mart, tmp_path):
    """While the spool drains a late scoring is taken or refused; it is in the account."""
    configure(shutdown_seconds=5)
    ids = []
    ended = threading.Event()

    def score() -> None:
        while not ended.is_set():
            with scorespan.scoring_span(REQUEST) as scoring:
                scoring.set_response(RESPONSE)
            if scoring.recording:
                ids.append(scoring.id)

    thread = threading.Thread(target=score)
    thread.start()
    while len(ids) < 50:
        ended.wait(0.001)
    scorespan.shutdown()
    ended.set()
    thread.join()
    account = read_account(tmp_path / "spool")
    known = {item.scoring_id for item in account.items.values()}
    assert set(ids) <= known
    assert account.missing == []


def test_another_configuration_leaves_no_gap_in_the_account_of_the_former(configure, tmp_path):
    """What is scored into one spool has no place in another one's numbers."""
    for name in ("first", "second", "first"):
        configure(spool_dir=tmp_path / name)
        for _ in range(3):
            with scorespan.scoring_span(REQUEST) as scoring:
                scoring.set_response(RESPONSE)
    scorespan.shutdown()
    for name, scored in (("first", 6), ("second", 3)):
        account = read_account(tmp_path / name)
        assert account.totals["stored"] == scored
        assert account.missing == []
