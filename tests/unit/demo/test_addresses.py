"""Where a demo is reached: ports, hosts and issuer by environment; a second checkout on other ports."""

from __future__ import annotations

import socket
import threading
from datetime import date
from pathlib import Path

import pytest

from idp.demo.addresses import AddressRefused, PortTaken, read_addresses
from idp.settings import UnsafeSettings, read_settings


def test_without_anything_set_the_usual_ports_are_used() -> None:
    addresses = read_addresses({})
    assert (addresses.issuer, addresses.bind) == ("http://localhost:8000", "127.0.0.1:8000")
    assert (addresses.national, addresses.provincial) == ("http://localhost:8001", "http://localhost:8002")


def test_another_issuer_moves_everything_that_is_not_named() -> None:
    addresses = read_addresses({"IDP_ISSUER": "http://localhost:9100", "PROVINCIAL_PORTAL_URL": "http://127.0.0.1:9300"})
    assert addresses.bind == "127.0.0.1:9100"
    assert (addresses.national, addresses.provincial) == ("http://localhost:9101", "http://127.0.0.1:9300")


def test_an_issuer_behind_a_proxy_leaves_the_place_it_listens_at() -> None:
    addresses = read_addresses({"IDP_ISSUER": "https://localhost:8443"})
    assert addresses.bind == "127.0.0.1:8000"


@pytest.mark.parametrize("address", ["http://portal.example", "http://localhost:8001/path", "localhost:8001", "ftp://localhost"])
def test_a_portal_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused, match="NATIONAL_PORTAL_URL"):
        read_addresses({"NATIONAL_PORTAL_URL": address})


def test_declarations_are_filled_the_same_all_year() -> None:
    """Or every day's first run would change the former portal."""
    addresses = read_addresses({})
    assert addresses.variables(date(2026, 1, 1)) == addresses.variables(date(2026, 12, 31))
    assert addresses.variables(date(2026, 6, 1))["FORMER_PORTAL_UNTIL"] == "2027-12-31"


def test_a_taken_port_is_named_with_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        addresses = read_addresses({"IDP_ISSUER": f"http://localhost:{port}"})
        with pytest.raises(PortTaken, match=rf"port {port} is taken .* IDP_ISSUER=http://localhost:{port + 100}"):
            addresses.require_free()


def test_a_port_that_what_was_left_behind_still_holds_is_waited_for() -> None:
    """After a kill: the provider of the launcher before finishes what it was asked."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    addresses = read_addresses({"IDP_ISSUER": f"http://localhost:{taken.getsockname()[1]}"})
    leaving = threading.Timer(0.3, taken.close)
    leaving.start()
    addresses.require_free(within=10)
    leaving.join()


def test_demo_settings_take_the_engines_of_their_own_folder_and_no_others(tmp_path: Path) -> None:
    """Law 11: demo refuses an external engine, one on this machine included."""
    given = {"IDP_MODE": "demo", "IDP_VAR": str(tmp_path), "IDP_REDIS_URL": "unix:///run/short/sockets/valkey.sock"}
    own = given | {"IDP_DATABASE_URL": "postgresql://idp_app@/idp?host=/run/short/sockets"}
    with pytest.raises(UnsafeSettings, match="demo uses the embedded engines"):
        read_settings(own)
    (tmp_path / "engines.json").write_text('{"runtime": "/run/short"}')
    assert read_settings(own).database_url is not None
    for foreign in (
        "postgresql://idp_app@/idp?host=/run/postgresql",
        "postgresql://idp_app@/idp?host=/run/shorter/sockets",
        "postgresql://idp_app@127.0.0.1/idp",
    ):
        with pytest.raises(UnsafeSettings, match="demo uses the embedded engines"):
            read_settings(given | {"IDP_DATABASE_URL": foreign})
