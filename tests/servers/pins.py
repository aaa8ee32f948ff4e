"""What is installed for each server: exact versions, by the server's short name."""

from __future__ import annotations

from isolated.environments import CORE

OPENTELEMETRY = ("opentelemetry-api==1.45.2", "opentelemetry-sdk==1.45.2")
"""The newest; a server that pins another one brings its own."""

PINS: dict[str, tuple[str, ...]] = {
    "azureml": (
        *CORE,
        "azureml-inference-server-http==1.5.1",
        "numpy==2.2.6",
        "opentelemetry-api==1.33.0",
        "opentelemetry-sdk==1.33.0",
    ),
    "sagemaker": (
        *CORE,
        *OPENTELEMETRY,
        "multi-model-server==1.1.11",
        "sagemaker-inference==1.10.1",
        "setuptools==80.9.0",  # the newest with pkg_resources, which the toolkit imports
    ),
    "bentoml": (
        *CORE,
        "bentoml==1.4.39",
        "numpy==2.4.6",
        "opentelemetry-api==1.45.1",
        "opentelemetry-sdk==1.45.1",
        "starlette==1.10.0",
        "uvicorn==0.54.0",
    ),
    "kserve": (
        *CORE,
        *OPENTELEMETRY,
        "fastapi==0.165.0",
        "kserve==0.21.0",
        "numpy==2.4.6",
        "starlette==1.10.0",
        "uvicorn==0.54.0",
    ),
    "litserve": (
        *CORE,
        *OPENTELEMETRY,
        "fastapi==0.165.0",
        "litserve==0.2.19",
        "starlette==1.10.0",
        "uvicorn==0.54.0",
    ),
    "mlflow": (
        *CORE,
        *OPENTELEMETRY,
        "fastapi==0.165.0",
        "mlflow==3.17.2",
        "numpy==2.4.6",
        "pandas==3.1.1",
        "scikit-learn==1.9.1",
        "starlette==1.10.0",
        "uvicorn==0.54.0",
    ),
    "mlserver": (
        *CORE,
        *OPENTELEMETRY,
        "fastapi==0.115.14",
        "mlserver==1.7.1",
        "numpy==2.4.6",
        "starlette==0.46.2",
        "uvicorn==0.54.0",
        "uvloop==0.21.0",  # its parallel workers cannot start with a newer one
    ),
    "ray": (
        *CORE,
        *OPENTELEMETRY,
        "fastapi==0.165.0",
        "ray[serve]==2.60.0",
        "starlette==1.10.0",
        "uvicorn==0.54.0",
    ),
    "fastapi": (
        *CORE,
        *OPENTELEMETRY,
        "fastapi==0.165.0",
        "starlette==1.10.0",
        "uvicorn==0.54.0",
    ),
    "flask": (
        *CORE,
        *OPENTELEMETRY,
        "flask==3.1.3",
        "gunicorn==27.0.1",
    ),
    # For the table of exits: one environment is made sooner than one for each.
    "small": (
        *CORE,
        *OPENTELEMETRY,
        "fastapi==0.165.0",
        "flask==3.1.3",
        "gevent==26.9.0",
        "gunicorn==27.0.1",
        "hypercorn==0.18.0",
        "packaging==26.3",  # gunicorn's worker for gevent
        "opentelemetry-exporter-otlp-proto-http==1.45.2",
        "uvicorn==0.54.0",
        "waitress==3.0.2",
    ),
}
