"""Holders, persons, their accounts, locks and subject identifiers. Knows nothing of how somebody proves who they are."""
