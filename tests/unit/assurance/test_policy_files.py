"""A policy file is right, or refused with a sentence that says where it is wrong (docs/assurance.md A6-A8)."""

from __future__ import annotations

import pytest

from idp.assurance.policy import UnusablePolicy, find_versions, load_policy, read_policy

GOOD = """
version = "xx-2026-1"
utc_offset = "-03:30"

[evidence]
paper = "a paper"
phone = "a phone"
other_phone = "another phone"
visit = "a visit"

[[levels]]
person_type = "citizen"
ial = 1
all_of = ["paper", ["phone", "other_phone"]]
clause = "§1"

[[levels]]
person_type = "citizen"
ial = 2
from_age = 6
all_of = ["paper", "phone", "visit"]
clause = "§2"
"""


def test_every_shipped_policy_can_be_loaded() -> None:
    """A8: and is named by its version."""
    assert find_versions() == ("vn-2026-1",)
    assert [load_policy(version).version for version in find_versions()] == ["vn-2026-1"]


def test_a_good_file_is_a_policy() -> None:
    """A8: an alternative of the lower level may be narrowed by the higher one (A6)."""
    policy = read_policy(GOOD, file="xx-2026-1.toml")

    assert [level.ial for level in policy.levels_from_the_top()] == [2, 1]
    assert str(policy.zone) == "UTC-03:30"
    assert policy.kinds["visit"] == "a visit"


@pytest.mark.parametrize(
    ("written", "instead", "sentence"),
    [
        ('version = "xx-2026-1"', "version = ", "xx-2026-1.toml is not TOML: Invalid value (at line 2, column 11)."),
        ('version = "xx-2026-1"', "", "xx-2026-1.toml, the file: the key 'version' is missing."),
        ('version = "xx-2026-1"', "version = 1", "xx-2026-1.toml, version: must be a text that is not empty."),
        ('"xx-2026-1"', '"xx-2026-2"', "xx-2026-1.toml, version: 'xx-2026-2' is not the name of the file."),
        ('"xx-2026-1"', '"../x"', "xx-2026-1.toml, version: '../x' is not of the form xx-yyyy-n."),
        ('"-03:30"', '"03:30"', "xx-2026-1.toml, utc_offset: '03:30' is not an offset such as +07:00."),
        ('"-03:30"', '"+15:00"', "xx-2026-1.toml, utc_offset: '+15:00' is not an offset such as +07:00."),
        ("[evidence]", "extra = 1\n[evidence]", "xx-2026-1.toml, the file: the key 'extra' is unknown."),
        ('visit = "a visit"', "visit = 1", "xx-2026-1.toml, evidence.visit: must be a text that is not empty."),
        (
            'visit = "a visit"',
            'Visit = "a visit"',
            "xx-2026-1.toml, evidence.Visit: a kind is lower-case letters, digits and underscores.",
        ),
        (
            'person_type = "citizen"\nial = 2',
            'person_type = "organization"\nial = 2',
            (
                "xx-2026-1.toml, levels[1].person_type: 'organization' is not one of citizen, foreigner, "
                "identity_certificate; organizations have no level."
            ),
        ),
        ("ial = 2", "ial = 3", "xx-2026-1.toml, levels[1].ial: 3 is not one of 1, 2."),
        ("ial = 2", "ial = true", "xx-2026-1.toml, levels[1].ial: must be a whole number."),
        ("ial = 2", "", "xx-2026-1.toml, levels[1]: the key 'ial' is missing."),
        ("from_age = 6", "from_agee = 6", "xx-2026-1.toml, levels[1]: the key 'from_agee' is unknown."),
        ("from_age = 6", "from_age = -1", "xx-2026-1.toml, levels[1].from_age: -1 is not an age from 0 to 150."),
        (
            "from_age = 6",
            "from_age = 6\nbelow_age = 6",
            "xx-2026-1.toml, levels[1].below_age: 6 is not above from_age 6.",
        ),
        (
            '["paper", "phone", "visit"]',
            "[]",
            "xx-2026-1.toml, levels[1].all_of: must be a list of at least one kind of evidence; nothing carries no level.",
        ),
        (
            '["paper", "phone", "visit"]',
            '["paper", "phone", []]',
            "xx-2026-1.toml, levels[1].all_of[2]: is an empty list of alternatives, which nothing could meet.",
        ),
        (
            '["paper", "phone", "visit"]',
            '["paper", "phone", "vist"]',
            "xx-2026-1.toml, levels[1].all_of[2]: 'vist' is not a kind of evidence named under [evidence].",
        ),
        (
            '["paper", "phone", "visit"]',
            '["paper", "phone", "phone"]',
            "xx-2026-1.toml, levels[1].all_of: asks for the same evidence twice.",
        ),
        (
            '["paper", "phone", "visit"]',
            '["phone", "visit"]',
            "xx-2026-1.toml, levels[1].all_of: does not ask for all that level 1 asks for.",
        ),
        (
            '["paper", "phone", "visit"]',
            '["paper", ["phone", "visit"]]',
            "xx-2026-1.toml, levels[1].all_of: does not ask for all that level 1 asks for.",
        ),
        (
            "ial = 1",
            "ial = 1\nfrom_age = 7",
            "xx-2026-1.toml, levels[1]: is open at ages at which level 1 is not.",
        ),
        (
            "ial = 2",
            "ial = 1",
            "xx-2026-1.toml, levels[1]: covers ages that an earlier table covers for this person and level.",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_where_and_why(written: str, instead: str, sentence: str) -> None:
    """A8: nothing is guessed."""
    assert GOOD.count(written) >= 1

    with pytest.raises(UnusablePolicy) as refused:
        read_policy(GOOD.replace(written, instead, 1), file="xx-2026-1.toml")

    assert refused.value.detail == sentence
    assert refused.value.code == "assurance.unusable_policy"


@pytest.mark.parametrize("version", ["vn-1999-1", "../../pyproject", "", "vn-2026-1.toml"])
def test_a_version_that_does_not_ship_is_refused(version: str) -> None:
    """A8: the version comes from settings; it is looked up in a list, not in the file system."""
    with pytest.raises(UnusablePolicy, match="There is no policy"):
        load_policy(version)
