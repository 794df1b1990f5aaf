"""Vietnam: the one package that knows the country. Others ask `idp.reference.countries.get_country`.

Facts and their certainty: `data/PROVENANCE.md`. The rules cite the decree or circular they follow.
"""

from __future__ import annotations

from idp.reference.vn.country import COUNTRY

__all__ = ["COUNTRY"]
