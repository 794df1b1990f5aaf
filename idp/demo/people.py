"""Synthetic people: the same person for the same number, everywhere and always, and nobody who lives.

Owns the lists that names are combined from. What makes them plainly synthetic: the serial of the personal
number begins with 9999, phones are +84 999, addresses of mail are in `.example` (RFC 2606), streets do not
exist. Knows nothing of accounts: whoever loads people decides what they may do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from hashlib import blake2b
from math import gcd
from typing import TYPE_CHECKING, Final, TypeVar

from idp.reference.countries import get_country
from idp.reference.model import Sex
from idp.reference.names import search_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from idp.reference.model import Country

T = TypeVar("T")

COUNTRY_CODE: Final = "VN"
MEASURED_ON: Final = date(2026, 1, 1)
"""Everybody is of age on this day; addresses use the names of units of this day."""

_FIRST_BIRTH_YEAR: Final = 1938
_LAST_BIRTH_YEAR: Final = 2007
_ORDINALS: Final = 100
_BIRTH_YEARS: Final = _LAST_BIRTH_YEAR - _FIRST_BIRTH_YEAR + 1


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FAMILY_NAMES: Final = _words(
    "Nguyễn Trần Lê Phạm Hoàng Huỳnh Phan Vũ Võ Đặng Bùi Đỗ Hồ Ngô Dương Lý Đinh Tạ Lương Quách Giàng Lò Tôn"
)
MIDDLE_NAMES: Final = {
    Sex.MALE: _words("Văn Đức Hữu Minh Quang Công Xuân Đình Thanh Gia Ngọc Bá Trọng Quốc Nhật Duy"),
    Sex.FEMALE: _words("Thị Ngọc Thu Minh Thanh Kim Bích Phương Quỳnh Mai Hồng Diệu Hoài Khánh Lan Tuyết"),
}
GIVEN_NAMES: Final = {
    Sex.MALE: _words(
        """
        An Bảo Bình Cường Dũng Đạt Đông Giang Hải Hiếu Hòa Hùng Huy Khang Khoa Kiên Lâm Long Lộc Mạnh Nam
        Nghĩa Phong Phúc Quân Sơn Tài Thành Thắng Thịnh Tiến Toàn Trung Tuấn Tùng Việt Vinh
        """
    ),
    Sex.FEMALE: _words(
        """
        Anh Ánh Chi Dung Duyên Điệp Giang Hà Hạnh Hằng Hiền Hoa Huệ Hương Huyền Lan Liên Linh Loan Ly Mai My
        Nga Ngân Nguyệt Nhung Oanh Quyên Tâm Thảo Thủy Trang Trâm Uyên Vân Xuân Yến
        """
    ),
}
WHOLE_NAMES: Final = {
    Sex.MALE: ("Y Krông Niê", "K'Brêu", "A Sùng", "Điểu Thơ", "Đèo Văn Ín Mường Păn"),
    Sex.FEMALE: ("H'Liên Êban", "Ka Brêu", "Mùa Thị Páo Dợ", "Thạch Sô Phia", "Ngân"),
}
"""Names that are not family, middle, given: one word, an apostrophe, five words. One in twenty has one."""

STREETS: Final = ("Hoa Ban Mẫu", "Cầu Vồng Mẫu", "Lúa Vàng Mẫu", "Sao Mai Mẫu", "Bến Mơ Mẫu", "Đồi Gió Mẫu")
LOCALITIES: Final = ("phường Thử Một", "phường Thử Hai", "xã Thử Ba", "xã Thử Bốn", "đặc khu Thử Năm")


@dataclass(frozen=True, slots=True)
class SyntheticPerson:
    """A citizen who does not exist. `phone` is E.164; `birth_date` agrees with `personal_number`."""

    full_name: str
    sex: Sex
    birth_date: date
    personal_number: str
    phone: str
    email: str
    address: str


def people_available() -> int:
    """Return how many different citizens there are: `synthetic_person` takes 0 to one less."""
    return len(_birth_registration_codes()) * 2 * _BIRTH_YEARS * _ORDINALS


def synthetic_person(n: int) -> SyntheticPerson:
    """Return citizen `n`, whose personal number, phone and mail address are nobody else's.

    Raises:
        ValueError: `n` is not in 0 to `people_available()` - 1.
    """
    if not 0 <= n < people_available():
        raise ValueError(f"person {n} is not in 0 to {people_available() - 1}")
    # A step without a factor in common with the number of places visits each place once, far from the last.
    rest, sex_at = divmod(n * _step() % people_available(), 2)
    rest, code_at = divmod(rest, len(_birth_registration_codes()))
    year_at, ordinal = divmod(rest, _ORDINALS)
    sex = (Sex.MALE, Sex.FEMALE)[sex_at]
    birth_year = _FIRST_BIRTH_YEAR + year_at
    full_name = _name(n, sex)
    return SyntheticPerson(
        full_name=full_name,
        sex=sex,
        birth_date=_day_of(birth_year, n),
        personal_number=_country().personal_number.synthetic(
            birth_registration_code=_birth_registration_codes()[code_at],
            sex=sex,
            birth_year=birth_year,
            ordinal=ordinal,
        ),
        phone=f"+84999{n:06}",
        email=f"{_mailbox(full_name)}.{n}@thu.example",
        address=_address(n),
    )


@cache
def _country() -> Country:
    return get_country(COUNTRY_CODE)


@cache
def _birth_registration_codes() -> tuple[str, ...]:
    """Return the codes of provinces; births registered abroad are rare enough to be left to tests."""
    codes = sorted({province.code for province in _country().provinces(on=date(2025, 6, 30))})
    return tuple(f"0{code}" for code in codes)


@cache
def _step() -> int:
    """Return a step that shares no factor with the number of people, near the golden part of it.

    Multiples of the golden part spread evenly, so that any few hundred neighbours have all ages.
    """
    count = people_available()
    step = int(count * 0.618)
    while gcd(step, count) != 1:
        step += 1
    return step


def _name(n: int, sex: Sex) -> str:
    if _pick(n, "whole", range(20)) == 0:
        return _pick(n, "whole name", WHOLE_NAMES[sex])
    middle = _pick(n, "middle", MIDDLE_NAMES[sex])
    given = _pick(n, "given", GIVEN_NAMES[sex])
    return f"{_pick(n, 'family', FAMILY_NAMES)} {middle} {given}"


def _day_of(year: int, n: int) -> date:
    return date(year, 1, 1) + timedelta(days=_pick(n, "day", range(365)))


def _address(n: int) -> str:
    province = _pick(n, "province", _country().provinces(on=MEASURED_ON))
    house = _pick(n, "house", range(1, 300))
    return f"{house} {_pick(n, 'street', STREETS)}, {_pick(n, 'locality', LOCALITIES)}, {province.name}"


def _mailbox(full_name: str) -> str:
    dotted = search_key(full_name).lower().replace(" ", ".")
    return "".join(each for each in dotted if each.isalnum() or each == ".")


def _pick(n: int, what: str, among: Sequence[T]) -> T:
    """Choose by a digest: no state, no seed, the same on every machine and in every version of Python."""
    number = int.from_bytes(blake2b(f"{what}:{n}".encode(), digest_size=8).digest())
    return among[number % len(among)]
