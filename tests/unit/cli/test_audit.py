"""`idp audit tail` (law 10: each row can be proved to be what was written)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from idp.audit import reading
from idp.audit.model import Origin
from idp.audit.reading import Wanted
from idp.audit.store import record
from idp.grants.model import ClientTokenIssued
from idp.storage.postgres import Database
from tests.support.commands import Command, add


def test_events_are_printed_in_their_order_with_who_did_them(command: Command) -> None:
    account_id = add(command, 201)["account_id"]
    command("accounts", "lock", account_id, "--reason", "lost", "--legal-basis", "Art. 9", "--by", "officer.two")
    events = command("audit", "tail", "--json", "--account", account_id).document["events"]
    assert [(each["kind"], each["state"], each["known"]) for each in events] == [
        ("accounts.account_added", "intact", True),
        ("accounts.account_locked", "intact", True),
    ]
    assert [each["body"]["operator"] for each in events] == ["officer.one", "officer.two"]
    line = command("audit", "tail", "--account", account_id, "-n", "1").out
    assert "accounts.account_locked  officer.two" in line
    assert "reason=lost" in line


def test_a_room_and_a_kind_are_asked_for_by_name(command: Command) -> None:
    add(command, 202)
    of_room = command("audit", "tail", "--json", "--kind", "accounts").document["events"]
    assert {each["kind"].partition(".")[0] for each in of_room} == {"accounts"}


def test_a_kind_that_no_event_is_of_is_a_wrong_call(command: Command) -> None:
    """An empty answer would look like an empty record."""
    ended = command("audit", "tail", "--kind", "account")
    assert (ended.code, ended.out) == (2, "")
    assert command("audit", "tail", "--kind", "account", "--json").document["error"] == "cli.misused"
    assert command("audit", "--json", "tial").document["error"] == "cli.misused", "before anything of the call was read"
    assert "no event is of this kind. The rooms are accounts, assurance, authenticators," in " ".join(ended.err.split())


def test_what_is_rare_is_found_behind_more_than_a_page(command: Command, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = add(command, 207)["account_id"]
    for _ in range(5):
        command("accounts", "lock", account_id, "--reason", "lost", "--legal-basis", "Art. 9", "--by", "officer.two")
    monkeypatch.setattr(reading, "PAGE_BEFORE", reading.PAGE_BEFORE.replace("LIMIT 5000", "LIMIT 2"))
    monkeypatch.setattr(reading, "PAGE_AFTER", reading.PAGE_AFTER.replace("LIMIT 5000", "LIMIT 2"))
    added = reading.latest(database, Wanted(kind="accounts.account_added"), most=1)
    assert [each.related["account_id"] for each in added] == [UUID(account_id)]
    assert len(reading.latest(database, Wanted(kind="accounts"), most=3)) == 3
    after = list(reading.since(database, Wanted(kind="accounts.account_locked"), added[0].at))
    assert len(after) == 5
    assert after == sorted(after, key=lambda each: each.id)
    assert list(reading.since(database, Wanted(kind="accounts.account_added"), added[0].at)) == added


def test_an_altered_row_is_named_and_ends_the_command_with_1(command: Command, owner_database: Database) -> None:
    account_id = add(command, 203)["account_id"]
    with owner_database.transaction() as transaction:
        body = transaction.one("SELECT body FROM audit_event WHERE account_id = %(id)s", {"id": account_id})
        assert body is not None
        altered = bytes(body.body).replace(b"officer.one", b"officer.six")
        transaction.run("UPDATE audit_event SET body = %(body)s WHERE account_id = %(id)s", {"body": altered, "id": account_id})
    ended = command("audit", "tail", "--account", account_id)
    assert ended.code == 1
    assert "!! NOT WHAT WAS WRITTEN" in ended.out
    assert command("audit", "tail", "--json", "--account", account_id).document["events"][0]["state"] == "altered"


def test_an_erased_row_is_told_apart_from_an_altered_one(command: Command, owner_database: Database) -> None:
    account_id = add(command, 204)["account_id"]
    with owner_database.transaction() as transaction:
        transaction.run("UPDATE audit_event SET body = NULL, salt = NULL WHERE account_id = %(id)s", {"id": account_id})
    ended = command("audit", "tail", "--json", "--account", account_id)
    assert ended.code == 0
    assert [(each["state"], each["body"]) for each in ended.document["events"]] == [("erased", None)]


def test_a_row_moved_to_another_account_is_altered(command: Command, owner_database: Database) -> None:
    """The leaf covers the related ids, not the body alone."""
    one, other = add(command, 205)["account_id"], add(command, 206)["account_id"]
    with owner_database.transaction() as transaction:
        transaction.run("UPDATE audit_event SET account_id = %(other)s WHERE account_id = %(one)s", {"one": one, "other": other})
    states = [each["state"] for each in json.loads(command("audit", "tail", "--json", "--account", other).out)["events"]]
    assert sorted(states) == ["altered", "intact"]


def test_who_follows_sees_what_is_committed_late_and_nothing_twice(
    command: Command, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row may be committed after the start of the tail although its instant lies before."""
    turns = 0

    def issued(before: timedelta) -> UUID:
        with database.transaction() as transaction:
            event = ClientTokenIssued(Origin.operated("test"), scopes=())
            return record(transaction, event, datetime.now(UTC) - before, {"client_id": uuid4()})

    issued(timedelta(seconds=4))
    late: list[UUID] = []

    def sleep(_: float) -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            late.append(issued(timedelta(seconds=5)))
        if turns == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("idp.cli.audit.time", SimpleNamespace(sleep=sleep))
    ended = command("audit", "tail", "--follow", "--json", "-n", "0", "--kind", "grants")
    assert [json.loads(line)["id"] for line in ended.out.splitlines()] == [str(late[0])]
