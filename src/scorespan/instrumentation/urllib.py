"""The hook of `urllib.request`: calls of `OpenerDirector.open`, which `urlopen` is one of.

Nearly every process imports that module: nothing is loaded for it before a call counts.
"""

from __future__ import annotations

import functools

from scorespan.instrumentation import client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from scorespan.instrumentation.call import Call

_HOOK = "urllib"


def instrument(module: ModuleType) -> None:
    """Patch `urllib.request`."""
    director, http_error = module.OpenerDirector, module.HTTPError
    original = director.open
    unset = module.socket._GLOBAL_DEFAULT_TIMEOUT  # noqa: SLF001 - what the method itself takes

    @functools.wraps(original)
    def open(  # noqa: A001 - the method's name
        self: Any, fullurl: Any, data: Any = None, timeout: Any = unset
    ) -> Any:
        call = _begin(fullurl, data)
        if call is None:
            return original(self, fullurl, data, timeout)
        held = None if isinstance(fullurl, str) or data is not None else fullurl.data
        sent = call.sends(data if held is None else held)
        if held is None:
            data = sent
        elif sent is not held:
            fullurl._data = sent  # noqa: SLF001 - the property would drop a header
        try:
            with call:
                try:
                    response = original(self, fullurl, data, timeout)
                except http_error as error:
                    # It is the answer: its body can be read.
                    _answered(call, error.code, error.headers, error.fp)
                    raise
        finally:
            if held is not None and sent is not held:
                fullurl._data = held  # noqa: SLF001
        _answered(call, getattr(response, "status", None), response.headers, response)
        return response

    director.open = open


def _begin(request: Any, data: Any) -> Call | None:
    if isinstance(request, str):
        return client.begin(_HOOK, "GET" if data is None else "POST", request, _NONE)
    try:
        method = request.get_method()
        if data is not None and method == "GET":
            method = getattr(request, "method", None) or "POST"
        return client.begin(_HOOK, method, request.full_url, request.headers)
    except Exception:  # noqa: BLE001 - no request: the function says so itself
        return None


_NONE: dict[str, str] = {}


def _answered(call: Call, status: int | None, headers: Any, response: Any) -> None:
    call.answered(status or 200, headers)
    call.watch(response)
