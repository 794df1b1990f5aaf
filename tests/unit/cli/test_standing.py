"""`idp sessions`, `idp grants`, `idp throttle`: what stands, and ending it."""

from __future__ import annotations

from idp.cli import throttle
from idp.kernel.clock import FixedClock
from idp.storage.ephemeral import Ephemeral
from idp.throttle.model import VolumeKind
from idp.throttle.service import Volumes
from tests.support.commands import Command, add

NOBODYS = "01978f3a-0000-7000-8000-000000000001"


def test_an_account_without_sessions_and_grants_has_empty_lists(command: Command) -> None:
    account_id = add(command, 301)["account_id"]
    assert command("sessions", "list", "--json", account_id).document["sessions"] == []
    assert command("grants", "list", "--json", account_id).document == {"account_id": account_id, "consents": [], "grants": []}
    assert command("sessions", "end", "--json", "--account", account_id).document == {"ended": 0, "portals_to_tell": 0}


def test_what_is_not_there_is_refused(command: Command) -> None:
    assert command("sessions", "end", NOBODYS).err == "idp: There is no such live session.\n"
    assert command("grants", "revoke", NOBODYS).code == 1
    assert command("sessions", "list", NOBODYS).err == "idp: No account has this id or number.\n"
    assert command("throttle", "reset", NOBODYS).err == "idp: No account has this id or number.\n"


def test_a_call_that_names_nothing_or_both_is_wrong(command: Command) -> None:
    assert command("sessions", "end").code == 2
    assert command("sessions", "end", NOBODYS, "--account", NOBODYS).code == 2
    assert command("throttle", "reset").code == 2
    assert command("throttle", "reset", NOBODYS, "--addresses").code == 2


def test_giving_guesses_back_is_on_record_with_its_reason(command: Command) -> None:
    account_id = add(command, 302)["account_id"]
    assert command("throttle", "reset", account_id, "--reason", "called the office", "--by", "desk.one").code == 0
    assert command("throttle", "reset", "--json", "--addresses", "--reason", "school visit", "--by", "desk.one").code == 0
    events = command("audit", "tail", "--json", "--kind", "throttle", "-n", "2").document["events"]
    assert [(each["kind"], each["body"]["operator"], each["body"]["reason"]) for each in events] == [
        ("throttle.guesses_reset", "desk.one", "called the office"),
        ("throttle.volumes_reset", "desk.one", "school visit"),
    ]


def test_what_was_forgotten_of_addresses_is_said_and_on_record(command: Command, ephemeral: Ephemeral, clock: FixedClock) -> None:
    """Who, why, and what: the kinds that were counted, and how many counts there were."""
    volumes = Volumes(ephemeral, clock)
    volumes.reset()
    assert command("throttle", "reset", "--addresses").out == "Nobody had a count.\n"
    volumes.reserve(VolumeKind.AUTHORIZE, "192.0.2.71")
    volumes.reserve(VolumeKind.ACTIVATION, "192.0.2.71")
    volumes.reserve(VolumeKind.ACTIVATION, "192.0.2.72")
    ended = command("throttle", "reset", "--addresses", "--reason", "school visit", "--by", "desk.one")
    assert ended.out == "Counts by address and browser forgotten, of everybody: 4 of activations, 1 of requests to sign in.\n"
    event = command("audit", "tail", "--json", "--kind", "throttle.volumes_reset", "-n", "1").document["events"][0]["body"]
    assert (event["operator"], event["reason"], event["kinds"], event["counters"]) == ("desk.one", "school visit", ["activation", "authorize"], 5)


def test_every_kind_of_count_has_words() -> None:
    """Else a reset that was done and recorded would end in a fault."""
    assert throttle._WORDS.keys() == set(VolumeKind)


def test_an_account_that_guessed_nothing_has_nothing_to_forget(command: Command) -> None:
    account_id = add(command, 303)["account_id"]
    assert command("throttle", "reset", account_id).out == "All guesses are there again; none had been counted.\n"
