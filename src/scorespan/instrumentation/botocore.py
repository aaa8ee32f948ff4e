"""The hook of `botocore`: `invoke_endpoint` of SageMaker becomes a scoring.

The answer's body stays a lazy `StreamingBody`. Its variant with a response stream (events) and the
asynchronous one (places in S3) are not captured. Calls of any service count as dependencies of the
scoring in which they are made.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from scorespan import attributes
from scorespan.instrumentation import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scorespan.instrumentation.call import Call

_HOOK = "botocore"
_INFERENCE = "x-amzn-sagemaker-inference-id"
_SERVICE, _OPERATION = "sagemaker-runtime", "InvokeEndpoint"


def instrument(module: ModuleType) -> None:
    """Patch `botocore.client`."""
    base = module.BaseClient
    original = base._make_api_call  # noqa: SLF001 - there is no public place

    @functools.wraps(original)
    def _make_api_call(self: Any, operation_name: Any, api_params: Any) -> Any:
        scores = operation_name == _OPERATION and _service_of(self) == _SERVICE
        call = client.begin_named(_HOOK, scores=scores)
        if call is None:
            return original(self, operation_name, api_params)
        api_params = _asked(call, api_params)
        with call:
            try:
                result = original(self, operation_name, api_params)
            except Exception as error:
                call.raised(error, _status_of(getattr(error, "response", None)))
                raise
        _answered(call, result)
        return result

    base._make_api_call = _make_api_call  # noqa: SLF001


def _service_of(api: Any) -> object:
    try:
        return api.meta.service_model.service_name
    except AttributeError:
        return None


def _status_of(answer: Any) -> int | None:
    try:
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
    except (TypeError, KeyError):
        return None
    return status if isinstance(status, int) else None


def _asked(call: Call, parameters: Any) -> Any:
    """What the request says; returns the parameters to ask with."""
    from scorespan.instrumentation.guard import swallowed  # noqa: PLC0415 - see client

    exchange = call.exchange
    if exchange is None:
        return parameters
    with swallowed(_HOOK):
        exchange.request.content_type = parameters.get("ContentType")
        for name, attribute in (
            ("EndpointName", attributes.DEPLOYMENT_ID),
            ("InferenceId", attributes.REQUEST_ID),
            ("TargetModel", attributes.MODEL_NAME),
            ("TargetVariant", attributes.MODEL_VERSION),
        ):
            if told := parameters.get(name):
                exchange.set(attribute, str(told))
        if inference := parameters.get("InferenceId"):
            call.keep_named({_INFERENCE: str(inference)})
        if told := parameters.get("CustomAttributes"):
            exchange.tell(f"request: CustomAttributes {told}")
        body = parameters.get("Body")
        sent = call.sends(body)
        if sent is not body:
            return {**parameters, "Body": sent}
    return parameters


def _answered(call: Call, result: Any) -> None:
    from scorespan.instrumentation.guard import swallowed  # noqa: PLC0415 - see client

    with swallowed(_HOOK):
        metadata = result.get("ResponseMetadata") or {}
        headers = metadata.get("HTTPHeaders") or {}
        call.answered(_status_of(result) or 200, headers)
        exchange = call.exchange
        if exchange is None:
            return
        if not call.is_named and (told := metadata.get("RequestId")):
            exchange.set(attributes.REQUEST_ID, told)
        if told := result.get("InvokedProductionVariant"):
            exchange.set(attributes.MODEL_VERSION, told)
        if told := result.get("CustomAttributes"):
            exchange.tell(f"response: CustomAttributes {told}")
        call.watch(result["Body"]._raw_stream)  # noqa: SLF001 - what it reads from
