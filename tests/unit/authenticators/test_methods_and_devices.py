"""Which methods exist, what a person could prove, and which browsers are known (RFC 8176; NIST SP 800-63B-4 §3)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pyotp
import pytest

from idp.authenticators.model import METHODS, TooManyTotps
from tests.support.citizens import (
    IN_A_BROWSER,
    Citizen,
    Rooms,
    activate,
    add_citizen,
    at_once,
    confirm_totp,
    make_recovery_codes,
    make_rooms,
    otp,
    remember_device,
    take_recovery_code,
    take_step,
)

if TYPE_CHECKING:
    from idp.kernel.clock import FixedClock
    from idp.kernel.sealing import Sealer
    from idp.storage.postgres import Database


@pytest.fixture
def rooms(database: Database, sealer: Sealer, clock: FixedClock) -> Rooms:
    return make_rooms(database, sealer, clock)


@pytest.fixture
def citizen(rooms: Rooms) -> Citizen:
    return add_citizen(rooms)


def test_methods_say_what_they_are() -> None:
    """RFC 8176: a recovery code is a one-time password to a client; two codes are one kind of factor."""
    assert {name: (method.factor, method.amr, method.begins) for name, method in METHODS.items()} == {
        "password": ("knowledge", "pwd", True),
        "otp": ("possession", "otp", False),
        "rc": ("possession", "otp", False),
    }


def test_what_could_be_proved_follows_what_is_there(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    possible = rooms.authenticators.possible
    assert possible(citizen.account_id) == possible(uuid4()) == frozenset()
    activated = activate(rooms, citizen)
    assert possible(citizen.account_id) == {"password", "otp", "rc"}
    for code in activated.recovery_codes:
        take_recovery_code(rooms, citizen.account_id, code)
    assert possible(citizen.account_id) == {"password", "otp"}
    with rooms.database.transaction() as transaction:
        rooms.totp.remove_in(transaction, citizen.account_id, IN_A_BROWSER)
    assert possible(citizen.account_id) == {"password"}
    offered = rooms.totp.enrol(citizen.account_id, "Điện thoại")
    assert possible(citizen.account_id) == {"password"}
    confirm_totp(rooms, citizen.account_id, offered.id, otp(clock, offered.secret))
    assert possible(citizen.account_id) == {"password", "otp"}


def test_an_application_gets_everything_from_the_uri(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    offered = rooms.totp.enrol(citizen.account_id, "Nguyễn Thị Hoa (•••901)")
    read = pyotp.parse_uri(offered.uri)
    assert isinstance(read, pyotp.TOTP)
    assert (read.issuer, read.name) == ("Một Cửa", "Nguyễn Thị Hoa (•••901)")
    assert read.at(clock.now()) == otp(clock, offered.secret)
    assert len(offered.secret) == 32


def test_an_account_has_at_most_two_authenticators(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    activate(rooms, citizen)
    second = rooms.totp.enrol(citizen.account_id, "Máy tính bảng")
    confirm_totp(rooms, citizen.account_id, second.id, otp(clock, second.secret))
    with pytest.raises(TooManyTotps):
        rooms.totp.enrol(citizen.account_id, "Máy thứ ba")


def test_either_of_two_authenticators_proves(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    first = activate(rooms, citizen)
    second = rooms.totp.enrol(citizen.account_id, "Máy tính bảng")
    confirm_totp(rooms, citizen.account_id, second.id, otp(clock, second.secret))
    clock.advance(timedelta(minutes=2))
    assert take_step(rooms, citizen.account_id, otp(clock, first.totp_secret))
    assert take_step(rooms, citizen.account_id, otp(clock, second.secret))


def test_an_offer_is_shown_again_until_it_lapses_or_counts(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    """A page with a wrong code is shown again with the same QR code."""
    offer = rooms.totp.enrol(citizen.account_id, "Điện thoại")
    assert rooms.totp.offered(citizen.account_id, offer.id, "Điện thoại") == offer
    assert rooms.totp.offered(add_citizen(rooms).account_id, offer.id, "Điện thoại") is None
    confirm_totp(rooms, citizen.account_id, offer.id, otp(clock, offer.secret))
    assert rooms.totp.offered(citizen.account_id, offer.id, "Điện thoại") is None


def test_a_newer_offer_makes_the_older_lapse(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    offers = [rooms.totp.enrol(citizen.account_id, "Điện thoại") for _ in range(2)]
    with pytest.raises(Exception, match="no such offer"):
        confirm_totp(rooms, citizen.account_id, offers[0].id, otp(clock, offers[0].secret))
    confirm_totp(rooms, citizen.account_id, offers[1].id, otp(clock, offers[1].secret))


def test_a_step_is_not_used_up_when_its_proof_is_not_recorded(
    rooms: Rooms, citizen: Citizen, clock: FixedClock
) -> None:
    """Law 1: consumed, recorded and audited in one transaction, or none of it."""
    activated = activate(rooms, citizen)
    clock.advance(timedelta(minutes=2))
    code = otp(clock, activated.totp_secret)

    def take_and_fail() -> None:
        with rooms.database.transaction() as transaction:
            assert rooms.totp.take_step_in(transaction, citizen.account_id, code, IN_A_BROWSER)
            raise LookupError

    with pytest.raises(LookupError):
        take_and_fail()
    assert take_step(rooms, citizen.account_id, code)


def test_a_browser_is_known_to_the_account_that_signed_in_there(rooms: Rooms, citizen: Citizen) -> None:
    other = add_citizen(rooms)
    remembered = remember_device(rooms, citizen.account_id, None)
    assert remembered.cookie.startswith("mod_")
    assert rooms.devices.recognise(citizen.account_id, remembered.cookie) == remembered.device_id
    assert rooms.devices.recognise(other.account_id, remembered.cookie) is None
    assert rooms.devices.recognise(None, remembered.cookie) is None
    for cookie in (None, "", "mod_", remembered.cookie[:-1], "\ud800"):
        assert rooms.devices.recognise(citizen.account_id, cookie) is None


def test_one_cookie_may_stand_for_two_people_of_one_browser(rooms: Rooms, citizen: Citizen) -> None:
    other = add_citizen(rooms)
    first = remember_device(rooms, citizen.account_id, None)
    second = remember_device(rooms, other.account_id, first.cookie)
    assert second.cookie == first.cookie
    assert second.device_id != first.device_id
    assert remember_device(rooms, citizen.account_id, first.cookie) == first


def test_a_cookie_we_never_made_is_not_adopted(rooms: Rooms, citizen: Citizen) -> None:
    """Somebody may have put it there, and know it."""
    planted = "mod_" + "A" * 43
    remembered = remember_device(rooms, citizen.account_id, planted)
    assert remembered.cookie != planted
    assert rooms.devices.recognise(citizen.account_id, planted) is None


def test_a_forgotten_browser_is_a_new_device_when_it_comes_back(rooms: Rooms, citizen: Citizen) -> None:
    remembered = remember_device(rooms, citizen.account_id, None)
    with rooms.database.transaction() as transaction:
        assert rooms.devices.forget_in(transaction, citizen.account_id, IN_A_BROWSER) == 1
        assert rooms.devices.forget_in(transaction, citizen.account_id, IN_A_BROWSER) == 0
    assert rooms.devices.recognise(citizen.account_id, remembered.cookie) is None
    again = remember_device(rooms, citizen.account_id, remembered.cookie)
    assert again.cookie != remembered.cookie


def test_a_browser_not_seen_for_half_a_year_is_unknown(rooms: Rooms, citizen: Citizen, clock: FixedClock) -> None:
    remembered = remember_device(rooms, citizen.account_id, None)
    clock.advance(timedelta(days=179))
    remember_device(rooms, citizen.account_id, remembered.cookie)
    clock.advance(timedelta(days=179))
    assert rooms.devices.recognise(citizen.account_id, remembered.cookie) == remembered.device_id
    clock.advance(timedelta(days=1))
    assert rooms.devices.recognise(citizen.account_id, remembered.cookie) is None


def test_regenerating_codes_at_once_leaves_ten(rooms: Rooms, citizen: Citizen) -> None:
    made = at_once(8, lambda _: make_recovery_codes(rooms, citizen.account_id), threads=8)
    good = [codes for codes in made if take_recovery_code(rooms, citizen.account_id, codes[0])]
    assert len(good) == 1
