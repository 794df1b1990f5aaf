"""The embedded run by its command line, as a newcomer meets it: `idp demo`, and commands beside it.

Design §3 and law 11.
"""

from __future__ import annotations

import html.parser
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import pyotp
import pytest
import requests

pytestmark = pytest.mark.xdist_group("demo")

READY_WITHIN = 90.0


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass
class Run:
    """A demo on a folder and ports of its own."""

    folder: Path
    ports: list[int]
    process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("IDP_", "PORTAL_"))}
        issuer, national, provincial = (f"http://localhost:{port}" for port in self.ports)
        return kept | {
            "IDP_MODE": "test",
            "IDP_ISSUER": issuer,
            "IDP_VAR": str(self.folder / "var"),
            "IDP_WORKERS": "1",
            "NATIONAL_PORTAL_URL": national,
            "PROVINCIAL_PORTAL_URL": provincial,
        }

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "idp.cli", *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def ask(self, *arguments: str) -> Any:
        done = self.call(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self) -> Any:
        """Start it and return the document it prints."""
        with (self.folder / "err").open("a") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "idp.cli", "demo", "--json"],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        return read_document(self.process.stdout, self.folder / "err")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def read_document(output: IO[str], log: Path) -> Any:
    text = ""
    for line in output:
        text += line
        if line == "}\n":
            return json.loads(text)
    message = f"the demo ended before it was ready: {log.read_text()[-3000:]}"
    raise AssertionError(message)


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with TemporaryDirectory(prefix="demo-") as folder:
        made = Run(Path(folder), free_ports(3))
        yield made
        if made.process is not None and made.process.poll() is None:
            made.stop()


@pytest.fixture(scope="module")
def document(run: Run) -> Any:
    return run.start()


class Forms(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif tag == "input" and self.forms and given.get("name") and given.get("type") != "checkbox":
            self.forms[-1][1][given["name"]] = given.get("value", "")


class Browser:
    """A browser without JavaScript, over the wire."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.page: requests.Response | None = None

    def open(self, address: str) -> requests.Response:
        self.page = self.session.get(address, timeout=20)
        return self.page

    def submit(self, **filled: str) -> requests.Response:
        assert self.page is not None
        parser = Forms()
        parser.feed(self.page.text)
        action, fields = parser.forms[0]
        address = urljoin(self.page.url, action or self.page.url)
        parts = urlsplit(address)
        headers = {"Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin"}
        self.page = self.session.post(address, fields | filled, headers=headers, timeout=20)
        return self.page

    def sign_in(self, address: str, account: dict[str, Any]) -> requests.Response:
        """Open a portal's sign-in and answer whatever is asked, until nothing is."""
        self.open(address)
        for _ in range(6):
            assert self.page is not None
            text = self.page.text
            if 'id="password"' in text and 'id="username"' in text and "field-error" not in text:
                self.submit(username=account["username"], password=account["password"])
            elif 'id="code"' in text and account["totp_secret"]:
                self.submit(code=pyotp.TOTP(account["totp_secret"]).now())
            elif 'value="allow"' in text:
                self.submit(decision="allow")
            else:
                break
        assert self.page is not None
        return self.page


def account_of(document: Any, word: str) -> dict[str, Any]:
    return next(each for each in document["accounts"] if word in each["note"])


def test_the_document_holds_what_the_issue_says(document: Any, run: Run) -> None:
    assert list(document) == ["issuer", "portals", "accounts", "clients", "mailbox_url"]
    assert document["issuer"] == f"http://localhost:{run.ports[0]}"
    assert [(each["url"], each["client_id"]) for each in document["portals"]] == [
        (f"http://localhost:{run.ports[1]}", "national-portal"),
        (f"http://localhost:{run.ports[2]}", "provincial-portal"),
    ]
    for each in document["accounts"]:
        assert set(each) == {"name", "username", "password", "totp_secret", "recovery_codes", "ial", "note"}
        assert len(each["recovery_codes"]) == (10 if each["totp_secret"] else 0)
    assert {each["ial"] for each in document["accounts"]} == {0, 1, 2}
    assert account_of(document, "no second factor")["totp_secret"] is None
    assert account_of(document, "locked")
    for each in document["clients"]:
        shown = {"private_key_jwt": "private_jwks", "none": None}.get(each["token_endpoint_auth_method"], "client_secret")
        assert ({"client_secret", "private_jwks"} & set(each)) == ({shown} if shown else set())


def test_a_demo_account_signs_in_at_the_portal_and_ending_its_session_reaches_the_portal(document: Any, run: Run) -> None:
    """The worker delivers the back-channel logout that a command caused."""
    account, browser = account_of(document, "level 2"), Browser()
    landed = browser.sign_in(document["portals"][0]["url"] + "/sign-in", account)
    assert landed.url.startswith(document["portals"][0]["url"]), landed.text[:2000]
    assert account["name"] in browser.open(document["portals"][0]["url"] + "/identity").text
    sessions = run.ask("sessions", "list", account["username"])["sessions"]
    assert [each["clients"] for each in sessions] == [["national-portal"]]
    assert set(sessions[0]["proved"]) == {"password", "otp"}
    grants = run.ask("grants", "list", account["username"])
    assert [each["client_id"] for each in grants["consents"]] == ["national-portal"]
    assert [each["client_id"] for each in grants["grants"]] == ["national-portal"]
    assert run.ask("sessions", "end", sessions[0]["session_id"]) == {"ended": 1, "portals_to_tell": 1}
    assert until_told(run) == "delivered"
    assert run.ask("sessions", "list", account["username"])["sessions"] == []
    assert account["name"] not in browser.open(document["portals"][0]["url"] + "/identity").text


def until_told(run: Run) -> str:
    """Wait for the record of the first try to tell a portal, and return its outcome."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        told = run.ask("audit", "tail", "--kind", "sessions.portal_told")["events"]
        if told:
            return str(told[0]["body"]["outcome"])
    message = "no portal was told"
    raise AssertionError(message)


def test_withdrawing_a_consent_by_command_kills_what_was_issued_under_it(document: Any, run: Run) -> None:
    account, browser = account_of(document, "level 1"), Browser()
    browser.sign_in(document["portals"][1]["url"] + "/sign-in", account)
    consent = run.ask("grants", "list", account["username"])["consents"][0]
    assert run.ask("grants", "revoke", consent["consent_id"])["revoked"] == "consent"
    left = run.ask("grants", "list", account["username"])
    assert (left["consents"], left["grants"]) == ([], [])


def test_a_locked_account_does_not_sign_in(document: Any, run: Run) -> None:
    account, browser = account_of(document, "locked"), Browser()
    browser.sign_in(document["portals"][0]["url"] + "/sign-in", account)
    assert run.ask("sessions", "list", account["username"])["sessions"] == []


def test_beside_a_running_demo_the_document_is_printed_again_and_a_second_run_is_refused(document: Any, run: Run) -> None:
    assert run.ask("demo") == document
    refused = run.call("demo")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "runs on" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_more_people_never_collide_and_can_sign_in(document: Any, run: Run) -> None:
    first = run.ask("demo", "people", "--count", "3")["accounts"]
    second = run.ask("demo", "people", "--count", "2", "--ial", "0")["accounts"]
    names = [each["username"] for each in [*first, *second, *document["accounts"]]]
    assert len(set(names)) == len(names) == 10
    assert [each["ial"] for each in [*first, *second]] == [1, 1, 1, 0, 0]
    assert set(first[0]) == {"username", "password", "totp_secret", "name", "ial"}
    Browser().sign_in(document["portals"][0]["url"] + "/sign-in", first[0])
    assert len(run.ask("sessions", "list", first[0]["username"])["sessions"]) == 1


def test_a_demo_code_is_what_the_authenticator_would_show(document: Any, run: Run) -> None:
    account = account_of(document, "level 0")
    shown = run.ask("demo", "code", account["username"])["code"]
    assert pyotp.TOTP(account["totp_secret"]).verify(shown, valid_window=1)
    assert run.call("demo", "code", account_of(document, "no second factor")["username"]).returncode == 1


def test_everything_that_was_made_is_well(run: Run, document: Any) -> None:
    assert run.ask("check")["ok"] is True


def test_files_with_secrets_are_closed_to_others(run: Run, document: Any) -> None:
    """Law 11: made at run time into `var/` (0600)."""
    var = run.folder / "var"
    for name in ("demo.json", "running.json", "secrets/IDP_KEY_ENCRYPTION_KEYS", "portal-national/client-key.json"):
        assert stat.S_IMODE((var / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(var.stat().st_mode) == 0o700


def test_a_taken_port_is_named_with_how_to_choose_another(run: Run, document: Any, tmp_path: Path) -> None:
    ports = free_ports(2)
    ended = Run(tmp_path, [ports[0], run.ports[1], ports[1]]).call("demo", "--json")
    assert ended.returncode == 1
    assert f"Port {run.ports[1]} is taken by another program" in ended.stderr
    assert "NATIONAL_PORTAL_URL=http://localhost:" in ended.stderr
    assert not (tmp_path / "var" / "postgres").exists()


def test_ctrl_c_stops_every_process_and_the_next_run_keeps_the_data(run: Run, document: Any) -> None:
    assert run.process is not None
    started = processes_of(run.process.pid)
    assert len(started) > 5
    assert run.stop() == 0
    assert [pid for pid in started if is_alive(pid)] == []
    assert run.call("accounts", "show", document["accounts"][0]["username"]).returncode == 1
    before = len((run.folder / "err").read_text())
    again = run.start()
    said = (run.folder / "err").read_text()[before:]
    assert again == document
    assert not re.search(r"run +\| (making|made|migrating|client )", said)
    assert len(run.ask("accounts", "evidence", "list", document["accounts"][0]["username"])["evidence"]) == 5


def test_after_a_kill_the_next_run_starts_without_repair(run: Run, document: Any) -> None:
    """What a killed launcher left behind ends with it, or is taken over."""
    assert run.process is not None
    started = processes_of(run.process.pid)
    run.stop(signal.SIGKILL)
    again = run.start()
    assert again == document
    assert set(started) & set(processes_of(run.process.pid)) == set()


def processes_of(pid: int) -> list[int]:
    """Return what descends from a process, without itself."""
    parents: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents.setdefault(int(fields[1]), []).append(int(file.parent.name))
    found, pending = [], [pid]
    while pending:
        children = parents.get(pending.pop(), [])
        found += children
        pending += children
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
