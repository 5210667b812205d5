"""Parts of a moment's date and time of day, UTC; a moment is seconds since the epoch.

The calendar goes on beyond the years that `datetime` knows, as Go's does; what is not a number, or beyond
64 bits, is the moment that Go makes of it: the smallest 64-bit integer, which its clock wraps around to the
year 292277026596.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

_DAY_SECONDS: Final = 86_400
_INT64_MIN: Final = -(2**63)
_GO_ORIGIN_SECONDS: Final = 9_223_371_966_579_724_800
"""From the start of the year -292277022399, where Go counts from, to the epoch."""
_CYCLE_DAYS: Final = 146_097
"""Days of 400 years, after which the calendar repeats itself."""
_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Date(NamedTuple):
    """A day of the proleptic Gregorian calendar; month and day count from 1."""

    year: int
    month: int
    day: int


def seconds_of(value: float) -> int:
    """The whole seconds of a moment, cut towards zero, as Go's conversion to 64 bits."""
    whole = int(value) if math.isfinite(value) and -(2.0**63) <= value < 2.0**63 else _INT64_MIN
    return (whole + _GO_ORIGIN_SECONDS) % 2**64 - _GO_ORIGIN_SECONDS


def date_of(value: float) -> Date:
    """The date of a moment.

    Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`: years start in
    March there, so that the leap day is the last of its year.
    """
    cycle, day_of_cycle = divmod(seconds_of(value) // _DAY_SECONDS + 719_468, _CYCLE_DAYS)
    year_of_cycle = (
        day_of_cycle - day_of_cycle // 1460 + day_of_cycle // 36_524 - day_of_cycle // 146_096
    ) // 365
    day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle // 4 - year_of_cycle // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_cycle + 400 * cycle + (month <= 2)
    return Date(year, month, day_of_year - (153 * shifted_month + 2) // 5 + 1)


def minute(value: float) -> float:
    """The minute of the hour, from 0."""
    return float(seconds_of(value) // 60 % 60)


def hour(value: float) -> float:
    """The hour of the day, from 0."""
    return float(seconds_of(value) // 3600 % 24)


def day_of_week(value: float) -> float:
    """The day of the week, from 0 for Sunday; the epoch was a Thursday."""
    return float((seconds_of(value) // _DAY_SECONDS + 4) % 7)


def day_of_month(value: float) -> float:
    """The day of the month, from 1."""
    return float(date_of(value).day)


def day_of_year(value: float) -> float:
    """The day of the year, from 1."""
    date = date_of(value)
    before = sum(_days_in(date.year, month) for month in range(1, date.month))
    return float(before + date.day)


def days_in_month(value: float) -> float:
    """How many days the month has."""
    date = date_of(value)
    return float(_days_in(date.year, date.month))


def month_of_year(value: float) -> float:
    """The month, from 1."""
    return float(date_of(value).month)


def year(value: float) -> float:
    """The year."""
    return float(date_of(value).year)


def _days_in(year_: int, month: int) -> int:
    leap = year_ % 4 == 0 and (year_ % 100 != 0 or year_ % 400 == 0)
    return 29 if leap and month == 2 else _MONTH_DAYS[month - 1]


DATES: Final[Mapping[str, Callable[[float], float]]] = {
    "day_of_month": day_of_month,
    "day_of_week": day_of_week,
    "day_of_year": day_of_year,
    "days_in_month": days_in_month,
    "hour": hour,
    "minute": minute,
    "month": month_of_year,
    "year": year,
}
