"""Passwords: what may be set, what is checked, and that nobody waits for ever (NIST §3.1.1)."""

from __future__ import annotations

import threading
import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from idp.authenticators.hashing import Hasher, HashParameters, HashSlots
from idp.authenticators.model import (
    HashSlotsBusy,
    PasswordOfContext,
    PasswordTooCommon,
    PasswordTooLong,
    PasswordTooShort,
    PasswordUnreadable,
    check_password,
)
from idp.authenticators.service import Passwords
from idp.authenticators.service.passwords import read_common_passwords
from idp.kernel.sealing import DoesNotOpen, Sealer
from idp.reference.countries import get_country
from tests.support.citizens import (
    CHEAP,
    GOOD_PASSWORD,
    IN_A_BROWSER,
    Citizen,
    Rooms,
    activate,
    add_citizen,
    make_rooms,
    set_password,
)

if TYPE_CHECKING:
    from idp.kernel.clock import FixedClock
    from idp.storage.postgres import Database

VIET_NAM = get_country("VN")
COMMON = read_common_passwords() | VIET_NAM.common_passwords


@pytest.fixture
def rooms(database: Database, sealer: Sealer, clock: FixedClock) -> Rooms:
    return make_rooms(database, sealer, clock)


@pytest.fixture
def citizen(rooms: Rooms) -> Citizen:
    return activate(rooms, add_citizen(rooms))


def test_the_right_password_is_right_and_no_other_is(rooms: Rooms, citizen: Citizen) -> None:
    assert rooms.passwords.check(citizen.account_id, GOOD_PASSWORD, origin=IN_A_BROWSER)
    for wrong in (GOOD_PASSWORD.upper(), GOOD_PASSWORD + " ", GOOD_PASSWORD[:-1], "mua rao tren mai ton", ""):
        assert not rooms.passwords.check(citizen.account_id, wrong, origin=IN_A_BROWSER)


def test_letters_composed_or_decomposed_are_the_same_letters(rooms: Rooms, citizen: Citizen) -> None:
    """NIST §3.1.1.2: normalised before hashing; one Vietnamese keyboard sends the one form, another the other."""
    decomposed = unicodedata.normalize("NFD", GOOD_PASSWORD)
    assert decomposed != GOOD_PASSWORD
    assert rooms.passwords.check(citizen.account_id, decomposed, origin=IN_A_BROWSER)


def test_letters_that_only_look_alike_are_not(rooms: Rooms, citizen: Citizen) -> None:
    set_password(rooms, citizen.account_id, "giường số 4271 tầng ba")
    assert not rooms.passwords.check(citizen.account_id, "giường số ４２７１ tầng ba", origin=IN_A_BROWSER)


@pytest.mark.parametrize("typed", ["", "null", "None", "undefined", "0", "[]", "\x00", "\ud800", "x" * 1_000_000])
def test_an_account_without_a_password_takes_none(rooms: Rooms, typed: str) -> None:
    """CVE-2026-41571: no row, no sign-in, and no exception."""
    assert not rooms.passwords.check(add_citizen(rooms).account_id, typed, origin=IN_A_BROWSER)


def test_nobody_takes_no_password(rooms: Rooms) -> None:
    assert not rooms.passwords.check(None, "", origin=IN_A_BROWSER)
    assert not rooms.passwords.check(None, GOOD_PASSWORD, origin=IN_A_BROWSER)


def test_a_long_password_is_neither_cut_nor_taken_beyond_its_limit(rooms: Rooms, citizen: Citizen) -> None:
    longest = "đường lên núi " * 51  # 714 characters of 918 bytes
    set_password(rooms, citizen.account_id, longest)
    assert rooms.passwords.check(citizen.account_id, longest, origin=IN_A_BROWSER)
    assert not rooms.passwords.check(citizen.account_id, longest[:-1], origin=IN_A_BROWSER)
    assert not rooms.passwords.check(citizen.account_id, longest * 2, origin=IN_A_BROWSER)
    with pytest.raises(PasswordTooLong):
        check_password("lúa" * 300, common=COMMON)


@pytest.mark.parametrize("short", ["", "lúa chín", "\N{FAMILY}" * 9])
def test_fewer_than_ten_characters_are_too_few(short: str) -> None:
    with pytest.raises(PasswordTooShort):
        check_password(short, common=COMMON)


@pytest.mark.parametrize(
    "common",
    [
        "1234567890",
        "0987654321",
        "qwertyuiop",
        "1q2w3e4r5t",
        "aaaaaaaaaaaa",
        "123123123123",
        "abcabcabcabc",
        "Password123!",
        "MatKhau2026",
        "Mật khẩu @12345",
        "anhyeuem1990",
        "EmYêuAnh!!!!",
        "yeuemmaimai123",
        "vietnamvodich",
        "HàNội123456",
        "saigon@2025",
        "iloveyou2024",
        "congan123456",
        "vneid123456",
        "@@@nguyenvana@@@",
        "namoadidaphat",
    ],
)
def test_what_is_guessed_first_is_refused(common: str) -> None:
    with pytest.raises(PasswordTooCommon):
        check_password(common, common=COMMON)


@pytest.mark.parametrize(
    "good", ["mưa rào trên mái tôn", "bốn con ngựa xanh", "9f3kx02hq7", "correct pony battery nail", "lạc rang muối ớt"]
)
def test_a_password_needs_no_mixture_of_signs(good: str) -> None:
    """ASVS 6.2.5: no rules of composition."""
    check_password(good, common=COMMON)


def test_ones_own_number_name_or_phone_is_no_password() -> None:
    """ASVS 6.2.11: context words."""
    person = ("036185123456", "Nguyễn Thị Bích Trâm", "912345670", "motcuasite")
    for password in (
        "036185123456",
        "036185123456!",
        "nguyenthibichtram",
        "Nguyễn Thị Bích Trâm",
        "+84912345670",
        "0912345670",
        "motcuasite",
        "NguyenThiBichTram1985",
        "19850712 Bích Trâm",
        "trambich1985",
        "motcuasite2026!",
        "Bich ٠١٢٣٤٥٦٧",
    ):
        with pytest.raises(PasswordOfContext):
            check_password(password, common=COMMON, context=person)
    for good in ("Bích ngồi bên cửa sổ", "Trâm 1985 và con mèo", "bich1985 gạo nếp"):
        check_password(good, common=COMMON, context=person)


def test_a_name_of_short_syllables_with_a_birth_date_is_no_password() -> None:
    """The commonest there is: syllables in any order, and numbers that many people know."""
    for password in ("lemai19901990", "MaiLe19901212", "thi.mai.19901212", "Lê Thị Mai 1990"):
        with pytest.raises(PasswordOfContext):
            check_password(password, common=COMMON, context=("036190123456", "Lê Thị Mai"))
    for good in ("lemaithilan1990", "mai le đi chợ", "leo thi mai 1990"):
        check_password(good, common=COMMON, context=("036190123456", "Lê Thị Mai"))


def test_control_characters_are_refused() -> None:
    with pytest.raises(PasswordUnreadable):
        check_password("lúa chín\x00 vàng đồng", common=COMMON)


def test_a_hash_is_renewed_when_its_parameters_change(
    rooms: Rooms, citizen: Citizen, database: Database, sealer: Sealer, clock: FixedClock
) -> None:
    dearer = HashParameters(time_cost=2, memory_cost=16, parallelism=1)
    later = Passwords(database, sealer, clock, HashSlots(), VIET_NAM, parameters=dearer)

    def stored() -> str:
        with database.transaction() as transaction:
            row = transaction.one("SELECT hash_sealed FROM password WHERE account_id = %(id)s", {"id": citizen.account_id})
        assert row is not None
        return sealer.open(row.hash_sealed, f"password.hash_sealed:{citizen.account_id}").decode()

    before = stored()
    assert not later.check(citizen.account_id, "không phải mật khẩu", origin=IN_A_BROWSER)
    assert stored() == before
    assert later.check(citizen.account_id, GOOD_PASSWORD, origin=IN_A_BROWSER)
    assert "m=16,t=2,p=1" in stored()
    assert later.check(citizen.account_id, GOOD_PASSWORD, origin=IN_A_BROWSER)


def test_a_stored_hash_opens_only_in_its_own_row(rooms: Rooms, citizen: Citizen, owner_database: Database) -> None:
    """Law 9: who can write the database cannot give one account another's password."""
    other = activate(rooms, add_citizen(rooms))
    with owner_database.transaction() as transaction:
        transaction.run(
            "UPDATE password SET hash_sealed = (SELECT hash_sealed FROM password WHERE account_id = %(mine)s)"
            " WHERE account_id = %(theirs)s",
            {"mine": other.account_id, "theirs": citizen.account_id},
        )
    with pytest.raises(DoesNotOpen):
        rooms.passwords.check(citizen.account_id, GOOD_PASSWORD, origin=IN_A_BROWSER)


def test_the_default_parameters_are_those_of_the_standard() -> None:
    """ASVS 11.4.2: argon2id, t=2, 19 MiB, p=1; the hash of nobody's password has the same."""
    hasher = Hasher(HashParameters())
    assert hasher.nobodys.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hasher.hash("một mật khẩu nào đó").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_every_hash_has_a_salt_of_its_own() -> None:
    hasher = Hasher(CHEAP)
    assert hasher.hash(GOOD_PASSWORD) != hasher.hash(GOOD_PASSWORD)


def test_of_two_places_strangers_get_one() -> None:
    """A flood from unknown devices leaves a place to known ones; others are refused at once."""
    slots = HashSlots(running=2, places=2, kept_for_known_devices=1)
    with slots.take(known_device=False):
        with pytest.raises(HashSlotsBusy) as refusal, slots.take(known_device=False):
            pass
        assert refusal.value.retry_after >= 1
        with slots.take(known_device=True), pytest.raises(HashSlotsBusy), slots.take(known_device=True):
            pass
    with slots.take(known_device=False):
        pass


def test_who_waits_too_long_for_the_hash_is_refused_and_leaves_no_place_taken() -> None:
    slots = HashSlots(running=1, places=2, kept_for_known_devices=0, wait_for=timedelta(milliseconds=20))
    with slots.take(known_device=False), pytest.raises(HashSlotsBusy), slots.take(known_device=False):
        pass
    with slots.take(known_device=False):
        pass


def test_who_waits_gets_the_place_when_it_is_free() -> None:
    slots = HashSlots(running=1, places=2, kept_for_known_devices=0, wait_for=timedelta(seconds=10))
    inside, leave, got = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with slots.take(known_device=False):
            inside.set()
            leave.wait(10)

    def second() -> None:
        inside.wait(10)
        with slots.take(known_device=False):
            got.set()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    inside.wait(10)
    leave.set()
    for thread in threads:
        thread.join(10)
    assert got.is_set()


def test_when_no_place_is_free_nothing_is_checked(
    rooms: Rooms, citizen: Citizen, database: Database, sealer: Sealer, clock: FixedClock
) -> None:
    slots = HashSlots()
    passwords = Passwords(database, sealer, clock, slots, VIET_NAM, parameters=CHEAP)
    with slots.take(known_device=True), pytest.raises(HashSlotsBusy):
        passwords.check(citizen.account_id, GOOD_PASSWORD, origin=IN_A_BROWSER)
    assert passwords.check(citizen.account_id, GOOD_PASSWORD, origin=IN_A_BROWSER)


def test_no_record_and_no_dump_holds_a_password(rooms: Rooms, citizen: Citizen, owner_database: Database) -> None:
    rooms.passwords.check(citizen.account_id, "sai mật khẩu rồi nhé", origin=IN_A_BROWSER)
    with owner_database.transaction() as transaction:
        bodies = [bytes(row.body).decode() for row in transaction.all("SELECT body FROM audit_event")]
        sealed = [bytes(row.hash_sealed) for row in transaction.all("SELECT hash_sealed FROM password")]
    assert not any(GOOD_PASSWORD in body or "sai mật khẩu" in body for body in bodies)
    assert not any(b"argon2" in each for each in sealed)
