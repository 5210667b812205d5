"""Levels of the time of day."""

from datetime import UTC, datetime
from math import isnan

import pytest

from spanbudget.rules.anomalies.general.seasonal import ALPHA, DayLevels

SLOT = 600_000
DAY = 86_400_000


def at(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def learned(levels, value, at_ms):
    levels.learn(value, levels.usual(at_ms))


def test_nothing_is_usual_before_the_first_point():
    usual = DayLevels(SLOT).usual(0)
    assert isnan(usual.level)
    assert isnan(usual.split_level)


def test_a_part_of_the_day_has_a_weighted_level_of_its_own():
    levels = DayLevels(SLOT)
    monday = at("2026-11-23T12:00")
    expected = None
    for day, value in enumerate((10.0, 20.0, 12.0, 15.0)):
        learned(levels, value, monday + day * DAY)
        learned(levels, 1_000.0, monday + day * DAY + SLOT)
        expected = value if expected is None else expected + ALPHA * (value - expected)
    assert levels.usual(monday + 4 * DAY).level == pytest.approx(expected, rel=1e-6)
    assert levels.usual(monday + 4 * DAY + 599_999).level == pytest.approx(expected, rel=1e-6)


def test_weekends_have_levels_of_their_own_beside_those_of_all_days():
    levels = DayLevels(SLOT)
    for day in range(14):
        noon = at("2026-11-23T12:00") + day * DAY
        learned(levels, 1.0 if day % 7 >= 5 else 9.0, noon)
    saturday, monday = (levels.usual(at(text)) for text in ("2026-12-12T12:00", "2026-12-07T12:00"))
    assert (saturday.split_level, monday.split_level) == (1.0, 9.0)
    assert saturday.level == monday.level
    assert 1 < saturday.level < 9


def test_an_unseen_part_of_the_day_has_the_level_of_the_last_points():
    levels = DayLevels(SLOT)
    for number in range(50):
        learned(levels, 5.0, number * SLOT)
    assert levels.usual(100 * SLOT).level == 5.0


@pytest.mark.parametrize(("slot_ms", "same"), [(1_000, 299_999), (3_600_000, 3_599_999), (2 * DAY, DAY - 1)])
def test_a_part_of_the_day_is_a_slot_but_not_less_than_five_minutes(slot_ms, same):
    levels = DayLevels(slot_ms)
    assert levels.usual(0).part == levels.usual(same).part
    if same < DAY - 1:
        assert levels.usual(0).part != levels.usual(same + 1).part


def test_times_before_the_epoch_have_their_part_of_the_day():
    assert DayLevels(SLOT).usual(-DAY).part == DayLevels(SLOT).usual(0).part
