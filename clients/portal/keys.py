"""The portal's own signing key: made once, kept private, its public half exported for registration."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from joserfc.jwk import ECKey

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_FILE = "client-key.json"
PUBLIC_FILE = "jwks.json"


def load_or_make_key(var: Path) -> ECKey:
    """Return the ES256 key with which this portal authenticates itself (RFC 7523).

    The first call makes it in `var` (directory 0700, file 0600) and writes its public JWK set beside it,
    which `idp clients import --jwks FILE` reads. Two processes that start at once agree on one key.
    """
    var.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = var / PRIVATE_FILE
    if not private.exists():
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True)
        key.ensure_kid()
        _write_once(private, json.dumps(key.as_dict(private=True)))
    key = ECKey.import_key(json.loads(private.read_text(encoding="utf-8")))
    public = var / PUBLIC_FILE
    exported = json.dumps({"keys": [key.as_dict(private=False)]}, indent=2) + "\n"
    if not public.exists() or public.read_text(encoding="utf-8") != exported:
        _replace(public, exported)
    return key


def _write_once(path: Path, text: str) -> None:
    """Write `path` whole and 0600 unless somebody else has already done so."""
    draft = _draft(path, text, mode=0o600)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _replace(path: Path, text: str) -> None:
    _draft(path, text, mode=0o644).replace(path)


def _draft(path: Path, text: str, *, mode: int) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return draft
