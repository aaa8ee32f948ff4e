"""What loading the hooks loads: they come into services of every kind, and must weigh little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import scorespan.instrumentation

MODULES = sorted(
    path.stem for path in Path(scorespan.instrumentation.__path__[0]).glob("[a-z]*.py")
)
OTHERS = {
    "azureml_inference_server_http", "botocore", "fastapi", "flask", "httpx", "multiprocessing",
    "requests", "sagemaker_inference", "starlette", "uvicorn", "werkzeug",
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_a_hook_loads_neither_a_framework_nor_the_sdk(name):
    """It gets the module that it patches, and asks the SDK for nothing until there is a scoring."""
    code = f"import sys, scorespan.instrumentation.{name}\nprint(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {module.partition(".")[0] for module in loaded} & OTHERS == set()
    assert not [module for module in loaded if module.startswith("opentelemetry.sdk")]
