"""The Azure ML hook: scorings of its inference server, whose request the Flask hook sees already.

What runs a scoring script there knows more than its web framework: the time that the script's own
function took, the exception that it raised, the request's id, the model. It adds this to the
running exchange. Without one nothing is recorded: it is no POST, or its path is not captured.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from pathlib import PurePath
from types import ModuleType
from typing import Any, NamedTuple

from scorespan import attributes
from scorespan.failure import Failure
from scorespan.instrumentation.exchange import DEPLOYMENT, Exchange, running
from scorespan.instrumentation.guard import guarded
from scorespan.instrumentation.headers import plain

HOOK = "azureml"
_MODELS = "azureml-models"


class Model(NamedTuple):
    """A registered model."""

    name: str
    version: str


def instrument(module: ModuleType) -> None:
    """Add what `UserScript.invoke_run` knows of a scoring to its exchange."""
    # The server's configuration of logging has switched off every logger that was there.
    for name in ("scorespan", *logging.root.manager.loggerDict):
        if name.partition(".")[0] == "scorespan":
            logging.getLogger(name).disabled = False
    model = model_of(os.environ.get("AZUREML_MODEL_DIR", ""))
    original = module.UserScript.invoke_run

    @functools.wraps(original)
    def invoke_run(self: Any, request: Any, *, timeout_ms: int) -> Any:
        exchange = running.get()
        if exchange is None:
            return original(self, request, timeout_ms=timeout_ms)
        _began(exchange, model, module, request)
        started = time.perf_counter_ns()
        try:
            result = original(self, request, timeout_ms=timeout_ms)
        except BaseException as error:
            _raised(exchange, error, time.perf_counter_ns() - started)
            raise
        _answered(exchange, result)
        return result

    module.UserScript.invoke_run = invoke_run


def model_of(folder: str) -> Model | None:
    """The model of `AZUREML_MODEL_DIR`, which ends with name and version.

    The folder of several models names none.
    """
    parts = PurePath(folder).parts
    if len(parts) < 2 or parts[-2] == _MODELS:
        return None
    if parts[-1].isdecimal() or _MODELS in parts[-3:-2]:
        return Model(parts[-2], parts[-1])
    return None


@guarded(HOOK)
def _began(exchange: Exchange, model: Model | None, module: ModuleType, request: Any) -> None:
    exchange.hook = HOOK
    if model is not None:
        exchange.set(attributes.MODEL_NAME, model.name)
        exchange.set(attributes.MODEL_VERSION, model.version)
    # The caller's, else the one that the server has made.
    if request_id := plain(getattr(module.flask.g, "request_id", None)):
        exchange.set(attributes.REQUEST_ID, request_id)
    if deployment := plain(request.headers.get(DEPLOYMENT)):
        exchange.set(attributes.DEPLOYMENT_ID, deployment)


@guarded(HOOK)
def _answered(exchange: Exchange, result: Any) -> None:
    exchange.stop(round(result.elapsed_ms * 1e6))


@guarded(HOOK)
def _raised(exchange: Exchange, error: BaseException, elapsed_ns: int) -> None:
    """The script raised, or ran for too long, or the server did not take the request."""
    exchange.stop(elapsed_ns)
    exchange.fail(getattr(error, "user_ex", error))
    if error.__context__ is not None and not hasattr(error, "user_ex"):
        # The server's own error says what, and the one before it where: which line ran too long.
        told = Failure.of(error.__context__).stacktrace
        if told is not None:
            exchange.set(attributes.STACKTRACE, told)
