"""What the live tests share: a real mart, and what it has stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import requests

from running import clean_environment
from scorespan.mart.server import RunningMart, running_mart

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PROGRAMS = Path(__file__).parent / "programs"
DATA_MART_ID = "live"
SUBSCRIPTION_ID = "live-model"
BINDING_ID = "binding"


class Stored(msgspec.Struct):
    """A record as the mart answers it: bodies as the text that is stored."""

    scoring_id: str
    scoring_timestamp: str
    response_time: int
    request: msgspec.Raw
    response: msgspec.Raw
    scorespan: dict[str, Any] = {}

    @property
    def request_text(self) -> bytes:
        """The request, byte for byte."""
        return bytes(self.request)

    @property
    def response_text(self) -> bytes:
        """The response, byte for byte; `null` for a failed scoring."""
        return bytes(self.response)

    @property
    def failed(self) -> bool:
        """Whether the scoring failed."""
        return self.scorespan["status"] == "error"


class _Page(msgspec.Struct):
    records: list[Stored]
    after: str | None


@dataclass(frozen=True)
class LiveMart:
    """A mart with one subscription, and a spool root for the processes that deliver to it."""

    running: RunningMart
    spool: Path
    subscription_id: str = SUBSCRIPTION_ID

    @property
    def settings(self) -> dict[str, Any]:
        """Keyword arguments for `configure`."""
        return {
            "data_mart_url": self.running.url,
            "data_mart_id": DATA_MART_ID,
            "api_key": self.running.api_key,
            "binding_id": BINDING_ID,
            "subscription_id": self.subscription_id,
            "spool_dir": str(self.spool),
            # A busy machine may need longer than the two seconds that a service is given.
            "shutdown_seconds": "60",
        }

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a process that delivers here."""
        ours = {f"SCORESPAN_{name.upper()}": value for name, value in self.settings.items()}
        return {**clean_environment(), **ours, **more}

    def records(self) -> list[Stored]:
        """Every record of the subscription, in the order they were stored."""
        records: list[Stored] = []
        after: str | None = None
        while True:
            page = msgspec.json.decode(self._get("scoring_payloads", after=after), type=_Page)
            records += page.records
            after = page.after
            if after is None:
                return records

    def ids(self) -> list[str]:
        """The scoring id of every record, in the order they were stored."""
        return [record.scoring_id for record in self.records()]

    def conflicts(self) -> list[Any]:
        """Records that came under the id of another one."""
        return msgspec.json.decode(self._get("scoring_conflicts"))["conflicts"]

    def row_count(self) -> int:
        """Rows of the payload table; failed scorings have none."""
        text = self._get("scoring_transactions", limit=1, include_total_count="true")
        return msgspec.json.decode(text)["total_count"]

    def _get(self, path: str, **query: Any) -> bytes:
        answer = requests.get(
            f"{self.running.url}/v1/data_marts/{DATA_MART_ID}/{path}",
            params={"subscription_id": self.subscription_id, **query},
            headers={"Authorization": f"Bearer {self.running.token()}"},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        return answer.content


@contextmanager
def live_mart(folder: Path, *, port: int = 0) -> Iterator[LiveMart]:
    """A running mart whose subscription has payload logging on; again over what it has stored."""
    data = folder / "mart"
    fresh = not data.exists()
    with running_mart(data, port=port) as running:
        if fresh:
            running.prepare(DATA_MART_ID, SUBSCRIPTION_ID, binding_id=BINDING_ID)
        yield LiveMart(running, folder / "spool")
