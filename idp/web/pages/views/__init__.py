"""The views, one file a journey. Each does one act through one service and returns to the flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idp.web.pages.views import activation, home, sharing, sign_in, sign_out, standing_pages

if TYPE_CHECKING:
    from idp.web.pages.application import PageApplication
    from idp.web.pages.desk import Desk


def register(pages: PageApplication, desk: Desk) -> None:
    """Give every page its address."""
    for journey in (sign_in, sharing, activation, sign_out, home, standing_pages):
        journey.register(pages, desk)
