"""The start-up: how a process whose code says nothing of scorespan comes to capture its scorings.

The start-up file of the package, `scorespan run` and `opentelemetry-instrument` all end here. All
that happens is that post-import hooks are registered; where no module of the tables is ever
imported, nothing else does.
"""

from __future__ import annotations

import os
import sys

from scorespan.instrumentation import switch
from scorespan.instrumentation.importing import after_import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from scorespan.settings import Settings

SERVERS = {
    "azureml_inference_server_http.print_log_hook": "scorespan.instrumentation.azureml_prints",
    "azureml_inference_server_http.server.user_script": "scorespan.instrumentation.azureml",
    "flask.app": "scorespan.instrumentation.flask",
    "gunicorn.arbiter": None,
    "mms.service": "scorespan.instrumentation.mms",
    "sagemaker_inference.transformer": "scorespan.instrumentation.sagemaker",
    "starlette.applications": "scorespan.instrumentation.starlette",
    "uvicorn.server": "scorespan.instrumentation.uvicorn",
}
"""Modules that a scoring service imports, and ours whose `instrument` gets each.

None: it only starts those that serve, and would start one after the other where wrong settings end
them; so it is told of them itself.
"""

CLIENTS = {
    "botocore.client": "scorespan.instrumentation.botocore",
    "httpx": "scorespan.instrumentation.httpx",
    "httpx2": "scorespan.instrumentation.httpx",
    "multiprocessing.util": "scorespan.instrumentation.exits",
    "requests.sessions": "scorespan.instrumentation.requests",
    "urllib.request": "scorespan.instrumentation.urllib",
}
"""Modules that any process may import, to call engines among other things.

They alone make no service of a process: nothing is said of its settings because of them.
"""

_NO = {"", "0", "false", "no", "off"}
_YES = {"1", "true", "yes", "on"}
_ALIKE = 0.8

_started = False
_checked = False


def start(*, asked: bool = False) -> None:
    """Register the hooks, unless this process is told not to capture. Idempotent, never raises.

    Nothing is printed, and nothing of OpenTelemetry imported. The settings are checked when the
    first module of a server has been imported: where they are wrong, one line on stderr says so
    and the service goes on without capture, or ends with 2 where `SCORESPAN_STRICT` is set.

    Args:
        asked: whether OpenTelemetry's own start-up calls. Any setting in the environment is then
            enough, unless its exporter is ours: those services make scoring spans themselves.
    """
    global _started  # noqa: PLW0603 - once per process is what it promises
    if _started or not _wanted(asked=asked):
        return
    _started = True
    switch.ask_first(lambda: _check(serving=True))
    for name, ours in SERVERS.items():
        after_import(name, _server(ours))
    for name, ours in CLIENTS.items():
        after_import(name, _client(ours))


def stay_off() -> None:
    """Capture nothing in this process, whatever the environment says: for our own commands."""
    global _started, _checked  # noqa: PLW0603 - see start
    _started = _checked = True
    switch.off()
    os.environ["SCORESPAN_ENABLE"] = "0"  # for its children


def _wanted(*, asked: bool) -> bool:
    enable = os.environ.get("SCORESPAN_ENABLE")
    if enable is not None and enable.strip():
        return enable.strip().lower() not in _NO
    if not asked:
        return False
    exporters = os.environ.get("OTEL_TRACES_EXPORTER", "").split(",")
    if "scorespan" in {exporter.strip() for exporter in exporters}:
        return False
    return any(name.startswith("SCORESPAN_") and value for name, value in os.environ.items())


def _server(ours: str | None) -> Callable[[ModuleType], None]:
    def instrument(module: ModuleType) -> None:
        _check()
        if ours is None or not switch.is_on():
            return
        from scorespan.instrumentation import exits  # noqa: PLC0415 - for services only

        exits.install()
        if _instrument(ours, module):
            _instrument("scorespan.instrumentation.prints", module)
        else:
            _end_strict(serving=False)

    return instrument


def _client(ours: str) -> Callable[[ModuleType], None]:
    def instrument(module: ModuleType) -> None:
        if switch.is_on():
            _instrument(ours, module)

    return instrument


def _instrument(ours: str, module: ModuleType) -> bool:
    """Instrument a module; false, and a line, where that fails."""
    try:
        instrumentation: Any = __import__(ours, fromlist=["instrument"])
        instrumentation.instrument(module)
    except Exception as error:  # noqa: BLE001 - the service must start whatever is wrong with us
        if not isinstance(error, ModuleNotFoundError) or error.name != ours:
            _say(f"{module.__name__} is not captured: {type(error).__name__}: {error}")
            return False
    return True


def _check(*, serving: bool = False) -> None:
    """Check the settings, once, and switch capture on where they are right.

    Args:
        serving: whether a scoring asks, in a process that has imported no server.
    """
    global _checked  # noqa: PLW0603 - see start
    if _checked:
        return
    _checked = True
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        switch.off()
        _say("OTEL_SDK_DISABLED is set: payload logging is off")
        return
    try:
        from scorespan.settings import Settings  # noqa: PLC0415 - for services only

        settings = Settings.load()
        _look_for_misspelt(serving=serving)
        if settings.export == "mart":
            settings.check_delivery()
            _look_for_subscription(settings, serving=serving)
        else:
            from scorespan.otlp import exporter_module  # noqa: PLC0415 - likewise

            exporter_module()
    except Exception as error:  # noqa: BLE001 - as in _instrument
        switch.off()
        _refuse(error, serving=serving)
        return
    switch.install(settings, _configure, _drain)


def _configure() -> None:
    try:
        from scorespan import provider  # noqa: PLC0415 - with the first scoring

        if provider.filled():  # the application has called `configure` itself
            return
        from scorespan.sdk import configure  # noqa: PLC0415 - likewise

        configure()
    except Exception as error:
        _refuse(error, serving=True)
        raise


def _drain(seconds: float) -> None:
    from scorespan.sdk import drain  # noqa: PLC0415 - there where anything was scored

    drain(seconds)


def _look_for_misspelt(*, serving: bool) -> None:
    """Say which variables look like one of ours and are none; a strict service ends."""
    import difflib  # noqa: PLC0415 - for services only

    from scorespan.settings import PREFIX, variable_names  # noqa: PLC0415 - likewise

    known = variable_names()
    said = []
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            # Without what all of them begin with, which would make any two alike.
            alike = difflib.get_close_matches(
                name[len(PREFIX) :], [one[len(PREFIX) :] for one in known], n=1, cutoff=_ALIKE
            )
            said += [f"{name} (did you mean {PREFIX}{one}?)" for one in alike]
    if said:
        _say(f"unknown: {', '.join(said)}")
        _end_strict(serving=serving)


def _look_for_subscription(settings: Settings, *, serving: bool) -> None:
    """Say where every scoring would wait for a subscription to be named; a strict service ends."""
    resource = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if settings.subscription_id is None and "scoring.subscription.id" not in resource:
        _say("SCORESPAN_SUBSCRIPTION_ID is not set: scorings become dead letters without it")
        _end_strict(serving=serving)


def _refuse(error: Exception, *, serving: bool) -> None:
    """Say why capture is off; end the process where the settings say so."""
    _say(f"payload logging is off: {error}")
    _end_strict(serving=serving)


def _end_strict(*, serving: bool) -> None:
    if os.environ.get("SCORESPAN_STRICT", "").strip().lower() not in _YES:
        return
    import threading  # noqa: PLC0415 - every server has imported it

    if serving or threading.current_thread() is not threading.main_thread():
        # A server goes on after any exception of a request, or of a thread.
        os._exit(2)
    raise SystemExit(2)


def _say(line: str) -> None:
    try:
        print(f"scorespan: {line}", file=sys.stderr, flush=True)  # noqa: T201 - where else
    except Exception:  # noqa: BLE001 - nobody can be told
        return
