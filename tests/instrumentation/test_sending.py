"""Bodies of requests on their way: the stand-in passes for them, and sees each byte once."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorespan.instrumentation.body import KeptBody
from scorespan.instrumentation.sending import Sent, seen

BODY = b"a line of text\nanother\n\nand a long one without an end"


class Sized:
    """A body that is made of parts, knows its length, and can be sent again."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self):
        return iter(self.parts)


def kept(body: KeptBody) -> bytes:
    """What is kept."""
    values: dict[str, Any] = {}
    from scorespan.instrumentation.body import REQUEST

    body.put_into(values, [], REQUEST)
    return values["scoring.request"].encode()


def watched(body: Any) -> tuple[Any, KeptBody]:
    """What is sent in place of a body, and what is kept of it."""
    held = KeptBody(1000)
    return seen(body, Sent(held)), held


@pytest.mark.parametrize("body", [BODY, bytearray(BODY), memoryview(BODY), BODY.decode()])
def test_what_is_in_memory_is_sent_itself(body):
    """Bytes and text are kept at once, and need no stand-in."""
    sent, held = watched(body)
    assert sent is body
    assert kept(held) == BODY


@pytest.mark.parametrize("body", [None, 7, object()])
def test_what_is_no_body_is_left_to_the_client(body):
    """What cannot be sent is passed on, for the client to refuse."""
    sent, held = watched(body)
    assert sent is body
    assert held.size == 0


def test_a_stand_in_can_what_the_body_can(tmp_path):
    """A client that asks what a file is, or can do, gets the file's answer."""
    text, held = watched(io.StringIO("a\nb"))
    assert isinstance(text, io.TextIOBase)
    assert not hasattr(text, "fileobj")
    assert not hasattr(text, "__len__")
    assert next(iter(text)) == "a\n"
    assert text.readlines() == ["b"]
    assert kept(held) == b"a\nb"
    path = tmp_path / "body"
    path.write_bytes(BODY)
    with path.open("rb") as opened:
        disk, held = watched(opened)
        assert disk.fileno() == opened.fileno()
        assert disk.name == opened.name
        assert next(disk) == b"a line of text\n"
        assert disk.seek(0) == 0
        assert disk.read() == BODY
    assert kept(held) == BODY


def test_parts_are_kept_once_however_often_they_are_sent():
    """What can be iterated again can be sent again; a generator runs once, and only when asked."""
    sent, held = watched(Sized([BODY[:5], BODY[5:]]))
    assert len(sent) == len(BODY)
    assert b"".join(sent) == b"".join(sent) == BODY
    assert kept(held) == BODY
    ran = []
    sent, held = watched(ran.append(part) or part for part in (BODY[:5], BODY[5:]))
    assert not hasattr(sent, "__len__")
    assert ran == []
    assert next(sent) == BODY[:5]
    assert list(sent) == [BODY[5:]]
    assert held.size == len(BODY)


def test_nothing_is_kept_after_the_call():
    """Who holds the stand-in longer than the call holds no second copy."""
    held = KeptBody(1000)
    sent = Sent(held)
    stand_in = seen(io.BytesIO(BODY), sent)
    stand_in.read(5)
    sent.let_go()
    assert stand_in.read() == BODY[5:]
    assert held.size == 5


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "read1", "readline", "readinto", "seek", "readlines", "tell"]),
        st.integers(0, 60),
    ),
    max_size=15,
)


@given(STEPS, st.integers(0, 20))
def test_however_a_file_is_read_it_is_kept_once(steps, start):
    """Whatever is read and rewound, the client gets the file's bytes, and the record each once."""
    plain, file = io.BytesIO(BODY), io.BytesIO(BODY)
    plain.seek(start)
    file.seek(start)
    sent, held = watched(file)
    for method, number in steps:
        argument: Any = [number]
        if method == "readinto":
            argument = [bytearray(number)]
        elif method == "tell":
            argument = []
        found = getattr(sent, method)(*argument)
        assert found == getattr(plain, method)(*argument)
    sent.seek(start)
    assert sent.read() == BODY[start:]
    assert kept(held) == BODY[start:]
