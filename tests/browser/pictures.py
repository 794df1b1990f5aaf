"""Takes the pictures of the README from a demo that it starts: `python -m tests.browser.pictures`.

A phone in Vietnamese, each page whole. Nothing in them is anybody's: the people of a demo do not exist.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, sync_playwright

from tests.support.demo import running_demo
from tests.support.visitor import Examined, Visitor, launched, visiting

FOLDER: Final = Path(__file__).parents[2] / "docs" / "pictures"
PHONE: Final = {"width": 390, "height": 720}
SHARPNESS: Final = 1.5
MOST_BYTES: Final = 200_000


def take(page: Page, name: str) -> None:
    """Keep the whole page as a picture."""
    page.evaluate("document.fonts.ready.then(() => document.activeElement.blur())")
    page.evaluate("scrollTo(0, 0)")
    file = FOLDER / f"{name}.png"
    page.screenshot(path=file, full_page=True)
    size = file.stat().st_size
    sys.stdout.write(f"{file.relative_to(FOLDER.parents[1])}: {size // 1000} kB\n")
    if size > MOST_BYTES:
        sys.exit(f"{name} is larger than {MOST_BYTES // 1000} kB")


def tell(citizen: Visitor) -> None:
    """Walk the story of the README and stop for a picture at six places."""
    page, demo, person = citizen.page, citizen.demo, citizen.demo.account("level 1")
    citizen.arrive(demo.national).press("#sign-in").fill(username=person.username)
    take(page, "sign-in")
    citizen.give_password(person)
    take(page, "second-factor")
    citizen.give_code(person)
    take(page, "consent")
    citizen.allow().open(demo.national)
    take(page, "national-portal")
    citizen.open(demo.provincial).press("#sign-in").allow()
    take(page, "provincial-portal")
    citizen.open(demo.national).press("#sign-out").press("#sign-out")
    page.get_by_text("Bạn đã đăng xuất khỏi 2 cổng.").wait_for()
    take(page, "signed-out")


def main() -> None:
    """Take all pictures anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with running_demo() as demo, sync_playwright() as playwright:
        browser = launched(playwright)
        with visiting(browser, demo, Examined()) as visit:
            tell(visit(viewport=PHONE, device_scale_factor=SHARPNESS))
        browser.close()


if __name__ == "__main__":
    main()
