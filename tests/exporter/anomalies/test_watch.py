"""The watch on a ledger: slots closed one by one or at once, runaways, dearer models, marks, wrong clocks."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slot_ledger import CONFIG, DAY_MS, START_MS, SlotLedger, kept_of, live, settle

from spanbudget.exporter.anomalies.nursery import HISTORY
from spanbudget.exporter.anomalies.records import UNTIL_ENDED_MS, ExpectedMark, KeptAnomalies, MarkKind
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.anomalies.watch import GRACE_MS, SAVE_MS, Watch
from spanbudget.processors import names_out as names
from spanbudget.rules.anomalies.slots import SLOT_MS

HOUR_MS = 6 * SLOT_MS
PROD = SeriesName("prod")
THIRD = START_MS + 3 * DAY_MS


def shown(watch: Watch) -> list[tuple[str, str, bool]]:
    return sorted((one.series.text, one.signal, one.end_ms is None) for one in watch.change().episodes)


def mark(kind: MarkKind, since_ms: int, until_ms: int, **told: str) -> ExpectedMark:
    episode = told.pop("episode", "")
    return ExpectedMark(
        f"{kind}-{since_ms}", kind, {"budget": "prod", **told}, episode, "", since_ms, until_ms, 0
    )


def runaway(ledger: SlotLedger, since_ms: int, minutes: int, user: str = "bob", usd: float = 0.1) -> None:
    """Twenty calls a minute, each as dear as ever."""
    for second in range(0, minutes * 60, 3):
        ledger.call(since_ms + second * 1_000, usd, user=user, model="gpt-5-pro", service="agent")
    ledger.flush()


def test_slots_closed_one_by_one_and_all_at_once_teach_the_same(ledger):
    ledger.days(0, 2)
    one_by_one = ledger.watch(START_MS)
    live(one_by_one, START_MS, START_MS + 2 * DAY_MS)
    now_ms = START_MS + 2 * DAY_MS + GRACE_MS
    at_once = ledger.watch(now_ms)
    settle(at_once, now_ms)
    states = [dict(watch.change(ends=True).states) for watch in (one_by_one, at_once)]
    assert states[0].keys() == states[1].keys()
    assert {name.text for name in states[0]} == {
        "", "prod", "prod · model=gpt-5", "prod · service=api", "prod · user=ann", "prod · user=bob"
    }  # fmt: skip
    for name in states[0]:
        assert states[0][name] == states[1][name], name


def test_a_restart_goes_on_as_if_nothing_had_been_stopped(ledger):
    ledger.days(0, 2)
    runaway(ledger, START_MS + 2 * DAY_MS - 3 * HOUR_MS, 40)
    half_ms = START_MS + 2 * DAY_MS - 2 * HOUR_MS + GRACE_MS
    first = ledger.watch(half_ms)
    settle(first, half_ms)
    kept = kept_of(first.change(ends=True))
    assert {one.series.text for one in kept.episodes} == {"prod", "prod · user=bob"}
    now_ms = half_ms + 10 * HOUR_MS
    second, whole = ledger.watch(now_ms, kept), ledger.watch(now_ms)
    for watch in (second, whole):
        settle(watch, now_ms)
    assert {one.id for one in kept.episodes} <= {one.id for one in whole.change().episodes}
    ended = {one.id: one for one in second.change(ends=True).episodes}
    for one in whole.change(ends=True).episodes:
        assert (ended[one.id].end_ms, ended[one.id].excess_usd) == (one.end_ms, one.excess_usd)
    assert second.change(ends=True).states == whole.change(ends=True).states


def test_a_runaway_is_seen_in_the_slot_that_lasts_with_who_made_it(ledger):
    ledger.days(0, 4)
    watch = ledger.watch(THIRD + GRACE_MS)
    settle(watch, THIRD + GRACE_MS)
    assert watch.change().episodes == ()
    watch.kept(watch.change())
    runaway(ledger, THIRD, 2)
    watch.take(THIRD + 2 * 60_000)
    total = next(one for one in watch.change().episodes if one.series == PROD)
    assert (total.signal, total.start_ms, total.end_ms) == ("spend", THIRD, None)
    assert total.excess_usd == pytest.approx(4, rel=0.15)
    made = {(one.dimension, one.value): one.excess_usd for one in total.contributors}
    for who in (("user", "bob"), ("model", "gpt-5-pro"), ("service", "agent")):
        assert made[who] == pytest.approx(total.excess_usd, rel=0.1)
    assert made.get(("user", "ann"), 0) < 0.2
    assert [one.id for one in watch.kept(watch.change()) if one.series == PROD] == [total.id]
    watch.take(THIRD + 3 * 60_000)
    assert watch.change().episodes == ()  # nothing new to keep, and nobody is told twice
    settle(watch, THIRD + 8 * HOUR_MS)
    ended = next(one for one in watch.change().episodes if one.series == PROD)
    assert ended.id == total.id
    assert ended.end_ms is not None
    assert THIRD + SLOT_MS <= ended.end_ms <= THIRD + HOUR_MS  # the sum of the hour is looked at, too


@pytest.mark.postgres
def test_it_is_the_same_on_postgresql(ledger, on_server):
    found = []
    for one in (ledger, on_server):
        one.days(0, 3)
        runaway(one, THIRD, 20)
        watch = one.watch(THIRD + HOUR_MS)
        settle(watch, THIRD + HOUR_MS)
        found.append((watch.change(ends=True).states, shown(watch)))
    assert found[0] == found[1]
    assert found[0][1]


def test_a_dearer_model_is_found_by_what_a_call_costs(ledger):
    """As many calls as ever, each three times as dear; the budget has seen a day that was dearer."""
    ledger.days(0, 1, calls=12, usd=0.2)
    ledger.days(1, 2, calls=4)
    for slot in range(3 * 144, 3 * 144 + 12):
        for number in range(4):
            ledger.call(START_MS + slot * SLOT_MS + number * 60_000, 0.3, user="ann", model="gpt-5-pro")
    ledger.flush()
    watch = ledger.watch(THIRD + 2 * HOUR_MS + GRACE_MS)
    settle(watch, THIRD + 2 * HOUR_MS + GRACE_MS)
    found = [one for one in watch.change().episodes if one.series == PROD]
    assert [(one.signal, one.start_ms >= THIRD) for one in found] == [("cost_per_request", True)]
    assert {"gpt-5-pro"} == {one.value for one in found[0].contributors if one.dimension == "model"}


def test_silence_is_found_when_its_slots_are_over_and_never_in_one_that_lasts(ledger):
    ledger.days(0, 3)
    watch = ledger.watch(THIRD + GRACE_MS, text=CONFIG.replace("1d}", "1d, min_excess_usd: 0.1}"))
    settle(watch, THIRD + GRACE_MS)
    live(watch, THIRD, THIRD + 4 * HOUR_MS)
    found = next(one for one in watch.change().episodes if one.series == PROD)
    assert found.signal == "silence"
    assert found.excess_usd is not None
    assert found.excess_usd < 0


def test_nothing_alerts_while_it_learns(ledger):
    runaway(ledger, START_MS + HOUR_MS, 60)
    runaway(ledger, START_MS + 8 * HOUR_MS, 60, usd=5)
    now_ms = START_MS + DAY_MS // 2
    watch = ledger.watch(now_ms)
    settle(watch, now_ms)
    assert watch.change().episodes == ()
    assert {seen.status for line in watch.lines.values() for seen in line.seen.values()} == {"learning"}


def test_an_expected_time_alerts_nobody_and_is_no_measure(ledger):
    ledger.days(0, 4)
    runaway(ledger, THIRD, 30)
    later_ms = THIRD + 20 * HOUR_MS
    runaway(ledger, later_ms, 30)
    now_ms = later_ms + HOUR_MS
    ledger.marks.append(mark("expected", THIRD - HOUR_MS, THIRD + 2 * HOUR_MS))
    watch = ledger.watch(now_ms)
    settle(watch, now_ms)
    assert {one.start_ms for one in watch.change().episodes} == {later_ms}
    assert PROD in {one.series for one in watch.change().episodes}


def test_what_is_expected_of_a_part_is_expected_of_the_total_and_of_no_other_part(ledger):
    ledger.days(0, 3)
    ledger.marks.append(mark("expected", THIRD, THIRD + HOUR_MS, dimension="user", value="bob"))
    watch = ledger.watch(THIRD)
    settle(watch, THIRD)
    runaway(ledger, THIRD, 10, user="bob")
    runaway(ledger, THIRD, 10, user="ann")
    settle(watch, THIRD + SLOT_MS + GRACE_MS)
    series = {one.series.text for one in watch.change().episodes}
    assert "prod · user=ann" in series
    assert not series & {"prod", "prod · user=bob"}


def test_a_confirmed_incident_is_no_measure_of_the_next(ledger):
    """The second one is half as dear: beside the first it would be nothing."""
    ledger.days(0, 4)
    runaway(ledger, THIRD, 60, usd=0.2)
    second_ms = THIRD + 20 * HOUR_MS
    runaway(ledger, second_ms, 60, usd=0.1)
    now_ms = second_ms + 2 * HOUR_MS
    unsaid = ledger.watch(now_ms)
    settle(unsaid, now_ms)
    assert {one.start_ms for one in unsaid.change().episodes if one.series == PROD} == {THIRD}
    ledger.marks.append(mark("acknowledged", THIRD, THIRD + HOUR_MS))
    said = ledger.watch(now_ms)
    settle(said, now_ms)
    assert {one.start_ms for one in said.change().episodes if one.series == PROD} == {THIRD, second_ms}


def test_a_mark_of_an_episode_lasts_as_long_as_it_does(ledger):
    ledger.days(0, 4)
    runaway(ledger, THIRD, 180)
    watch = ledger.watch(THIRD)
    settle(watch, THIRD)
    live(watch, THIRD, THIRD + HOUR_MS)
    total = next(one for one in watch.change().episodes if one.series == PROD)
    ledger.marks.append(mark("acknowledged", total.start_ms, UNTIL_ENDED_MS, episode=total.id))
    live(watch, THIRD + HOUR_MS, THIRD + 12 * HOUR_MS)
    until_ms = watch.lines[PROD].marked[f"acknowledged-{total.start_ms}"]
    assert THIRD + 3 * HOUR_MS <= until_ms <= THIRD + 12 * HOUR_MS
    ended = next(one for one in watch.change().episodes if one.series == PROD)
    assert ended.end_ms is not None
    assert THIRD + 3 * HOUR_MS <= ended.end_ms < THIRD + 4 * HOUR_MS


def test_a_mark_that_is_taken_back_lets_the_budget_learn_anew(ledger):
    ledger.days(0, 3)
    runaway(ledger, THIRD, 60)
    ledger.marks.append(mark("expected", THIRD, THIRD + 3 * HOUR_MS))
    now_ms = THIRD + 2 * HOUR_MS + GRACE_MS
    watch = ledger.watch(now_ms)
    settle(watch, now_ms)
    assert watch.change().episodes == ()
    ledger.marks.clear()
    settle(watch, now_ms + 2_000)
    settle(watch, now_ms + 3_000)
    fresh = ledger.watch(now_ms + 3_000)
    settle(fresh, now_ms + 3_000)
    assert shown(watch) == shown(fresh) != []
    assert watch.change(ends=True).states == fresh.change(ends=True).states


def test_what_was_learnt_is_kept_every_hour_and_when_the_past_was_read(ledger):
    ledger.days(0, 1)
    now_ms = START_MS + DAY_MS + GRACE_MS
    watch = ledger.watch(now_ms)
    settle(watch, now_ms)
    saved = []
    for minute in range(130):
        watch.take(now_ms + minute * 60_000)
        change = watch.change()
        if change.states:
            saved.append(minute)
            assert HISTORY in change.states
        watch.kept(change)
    assert saved == [0, 60, 120]
    assert SAVE_MS == 60 * 60_000


def test_a_state_that_cannot_be_read_lets_that_series_learn_anew_and_is_counted(ledger):
    ledger.days(0, 2)
    now_ms = START_MS + 2 * DAY_MS + GRACE_MS
    first = ledger.watch(now_ms)
    settle(first, now_ms)
    states = dict(first.change(ends=True).states)
    for broken in (b"", b"SBA1", states[PROD].state[:-7], b"SBA9" + states[PROD].state[4:], bytes(300)):
        kept = KeptAnomalies({**states, PROD: states[PROD]._replace(state=broken)})
        again = ledger.watch(now_ms, kept)
        settle(again, now_ms + SLOT_MS)
        assert again.health()[names.ANOMALIES_RELEARNED.name, ""] == 1
        assert again.lines[PROD].seen["money"].status == "learning"
        assert again.lines[SeriesName("prod", "", "user", "ann")].seen["money"].status == "ok"


def test_a_budget_that_is_new_or_counts_other_calls_learns_from_the_past(ledger):
    ledger.days(0, 2)
    now_ms = START_MS + 2 * DAY_MS + GRACE_MS
    first = ledger.watch(now_ms)
    settle(first, now_ms)
    kept = kept_of(first.change(ends=True))
    more = CONFIG + "  - {name: ann, match: {user: ann}, max_cost: 5}\n"
    second = ledger.watch(now_ms, kept, more)
    assert second.is_behind
    settle(second, now_ms)
    assert second.lines[SeriesName("ann")].seen["money"].status == "ok"
    assert second.change(ends=True).states[PROD] == kept.states[PROD]
    other = CONFIG.replace("name: prod,", "name: prod, match: {user: bob},")
    third = ledger.watch(now_ms, kept, other)
    settle(third, now_ms)
    assert SeriesName("prod", "", "user", "ann") not in third.lines
    assert SeriesName("prod", "", "user", "ann") in third.change(ends=True).gone


def test_a_gap_and_a_clock_that_jumps_close_no_more_than_two_weeks(ledger):
    ledger.days(0, 2)
    now_ms = START_MS + 2 * DAY_MS + GRACE_MS
    watch = ledger.watch(now_ms)
    settle(watch, now_ms)
    settle(watch, now_ms + 400 * DAY_MS)
    assert watch.change().episodes == ()
    assert {seen.status for line in watch.lines.values() for seen in line.seen.values()} <= {"learning", "ok"}


def test_a_clock_that_was_set_back_closes_nothing_until_it_is_there_again(ledger):
    ledger.days(0, 2)
    now_ms = START_MS + 2 * DAY_MS + GRACE_MS
    watch = ledger.watch(now_ms)
    settle(watch, now_ms)
    before = watch.change(ends=True).states
    for back_ms in (HOUR_MS, 12 * HOUR_MS, 60_000):
        watch.take(now_ms - back_ms)
    assert watch.change(ends=True).states == before
    kept = KeptAnomalies(before)
    early = ledger.watch(now_ms - 5 * DAY_MS, kept)  # what was kept is from the future
    settle(early, now_ms - 5 * DAY_MS)
    assert early.until_ms <= now_ms - 5 * DAY_MS


def test_money_that_is_taken_back_leaves_no_less_than_nothing(ledger):
    ledger.days(0, 2)
    for minute in range(10):
        ledger.call(START_MS + 2 * DAY_MS + minute * 60_000, 50.0, reversal=True, user="ann")
    ledger.flush()
    now_ms = START_MS + 2 * DAY_MS + HOUR_MS
    watch = ledger.watch(now_ms)
    settle(watch, now_ms)
    assert all(one.signal == "silence" for one in watch.change().episodes)


def test_an_empty_ledger_and_no_budget_are_fine(ledger):
    for text in (CONFIG, "anomalies: {enabled: true}\n"):
        watch = ledger.watch(START_MS, text=text)
        settle(watch, START_MS + DAY_MS)
        assert (watch.lines, watch.change().episodes) == ({}, ())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jumps=st.lists(
        st.integers(-3 * DAY_MS, 20 * DAY_MS) | st.sampled_from([0, 1, 1_000, SLOT_MS]), max_size=8
    ),
    amounts=st.lists(st.floats(0, 1e9), max_size=8),
)
def test_whatever_the_clock_and_the_money_do_nothing_fails_and_nothing_alerts_that_is_learning(
    ledger, jumps, amounts
):
    now_ms = START_MS + 30 * DAY_MS
    watch = ledger.watch(now_ms)
    settle(watch, now_ms)
    for number, jump_ms in enumerate(jumps):
        now_ms = max(0, now_ms + jump_ms)
        for amount in amounts[: number + 1]:
            ledger.call(now_ms, amount, reversal=number % 3 == 2)
        ledger.flush()
        settle(watch, now_ms)
        watch.kept(watch.change())
        for line in watch.lines.values():
            for seen in line.seen.values():
                assert seen.status != "learning" or seen.episode is None
                assert 0 <= seen.score < 1e6
