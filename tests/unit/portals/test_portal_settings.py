"""Unsafe or unreadable settings stop a portal, with a sentence that says what to change."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from clients.portal.keys import load_or_make_key
from clients.portal.settings import PortalSettings, SettingsRefused


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PORTAL_KIND": "other"}, "PORTAL_KIND"),
        ({"PORTAL_URL": "http://portal.example"}, "use https"),
        ({"PORTAL_URL": "localhost:8001"}, "absolute"),
        ({"PORTAL_URL": "https://portal.example/path"}, "without a path"),
        ({"PORTAL_ISSUER": "http://id.example"}, "use https"),
        ({"PORTAL_ISSUER": "https://id.example?x=1"}, "query"),
        ({"PORTAL_SESSION_MINUTES": "an hour"}, "whole number"),
        ({"PORTAL_BIND": "127.0.0.1:x"}, "host:port"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsRefused, match=sentence):
        PortalSettings.from_environment(environment)


def test_the_two_portals_have_cookies_of_their_own() -> None:
    """Cookies ignore ports (RFC 6265 §8.5)."""
    national, provincial = (PortalSettings.from_environment({"PORTAL_KIND": kind}) for kind in ("national", "provincial"))
    assert (national.cookie_name, provincial.cookie_name) == ("portal_national", "portal_provincial")
    deployed = PortalSettings.from_environment({"PORTAL_URL": "https://portal.example"})
    assert deployed.cookie_name == "__Host-portal_national"


def test_a_key_is_made_once_and_stays_private(tmp_path: Path) -> None:
    first = load_or_make_key(tmp_path / "var")
    again = load_or_make_key(tmp_path / "var")
    assert first.as_dict(private=True) == again.as_dict(private=True)
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "var" / "client-key.json").stat().st_mode) == 0o600
    assert '"d"' not in (tmp_path / "var" / "jwks.json").read_text(encoding="utf-8")
    assert sorted(file.name for file in (tmp_path / "var").iterdir()) == ["client-key.json", "jwks.json"]
