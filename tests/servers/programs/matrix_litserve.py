"""A LitServe service that knows nothing of scorespan."""

from __future__ import annotations

import sys

import litserve
from fastapi import HTTPException
from parcels import hours


class Parcels(litserve.LitAPI):
    """How long parcels take; scored in a process of its own."""

    def setup(self, device):
        """There is nothing to load."""

    def decode_request(self, request):
        """The rows of a request."""
        if "input" not in request:
            raise HTTPException(400, "there is no input")
        return request["input"]

    def predict(self, x):
        """The hours of each parcel."""
        return hours(x)

    def encode_response(self, output):
        """What is answered."""
        return {"output": output}


if __name__ == "__main__":
    server = litserve.LitServer(Parcels())
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
