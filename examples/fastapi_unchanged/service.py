"""How long parcels take: a scoring service as anybody writes one."""

from fastapi import FastAPI
from pydantic import BaseModel

HANDLING_HOURS = {"standard": 12.0, "express": 2.0}
KILOMETRES_PER_HOUR = 60

app = FastAPI()


class Parcel(BaseModel):
    """What is known when a parcel is handed in."""

    kilometres: float
    kilograms: float
    service: str


class Delivery(BaseModel):
    """What is expected of it."""

    hours: float
    late: bool


@app.get("/health")
async def health() -> str:
    """Whether the service is up."""
    return "up"


@app.post("/predict")
def predict(parcels: list[Parcel]) -> list[Delivery]:
    """The delivery of each parcel."""
    return [delivery(parcel) for parcel in parcels]


def delivery(parcel: Parcel) -> Delivery:
    """The model: heavy parcels travel slowly."""
    slower = 1 + parcel.kilograms / 40
    hours = HANDLING_HOURS[parcel.service] + slower * parcel.kilometres / KILOMETRES_PER_HOUR
    return Delivery(hours=round(hours, 2), late=hours > 24)
