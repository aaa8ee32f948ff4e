"""A scoring script for the Azure ML inference server: `init()` once, `run()` for each request.

What it prints is what such scripts print for Application Insights: when the model was loaded, each
input with its output, and the error, with the time, where there was one.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


def init() -> None:
    """Load the model, a linear one: what each feature adds to the price, and the price of none."""
    global model  # noqa: PLW0603 - the server calls the two functions, and keeps nothing for them
    print("model initialized" + time.strftime("%H:%M:%S"))
    model = json.loads(Path(os.environ["AZUREML_MODEL_DIR"], "model.json").read_text())


def predict(row: list[float]) -> float:
    """The price of one house."""
    weights = model["weights"]
    if len(row) != len(weights):
        raise ValueError(f"the model needs {len(weights)} features, not {len(row)}")
    return model["bias"] + sum(weight * value for weight, value in zip(weights, row, strict=True))


def run(raw_data: str) -> list[float] | str:
    """Prices for the rows of `{"data": [[...], ...]}`, or the text of what went wrong."""
    try:
        rows = json.loads(raw_data)["data"]
        prices = [predict(row) for row in rows]
        print(json.dumps({"input": raw_data, "output": prices}))
    except Exception as error:  # noqa: BLE001 - so are these scripts: every request has an answer
        text = str(error)
        print(text + time.strftime("%H:%M:%S"))
        return text
    return prices
