from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
import structlog

from idp.cli import run
from idp.demo.engines import DatabaseUrls, Engines
from tests.support.commands import WRAPPING, Command, Ended


@pytest.fixture(autouse=True)
def logs_of_the_tests() -> Iterator[None]:
    """Commands that serve arrange the logs of their process, onto a stream that is closed with the test: here they are put back."""
    root, arranged = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning
    yield
    structlog.configure(**arranged)
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning = hooks


@pytest.fixture
def command(
    engines: Engines, database_urls: DatabaseUrls, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """A call of `idp` with the settings of an operator of this module's database; keyword arguments are more settings."""
    settings = {
        "IDP_MODE": "test",
        "IDP_ISSUER": "http://localhost:8000",
        "IDP_DATABASE_URL": database_urls.app,
        "IDP_DATABASE_OWNER_URL": database_urls.owner,
        "IDP_DATABASE_WORKER_URL": database_urls.worker,
        "IDP_REDIS_URL": engines.redis_url,
        "IDP_KEY_ENCRYPTION_KEYS": WRAPPING,
    }

    def call(*arguments: str, **more: str) -> Ended:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in (settings | more).items():
                patch.setenv(name, value)
            code = run(arguments)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    assert call("keys", "make").code == 0
    return call
