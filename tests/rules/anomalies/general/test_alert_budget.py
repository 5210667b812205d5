"""The level of alarms that keeps to a budget, the episodes, the band and the marks."""

from math import isnan, nan

import numpy as np
import pytest

from spanbudget.rules.anomalies.general.alert_level import BLOCK_MS, BLOCKS, LEVELS, AlertLevel
from spanbudget.rules.anomalies.general.band import VALUES_MIN, Band, Range
from spanbudget.rules.anomalies.general.episode import MERGED_MS, REST_MS, EpisodeClock
from spanbudget.rules.anomalies.general.history import KEPT, History
from spanbudget.rules.anomalies.general.marks import MARKS_MAX, Marks
from spanbudget.rules.anomalies.packing import Packer, Unpacker
from spanbudget.rules.anomalies.slots import SLOT_MS

WEEK = 28


def recorded(per_week, scores):
    level = AlertLevel(per_week)
    for block, score in enumerate(scores):
        level.record(block * BLOCK_MS, score)
    return level


def test_without_history_the_level_is_that_of_an_ordinary_series():
    assert AlertLevel(1.0).level == pytest.approx(1.0)
    assert AlertLevel(0.25).level == pytest.approx(1.5, abs=0.05)
    assert AlertLevel(1e-9).level == LEVELS[-1]


def test_a_quiet_series_gets_a_lower_level_but_not_any():
    assert 0.7 <= recorded(1.0, [0.2] * 8 * WEEK).level < 0.9
    assert recorded(100.0, [0.2] * 8 * WEEK).level == pytest.approx(LEVELS[0])


def test_a_noisy_series_gets_the_level_at_which_it_keeps_to_the_budget():
    rng = np.random.default_rng(9)
    scores = rng.exponential(0.5, 8 * WEEK).tolist()
    level = recorded(1.0, scores)
    assert level.level > 1
    alarms, rested = 0, 0
    for block, score in enumerate(scores):
        if score >= level.level and block >= rested:
            alarms, rested = alarms + 1, block + 4
    assert 4 <= alarms <= 10


def test_what_lasts_is_one_alarm():
    lasting = recorded(1.0, [0.1] * WEEK + [3.0] * 6 + [0.1] * 2 * WEEK)
    assert lasting.level < 1.1
    assert recorded(1.0, [0.1, 0.1, 0.1, 0.1, 3.0] * WEEK).level > 3


def test_marked_times_do_not_count():
    level = recorded(1.0, [0.1, 0.1, 0.1, 0.1, 3.0] * WEEK)
    level.drop(0, 5 * WEEK * BLOCK_MS)
    assert level.level == AlertLevel(1.0).level
    level = recorded(1.0, [0.1] * WEEK)
    before = level.level
    level.drop(10**12, 10**13)
    assert level.level == before


def test_only_the_last_weeks_count_and_a_restored_level_goes_on():
    scores = np.random.default_rng(3).exponential(0.5, 2 * BLOCKS).tolist()
    level = recorded(1.0, scores)
    assert level.level == recorded(1.0, [9.0] * 50 + scores[-BLOCKS:]).level
    packer = Packer()
    level.pack(packer)
    restored = AlertLevel(1.0)
    restored.unpack(Unpacker(packer.packed()))
    for each in (level, restored):
        each.record(2 * BLOCKS * BLOCK_MS, 5.0)
    assert restored.level == level.level


def test_an_episode_goes_on_until_six_hours_after_it_was_last_unusual():
    clock = EpisodeClock()
    assert clock.start_ms(0) is None
    assert clock.tells(0)
    assert clock.tells(MERGED_MS - SLOT_MS)
    assert clock.start_ms(2 * MERGED_MS - SLOT_MS - 1) == 0
    assert clock.start_ms(2 * MERGED_MS - SLOT_MS) is None


def test_there_is_rest_after_the_begin_of_an_episode():
    clock = EpisodeClock()
    assert clock.tells(0)
    assert not clock.tells(MERGED_MS)
    assert not clock.tells(REST_MS - 1)
    assert clock.start_ms(REST_MS - 1) is None
    assert clock.tells(REST_MS)
    assert clock.start_ms(REST_MS) == REST_MS


def test_a_restored_clock_goes_on():
    for tells in ((), (5,)):
        clock, restored = EpisodeClock(), EpisodeClock()
        for at_ms in tells:
            clock.tells(at_ms)
        packer = Packer()
        clock.pack(packer)
        restored.unpack(Unpacker(packer.packed()))
        assert restored.start_ms(6) == clock.start_ms(6)
        assert restored.tells(MERGED_MS + 5) == clock.tells(MERGED_MS + 5)


def test_a_band_holds_all_but_one_in_fifty_of_the_values():
    band = Band()
    values = np.random.default_rng(1).normal(10, 2, 1_008)
    for value in values.tolist():
        band.learn(value, nan)
    low, expected, high = band.around(nan)
    assert np.mean((values < low) | (values > high)) == pytest.approx(0.02, abs=0.002)
    assert expected == pytest.approx(np.median(values), abs=0.02)


def test_a_band_follows_the_time_of_day_where_that_explains_more():
    band = Band()
    noise = np.random.default_rng(2).normal(0, 1, 1_008).tolist()
    for at, each in enumerate(noise):
        usual = 10.0 * (at % 2)
        band.learn(usual + each, usual)
    assert band.around(10.0).expected == pytest.approx(10, abs=0.2)
    assert band.around(0.0).high < 4
    assert band.around(nan).high > 10


def test_a_band_of_little_is_not_known_and_one_of_a_constant_is_a_line():
    band = Band()
    for _ in range(VALUES_MIN - 1):
        band.learn(3.0, 3.0)
    assert all(map(isnan, band.around(3.0)))
    band.learn(3.0, 3.0)
    assert band.around(3.0) == Range(3.0, 3.0, 3.0)


def test_a_slot_that_overlaps_a_mark_is_left_out():
    marks = Marks()
    marks.add(SLOT_MS + 1, 2 * SLOT_MS + 1, silent=False)
    marks.add(5 * SLOT_MS, 5 * SLOT_MS, silent=True)
    assert [marks.leaves_out(at * SLOT_MS) for at in range(6)] == [False, True, True, False, False, False]
    assert not any(marks.silences(at * SLOT_MS) for at in range(6))
    marks.add(3 * SLOT_MS, 4 * SLOT_MS, silent=True)
    assert [marks.silences(at * SLOT_MS) for at in range(6)] == [False, False, False, True, False, False]


def test_marks_are_kept_up_to_a_number_and_restored():
    marks, restored = Marks(), Marks()
    for number in range(MARKS_MAX + 1):
        marks.add(2 * number * SLOT_MS, (2 * number + 1) * SLOT_MS, silent=True)
    packer = Packer()
    marks.pack(packer)
    restored.unpack(Unpacker(packer.packed()))
    for each in (marks, restored):
        assert not each.leaves_out(0)
        assert each.silences(2 * SLOT_MS)


def test_a_history_keeps_the_last_values_and_is_restored():
    history, restored = History(), History()
    assert history.last(3) == []
    for number in range(KEPT + 1_234):
        history.append(number * SLOT_MS, float(number))
    assert len(history) == KEPT
    expected = [(number * SLOT_MS, float(number)) for number in range(1_234, KEPT + 1_234)]
    assert list(history.points()) == expected
    assert history.last(2) == [KEPT + 1_232.0, KEPT + 1_233.0]
    packer = Packer()
    history.pack(packer)
    restored.unpack(Unpacker(packer.packed()))
    assert list(restored.points()) == expected
