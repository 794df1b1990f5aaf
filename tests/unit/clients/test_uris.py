"""Group R at registration: an address has one spelling, or it is refused; a requested one is compared as text."""

from __future__ import annotations

import pytest

from idp.clients.uris import UnsafeUri, is_loopback_twin, read_host, read_redirect_uri, read_uri


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/cb",
        "https://app.example",
        "https://app.example/",
        "https://app.example:8443/cb?x=1&y=%C3%A9",
        "https://app.example/a-b_c~d/e;f=1,2",
        "https://xn--cng-dch-vu-7db.example/cb",
        "https://app.example?x=1",
        "https://127.0.0.1:8443/cb",
        "http://localhost:8001/cb",
        "http://127.0.0.1/cb",
        "http://[::1]:5000/cb",
    ],
)
def test_a_plain_address_is_accepted(uri: str) -> None:
    address = read_redirect_uri(uri)
    assert address.origin + address.path + address.query == uri


@pytest.mark.parametrize(
    "uri",
    [
        # User part
        "https://app.example@evil.example/cb",
        "https://a@b@evil.example/cb",
        "https://app.example:443@evil.example/cb",
        "https://:@app.example/",
        # Backslash, slashes, control characters
        "https://app.example\\@evil.example",
        "https:\\\\evil.example",
        "//evil.example",
        "/\\evil.example",
        "https:/evil.example",
        "https:evil.example",
        "https:///evil.example",
        "https://app.example\t.evil.example",
        "https://app.example/\r\nLocation:x",
        "https://app.example/%0d%0a",
        "https://app.example/%00",
        "https://app.example/%5cx",
        "https://app.example/%2e%2e/x",
        "https://app.example/%252e",
        "https://app.example/a/../b",
        "https://app.example/./b",
        "https://app.example/..",
        "https://app.example//b",
        "https://app.example/a b",
        "https://app.example/%zz",
        "https://app.example/%",
        'https://app.example/"x',
        "https://app.example/<x>",
        "https://app.example/{x}",
        "https://app.example/\x7f",
        "https://app.example/é",
        # Other schemes than https
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "javascript://app.example/%0aalert(1)",
        "data:text/html,x",
        "vbscript:x",
        " file:///etc/passwd",
        "ftp://app.example/x",
        "com.example.app:/cb",
        "HTTPS://app.example/cb",
        "http://app.example/cb",
        "http://10.0.0.1/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        # hosts
        "https://APP.example/cb",
        "https://app.example./cb",
        "https://-app.example/cb",
        "https://app..example/cb",
        "https://app_1.example/cb",
        "https://приложение.example/cb",
        "https://*.example/cb",
        "https://app.example/*",
        "https://app.example:0/cb",
        "https://app.example:065/cb",
        "https://app.example:65536/cb",
        "https://app.example:/cb",
        "https://app.example:x/cb",
        "https://[::2]/cb",
        "https://[::1/cb",
        "https://[::ffff:127.0.0.1]/cb",
        "https://10.0.0.1/cb",
        "https://169.254.169.254/latest",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://" + "a" * 64 + ".example/",
        # others
        "https://app.example/cb#x",
        "https://app.example/cb#",
        "https://app.example/" + "a" * 2000,
        "https://",
        "",
        None,
        5,
        ["https://app.example/cb"],
        # answers in the query
        "https://app.example/cb?code=1",
        "https://app.example/cb?c%6fde=1",
        "https://app.example/cb?x=1&st%61te",
        "https://app.example/cb?x=1&state=2",
        "https://app.example/cb?iss",
        "https://app.example/cb?error=x",
    ],
)
def test_an_address_that_is_not_plain_is_refused(uri: object) -> None:
    with pytest.raises(UnsafeUri):
        read_redirect_uri(uri)


def test_a_native_application_may_use_another_port_of_a_loopback_address_and_nothing_else() -> None:
    """RFC 8252 §7.3."""
    registered = frozenset({"http://127.0.0.1/cb", "http://[::1]:5000/cb?x=1", "http://localhost/cb", "https://app.example/cb"})
    for good in (
        "http://127.0.0.1:5/cb",
        "http://127.0.0.1:65535/cb",
        "http://127.0.0.1/cb",
        "http://[::1]/cb?x=1",
        "http://[::1]:9/cb?x=1",
    ):
        assert is_loopback_twin(good, registered)
    for bad in (
        "http://127.0.0.1:5/cb?x=1",
        "http://127.0.0.1:5/cb/",
        "http://127.0.0.1:5/CB",
        "http://localhost:5/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1:5@evil.example/cb",
        "https://127.0.0.1:5/cb",
        "https://app.example:5/cb",
        "http://[::1]:9/cb",
        "http://127.0.0.2:5/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:5/cb#x",
        "",
        "x",
    ):
        assert not is_loopback_twin(bad, registered)


def test_a_host_is_a_name_in_small_letters() -> None:
    assert read_host("province.example") == "province.example"
    for bad in ("Province.example", "province.example.", "a b", "", "x" * 300, "https://x", "a:1", None):
        with pytest.raises(UnsafeUri):
            read_host(bad)


def test_the_parts_of_an_address_are_named() -> None:
    assert read_uri("https://app.example:8443/cb?x=1") == ("https", "app.example", "8443", "/cb", "?x=1")
