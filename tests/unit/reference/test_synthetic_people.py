"""People for demonstrations and tests: nobody's, always the same, always valid."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import phonenumbers
import pytest

from idp.demo.people import people_available, synthetic_person
from idp.reference.countries import get_country
from idp.reference.model import Sex, Verdict
from idp.reference.names import check_name

VN = get_country("VN")
SOME = [synthetic_person(n) for n in range(2_000)]


def test_the_same_number_gives_the_same_person() -> None:
    """Two machines load the same demonstration."""
    person = synthetic_person(7)

    assert person == synthetic_person(7)
    assert person.full_name == "Lý Phương Huyền"
    assert person.personal_number == "006160999982"
    assert person.birth_date == date(1960, 8, 21)


def test_more_than_a_hundred_thousand_people_have_different_numbers() -> None:
    """Load tests need many; a blind index allows no two alike."""
    many = [synthetic_person(n).personal_number for n in range(0, people_available(), 8)]

    assert people_available() >= 100_000
    assert len(many) > 100_000
    assert len(set(many)) == len(many)


def test_each_person_is_valid_by_the_rules_of_the_country() -> None:
    """Number, sex and birth date agree; the name may be stored; the phone can exist."""
    for person in SOME:
        verdict = VN.personal_number.check(
            person.personal_number, on=date(2026, 1, 1), sex=person.sex, birth_date=person.birth_date
        )
        assert verdict == Verdict.accepted()
        assert check_name(person.full_name) == Verdict.accepted()
        assert phonenumbers.is_valid_number(phonenumbers.parse(person.phone))


def test_each_person_is_plainly_synthetic() -> None:
    """Serials 9999.., phones +84 999, mail in a reserved domain (RFC 2606)."""
    assert {person.personal_number[6:10] for person in SOME} == {"9999"}
    assert {person.phone[:6] for person in SOME} == {"+84999"}
    assert {person.email.rpartition("@")[2] for person in SOME} == {"thu.example"}
    assert all(person.email.isascii() for person in SOME)


def test_neighbours_differ_in_sex_age_and_province() -> None:
    """A page of ten people looks like ten people."""
    assert {person.sex for person in SOME[:4]} == {Sex.MALE, Sex.FEMALE}
    assert len({person.personal_number[:3] for person in SOME}) == 63
    assert len({person.birth_date.year for person in SOME}) == 70
    assert all(one.birth_date.year != other.birth_date.year for one, other in pairwise(SOME[:50]))


def test_everybody_is_of_age() -> None:
    """Whoever signs in alone is 14 or older; these are 18."""
    assert max(person.birth_date for person in SOME) < date(2008, 1, 1)


def test_phones_and_addresses_of_mail_are_nobody_elses() -> None:
    """A channel of one is not the channel of another."""
    assert len({person.phone for person in SOME}) == len(SOME)
    assert len({person.email for person in SOME}) == len(SOME)


def test_a_person_beyond_the_last_is_not_made() -> None:
    """Wrapping around would give a number twice."""
    with pytest.raises(ValueError, match="is not in 0 to"):
        synthetic_person(people_available())
    with pytest.raises(ValueError, match="is not in 0 to"):
        synthetic_person(-1)
