"""A custom scoring engine over HTTP, with instrumented model code.

`POST /score` takes `{"fields", "values"}` and answers in the same form; the header `X-Scoring-Id`
names the scoring. Run it with `python -m scorespan.demo.engine PORT`; the settings come from the
environment.
"""

from __future__ import annotations

import json
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

import scorespan

SCORING_ID = "X-Scoring-Id"
MODEL = "breast-cancer"


class Model:
    """A random forest on the breast cancer data set of 569 patients and 30 features."""

    def __init__(self) -> None:
        data = load_breast_cancer()
        self.fields = [str(name) for name in data.feature_names]
        self.labels = [str(name) for name in data.target_names]
        self._forest = RandomForestClassifier(n_estimators=30, random_state=7)
        self._forest.fit(data.data, data.target)

    def predict(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Label and class probabilities for each row.

        Raises:
            ValueError: the columns are not the model's, or a cell is not a number.
        """
        if payload["fields"] != self.fields:
            raise ValueError(f"the model needs its {len(self.fields)} columns")
        rows = [[float(cell) for cell in row] for row in payload["values"]]
        probabilities = self._forest.predict_proba(rows).tolist()
        return {
            "fields": ["prediction", "probability"],
            "labels": self.labels,
            "values": [[self.labels[row.index(max(row))], row] for row in probabilities],
        }


def handler_for(model: Model) -> type[BaseHTTPRequestHandler]:
    """The HTTP handler that scores with a model."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one write

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            payload = json.loads(body)
            scoring_id = ""
            try:
                with scorespan.scoring_span(payload, model=MODEL, model_version="1") as scoring:
                    scoring_id = scoring.id
                    answer = model.predict(payload)
                    scoring.set_response(answer)
                status = 200
            except ValueError as error:
                status, answer = 422, {"error": str(error)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header(SCORING_ID, scoring_id)
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the base class
            """Say nothing."""

    return Handler


def main() -> None:
    """Train, listen on the given port (0: any free one), say which, and score until SIGTERM."""
    scorespan.configure()
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler_for(Model()))
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(json.dumps({"port": server.server_port}), flush=True)  # noqa: T201 - the starter reads it
    server.serve_forever()


if __name__ == "__main__":
    main()
