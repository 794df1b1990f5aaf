"""`idp accounts` (laws 4, 9 and 10)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from idp.cli.frame import printable
from idp.demo.people import synthetic_person
from idp.kernel.clock import SystemClock
from idp.kernel.ids import new_id
from idp.storage.postgres import Database
from tests.support.commands import Command, add


def test_a_person_is_entered_from_a_file_and_found_by_number_and_by_id(command: Command, tmp_path: Path) -> None:
    person = synthetic_person(101)
    fields = {
        "personal_number": person.personal_number,
        "full_name": person.full_name,
        "birth_date": person.birth_date.isoformat(),
        "sex": person.sex.value,
    }
    (tmp_path / "person.json").write_text(json.dumps(fields), encoding="utf-8")
    entered = command("accounts", "add", "--json", "--from", str(tmp_path / "person.json"))
    assert entered.code == 0
    by_number = command("accounts", "show", "--json", person.personal_number).document
    by_id = command("accounts", "show", "--json", entered.document["account_id"]).document
    assert by_number == by_id
    assert by_id["state"] == "pending"
    assert by_id["full_name"] == person.full_name


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"number": "1"}, "'number': not known; there are person_type, personal_number, full_name"),
        ({"phone": None}, "phone: not a text; leave out what is not known"),
        ({"birth_date": "31/01/1990"}, "birth_date: not a day such as 1990-01-31"),
        ({"sex": "F"}, "sex: not one of male, female"),
        ({"person_type": "tourist"}, "person_type: not one of citizen, foreigner, identity_certificate"),
        ({"full_name": ""}, "Missing: full_name"),
        ({"phone": "12"}, "phone: "),
    ],
)
def test_what_is_wrong_in_a_file_is_named(command: Command, tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    person = synthetic_person(104)
    fields = {
        "personal_number": person.personal_number,
        "full_name": person.full_name,
        "birth_date": person.birth_date.isoformat(),
        "sex": person.sex.value,
    }
    (tmp_path / "person.json").write_text(json.dumps(fields | wrong), encoding="utf-8")
    ended = command("accounts", "add", "--from", str(tmp_path / "person.json"))
    assert ended.code in {1, 2}
    assert words in ended.err
    assert person.personal_number not in ended.err


@pytest.mark.parametrize("text", ['{"name": "A", "name": "B"}', "[" * 200_000, "{"])
def test_a_file_that_cannot_be_read_is_a_wrong_call(command: Command, tmp_path: Path, text: str) -> None:
    (tmp_path / "person.json").write_text(text)
    ended = command("accounts", "add", "--from", str(tmp_path / "person.json"))
    assert (ended.code, ended.out) == (2, "")
    assert "Invalid value for --from" in ended.err


def test_no_command_prints_a_whole_personal_number(command: Command) -> None:
    """Law 9: whoever looks over an operator's shoulder learns no number."""
    number = synthetic_person(102).personal_number
    account_id = add(command, 102)["account_id"]
    for arguments in (
        ("accounts", "show", number),
        ("accounts", "show", "--json", account_id),
        ("accounts", "activate", "--json", number),
        ("accounts", "evidence", "list", number),
        ("sessions", "list", number),
        ("grants", "list", "--json", number),
        ("throttle", "reset", number),
        ("audit", "tail", "--json", "-n", "1000"),
    ):
        ended = command(*arguments)
        assert ended.code == 0, ended.err
        assert number not in ended.out + ended.err
    assert command("accounts", "show", account_id).out.count(number[-3:]) >= 1


def test_an_unknown_number_is_refused_in_one_sentence_without_it(command: Command) -> None:
    number = synthetic_person(103).personal_number
    ended = command("accounts", "show", number)
    assert (ended.code, ended.out, ended.err) == (1, "", "idp: No account has this id or number.\n")
    for_programs = command("accounts", "show", "--json", number)
    assert for_programs.code == 1
    assert for_programs.document == {"error": "accounts.no_such_account", "message": "No account has this id or number."}


def test_the_same_number_twice_is_refused(command: Command) -> None:
    add(command, 104)
    person = synthetic_person(104)
    again = command(
        *("accounts", "add", "--number", person.personal_number, "--name", person.full_name),
        *("--born", person.birth_date.isoformat(), "--sex", person.sex.value),
    )
    assert again.code == 1
    assert again.err == "idp: Another person has or had this personal number: idp accounts show finds who has it.\n"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"--number": "12"}, "personal_number: has too few or too many digits"),
        ({"--number": "00118199999x"}, "personal_number: is not of digits alone"),
        ({"--number": "999181999926"}, "personal_number: begins with the code of no place"),
        ({"--sex": "male"}, "personal_number: contradicts the declared sex"),
        ({"--born": "1982-03-04"}, "personal_number: contradicts the declared year of birth"),
        ({"--nationality": "VNM"}, "nationality: is not the two letters of a country"),
    ],
)
def test_who_enters_a_person_wrongly_is_told_in_words_what_is_wrong(command: Command, changed: dict[str, str], why: str) -> None:
    given = {"--number": "001181999926", "--name": "Trần Thị Mẫu", "--born": "1981-03-04", "--sex": "female"} | changed
    ended = command("accounts", "add", *(word for pair in given.items() for word in pair))
    assert (ended.code, ended.out, ended.err) == (1, "", f"idp: {why}.\n")


def test_a_wrong_call_ends_with_2(command: Command) -> None:
    assert command("accounts", "add", "--name", "An").code == 2
    assert command("accounts", "lock", "1").code == 2
    assert command("accounts", "unknown").code == 2
    assert command("accounts", "unlock", "1", "--lock", "no id").code == 2


def test_an_activation_code_is_printed_once_and_voids_the_one_before(command: Command) -> None:
    account_id = add(command, 105)["account_id"]
    first = command("accounts", "activate", "--json", account_id).document
    second = command("accounts", "activate", "--json", account_id, "--by", "officer.two").document
    assert first["code"] != second["code"]
    assert second["address"] == "http://localhost:8000/activate"
    events = command("audit", "tail", "--json", "--account", account_id, "--kind", "enrolment.activation_code_issued").document["events"]
    assert [each["body"]["by"] for each in events][-1] == "officer.two"
    assert first["code"] not in json.dumps(events)


def test_a_lock_has_reason_basis_and_operator_and_is_lifted_again(command: Command) -> None:
    account_id = add(command, 106)["account_id"]
    locked = command(
        *("accounts", "lock", "--json", account_id, "--reason", "phone lost", "--legal-basis", "Art. 9"),
        *("--until", "2099-01-01", "--by", "officer.one"),
    ).document
    shown = command("accounts", "show", "--json", account_id).document
    assert shown["is_locked"] is True
    assert shown["locks"][0]["id"] == locked["lock_id"]
    assert shown["locks"][0]["placed_by"] == "officer.one"
    assert shown["locks"][0]["until"] == "2098-12-31T17:00:00+00:00"
    refused = command("accounts", "activate", account_id)
    assert (refused.code, refused.out) == (1, "")
    assert command("accounts", "unlock", "--json", account_id).document["locks_left"] == 0
    assert command("accounts", "unlock", account_id).err == "idp: No lock holds this account.\n"


def test_a_lock_ends_the_sessions_of_its_account_in_the_operators_name(command: Command, owner_database: Database) -> None:
    """Law 10: who had them end is on record with the end of each."""
    account_id, now = add(command, 109)["account_id"], SystemClock().now()
    with owner_database.transaction() as transaction:
        transaction.run(
            "INSERT INTO session (id, secret_digest, account_id, version, proofs, user_agent, started_at, seen_at, idle_until, expires_at)"
            " VALUES (%(id)s, 'x', %(account_id)s, 1, '{}', '', %(now)s, %(now)s, %(until)s, %(until)s)",
            {"id": new_id(now), "account_id": account_id, "now": now, "until": now + timedelta(hours=1)},
        )
    locked = command("accounts", "lock", account_id, "--reason", "phone lost", "--legal-basis", "Art. 9", "--by", "officer.one")
    assert "1 session ended" in locked.out
    (ended,) = command("audit", "tail", "--json", "--account", account_id, "--kind", "sessions.session_ended").document["events"]
    assert (ended["body"]["operator"], ended["body"]["reason"]) == ("officer.one", "account_dead")


def test_an_instant_at_the_ends_of_the_calendar_is_refused_before_it_is_kept(command: Command) -> None:
    """No zone could show it, so the account could not be shown any more."""
    account_id = add(command, 771)["account_id"]
    lock = ("accounts", "lock", account_id, "--reason", "x", "--legal-basis", "y", "--until")
    for until in ("9999-12-31T23:59:59Z", "0001-01-01", "9999-12-31"):
        ended = command(*lock, until)
        assert ended.code == 2
        assert "is not between 1900 and 9998" in ended.err
    assert command(*lock, "9998-12-31T23:59:59-12:00").code == 0
    assert "9999-01-01" in command("accounts", "show", account_id).out


FORGED = "x\n2026-11-28 20:31:00+07:00  accounts.account_unlocked  minister  left=0"


def test_words_for_the_record_are_one_line_that_can_be_read(command: Command) -> None:
    """Else one event could be made to look like two, or a terminal be told something."""
    account_id = add(command, 772)["account_id"]
    said = {"--reason": "số 7 – “tạm”", "--legal-basis": "Điều\u00a05", "--by": "officer.7"}
    for words in (FORGED, "\x1b[31mred", "bell\x07", "\u202egnp", "x" * 501):
        for name in said:
            ended = command("accounts", "lock", account_id, *(each for pair in (said | {name: words}).items() for each in pair))
            assert ended.code == 2
            assert "\x1b" not in ended.err
    assert command("accounts", "lock", account_id, *(each for pair in said.items() for each in pair)).code == 0


def test_what_is_stored_is_shown_on_the_line_it_belongs_to() -> None:
    assert printable(FORGED) == FORGED.replace("\n", "\\n")
    assert printable("đ\x1b[2J\u202e") == "đ\\x1b[2J\\u202e"


def test_a_lock_without_a_reason_is_refused(command: Command) -> None:
    account_id = add(command, 107)["account_id"]
    ended = command("accounts", "lock", account_id, "--reason", " ", "--legal-basis", "Art. 9")
    assert (ended.code, ended.err) == (1, "idp: Reason and legal basis are required.\n")


def test_levels_follow_from_evidence_and_nobody_types_one(command: Command) -> None:
    """Law 4."""
    account_id = add(command, 108)["account_id"]

    def record(kind: str) -> int:
        done = command("accounts", "evidence", "add", "--json", account_id, "--kind", kind, "--checked-by", "office", "--how", "TK01")
        return int(done.document["ial"])

    assert [record(kind) for kind in ("register_match", "phone_owned", "counter_identity_check", "card_chip_read", "biometric_match")] == [
        *(0, 1, 1, 1, 2)
    ]
    listed = command("accounts", "evidence", "list", "--json", account_id).document
    assert listed["ial"] == 2
    phone = next(each for each in listed["evidence"] if each["kind"] == "phone_owned")
    struck = command("accounts", "evidence", "strike", "--json", phone["evidence_id"], "--reason", "number given up")
    assert struck.document["ial"] == 0
    again = command("accounts", "evidence", "strike", phone["evidence_id"], "--reason", "twice")
    assert (again.code, again.err) == (1, "idp: Somebody took this evidence out of force before.\n")
    foreign = command("accounts", "evidence", "add", account_id, "--kind", "passport_match", "--checked-by", "office", "--how", "TK01")
    assert foreign.out.endswith("The level is 0.\nNo level of this type of person (citizen) asks for passport_match: it carries nothing.\n")
    assert command("accounts", "evidence", "add", account_id, "--kind", "hearsay", "--checked-by", "x", "--how", "y").code == 2


@pytest.mark.parametrize(
    ("what", "number", "arguments"),
    [
        ("account", 9481, ("accounts", "show")),
        ("sessions", 9482, ("sessions", "list")),
        ("grants", 9483, ("grants", "list")),
        ("evidence", 9484, ("accounts", "evidence", "list")),
    ],
)
def test_who_looks_at_what_is_held_of_a_person_is_on_the_record(
    command: Command, what: str, number: int, arguments: tuple[str, ...]
) -> None:
    account_id = add(command, number)["account_id"]
    assert command(*arguments, account_id, "--by", "officer.three").code == 0
    of_it = ("--account", account_id, "--kind", "accounts.account_looked_up")
    (event,) = command("audit", "tail", "--json", *of_it).document["events"]
    assert (event["body"]["what"], event["body"]["operator"]) == (what, "officer.three")
