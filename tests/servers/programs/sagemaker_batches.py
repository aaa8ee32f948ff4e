"""The real model server's service, called as its worker calls it, with batches and odd handlers.

Prints the answers as the server would send them, in hex, one line for each case.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["SAGEMAKER_BASE_DIR"] = sys.argv[1]
sys.path.insert(0, str(Path(sys.argv[1]) / "model" / "code"))

from mms.service import PredictionException, Service
from sagemaker_inference.default_handler_service import DefaultHandlerService


def request(number: int, body: bytes, **headers: str) -> dict[str, object]:
    """One request as the protocol's reader gives it."""
    named = {"Content-Type": "application/json", **headers}
    return {
        "requestId": b"request-%d" % number,
        "headers": [
            {"name": name.encode(), "value": value.encode()} for name, value in named.items()
        ],
        "parameters": [{"name": "body", "value": bytearray(body), "contentType": ""}],
    }


def form(number: int, **fields: bytes) -> dict[str, object]:
    """A request of a form, which the server has taken apart."""
    parameters = [
        {"name": name, "value": bytearray(value), "contentType": "text/plain"}
        for name, value in fields.items()
    ]
    return {"requestId": b"request-%d" % number, "parameters": parameters}


def answer(handler, *batch: dict[str, object]) -> None:
    """Print what the server would send."""
    service = Service("model", f"{sys.argv[1]}/model", None, handler, None, len(batch))
    print(service.predict(list(batch)).hex())  # noqa: T201 - the test reads it


def refused(data: list[dict[str, bytearray]], context) -> list[str]:
    """A handler that says itself what went wrong with the second."""
    context.set_response_status(400, "Odd", 1)
    return ["[1]", "odd"]


def raising(data: list[dict[str, bytearray]], context) -> list[str]:
    """A handler that raises what the server knows."""
    raise PredictionException("no model", 513)


def inner(data: list[dict[str, bytearray]], context) -> list[dict[str, int]]:
    """A handler that answers objects, which the server makes JSON."""
    return [{"number": len(one)} for one in data]


toolkit = DefaultHandlerService().handle
answer(toolkit, request(1, b"[[24, 3]]"), request(2, b"[[60, 1]]"), request(3, b"[[9, 9]]"))
answer(toolkit, request(4, b"[[24, 3]]"), request(5, b"[[1]]"))
answer(
    inner,
    request(6, b"[6]", traceparent=f"00-{'a' * 32}-{'b' * 16}-01"),
    form(7, a=b"1", b=b"\xff"),
)
answer(refused, request(8, b"[8]"), request(9, b"[9]"))
answer(raising, request(10, b"[10]"))
answer(lambda _data, _context: "text", request(11, b"[11]"))
answer(lambda _data, _context: [object()], request(12, b"[12]"))
