"""A FastAPI service that knows nothing of scorespan: the application of many servers' ends."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/")
async def health() -> str:
    """Whether it is up."""
    return "up"


@app.post("/score")
async def score(request: Request) -> dict[str, Any]:
    """The number of the request, which is the score."""
    return {"fields": ["score"], "values": (await request.json())["values"]}
