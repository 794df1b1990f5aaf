"""Keys of names are stable: made twice, or from another encoding of the same name, they are the same."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from idp.reference.names import MAX_NAME_LENGTH, check_name, normalise_name, search_key

NAMES = st.text(alphabet=st.characters(exclude_categories=()), max_size=60)


@given(name=NAMES)
def test_normalising_twice_changes_nothing(name: str) -> None:
    """What is stored is read back as it is."""
    assert normalise_name(normalise_name(name)) == normalise_name(name)


@given(name=NAMES)
def test_keys_of_a_key_are_the_key(name: str) -> None:
    """A key may be made from a key without harm."""
    assert search_key(search_key(name)) == search_key(name)


@given(name=NAMES)
def test_the_encoding_of_a_name_does_not_matter(name: str) -> None:
    """NFC and NFD of one name are one name."""
    taken_apart = unicodedata.normalize("NFD", name)

    assert search_key(name) == search_key(taken_apart)
    assert normalise_name(name) == normalise_name(taken_apart)


@given(name=st.text(alphabet="aăâbcdđeêghiklmnoôơpqrstuưvxyàáảãạ ĐĂÂÊÔƠƯ", max_size=40))
def test_a_search_key_of_a_vietnamese_name_is_plain_ascii(name: str) -> None:
    """Any keyboard types it."""
    key = search_key(name)

    assert key.isascii()
    assert key == key.upper()


@given(name=NAMES)
def test_any_name_gets_a_verdict_and_a_good_one_may_be_stored(name: str) -> None:
    """A good name is UTF-8, within the limit, and not blank."""
    if check_name(name).format_valid:
        assert 0 < len(normalise_name(name)) <= MAX_NAME_LENGTH
        assert normalise_name(name).encode()
