"""The one door out (law 7)."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from idp.egress import Destinations, Egress, EgressRefused, Limits, NotReachable
from tests.support.portal_sink import PortalSink

QUICK = Limits(connect=0.5, total=1.0)


@pytest.fixture
def sink() -> Iterator[PortalSink]:
    with PortalSink() as running:
        yield running


# what is never called ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://portal.example/",
        "http://127.0.0.1:6379/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://0/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1]/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://8.8.8.8/",
        "https://localhost/",
        "https://localhost./",
        "https://portal.localhost/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://intranet/",
        "https://1.0.0.127.in-addr.arpa/",
        "https://portal.example:6379/",
        "https://portal.example:22/",
        "https://somebody@portal.example/",
        "https://portal.example/#part",
        "file:///etc/passwd",
    ],
)
def test_an_address_that_leads_inside_is_refused_at_registration_and_at_the_call(url: str) -> None:
    """Nothing is looked up and nobody is called."""

    def nobody(*_: object) -> list[str]:
        raise AssertionError

    with pytest.raises(EgressRefused):
        Destinations().require(url)
    with pytest.raises(EgressRefused):
        Egress(resolve=nobody).post_form(url, {})


def test_an_address_of_a_public_portal_is_accepted_without_asking_anybody() -> None:
    Destinations().require("https://portal.example/logout")
    Destinations().require("https://portal.example:8443/logout?tenant=1")


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["10.1.2.3"], ["169.254.169.254"], ["8.8.8.8", "10.0.0.1"], ["::1"], []])
def test_a_name_that_leads_to_one_private_address_is_not_called_at_all(addresses: list[str]) -> None:
    """One address that is not public spoils the name."""
    called: list[str] = []

    def connect(address: str, _port: int, _seconds: float) -> socket.socket:
        called.append(address)
        raise OSError

    egress = Egress(resolve=lambda _host, _port: addresses, connect=connect)
    with pytest.raises(EgressRefused):
        egress.post_form("https://portal.example/", {})
    assert called == []


def test_an_open_and_a_closed_port_of_this_machine_are_refused_alike(sink: PortalSink) -> None:
    """The same refusal, and no connection whose duration could tell."""
    egress = Egress(resolve=lambda _host, _port: ["127.0.0.1"])
    refusals = []
    for port in (sink.server_address[1], 1):
        with pytest.raises(EgressRefused) as caught:
            egress.post_form(f"https://portal.example:{port}/", {})
        refusals.append(str(caught.value))
    with pytest.raises(EgressRefused):
        egress.post_form("https://portal.example/", {})
    assert refusals[0] == refusals[1]
    assert sink.received == {}


def test_a_failed_call_tells_whoever_chose_the_address_nothing_but_that_it_failed() -> None:
    def refused(_address: str, _port: int, _seconds: float) -> socket.socket:
        raise ConnectionRefusedError

    def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror

    for egress in (Egress(resolve=unknown), Egress(resolve=lambda _host, _port: ["8.8.8.8"], connect=refused)):
        with pytest.raises(NotReachable) as caught:
            egress.post_form("https://portal.example/", {})
        assert caught.value.reason == "unreachable"


# the resolved address is the called one ------------------------------------------------------------------------------------------


def test_a_name_is_looked_up_once_and_the_connection_goes_to_the_address_that_was_judged() -> None:
    """The second answer of a rebinding name is never asked for."""
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    looked_up, called = [], []

    def resolve(host: str, port: int) -> list[str]:
        looked_up.append((host, port))
        return next(answers)

    def connect(address: str, port: int, _seconds: float) -> socket.socket:
        called.append((address, port))
        raise ConnectionRefusedError

    with pytest.raises(NotReachable):
        Egress(resolve=resolve, connect=connect).post_form("https://portal.example/", {})
    assert looked_up == [("portal.example", 443)]
    assert called == [("8.8.8.8", 443)]


def test_the_second_address_is_tried_when_the_first_does_not_answer() -> None:
    called = []

    def connect(address: str, _port: int, _seconds: float) -> socket.socket:
        called.append(address)
        raise ConnectionRefusedError

    with pytest.raises(NotReachable):
        Egress(resolve=lambda _host, _port: ["2606:4700::1111", "8.8.8.8"], connect=connect).post_form("https://portal.example/", {})
    assert called == ["2606:4700::1111", "8.8.8.8"]


class Authority:
    """A certificate authority of one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test root")])
        root = self._build(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0), timedelta(days=1))
        self.root = folder / "root.pem"
        self.root.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def server(self, host: str, *, valid_for: timedelta = timedelta(days=1), newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            name: x509.GeneralName = x509.IPAddress(IPv4Address(host))
        except ValueError:
            name = x509.DNSName(host)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "portal.example")])
        certificate = self._build(subject, key.public_key(), x509.SubjectAlternativeName([name]), valid_for)
        path = self._folder / f"{host}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if newest is not None:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = newest
        return context

    def _build(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType, valid_for: timedelta
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + valid_for)
            .add_extension(extension, critical=True)
            .sign(self._key, hashes.SHA256())
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def reach(sink: PortalSink, ca: Path | None) -> Egress:
    """Return an egress for which portal.example has a public address, behind which the sink answers."""

    def connect(address: str, port: int, seconds: float) -> socket.socket:
        assert (address, port) == ("8.8.8.8", 443)
        return socket.create_connection(("127.0.0.1", sink.server_address[1]), timeout=seconds)

    return Egress(ca=ca, resolve=lambda _host, _port: ["8.8.8.8"], connect=connect)


def test_a_portal_with_a_certificate_for_its_name_is_told(authority: Authority) -> None:
    with PortalSink(tls=authority.server("portal.example")) as sink:
        reply = reach(sink, authority.root).post_form("https://portal.example/logout", {"logout_token": "a b&c"})
        assert (reply.status, reply.body, reply.is_whole) == (200, b"", True)
        received = sink.received["logout"][0]
    assert received.form == {"logout_token": ["a b&c"]}
    assert received.headers["Host"] == "portal.example"
    assert received.headers["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("named", ["other.example", "8.8.8.8"])
def test_a_certificate_for_another_name_or_for_the_address_is_refused(authority: Authority, named: str) -> None:
    """RFC 9525: the name that was chosen counts, not the address it leads to, nor the common name."""
    with PortalSink(tls=authority.server(named)) as sink:
        with pytest.raises(NotReachable) as caught:
            reach(sink, authority.root).post_form("https://portal.example/", {})
        assert sink.received == {}
    assert caught.value.reason == "unreachable"


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    with PortalSink(tls=authority.server("portal.example", valid_for=timedelta(days=-1))) as sink:
        with pytest.raises(NotReachable):
            reach(sink, authority.root).post_form("https://portal.example/", {})
        assert sink.received == {}


def test_a_root_that_nobody_trusts_is_refused(authority: Authority) -> None:
    with PortalSink(tls=authority.server("portal.example")) as sink:
        with pytest.raises(NotReachable):
            reach(sink, None).post_form("https://portal.example/", {})
        assert sink.received == {}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_tls_older_than_1_2_is_refused(authority: Authority) -> None:
    with PortalSink(tls=authority.server("portal.example", newest=ssl.TLSVersion.TLSv1_1)) as sink:
        with pytest.raises(NotReachable):
            reach(sink, authority.root).post_form("https://portal.example/", {})
        assert sink.received == {}


# loopback, in demo and test ------------------------------------------------------------------------------------------------------


def test_an_allowed_loopback_origin_is_called_and_nothing_beside_it(sink: PortalSink) -> None:
    egress = Egress(allow=(sink.origin,))
    assert egress.post_form(sink.url("logout"), {}).status == 200
    port = sink.server_address[1]
    for url in (
        f"http://localhost:{port}/",
        f"https://127.0.0.1:{port}/",
        f"http://127.0.0.1:{port + 1}/",
        f"http://127.0.0.2:{port}/",
        f"http://127.0.0.1.nip.example:{port}/",
        f"http://portal.example:{port}/",
    ):
        with pytest.raises(EgressRefused):
            egress.post_form(url, {})
    assert list(sink.received) == ["logout"]


def test_an_allowed_name_that_does_not_lead_to_this_machine_is_not_called() -> None:
    egress = Egress(allow=("http://localhost:8001",), resolve=lambda _host, _port: ["10.0.0.1"])
    with pytest.raises(EgressRefused):
        egress.post_form("http://localhost:8001/", {})


@pytest.mark.parametrize("origin", ["http://10.0.0.1:80", "https://portal.example", "http://localhost:8001/path", "http://localhost:8001/"])
def test_only_loopback_origins_can_be_allowed(origin: str) -> None:
    """Law 7: the list for demo and test opens nothing else."""
    with pytest.raises(EgressRefused):
        Egress(allow=(origin,))


def seconds_to_give_up(call: Callable[[], None]) -> float:
    """Return the seconds after which a call ended by its deadline."""
    began = time.monotonic()
    with pytest.raises(NotReachable) as caught:
        call()
    assert caught.value.reason == "timeout"
    return time.monotonic() - began


# bounds --------------------------------------------------------------------------------------------------------------------------


def test_a_redirect_is_an_answer_and_not_followed(sink: PortalSink) -> None:
    sink.modes["portal"] = ["redirect"]
    assert Egress(allow=(sink.origin,)).post_form(sink.url("portal"), {}).status == 302
    assert list(sink.received) == ["portal"]


def test_no_more_than_64_kilobytes_of_an_answer_are_read(sink: PortalSink) -> None:
    sink.modes["portal"] = ["huge"]
    reply = Egress(allow=(sink.origin,)).post_form(sink.url("portal"), {})
    assert (reply.status, len(reply.body), reply.is_whole) == (200, 65536, False)


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_a_call_ends_by_its_deadline_even_if_something_keeps_arriving(sink: PortalSink, mode: str) -> None:
    """The total is one deadline, not one for each wait."""
    sink.modes["portal"] = [mode]

    def call() -> None:
        Egress(allow=(sink.origin,), limits=QUICK).post_form(sink.url("portal"), {})

    assert seconds_to_give_up(call) < 4  # without the one deadline it never ends


def test_a_resolver_that_does_not_answer_is_given_up() -> None:
    release = threading.Event()

    def resolve(_host: str, _port: int) -> list[str]:
        release.wait(10)
        return ["8.8.8.8"]

    def call() -> None:
        Egress(resolve=resolve, limits=QUICK).post_form("https://portal.example/", {})

    assert seconds_to_give_up(call) < 4  # the resolver takes ten
    release.set()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % each for each in range(200)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
    ],
)
def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            accepted, _ = server.accept()
            with accepted:
                accepted.recv(65536)
                accepted.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        port = server.getsockname()[1]
        with pytest.raises(NotReachable) as caught:
            Egress(allow=(f"http://127.0.0.1:{port}",), limits=QUICK).post_form(f"http://127.0.0.1:{port}/", {})
        serving.join()
    assert caught.value.reason == "unreachable"


def test_an_answer_that_breaks_off_is_not_taken_for_whole() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            accepted, _ = server.accept()
            with accepted:
                accepted.recv(65536)
                accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

        serving = threading.Thread(target=serve)
        serving.start()
        port = server.getsockname()[1]
        reply = Egress(allow=(f"http://127.0.0.1:{port}",)).post_form(f"http://127.0.0.1:{port}/", {})
        serving.join()
    assert (reply.body, reply.is_whole) == (b"abc", False)


def test_proxies_of_the_environment_are_not_used(sink: PortalSink, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert Egress(allow=(sink.origin,)).post_form(sink.url("portal"), {}).status == 200
