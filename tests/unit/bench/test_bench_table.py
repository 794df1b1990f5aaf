from __future__ import annotations

from typing import Any

import pytest

from tests.bench.table import BEGIN, END, TARGETS, TITLES, place, ratio, render


def subject(name: str, *server_ms: float) -> dict[str, Any]:
    repetitions = [
        {"server_ms": value, "stores_ms": 0.1, "per_second": 500.0, "p50_ms": 7.0, "p99_ms": 15.0} for value in server_ms
    ]
    return {
        "name": name,
        "versions": {"python": "3.11.7"},
        "memory": {"server_mib": 90.4, "stores_mib": 40.0},
        "id_tokens_verified": 12,
        "operations": {"sso": {"median": repetitions[len(repetitions) // 2], "repetitions": repetitions}},
    }


def document(*subjects: dict[str, Any]) -> dict[str, Any]:
    return {
        "at": "2026-11-25T04:00:00+00:00",
        "machine": {
            "processor": "Some Processor",
            "avx2": True,
            "cores": 2,
            "cores_of_subjects": [0],
            "memory_mib": 24064,
            "load_before": 0.1,
            "kernel": "6.1",
        },
        "settings": {"sessions_at_a_time": 8, "repetitions": 3, "warm_seconds": 30.0},
        "subjects": list(subjects),
    }


def test_the_ratio_is_the_median_over_neighbouring_measurements() -> None:
    """A slow spell that falls on one pair of measurements slows both, and leaves their ratio alone."""
    ours, peer = subject("motcua", 0.9, 8.9, 0.9), subject("oidc-provider", 1.9, 17.9, 1.9)
    assert ratio(ours, peer, "sso") == pytest.approx(0.5)


def test_the_ratio_stands_beside_its_target_whatever_the_order_of_the_subjects() -> None:
    text = render(document(subject("oidc-provider", 1.9, 1.9, 1.9), subject("motcua", 0.9, 0.9, 0.9)))
    assert "| SSO code flow (authorize + token) | 0.90 | 0.10 | 1.00 | 1.90 | 0.10 | 2.00 | **0.50** | ≤ 0.9 | met |" in text
    assert "| motcua | 90 | 40 |" in text


def test_a_missed_target_says_so() -> None:
    text = render(document(subject("motcua", 1.8, 1.8, 1.8), subject("oidc-provider", 1.9, 1.9, 1.9)))
    assert "| **0.95** | ≤ 0.9 | missed |" in text


def test_a_peer_alone_has_neither_ratios_nor_targets() -> None:
    text = render(document(subject("oidc-provider", 1.9)))
    assert "target" not in text
    assert "| 1.90 | 0.10 | 2.00 |" in text


def test_only_the_part_between_the_markers_is_written_anew() -> None:
    written = place(f"# Performance\n{BEGIN}\nold\n{END}\nThe end.\n", "new\n")
    assert written == f"# Performance\n{BEGIN}\n\nnew\n\n{END}\nThe end.\n"


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="markers"):
        place("# Performance\n", "new\n")


def test_every_operation_that_is_shown_has_a_target() -> None:
    assert TITLES.keys() == TARGETS.keys()
