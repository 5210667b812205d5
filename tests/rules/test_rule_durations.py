"""Durations as Prometheus writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.durations import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [
        ("0", 0),
        ("0s", 0),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1y1w1d", 32_227_200_000),
        ("100ms", 100),
        ("90d", 7_776_000_000),
    ],
)
def test_a_duration_is_read(text: str, duration_ms: int) -> None:
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize(
    "text", ["", "5", "5x", "m", "1m1h", "1m1m", "-5m", "1.5h", "5 m", "293y", "9" * 200 + "s", "٣m"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(0, "0s"), (90_000, "1m30s"), (7_776_000_000, "90d"), (604_800_000, "1w"), (1, "1ms")],
)
def test_a_duration_is_written_as_prometheus_does(duration_ms: int, text: str) -> None:
    assert duration_text(duration_ms) == text


@given(st.integers(0, 10**12))
def test_what_is_written_is_read_again(duration_ms: int) -> None:
    assert parse_duration(duration_text(duration_ms)) == duration_ms
