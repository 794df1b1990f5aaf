"""Authlib, kept in its place: the only importer of it (docs/decisions/0003).

Driven through its core server, which imports no web framework. It authenticates clients, dispatches grants, and walks
introspection and revocation; we read strictly before it, decide in one statement behind it, and encode after it.
"""

from __future__ import annotations

from idp.oidc.engine.server import Engine, EngineAnswer

__all__ = ["Engine", "EngineAnswer"]
