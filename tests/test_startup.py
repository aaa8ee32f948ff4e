"""The start-up of a process that captures its scorings."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from running import clean_environment

ON = {"SCORESPAN_ENABLE": "1"}
MART = {
    "SCORESPAN_DATA_MART_URL": "http://127.0.0.1:1",
    "SCORESPAN_DATA_MART_ID": "mart",
    "SCORESPAN_API_KEY": "key",
    "SCORESPAN_SUBSCRIPTION_ID": "credit",
}
SERVES = "import starlette.applications"
LOADED = """
import sys
heavy = ("opentelemetry", "requests", "orjson", "google", "scorespan.settings")
print(*sorted(name for name in heavy if name in sys.modules))
"""


def started(
    code: str, environment: dict[str, str], *, asked: bool = False
) -> subprocess.CompletedProcess[str]:
    """How a process ends that is started up, then runs this."""
    begin = f"from scorespan.startup import start\nstart(asked={asked})\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", begin + textwrap.dedent(code)],
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def said(code: str, environment: dict[str, str], *, asked: bool = False) -> tuple[str, str]:
    """What such a process, which must end well, says on stdout and on stderr."""
    done = started(code, environment, asked=asked)
    assert done.returncode == 0, done
    return done.stdout.strip(), done.stderr


IS_ON = "from scorespan.instrumentation import switch; print(switch.is_on())"
WATCHED = "from scorespan.instrumentation import importing; print(len(importing._hooks))"


@pytest.mark.parametrize(
    "code",
    ["", "import urllib.request", "import multiprocessing.util, json, asyncio, http.client"],
)
def test_an_unrelated_process_is_left_alone(code):
    """With capture switched on for all, what serves nothing loads nothing, and says nothing."""
    assert said(code + LOADED, ON) == ("", "")


def test_a_caller_of_other_services_loads_nothing_of_opentelemetry():
    """Every metrics helper imports one of these."""
    code = "import requests, httpx, urllib.request, sys\nprint('opentelemetry' in sys.modules)"
    assert said(code, ON) == ("False", "")


def test_a_helper_of_a_strict_service_is_left_alone():
    """Only what serves is ended by wrong settings."""
    assert said("import requests, urllib.request", {**ON, "SCORESPAN_STRICT": "1"}) == ("", "")


def test_right_settings_switch_it_on_when_a_server_is_imported():
    """Nothing is said, and neither the SDK nor what delivers is loaded yet."""
    code = f"{SERVES}\n{IS_ON}\nimport sys\nprint('opentelemetry.sdk' in sys.modules)"
    assert said(code, ON | MART) == ("True\nFalse", "")


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, "SCORESPAN_DATA_MART_URL: is required to deliver to a data mart"),
        (MART | {"SCORESPAN_API_KEY": ""}, "SCORESPAN_API_KEY: no credentials"),
        (MART | {"SCORESPAN_EXPORT": "kafka"}, "SCORESPAN_EXPORT: must be"),
        (MART | {"SCORESPAN_ENABLE": "maybe"}, "SCORESPAN_ENABLE: must be 1 or 0"),
    ],
)
def test_wrong_settings_are_said_in_one_line_and_the_service_goes_on(variables, line):
    """The line names the variable; however many servers are imported, there is one."""
    code = f"{SERVES}\nimport uvicorn.server, flask.app\n{IS_ON}"
    out, err = said(code, ON | variables)
    assert out == "False"
    (only,) = err.splitlines()
    assert only.startswith(f"scorespan: payload logging is off: {line}")
    assert "key" not in only.replace("SCORESPAN_API_KEY", "").replace("API key", "")


MISSPELT = ON | MART | {"SCORESPAN_PATH": "/x", "SCORESPAN_KEEP_PRINT": "0"}


def test_variables_that_look_like_settings_are_said_in_one_line():
    """Others with the prefix may be somebody else's; capture is on all the same."""
    more = {"SCORESPAN_FAULTS": "3", "SCORESPAN_SERVERS": "all", "SCORESPAN_MART_ROOT": "x"}
    out, err = said(f"{SERVES}\nimport flask.app\n{IS_ON}", MISSPELT | more)
    assert out == "True"
    assert err == (
        "scorespan: unknown: SCORESPAN_KEEP_PRINT (did you mean SCORESPAN_KEEP_PRINTS?), "
        "SCORESPAN_PATH (did you mean SCORESPAN_PATHS?)\n"
    )


def test_a_service_that_names_no_subscription_is_told_so():
    """Its records would all be dead letters; where the resource names one, or the receiver, not."""
    without = {name: value for name, value in MART.items() if "SUBSCRIPTION" not in name}
    out, err = said(f"{SERVES}\nimport flask.app\n{IS_ON}", ON | without)
    assert out == "True"
    assert err == (
        "scorespan: SCORESPAN_SUBSCRIPTION_ID is not set: scorings become dead letters without it\n"
    )
    strict = started(f"{SERVES}\nprint('serves')", ON | without | {"SCORESPAN_STRICT": "1"})
    assert (strict.returncode, strict.stdout) == (2, "")
    resource = {"OTEL_RESOURCE_ATTRIBUTES": "scoring.subscription.id=credit"}
    assert said(f"{SERVES}\n{IS_ON}", ON | without | resource) == ("True", "")


def test_a_misspelt_variable_ends_a_strict_service():
    """It would be captured in another way than was meant."""
    done = started(f"{SERVES}\nprint('serves')", MISSPELT | {"SCORESPAN_STRICT": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_wrong_settings_end_a_strict_service():
    """With 2, before it serves."""
    done = started(f"{SERVES}\nprint('serves')", ON | {"SCORESPAN_STRICT": "1"})
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_wrong_settings_end_a_strict_service_that_is_imported_by_a_thread():
    """Where an exception would end no more than the thread."""
    code = f"""
        import threading
        def serve():
            {SERVES}
        thread = threading.Thread(target=serve)
        thread.start()
        thread.join()
        print("serves")
    """
    done = started(code, ON | {"SCORESPAN_STRICT": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_wrong_settings_end_a_server_that_would_start_worker_after_worker():
    """Gunicorn starts another one for each that ends; nor does it need a line from each of them."""
    code = """
        import os, signal
        import gunicorn.arbiter
        print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, flush=True)
        if os.fork() == 0:
            import flask.app
        else:
            os.wait()
    """
    out, err = said(code, ON)
    assert out == "True"
    assert err.count("\n") == 1
    done = started(code, ON | {"SCORESPAN_STRICT": "1"})
    assert (done.returncode, done.stdout) == (2, "")


def test_wrong_settings_of_a_mere_caller_are_said_with_its_first_scoring():
    """A process that imported no server may be anything until it calls an engine."""
    code = """
        import urllib.request
        from scorespan.instrumentation import switch
        print(switch.is_on(), switch.ready(), switch.ready(), switch.is_on())
    """
    out, err = said(code, ON)
    assert out == "True None None False"
    assert err.count("\n") == 1
    done = started(code, ON | {"SCORESPAN_STRICT": "1"})
    assert (done.returncode, done.stdout) == (2, "")


def test_a_spool_that_cannot_be_made_is_said_with_the_first_scoring(tmp_path):
    """Nothing is touched before; the service goes on, or ends where it is strict."""
    (tmp_path / "file").touch()
    variables = ON | MART | {"SCORESPAN_SPOOL_DIR": str(tmp_path / "file" / "spool")}
    code = f"""
        {SERVES}
        from scorespan.instrumentation import switch
        print("serves", flush=True)
        print(switch.ready(), switch.ready())
    """
    out, err = said(code, variables)
    assert out == "serves\nNone None"
    assert err.startswith("scorespan: payload logging is off: SCORESPAN_SPOOL_DIR: ")
    assert err.count("\n") == 1
    done = started(code, variables | {"SCORESPAN_STRICT": "1"})
    assert (done.returncode, done.stdout) == (2, "serves\n")


def test_a_protocol_without_its_package_is_said_with_what_to_install():
    """`otlp` needs an exporter, and no delivery settings."""
    code = f"{SERVES}\n{IS_ON}\nimport sys\nprint('opentelemetry.exporter' in sys.modules)"
    assert said(f"{SERVES}\n{IS_ON}", ON | {"SCORESPAN_EXPORT": "otlp"}) == ("True", "")
    variables = ON | {"SCORESPAN_EXPORT": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    out, err = said(code, variables)
    assert out.startswith("False\n")
    assert err.count("\n") == 1
    assert "SCORESPAN_EXPORT" in err
    assert "pip install opentelemetry-exporter-otlp-proto-grpc" in err
    out, err = said(code, variables | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})
    assert "OTEL_EXPORTER_OTLP_PROTOCOL: must be http/protobuf or grpc" in err


def test_the_kill_switch_of_the_sdk_is_honoured_and_said_once():
    """Whatever else is set, and for services only."""
    variables = ON | MART | {"OTEL_SDK_DISABLED": "true"}
    out, err = said(f"{SERVES}\nimport flask.app\n{IS_ON}", variables)
    assert (out, err) == ("False", "scorespan: OTEL_SDK_DISABLED is set: payload logging is off\n")
    assert said("import urllib.request", variables) == ("", "")


@pytest.mark.parametrize("value", ["0", "false", "Off", " no "])
def test_a_process_that_is_told_not_to_captures_nothing(value):
    """Whoever asks, and whatever is set."""
    for asked in (False, True):
        code = f"{SERVES}\n{WATCHED}\n{IS_ON}"
        variables = MART | {"SCORESPAN_ENABLE": value}
        assert said(code, variables, asked=asked) == ("0\nFalse", "")


def test_without_a_setting_nothing_is_watched():
    """Neither for the start-up file, nor for OpenTelemetry's own start-up."""
    for asked in (False, True):
        assert said(f"{SERVES}\n{WATCHED}", {"OTEL_TRACES_EXPORTER": "otlp"}, asked=asked) == (
            "0",
            "",
        )
    assert said(f"{SERVES}\n{WATCHED}", MART) == ("0", "")


def test_opentelemetrys_start_up_needs_a_setting_and_no_switch():
    """Who runs it has said that the process is to be watched."""
    assert said(f"{SERVES}\n{IS_ON}", MART, asked=True) == ("True", "")


def test_a_service_whose_spans_go_to_our_exporter_is_not_captured_unless_it_says_so():
    """It makes its scoring spans itself: each scoring would be there twice."""
    exporter = {"OTEL_TRACES_EXPORTER": "console, scorespan"}
    assert said(f"{SERVES}\n{IS_ON}", MART | exporter, asked=True) == ("False", "")
    assert said(f"{SERVES}\n{IS_ON}", ON | MART | exporter, asked=True) == ("True", "")


def test_starting_again_changes_nothing():
    """A start-up file may be executed twice, and the entry point comes after it."""
    code = """
        start()
        start(asked=True)
        import starlette.applications
        from scorespan.instrumentation import importing
        print([name for name, hooks in importing._hooks.items() if len(hooks) != 1])
        print(sum(type(finder).__name__ == "_Watcher" for finder in sys.meta_path))
    """
    assert said("import sys\n" + textwrap.dedent(code), ON | MART) == ("[]\n1", "")


def test_a_hook_that_is_missing_or_fails_does_not_hold_the_service_up():
    """An older Python, a newer server: what we cannot instrument is said, and served."""
    code = """
        from scorespan import startup
        startup._started = False
        startup.SERVERS = {"json.tool": "scorespan.instrumentation.nothing",
                           "json.scanner": "scorespan.instrumentation.flask"}
        startup.CLIENTS = {}
        start()
        import json.tool
        print("serves")
    """
    out, err = said(code, ON | MART)
    assert out == "serves"
    assert err.startswith("scorespan: json.scanner is not captured: AttributeError")
    assert err.count("\n") == 1


BROKEN = f"""
    import sys
    sys.modules["opentelemetry"] = None
    {SERVES}
    print("serves")
"""


def test_a_broken_installation_is_said_in_one_line_and_the_service_goes_on():
    """Whatever of ours is not there: a line for each server, and its code as it was."""
    out, err = said(BROKEN, ON | MART)
    assert out == "serves"
    (only,) = err.splitlines()
    assert only.startswith("scorespan: starlette.applications is not captured: ModuleNotFound")


def test_a_broken_installation_ends_a_strict_service():
    """It would not be captured."""
    done = started(BROKEN, ON | MART | {"SCORESPAN_STRICT": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_our_own_commands_capture_nothing():
    """Our servers run on the same frameworks, in an environment that may be a service's."""
    code = f"""
        import os
        from scorespan.startup import stay_off
        stay_off()
        {SERVES}
        print(os.environ["SCORESPAN_ENABLE"])
    """
    assert said(textwrap.dedent(code) + IS_ON, ON | {"SCORESPAN_STRICT": "1"}) == ("0\nFalse", "")
