"""Numbers from measurements: percentiles, medians, and the form in which results are kept.

Pure: lists of numbers in, numbers out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of all values do not exceed (nearest rank)."""
    if not values:
        message = "no values"
        raise ValueError(message)
    rank = max(1, math.ceil(share * len(values)))
    return sorted(values)[rank - 1]


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement: processor milliseconds per operation, operations per second, latencies in milliseconds."""

    server_ms: float
    stores_ms: float
    per_second: float
    p50_ms: float
    p99_ms: float

    @property
    def total_ms(self) -> float:
        """Server and stores together: what the ratios compare."""
        return self.server_ms + self.stores_ms

    def as_json(self) -> dict[str, float]:
        """Return the figures rounded to what they can bear."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def figures_of(seconds: Sequence[float], elapsed: float, server_ms: float, stores_ms: float) -> Figures:
    """Return the figures of a batch of operations that took `seconds` each and `elapsed` together."""
    count = len(seconds)
    return Figures(
        server_ms=server_ms / count,
        stores_ms=stores_ms / count,
        per_second=count / elapsed,
        p50_ms=percentile(seconds, 0.5) * 1000,
        p99_ms=percentile(seconds, 0.99) * 1000,
    )


def median_of(repetitions: Sequence[Figures]) -> Figures:
    """Return the median of each figure over the repetitions."""
    return Figures(
        **{field.name: statistics.median(getattr(figures, field.name) for figures in repetitions) for field in fields(Figures)}
    )
