"""The life of keys, as pure rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from idp.kernel.refusals import Refusal
from idp.keys.model import (
    KeyEncryption,
    KeysDoNotOpen,
    SealedColumn,
    SealingKey,
    SigningKey,
    UnsafeKeyEncryption,
    find_active,
    find_signing,
)

NOW = datetime(2026, 6, 1, 2, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST = bytes(range(32))
SECOND = bytes(range(32, 64))


def key(kid: str, begins: int, ends: int | None = None, retires: int | None = None) -> SigningKey:
    return SigningKey(
        kid,
        "ES256",
        {},
        NOW,
        NOW + begins * HOUR,
        None if ends is None else NOW + ends * HOUR,
        None if retires is None else NOW + retires * HOUR,
    )


def test_a_signing_key_is_staged_then_signing_then_verifying_then_retired() -> None:
    one = key("a", 1, 2, 3)
    assert [one.state(NOW + hours * HOUR) for hours in (0, 1, 2, 3)] == ["staged", "signing", "verifying", "retired"]
    assert [one.next_change(NOW + hours * HOUR) for hours in (0, 1, 2, 3)] == [NOW + HOUR, NOW + 2 * HOUR, NOW + 3 * HOUR, None]


def test_a_key_without_an_end_signs_for_ever() -> None:
    assert key("a", 0).state(NOW + 100_000 * HOUR) == "signing"


def test_at_every_instant_exactly_one_key_of_a_chain_signs() -> None:
    chain = [key("a", 0, 2, 5), key("b", 2, 4, 9), key("c", 4)]
    signing = [find_signing(chain, "ES256", NOW + hours * HOUR) for hours in range(6)]
    assert [each.kid for each in signing if each] == ["a", "a", "b", "b", "c", "c"]
    assert find_signing(chain, "RS256", NOW) is None
    assert find_signing([], "ES256", NOW) is None


def test_the_sealing_key_in_force_is_the_one_that_became_active_last() -> None:
    keys = [
        SealingKey(1, "seal", NOW, NOW, None),
        SealingKey(2, "seal", NOW, NOW + HOUR, None),
        SealingKey(3, "index", NOW, NOW, None),
        SealingKey(4, "seal", NOW, NOW + HOUR, NOW),
    ]
    found = [find_active(keys, "seal", NOW + hours * HOUR) for hours in (-1, 0, 1)]
    assert [each and each.id for each in found] == [None, 1, 2]


def test_what_was_wrapped_opens_in_its_place_only() -> None:
    encryption = KeyEncryption({"first": FIRST})
    wrapped = encryption.wrap(b"a key", "signing_key.private_wrapped:a")
    assert encryption.unwrap(wrapped, "first", "signing_key.private_wrapped:a") == b"a key"
    for bad, with_, place in (
        (wrapped, "first", "signing_key.private_wrapped:b"),
        (wrapped, "other", "signing_key.private_wrapped:a"),
        (wrapped[:-1], "first", "signing_key.private_wrapped:a"),
        (b"", "first", "signing_key.private_wrapped:a"),
        (wrapped[:5], "first", "signing_key.private_wrapped:a"),
    ):
        with pytest.raises(KeysDoNotOpen):
            encryption.unwrap(bad, with_, place)


def test_the_first_key_wraps_and_all_unwrap() -> None:
    old = KeyEncryption({"first": FIRST})
    both = KeyEncryption({"second": SECOND, "first": FIRST})
    assert both.wraps_with == "second"
    assert both.unwrap(old.wrap(b"x", "p"), "first", "p") == b"x"
    with pytest.raises(KeysDoNotOpen):
        old.unwrap(both.wrap(b"x", "p"), "second", "p")


def test_the_id_of_the_wrapping_key_cannot_be_exchanged() -> None:
    twice = KeyEncryption({"first": FIRST, "second": FIRST})
    with pytest.raises(KeysDoNotOpen):
        twice.unwrap(twice.wrap(b"x", "p"), "second", "p")


@pytest.mark.parametrize(
    "keys", [{}, {"a": b""}, {"a": bytes(31)}, {"a": bytes(32)}, {"a": b"\x01\x02" * 16}, {"": FIRST}, {"a": FIRST, "b": bytes(33)}]
)
def test_a_key_encryption_key_that_is_not_32_random_bytes_stops_the_start(keys: dict[str, bytes]) -> None:
    """Law 11."""
    with pytest.raises(UnsafeKeyEncryption):
        KeyEncryption(keys)


def test_key_encryption_keys_do_not_show_themselves() -> None:
    encryption = KeyEncryption({"first": b"0123456789abcdef0123456789ABCDEF"})
    assert "0123456789" not in repr(encryption)
    with pytest.raises(Refusal) as refusal:
        encryption.unwrap(bytes(40), "first", "p")
    assert "0123456789" not in str(refusal.value)


def test_the_place_of_a_sealed_value_is_table_column_and_row() -> None:
    assert SealedColumn("person", "phone_sealed", "holder_id").place("018f") == "person.phone_sealed:018f"
