"""`python -m clients.portal`: serve the portal that `PORTAL_*` describes, or only make its key."""

from __future__ import annotations

import argparse
import os
import sys

from granian import Granian
from granian.constants import Interfaces

from .keys import PUBLIC_FILE, load_or_make_key
from .settings import PortalSettings, SettingsRefused


def main() -> int:
    """Run until told to stop; return what the shell gets to see."""
    reader = argparse.ArgumentParser(prog="python -m clients.portal", description="A sample portal (relying party).")
    reader.add_argument(
        "--make-key", action="store_true", help="make the signing key if there is none, print the JWKS file, and stop"
    )
    asked = reader.parse_args()
    try:
        settings = PortalSettings.from_environment(os.environ)
    except SettingsRefused as refusal:
        print(f"portal: {refusal}", file=sys.stderr)
        return 2
    load_or_make_key(settings.var)
    if asked.make_key:
        print(settings.var / PUBLIC_FILE)
        return 0
    host, port = settings.bind
    print(f"{settings.name}: {settings.url} ({settings.client_id} at {settings.issuer})", flush=True)
    Granian(
        "clients.portal.app:from_environment",
        factory=True,
        interface=Interfaces.WSGI,
        address=host,
        port=port,
        workers=1,
        blocking_threads=4,
        websockets=False,
        log_access=False,
    ).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
