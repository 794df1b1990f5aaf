"""What libraries write through the standard logging module is a JSON line like ours, without a value and without an exception's words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from tests.support.load import wait_until
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("served")

CANARY = "0799-typed-by-a-person"
LIBRARY = f"""
import logging, threading, warnings
from idp.web.logs import configure_logs
stray = logging.getLogger("library.with.its.own")
stray.addHandler(logging.StreamHandler())
stray.propagate = False
configure_logs("INFO")
def fail():
    raise ValueError("{CANARY}")
try:
    fail()
except ValueError as error:
    logging.getLogger("library").exception("it went wrong for %s", "{CANARY}")
    logging.getLogger("library").error(error)
    stray.error("twice or in clear? %s", error)
logging.getLogger("idp.jobs").warning("job %s waits", "tell")
logging.getLogger("library").debug("not asked for")
logging.getLogger("library").info("two\\nlines " + "x" * 5000)
warnings.warn("{CANARY}")
class Forgotten:
    def __del__(self):
        fail()
Forgotten()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_logger_of_a_process_writes_json_lines_without_what_somebody_typed() -> None:
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True, timeout=60, check=False)
    assert CANARY not in done.stderr
    lines = lines_of(done.stderr)
    told = [(line["event"][:24], line["level"], line.get("logger")) for line in lines]
    assert told == [
        ("it went wrong for %s", "error", "library"),
        ("ValueError", "error", "library"),
        ("twice or in clear? %s", "error", "library.with.its.own"),
        ("job tell waits", "warning", "idp.jobs"),
        ("two\nlines xxxxxxxxxxxxxx", "info", "library"),
        ("UserWarning at <string>:", "warning", "idp"),
        ("uncaught", "critical", "idp"),
        ("uncaught", "critical", "idp"),
        ("uncaught", "critical", "idp"),
    ]
    assert all(line["at"].endswith("Z") for line in lines)
    assert [line["error"] for line in lines if "error" in line] == ["builtins.ValueError"] * 4
    assert lines[0]["trace"][-1].startswith("fail:")
    assert max(map(len, done.stderr.splitlines())) < 1500


def test_a_worker_that_cannot_begin_says_where_it_failed_and_not_in_which_words(engines: Engines, database_urls: DatabaseUrls) -> None:
    """Whoever began the process would print a trace with them."""
    node = Served(engines, database_urls, workers=1)
    begin = f"""
import idp.app, multiprocessing
def create_door(*_):
    raise RuntimeError("{CANARY}")
idp.app.create_door = create_door
worker = multiprocessing.get_context("fork").Process(target=idp.app.application)
worker.start()
worker.join()
raise SystemExit(worker.exitcode)
"""
    done = subprocess.run([sys.executable, "-c", begin], env=node.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = lines_of(done.stderr)
    assert (line["event"], line["error"], line["trace"][-1].partition(":")[0]) == ("uncaught", "builtins.RuntimeError", "create_door")


def test_from_start_to_end_a_serving_node_writes_nothing_but_json_lines(engines: Engines, database_urls: DatabaseUrls) -> None:
    """The server's own lines too, of its first process as of its workers."""
    node = Served(engines, database_urls, workers=1)
    node.make_keys()
    node.start()
    node.get("/nowhere")
    node.stop()
    lines = lines_of(node.log.read_text(encoding="utf-8"))
    assert "request" in {line["event"] for line in lines}
    assert len([line for line in lines if line.get("logger") == "_granian"]) > 1
    assert all("at" in line for line in lines)


def test_a_worker_s_warnings_are_json_lines(engines: Engines, database_urls: DatabaseUrls) -> None:
    node = Served(engines, database_urls, extra={"IDP_ISSUER": "http://localhost:8000"})
    node.make_keys()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    fault = "import logging; from idp.jobs.worker import Worker; Worker.run = lambda _: logging.getLogger('library').error('%s', 'x'); "
    command = [sys.executable, "-c", fault + "import sys; sys.argv = ['idp', 'worker']; from idp.cli import main; main()"]
    with node.log.open("wb") as log:
        process = subprocess.Popen(command, env=inherited | node.environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None, within=30, what="the worker ends")
    finally:
        process.kill()
        process.wait()
    text = node.log.read_text(encoding="utf-8")
    written = [line for line in text.splitlines() if not line.startswith("idp worker: ")]
    assert [(line["event"], line["logger"]) for line in map(json.loads, written)] == [("%s", "library")], text
