"""`python -m idp.cli`: the command `idp`, where its script is not on the path."""

from __future__ import annotations

from idp.cli import main

main()
