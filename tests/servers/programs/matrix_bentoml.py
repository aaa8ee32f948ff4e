"""A BentoML service that knows nothing of scorespan."""

from __future__ import annotations

import bentoml
from parcels import hours


@bentoml.service
class Parcels:
    """How long parcels take."""

    @bentoml.api
    def predict(self, data: list[list[float]]) -> list[float]:
        """The hours of each parcel."""
        return hours(data)
