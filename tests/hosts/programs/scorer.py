"""One scoring, and its line in the log of accepted scoring ids; payload logging is on."""

from __future__ import annotations

import os

import scorespan

scorespan.configure()
accepted = os.open(os.environ["ACCEPTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def score(number: int = 0) -> str:
    """One scoring, then its id in the log, in one write; returns the id."""
    with scorespan.scoring_span({"fields": ["number"], "values": [[number]]}) as scoring:
        scoring.set_response({"fields": ["double"], "values": [[2 * number]]})
    os.writev(accepted, [scoring.id.encode() + b"\n"])
    return str(scoring.id)


def score_many(count: int) -> None:
    """So many scorings."""
    for number in range(count):
        score(number)
