"""The protocol endpoints: plain functions from one request to one answer (docs/decisions/0004). No rule lives here."""
