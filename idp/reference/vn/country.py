"""The country as `idp.reference.model.Country` asks for it: its rules and its tables in one value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from idp.reference.vn import tables
from idp.reference.vn.agency_codes import AgencyCode
from idp.reference.vn.numbers import FormerNumber, PersonalNumber, TaxCode
from idp.reference.vn.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from idp.reference.model import Agency, BirthRegistration, Country, Province


class VietNam:
    """Vietnam's number rules and units."""

    code: Final = "VN"
    locale: Final = "vi"
    zone: Final = ZoneInfo("Asia/Ho_Chi_Minh")
    service_names: Final = ("dichvucong", "dich vu cong")
    reasons: Final = REASONS

    def __init__(self) -> None:
        """Bring the rules together; the data files are read when first asked for."""
        self.personal_number = PersonalNumber()
        self.former_number = FormerNumber()
        self.tax_code = TaxCode(self.personal_number)
        self.agency_code = AgencyCode()

    @property
    def common_passwords(self) -> frozenset[str]:
        """What people here choose first, without accents."""
        return tables.common_passwords()

    @property
    def agencies(self) -> Mapping[str, Agency]:
        """The codes of provincial administrations, each with the confidence of its name."""
        return tables.agencies()

    def provinces(self, *, on: date) -> tuple[Province, ...]:
        """Return the units of that day: 63 until 30 June 2025, 34 since."""
        return tuple(each for each in tables.all_provinces() if each.is_valid(on))

    def find_province(self, code: str, *, on: date) -> Province | None:
        """Return the unit that bore the two-digit `code` on that day."""
        return next((each for each in self.provinces(on=on) if each.code == code), None)

    def find_birth_registration(self, code: str) -> BirthRegistration | None:
        """Return what the first three digits of a personal number may stand for."""
        return tables.birth_registrations().get(code)


COUNTRY: Final[Country] = VietNam()
