"""Units and codes as they were on a day (Decision 19/2025/QD-TTg from 1 July 2025)."""

from __future__ import annotations

from datetime import date

import pytest

from idp.reference.countries import get_country
from idp.reference.model import BirthRegistration, UnknownCountry

LAST_DAY_OF_63 = date(2025, 6, 30)
FIRST_DAY_OF_34 = date(2025, 7, 1)
VN = get_country("vn")


def test_there_are_63_provinces_before_july_2025_and_34_units_since() -> None:
    """The merger took one night."""
    assert len(VN.provinces(on=LAST_DAY_OF_63)) == 63
    assert len(VN.provinces(on=FIRST_DAY_OF_34)) == 34


@pytest.mark.parametrize(
    ("code", "before", "since"),
    [
        ("15", "Yên Bái", "Lào Cai"),
        ("24", "Bắc Giang", "Bắc Ninh"),
        ("44", "Quảng Bình", "Quảng Trị"),
        ("52", "Bình Định", "Gia Lai"),
        ("80", "Long An", "Tây Ninh"),
        ("82", "Tiền Giang", "Đồng Tháp"),
        ("91", "Kiên Giang", "An Giang"),
    ],
)
def test_a_reused_code_names_another_unit_since_july_2025(code: str, before: str, since: str) -> None:
    """Seven codes moved; a code without a day is no address."""
    found = [VN.find_province(code, on=day) for day in (LAST_DAY_OF_63, FIRST_DAY_OF_34)]
    assert [each.name for each in found if each] == [before, since]


def test_exactly_seven_birth_registration_codes_are_ambiguous() -> None:
    """046 was renamed and is the same place; 008 grew and kept its name: neither is ambiguous."""
    codes = [f"{number:03}" for number in range(1000)]
    found = [VN.find_birth_registration(code) for code in codes]

    assert [each.code for each in found if each and each.is_ambiguous] == [
        "015",
        "024",
        "044",
        "052",
        "080",
        "082",
        "091",
    ]


def test_63_provinces_and_195_countries_register_births() -> None:
    """Circular 07/2016/TT-BCA, annexes 1 and 2."""
    found = [VN.find_birth_registration(f"{number:03}") for number in range(1000)]

    assert sum(1 for each in found if each and each.kind == "province") == 63
    assert [each.code for each in found if each and each.kind == "country"] == [str(n) for n in range(101, 296)]


def test_a_birth_registration_code_lists_every_unit_that_bore_it() -> None:
    """A page that shows a birthplace needs more than the number."""
    assert VN.find_birth_registration("024") == BirthRegistration("024", "province", ("Bắc Giang", "Bắc Ninh"), is_ambiguous=True)
    assert VN.find_birth_registration("046") == BirthRegistration(
        "046", "province", ("Thừa Thiên Huế", "Huế"), is_ambiguous=False
    )
    assert VN.find_birth_registration("003") is None


def test_every_former_province_went_into_a_unit_of_today() -> None:
    """The successor of a row is one of the 34."""
    today = {each.code for each in VN.provinces(on=FIRST_DAY_OF_34)}

    assert {each.successor_code for each in VN.provinces(on=LAST_DAY_OF_63)} == today


def test_a_former_code_is_unknown_after_the_merger() -> None:
    """02 was Hà Giang, which went into 08."""
    before = VN.find_province("02", on=LAST_DAY_OF_63)
    assert before is not None
    assert (before.name, before.successor_code) == ("Hà Giang", "08")
    assert VN.find_province("02", on=FIRST_DAY_OF_34) is None


def test_each_agency_code_says_how_sure_its_name_is() -> None:
    """Six are proved strongly; no rule reads the names."""
    sure = sorted(code for code, agency in VN.agencies.items() if agency.confidence == "strong")

    assert len(VN.agencies) == 63
    assert sure == ["H29", "H30", "H38", "H41", "H55", "H56"]


@pytest.mark.parametrize("code", ["XX", "", "vnm", "..", "v1", "ví"])
def test_a_country_that_is_not_shipped_is_refused(code: str) -> None:
    """Settings name the country; a wrong one stops with a refusal, not an import error."""
    with pytest.raises(UnknownCountry):
        get_country(code)
