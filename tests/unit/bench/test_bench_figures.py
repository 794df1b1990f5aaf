from __future__ import annotations

import pytest

from tests.bench.figures import Figures, figures_of, median_of, percentile


def test_a_percentile_is_a_value_that_occurred_by_nearest_rank() -> None:
    values = [15.0, 20.0, 35.0, 40.0, 50.0]
    assert [percentile(values, share) for share in (0.05, 0.3, 0.4, 0.5, 1.0)] == [15.0, 20.0, 20.0, 35.0, 50.0]


def test_a_percentile_does_not_depend_on_the_order_of_the_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_the_99th_percentile_of_a_hundred_values_leaves_one_above_it() -> None:
    assert percentile([float(value) for value in range(1, 101)], 0.99) == 99.0


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_figures_are_per_operation_and_latencies_in_milliseconds() -> None:
    figures = figures_of([0.010, 0.020, 0.030, 0.040], elapsed=0.5, server_ms=8.0, stores_ms=2.0)
    assert figures == Figures(server_ms=2.0, stores_ms=0.5, per_second=8.0, p50_ms=20.0, p99_ms=40.0)
    assert figures.total_ms == 2.5


def test_one_disturbed_repetition_does_not_move_the_median() -> None:
    quiet, disturbed = Figures(1.0, 0.5, 100.0, 5.0, 9.0), Figures(9.0, 4.0, 10.0, 50.0, 90.0)
    assert median_of([quiet, disturbed, quiet]) == quiet
