"""Starting while something is missing or wrong (law 11): it serves what it can, says what is wrong, and comes round by itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from idp.demo.engines import DatabaseUrls, Engines
from tests.support.faults import own_engines
from tests.support.load import wait_until
from tests.support.served import Served

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[Engines, DatabaseUrls]]:
    with own_engines(durable=True) as made:
        yield made


@pytest.fixture
def node(own: tuple[Engines, DatabaseUrls]) -> Iterator[Served]:
    """A node with keys, not started yet; whatever was broken is whole again afterwards."""
    engines, urls = own
    made = Served(engines, urls, workers=1)
    made.make_keys()
    yield made
    if made.process is not None:
        made.stop()
    for name, lives in engines.running.items():
        if not lives:
            {"PostgreSQL": engines.restart_postgres, "Valkey": engines.restart_valkey}[name]()
    with engines.connect_superuser("faults") as superuser:
        superuser.execute("TRUNCATE signing_key, sealing_key")
        superuser.execute("UPDATE deployment SET mode = 'test'")


def start(node: Served) -> None:
    """Start a node that will not be ready, and wait until it answers at all."""
    node.begin()
    wait_until(lambda: answers(node), within=30, what="answers")


def answers(node: Served) -> bool:
    assert node.process is not None
    assert node.process.poll() is None, node.log.read_text()[-2000:]
    try:
        return node.get("/health/live")[0] == 200
    except OSError:
        return False


def missing(node: Served) -> list[str]:
    status, headers, body = node.get("/health/ready")
    assert status == 503
    assert int(headers["retry-after"]) >= 1
    return list(json.loads(body)["missing"])


def said(node: Served, event: str) -> list[dict[str, Any]]:
    """Return what the node logged under that name."""
    lines = [json.loads(line) for line in node.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


def test_without_the_database_it_serves_discovery_and_is_ready_when_the_database_comes(node: Served) -> None:
    """The keys are in the database: until it was reached once, JWKS is 503; discovery needs nothing."""
    node.engines.kill_postgres()
    start(node)
    assert node.get("/.well-known/openid-configuration")[0] == 200
    status, headers, body = node.get("/jwks")
    assert headers["server"] == "motcua"  # and not the name of the server below
    assert (status, json.loads(body)["error"]) == (503, "temporarily_unavailable")
    assert int(headers["retry-after"]) >= 1
    assert {"database", "keys"} <= set(missing(node))
    assert said(node, "database_away_at_start")

    node.engines.restart_postgres()
    back_at = time.monotonic()
    wait_until(lambda: node.get("/health/ready")[0] == 200, within=5)
    assert node.get("/jwks")[0] == 200
    assert time.monotonic() - back_at < 5
    node.engines.kill_postgres()
    assert [node.get("/jwks")[0] for _ in range(20)] == [200] * 20


def test_without_redis_it_starts_and_says_what_is_missing(node: Served) -> None:
    node.engines.kill_valkey()
    start(node)
    assert missing(node) == ["redis"]
    assert node.get("/jwks")[0] == 200
    node.engines.restart_valkey()
    wait_until(lambda: node.get("/health/ready")[0] == 200, within=5)
    assert [line["event"] for line in said(node, "ready_again")] == ["ready_again"]


def test_with_another_key_encryption_key_it_is_not_ready_and_the_log_says_why(node: Served) -> None:
    """It signs with nothing, and never makes a key of its own."""
    node.wrapping = bytes(range(32))
    start(node)
    assert missing(node) == ["keys"]
    assert said(node, "not_ready")[-1]["keys"].startswith("keys.do_not_open")
    assert node.get("/jwks")[0] >= 500
    assert node.get("/.well-known/openid-configuration")[0] == 200


def test_a_database_of_production_stops_a_node_of_tests(node: Served) -> None:
    """Law 11: with one sentence that says what to change."""
    with node.engines.connect_superuser("faults") as superuser:
        superuser.execute("UPDATE deployment SET mode = 'production'")
    stopped = subprocess.run(
        [sys.executable, "-m", "idp.cli", "serve"],
        env={"PATH": "/usr/bin:/bin"} | node.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert stopped.returncode != 0
    assert "database is marked production and IDP_MODE is test" in stopped.stderr
    assert "Traceback" not in stopped.stderr


def test_a_node_that_finds_a_database_of_production_later_is_not_ready(node: Served) -> None:
    node.start()
    with node.engines.connect_superuser("faults") as superuser:
        superuser.execute("UPDATE deployment SET mode = 'production'")
    assert missing(node) == ["deployment"]
    assert "IDP_MODE is test" in said(node, "not_ready")[-1]["deployment"]


def test_on_a_database_that_was_never_migrated_it_is_not_ready(node: Served) -> None:
    node.urls = node.engines.make_database("empty")
    start(node)
    assert "deployment" in missing(node)
    assert "migrated" in said(node, "not_ready")[-1]["deployment"]
