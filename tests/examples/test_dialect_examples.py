"""Native bodies of every dialect as rows in a data mart."""

from __future__ import annotations

import json

import requests

from examples.live import DATA_MART_ID, SUBSCRIPTION_ID, live_mart
from golden_dialects import EXAMPLES, span_of
from scorespan.conversion.convert import convert
from scorespan.record import PayloadRecord, wire_list


def test_the_data_mart_stores_each_of_them(tmp_path):
    """With nested cells, arrays, mixed columns and nulls; every row of an answer can be read."""
    records = [
        convert(
            span_of(example, None)._replace(
                scoring_id=f"example-{number}", subscription_id=SUBSCRIPTION_ID
            )
        )
        for number, (_, example) in enumerate(EXAMPLES.values())
    ]
    assert all(isinstance(record, PayloadRecord) for record in records)
    with live_mart(tmp_path) as live:
        answer = requests.post(
            f"{live.running.url}/v1/data_marts/{DATA_MART_ID}/scoring_payloads",
            wire_list(records, extras=True),
            headers={"Authorization": f"Bearer {live.running.token()}"},
            timeout=60,
        )
        assert answer.status_code == 204, answer.text
        stored = {record.scoring_id: record for record in live.records()}
        for record in records:
            assert stored[record.scoring_id].request_text == record.request
            assert stored[record.scoring_id].failed == record.failed
        rows = [len(json.loads(record.response)["values"]) for record in records if record.response]
        assert live.row_count() == sum(rows)
