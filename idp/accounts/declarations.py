"""What a declaration becomes before it is stored: checked by the country's rules, in one canonical form.

Owns the forms of names, phones, mail addresses and numbers. Pure; must not know where they are stored or sealed.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import phonenumbers

from idp.accounts.model import MAX_IDENTIFIER, DeclarationRefused, NumberRefused, PersonDeclaration
from idp.reference.names import check_name, normalise_name, search_key

if TYPE_CHECKING:
    from datetime import date

    from idp.reference.model import Country

_EMAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_NATIONALITY: Final = re.compile(r"[A-Z]{2}")
_LOCALE: Final = re.compile(r"[a-z]{2}")
_MAX_ADDRESS: Final = 500


@dataclass(frozen=True, slots=True)
class Declared:
    """A declaration in canonical form, with the key its name is searched by."""

    declaration: PersonDeclaration
    search_key: str


def canonical_number(text: str, country: Country) -> str:
    """Return what was typed as an identifier in the one form that is indexed and counted; any text has one."""
    return country.personal_number.normalise(text[:MAX_IDENTIFIER])


def check_declaration(declared: PersonDeclaration, country: Country, *, today: date) -> Declared:
    """Return `declared` in canonical form.

    Raises:
        NumberRefused: the personal number is malformed, or contradicts birth date, sex or the day.
        DeclarationRefused: another field has no acceptable form.
    """
    number = canonical_number(declared.personal_number, country)
    verdict = country.personal_number.check(number, on=today, sex=declared.sex, birth_date=declared.birth_date)
    if not verdict.policy_valid:
        raise NumberRefused(verdict.reason_code, country.reasons.get(verdict.reason_code, ""))
    name = check_name(declared.full_name)
    if not name.policy_valid:
        raise DeclarationRefused("full_name", name.reason_code)
    if declared.birth_date > today:
        raise DeclarationRefused("birth_date", "in_future")
    nationality = declared.nationality or country.code
    if not _NATIONALITY.fullmatch(nationality):
        raise DeclarationRefused("nationality", "not_alpha_2")
    locale = declared.locale or country.locale
    if not _LOCALE.fullmatch(locale):
        raise DeclarationRefused("locale", "not_two_letters")
    full_name = normalise_name(declared.full_name)
    canonical = replace(
        declared,
        personal_number=number,
        full_name=full_name,
        nationality=nationality,
        phone=canonical_phone(declared.phone, country) if declared.phone else None,
        email=canonical_email(declared.email) if declared.email else None,
        address=_canonical_address(declared.address) if declared.address else None,
        locale=locale,
    )
    return Declared(canonical, search_key(full_name))


def canonical_phone(text: str, country: Country) -> str:
    """Return a phone number as E.164; one without a country code is the country's.

    Raises:
        DeclarationRefused: it is no number that can exist. (Possible, not assigned: plans change weekly.)
    """
    try:
        parsed = phonenumbers.parse(text, country.code)
    except phonenumbers.NumberParseException:
        raise DeclarationRefused("phone", "malformed") from None
    if not phonenumbers.is_possible_number(parsed):
        raise DeclarationRefused("phone", "impossible")
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def national_part(phone: str) -> str:
    """Return what of an E.164 number is the same however people write it: with a country code or with a zero before it."""
    return str(phonenumbers.national_significant_number(phonenumbers.parse(phone)))


def canonical_email(text: str) -> str:
    """Return an address of mail with its domain in lower case; the local part is as its owner writes it (RFC 5321 §2.4).

    Raises:
        DeclarationRefused: it is not a plain ASCII address: quoted local parts and look-alike letters are refused.
    """
    if not _EMAIL.fullmatch(text) or ".." in text:
        raise DeclarationRefused("email", "malformed")
    local, _, domain = text.rpartition("@")
    return f"{local}@{domain.lower()}"


def _canonical_address(text: str) -> str:
    address = unicodedata.normalize("NFC", "\n".join(" ".join(line.split()) for line in text.splitlines())).strip()
    if len(address) > _MAX_ADDRESS:
        raise DeclarationRefused("address", "too_long")
    if any(unicodedata.category(each) in {"Cc", "Cf", "Cs", "Co", "Cn"} and each != "\n" for each in address):
        raise DeclarationRefused("address", "control_character")
    return address
