"""Payload logging for a FastAPI service: the route calls a decorated model function.

Run it with the settings of your data mart in the environment (see `plain_script.py`):

    uvicorn --app-dir examples fastapi_service:app --port 8000
    curl -i 127.0.0.1:8000/score -H 'Content-Type: application/json' \
         -d '{"fields": ["sepal length", "sepal width", "petal length", "petal width"],
              "values": [[5.1, 3.5, 1.4, 0.2]]}'
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from starlette.concurrency import run_in_threadpool

import scorespan

FIELDS = ["sepal length", "sepal width", "petal length", "petal width"]

data = load_iris()
model = LogisticRegression(max_iter=1000).fit(data.data, data.target)


class Table(BaseModel):
    """A request or a response: named columns and rows."""

    fields: list[str]
    values: list[list[Any]]


# The scoring id is the caller's to choose; a callable gets the arguments of the call. Without one,
# scorespan makes an id of the trace and span ids.
@scorespan.scored(model="iris", scoring_id=lambda _table, scoring_id: scoring_id)
def predict(table: dict[str, Any], scoring_id: str) -> dict[str, Any]:  # noqa: ARG001 - read above
    """The species of each flower. What it raises makes a failed scoring, and goes on unchanged."""
    if table["fields"] != FIELDS:
        raise ValueError(f"the model needs the columns {', '.join(FIELDS)}")
    labels = data.target_names[model.predict(table["values"])]
    return {"fields": ["prediction"], "values": [[label] for label in labels.tolist()]}


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Payload logging begins and ends with the service."""
    # Here and not at import: each worker of `uvicorn --workers` gets its own.
    scorespan.configure()
    yield
    # uvicorn ends by the very signal that stopped it, and Python's atexit never runs. This drains
    # for SCORESPAN_SHUTDOWN_SECONDS; the rest is on disk, and the next start delivers it.
    await run_in_threadpool(scorespan.shutdown)


app = FastAPI(lifespan=lifespan)


# A plain `def`: the model computes, so FastAPI runs it in a thread. `predict` may as well be an
# `async def` that awaits a model elsewhere; the decorator takes both.
@app.post("/score")
def score(table: Table, response: Response) -> Table:
    """Score the rows; the header `X-Scoring-Id` names the record in the data mart."""
    scoring_id = uuid.uuid4().hex
    headers = {"X-Scoring-Id": scoring_id}
    try:
        answer = predict(table.model_dump(), scoring_id)
    except ValueError as error:
        raise HTTPException(422, str(error), headers) from None
    response.headers.update(headers)
    return Table(**answer)
