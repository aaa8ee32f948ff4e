"""Two Ray Serve deployments that know nothing of scorespan: behind FastAPI, and without it."""

from typing import Any

from fastapi import FastAPI, HTTPException
from parcels import hours
from ray import serve
from starlette.requests import Request

api = FastAPI()


@serve.deployment
@serve.ingress(api)
class Ingress:
    """How long parcels take, behind routes of FastAPI."""

    @api.get("/health")
    def health(self) -> str:
        """Whether it is up."""
        return "up"

    @api.post("/predict")
    def predict(self, body: dict[str, Any]) -> dict[str, Any]:
        """The hours of each parcel."""
        if "data" not in body:
            raise HTTPException(400, "there is no data")
        return {"predictions": hours(body["data"])}


@serve.deployment
class Plain:
    """The same, called with the request as it is."""

    async def __call__(self, request: Request) -> dict[str, Any]:
        """The hours of each parcel, or that it is up."""
        if request.method == "GET":
            return {}
        return {"predictions": hours((await request.json())["data"])}


ingress = Ingress.bind()
plain = Plain.bind()
