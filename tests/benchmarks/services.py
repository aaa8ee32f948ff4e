"""Two services that only answer: what capture costs is not hidden behind a model's work.

The start-up is what the start-up file of an installed package calls; where the environment asks for
no capture, it does nothing.
"""

from __future__ import annotations

import scorespan.startup

scorespan.startup.start(asked=True)

import fastapi  # noqa: E402 - as services do, after the start-up
import flask  # noqa: E402 - likewise
from tests.benchmarks.measure import RESPONSE  # noqa: E402 - likewise

with_flask = flask.Flask(__name__)
with_fastapi = fastapi.FastAPI()


@with_flask.get("/")
@with_fastapi.get("/")
def root() -> str:
    """Says that the service listens."""
    return "here"


@with_flask.post("/score")
def flask_score() -> flask.Response:
    """Reads the request and answers."""
    flask.request.get_json()
    return flask.Response(RESPONSE, mimetype="application/json")


@with_fastapi.post("/score")
async def fastapi_score(request: fastapi.Request) -> fastapi.Response:
    """The same."""
    await request.json()
    return fastapi.Response(RESPONSE, media_type="application/json")
