from datetime import UTC, datetime

import pytest

from spanbudget.rules.notifications.time_intervals import TimeInterval, in_any, next_minute_ms


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NIGHT = TimeInterval(times=((1320, 1440), (0, 360)))
OFFICE = TimeInterval(times=((540, 1020),), weekdays=((1, 5),))


@pytest.mark.parametrize(
    ("interval", "moment", "inside"),
    [
        (NIGHT, "2026-03-01T21:59:59.999", False),
        (NIGHT, "2026-03-01T22:00", True),
        (NIGHT, "2026-03-01T23:59:59.999", True),
        (NIGHT, "2026-03-02T00:00", True),
        (NIGHT, "2026-03-02T05:59:59.999", True),
        (NIGHT, "2026-03-02T06:00", False),
        (OFFICE, "2026-03-02T09:00", True),  # Monday
        (OFFICE, "2026-03-06T16:59", True),  # Friday
        (OFFICE, "2026-03-06T17:00", False),
        (OFFICE, "2026-03-07T09:00", False),  # Saturday
        (TimeInterval(weekdays=((0, 0),)), "2026-03-01T12:00", True),  # Sunday
        (TimeInterval(weekdays=((6, 6),)), "2026-03-01T12:00", False),
        (TimeInterval(days_of_month=((-1, -1),)), "2026-02-28T12:00", True),
        (TimeInterval(days_of_month=((-1, -1),)), "2028-02-28T12:00", False),
        (TimeInterval(days_of_month=((-1, -1),)), "2028-02-29T12:00", True),
        (TimeInterval(days_of_month=((30, 31),)), "2026-02-28T12:00", False),
        (TimeInterval(days_of_month=((15, -1),)), "2026-02-15T00:00", True),
        (TimeInterval(days_of_month=((-31, -1),)), "2026-02-01T00:00", True),
        (TimeInterval(months=((1, 3),)), "2026-03-31T23:59", True),
        (TimeInterval(months=((1, 3),)), "2026-04-01T00:00", False),
        (TimeInterval(years=((2026, 2027),)), "2028-01-01T00:00", False),
        (TimeInterval(years=((2026, 2027),)), "2027-12-31T23:59", True),
        # 22:30 in UTC is past midnight in Berlin: another day, month and year.
        (TimeInterval(months=((1, 1),), location="Europe/Berlin"), "2026-12-31T23:30", True),
        (TimeInterval(times=((540, 1020),), location="America/New_York"), "2026-01-05T13:59", False),
        (TimeInterval(times=((540, 1020),), location="America/New_York"), "2026-01-05T14:00", True),
        (TimeInterval(times=((540, 1020),), location="America/New_York"), "2026-07-06T13:00", True),  # summer
        (TimeInterval(weekdays=((1, 1),), location="Asia/Tokyo"), "2026-03-01T15:00", True),
    ],
)
def test_an_interval_contains_what_alertmanager_says(interval, moment, inside) -> None:
    assert interval.contains(at(moment)) is inside


def test_any_of_several_intervals_is_enough() -> None:
    assert in_any((NIGHT, OFFICE), at("2026-03-02T09:00"))
    assert not in_any((NIGHT, OFFICE), at("2026-03-07T09:00"))
    assert not in_any((), 0)


def test_the_next_minute_is_always_later() -> None:
    assert [next_minute_ms(ms) for ms in (0, 1, 59_999, 60_000)] == [60_000, 60_000, 60_000, 120_000]
