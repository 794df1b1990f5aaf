"""Names of people and organizations: stored as given, searched by a key.

Owns normalisation and the key. Knows no country's naming law: one field, no split into first and last
name (there is no reliable one), any number of words.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from idp.reference.model import Verdict

MAX_NAME_LENGTH: Final = 200
"""Code points after normalisation."""

_WITHOUT_DECOMPOSITION: Final = str.maketrans(
    {
        "\N{LATIN CAPITAL LETTER D WITH STROKE}": "D",
        "\N{LATIN CAPITAL LETTER ETH}": "D",
        "\N{LATIN CAPITAL LETTER AFRICAN D}": "D",
        "\N{LATIN CAPITAL LETTER L WITH STROKE}": "L",
        "\N{LATIN CAPITAL LETTER O WITH STROKE}": "O",
        "\N{LATIN CAPITAL LETTER H WITH STROKE}": "H",
        "\N{LATIN CAPITAL LETTER T WITH STROKE}": "T",
        "\N{LATIN CAPITAL LETTER AE}": "AE",
        "\N{LATIN CAPITAL LIGATURE OE}": "OE",
        "\N{LATIN CAPITAL LETTER THORN}": "TH",
        "\N{LATIN CAPITAL LETTER SHARP S}": "SS",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{MODIFIER LETTER APOSTROPHE}": "'",
    }
)
"""Letters that Unicode does not take apart (the stroke of a D is no accent to it), and apostrophes."""

_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (a bidirectional override makes a page show another name), surrogates, line ends."""


def normalise_name(name: str) -> str:
    """Return `name` as it is stored: NFC, outer spaces off, inner runs of white space one space."""
    return unicodedata.normalize("NFC", " ".join(unicodedata.normalize("NFC", name).split()))


def check_name(name: str) -> Verdict:
    """Return the verdict on `name` as typed: `ok`, `empty`, `control_character` or `too_long`.

    The limit counts code points of the normalised form, so that two ways of typing one name get one answer.
    """
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        return Verdict.malformed("control_character")
    normalised = normalise_name(name)
    if not normalised:
        return Verdict.malformed("empty")
    if len(normalised) > MAX_NAME_LENGTH:
        return Verdict.malformed("too_long")
    return Verdict.accepted()


def search_key(name: str) -> str:
    """Return `name` as one types it who cannot type accents: upper case, no marks, single spaces."""
    bare = _without_marks(_without_marks(name).upper()).translate(_WITHOUT_DECOMPOSITION)
    return " ".join(bare.split())


def _without_marks(text: str) -> str:
    """Take letters apart (NFKD) and leave the combining marks behind."""
    return "".join(each for each in unicodedata.normalize("NFKD", text) if unicodedata.category(each) != "Mn")
