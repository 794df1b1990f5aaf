"""Every row of the collected vectors, and the edges between them (docs: `idp/reference/vn/numbers.py`)."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from idp.reference.countries import get_country
from idp.reference.model import Country, Sex, Verdict

IN_2026 = date(2026, 6, 30)
VN = get_country("VN")
SEXES = {"M": Sex.MALE, "F": Sex.FEMALE}
VECTORS = list(csv.DictReader((Path(__file__).parent / "id_vectors.csv").read_text(encoding="utf-8").splitlines()))


def verdict_on(country: Country, kind: str, value: str) -> Verdict:
    match kind:
        case "personal_id_12":
            return country.personal_number.check(value, on=IN_2026)
        case "personal_id_12|sex|dob":
            number, sex, birth_date = value.split("|")
            return country.personal_number.check(number, on=IN_2026, sex=SEXES[sex], birth_date=birth_date)
        case "cmnd_9":
            return country.former_number.check(value, on=IN_2026)
        case "tax_code":
            return country.tax_code.check(value, on=IN_2026)
        case "agency_code":
            return country.agency_code.check(value, on=IN_2026)
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize("row", VECTORS, ids=[f"{row['kind']}-{row['value']}" for row in VECTORS])
def test_the_vector_gets_its_verdict(row: dict[str, str]) -> None:
    """Circular 07/2016/TT-BCA Art. 7, Circular 105/2020/TT-BTC Art. 5, Decision 20/2020/QD-TTg."""
    expected = Verdict(
        format_valid=row["format_valid"] == "1",
        policy_valid=row["policy_valid_2026"] == "1",
        reason_code=row["reason_code"],
    )

    assert verdict_on(VN, row["kind"], row["value"]) == expected


def test_all_vectors_are_there() -> None:
    """A file cut short would otherwise pass."""
    assert len(VECTORS) == 83


def test_a_number_says_sex_century_and_year() -> None:
    """Circular 07/2016/TT-BCA Art. 7: the fourth digit carries sex and century, the next two the year."""
    reasons = {
        (sex, year): VN.personal_number.check("295301999991", on=IN_2026, sex=sex, birth_date=date(year, 5, 17)).reason_code
        for sex in Sex
        for year in (1901, 2001, 2002)
    }
    assert reasons == {
        (Sex.FEMALE, 2001): "ok",
        (Sex.FEMALE, 1901): "century_mismatch",
        (Sex.FEMALE, 2002): "year_mismatch",
        **{(Sex.MALE, year): "sex_mismatch" for year in (1901, 2001, 2002)},
    }
    last = VN.personal_number.check("001999999990", on=date(2399, 12, 31), sex=Sex.FEMALE, birth_date=date(2399, 1, 1))
    assert last == Verdict.accepted()


def test_belief_in_a_birth_year_moves_with_the_day() -> None:
    """A year in the future today is believed later; an old one stops being believed."""
    assert VN.personal_number.check("001227999990", on=date(2026, 12, 31)).reason_code == "birth_year_in_future"
    assert VN.personal_number.check("001227999990", on=date(2027, 1, 1)).reason_code == "ok"
    assert VN.personal_number.check("001001999993", on=date(2027, 1, 1)).reason_code == "birth_year_too_old"


def test_a_birth_date_later_this_year_is_doubted() -> None:
    """The year alone would pass: the child is to be born in December."""
    verdict = VN.personal_number.check("001226999990", on=IN_2026, birth_date=date(2026, 12, 1))

    assert verdict == Verdict.doubtful("birth_date_in_future")


@pytest.mark.parametrize("birth_date", ["19990517", "1999-W20-1", "1999-5-17", "17/05/1999", "", "１９９９-05-17"])
def test_a_birth_date_in_another_form_is_no_date(birth_date: str) -> None:
    """Only yyyy-mm-dd, whatever else the standard library reads."""
    verdict = VN.personal_number.check("001099999991", on=IN_2026, birth_date=birth_date)

    assert verdict == Verdict.malformed("bad_date")


def test_a_personal_number_is_a_tax_code_since_july_2025() -> None:
    """Circular 86/2024/TT-BTC: from 1 July 2025."""
    assert VN.tax_code.check("001099999991", on=date(2025, 7, 1)) == Verdict.accepted("ok_personal_id_as_tax_code")
    assert VN.tax_code.check("001099999991", on=date(2025, 6, 30)) == Verdict.doubtful("personal_id_not_yet_tax_code")


def test_a_personal_number_of_the_future_is_a_doubtful_tax_code() -> None:
    """The tax code inherits the doubt of the number that it is."""
    assert VN.tax_code.check("001227999990", on=IN_2026) == Verdict.doubtful("birth_year_in_future")


def test_normalising_makes_what_people_write_ready_for_the_check() -> None:
    """Checks take a text as it is; forms normalise first."""
    assert VN.personal_number.normalise(" 001 099-999.991\u00a0") == "001099999991"
    assert VN.former_number.normalise("990 000 001") == "990000001"
    assert VN.tax_code.normalise("99 0000 0055 – 001") == "9900000055-001"
    assert VN.agency_code.normalise(" h55.242 ") == "H55.242"


def test_normalising_does_not_turn_other_digits_into_ours() -> None:
    """Digits of another script stay what they are and are refused."""
    assert VN.personal_number.normalise("٠٠١٠٩٩٩٩٩٩٩١") == "٠٠١٠٩٩٩٩٩٩٩١"


@pytest.mark.parametrize("code", ["ı29", "H29\n", "H29.", "H" * 40, "H29." + "1." * 20, "000.00.00.h64.1", "Ｈ29"])
def test_an_agency_code_in_no_spelling_is_a_pattern_fault(code: str) -> None:
    """Neither Decision 20/2020/QD-TTg nor QCVN 102:2016; a dotless i is no lower-case I."""
    assert VN.agency_code.check(code, on=IN_2026) == Verdict.malformed("pattern")


def test_a_synthetic_number_is_well_formed_and_says_what_it_was_made_of() -> None:
    """Serials that begin with 9999 are nobody's."""
    number = VN.personal_number.synthetic(birth_registration_code="079", sex=Sex.FEMALE, birth_year=2000, ordinal=94)

    assert number == "079300999994"
    assert VN.personal_number.check(number, on=IN_2026) == Verdict.accepted()


@pytest.mark.parametrize(("code", "year", "ordinal"), [("003", 2000, 0), ("079", 1899, 0), ("079", 2400, 0), ("079", 2000, 100)])
def test_a_synthetic_number_outside_the_rule_is_not_made(code: str, year: int, ordinal: int) -> None:
    """What the format cannot write is an error of the caller."""
    with pytest.raises(ValueError, match=r"outside|not assigned"):
        VN.personal_number.synthetic(birth_registration_code=code, sex=Sex.MALE, birth_year=year, ordinal=ordinal)
