"""Relying parties: what a portal team declares, what its profile allows, and the client that the protocol asks.

Owns the table `client` and the view `client_alive`. Knows nothing of requests, codes or sessions: it says what a client may do,
the rooms above do it.
"""

from __future__ import annotations
