"""The sealed columns and blind indexes of the house, as data, so that their keys can be rotated (law 9).

The tables belong to the rooms above, which seal for the places named here. What stands here is compared with the catalogue of the
database before anything is resealed or a key is destroyed: a column that is missing here stops the rotation, so nothing can be
forgotten.
"""

from __future__ import annotations

from typing import Final

from idp.keys.model import IndexColumn, SealedColumn

PERSON_PHONE: Final = SealedColumn("person", "phone_sealed", "holder_id")
PERSON_EMAIL: Final = SealedColumn("person", "email_sealed", "holder_id")
PERSON_ADDRESS: Final = SealedColumn("person", "address_sealed", "holder_id")
PERSON_NUMBER: Final = SealedColumn("person_number", "number_sealed")
PASSWORD_HASH: Final = SealedColumn("password", "hash_sealed", "account_id")
TOTP_SECRET: Final = SealedColumn("totp", "secret_sealed")

SEALED: Final = (
    PERSON_PHONE,
    PERSON_EMAIL,
    PERSON_ADDRESS,
    PERSON_NUMBER,
    PASSWORD_HASH,
    TOTP_SECRET,
)

INDEXES: Final = (
    IndexColumn("person", "phone_index", "person.phone", PERSON_PHONE),
    IndexColumn("person", "email_index", "person.email", PERSON_EMAIL, str.casefold),
    IndexColumn("person_number", "number_index", "person.number", PERSON_NUMBER),
    IndexColumn("recovery_code", "code_index", "recovery_code", None, while_="used_at IS NULL AND replaced_at IS NULL"),
)
