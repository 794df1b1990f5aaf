"""The OpenID Foundation's conformance suite, driven from outside: what is asked of it and what it answered.

The suite itself is not part of this repository. A running one is given by its address; this package makes the
clients, the plans and the browser's steps for it, runs every module and keeps the raw results.
"""

from __future__ import annotations
