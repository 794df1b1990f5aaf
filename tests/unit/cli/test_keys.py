"""`idp keys` (law 9; keys/README.md)."""

from __future__ import annotations

from tests.support.commands import Command


def test_keys_are_made_once(command: Command) -> None:
    ended = command("keys", "make", "--json")
    assert ended.document == {"made": []}
    listed = command("keys", "list", "--json").document
    assert {(each["alg"], each["state"]) for each in listed["signing"]} >= {("ES256", "signing"), ("RS256", "signing")}
    assert {each["purpose"] for each in listed["sealing"]} == {"seal", "index"}


def test_a_rotation_stages_the_successor(command: Command) -> None:
    made = command("keys", "rotate", "--json", "--alg", "ES256").document["successors"]
    states = {each["kid"]: each["state"] for each in command("keys", "list", "--json").document["signing"]}
    assert [states[each["kid"]] for each in made] == ["staged"]


def test_a_rotation_at_once_leaves_the_old_key_verifying(command: Command) -> None:
    before = [each for each in command("keys", "list", "--json").document["signing"] if each["alg"] == "RS256"]
    made = command("keys", "rotate", "--json", "--alg", "RS256", "--now").document["successors"]
    states = {each["kid"]: each["state"] for each in command("keys", "list", "--json").document["signing"]}
    assert states[before[0]["kid"]] == "verifying"
    assert states[made[0]["kid"]] == "signing"


def test_a_revoked_key_is_replaced_at_once(command: Command) -> None:
    listed = command("keys", "list", "--json").document["signing"]
    kid = next(each["kid"] for each in listed if (each["alg"], each["state"]) == ("ES256", "signing"))
    ended = command("keys", "revoke", "--json", kid, "--reason", "found in a backup")
    assert ended.document["revoked"] == kid
    states = {each["kid"]: each["state"] for each in command("keys", "list", "--json").document["signing"]}
    assert states[kid] == "retired"
    assert states[ended.document["signs_now"]] == "signing"
    assert command("keys", "revoke", kid, "--reason", "again").code == 1


def test_resealing_waits_for_the_new_key_and_says_for_how_long(command: Command) -> None:
    assert command("keys", "rotate", "--sealing").code == 0
    ended = command("keys", "reseal")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("idp: A new key is not in force yet; try again in ")


def test_options_that_exclude_each_other_are_a_wrong_call(command: Command) -> None:
    assert command("keys", "rotate", "--sealing", "--now").code == 2


def test_no_private_half_is_ever_printed(command: Command) -> None:
    listed = command("keys", "list", "--json").out + command("audit", "tail", "--json", "--kind", "keys", "-n", "1000").out
    assert '"d"' not in listed
    assert "wrapped" not in listed
