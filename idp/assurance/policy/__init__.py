"""The policy files, and the one reader that turns a file into a `Policy` or refuses it with a sentence.

Owns the format of the files (docs/assurance.md A8). Knows no country: that is what the files are for.
"""

from __future__ import annotations

from idp.assurance.policy.reader import UnusablePolicy, find_versions, load_policy, read_policy

__all__ = ["UnusablePolicy", "find_versions", "load_policy", "read_policy"]
