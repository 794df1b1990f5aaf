"""The files of `docker/` hold together: who reaches whom, and who holds which secret."""

from __future__ import annotations

import re
from pathlib import Path

DOCKER = Path(__file__).parents[2] / "docker"


def service(name: str) -> str:
    """Return what compose.yaml says of one service, as it stands there."""
    text = (DOCKER / "compose.yaml").read_text()
    found = re.search(rf"^  {name}:\n((?:(?:    .*)?\n)+)", text, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_image_listens_where_the_proxy_asks() -> None:
    """Its own health check asks inside the container, and would not notice."""
    bind = re.search(r"\bIDP_BIND=(\S+)", (DOCKER / "Dockerfile").read_text())
    assert bind is not None
    host, _, port = bind[1].rpartition(":")
    assert host == "0.0.0.0"  # noqa: S104 - a container has one network card, towards the proxy
    assert f"provider:{port}" in (DOCKER / "nginx.conf").read_text()
    assert f"EXPOSE {port}\n" in (DOCKER / "Dockerfile").read_text()


def test_who_serves_does_not_hold_the_owner_s_url() -> None:
    """The owner defines the schema; whoever took a serving node must not be it (design §3)."""
    assert "owner.env" in service("migrate")
    assert [name for name in ("provider", "worker", "nginx", "valkey") if "owner.env" in service(name)] == []
    shared = (DOCKER / "compose.yaml").read_text().partition("x-provider:")[2].partition("\nservices:")[0]
    assert "owner.env" not in shared
    assert "env_file: provider.env" in shared
