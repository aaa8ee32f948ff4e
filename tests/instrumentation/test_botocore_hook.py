"""`invoke_endpoint` of SageMaker through a real `botocore`, against an engine on loopback."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import botocore.client
import botocore.config
import botocore.exceptions
import botocore.session
import pytest

import scorespan.instrumentation.botocore as hook
from engine import REQUEST, RESPONSE, Engine, Reply, engine
from scorespan import attributes
from scorespan.instrumentation import guard, unread

ANSWER = {"Content-Type": "application/json", "x-Amzn-Invoked-Production-Variant": "all"}


def client_of(served: Engine, service: str = "sagemaker-runtime", **config: Any) -> Any:
    """A client of an AWS service that is the engine."""
    session = botocore.session.Session()
    session.set_credentials("key", "secret")
    return session.create_client(
        service,
        region_name="eu-west-1",
        endpoint_url=f"http://127.0.0.1:{served.port}",
        config=botocore.config.Config(**config),
    )


@pytest.fixture
def served(capture, monkeypatch) -> Iterator[Engine]:
    """An engine, and the hook."""
    base = botocore.client.BaseClient
    monkeypatch.setattr(base, "_make_api_call", base._make_api_call)
    hook.instrument(botocore.client)
    with engine() as served:
        yield served
    assert guard.counted == {}
    assert not unread._waiting


def only(recorded) -> dict[str, Any]:
    """The attributes of the only scoring."""
    (span,) = recorded.spans()
    return dict(span.attributes)


def invoke(api: Any, body: Any = REQUEST, **more: Any) -> Any:
    """Ask the endpoint."""
    return api.invoke_endpoint(
        EndpointName="credit", ContentType="application/json", Body=body, **more
    )


def test_an_invocation_is_a_scoring(served, recorded):
    """Bodies, endpoint, inference id, model and variant stand on the span."""
    served.replies.append(Reply(headers=ANSWER))
    answer = invoke(
        client_of(served),
        InferenceId="i-1",
        TargetModel="m.tar.gz",
        TargetVariant="v2",
        CustomAttributes="team=7",
    )
    assert recorded.spans() == []
    assert answer["Body"].read() == RESPONSE
    found = only(recorded)
    assert found[attributes.REQUEST].encode() == REQUEST == served.requests[0].body
    assert found[attributes.RESPONSE].encode() == RESPONSE
    assert found[attributes.DEPLOYMENT_ID] == "credit"
    assert found[attributes.REQUEST_ID] == "i-1"
    assert found[attributes.MODEL_NAME] == "m.tar.gz"
    assert found[attributes.MODEL_VERSION] == "all"
    assert found[attributes.REQUEST_CONTENT_TYPE] == "application/json"
    assert found[attributes.RESPONSE_CONTENT_TYPE] == "application/json"
    assert found[attributes.HTTP_STATUS] == 200
    assert found[attributes.NOTES] == ("request: CustomAttributes team=7",)


def test_what_the_answer_says_counts_where_the_request_says_nothing(served, recorded):
    """The id that AWS gave the call, and the variant that scored."""
    served.replies.append(Reply(headers={**ANSWER, "x-amzn-RequestId": "r-3"}))
    invoke(client_of(served))["Body"].read()
    found = only(recorded)
    assert found[attributes.REQUEST_ID] == "r-3"
    assert found[attributes.MODEL_VERSION] == "all"
    assert attributes.MODEL_NAME not in found


def read_lines(body: Any) -> bytes:
    """All lines, as they were."""
    return b"".join(body.iter_lines(chunk_size=7, keepends=True))


def read_into(body: Any) -> bytes:
    """All of it, through a buffer."""
    got, buffer = b"", bytearray(10)
    while size := body.readinto(buffer):
        got += buffer[:size]
    return got


def read_in_block(body: Any) -> bytes:
    """All of it, from the raw stream that the block gives."""
    with body as stream:
        return b"".join(stream.stream(9))


WAYS = {
    "read": lambda body: body.read(),
    "read in steps": lambda body: b"".join(iter(lambda: body.read(5), b"")),
    "iterate": b"".join,
    "iter_chunks": lambda body: b"".join(body.iter_chunks(3)),
    "iter_lines": read_lines,
    "readlines": lambda body: b"".join(body.readlines()),
    "readinto": read_into,
    "block": read_in_block,
    "text": lambda body: io.TextIOWrapper(io.BufferedReader(body)).read().encode(),
}


@pytest.mark.parametrize("parts", [None, (b"1,2\n3", b",4\n5,", b"6\n")])
@pytest.mark.parametrize("way", WAYS)
def test_the_body_can_be_read_in_any_way(served, recorded, way, parts):
    """However the streaming body is read, its reader and the record get the same."""
    body = b"1,2\n3,4\n5,6\n"
    served.replies.append(Reply(body=body, headers={"Content-Type": "text/csv"}, parts=parts))
    answer = invoke(client_of(served))
    assert WAYS[way](answer["Body"]) == body
    found = only(recorded)
    assert found[attributes.RESPONSE].encode() == body
    assert attributes.NOTES not in found


def test_the_body_stays_what_it_was(served):
    """The stream keeps its class, its socket timeout, and its check of the length."""
    with engine() as other:
        plain = invoke(client_of(other))["Body"]
    answer = invoke(client_of(served))
    body = answer["Body"]
    assert type(body) is type(plain)
    assert repr(type(body._raw_stream)) == repr(type(plain._raw_stream))
    assert isinstance(body._raw_stream, type(plain._raw_stream))
    body.set_socket_timeout(5)
    assert body.readable()
    assert body.read() == RESPONSE
    assert body.tell() == len(RESPONSE)
    body.close()
    plain.read()


def test_a_body_that_is_cut_is_told(served, recorded):
    """Botocore says that bytes are missing, and the record does."""
    served.replies.append(Reply(headers=ANSWER, cut=8))
    answer = invoke(client_of(served))
    with pytest.raises(botocore.exceptions.IncompleteReadError):
        b"".join(answer["Body"].iter_chunks(5))
    (note,) = only(recorded)[attributes.NOTES]
    assert note.startswith(f"response: 8 of {len(RESPONSE)} bytes")


def test_a_body_that_breaks_off_is_a_failed_scoring(served, recorded):
    """An error while the body is read comes to the caller as before, and fails the scoring."""
    served.replies.append(Reply(headers=ANSWER, cut=8))
    answer = invoke(client_of(served))
    with pytest.raises(botocore.exceptions.ResponseStreamingError):
        answer["Body"].read()
    (span,) = recorded.spans()
    assert "ProtocolError" in span.events[0].attributes["exception.type"]


def test_a_body_that_is_closed_unread_is_recorded(served, recorded):
    """Nobody need read the answer."""
    answer = invoke(client_of(served))
    answer["Body"].close()
    (note,) = only(recorded)[attributes.NOTES]
    assert note.startswith(f"response: 0 of {len(RESPONSE)} bytes")


@pytest.mark.parametrize("body", [REQUEST, REQUEST.decode(), bytearray(REQUEST)])
def test_a_body_in_memory_is_kept(served, recorded, body):
    """Bytes, text and a bytearray are sent and kept."""
    invoke(client_of(served), body)["Body"].read()
    assert only(recorded)[attributes.REQUEST].encode() == REQUEST == served.requests[0].body


def test_a_file_is_rewound_for_a_retry_and_kept_once(served, recorded):
    """Botocore signs a file, sends it, rewinds it and sends it again: one record has it once."""
    served.replies += [Reply(status=503, body=b"{}"), Reply()]
    file = io.BytesIO(REQUEST)
    api = client_of(served, retries={"mode": "standard", "max_attempts": 3})
    invoke(api, file)["Body"].read()
    assert [request.body for request in served.requests] == [REQUEST, REQUEST]
    found = only(recorded)
    assert found[attributes.REQUEST].encode() == REQUEST
    assert found[attributes.HTTP_STATUS] == 200
    assert file.tell() == len(REQUEST)


def test_a_refusal_is_a_failed_scoring(served, recorded):
    """A client error comes to the caller as before, and is a failed scoring with its status."""
    served.replies.append(
        Reply(status=424, body=b'{"Message": "boom"}', headers={"x-amzn-errortype": "ModelError"})
    )
    api = client_of(served, retries={"max_attempts": 0})
    with pytest.raises(botocore.exceptions.ClientError, match="boom"):
        invoke(api)
    (span,) = recorded.spans()
    assert not span.status.is_ok
    assert span.attributes[attributes.HTTP_STATUS] == 424
    assert "ModelError" in span.events[0].attributes["exception.type"]
    assert span.attributes[attributes.REQUEST].encode() == REQUEST


def test_no_connection_is_a_failed_scoring(capture, served, recorded):
    """Where nobody listens the call fails, and is a record."""
    with engine() as gone:
        pass
    api = client_of(gone, retries={"max_attempts": 0})
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        invoke(api)
    (span,) = recorded.spans()
    assert "EndpointConnectionError" in span.events[0].attributes["exception.type"]


def test_other_operations_are_none(served, recorded):
    """What is no invocation, asynchronous ones among it, passes by."""
    client_of(served).invoke_endpoint_async(
        EndpointName="credit", InputLocation="s3://a/b", ContentType="text/csv"
    )
    served.replies.append(Reply(body=b"{}"))
    client_of(served, "sagemaker").list_endpoints()
    assert len(served.requests) == 2
    assert recorded.spans() == []


def test_wrong_parameters_raise_as_before(served, recorded):
    """What botocore itself refuses raises its own error; it is a scoring that failed."""
    with pytest.raises(botocore.exceptions.ParamValidationError):
        client_of(served).invoke_endpoint(EndpointName="credit", Body=7)
    (span,) = recorded.spans()
    assert "ParamValidationError" in span.events[0].attributes["exception.type"]
