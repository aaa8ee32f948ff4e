"""Data mart routes: make one, look at it, bind engines to it."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Response

from scorespan.mart.access import Mart, TheMart, require_data_mart, require_token
from scorespan.mart.answers import MartRoute, answer
from scorespan.mart.documents import binding_document, data_mart_document
from scorespan.mart.faults import refusal
from scorespan.mart.incoming import decode_object, read_body
from scorespan.mart.store import Binding
from scorespan.mart.timestamp import utc_text

if TYPE_CHECKING:
    from scorespan.mart.store import Reader

DATA_MART = "/v1/data_marts/{data_mart_id}"
BINDINGS = f"{DATA_MART}/service_bindings"
BINDING = f"{BINDINGS}/{{binding_id}}"

router = APIRouter(route_class=MartRoute, dependencies=[Depends(require_token)])
Body = Annotated[bytes, Depends(read_body)]


@router.put(DATA_MART)
def put_data_mart(data_mart_id: str, body: Body, mart: TheMart) -> Response:
    """Make a data mart; making it again changes nothing."""
    document = decode_object(body)
    if document.get("database_configuration") or document.get("internal_database") is not True:
        message = 'only the internal database is supported: send {"internal_database": true}'
        raise refusal(400, "unsupported_database", message, field="database_configuration")
    with mart.store.writing() as writer:
        writer.put_data_mart(data_mart_id, mart.clock())
        return answer(data_mart_document(require_data_mart(writer, data_mart_id)))


@router.get(DATA_MART)
def get_data_mart(data_mart_id: str, mart: TheMart) -> Response:
    """A data mart."""
    with mart.store.reading() as reader:
        return answer(data_mart_document(require_data_mart(reader, data_mart_id)))


@router.post(BINDINGS)
def add_binding(data_mart_id: str, body: Body, mart: TheMart) -> Response:
    """Bind an engine under its instance id; binding it again renews its name and credentials."""
    document = decode_object(body)
    given = document.get("instance_id")
    # An id is a part of paths: one that cannot stand there could never be asked for again.
    if given is not None and not (isinstance(given, str) and given and "/" not in given):
        message = "instance_id must be a string without slashes"
        raise refusal(400, "wrong_type", message, field="instance_id")
    for name in ("name", "service_type"):
        if not isinstance(document.get(name, ""), str):
            raise refusal(400, "wrong_type", f"{name} must be a string", field=name)
    secrets: dict[str, Any] = {"credentials": document.get("credentials") or {}}
    if document.get("request_headers"):
        secrets["request_headers"] = document["request_headers"]
    for name, secret in secrets.items():
        if not isinstance(secret, dict):
            raise refusal(400, "wrong_type", f"{name} must be an object", field=name)
    binding = Binding(
        given or str(uuid.uuid4()),
        document.get("name", ""),
        document.get("service_type", ""),
        mart.authority.encrypt(json.dumps(secrets).encode()),
        utc_text(mart.clock()),
    )
    with mart.store.writing() as writer:
        require_data_mart(writer, data_mart_id)
        writer.put_binding(data_mart_id, binding)
        stored = require_binding(writer, data_mart_id, binding.binding_id)
    return answer(_shown(mart, data_mart_id, stored), 201)


@router.get(BINDINGS)
def list_bindings(data_mart_id: str, mart: TheMart) -> Response:
    """All bindings of a data mart."""
    with mart.store.reading() as reader:
        require_data_mart(reader, data_mart_id)
        bindings = reader.bindings(data_mart_id)
    return answer({"service_bindings": [_shown(mart, data_mart_id, one) for one in bindings]})


@router.get(BINDING)
def get_binding(data_mart_id: str, binding_id: str, mart: TheMart) -> Response:
    """One binding."""
    with mart.store.reading() as reader:
        binding = require_binding(reader, data_mart_id, binding_id)
    return answer(_shown(mart, data_mart_id, binding))


@router.delete(BINDING)
def delete_binding(data_mart_id: str, binding_id: str, mart: TheMart) -> Response:
    """Remove a binding and its subscriptions; records that are stored stay stored."""
    with mart.store.writing() as writer:
        require_binding(writer, data_mart_id, binding_id)
        writer.delete_binding(data_mart_id, binding_id)
    return Response(status_code=202)


def require_binding(reader: Reader, data_mart_id: str, binding_id: str) -> Binding:
    """The binding.

    Raises:
        MartError: 404, the data mart or the binding is unknown.
    """
    require_data_mart(reader, data_mart_id)
    binding = reader.binding(data_mart_id, binding_id)
    if binding is None:
        raise refusal(404, "unknown_binding", "the data mart has no such binding")
    return binding


def _shown(mart: Mart, data_mart_id: str, binding: Binding) -> Any:
    secrets = json.loads(mart.authority.decrypt(binding.secrets))
    return binding_document(data_mart_id, binding, secrets)
