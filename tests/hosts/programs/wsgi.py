"""An application for gunicorn; it scores while it is imported, and then once for each request."""

from __future__ import annotations

from collections.abc import Callable

from scorer import score

score()


def app(environ: dict[str, object], start_response: Callable[..., object]) -> list[bytes]:
    """One scoring."""
    body = score().encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
