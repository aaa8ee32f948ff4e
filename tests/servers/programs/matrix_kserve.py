"""A KServe model that knows nothing of scorespan, served over both versions of the protocol."""

from __future__ import annotations

import sys
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InvalidInput
from parcels import hours


class Parcels(Model):
    """How long parcels take."""

    def load(self) -> bool:
        """It is ready at once."""
        self.ready = True
        return self.ready

    def predict(
        self,
        payload: Any,
        headers: Any = None,  # noqa: ARG002 - KServe passes it
        response_headers: Any = None,  # noqa: ARG002 - likewise
    ) -> Any:
        """The hours of each parcel."""
        if isinstance(payload, InferRequest):
            answers = hours(payload.inputs[0].as_numpy().tolist())
            output = InferOutput("hours", [len(answers), 1], "FP64", answers)
            return InferResponse(payload.id, self.name, [output])
        if "instances" not in payload:
            raise InvalidInput("there are no instances")
        return {"predictions": hours(payload["instances"])}


if __name__ == "__main__":
    model = Parcels("parcels")
    model.load()
    ModelServer(http_port=int(sys.argv[1]), enable_grpc=False).start([model])
