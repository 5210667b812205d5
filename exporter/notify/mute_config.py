"""The key `mute` of a receiver: time intervals as Alertmanager's configuration has them."""

import re
from collections.abc import Callable
from datetime import MAXYEAR
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from spanbudget.exporter.config_fields import listed, time_zone
from spanbudget.exporter.config_sections import Section
from spanbudget.rules.notifications.time_intervals import Span, TimeInterval

SPANS_MAX: Final = 100
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
_WEEKDAY_NUMBERS: Final = {name: number for number, name in enumerate(_DAYS)}
_MONTH_NUMBERS: Final = {name: number for number, name in enumerate(_MONTHS, start=1)}
_SHORTEST_MONTH: Final = 28


def minute_of_day(text: object) -> object:
    """`09:30` as minutes.

    Raises:
        ValueError: It is no time of day.
    """
    if not isinstance(text, str):
        return text
    if not _TIME.fullmatch(text):
        raise ValueError("must be a time such as 09:30 or 24:00")
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def weekdays(text: object) -> object:
    """`monday:friday` as numbers; Sunday is 0."""
    return _span(text, _WEEKDAY_NUMBERS.__getitem__, "must be weekdays such as monday:friday or sunday")


def months(text: object) -> object:
    """`january:march` or `1:3` as numbers."""
    wrong = "must be months such as january:march or 12"
    span = _span(text, lambda part: _MONTH_NUMBERS.get(part) or int(part), wrong)
    return _within(span, range(1, 13), wrong)


def years(text: object) -> object:
    """`2026:2028` as numbers."""
    wrong = "must be years such as 2026:2028 or 2026"
    return _within(_span(text, int, wrong), range(1, MAXYEAR + 1), wrong)


def days_of_month(text: object) -> object:
    """`1:5` or `-3:-1` as numbers; negative ones count from the end of the month.

    Raises:
        ValueError: They are no days, or end before they start in every month.
    """
    wrong = "must be days of the month such as 1:5 or -3:-1, in this order"
    if not isinstance(text, str):
        return text
    parts = text.split(":")
    if len(parts) > 2 or not all(re.fullmatch(r"-?\d{1,2}", part, re.ASCII) for part in parts):
        raise ValueError(wrong)
    first, last = int(parts[0]), int(parts[-1])
    from_start = [_SHORTEST_MONTH + day if day < 0 else day for day in (first, last)]
    if (
        not all(1 <= abs(day) <= 31 for day in (first, last))
        or first < 0 < last
        or from_start[0] > from_start[1]
    ):
        raise ValueError(wrong)
    return first, last


def _span(text: object, number_of: Callable[[str], int], wrong: str) -> object:
    if not isinstance(text, str):
        return text
    try:
        numbers = [number_of(part) for part in text.lower().split(":")]
    except (KeyError, ValueError):
        raise ValueError(wrong) from None
    if len(numbers) > 2 or numbers[0] > numbers[-1]:
        raise ValueError(wrong)
    return numbers[0], numbers[-1]


def _within(span: object, allowed: range, wrong: str) -> object:
    if isinstance(span, tuple) and not all(number in allowed for number in span):
        raise ValueError(wrong)
    return span


MinuteOfDay: TypeAlias = Annotated[int, BeforeValidator(minute_of_day)]


class TimesConfig(Section):
    """A stretch of each day, the end exclusive; one over midnight is two."""

    start_time: MinuteOfDay
    end_time: MinuteOfDay

    @model_validator(mode="after")
    def _in_order(self) -> "TimesConfig":
        if self.start_time >= self.end_time:
            raise ValueError("start_time must be before end_time; give two entries for one over midnight")
        return self

    @property
    def span(self) -> Span:
        """Minutes of the day."""
        return self.start_time, self.end_time


Weekdays: TypeAlias = Annotated[Span, BeforeValidator(weekdays)]
DaysOfMonth: TypeAlias = Annotated[Span, BeforeValidator(days_of_month)]
Months: TypeAlias = Annotated[Span, BeforeValidator(months)]
Years: TypeAlias = Annotated[Span, BeforeValidator(years)]
_Limit: Final = Field(max_length=SPANS_MAX)


class MuteConfig(Section):
    """When nothing is told: all parts that are given hold."""

    times: Annotated[tuple[TimesConfig, ...], _Limit] = ()
    weekdays: Annotated[tuple[Weekdays, ...], BeforeValidator(listed), _Limit] = ()
    days_of_month: Annotated[tuple[DaysOfMonth, ...], BeforeValidator(listed), _Limit] = ()
    months: Annotated[tuple[Months, ...], BeforeValidator(listed), _Limit] = ()
    years: Annotated[tuple[Years, ...], BeforeValidator(listed), _Limit] = ()
    location: Annotated[str, AfterValidator(time_zone)] = "UTC"

    @model_validator(mode="after")
    def _something_is_given(self) -> "MuteConfig":
        if not any((self.times, self.weekdays, self.days_of_month, self.months, self.years)):
            raise ValueError("needs at least one of times, weekdays, days_of_month, months and years")
        return self

    def to_interval(self) -> TimeInterval:
        """The interval as the planning takes it."""
        return TimeInterval(
            tuple(times.span for times in self.times),
            self.weekdays,
            self.days_of_month,
            self.months,
            self.years,
            self.location,
        )
