import math
from calendar import monthrange
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.promql.functions.dates import DATES

ORDER = ("year", "month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "days_in_month")


def parts(value: float) -> tuple[float, ...]:
    return tuple(DATES[name](value) for name in ORDER)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, (1970, 1, 1, 4, 1, 0, 0, 31)),
        (-0.5, (1970, 1, 1, 4, 1, 0, 0, 31)),  # cut towards zero
        (-1, (1969, 12, 31, 3, 365, 23, 59, 31)),
        (951_782_400, (2000, 2, 29, 2, 60, 0, 0, 29)),
        (4_107_542_400, (2100, 3, 1, 1, 60, 0, 0, 31)),  # 2100 has no leap day
        (-62_135_596_800, (1, 1, 1, 1, 1, 0, 0, 31)),
        (253_402_300_800, (10_000, 1, 1, 6, 1, 0, 0, 31)),
        (1e15, (31_690_708, 7, 5, 0, 187, 1, 46, 31)),
        (-1e15, (-31_686_769, 6, 29, 0, 180, 22, 13, 30)),
        (9.2e18, (291_536_396_232, 8, 31, 5, 244, 11, 33, 31)),
    ],
)
def test_a_moment_has_the_date_that_go_gives_it(value: float, expected: tuple[int, ...]) -> None:
    assert parts(value) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1e300, 2.0**63, -(2.0**63)])
def test_what_no_64_bits_hold_is_the_moment_that_go_makes_of_it(value: float) -> None:
    assert parts(value) == (292_277_026_596, 12, 4, 0, 339, 15, 30, 31)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_dates_are_those_of_the_calendar(seconds: int) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    assert parts(float(seconds)) == (
        at.year,
        at.month,
        at.day,
        at.isoweekday() % 7,
        at.timetuple().tm_yday,
        at.hour,
        at.minute,
        monthrange(at.year, at.month)[1],
    )
