"""Performance routes: samples as the v1 API has them, and every deployment in one line."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request, Response

from scorespan.mart.access import TheMart, require_subscription, require_token
from scorespan.mart.answers import MartRoute, answer
from scorespan.mart.data_mart_routes import DATA_MART
from scorespan.mart.faults import refusal
from scorespan.mart.performance import Performance, Scope
from scorespan.mart.subscription_routes import require_bound
from scorespan.mart.timestamp import sortable, utc_text

if TYPE_CHECKING:
    from scorespan.mart.store import Reader

_DATE = len("2026-01-31T")

router = APIRouter(route_class=MartRoute, dependencies=[Depends(require_token)])


@router.get(f"{DATA_MART}/metrics")
def get_metrics(data_mart_id: str, request: Request, mart: TheMart) -> Response:
    """Performance samples of a subscription, oldest first.

    One for each record; where those are too many, for each deployment and interval: `interval`
    says which. `start` counts, `end` does not.
    """
    for name, known in (("metric_type", "performance"), ("format", "samples")):
        if request.query_params.get(name, known if name == "format" else None) != known:
            message = f"this mart has metrics with {name}={known}"
            raise refusal(400, "invalid_parameter", message, field=name)
    with mart.store.reading() as reader:
        interval, samples = reader.samples(_scope(request, reader, data_mart_id))
    metrics = [
        {
            "timestamp": sample.timestamp,
            "deployment_id": sample.deployment_id,
            "value": {
                "response_time": sample.response_time,
                "records": sample.rows,
                "requests": sample.requests,
                "failures": sample.failures,
            },
        }
        for sample in samples
    ]
    return answer({"metrics": metrics, "interval": interval})


@router.get(f"{DATA_MART}/performance")
def get_performance(data_mart_id: str, request: Request, mart: TheMart) -> Response:
    """Request rate, response times (ms) and failure rate of each deployment of a subscription.

    Between `start` and `end`, else from the first record until now. Rates per minute are over all
    of that time, also where nothing was scored in it.
    """
    with mart.store.reading() as reader:
        scope = _scope(request, reader, data_mart_id)
        found = reader.performances(scope)
    start = scope.start or min((one.first for one in found), default=None)
    end = scope.end or max([utc_text(mart.clock()), *(one.last for one in found)])
    minutes = 0.0 if start is None else _seconds(start, end) / 60
    deployments = [_shown(one, minutes) for one in found]
    return answer({"start": start, "end": end, "deployments": deployments})


def _scope(request: Request, reader: Reader, data_mart_id: str) -> Scope:
    """Which records a request asks for.

    Raises:
        MartError: 400, it does not say it well; 404, data mart, binding or subscription is unknown.
    """
    query = request.query_params
    subscription_id = query.get("subscription_id")
    if not subscription_id:
        message = "subscription_id is needed"
        raise refusal(400, "missing_parameter", message, field="subscription_id")
    start, end = _moment(request, "start"), _moment(request, "end")
    binding_id = query.get("binding_id")
    if binding_id:
        require_bound(reader, data_mart_id, binding_id, subscription_id)
    else:
        require_subscription(reader, data_mart_id, subscription_id)
    table = reader.tables(data_mart_id, [subscription_id])[subscription_id]
    return Scope(table.table_id, start, end, query.get("deployment_id") or None)


def _moment(request: Request, name: str) -> str | None:
    text = request.query_params.get(name)
    if not text:
        return None
    # In a query a plus sign that nobody has escaped is a space: that of an offset, in a time.
    moment = sortable(text[:_DATE] + text[_DATE:].replace(" ", "+"))
    if moment is None:
        message = f"{name} must be a timestamp as RFC 3339 has it"
        raise refusal(400, "invalid_parameter", message, field=name)
    return moment


def _shown(one: Performance, minutes: float) -> dict[str, Any]:
    return {
        "deployment_id": one.deployment_id,
        "requests": one.requests,
        "rows": one.rows,
        "failures": one.failures,
        "failure_rate": one.failures / one.requests,
        "requests_per_minute": one.requests / minutes if minutes > 0 else None,
        "response_time": {
            "mean": one.mean,
            "p50": one.p50,
            "p95": one.p95,
            "p99": one.p99,
            "max": one.longest,
        },
        "first": one.first,
        "last": one.last,
    }


def _seconds(start: str, end: str) -> float:
    return (_read(end) - _read(start)).total_seconds()


def _read(moment: str) -> datetime:
    return datetime.fromisoformat(moment[:-1]).replace(tzinfo=timezone.utc)
