"""The values that settings of the watch may hold, each with its check."""

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

from spanbudget.rules.durations import parse_duration

_WEEKS: Final = {"day": 1 / 7, "week": 1.0, "month": 30.4375 / 7}
"""Weeks of a unit; a month is a twelfth of a year of 365.25 days."""
_PER_WEEK: Final = (0.01, 100.0)
"""From one alert in two years to one in 100 minutes: no threshold is found beyond, or none is needed."""
_LEARNING_MS: Final = (3_600_000, 14 * 86_400_000)
"""An hour to two weeks: no more than that is read back from the ledger."""


def alerts_per_week(text: str) -> float:
    """How often one series may alert: `1/week` is 1, `1/day` is 7.

    Raises:
        ValueError: It is no such text.
    """
    found = re.fullmatch(r"(\d{1,4}(?:\.\d{1,4})?) ?/ ?(day|week|month)", text)
    if found is None:
        raise ValueError("must be a number of alerts per day, week or month, such as 1/week or 0.25/week")
    return float(found[1]) / _WEEKS[found[2]]


def alert_budget(text: str) -> str:
    """How often one series may alert.

    Raises:
        ValueError: It is no such text, or too many or too few.
    """
    if not _PER_WEEK[0] <= alerts_per_week(text) <= _PER_WEEK[1]:
        raise ValueError(f"must be {_PER_WEEK[0]}/week to {_PER_WEEK[1]:g}/week")
    return text


def learning_time(text: str) -> str:
    """How long a series is looked at before it may alert.

    Raises:
        ValueError: It is no duration, or too short or too long.
    """
    try:
        length_ms = parse_duration(text)
    except ValueError:
        raise ValueError("must be a duration such as 12h or 3d") from None
    if not _LEARNING_MS[0] <= length_ms <= _LEARNING_MS[1]:
        raise ValueError("must be 1h to 14d")
    return text


AlertBudget: TypeAlias = Annotated[str, AfterValidator(alert_budget)]
Learning: TypeAlias = Annotated[str, AfterValidator(learning_time)]
