"""The one door out: every address that somebody else chose is called through here (law 7).

Owns what may be called, how long it may take and how much may come back. Must not know what is said, nor to whom.
"""

from __future__ import annotations

from idp.egress.model import Address, Destinations, EgressRefused, NotReachable, Reply, is_public, read_address
from idp.egress.service import Egress, Limits

__all__ = ["Address", "Destinations", "Egress", "EgressRefused", "Limits", "NotReachable", "Reply", "is_public", "read_address"]
