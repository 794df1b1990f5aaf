"""`idp clients`: declarations are read and re-read idempotently; secrets are made at import and shown once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Command

MACHINE: dict[str, Any] = {
    "client_id": "machine",
    "profile": "baseline",
    "client_name": "Máy (mẫu)",
    "grant_types": ["client_credentials"],
    "response_types": [],
    "token_endpoint_auth_method": "client_secret_basic",
    "contacts": ["operations@machine.example"],
}


def declare(folder: Path, **fields: object) -> str:
    file = folder / f"{fields.get('client_id', 'machine')}.json"
    file.write_text(json.dumps(MACHINE | fields), encoding="utf-8")
    return str(file)


def test_a_secret_is_shown_at_the_first_import_and_never_again(command: Command, tmp_path: Path) -> None:
    file = declare(tmp_path, client_id="once")
    first = command("clients", "import", "--json", file)
    secret = first.document["clients"][0]["client_secret"]
    assert secret.startswith("mcs_")
    second = command("clients", "import", "--json", file)
    assert second.document["clients"] == [{"client_id": "once", "what": "unchanged", "fields": []}]
    for arguments in (("clients", "show", "once"), ("clients", "list", "--json"), ("audit", "tail", "--json", "-n", "1000")):
        assert secret not in command(*arguments).out


def test_what_changed_is_printed(command: Command, tmp_path: Path) -> None:
    command("clients", "import", declare(tmp_path, client_id="renamed"))
    changed = command("clients", "import", declare(tmp_path, client_id="renamed", client_name="Tên khác (mẫu)"))
    assert changed.out == "renamed  changed: client_name\n"


def test_a_forbidden_declaration_is_refused_with_the_reason_and_nothing_is_imported(command: Command, tmp_path: Path) -> None:
    good = declare(tmp_path, client_id="good")
    bad = declare(tmp_path, client_id="bad", grant_types=["implicit"])
    ended = command("clients", "import", good, bad)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "idp: bad.json: grant_types: is a list of authorization_code, client_credentials, refresh_token, not 'implicit'.\n"
    assert command("clients", "show", "good").code == 1


def test_a_refusal_names_the_value_among_several_and_nothing_that_a_terminal_obeys(command: Command, tmp_path: Path) -> None:
    portal = {"grant_types": ["authorization_code"], "response_types": ["code"], "scope": "openid"}
    addresses = ["https://a.example/cb", "http://b.example/\x1b[2Jcb", "https://c.example/cb"]
    ended = command("clients", "import", declare(tmp_path, client_id="many", redirect_uris=addresses, **portal))
    assert (ended.code, ended.err) == (1, "idp: many.json: redirect_uris: holds a control or direction character.\n")
    addresses[1] = "http://b.example/cb"
    ended = command("clients", "import", declare(tmp_path, client_id="many", redirect_uris=addresses, **portal))
    assert ended.err == "idp: many.json: redirect_uris: 'http://b.example/cb': http is accepted on loopback only: use https.\n"
    ended = command("clients", "import", declare(tmp_path, client_id="many", profile="x" * 300))
    assert ended.err == f"idp: many.json: profile: is one of baseline, legacy, not '{'x' * 99}….\n"


def test_a_refusal_says_which_file_and_which_declaration_of_it(command: Command, tmp_path: Path) -> None:
    first = declare(tmp_path, client_id="first")
    several = tmp_path / "two of them.json"
    several.write_text(json.dumps([MACHINE | {"client_id": "second"}, MACHINE | {"client_id": "third", "contacts": 7}]))
    ended = command("clients", "import", first, str(several))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("idp: two of them.json, 2.: contacts: ")
    several.write_text(json.dumps([MACHINE | {"client_id": "second"}, MACHINE | {"client_id": "first"}]))
    assert command("clients", "import", first, str(several)).err == "idp: two of them.json, 2.: client_id: first is declared twice.\n"
    several.write_text(json.dumps(MACHINE | {"client_name": "${NOT_SET_HERE}"}))
    assert command("clients", "import", first, str(several)).err.startswith("idp: two of them.json: ${NOT_SET_HERE}: ")


def test_an_address_that_the_provider_would_not_call_is_refused_unless_the_settings_allow_it(command: Command, tmp_path: Path) -> None:
    portal = declare(
        *(tmp_path,), client_id="told", grant_types=["authorization_code"], response_types=["code"], scope="openid",
        redirect_uris=["http://localhost:8010/cb"], backchannel_logout_uri="http://localhost:8010/bye",
    )  # fmt: skip
    ended = command("clients", "import", portal)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "idp: told.json: backchannel_logout_uri: only https is called.\n"
    assert command("clients", "import", portal, IDP_EGRESS_ALLOW="http://localhost:8010").code == 0


def test_names_are_filled_from_the_environment_but_never_from_our_settings(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A declaration that names a setting would carry a secret into the client's public record."""
    monkeypatch.setenv("MACHINE_NAME", "Máy 7 (mẫu)")
    filled = command("clients", "import", declare(tmp_path, client_id="filled", client_name="${MACHINE_NAME}"))
    assert (filled.code, filled.err) == (0, "Filled from the environment: MACHINE_NAME.\n")
    assert command("clients", "show", "--json", "filled").document["client_name"] == "Máy 7 (mẫu)"
    ended = command("clients", "import", declare(tmp_path, client_id="greedy", client_name="${IDP_KEY_ENCRYPTION_KEYS}"))
    assert (ended.code, ended.out) == (1, "")
    assert "is not set in the environment" in ended.err


def test_a_sector_of_others_is_named(command: Command, tmp_path: Path) -> None:
    portal = {"redirect_uris": ["https://a.example/cb"], "scope": "openid", "response_types": ["code"], "grant_types": ["authorization_code"]}
    command("clients", "import", declare(tmp_path, client_id="here-first", sector="one.example", **portal))
    joined = command("clients", "import", declare(tmp_path, client_id="here-too", sector="one.example", **portal))
    assert "people have the same sub there as at here-first: one sector" in joined.out


def test_a_file_of_keys_holds_one_set(command: Command, tmp_path: Path) -> None:
    """Two would be cut to the first, and nobody told."""
    method = {"token_endpoint_auth_method": "private_key_jwt"}
    file, keys = declare(tmp_path, client_id="keyed", **method), tmp_path / "keys.json"
    keys.write_text('[{"keys": []}, {"keys": []}]', encoding="utf-8")
    ended = command("clients", "import", "--jwks", str(keys), file)
    assert (ended.code, ended.out, ended.err) == (1, "", "idp: keys.json: holds 2 sets of keys; one is wanted.\n")


@pytest.mark.parametrize("text", ["{", "[]", "7", '["a"]', "\xff"])
def test_a_file_that_is_no_declaration_is_refused(command: Command, tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.json").write_bytes(text.encode("latin-1"))
    ended = command("clients", "import", str(tmp_path / "odd.json"))
    assert ended.code == 1
    assert ended.err.startswith("idp: odd.json: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"client_id": "machine", "client_id": "other"}', "has 'client_id' twice in one object"),
        ("[" * 200_000, "too deeply nested"),
        ('{"purposes": ' + "[" * 300 + "]" * 300 + "}", "too deeply nested"),
        ('{"\\ud800": 1}', "half a surrogate pair"),
        ('{"client_name": "\\u0000"}', "a text holds NUL"),
        ('{"default_max_age": NaN}', "NaN is no number"),
        ('{"default_max_age": 1e999}', "a number is not finite"),
        ('{"default_max_age": ' + "9" * 5000 + "}", "too many digits"),
        ('{"client_id": }', "is not JSON (line 1)"),
    ],
)
def test_a_file_is_told_what_is_wrong_with_it(command: Command, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "broken.json"
    file.write_text(text)
    ended = command("clients", "import", "--json", str(file))
    assert (ended.code, "error" in ended.document) == (1, True)
    assert says in ended.document["message"]


def test_brackets_in_a_text_are_no_nesting(command: Command, tmp_path: Path) -> None:
    file = declare(tmp_path, client_id="brackets", client_name="[" * 40 + '\\"{')
    assert command("clients", "import", "--json", file).code == 0


def test_a_refusal_is_one_line_whatever_the_file_says(command: Command, tmp_path: Path) -> None:
    """Declarations come from portal teams: what they write moves no cursor at the registrar's terminal."""
    (tmp_path / "odd.json").write_text(json.dumps({"\x1b[2J\nidp: done": 1}))
    ended = command("clients", "import", str(tmp_path / "odd.json"))
    assert (ended.code, ended.err) == (1, "idp: odd.json: \\x1b[2J\\nidp: done: is not a field that is understood here.\n")


def test_a_file_that_is_not_there_is_a_wrong_call(command: Command, tmp_path: Path) -> None:
    assert command("clients", "import", str(tmp_path / "absent.json")).code == 2


def test_a_client_is_disabled_and_enabled_again(command: Command, tmp_path: Path) -> None:
    command("clients", "import", declare(tmp_path, client_id="paused"))
    assert command("clients", "disable", "paused", "--reason", "incident 7", "--by", "security.one").code == 0
    shown = command("clients", "show", "--json", "paused").document
    assert (shown["state"], shown["disabled_reason"]) == ("disabled", "incident 7")
    assert command("clients", "enable", "paused").code == 0
    assert command("clients", "show", "--json", "paused").document["state"] == "enabled"
    events = command("audit", "tail", "--json", "--client", "paused").document["events"]
    changes = [each for each in events if each["kind"] != "clients.looked_up"]
    assert [each["kind"] for each in changes] == ["clients.added", "clients.disabled", "clients.enabled"]
    assert changes[1]["body"]["operator"] == "security.one"


def test_who_looks_at_clients_is_on_the_record(command: Command, tmp_path: Path) -> None:
    command("clients", "import", declare(tmp_path, client_id="looked-at"))
    command("clients", "show", "looked-at", "--by", "auditor.one")
    command("clients", "list", "--by", "auditor.two")
    assert command("clients", "show", "absent", "--by", "auditor.three").code == 1
    events = command("audit", "tail", "--json", "--kind", "clients.looked_up", "-n", "1000").document["events"]
    looked = [(each["body"]["operator"], each["body"].get("client")) for each in events if each["body"]["operator"].startswith("auditor")]
    assert looked == [("auditor.one", "looked-at"), ("auditor.two", None)]
    of_client = command("audit", "tail", "--json", "--client", "looked-at", "--kind", "clients.looked_up").document["events"]
    assert [each["body"]["operator"] for each in of_client] == ["auditor.one"]


def test_a_fresh_secret_is_printed_once(command: Command, tmp_path: Path) -> None:
    command("clients", "import", declare(tmp_path, client_id="rotated"))
    one = command("clients", "rotate-secret", "--json", "rotated").document["client_secret"]
    two = command("clients", "rotate-secret", "--json", "rotated").document["client_secret"]
    assert one != two
    assert command("clients", "rotate-secret", "absent").err == "idp: No client has this id: idp clients list prints them all. (absent)\n"
