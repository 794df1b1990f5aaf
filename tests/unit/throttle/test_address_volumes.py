"""How much one address may ask for, with Redis and without (law 2)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from idp.storage.ephemeral import Ephemeral
from idp.throttle.model import TooMuchVolume, VolumeKind, networks_of
from idp.throttle.service import Volumes

if TYPE_CHECKING:
    from idp.kernel.clock import FixedClock


def let_through(volumes: Volumes, kind: VolumeKind, address: str, *more: str, tries: int = 200) -> int:
    count = 0
    for _ in range(tries):
        try:
            volumes.reserve(kind, address, *more)
        except TooMuchVolume:
            break
        count += 1
    return count


def away() -> Ephemeral:
    return Ephemeral(f"unix:///nowhere/{uuid4().hex}.sock")


def test_twenty_sign_ins_a_minute_from_one_address(ephemeral: Ephemeral, clock: FixedClock) -> None:
    volumes = Volumes(ephemeral, clock)
    assert let_through(volumes, VolumeKind.SIGN_IN, "192.0.2.1") == 20
    with pytest.raises(TooMuchVolume) as refusal:
        volumes.reserve(VolumeKind.SIGN_IN, "192.0.2.1")
    assert timedelta(0) < refusal.value.retry_after <= timedelta(minutes=1)
    assert let_through(volumes, VolumeKind.SIGN_IN, "192.0.2.2", tries=1) == 1


def test_an_ipv6_house_is_one_address_a_neighbourhood_ten_and_a_mapped_one_is_its_ipv4() -> None:
    assert networks_of("2001:db8:1:2:3:4:5:6") == networks_of("2001:db8:1:2::1") == (("2001:db8:1:2::/64", 1), ("2001:db8:1::/48", 10))
    assert networks_of("2001:db8:1:3::1") == (("2001:db8:1:3::/64", 1), ("2001:db8:1::/48", 10))
    assert networks_of("::ffff:192.0.2.9") == networks_of("192.0.2.9") == (("192.0.2.9", 1),)
    assert networks_of("not an address") == networks_of("") == (("unknown", 1),)


def test_who_has_a_whole_neighbourhood_of_networks_has_ten_times_the_limit(ephemeral: Ephemeral, clock: FixedClock) -> None:
    """65 536 networks of 2^64 addresses each are one line of one customer at some providers."""
    volumes = Volumes(ephemeral, clock)
    through = [let_through(volumes, VolumeKind.SIGN_IN, f"2001:db8:7:{number:x}::1") for number in range(12)]
    assert through == [20] * 10 + [0, 0]
    assert let_through(volumes, VolumeKind.SIGN_IN, "2001:db8:8::1") == 20
    with pytest.raises(TooMuchVolume):
        volumes.reserve(VolumeKind.SIGN_IN, "2001:db8:7:ffff::1")


def test_what_was_given_back_may_be_taken_again_and_no_more(ephemeral: Ephemeral, clock: FixedClock) -> None:
    volumes = Volumes(ephemeral, clock)
    browser = uuid4().hex
    volumes.release(VolumeKind.OPEN, browser)  # of what nobody took, there is nothing to give back
    assert let_through(volumes, VolumeKind.OPEN, browser) == 20
    volumes.release(VolumeKind.OPEN, browser)
    volumes.reserve(VolumeKind.OPEN, browser)
    assert let_through(volumes, VolumeKind.OPEN, browser) == 0


def test_giving_back_needs_no_redis(clock: FixedClock) -> None:
    volumes = Volumes(away(), clock)
    assert let_through(volumes, VolumeKind.OPEN, "browser") == 5
    volumes.release(VolumeKind.OPEN, "browser")
    volumes.reserve(VolumeKind.OPEN, "browser")


def test_demo_and_test_raise_limits_by_address_a_thousandfold(ephemeral: Ephemeral, clock: FixedClock) -> None:
    """Law 11; the constructor is given the factor by whoever knows the mode."""
    volumes = Volumes(ephemeral, clock, factor=1000)
    assert let_through(volumes, VolumeKind.SIGN_IN, "192.0.2.11", tries=150) == 150


def test_without_redis_a_stricter_limit_inside_the_process_holds(clock: FixedClock) -> None:
    """It neither opens the door nor closes it."""
    volumes = Volumes(away(), clock)
    assert let_through(volumes, VolumeKind.SIGN_IN, "192.0.2.21") == 5
    assert let_through(volumes, VolumeKind.SIGN_IN, "192.0.2.22", tries=1) == 1
    clock.advance(timedelta(minutes=1))
    assert let_through(volumes, VolumeKind.SIGN_IN, "192.0.2.21") == 5


def test_without_redis_memory_is_bounded_and_strangers_beyond_it_are_refused(clock: FixedClock) -> None:
    volumes = Volumes(away(), clock)
    for n in range(10_100):
        let_through(volumes, VolumeKind.CODE_REFUSED, "192.0.2.30", str(n), tries=1)
    assert len(volumes._own._counts) == 10_000
    assert let_through(volumes, VolumeKind.CODE_REFUSED, "192.0.2.30", "another", tries=1) == 0


def test_what_was_forgotten_is_told_by_kind(ephemeral: Ephemeral, clock: FixedClock) -> None:
    volumes = Volumes(ephemeral, clock)
    volumes.reset()
    for address in ("192.0.2.61", "192.0.2.62"):
        volumes.reserve(VolumeKind.AUTHORIZE, address)
    volumes.reserve(VolumeKind.ACTIVATION, "192.0.2.61")
    assert volumes.reset() == {VolumeKind.AUTHORIZE: 2, VolumeKind.ACTIVATION: 2}
    assert volumes.reset() == {}


def test_an_operator_can_have_all_addresses_begin_anew(ephemeral: Ephemeral, clock: FixedClock) -> None:
    volumes = Volumes(ephemeral, clock)
    let_through(volumes, VolumeKind.SIGN_IN, "192.0.2.51")
    assert volumes.reset()[VolumeKind.SIGN_IN] >= 1
    assert let_through(volumes, VolumeKind.SIGN_IN, "192.0.2.51") == 20
