"""Customers who may leave, as the SageMaker inference toolkit serves them: its four functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from sagemaker_inference import decoder, encoder


def model_fn(model_dir: str) -> dict[str, Any]:
    """The weights, from the model's archive."""
    model: dict[str, Any] = json.loads((Path(model_dir) / "model.json").read_text())
    return model


def input_fn(input_data: str | bytes, content_type: str) -> np.ndarray:
    """The request's rows, from JSON, CSV or npy."""
    return np.atleast_2d(decoder.decode(input_data, content_type))


def predict_fn(data: np.ndarray, model: dict[str, Any]) -> np.ndarray:
    """One probability for each row."""
    if data.shape[1] != len(model["weights"]):
        raise ValueError(f"{data.shape[1]} columns instead of {len(model['weights'])}")
    return 1 / (1 + np.exp(-(data @ np.array(model["weights"]) + model["bias"])))


def output_fn(prediction: np.ndarray, accept: str) -> str | bytes:
    """The answer, in the form that the caller accepts."""
    if accept != "application/json":
        return encoder.encode(prediction, accept)
    predictions = [{"score": score, "predicted_label": int(score > 0.5)} for score in prediction]
    return encoder.encode({"predictions": predictions}, accept)
