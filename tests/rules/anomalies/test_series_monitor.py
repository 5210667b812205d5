"""One series under watch for unusual money, over traffic that is made up here."""

import math
import random
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbudget.rules.anomalies.monitor import JUMP_MS, LASTING_SLOTS, Observation, Sensitivity, SeriesMonitor
from spanbudget.rules.anomalies.packing import BrokenStateError
from spanbudget.rules.anomalies.slots import DAY_SLOTS, HOUR_SLOTS, SLOT_MS, Slot

START_MS = 1_767_571_200_000  # a Monday
DAY_MS = DAY_SLOTS * SLOT_MS
WEEK = 7 * DAY_SLOTS
SENSITIVITY = Sensitivity()
Change = Callable[[Slot], Slot]


def traffic(since: int, until: int, seed: int = 3) -> Iterator[Slot]:
    """Slots with a rhythm of days; each slot is the same whatever the others are."""
    for at in range(since, until):
        rng = random.Random(seed * 100_003 + at)
        level = 1 + 0.5 * math.sin(2 * math.pi * at / DAY_SLOTS)
        requests = max(1, round(rng.gauss(200 * level, 20)))
        yield Slot(START_MS + at * SLOT_MS, requests * 0.01 * rng.gauss(1, 0.05), requests)


def times(factor: float, calls: float = 1.0) -> Change:
    return lambda slot: slot._replace(
        cost_usd=slot.cost_usd * factor * calls, requests=round(slot.requests * calls)
    )


SAME = times(1)


def silent(slot: Slot) -> Slot:
    return Slot(slot.start_ms)


def watch(monitor: SeriesMonitor, since: int, until: int, change: Change = SAME) -> list[Observation]:
    return [monitor.observe(change(slot)) for slot in traffic(since, until)]


def learnt(settings: Sensitivity = SENSITIVITY) -> SeriesMonitor:
    monitor = SeriesMonitor(settings, "prod")
    watch(monitor, 0, WEEK)
    return monitor


def unusual(told: Sequence[Observation]) -> list[int]:
    return [at for at, one in enumerate(told) if one.score >= 1]


def test_usual_traffic_is_learnt_and_then_fine() -> None:
    monitor = SeriesMonitor(SENSITIVITY)
    told = watch(monitor, 0, 3 * WEEK)
    learning = SENSITIVITY.learning_ms // SLOT_MS
    assert [one.status for one in told] == ["learning"] * learning + ["ok"] * (3 * WEEK - learning)
    assert {one.score for one in told[:learning]} == {0.0}
    assert monitor.episodes() == ()


@pytest.mark.parametrize(
    ("change", "signal", "within"),
    [
        (times(1, calls=6), "spend", 2),
        (times(1.9), "cost_per_request", HOUR_SLOTS),
        (silent, "silence", 3 * HOUR_SLOTS),
    ],
)
def test_each_member_finds_its_kind(change: Change, signal: str, within: int) -> None:
    monitor = learnt()
    told = watch(monitor, WEEK, WEEK + 4 * HOUR_SLOTS, change)
    first = unusual(told)[0]
    assert first < within
    assert (told[first].signal, told[first].status) == (signal, "anomalous")


def test_an_episode_tells_what_it_cost() -> None:
    monitor = learnt()
    long = 6
    told = watch(monitor, WEEK, WEEK + long, times(1, calls=8))
    after = watch(monitor, WEEK + long, WEEK + DAY_SLOTS)
    (episode,) = monitor.episodes()
    usual = sum(slot.cost_usd for slot in traffic(WEEK, WEEK + long))
    assert episode.signal == "spend"
    assert episode.start_ms == START_MS + WEEK * SLOT_MS
    assert episode.end_ms is not None
    assert episode.end_ms >= START_MS + (WEEK + long) * SLOT_MS
    slots = (episode.end_ms - episode.start_ms) // SLOT_MS  # the hour's sum is high for some slots more
    assert long <= slots < long + HOUR_SLOTS
    assert episode.expected_usd == pytest.approx(usual * slots / long, rel=0.1)
    assert episode.excess_usd == pytest.approx(7 * usual, rel=0.1)
    assert told[-1].excess_usd == pytest.approx(7 * usual, rel=0.1)
    assert after[-1].status == "ok"
    assert (after[-1].excess_usd, after[-1].episode_start_ms) == (0.0, None)
    assert episode.peak_score == max(one.score for one in told + after)


def test_silence_begins_with_its_first_slot_and_counts_what_is_missing() -> None:
    monitor = learnt()
    told = watch(monitor, WEEK, WEEK + 4 * HOUR_SLOTS, silent)
    (episode,) = monitor.episodes()
    assert (episode.signal, episode.end_ms) == ("silence", None)
    assert episode.start_ms == START_MS + WEEK * SLOT_MS
    usual = sum(slot.cost_usd for slot in traffic(WEEK, WEEK + 4 * HOUR_SLOTS))
    assert (episode.observed_usd, episode.excess_usd) == (0.0, pytest.approx(-usual, rel=0.1))
    assert told[-1].excess_usd == episode.excess_usd


def test_missing_slots_are_empty_ones() -> None:
    given, sent = learnt(), learnt()
    empty = watch(given, WEEK, WEEK + 30, silent)
    last = sent.observe(Slot(START_MS + (WEEK + 29) * SLOT_MS))
    assert last == empty[-1]
    assert sent.state() == given.state()


def test_alarms_within_six_hours_are_one_episode() -> None:
    monitor = learnt()
    for at, calls, following in ((0, 10, 30), (30, 10, 60), (60, 10, 110), (110, 1_000, 120)):
        watch(monitor, WEEK + at, WEEK + at + 2, times(1, calls=calls))
        watch(monitor, WEEK + at + 2, WEEK + following)
    first, second = monitor.episodes()
    assert (first.start_ms, second.start_ms) == (
        START_MS + WEEK * SLOT_MS,
        START_MS + (WEEK + 110) * SLOT_MS,
    )


@pytest.mark.parametrize("change", [times(1, calls=5), times(3), silent], ids=["volume", "price", "silence"])
def test_a_lasting_level_becomes_usual(change: Change) -> None:
    monitor = learnt()
    told = watch(monitor, WEEK, WEEK + 4 * DAY_SLOTS, change)
    assert unusual(told)
    assert {one.status for one in told[LASTING_SLOTS + DAY_SLOTS :]} == {"ok"}
    assert len(monitor.episodes()) <= 2


def test_an_ended_spike_is_usual_unless_it_was_excluded() -> None:
    twice = []
    for is_real in (False, True):
        monitor = learnt()
        watch(monitor, WEEK, WEEK + 6, times(1, calls=4))
        watch(monitor, WEEK + 6, WEEK + DAY_SLOTS)
        if is_real:
            monitor.exclude(START_MS + WEEK * SLOT_MS, START_MS + (WEEK + 6) * SLOT_MS)
        again = watch(monitor, WEEK + DAY_SLOTS, WEEK + DAY_SLOTS + 6, times(1, calls=4))
        twice.append(bool(unusual(again)))
    assert twice == [False, True]


def test_a_time_that_is_excluded_never_becomes_usual() -> None:
    monitor = learnt()
    monitor.exclude(START_MS + WEEK * SLOT_MS, START_MS + 2 * WEEK * SLOT_MS)
    told = watch(monitor, WEEK, WEEK + 3 * DAY_SLOTS, times(1, calls=5))
    assert told[-1].status == "anomalous"
    assert len(monitor.episodes()) == 1


@pytest.mark.parametrize("change", [times(1, calls=20), times(9), silent])
def test_what_is_expected_never_alerts_and_is_not_learnt(change: Change) -> None:
    monitor = learnt()
    hours = 12 * HOUR_SLOTS
    monitor.expect(START_MS + WEEK * SLOT_MS, START_MS + (WEEK + hours) * SLOT_MS)
    inside = watch(monitor, WEEK, WEEK + hours, change)
    assert {(one.status, one.score) for one in inside} == {("ok", 0.0)}
    assert monitor.episodes() == ()
    afterwards = watch(monitor, WEEK + DAY_SLOTS, WEEK + DAY_SLOTS + 6, times(1, calls=6))
    assert unusual(afterwards)


def test_money_at_stake_gates() -> None:
    monitor = learnt(Sensitivity(min_excess_usd=1_000))
    told = watch(monitor, WEEK, WEEK + 6, times(1, calls=8))
    assert {one.status for one in told} == {"ok"}
    assert 0 < max(one.score for one in told) < 1
    assert unusual(watch(learnt(Sensitivity(min_excess_usd=10)), WEEK, WEEK + 6, times(1, calls=8)))


def test_members_can_be_left_out() -> None:
    monitor = learnt(Sensitivity(members=frozenset({"spend"})))
    assert unusual(watch(monitor, WEEK, WEEK + DAY_SLOTS, silent)) == []


def test_a_look_at_the_running_slot_changes_nothing_and_is_no_silence() -> None:
    monitor = learnt()
    before = monitor.state()
    start_ms = START_MS + WEEK * SLOT_MS
    assert monitor.peek(Slot(start_ms, 500.0, 5_000)).score >= 1
    assert monitor.peek(Slot(start_ms)).score == 0
    assert monitor.state() == before
    watch(monitor, WEEK, WEEK + 10, silent)
    assert monitor.peek(Slot(start_ms + 10 * SLOT_MS)).score == 0


def test_a_slot_that_is_not_later_is_ignored_and_that_is_said() -> None:
    monitor = learnt()
    before = monitor.state()
    for back in (1, 5, DAY_SLOTS):
        told = monitor.observe(Slot(START_MS + (WEEK - back) * SLOT_MS, 900.0, 10))
        assert told.ignored
    assert monitor.state() == before
    assert not watch(monitor, WEEK, WEEK + 1)[0].ignored


@pytest.mark.parametrize("jump_ms", [JUMP_MS + SLOT_MS, -JUMP_MS - 8 * DAY_MS, 40 * 365 * DAY_MS])
def test_after_a_jump_of_the_clock_it_learns_anew(jump_ms: int) -> None:
    monitor = learnt()
    told = [
        monitor.observe(slot._replace(start_ms=slot.start_ms + jump_ms, cost_usd=50 * slot.cost_usd))
        for slot in traffic(WEEK, WEEK + 2 * DAY_SLOTS)
    ]
    assert {one.status for one in told} == {"learning"}
    assert monitor.episodes() == ()


def test_a_level_that_never_alerts_often_for_a_restless_series() -> None:
    monitor = SeriesMonitor(SENSITIVITY)
    rng = random.Random(9)
    for slot in traffic(0, 8 * WEEK):
        spike = 6 + 30 * rng.random() if rng.random() < 0.004 else 1.0
        monitor.observe(times(1, calls=spike)(slot))
    late = [one for one in monitor.episodes() if one.start_ms > START_MS + 4 * WEEK * SLOT_MS]
    assert len(late) <= 4  # four weeks at one per week; about 16 spikes


def test_the_band_holds_what_is_expected_and_ends_where_it_alerts() -> None:
    monitor = learnt(Sensitivity(members=frozenset({"spend"})))
    (slot,) = traffic(WEEK, WEEK + 1)
    told = monitor.peek(slot)
    assert 0 < told.band_low_usd <= told.expected_usd <= told.band_high_usd
    assert monitor.peek(slot._replace(cost_usd=told.band_high_usd * 0.99)).score < 1
    assert monitor.peek(slot._replace(cost_usd=told.band_high_usd * 1.01)).score >= 1


@pytest.mark.parametrize("stop", [1, 50, 600, WEEK + 3, WEEK + 9, WEEK + 200])
def test_restored_it_goes_on_as_if_it_had_never_stopped(stop: int) -> None:
    def slots() -> Iterator[Slot]:
        yield from traffic(0, WEEK)
        yield from map(times(1, calls=7), traffic(WEEK, WEEK + 8))
        yield from map(times(3), traffic(WEEK + 8, WEEK + 150))
        yield from map(silent, traffic(WEEK + 150, WEEK + 260))

    whole = SeriesMonitor(SENSITIVITY, "prod")
    whole.expect(START_MS + 500 * SLOT_MS, START_MS + 520 * SLOT_MS)
    told = [whole.observe(slot) for slot in slots()]
    monitor = SeriesMonitor(SENSITIVITY, "prod")
    monitor.expect(START_MS + 500 * SLOT_MS, START_MS + 520 * SLOT_MS)
    again = []
    for at, slot in enumerate(slots()):
        if at == stop:
            monitor = SeriesMonitor.restore(monitor.state(), SENSITIVITY, "prod")
        again.append(monitor.observe(slot))
    assert again == told
    assert monitor.episodes() == whole.episodes()
    assert monitor.state() == whole.state()


def test_a_state_is_small_at_its_largest() -> None:
    monitor = SeriesMonitor(Sensitivity(alert_budget_per_week=100, learning_ms=3_600_000))
    rng = random.Random(4)
    for number, slot in enumerate(traffic(0, 4 * WEEK)):
        if number % 50 == 0:
            monitor.exclude(slot.start_ms + DAY_MS, slot.start_ms + DAY_MS + 1)
            monitor.expect(slot.start_ms + 2 * DAY_MS, slot.start_ms + 2 * DAY_MS + 1)
        monitor.observe(times(1, calls=math.exp(rng.gauss(0, 2)))(slot))
    watch(monitor, 4 * WEEK, 4 * WEEK + LASTING_SLOTS - 2, times(1, calls=10**6))
    assert len(monitor.state()) <= 10_000


@pytest.mark.parametrize("cut", [0, 3, 8, 40, 500, -1])
def test_a_broken_state_is_said_to_be_one(cut: int) -> None:
    with pytest.raises(BrokenStateError):
        SeriesMonitor.restore(learnt().state()[:cut], SENSITIVITY)


def test_the_state_of_another_version_is_said_to_be_one() -> None:
    state = bytearray(learnt().state())
    state[4] += 1
    with pytest.raises(BrokenStateError, match="version"):
        SeriesMonitor.restore(bytes(state), SENSITIVITY)


BAD = st.sampled_from([0.0, -1.0, math.nan, math.inf, -math.inf, 1e-300, 1e300, 1e11, 0.01, 5.0])
SLOTS = st.tuples(
    st.integers(-3, 300).map(lambda step: step * SLOT_MS) | st.integers(-(10**12), 10**12),
    BAD | st.floats(),
    st.integers(-5, 10**20),
)


@settings(max_examples=60)
@given(st.lists(SLOTS, min_size=1, max_size=40), st.sampled_from([600_000, 3 * 86_400_000]))
def test_bad_input_has_defined_results(steps: list[tuple[int, float, int]], learning_ms: int) -> None:
    monitor = SeriesMonitor(Sensitivity(learning_ms=learning_ms, min_excess_usd=1.0))
    at_ms = START_MS
    for step_ms, cost, requests in steps:
        at_ms = max(0, at_ms + step_ms)
        slot = Slot(at_ms, cost, requests)
        for told in (monitor.peek(slot), monitor.observe(slot)):
            figures = (told.score, told.expected_usd, told.band_low_usd, told.band_high_usd, told.excess_usd)
            assert all(map(math.isfinite, figures))
            assert told.score >= 0
            assert told.band_low_usd <= told.band_high_usd
    assert len(monitor.state()) <= 10_000
    assert SeriesMonitor.restore(monitor.state(), SENSITIVITY).state() == monitor.state()


@pytest.mark.parametrize("cost", [0.0, 1e-9, 5.0, 1e11])
def test_a_constant_series_is_never_unusual(cost: float) -> None:
    monitor = SeriesMonitor(SENSITIVITY)
    told = [monitor.observe(Slot(START_MS + at * SLOT_MS, cost, 3)) for at in range(2 * WEEK)]
    assert unusual(told) == []


def test_one_point_alone_learns() -> None:
    monitor = SeriesMonitor(SENSITIVITY)
    told = monitor.observe(Slot(START_MS, 7.0, 1))
    assert (told.status, told.score, told.episode_start_ms) == ("learning", 0.0, None)
    assert SeriesMonitor(SENSITIVITY).observe(Slot(START_MS)).status == "learning"
    assert SeriesMonitor(SENSITIVITY).peek(Slot(START_MS, 7.0, 1)).score == 0


def test_a_series_with_few_calls_stays_learning() -> None:
    monitor = SeriesMonitor(SENSITIVITY)
    told = [
        monitor.observe(Slot(START_MS + at * SLOT_MS, float(at % DAY_SLOTS == 0), int(at % DAY_SLOTS == 0)))
        for at in range(2 * WEEK)
    ]
    assert {one.status for one in told} == {"learning"}


def test_traffic_that_comes_and_goes_is_never_silent() -> None:
    monitor = SeriesMonitor(Sensitivity(members=frozenset({"silence"})))
    rng = random.Random(6)
    is_on = True
    told = []
    for slot in traffic(0, 6 * WEEK):
        is_on = is_on if rng.random() < 0.97 else not is_on
        told.append(monitor.observe(slot if is_on else silent(slot)))
    assert unusual(told) == []
