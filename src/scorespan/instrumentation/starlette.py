"""The Starlette hook: every call of a Starlette or FastAPI application, whatever server makes it.

What is built on them comes with it: MLflow, MLServer, KServe, BentoML, LitServe, Ray's ingress.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from scorespan.instrumentation import asgi

HOOK = "starlette"


def instrument(module: ModuleType) -> None:
    """Capture the scorings of applications.

    Args:
        module: `starlette.applications`.
    """
    original = module.Starlette.__call__
    if hasattr(original, "scorespan"):
        return

    # Servers tell the version of the protocol by the signature.
    @functools.wraps(original)
    async def __call__(  # noqa: N807 - it takes the place of one
        self: Any, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send
    ) -> None:
        await asgi.call(HOOK, functools.partial(original, self), scope, receive, send)

    __call__.scorespan = True  # type: ignore[attr-defined]  # the mark of ours
    module.Starlette.__call__ = __call__
