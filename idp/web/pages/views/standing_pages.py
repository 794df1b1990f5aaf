"""Pages that stand by themselves: help, privacy, what this is; and the files that pages load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.web.door import Answer, PageAnswer
from idp.web.pages.application import read

if TYPE_CHECKING:
    from idp.web.pages.application import PageApplication
    from idp.web.pages.assets import Assets
    from idp.web.pages.desk import Desk

FOR_EVER: Final = ("Cache-Control", "public, max-age=31536000, immutable")


def help_page() -> PageAnswer:
    """What to do when something does not work."""
    return PageAnswer("help.html")


def privacy_page() -> PageAnswer:
    """What is known of a person, and who is told."""
    return PageAnswer("privacy.html")


def about_page() -> PageAnswer:
    """What this is."""
    return PageAnswer("about.html")


def static_file(assets: Assets, file: str) -> Answer | PageAnswer:
    """A file that pages load: named by its content, so kept for ever."""
    request = read()
    asset = assets.find(file)
    if asset is None:
        return Answer(404, (("Content-Type", "text/plain"),), b"There is no such file.")
    headers = (("Content-Type", asset.content_type), FOR_EVER, ("ETag", asset.etag), ("Vary", "Accept-Encoding"))
    if request.headers.get("if-none-match") == asset.etag:
        return Answer(304, headers)
    if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Answer(200, (*headers, ("Content-Encoding", "gzip")), asset.gzipped)
    return Answer(200, headers, asset.body)


def register(pages: PageApplication, desk: Desk) -> None:
    """Give the pages their addresses."""
    pages.page("/help", "help", help_page, methods=["GET"])
    pages.page("/privacy", "privacy", privacy_page, methods=["GET"])
    pages.page("/about", "about", about_page, methods=["GET"])
    pages.page("/static/<file>", "static", lambda file: static_file(desk.assets, file), methods=["GET"])
