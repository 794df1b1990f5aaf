"""A database that counts what it is asked, for tests of what a process holds in memory."""

from __future__ import annotations

from collections.abc import Mapping

from idp.storage.postgres import Database, Row


class Counted(Database):
    """A database that counts the hot statements it was asked."""

    steps = 0

    def step(self, statement: str, parameters: Mapping[str, object]) -> Row | None:
        self.steps += 1
        return super().step(statement, parameters)
