"""Stretches of recurring time, in the vocabulary of Alertmanager's time intervals."""

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from spanbudget.processors.periods import zone_info

Span: TypeAlias = tuple[int, int]
"""(first, last)."""

MINUTE_MS: Final = 60_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """The moments for which every given part holds; a part with several spans holds in any of them.

    Attributes:
        times: Minutes of the day, the end exclusive: (540, 1020) is 09:00 to 17:00.
        weekdays: Days of the week, both inclusive, Sunday is 0.
        days_of_month: Days, both inclusive; -1 is the last one of the month.
        months: Months, both inclusive, from 1.
        years: Years, both inclusive.
        location: IANA time zone of all of it.
    """

    times: tuple[Span, ...] = ()
    weekdays: tuple[Span, ...] = ()
    days_of_month: tuple[Span, ...] = ()
    months: tuple[Span, ...] = ()
    years: tuple[Span, ...] = ()
    location: str = "UTC"

    def contains(self, at_ms: int) -> bool:
        """Whether a moment, milliseconds since the epoch, lies inside.

        Source: Alertmanager, timeinterval/timeinterval.go, `TimeInterval.ContainsTime`.
        """
        local = (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone_info(self.location))
        minute = local.hour * 60 + local.minute
        return (
            (not self.times or any(start <= minute < end for start, end in self.times))
            and _within(local.isoweekday() % 7, self.weekdays)
            and self._on_day(local)
            and _within(local.month, self.months)
            and _within(local.year, self.years)
        )

    def _on_day(self, local: datetime) -> bool:
        length = monthrange(local.year, local.month)[1]
        counted = (
            (_from_start(first, length), _from_start(last, length)) for first, last in self.days_of_month
        )
        # A span that starts after the end of this month has no day in it.
        spans = [(first, last) for first, last in counted if first <= length]
        return not self.days_of_month or any(first <= local.day <= last for first, last in spans)


def in_any(intervals: Iterable[TimeInterval], at_ms: int) -> bool:
    """Whether a moment lies inside of one of the intervals."""
    return any(interval.contains(at_ms) for interval in intervals)


def next_minute_ms(at_ms: int) -> int:
    """The first full minute after a moment: when an interval can end at the earliest."""
    return (at_ms // MINUTE_MS + 1) * MINUTE_MS


def _within(value: int, spans: tuple[Span, ...]) -> bool:
    return not spans or any(first <= value <= last for first, last in spans)


def _from_start(day: int, length: int) -> int:
    return length + day + 1 if day < 0 else day
