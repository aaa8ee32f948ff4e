"""A FastAPI service: only its first line, which starts the capture, is not as people write them."""

import scorespan.startup

scorespan.startup.start(asked=True)

import asyncio
import time

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/")
def root():
    """Says that the service listens."""
    return "here"


@app.post("/score")
async def score(request: Request):
    """Answers with what it was asked."""
    values = (await request.json())["values"]
    await asyncio.sleep(0.01)  # so that many are under way
    return {"fields": ["echo"], "values": values}


@app.post("/v1/models/threads:predict")
def in_a_thread(body: dict):
    """The same, on a thread of the server's."""
    time.sleep(0.01)
    return {"fields": ["echo"], "values": body["values"]}


@app.post("/predict")
async def unread():
    """Reads nothing."""
    return {"fields": ["p"], "values": [[1]]}


@app.post("/invocations")
async def stream(request: Request):
    """Fails while it answers."""
    body = await request.body()

    async def parts():
        yield body
        raise ValueError("in its middle")

    return StreamingResponse(parts(), media_type="text/plain")


@app.post("/predictions/events")
async def events(request: Request):
    """Goes on until its client leaves."""
    await request.body()

    async def parts():
        yield "data: first\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(parts(), media_type="text/event-stream")
