"""The three sample services of a portal, and the parameters with which other portals link to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

DEEP_LINK = ("MaTTHC", "MaTTHCDP", "MaCoQuanThucHien", "MaDVC", "vnconnect", "vneid")
"""What the national portal sends to a case system; everything else in an address is dropped."""
SILENT = ("vnconnect", "vneid")
"""With one of these set to 1 the sign-in starts at once, without a page in between."""
LONGEST_VALUE = 100


@dataclass(frozen=True)
class Service:
    """One administrative procedure, with the class of sign-in it demands."""

    code: str
    name: str
    name_in_english: str
    wanted_acr: str | None
    """None: whatever the portal demands anyway."""


SERVICES = (
    Service("9.000001", "Tra cứu tình trạng hồ sơ", "Look up a dossier", None),
    Service(
        "9.000002",
        "Cấp bản sao trích lục hộ tịch",
        "Copy of a civil-status extract",
        "urn:motcua:acr:ial1.aal2",
    ),
    Service(
        "9.000003",
        "Đăng ký hộ kinh doanh",
        "Register a household business",
        "urn:motcua:acr:ial2.aal2",
    ),
)


def find_service(code: str | None) -> Service | None:
    """Return the service with this procedure code (`MaTTHC`)."""
    return next((service for service in SERVICES if service.code == code), None)


def deep_link(query: Mapping[str, str]) -> dict[str, str]:
    """Return the known deep-link parameters of a query, short ones only."""
    return {name: query[name] for name in DEEP_LINK if query.get(name) and len(query[name]) <= LONGEST_VALUE}


def address_of(parameters: Mapping[str, str]) -> str:
    """Return the local address of a service page; made here, never taken from a request."""
    return f"/apply?{urlencode(parameters)}" if parameters else "/"
