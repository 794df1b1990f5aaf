"""Signing and sealing keys: how they are made, published, rotated and kept.

Owns the tables `signing_key`, `sealing_key` and `configuration_stamp`. Private keys and sealing keys are stored wrapped under a
key-encryption key from the settings. Knows nothing of what is signed or sealed with them: which columns of the house are sealed
stands in `sealed.py` as plain text, and is checked against the catalogue of the database before anything is touched.
"""

from __future__ import annotations

from idp.keys.model import KeyEncryption, Published
from idp.keys.ring import KeyRing
from idp.keys.service import KeyKeeper

__all__ = ["KeyEncryption", "KeyKeeper", "KeyRing", "Published"]
