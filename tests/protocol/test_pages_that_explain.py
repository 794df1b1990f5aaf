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


def test_whoever_consents_reads_of_everything_that_is_shared(journeys: Journeys) -> None:
    """OIDC Core §5.4: `profile` discloses language, time zone and the last change as well."""
    page = journeys.at_consent().page
    assert page is not None
    assert "và: ngôn ngữ, múi giờ, thời điểm thay đổi gần nhất" in page.text


def test_whoever_has_only_a_password_reads_when_an_application_is_set_up(journeys: Journeys) -> None:
    page = journeys.at_home().page
    assert page is not None
    assert "sẽ mời bạn cài ứng dụng xác thực" in page.text
