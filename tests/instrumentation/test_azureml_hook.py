"""What the Azure ML hook adds to an exchange; `tests/servers` has the real server."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from scorespan import attributes
from scorespan.instrumentation import azureml, azureml_prints, guard, prints
from scorespan.instrumentation.exchange import Exchange, running
from scorespan.settings import Settings

INSTALLED = "/var/azureml-app/azureml-models"


class UserScriptError(Exception):
    """As the server has it: around what the script raised."""

    def __init__(self, error):
        super().__init__("the script failed")
        self.user_ex = error


REQUEST = SimpleNamespace(headers={"azureml-model-deployment": "blue"})


class UserScript:
    """The part of the server's class that is instrumented."""

    def __init__(self, run):
        self.run = run

    def invoke_run(self, request, *, timeout_ms):
        """What the script's `run` returns, with the time that it took; what it raises, wrapped."""
        try:
            output = self.run(request)
        except ValueError as error:
            raise UserScriptError(error) from error
        return SimpleNamespace(elapsed_ms=timeout_ms / 2, output=output)


@pytest.fixture
def module(monkeypatch):
    """A module as the server has it, instrumented."""
    monkeypatch.setenv("AZUREML_MODEL_DIR", f"{INSTALLED}/credit/7")
    script = type("UserScript", (UserScript,), {})
    flask = SimpleNamespace(g=SimpleNamespace(request_id="made"))
    module = SimpleNamespace(UserScript=script, flask=flask)
    azureml.instrument(module)
    guard.counted.clear()
    return module


@pytest.fixture
def score(module, recorded):
    """Calls the script within an exchange; answers its result or error, and the span."""

    def call(run, status=200):
        exchange = Exchange("flask", Settings(), {})
        exchange.request.add(b"[1]")
        token = running.set(exchange)
        try:
            result = module.UserScript(run).invoke_run(REQUEST, timeout_ms=500)
        except (RuntimeError, UserScriptError) as error:
            result = error
        finally:
            running.reset(token)
        exchange.response.add(b"[2]")
        exchange.answered(status)
        exchange.stop()
        exchange.end()
        assert not guard.counted
        return result, recorded.spans()[-1]

    return call


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (f"{INSTALLED}/credit/7", ("credit", "7")),
        (f"{INSTALLED}/credit/7/", ("credit", "7")),
        (f"{INSTALLED}/credit/2021-04-a", ("credit", "2021-04-a")),
        ("/models/credit/7", ("credit", "7")),
        ("models/credit", None),
        (INSTALLED, None),
        (f"{INSTALLED}/credit", None),
        ("7", None),
        ("", None),
    ],
)
def test_the_model_is_named_by_the_end_of_its_folder(folder, expected):
    """Name and version, where the folder ends with both; a folder of several models names none."""
    assert azureml.model_of(folder) == expected


def test_the_exchange_is_taken_over(score):
    """Hook, model, the server's request id, and the time of the script's function."""
    result, span = score(lambda request: [request])
    assert result.output == [REQUEST]
    found = span.attributes
    assert found[attributes.HOOK] == "azureml"
    assert (found[attributes.MODEL_NAME], found[attributes.MODEL_VERSION]) == ("credit", "7")
    assert found[attributes.REQUEST_ID] == "made"
    assert found[attributes.DEPLOYMENT_ID] == "blue"
    assert span.end_time - span.start_time == 250_000_000


def test_what_the_script_raises_is_the_error(score):
    """Its own exception, not the server's around it, which is raised unchanged."""
    error = ValueError("no such feature")

    def run(_):
        raise error

    result, span = score(run, 500)
    assert isinstance(result, UserScriptError)
    assert result.user_ex is error
    (event,) = span.events
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == "no such feature"
    assert "in run\n    raise error" in event.attributes["exception.stacktrace"]
    assert attributes.STACKTRACE not in span.attributes


def test_what_the_server_raises_names_the_place_in_the_script(score):
    """A script that runs for too long: where it was, beside what the server says."""

    def wait(_):
        raise TimeoutError

    def run(_):
        try:
            wait(_)
        except TimeoutError:
            raise RuntimeError("1000 ms") from None

    result, span = score(run, 500)
    assert isinstance(result, RuntimeError)
    (event,) = span.events
    assert event.attributes["exception.type"] == "RuntimeError"
    assert "in wait\n    raise TimeoutError" in span.attributes[attributes.STACKTRACE]


def test_without_an_exchange_the_server_is_as_it_was(module, recorded):
    """No POST, or another path: the call goes through, and nothing is recorded."""
    script = module.UserScript(lambda request: request)
    assert script.invoke_run("request", timeout_ms=2).output == "request"
    assert recorded.spans() == []


def test_loggers_that_the_server_has_switched_off_are_on_again(module):
    """Its configuration of logging disables what exists; ours must be able to say what is wrong."""
    names = ("scorespan", "scorespan.part", "scorespanner")
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.disabled = True
    azureml.instrument(module)
    assert [logger.disabled for logger in loggers] == [False, False, True]
    loggers[2].disabled = False


@pytest.fixture
def logger(monkeypatch):
    """The logger of the server's `print`, as it was again after the test."""
    logger = logging.getLogger("azmlinfsrv.print")
    monkeypatch.setattr(prints, "_left", False)
    monkeypatch.setattr(logger, "level", logging.INFO)
    monkeypatch.setattr(logger, "handlers", [])
    return logger


def test_lines_of_the_servers_own_print_are_kept_once(score, logger):
    """However often its module is loaded; what comes from outside of a scoring is not kept."""
    for _ in range(2):
        azureml_prints.instrument(SimpleNamespace())
    assert prints._left
    logger.info("model initialized")
    _, span = score(lambda _: logger.info("100%% sure"))
    assert span.attributes[attributes.PRINTS] == ("100%% sure",)
