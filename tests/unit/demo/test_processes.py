"""The supervisor of `make run` starts in order, says which child failed, and leaves nothing running."""

from __future__ import annotations

import http.client
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from idp.demo.children import ChildFailed, spawn, wait_until
from idp.demo.processes import Program, Supervisor, answers
from tests.support.served import free_port

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass
print("serving", flush=True)
HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""
SLEEPER = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
STUBBORN = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
RUN = """
import sys
from idp.demo.processes import Program, Supervisor
with Supervisor() as supervisor:
    for name in ("first", "second"):
        supervisor.start(Program(name, [sys.executable, "-uc", sys.argv[1], name]))
    code = supervisor.watch()
sys.exit(code)
"""
PARTING = """
import signal, sys, time
def leave(*_):
    print("leaving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("here", flush=True)
time.sleep(600)
"""


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-uc", code, *words]


def wait_for(output: io.StringIO, text: str) -> None:
    assert wait_until(lambda: text in output.getvalue(), within=20), output.getvalue()


def test_a_child_is_ready_when_its_address_answers_and_its_lines_carry_its_name() -> None:
    output, port = io.StringIO(), free_port()
    with Supervisor(output=output) as supervisor:
        supervisor.start(Program("portal", python(SERVER, str(port)), ready_url=f"http://127.0.0.1:{port}/health"))
        assert answers(f"http://127.0.0.1:{port}/health")
        wait_for(output, "portal     | serving\n")
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port, timeout=2).connect()


def test_a_child_that_never_answers_is_given_up_in_bounded_time() -> None:
    with Supervisor(output=io.StringIO()) as supervisor, pytest.raises(ChildFailed, match=r"mute did not answer .* within 1 s"):
        supervisor.start(Program("mute", python(SLEEPER), ready_url=f"http://127.0.0.1:{free_port()}/"), ready_within=1)


def test_a_child_that_ends_before_it_is_ready_is_named_with_its_exit_code() -> None:
    with (
        Supervisor(output=io.StringIO()) as supervisor,
        pytest.raises(ChildFailed, match=r"broken ended unexpectedly \(exit code 3\)"),
    ):
        supervisor.start(Program("broken", python("raise SystemExit(3)"), ready_url=f"http://127.0.0.1:{free_port()}/"))


def test_a_program_that_does_not_exist_is_named() -> None:
    with Supervisor(output=io.StringIO()) as supervisor, pytest.raises(ChildFailed, match="absent cannot be started"):
        supervisor.start(Program("absent", [Path("/nowhere/program")]))


def test_a_child_that_dies_takes_the_others_with_it_and_is_named() -> None:
    output = io.StringIO()
    with Supervisor(output=output) as supervisor:
        supervisor.start(Program("steady", python(SLEEPER)))
        wait_for(output, "steady     | ")
        steady = int(output.getvalue().split("|")[1])
        supervisor.start(Program("frail", python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")))
        assert supervisor.watch() == 1
    assert "run        | frail ended unexpectedly (by signal SIGKILL); stopping everything\n" in output.getvalue()
    with pytest.raises(ProcessLookupError):
        os.kill(steady, 0)


def test_an_engine_that_dies_ends_the_run() -> None:
    output = io.StringIO()
    with Supervisor(output=output) as supervisor:
        assert supervisor.watch(lambda: {"PostgreSQL": True, "Valkey": False}) == 1
    assert "Valkey ended unexpectedly; stopping everything" in output.getvalue()


def test_a_child_deaf_to_the_polite_signal_is_killed_after_its_time() -> None:
    output = io.StringIO()
    with Supervisor(output=output, stop_within=0.5) as supervisor:
        supervisor.start(Program("deaf", python(STUBBORN)))
        wait_for(output, "| deaf")
    assert "deaf did not stop; killing it" in output.getvalue()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_reverse_order_with_exit_code_zero(number: signal.Signals) -> None:
    command = [sys.executable, "-c", RUN, PARTING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert sorted(run.stdout.readline() for _ in range(2)) == ["first      | here\n", "second     | here\n"]
        run.send_signal(number)
        assert run.stdout.read() == "second     | leaving\nfirst      | leaving\n"
        assert run.wait(timeout=20) == 0


def test_children_of_a_killed_launcher_are_told_to_end(tmp_path: Path) -> None:
    leave_a_note = PARTING.replace('print("leaving"', f'print("left", file=open("{tmp_path}/" + sys.argv[1], "w")')
    command = [sys.executable, "-c", RUN, leave_a_note]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for _ in range(2):
            run.stdout.readline()
        run.kill()
    assert wait_until(lambda: {note.name for note in tmp_path.iterdir()} == {"first", "second"}, within=20)


def test_a_child_outlives_the_thread_that_started_it() -> None:
    """The kernel sends the death signal when the forking thread ends, not when the process does."""
    started: list[subprocess.Popen[bytes]] = []
    command = python("print('ready', flush=True); input()")

    def start() -> None:
        started.append(spawn(command, on_launcher_death=signal.SIGKILL, output=subprocess.PIPE, environment={}))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    with started[0] as child:
        # It reads an empty input, so it ends by an error of its own and not by the signal.
        assert child.wait(timeout=20) == 1
