"""Unsafe settings stop the start, each with one sentence that says what to change, and never with a secret in it (law 11)."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from idp.app import key_encryption
from idp.keys.model import UnsafeKeyEncryption
from idp.settings import UnsafeSettings, read_settings

WRAPPING = "k1:" + base64.urlsafe_b64encode(bytes(range(32))).decode()
PRODUCTION = {
    "IDP_ISSUER": "https://id.example.vn",
    "IDP_DATABASE_URL": "postgresql://idp_app:hunter2hunter2@db.example/idp",
    "IDP_REDIS_URL": "rediss://:hunter2hunter2@redis.example/0",
    "IDP_KEY_ENCRYPTION_KEYS": WRAPPING,
}
TEST = {
    "IDP_MODE": "test",
    "IDP_DATABASE_URL": "postgresql://idp_app@localhost/idp",
    "IDP_REDIS_URL": "redis://localhost/0",
    "IDP_KEY_ENCRYPTION_KEYS": WRAPPING,
}
DEMO = {"IDP_MODE": "demo"}


@pytest.mark.parametrize(
    "safe",
    [
        PRODUCTION,
        TEST,
        DEMO,
        {**DEMO, "IDP_ISSUER": "http://a.localhost:9000", "IDP_BIND": "[::1]:9000"},
        {**TEST, "IDP_CLOCK_OFFSET_FILE": "var/run/../offset", "IDP_EGRESS_ALLOW": "http://localhost:8001,https://[::1]:8443"},
    ],
)
def test_safe_settings_are_read(safe: dict[str, str]) -> None:
    """The control for every refusal below."""
    read_settings(safe)


def test_without_a_mode_it_is_production() -> None:
    """Law 11."""
    assert read_settings(PRODUCTION).mode == "production"
    with pytest.raises(UnsafeSettings):
        read_settings({})


UNSAFE: list[tuple[str, dict[str, str], dict[str, str | None], str]] = [
    ("production over http", PRODUCTION, {"IDP_ISSUER": "http://id.example.vn"}, "IDP_ISSUER"),
    ("production with the issuer of the demo", PRODUCTION, {"IDP_ISSUER": None}, "IDP_ISSUER"),
    ("production without a database", PRODUCTION, {"IDP_DATABASE_URL": None}, "IDP_DATABASE_URL"),
    ("production without Redis", PRODUCTION, {"IDP_REDIS_URL": None}, "IDP_REDIS_URL"),
    ("production without key-encryption keys", PRODUCTION, {"IDP_KEY_ENCRYPTION_KEYS": None}, "IDP_KEY_ENCRYPTION_KEYS"),
    ("production that calls loopback", PRODUCTION, {"IDP_EGRESS_ALLOW": "http://localhost:8001"}, "IDP_EGRESS_ALLOW"),
    ("production with a root of its own", PRODUCTION, {"IDP_EGRESS_CA": "/etc/idp/ca.pem"}, "IDP_EGRESS_CA"),
    ("production with a movable clock", PRODUCTION, {"IDP_CLOCK_OFFSET_FILE": "var/offset"}, "IDP_CLOCK_OFFSET_FILE"),
    ("test with a clock moved from elsewhere", TEST, {"IDP_CLOCK_OFFSET_FILE": "/etc/offset"}, "IDP_CLOCK_OFFSET_FILE"),
    ("test with a clock moved from above var", TEST, {"IDP_CLOCK_OFFSET_FILE": "var/../offset"}, "IDP_CLOCK_OFFSET_FILE"),
    ("test with var itself as the clock", TEST, {"IDP_CLOCK_OFFSET_FILE": "var"}, "IDP_CLOCK_OFFSET_FILE"),
    ("test that calls others", TEST, {"IDP_EGRESS_ALLOW": "http://localhost:8001 https://portal.example"}, "IDP_EGRESS_ALLOW"),
    ("demo that calls a network", DEMO, {"IDP_EGRESS_ALLOW": "http://10.0.0.1:8001"}, "IDP_EGRESS_ALLOW"),
    ("demo that calls more than an origin", DEMO, {"IDP_EGRESS_ALLOW": "http://localhost:8001/"}, "IDP_EGRESS_ALLOW"),
    ("demo that calls what is no address", DEMO, {"IDP_EGRESS_ALLOW": "localhost"}, "IDP_EGRESS_ALLOW"),
    ("demo with a movable clock", DEMO, {"IDP_CLOCK_OFFSET_FILE": "var/offset"}, "IDP_CLOCK_OFFSET_FILE"),
    ("demo for others", DEMO, {"IDP_ISSUER": "http://id.example.vn"}, "IDP_ISSUER"),
    ("demo for others by address", DEMO, {"IDP_ISSUER": "http://192.0.2.1:8000"}, "IDP_ISSUER"),
    ("demo on a name like loopback", DEMO, {"IDP_ISSUER": "http://localhost.example.vn"}, "IDP_ISSUER"),
    ("demo on every interface", DEMO, {"IDP_BIND": "0.0.0.0:8000"}, "IDP_BIND"),
    ("demo on every interface of IPv6", DEMO, {"IDP_BIND": "[::]:8000"}, "IDP_BIND"),
    ("demo without an address", DEMO, {"IDP_BIND": ":8000"}, "IDP_BIND"),
    ("demo on engines of others", DEMO, {"IDP_DATABASE_URL": "postgresql://db.example/idp", "IDP_REDIS_URL": "redis://r/0"}, "IDP_DATABASE_URL"),
    ("test on engines of others", TEST, {"IDP_DATABASE_URL": "postgresql://db.example/idp"}, "loopback"),
    ("test on Redis of others", TEST, {"IDP_REDIS_URL": "redis://redis.example/0"}, "loopback"),
    ("test for others", TEST, {"IDP_ISSUER": "https://id.example.vn"}, "IDP_ISSUER"),
    ("one engine of two", TEST, {"IDP_REDIS_URL": None}, "IDP_REDIS_URL"),
    ("an unknown mode", PRODUCTION, {"IDP_MODE": "prod"}, "IDP_MODE"),
    ("an unknown setting", PRODUCTION, {"IDP_ISUER": "https://x.example"}, "IDP_ISUER"),
    ("an issuer with a slash", PRODUCTION, {"IDP_ISSUER": "https://id.example.vn/"}, "IDP_ISSUER"),
    ("an issuer with a query", PRODUCTION, {"IDP_ISSUER": "https://id.example.vn?x=1"}, "IDP_ISSUER"),
    ("an issuer with a fragment", PRODUCTION, {"IDP_ISSUER": "https://id.example.vn#x"}, "IDP_ISSUER"),
    ("an issuer with a user", PRODUCTION, {"IDP_ISSUER": "https://user@id.example.vn"}, "IDP_ISSUER"),
    ("an issuer with a path", PRODUCTION, {"IDP_ISSUER": "https://id.example.vn/door"}, "IDP_ISSUER"),
    ("an issuer in capitals", PRODUCTION, {"IDP_ISSUER": "https://ID.example.vn"}, "IDP_ISSUER"),
    ("an issuer with the port that browsers leave out", PRODUCTION, {"IDP_ISSUER": "https://id.example.vn:443"}, "IDP_ISSUER"),
    ("an issuer with no port", PRODUCTION, {"IDP_ISSUER": "https://id.example.vn:"}, "IDP_ISSUER"),
    ("an issuer with a port that is none", PRODUCTION, {"IDP_ISSUER": "https://id.example.vn:99999"}, "IDP_ISSUER"),
    ("an issuer with spaces", PRODUCTION, {"IDP_ISSUER": "https://id.example.vn evil"}, "IDP_ISSUER"),
    ("another scheme", PRODUCTION, {"IDP_ISSUER": "ftp://id.example.vn"}, "IDP_ISSUER"),
    ("no host", PRODUCTION, {"IDP_ISSUER": "https://"}, "IDP_ISSUER"),
    ("a bind address without port", PRODUCTION, {"IDP_BIND": "127.0.0.1"}, "IDP_BIND"),
    ("a bind port that is none", PRODUCTION, {"IDP_BIND": "127.0.0.1:99999"}, "IDP_BIND"),
    ("codes that live longer than a minute", PRODUCTION, {"IDP_CODE_FOR": "61"}, "IDP_CODE_FOR"),
    ("codes that never live", PRODUCTION, {"IDP_CODE_FOR": "0"}, "IDP_CODE_FOR"),
    ("codes of the past", PRODUCTION, {"IDP_CODE_FOR": "-5"}, "IDP_CODE_FOR"),
    ("sessions of the past", PRODUCTION, {"IDP_SESSION_IDLE_FOR": "-PT1H"}, "IDP_SESSION_IDLE_FOR"),
    ("sessions without end", PRODUCTION, {"IDP_SESSION_LASTS_FOR": "31536000"}, "IDP_SESSION_LASTS_FOR"),
    ("idle longer than at all", PRODUCTION, {"IDP_SESSION_IDLE_FOR": "P2D"}, "IDP_SESSION_IDLE_FOR"),
    ("access tokens without end", PRODUCTION, {"IDP_ACCESS_FOR": "31536000"}, "IDP_ACCESS_FOR"),
    ("refresh idle longer than at all", PRODUCTION, {"IDP_REFRESH_IDLE_FOR": "P60D"}, "IDP_REFRESH_IDLE_FOR"),
    ("a span that is none", PRODUCTION, {"IDP_ACCESS_FOR": "soon"}, "IDP_ACCESS_FOR"),
    ("no workers", PRODUCTION, {"IDP_WORKERS": "0"}, "IDP_WORKERS"),
    ("workers that are no number", PRODUCTION, {"IDP_WORKERS": "two"}, "IDP_WORKERS"),
    ("no threads", PRODUCTION, {"IDP_THREADS": "-1"}, "IDP_THREADS"),
    ("no hash slots", PRODUCTION, {"IDP_HASH_SLOTS": "0"}, "IDP_HASH_SLOTS"),
    ("proxies that are no networks", PRODUCTION, {"IDP_TRUSTED_PROXIES": "nginx"}, "IDP_TRUSTED_PROXIES"),
    ("a network with host bits", PRODUCTION, {"IDP_TRUSTED_PROXIES": "10.0.0.1/8"}, "IDP_TRUSTED_PROXIES"),
    ("everybody is a proxy", PRODUCTION, {"IDP_TRUSTED_PROXIES": "0.0.0.0/0"}, "IDP_TRUSTED_PROXIES"),
    ("everybody is a proxy of IPv6", PRODUCTION, {"IDP_TRUSTED_PROXIES": "10.0.0.0/28 ::/0"}, "IDP_TRUSTED_PROXIES"),
    ("a country that is none", PRODUCTION, {"IDP_COUNTRY": "ATLANTIS"}, "IDP_COUNTRY"),
    ("a country that nothing is shipped for", PRODUCTION, {"IDP_COUNTRY": "LA"}, "IDP_COUNTRY"),
    ("a country that is a path", PRODUCTION, {"IDP_COUNTRY": ".."}, "IDP_COUNTRY"),
    ("a zone that is none", PRODUCTION, {"IDP_ZONE": "Asia/Nowhere"}, "IDP_ZONE"),
    ("a zone that is a path", PRODUCTION, {"IDP_ZONE": "../../etc/passwd"}, "IDP_ZONE"),
    ("a log level that is none", PRODUCTION, {"IDP_LOG_LEVEL": "LOUD"}, "IDP_LOG_LEVEL"),
    ("a database that is none", PRODUCTION, {"IDP_DATABASE_URL": "mysql://db.example/idp"}, "IDP_DATABASE_URL"),
    ("a Redis that is none", PRODUCTION, {"IDP_REDIS_URL": "https://redis.example"}, "IDP_REDIS_URL"),
    ("secrets in a folder that is not there", PRODUCTION, {"IDP_SECRETS_DIR": "/nowhere/at/all"}, "IDP_SECRETS_DIR"),
]


@pytest.mark.parametrize(("what", "base", "changes", "named"), UNSAFE, ids=[what for what, *_ in UNSAFE])
def test_what_is_unsafe_stops_the_start_with_one_sentence(
    what: str, base: dict[str, str], changes: dict[str, str | None], named: str
) -> None:
    """Law 11: one line, which names what to change, and holds no secret."""
    given = {name: value for name, value in (base | changes).items() if value is not None}
    with pytest.raises(UnsafeSettings) as refused:
        read_settings(given)
    sentence = str(refused.value)
    assert named in sentence
    assert "\n" not in sentence
    assert 15 < len(sentence) < 200
    assert "hunter2" not in sentence
    assert WRAPPING not in sentence


@pytest.mark.parametrize("keys", ["", "k1", "k1:", "k1:AAAA", "k1:" + "A" * 43, ":" + WRAPPING.partition(":")[2], "k1:not base64", "k1:đ" + "A" * 42])
def test_key_encryption_keys_are_thirty_two_random_bytes_or_nothing_starts(keys: str) -> None:
    """13.3; the sentence holds no key."""
    with pytest.raises((UnsafeSettings, UnsafeKeyEncryption)) as refused:
        key_encryption(read_settings(TEST | {"IDP_KEY_ENCRYPTION_KEYS": keys}))
    assert "\n" not in str(refused.value)
    assert "AAAA" not in str(refused.value)


def test_a_secret_may_come_from_a_file_and_the_environment_wins(tmp_path: Path) -> None:
    """13.3: files of an orchestrator; other files beside them are left alone."""
    (tmp_path / "IDP_DATABASE_URL").write_text("postgresql://idp_app@from-a-file/idp\n", encoding="utf-8")
    (tmp_path / "IDP_REDIS_URL").write_text("redis://from-a-file/0", encoding="utf-8")
    (tmp_path / "unrelated").write_text("x", encoding="utf-8")
    given = {name: value for name, value in PRODUCTION.items() if name != "IDP_DATABASE_URL"} | {"IDP_SECRETS_DIR": str(tmp_path)}
    read = read_settings(given)
    assert read.database_url is not None
    assert read.database_url.get_secret_value() == "postgresql://idp_app@from-a-file/idp"
    assert read.redis_url is not None
    assert "redis.example" in read.redis_url.get_secret_value()


def test_settings_shown_or_logged_hold_no_secret() -> None:
    """16.2.5: whoever prints them sees stars."""
    read = read_settings(PRODUCTION)
    assert "hunter2" not in f"{read!r} {read} {read.model_dump()} {read.model_dump_json()}"
    assert WRAPPING not in f"{read!r} {read}"


def test_settings_cannot_be_changed_afterwards() -> None:
    """What was judged is what is used."""
    read = read_settings(PRODUCTION)
    with pytest.raises(ValueError, match="frozen"):
        read.mode = "demo"  # type: ignore[assignment]  # that is what is tried


@pytest.mark.parametrize(
    "changes", [{"IDP_MODE": "production"}, {"IDP_ISSUER": "http://id.example.vn"}, {"IDP_UNKNOWN": "1"}, {"IDP_BIND": "0.0.0.0:9"}]
)
def test_the_program_itself_stops_with_the_sentence_and_no_trace(changes: dict[str, str]) -> None:
    """Law 11, from outside: `idp serve` ends with a failure and one line on standard error."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("IDP_")}
    done = subprocess.run(
        [sys.executable, "-m", "idp.cli", "serve"], env=inherited | TEST | changes, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode not in {0, -15}
    assert "Traceback" not in done.stderr
    assert re.search("IDP_[A-Z]+", done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1
