"""An MLServer model that knows nothing of scorespan."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput
from parcels import hours


class Parcels(MLModel):
    """How long parcels take."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The hours of each parcel."""
        answers = hours(NumpyCodec.decode_input(payload.inputs[0]).tolist())
        output = ResponseOutput(name="hours", shape=[len(answers)], datatype="FP64", data=answers)
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[output])
