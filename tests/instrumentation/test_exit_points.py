"""The exits that `atexit` does not see."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import uvicorn

from running import clean_environment, run, started
from scorespan import producer
from scorespan.instrumentation import gate, switch
from scorespan.instrumentation import uvicorn as uvicorn_hook
from scorespan.settings import Settings

PROGRAM = Path(__file__).parent / "programs" / "leaving.py"
DRAINED = "drained True"


def ended(case: str, *sent: int, after: str = "ready") -> tuple[int, list[str]]:
    """How a program ends that is sent these signals, each after this line; and what it said."""
    said: list[str] = []
    command = [sys.executable, "-W", "ignore", PROGRAM, case]
    with started(command, clean_environment(), stdout=subprocess.PIPE) as process:
        for number in sent:
            for line in process.stdout:
                said.append(line.strip())
                if line.strip() == after:
                    break
            process.send_signal(number)
            after = "draining"
        said += process.communicate(timeout=60)[0].split("\n")
    return process.returncode, [line for line in said if line not in {"", "ready"}]


def test_sigterm_ends_a_service_when_its_records_are_delivered():
    """Its status is the signal's, as without us."""
    assert ended("term", signal.SIGTERM) == (-signal.SIGTERM, [DRAINED])


@pytest.mark.parametrize("case", ["gevent", "eventlet"])
def test_sigterm_ends_a_service_of_greenlets_likewise(case):
    """The thread that delivers is a real one there, too."""
    assert ended(case, signal.SIGTERM) == (-signal.SIGTERM, [DRAINED])


def test_a_service_that_scored_nothing_is_ended_at_once():
    """There is nothing to wait for."""
    assert ended("idle", signal.SIGTERM) == (-signal.SIGTERM, [])


def test_a_second_signal_ends_the_service_at_once():
    """Whoever sends it has waited long enough."""
    code, said = ended("second", signal.SIGTERM, signal.SIGTERM)
    assert (code, said) == (-signal.SIGTERM, ["draining"])


def test_the_main_thread_goes_on_and_may_end_by_itself():
    """As after uvicorn has raised the signal again; the status is the signal's all the same."""
    assert ended("returns") == (-signal.SIGTERM, ["returned", DRAINED])


def test_a_lock_of_the_interrupted_thread_holds_nothing_up():
    """It may hold the very lock that the delivery needs."""
    assert ended("locked") == (-signal.SIGTERM, ["unlocking", DRAINED])


def test_a_scoring_that_is_answering_is_waited_for():
    """Its record is to be delivered with the others."""
    assert ended("answering") == (-signal.SIGTERM, ["answered", DRAINED])


def test_a_scoring_that_does_not_end_leaves_time_for_the_delivery():
    """Such as a stream: the others are delivered all the same."""
    assert ended("stays", signal.SIGTERM) == (-signal.SIGTERM, [DRAINED])


def test_an_answer_that_is_left_open_is_recorded_and_delivered():
    """Though it is all that there is to deliver, and its caller reads it no more."""
    assert ended("unread", signal.SIGTERM) == (-signal.SIGTERM, ["recorded True", DRAINED])


def test_a_handler_of_the_service_stays():
    """Neither is it chained, nor are its exit and its status touched."""
    assert ended("handled", signal.SIGTERM) == (7, ["theirs"])


def test_a_handler_that_is_set_later_takes_the_place_of_ours():
    """When it has put ours back and raises the signal again, ours delivers."""
    assert ended("later") == (-signal.SIGTERM, ["theirs", DRAINED])


def test_a_scoring_in_another_thread_counts():
    """Only the main thread can set a handler, and does at its next step."""
    assert ended("thread", signal.SIGTERM) == (-signal.SIGTERM, [DRAINED])


def test_a_process_that_scored_nothing_is_ended_in_the_midst_of_c():
    """No handler would run there; so none is set, as in a worker of a pool."""
    assert ended("computes", signal.SIGTERM) == (-signal.SIGTERM, [])
    assert ended("pool") == (0, [f"child ended by {signal.SIGTERM.value}"])


def test_a_handler_that_calls_ours_ends_the_service_itself():
    """With its status, and what is called at exit."""
    assert ended("chained", signal.SIGTERM) == (0, [DRAINED, "theirs", "at exit"])


def test_the_first_process_of_a_container_is_left_as_it_is():
    """No signal ends it that it does not handle: with a handler of ours it would stop serving."""
    apart = ["unshare", "--pid", "--fork"]
    try:
        subprocess.run([*apart, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody make a namespace")
    done = run([*apart, sys.executable, "-W", "ignore", PROGRAM, "first"], clean_environment())
    assert done.stdout == "1 True\n"


def test_a_forked_child_delivers_what_it_scored_itself():
    """Parent and child, each at its own end."""
    command = [sys.executable, "-W", "ignore", PROGRAM, "fork"]
    with started(command, clean_environment(), stdout=subprocess.PIPE) as process:
        lines = iter(process.stdout.readline, "")
        assert {next(lines), next(lines)} == {"parent\n", "ready\n"}
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        rest = [line.strip() for line in lines]
        assert process.wait(60) == -signal.SIGTERM
    assert [line for line in rest if line != "ready"] == [
        DRAINED,
        f"child ended by {signal.SIGTERM.value}",
        DRAINED,
    ]


def test_an_interrupt_stays_an_interrupt():
    """It is an exception of the service, and `atexit` runs after it."""
    command = [sys.executable, "-W", "ignore", PROGRAM, "term"]
    with started(
        command, clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    assert out == ""


def test_a_child_of_multiprocessing_delivers_at_its_end():
    """It ends without `atexit`; one that scored nothing has nothing to deliver."""
    assert ended("multiprocessing") == (0, [DRAINED, "child 0"])
    assert ended("idle child") == (0, ["child 0"])


# uvicorn.


@pytest.fixture
def drains(monkeypatch):
    """Capture that is on, with a drain that notes the seconds it is given."""
    found: list[float] = []
    monkeypatch.setattr(switch, "_drained", producer.given())  # others have scored here
    settings = Settings.load({"shutdown_seconds": 5}, {})
    switch.install(settings, lambda: None, found.append)
    assert switch.ready() is settings
    yield found
    switch.off()


@pytest.fixture
def server(monkeypatch):
    """A server of uvicorn, instrumented, that listens nowhere."""

    async def app(scope, receive, send):
        """Answer nothing."""

    monkeypatch.setattr(uvicorn.Server, "shutdown", uvicorn.Server.shutdown)
    uvicorn_hook.instrument(uvicorn.server)
    return uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))


async def serve(server: uvicorn.Server) -> None:
    """Begin to serve, and end."""
    server.should_exit = True
    await server.serve()


def test_a_server_delivers_when_it_has_shut_down(server, drains):
    """Once for what was scored, and not at all where nothing was."""
    asyncio.run(serve(server))
    assert drains == []
    producer.current().next_number()
    asyncio.run(serve(uvicorn.Server(server.config)))
    assert drains == [5.0]


class Held:
    """A drain that is held up until it is let go, on the loop that must run meanwhile."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, _seconds: float) -> None:
        """Say that it has begun, and wait."""
        self._loop.call_soon_threadsafe(self.begun.set)
        self.go.wait(60)


@pytest.mark.parametrize("end", ["delivered", "at once"])
def test_the_loop_runs_while_a_server_delivers(server, end):
    """Other servers go on; one that is to end at once, as after a second interrupt, waits not."""

    async def run() -> None:
        held = Held()
        switch.install(Settings.load({}, {}), lambda: None, held)
        assert switch.ready() is not None
        producer.current().next_number()
        serving = asyncio.ensure_future(serve(server))
        await asyncio.wait_for(held.begun.wait(), 60)
        assert not serving.done()
        if end == "at once":
            server.force_exit = True
            await asyncio.wait_for(serving, 30)
        held.go.set()
        await asyncio.wait_for(serving, 60)

    try:
        asyncio.run(run())
    finally:
        switch.off()


def test_the_method_keeps_its_signature_and_its_errors(monkeypatch, drains):
    """Who calls it with sockets, or catches what it raises, sees no difference."""

    class Server:
        async def shutdown(self, sockets=None):
            """What the original does."""
            raise LookupError(sockets)

    module = type(uvicorn)("module")
    module.Server = Server
    before = inspect.signature(Server.shutdown)
    uvicorn_hook.instrument(module)
    assert inspect.signature(Server.shutdown) == before
    assert inspect.iscoroutinefunction(Server.shutdown)
    producer.current().next_number()
    with pytest.raises(LookupError, match="sockets"):
        asyncio.run(Server().shutdown(sockets="sockets"))
    assert drains == [5.0]


def test_an_exchange_that_nobody_ends_is_not_waited_for():
    """A connection that broke off in the midst may leave one behind."""

    class Exchange:
        """One that is answering."""

    exchange = Exchange()
    gate.answering.add(exchange)
    assert len(gate.answering) == 1
    del exchange
    assert len(gate.answering) == 0
