"""The way from a country's code in the settings to its rules: one package per country, found by its code."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from idp.reference.model import UnknownCountry

if TYPE_CHECKING:
    from idp.reference.model import Country

_ALPHA_2 = 2


def get_country(code: str) -> Country:
    """Return the reference data and rules of the country with ISO 3166-1 alpha-2 `code`, in either case.

    Raises:
        UnknownCountry: nothing is shipped for it.
    """
    name = code.lower()
    if not (len(name) == _ALPHA_2 and name.isascii() and name.isalpha()):
        raise UnknownCountry(f"{code!r} is not two letters")
    if find_spec(f"{__package__}.{name}") is None:
        raise UnknownCountry(f"no reference data is shipped for {code!r}")
    country: Country = import_module(f"{__package__}.{name}").COUNTRY
    return country
