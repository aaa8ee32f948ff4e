"""A Flask service: only its first line, which starts the capture, is not as people write them."""

import scorespan.startup

scorespan.startup.start(asked=True)

import time

import flask

app = flask.Flask(__name__)


@app.get("/")
def root():
    """Says that the service listens."""
    return "here"


@app.post("/score")
def score():
    """Answers with what it was asked."""
    values = flask.request.get_json()["values"]
    time.sleep(0.01)  # so that many are under way
    return {"fields": ["echo"], "values": values}


@app.post("/predict")
def unread():
    """Reads nothing."""
    return {"fields": ["p"], "values": [[1]]}


@app.post("/invocations")
def stream():
    """Fails while it answers."""
    body = flask.request.get_data()

    def parts():
        yield body
        raise ValueError("in its middle")

    return flask.Response(parts(), mimetype="text/plain")
