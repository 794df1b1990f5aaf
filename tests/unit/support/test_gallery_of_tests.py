"""The server of the gallery, as a browser uses it: with connections opened ahead of need."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx

from tests.support.gallery import Gallery


def test_a_connection_that_says_nothing_holds_up_nobody() -> None:
    with Gallery() as gallery:
        at = urlsplit(gallery.origin)
        with socket.create_connection((at.hostname, at.port)):
            assert httpx.get(f"{gallery.origin}/vi/sign-in", timeout=10).status_code == 200
