"""Setting up: data marts, bindings, subscriptions and their configurations."""

from __future__ import annotations

import uuid
from datetime import datetime
from importlib.metadata import version

import pytest

DM = "/v1/data_marts/dm"


def code(answer):
    """The code of an answer's only error."""
    (error,) = answer.json()["errors"]
    return error["code"]


def test_a_data_mart_is_made_and_read(mart_empty):
    """PUT answers 200, again too; GET is flat, has a schema, and tells our mart by a member."""
    http = mart_empty.http
    for _ in range(2):
        assert http.put(DM, json={"internal_database": True}).status_code == 200
    document = http.get(DM).json()
    assert document["internal_database"] is True
    assert document["status"] == {"state": "active"}
    assert document["database_configuration"]["location"]["schema"]
    assert document["scorespan"] == {"version": version("scorespan")}


@pytest.mark.parametrize(
    "body",
    [
        {"database_configuration": {"database_type": "postgresql", "credentials": {"p": "s"}}},
        {"internal_database": False},
        {},
    ],
)
def test_another_database_is_refused(mart_empty, body):
    """A data mart over another database is 400 and is not made."""
    answer = mart_empty.http.put(DM, json=body)
    assert (answer.status_code, code(answer)) == (400, "unsupported_database")
    assert "internal database" in answer.json()["errors"][0]["message"]
    assert mart_empty.http.get(DM).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/service_bindings"),
        ("POST", "/service_bindings"),
        ("GET", "/service_bindings/b"),
        ("DELETE", "/service_bindings/b"),
        ("GET", "/service_bindings/b/subscriptions"),
        ("PUT", "/service_bindings/b/subscriptions/s"),
        ("GET", "/service_bindings/b/subscriptions/s"),
        ("GET", "/service_bindings/b/subscriptions/s/payload_table_schema"),
        ("GET", "/scoring_payloads"),
        ("GET", "/scoring_transactions?subscription_id=s"),
        ("GET", "/scoring_conflicts"),
    ],
)
def test_an_unknown_data_mart_is_not_found(mart_empty, method, path):
    """Below a data mart that does not exist everything is 404."""
    content = b"{}" if method in {"PUT", "POST"} else None
    answer = mart_empty.http.request(method, DM + path, content=content)
    assert (answer.status_code, code(answer)) == (404, "unknown_data_mart")


def test_a_binding_keeps_its_instance_id(mart):
    """The guid is the instance id; the same id again is 201 with the same guid, and renews."""
    body = {"name": "engine", "service_type": "custom_machine_learning", "instance_id": "i-1"}
    for name in ("engine", "renamed"):
        answer = mart.http.post(f"{DM}/service_bindings", json={**body, "name": name})
        assert answer.status_code == 201
        assert answer.json()["metadata"]["guid"] == "i-1"
    listed = mart.http.get(f"{DM}/service_bindings").json()["service_bindings"]
    listed.sort(key=lambda one: one["metadata"]["guid"])
    assert [one["metadata"]["guid"] for one in listed] == ["binding", "i-1"]
    assert listed[1]["entity"]["name"] == "renamed"
    created = listed[1]["metadata"]["created_at"]
    assert datetime.strptime(created, "%Y-%m-%dT%H:%M:%S.%f%z")


def test_a_binding_without_an_id_gets_one(mart):
    """Without an instance id the guid is a fresh uuid."""
    body = {"name": "engine", "service_type": "azure_machine_learning", "credentials": {}}
    answers = [mart.http.post(f"{DM}/service_bindings", json=body).json() for _ in range(2)]
    guids = {answer["metadata"]["guid"] for answer in answers}
    assert len(guids) == 2
    assert {uuid.UUID(guid).version for guid in guids} == {4}


def test_credentials_are_redacted_and_encrypted(mart):
    """Credentials come back by their keys only, and their values are nowhere on disk in clear."""
    body = {
        "name": "engine",
        "service_type": "custom_machine_learning",
        "instance_id": "i",
        "credentials": {"url": "u-geheim", "password": "p-geheim", "more": {"token": "t-geheim"}},
        "request_headers": {"Authorization": "h-geheim"},
    }
    answer = mart.http.post(f"{DM}/service_bindings", json=body)
    shown = [
        answer.text,
        mart.http.get(f"{DM}/service_bindings").text,
        mart.http.get(f"{DM}/service_bindings/i").text,
    ]
    entity = mart.http.get(f"{DM}/service_bindings/i").json()["entity"]
    assert entity["credentials"] == {"url": "***", "password": "***", "more": {"token": "***"}}
    assert entity["request_headers"] == {"Authorization": "***"}
    assert not any("geheim" in text for text in shown)
    for file in mart.running.folder.iterdir():
        assert b"geheim" not in file.read_bytes()


def test_a_binding_without_credentials_shows_none(mart):
    """The member is there even when nothing was given."""
    body = {"name": "n", "service_type": "t", "instance_id": "i"}
    assert mart.http.post(f"{DM}/service_bindings", json=body).status_code == 201
    assert mart.http.get(f"{DM}/service_bindings/i").json()["entity"]["credentials"] == {}


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"x",
        b'{"instance_id": 5}',
        b'{"instance_id": "a/b"}',
        b'{"instance_id": ""}',
        b'{"name": 5}',
        b'{"credentials": "text"}',
        b'{"request_headers": [1]}',
    ],
)
def test_a_wrong_binding_is_refused(mart, body):
    """A binding of the wrong form is 400 and not made."""
    assert mart.http.post(f"{DM}/service_bindings", content=body).status_code == 400
    assert len(mart.http.get(f"{DM}/service_bindings").json()["service_bindings"]) == 1


def test_deleting_a_binding_keeps_the_records(mart, mart_record):
    """202, then binding and subscriptions are 404; what is stored can still be read."""
    mart.stored(mart_record())
    assert mart.http.delete(f"{DM}/service_bindings/binding?force=true").status_code == 202
    assert mart.http.get(f"{DM}/service_bindings/binding").status_code == 404
    assert mart.http.get(mart.subscription).status_code == 404
    assert mart.store([mart_record("two")]).status_code == 422
    assert len(mart.records(subscription_id="sub")) == 1
    mart.running.prepare("dm", "sub", enabled=False)
    assert mart.store([mart_record("two")]).status_code == 422
    assert len(mart.rows()["values"]) == 1


def test_a_subscription_has_the_clients_id_and_documents(mart):
    """PUT is 201 with the client's id; GET and the list give its documents back."""
    path = f"{DM}/service_bindings/binding/subscriptions"
    body = {
        "asset": {"asset_id": "a", "name": "n", "asset_type": "model", "url": "u"},
        "asset_properties": {"problem_type": "binary"},
        "deployments": [{"deployment_id": "d", "name": "d", "deployment_type": "online"}],
    }
    answer = mart.http.put(f"{path}/s-2", json=body)
    assert answer.status_code == 201
    assert answer.json()["metadata"]["guid"] == "s-2"
    found = mart.http.get(f"{path}/s-2").json()
    assert found["entity"].items() >= {**body, "service_binding_id": "binding"}.items()
    assert found["metadata"]["url"] == f"{path}/s-2"
    listed = mart.http.get(path).json()["subscriptions"]
    assert {one["metadata"]["guid"] for one in listed} == {"sub", "s-2"}


def test_a_subscription_stands_under_its_binding(mart):
    """Under another binding the subscription is 404, and its id cannot be taken there."""
    mart.http.post(f"{DM}/service_bindings", json={"instance_id": "other"})
    other = f"{DM}/service_bindings/other/subscriptions/sub"
    for path in ("", "/payload_table_schema", "/configurations/payload_logging"):
        assert mart.http.get(other + path).status_code == 404
    assert mart.http.delete(other).status_code == 404
    assert mart.http.put(other, json={}).status_code == 409
    assert mart.http.put(f"{DM}/service_bindings/none/subscriptions/s", json={}).status_code == 404


@pytest.mark.parametrize("body", [b"[]", b'{"asset": 1}', b'{"deployments": {}}', b"{"])
def test_a_wrong_subscription_is_refused(mart, body):
    """A subscription of the wrong form is 400."""
    assert mart.http.put(f"{mart.subscription}2", content=body).status_code == 400
    assert mart.http.get(f"{mart.subscription}2").status_code == 404


@pytest.mark.parametrize("depth", [999, 1500, 5000])
def test_deep_documents_are_stored_or_refused(mart, depth):
    """A document of up to a thousand levels is stored and read, a deeper one is 400."""
    deep = "[" * (depth - 2) + "]" * (depth - 2)
    body = f'{{"asset_properties": {{"x": {deep}}}}}'
    answer = mart.http.put(mart.subscription, content=body)
    assert answer.status_code == (201 if depth <= 1000 else 400), answer.text
    assert mart.http.get(mart.subscription).status_code == 200
    secret = f'{{"instance_id": "i", "credentials": {{"x": {deep}}}}}'
    answer = mart.http.post(f"{DM}/service_bindings", content=secret)
    assert answer.status_code == (201 if depth <= 1000 else 400)
    assert mart.http.get(f"{DM}/service_bindings").status_code == 200


def test_patching_asset_properties(mart):
    """A JSON patch adds asset properties and answers the whole subscription."""
    patch = [
        {"op": "add", "path": "/asset_properties/probability_fields", "value": "p"},
        {"op": "add", "path": "/asset_properties/a~1b~0c", "value": [1]},
    ]
    answer = mart.http.patch(mart.subscription, json=patch)
    assert answer.status_code == 200
    expected = {"probability_fields": "p", "a/b~c": [1]}
    assert answer.json()["entity"]["asset_properties"] == expected
    assert mart.http.get(mart.subscription).json()["entity"]["asset_properties"] == expected


@pytest.mark.parametrize(
    "step",
    [
        {"op": "remove", "path": "/asset_properties/a"},
        {"op": "add", "path": "/asset/name", "value": 1},
        {"op": "add", "path": "/asset_properties/", "value": 1},
        {"op": "add", "path": "/asset_properties/a/b", "value": 1},
        {"op": "add", "path": "/asset_properties/a"},
        {"op": "add", "path": 1, "value": 1},
        "text",
    ],
)
def test_other_patches_are_refused_whole(mart, step):
    """A patch with any other step is 400 and changes nothing."""
    good = {"op": "add", "path": "/asset_properties/x", "value": 1}
    answer = mart.http.patch(mart.subscription, json=[good, step])
    assert (answer.status_code, code(answer)) == (400, "unsupported_patch")
    assert mart.http.get(mart.subscription).json()["entity"]["asset_properties"] == {}


def test_a_deleted_subscription_is_gone_and_comes_back_switched_off(mart, mart_record):
    """202, then 404 and gone from the list; made again it has payload logging off."""
    mart.stored(mart_record())
    assert mart.http.delete(f"{mart.subscription}?force=true").status_code == 202
    assert mart.http.get(mart.subscription).status_code == 404
    path = f"{DM}/service_bindings/binding/subscriptions"
    assert mart.http.get(path).json() == {"subscriptions": []}
    assert mart.http.delete(mart.subscription).status_code == 404
    assert mart.http.put(mart.subscription, json={}).status_code == 201
    logging = mart.http.get(f"{mart.subscription}/configurations/payload_logging").json()
    assert logging["enabled"] is False


def test_payload_logging_is_off_until_it_is_switched_on(mart):
    """A fresh subscription has it off, with its table's name known; PUT and GET agree after."""
    path = f"{DM}/service_bindings/binding/subscriptions/s-2"
    assert mart.http.put(path, json={}).status_code == 201
    configuration = f"{path}/configurations/payload_logging"
    document = mart.http.get(configuration).json()
    schema = mart.http.get(DM).json()["database_configuration"]["location"]["schema"]
    assert document == {
        "enabled": False,
        "parameters": {"table_name": f"{schema}.Payload_s-2", "dynamic_schema_update": True},
    }
    fixed = {"enabled": True, "parameters": {"dynamic_schema_update": False}}
    put = mart.http.put(configuration, json=fixed)
    assert put.status_code == 200
    assert put.json() == mart.http.get(configuration).json()
    assert put.json()["parameters"]["dynamic_schema_update"] is False
    off = mart.http.put(configuration, json={"enabled": False}).json()
    assert (off["enabled"], off["parameters"]["dynamic_schema_update"]) == (False, False)


def test_the_output_schema_appears_with_the_first_record(mart, mart_record):
    """The configuration shows the output schema, prediction role included, once a record came."""
    path = f"{mart.subscription}/configurations/payload_logging"
    assert "output_data_schema" not in mart.http.get(path).json()["parameters"]
    mart.stored(mart_record())
    fields = mart.http.get(path).json()["parameters"]["output_data_schema"]["fields"]
    assert "prediction" in [field["metadata"].get("modeling_role") for field in fields]


def test_performance_monitoring_is_stored(mart):
    """The configuration of performance monitoring is off at first and then what was PUT."""
    path = f"{mart.subscription}/configurations/performance_monitoring"
    assert mart.http.get(path).json() == {"enabled": False, "parameters": {}}
    body = {"enabled": True, "parameters": {"metrics": [{"name": "m", "threshold": 1}]}}
    assert mart.http.put(path, json=body).json() == body
    assert mart.http.get(path).json() == body
    monitors = mart.http.get(mart.subscription).json()["entity"]["configurations"]
    assert {one["type"]: one["enabled"] for one in monitors} == {
        "payload_logging": True,
        "performance_monitoring": True,
    }


@pytest.mark.parametrize("monitor", ["quality_monitoring", "drift", "x"])
def test_other_monitors_are_not_found(mart, monitor):
    """A monitor that this mart does not have is 404 with a clear code."""
    path = f"{mart.subscription}/configurations/{monitor}"
    for answer in (mart.http.get(path), mart.http.put(path, json={"enabled": True})):
        assert (answer.status_code, code(answer)) == (404, "unknown_monitor")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"enabled": "yes"},
        {"enabled": True, "parameters": []},
        {"enabled": True, "parameters": {"dynamic_schema_update": "no"}},
    ],
)
def test_a_wrong_configuration_is_refused(mart, body):
    """A configuration of the wrong form is 400 and changes nothing."""
    path = f"{mart.subscription}/configurations/payload_logging"
    before = mart.http.get(path).json()
    assert mart.http.put(path, json=body).status_code == 400
    assert mart.http.get(path).json() == before
