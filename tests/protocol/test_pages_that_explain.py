"""The pages on which a person decides or is told what is missing say all of it."""

from __future__ import annotations

import pytest

from tests.support.journeys import Journeys
from tests.support.provider import Provider


@pytest.fixture(scope="module")
def journeys(op: Provider) -> Journeys:
    return Journeys(op)


def test_whoever_misses_a_level_is_told_where_to_go(journeys: Journeys) -> None:
    """Policy vn-2026-1, level 2: counter check, chip of citizens, biometrics."""
    page = journeys.at_level().page
    assert page is not None
    for words in ("thẻ căn cước đến quầy một cửa", "đọc chip", "vân tay"):
        assert words in page.text
