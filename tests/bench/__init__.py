"""The benchmark: one load on several providers in turn, measured as processor time of their processes.

Run it with `python -m tests.bench`; `README.md` beside this file says what is measured and what is not.
"""

from __future__ import annotations
