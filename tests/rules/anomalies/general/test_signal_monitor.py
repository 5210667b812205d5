"""Signals under watch: what is told of generated series, and what is not."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbudget.rules.anomalies.general.watch import JUMP_MS, SignalMonitor, SignalSettings
from spanbudget.rules.anomalies.packing import BrokenStateError
from spanbudget.rules.anomalies.slots import DAY_SLOTS, SLOT_MS, Slot

START = 1_767_571_200_000
WEEK = 7 * DAY_SLOTS
LIGHT = SignalSettings(recipe="light")
SIGNALS = pytest.mark.parametrize("signal", ["latency", "error_rate", "tokens"])
RECIPES = pytest.mark.parametrize("how", [LIGHT, SignalSettings()], ids=["light", "general"])


def slots(count, seed=1, begin=0, requests=100, latency=4.0, errors=0.02, tokens=2_000.0):
    """Calls of a service that is busier by day: gamma noise of latency and tokens, binomial errors."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(begin, begin + count):
        calls = int(rng.poisson(requests * (1 + 0.5 * np.sin(number / DAY_SLOTS * 2 * np.pi))))
        failed = int(rng.binomial(calls, errors))
        made.append(
            Slot(
                START + number * SLOT_MS,
                calls * 0.01,
                calls,
                failed,
                int(rng.gamma(calls - failed or 1e-9, tokens)),
                float(rng.gamma(calls or 1e-9, latency)),
            )
        )
    return made


def watched(monitor, series):
    return [monitor.observe(slot) for slot in series]


def episodes(observations):
    return {each.episode_start_ms for each in observations} - {None}


CHANGES = {
    "latency": ("latency", {"latency": 8.0}),
    "error_rate": ("error_rate", {"errors": 0.25}),
    "tokens, more": ("tokens", {"tokens": 4_000.0}),
    "tokens, fewer": ("tokens", {"tokens": 1_000.0}),
}


@RECIPES
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_told_within_the_hour(how, change):
    signal, changed = CHANGES[change]
    monitor = SignalMonitor(signal, how)
    before = watched(monitor, slots(2 * WEEK))
    after = watched(monitor, slots(12, seed=2, begin=2 * WEEK, **changed))
    assert before[-1].status == "ok"
    first = next(each for each in after if each.score >= 1)
    assert first.start_ms - after[0].start_ms < 6 * SLOT_MS
    assert first.status == "anomalous"
    assert first.episode_start_ms == first.start_ms
    assert len(episodes(after)) == 1
    assert not first.band_low <= after[3].observed <= first.band_high
    assert first.band_low <= first.expected <= first.band_high


@RECIPES
@pytest.mark.parametrize(
    ("signal", "changed"), [("latency", {"latency": 1.0}), ("error_rate", {"errors": 0.0})]
)
def test_what_gets_better_is_not_told(how, signal, changed):
    monitor = SignalMonitor(signal, how)
    watched(monitor, slots(2 * WEEK, errors=0.1))
    after = watched(monitor, slots(DAY_SLOTS, seed=2, begin=2 * WEEK, **changed))
    assert episodes(after) == set()


@SIGNALS
def test_a_sure_but_small_change_is_not_told(signal):
    monitor = SignalMonitor(signal, LIGHT)
    watched(monitor, slots(WEEK, requests=5_000))
    after = watched(
        monitor,
        slots(DAY_SLOTS, 2, WEEK, requests=5_000, latency=4.4, errors=0.03, tokens=2_200.0),
    )
    assert episodes(after) == set()


@SIGNALS
@pytest.mark.parametrize(("recipe", "budget"), [("light", 1.0), ("light", 0.25), ("general", 1.0)])
def test_ordinary_series_keep_to_the_budget(signal, recipe, budget):
    told = 0
    for seed in range(2 if recipe == "light" else 1):
        monitor = SignalMonitor(signal, SignalSettings(alert_budget_per_week=budget, recipe=recipe))
        told += len(episodes(watched(monitor, slots(3 * WEEK, seed, errors=0.01 * seed))))
    assert told <= 3


def test_nothing_is_told_while_learning():
    monitor = SignalMonitor("latency", LIGHT)
    seen = watched(monitor, slots(2 * DAY_SLOTS) + slots(DAY_SLOTS, 2, 2 * DAY_SLOTS, latency=400.0))
    assert {(each.status, each.score) for each in seen} == {("learning", 0.0)}
    assert monitor.observe(slots(1, begin=3 * DAY_SLOTS)[0]).status == "ok"


def test_a_series_with_few_values_learns_for_longer():
    rare = [
        slot if number % 5 == 0 else Slot(slot.start_ms) for number, slot in enumerate(slots(8 * DAY_SLOTS))
    ]
    seen = watched(SignalMonitor("tokens", LIGHT), rare)
    assert [each.status for each in seen].index("ok") == 215 * 5


@SIGNALS
def test_no_calls_are_no_value_and_tell_nothing(signal):
    monitor = SignalMonitor(signal, LIGHT)
    assert watched(monitor, slots(WEEK, seed=5))[-1].status == "ok"
    idle = watched(monitor, [Slot(START + (WEEK + number) * SLOT_MS) for number in range(3 * DAY_SLOTS)])
    assert {(each.status, each.observed) for each in idle} == {("ok", None)}
    assert max(each.score for each in idle) < 1
    assert idle[-1].score == 0.0


def test_few_calls_are_pooled_until_they_say_something():
    monitor = SignalMonitor("latency", SignalSettings(min_requests=20, recipe="light"))
    seen = watched(monitor, [Slot(START + number * SLOT_MS, 0, 8, 0, 0, 16.0) for number in range(6)])
    assert [each.observed for each in seen] == [None, None, 2.0, None, None, 2.0]


def test_one_failed_call_of_an_idle_night_is_not_told():
    monitor = SignalMonitor("error_rate", LIGHT)
    watched(monitor, slots(WEEK, errors=0.0))
    night = [Slot(START + (WEEK + number) * SLOT_MS, 0.01, 1, number == 3, 100, 2.0) for number in range(30)]
    assert max(each.score for each in watched(monitor, night)) < 1


def test_an_open_episode_does_not_end_because_the_calls_do():
    monitor = SignalMonitor("error_rate", LIGHT)
    watched(monitor, slots(WEEK))
    bad = watched(monitor, slots(6, 2, WEEK, errors=0.6))[-1]
    idle = watched(monitor, [Slot(START + (WEEK + 6 + number) * SLOT_MS) for number in range(40)])
    assert bad.score >= 1
    assert {each.status for each in idle[:35]} == {"anomalous"}
    assert {each.score for each in idle[:35]} == {bad.score}
    assert {(each.status, each.score) for each in idle[35:]} == {("ok", 0.0)}


def test_a_lasting_change_is_told_once_and_then_becomes_usual():
    monitor = SignalMonitor("latency", LIGHT)
    watched(monitor, slots(2 * WEEK))
    after = watched(monitor, slots(2 * WEEK, 2, 2 * WEEK, latency=8.0))
    assert 1 <= len(episodes(after)) <= 3
    assert {each.status for each in after[-DAY_SLOTS:]} == {"ok"}
    assert after[-1].expected == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize(
    ("signal", "recipe"),
    [("latency", "light"), ("error_rate", "light"), ("tokens", "light"), ("tokens", "general")],
)
def test_a_restored_monitor_goes_on_exactly_and_its_state_stays_small(signal, recipe):
    how = SignalSettings(recipe=recipe)
    series = slots(4_300, requests=40)
    monitor = SignalMonitor(signal, how)
    monitor.exclude(START, START + 40 * SLOT_MS)
    monitor.expect(START + 4_200 * SLOT_MS, START + 4_250 * SLOT_MS)
    watched(monitor, series[:4_181])
    state = monitor.state()
    assert len(state) <= 200_000
    restored = SignalMonitor.restore(state, signal, how)
    assert watched(restored, series[4_181:]) == watched(monitor, series[4_181:])
    assert restored.state() == monitor.state()


@pytest.mark.parametrize("stop", [0, 1, 300, 1_012, 1_030])
def test_a_monitor_that_was_stopped_anywhere_goes_on_exactly(stop):
    series = slots(WEEK) + slots(100, 2, WEEK, latency=12.0)
    monitor = SignalMonitor("latency", LIGHT)
    watched(monitor, series[:stop])
    restored = SignalMonitor.restore(monitor.state(), "latency", LIGHT)
    assert watched(restored, series[stop:]) == watched(monitor, series[stop:])
    assert restored.observe(series[-1]).ignored


def test_a_state_of_something_else_is_refused():
    state = SignalMonitor("latency", LIGHT).state()
    for broken, signal, how in (
        (state, "tokens", LIGHT),
        (state, "latency", SignalSettings()),
        (state[:-1], "latency", LIGHT),
        (state + b"\0", "latency", LIGHT),
        (b"", "latency", LIGHT),
    ):
        with pytest.raises(BrokenStateError):
            SignalMonitor.restore(broken, signal, how)


@RECIPES
def test_an_incident_that_is_confirmed_afterwards_is_as_if_it_had_not_been_learned(how):
    bad = slots(DAY_SLOTS, 2, WEEK, latency=12.0)
    later = slots(DAY_SLOTS, 3, WEEK + DAY_SLOTS)
    monitor, spared = SignalMonitor("latency", how), SignalMonitor("latency", how)
    for each in (monitor, spared):
        watched(each, slots(WEEK))
    watched(monitor, bad)
    monitor.exclude(bad[0].start_ms, bad[-1].start_ms + SLOT_MS)
    spared.exclude(bad[0].start_ms, bad[-1].start_ms + SLOT_MS)
    assert max(each.score for each in watched(spared, bad)) > 1
    one, other = watched(monitor, later), watched(spared, later)
    assert [each.expected for each in one] == [each.expected for each in other]
    assert [each.band_high for each in one] == [each.band_high for each in other]


def test_nothing_is_told_in_a_time_that_was_expected_and_nothing_of_it_is_learned():
    monitor = SignalMonitor("latency", LIGHT)
    watched(monitor, slots(WEEK))
    monitor.expect(START + WEEK * SLOT_MS, START + (WEEK + 30) * SLOT_MS)
    seen = watched(monitor, slots(30, 2, WEEK, latency=12.0))
    after = watched(monitor, slots(DAY_SLOTS, 3, WEEK + 30))
    assert {(each.status, each.score) for each in seen} == {("ok", 0.0)}
    assert episodes(after) == set()
    assert after[0].band_high < 8


def test_a_slot_that_comes_again_or_late_is_passed_over():
    monitor = SignalMonitor("latency", LIGHT)
    series = slots(300)
    seen = watched(monitor, series)
    state = monitor.state()
    for late in (series[-1], series[0], series[100]._replace(duration_s=1e9)):
        assert monitor.observe(late) == seen[-1]._replace(ignored=True)
    assert monitor.state() == state


@pytest.mark.parametrize("jump", [JUMP_MS + SLOT_MS, -JUMP_MS - 2 * SLOT_MS, 10**12])
def test_a_clock_that_jumps_starts_the_learning_anew(jump):
    monitor = SignalMonitor("latency", LIGHT)
    watched(monitor, slots(2 * WEEK + 10))
    moved = [
        slot._replace(start_ms=slot.start_ms + jump // SLOT_MS * SLOT_MS)
        for slot in slots(DAY_SLOTS, 2, 2 * WEEK + 10, latency=40.0)
    ]
    seen = watched(monitor, moved)
    assert {(each.status, each.score, each.ignored) for each in seen} == {("learning", 0.0, False)}


def test_a_gap_is_no_reason_to_tell_anything():
    monitor = SignalMonitor("tokens", LIGHT)
    watched(monitor, slots(WEEK, seed=5))
    after = watched(monitor, slots(3 * DAY_SLOTS, 2, WEEK + 10 * DAY_SLOTS))
    assert episodes(after) == set()
    assert after[0].status == "ok"


@SIGNALS
@RECIPES
@pytest.mark.parametrize("failed", [0, 30])
def test_constant_series_tell_nothing(signal, how, failed):
    monitor = SignalMonitor(signal, how)
    seen = watched(
        monitor,
        [Slot(START + at * SLOT_MS, 0.3, 30, failed, 900 if failed < 30 else 0, 3.0) for at in range(700)],
    )
    assert max(each.score for each in seen) < 1


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**7), 10**9),
            st.sampled_from([0, 1, 20, 10**9, 10**400, -5]),
            st.sampled_from([0, 1, 19, 10**12, -1]),
            st.sampled_from([0, 1, 10**6, 10**400, -1]),
            st.sampled_from([0.0, 1e-9, 3.0, 1e300, nan, inf, -1.0]),
        ),
        max_size=60,
    ),
    st.sampled_from(["latency", "error_rate", "tokens"]),
)
def test_any_slots_give_an_observation(steps, signal):
    how = SignalSettings(learning_ms=0, min_requests=1, recipe="light")
    monitor = SignalMonitor(signal, how)
    for slot in slots(230):
        monitor.observe(slot)
    at_ms = START + 230 * SLOT_MS
    for step, requests, failed, tokens, duration_s in steps:
        at_ms += step // SLOT_MS * SLOT_MS
        seen = monitor.observe(Slot(at_ms, 1.0, requests, failed, tokens, duration_s))
        assert 0 <= seen.score < inf
        assert seen.observed is None or 0 <= seen.observed < inf
    assert SignalMonitor.restore(monitor.state(), signal, how).state() == monitor.state()


@pytest.mark.parametrize(
    "wrong",
    [
        {"alert_budget_per_week": 0.0}, {"alert_budget_per_week": nan}, {"alert_budget_per_week": inf},
        {"min_requests": 0}, {"learning_ms": -1},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SignalSettings(**wrong)
