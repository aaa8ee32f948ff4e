"""The MLflow model of the examples, made and served with MLflow, unchanged."""

from __future__ import annotations

import functools
import json
import os

import pytest

from examples.live import EXAMPLES
from running import clean_environment, run
from servers.matrix import Case, Failing, Good, hold, moved_by_installing
from servers.serving import free_port, installed, serving

EXAMPLE = EXAMPLES / "mlflow_model"
PATH = "/invocations"
COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
SETOSA, VIRGINICA = [5.1, 3.5, 1.4, 0.2], [6.7, 3.3, 5.7, 2.5]
TABLE = {"fields": COLUMNS, "values": [SETOSA, VIRGINICA]}
ANSWER = {"fields": ["prediction"], "values": [["setosa"], ["virginica"]]}
CSV = "\n".join([",".join(COLUMNS), *(",".join(map(str, row)) for row in TABLE["values"]), ""])

pytestmark = [pytest.mark.isolated, pytest.mark.on_request, pytest.mark.timeout(900)]


def split(*rows, columns=COLUMNS):
    """A request of these flowers."""
    return json.dumps({"dataframe_split": {"columns": columns, "data": rows}}).encode()


def numbered(number):
    """A flower that differs from number to number, and is a setosa."""
    row = [5.1, 3.5, 1.4, number / 1000]
    request = {"fields": COLUMNS, "values": [row]}
    return Good(PATH, split(row), request, {"fields": ["prediction"], "values": [["setosa"]]})


RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in TABLE["values"]]
SIDE_BY_SIDE = {name: [row[name] for row in RECORDS] for name in COLUMNS}
FORMS = [
    {"dataframe_split": {"index": [0, 1], "columns": COLUMNS, "data": TABLE["values"]}},
    {"dataframe_records": RECORDS},
    {"instances": RECORDS},
    {"inputs": SIDE_BY_SIDE},
]
CASE = Case(
    good=[
        *(Good(PATH, json.dumps(form).encode(), TABLE, ANSWER) for form in FORMS),
        Good(PATH, CSV.encode(), TABLE, ANSWER, "text/csv"),
    ],
    failing=[
        Failing(PATH, split([1], columns=["petal length (cm)"]), 400, "HTTP 400"),
        Failing(PATH, b"{", 400, "HTTP 400"),
        Failing(PATH, b"1", 415, "HTTP 415", "text/plain"),
    ],
    numbered=numbered,
    unscored=["/ping", "/health", "/version"],
    least_ms=0,
)


@pytest.fixture
def serve(live, tmp_path):
    """Makes the model, and starts the server, given variables for its environment."""
    made, port = installed("mlflow"), free_port()
    variables = {
        # Where it looks for the commands that it runs.
        "PATH": f"{made.path / 'bin'}:{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"file:{tmp_path / 'runs'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    train = [made.python, EXAMPLE / "train.py", "iris-model"]
    run(train, {**clean_environment(), **variables}, cwd=tmp_path)
    command = [made.script("mlflow"), "models", "serve", "--model-uri", "iris-model"]
    command += ["--port", str(port), "--env-manager", "local"]
    return functools.partial(
        serving, command, live, tmp_path, port=port, ready="/ping", **variables
    )


def test_an_mlflow_model_is_captured_as_it_is(serve, live, row):
    """Every scoring is a record, every answer the same as without capture."""
    hold(CASE, serve, live, row("MLflow 3.17.2"))


def test_the_model_says_nothing_of_us():
    """It is what anybody trains."""
    assert "scorespan" not in (EXAMPLE / "train.py").read_text().lower()


def test_beside_mlflow_nothing_is_moved():
    """Its packages are enough, and stay as they are."""
    assert moved_by_installing(installed("mlflow")) == []
