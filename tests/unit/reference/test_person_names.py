"""Names: one field, NFC, an accent-free key for searching, a caseless key for comparing."""

from __future__ import annotations

import unicodedata

import pytest

from idp.reference.model import Verdict
from idp.reference.names import check_name, normalise_name, search_key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Đặng Thị Ánh Tuyết", "DANG THI ANH TUYET"),
        ("đèo văn ín", "DEO VAN IN"),
        ("Nguyễn  Hoà", "NGUYEN HOA"),
        ("Nguyễn Hòa", "NGUYEN HOA"),
        ("H\u2019Liên Êban", "H'LIEN EBAN"),
        ("Łukasz Sørensen", "LUKASZ SORENSEN"),
        ("Straße", "STRASSE"),
        ("José-María O'Neill", "JOSE-MARIA O'NEILL"),
    ],
)
def test_a_search_key_has_no_accents(name: str, key: str) -> None:
    """D with stroke has no decomposition in Unicode and needs a table."""
    assert search_key(name) == key
    assert search_key(unicodedata.normalize("NFD", name)) == key


def test_a_name_is_stored_composed_and_with_single_spaces() -> None:
    """NFC in store; the letters stay as given."""
    assert normalise_name("  Trâ\u0300n\tVăn   An ") == "Trần Văn An"


@pytest.mark.parametrize("name", ["Ngân", "Y Krông Niê", "Nguyễn Lê Hoàng Thị Minh An", "An" * 100])
def test_a_name_of_one_word_or_many_is_good(name: str) -> None:
    """No split, no minimum of words."""
    assert check_name(name) == Verdict.accepted()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        (" \u3000 ", "empty"),
        ("A" * 201, "too_long"),
        ("An\nBinh", "control_character"),
        ("An\x00", "control_character"),
        ("An \u202egnuhT", "control_character"),
        ("An\ud800", "control_character"),
        ("An\u2028Binh", "control_character"),
    ],
)
def test_a_name_that_cannot_be_stored_or_shown_is_refused(name: str, reason: str) -> None:
    """A bidirectional override would show another name than the one stored."""
    assert check_name(name) == Verdict.malformed(reason)


def test_the_limit_counts_the_stored_form() -> None:
    """Marks typed apart do not make a name too long."""
    assert check_name("e\u0302\u0301" * 200) == Verdict.accepted()
