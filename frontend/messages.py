"""Brings the Vietnamese catalogue up to the sources: new messages come in empty, those that nobody says any more go.

Run as `python frontend/messages.py`; `make messages` only compiles. Never guesses a translation.
The header of the catalogue is kept as it stands.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po, write_po

PACKAGE = Path(__file__).parents[1] / "idp"
TRANSLATIONS = PACKAGE / "web" / "pages" / "translations"
CATALOGUE = TRANSLATIONS / "vi" / "LC_MESSAGES" / "messages.po"
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}


def extract() -> Iterator[tuple[str, str | tuple[str, ...], str | None]]:
    """Yield every message of the sources: its file below `idp/`, its text or texts, its context."""
    with (TRANSLATIONS / "babel.cfg").open(encoding="utf-8") as mapping:
        methods, options = parse_mapping_cfg(mapping)  # type: ignore[no-untyped-call]  # Babel has no complete types
    for file, _, message, _, context in extract_from_dir(PACKAGE, methods, options, keywords=KEYWORDS):
        yield file, message, context


def main() -> int:
    """Merge, say what has to be translated, and return 1 when there is anything."""
    template = Catalog()
    for _, message, context in extract():
        template.add(message, context=context)
    written = CATALOGUE.read_bytes()
    catalogue = read_po(io.BytesIO(written), locale="vi")
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    body = io.BytesIO()
    write_po(body, catalogue, width=118, sort_output=True, omit_header=True)
    header, _, _ = written.partition(b"\n\n")
    CATALOGUE.write_bytes(header + b"\n\n" + body.getvalue())
    empty = [str(message.id) for message in catalogue if message.id and not message.string]
    for text in empty:
        sys.stdout.write(f"to translate: {text}\n")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
