from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_alerts import HOUR, MINUTE, firing, resolved, threshold

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import label_value
from spanbudget.rules.notifications.notification import Notification, Sent, Told
from spanbudget.rules.notifications.planning import plan
from spanbudget.rules.notifications.policy import ReceiverPolicy, group_key
from spanbudget.rules.notifications.time_intervals import TimeInterval
from spanbudget.rules.notifications.written import read_sent, write_sent

ONE = ReceiverPolicy("team")


class Listener:
    """A receiver with a log that is written down and read again after each step."""

    def __init__(self, policy: ReceiverPolicy = ONE) -> None:
        self.policy = policy
        self.log: dict[str, Sent] = {}
        self.next_due_ms: int | None = None

    def step(self, alerts: list[Alert], now: int, **options) -> list[Notification]:
        made = plan(self.policy, alerts, self.log, now, **options)
        again = plan(self.policy, alerts, self.log, now, **options)
        assert again == made
        self.log = {key: sent for key, sent in self.log.items() if key not in made.forgotten}
        self.log |= {key: read_sent(write_sent(sent)) for key, sent in made.log.items()}
        self.next_due_ms = made.next_due_ms
        assert made.next_due_ms is None or made.next_due_ms > now
        # Nothing is told twice: the same alerts and the new log leave nothing to tell or to write.
        after = plan(self.policy, alerts, self.log, now, **options)
        assert (after.notifications, dict(after.log), after.forgotten) == ((), {}, ())
        return list(made.notifications)

    def heard(self, alerts: list[Alert], now: int, **options) -> list[str]:
        return [said(notification) for notification in self.step(alerts, now, **options)]


def said(notification: Notification) -> str:
    alerts = [
        f"{label_value(alert.labels, 'alertname')}{'+' if alert.state == 'firing' else '-'}"
        for alert in notification.alerts
    ]
    return f"{notification.status}: {' '.join(alerts)}"


def test_a_firing_alert_is_told_at_once_and_once() -> None:
    receiver = Listener()
    (notification,) = receiver.step([firing(since=1_000)], 1_000)
    assert notification == Notification(
        notification.id,
        "team",
        '{}:{alertname="X"}',
        (("alertname", "X"),),
        (firing(since=1_000),),
        1_000,
    )
    assert receiver.log == {'{}:{alertname="X"}': Sent(1_000, (Told(firing(since=1_000)),))}
    assert receiver.heard([firing(since=1_000)], 16_000) == []
    assert receiver.next_due_ms == 1_000 + 4 * HOUR


def test_pending_alerts_are_not_told() -> None:
    pending = replace(firing(), state="pending", fired_at_ms=None)
    assert plan(ONE, [pending], {}, 0) == ((), {}, (), None)


def test_an_end_is_told_after_it_has_held() -> None:
    receiver = Listener()
    receiver.step([firing()], 0)
    ended = resolved(at=10 * MINUTE)
    assert receiver.heard([ended], 10 * MINUTE) == []
    assert receiver.next_due_ms == 15 * MINUTE
    assert receiver.heard([ended], 15 * MINUTE - 1) == []
    (notification,) = receiver.step([ended], 15 * MINUTE)
    assert (notification.status, notification.alerts) == ("resolved", (ended,))
    assert receiver.log == {}
    assert plan(ONE, [ended], receiver.log, 16 * MINUTE) == ((), {}, (), None)


@pytest.mark.parametrize(("pending", "last_up"), [(0, 58), (2, 56)])
def test_an_hour_of_flapping_is_one_notification_and_one_resolve(pending: int, last_up: int) -> None:
    """Minute by minute up and down for an hour, then down; with `for`, pending for 2 minutes before each up.

    While it is pending, nobody knows any more when it ended.
    """
    receiver, heard = Listener(), []
    for minute in range(90):
        now = minute * MINUTE
        phase = minute % (2 + pending)
        if minute < 60 and phase == 0:
            alerts = [firing(since=now)]
        elif minute < 60 and phase > 1:
            alerts = [replace(firing(since=now), state="pending", fired_at_ms=None)]
        elif minute < 60 or (not pending and minute < 75):
            ended = min(minute, last_up + 1) * MINUTE
            alerts = [resolved(since=ended - MINUTE, at=ended)]
        else:
            alerts = []
        heard += [(minute, text) for text in receiver.heard(alerts, now)]
    assert heard == [(0, "firing: X+"), (last_up + 1 + 5, "resolved: X-")]


def test_flapping_for_an_hour_keeps_the_first_beginning() -> None:
    receiver = Listener(replace(ONE, repeat_interval_ms=30 * MINUTE))
    begins = []
    for minute in range(60):
        alert = firing(since=minute * MINUTE) if minute % 2 == 0 else resolved(at=minute * MINUTE)
        told = receiver.step([alert], minute * MINUTE)
        begins += [(minute, notification.alerts[0].fired_at_ms) for notification in told]
    assert begins == [(0, 0), (30, 0)]


def test_an_alert_that_fires_again_after_its_end_was_told_is_a_new_incident() -> None:
    receiver = Listener()
    first = receiver.step([firing()], 0)
    receiver.step([resolved(at=MINUTE)], MINUTE)
    receiver.step([resolved(at=MINUTE)], 6 * MINUTE)
    second = receiver.step([firing(since=7 * MINUTE)], 7 * MINUTE)
    assert [said(n) for n in second] == ["firing: X+"]
    assert second[0].alerts[0].fired_at_ms == 7 * MINUTE
    assert first[0].id != second[0].id


def test_an_end_for_good_is_told_at_once() -> None:
    receiver = Listener()
    receiver.step([firing()], 0)
    ended = resolved(at=MINUTE)
    assert receiver.heard([ended], MINUTE, ended_for_good={ended.labels}) == ["resolved: X-"]
    assert receiver.heard([firing(since=2 * MINUTE)], 2 * MINUTE) == ["firing: X+"]


def test_an_alert_that_nobody_knows_any_more_has_ended() -> None:
    receiver = Listener()
    receiver.step([firing()], 0)
    assert receiver.heard([], MINUTE) == []
    (notification,) = receiver.step([], 6 * MINUTE)
    assert notification.alerts == (replace(firing(), state="inactive", resolved_at_ms=MINUTE),)


def test_what_still_fires_is_told_again_after_the_repeat_interval() -> None:
    receiver = Listener(replace(ONE, repeat_interval_ms=HOUR))
    ids = []
    for minute in range(181):
        ids += [(minute, notification.id) for notification in receiver.step([firing()], minute * MINUTE)]
    assert [minute for minute, _ in ids] == [0, 60, 120, 180]
    assert len({id_ for _, id_ in ids}) == 4


def test_what_has_ended_and_is_held_is_not_repeated() -> None:
    receiver = Listener(replace(ONE, repeat_interval_ms=2 * MINUTE))
    receiver.step([firing()], 0)
    assert receiver.heard([resolved(at=MINUTE)], 3 * MINUTE) == []
    assert receiver.next_due_ms == 6 * MINUTE


def test_a_restart_from_the_log_tells_nothing_again() -> None:
    receiver = Listener()
    alerts = [firing("A"), firing("B")]
    assert receiver.heard(alerts, 0) == ["firing: A+", "firing: B+"]
    again = Listener()
    again.log = receiver.log
    assert again.heard(alerts, MINUTE) == []


def test_a_decision_that_is_taken_again_has_the_same_id() -> None:
    first = plan(ONE, [firing()], {}, 1_000).notifications[0]
    later = plan(ONE, [firing()], {}, 9_000).notifications[0]
    other = plan(replace(ONE, name="other"), [firing()], {}, 1_000).notifications[0]
    assert first.id == later.id != other.id
    assert first.id.startswith("msg_")


def test_without_resolves_the_log_forgets_in_silence() -> None:
    receiver = Listener(replace(ONE, send_resolved=False))
    receiver.step([firing("A", a="1"), firing("A", a="2")], 0)
    half = [firing("A", a="1"), resolved("A", at=MINUTE, a="2")]
    assert receiver.heard(half, 10 * MINUTE) == []
    assert len(receiver.log['{}:{alertname="A"}'].alerts) == 1
    assert receiver.heard([], 10 * MINUTE) == []
    assert receiver.heard([], 20 * MINUTE) == []
    assert receiver.log == {}
    assert receiver.heard([firing("A", since=20 * MINUTE, a="1")], 21 * MINUTE) == ["firing: A+"]


def test_groups_share_a_notification() -> None:
    receiver = Listener(replace(ONE, group_by=("team",)))
    alerts = [firing("B", team="x"), firing("A", team="x"), firing("A", team="y"), firing("C")]
    heard = receiver.step(alerts, 0)
    assert [(n.group_key, said(n)) for n in heard] == [
        ('{}:{team="x"}', "firing: A+ B+"),
        ('{}:{team="y"}', "firing: A+"),
        ("{}:{}", "firing: C+"),
    ]
    # A new one in a group that was told of does not wait, and comes with the others.
    alerts.append(firing("D", since=1_000, team="x"))
    assert receiver.heard(alerts, 1_000) == ["firing: A+ B+ D+"]
    gone = [resolved("B", at=2_000, team="x"), *alerts[1:]]
    assert receiver.heard(gone, 2_000) == []
    assert receiver.heard(gone, 2_000 + 5 * MINUTE) == ["firing: A+ B- D+"]
    assert receiver.heard(gone, 2_000 + 6 * MINUTE) == []


def test_a_group_by_all_labels_is_one_alert() -> None:
    receiver = Listener(replace(ONE, group_by=("...",)))
    heard = receiver.step([firing("A", a="1"), firing("A", a="2")], 0)
    assert [n.group_key for n in heard] == ['{}:{a="1", alertname="A"}', '{}:{a="2", alertname="A"}']


def test_a_change_of_the_grouping_tells_nothing_again() -> None:
    receiver = Listener()
    alerts = [firing("A", team="x"), firing("B", team="x")]
    receiver.step(alerts, 0)
    receiver.policy = replace(ONE, group_by=("team",))
    assert receiver.heard(alerts, MINUTE) == []
    assert list(receiver.log) == ['{}:{team="x"}']


def test_a_new_group_waits_for_others() -> None:
    receiver = Listener(replace(ONE, group_wait_ms=30_000, group_by=()))
    assert receiver.heard([firing("A", since=0)], 0) == []
    assert receiver.next_due_ms == 30_000
    alerts = [firing("A", since=0), firing("B", since=20_000)]
    assert receiver.heard(alerts, 29_999) == []
    assert receiver.heard(alerts, 30_000) == ["firing: A+ B+"]


def test_a_group_that_was_told_of_waits_for_its_interval() -> None:
    receiver = Listener(replace(ONE, group_interval_ms=HOUR, group_by=()))
    receiver.step([firing("A")], 0)
    alerts = [firing("A"), firing("B", since=MINUTE)]
    assert receiver.heard(alerts, MINUTE) == []
    assert receiver.next_due_ms == HOUR
    assert receiver.heard(alerts, HOUR) == ["firing: A+ B+"]


def test_an_alert_that_ends_while_its_group_waits_was_never_told() -> None:
    receiver = Listener(replace(ONE, group_wait_ms=MINUTE))
    receiver.step([firing()], 0)
    assert receiver.heard([resolved(at=30_000)], 10 * MINUTE) == []


DAY = 24 * HOUR
NIGHT = replace(ONE, mute=(TimeInterval(times=((1320, 1440), (0, 360)), location="Europe/Berlin"),))


def test_nothing_is_told_in_a_mute_window_and_what_holds_at_its_end_is() -> None:
    """22:00 to 06:00 in Berlin is 21:00 to 05:00 UTC in January."""
    receiver, heard = Listener(NIGHT), []
    for minute in range(20 * 60, 30 * 60):
        now = minute * MINUTE
        alerts = []
        if now >= 20.5 * HOUR:
            early = firing("Early", since=int(20.5 * HOUR))
            alerts.append(early if now < 23 * HOUR else resolved("Early", at=23 * HOUR))
        if 22 * HOUR <= now < 23 * HOUR:
            alerts.append(firing("Short", since=22 * HOUR))
        if now >= 26 * HOUR:
            alerts.append(firing("Long", since=26 * HOUR))
        heard += [(now / HOUR, text) for text in receiver.heard(alerts, now)]
    assert heard == [(20.5, "firing: Early+"), (29.0, "resolved: Early-"), (29.0, "firing: Long+")]


def test_in_a_mute_window_something_is_due_at_the_next_minute() -> None:
    receiver = Listener(NIGHT)
    assert receiver.heard([firing(since=22 * HOUR)], 22 * HOUR + 1) == []
    assert receiver.next_due_ms == 22 * HOUR + MINUTE
    assert receiver.log == {}


def test_an_alert_that_pauses_over_a_mute_window_is_one_incident() -> None:
    receiver = Listener(NIGHT)
    receiver.step([firing(since=20 * HOUR)], 20 * HOUR)
    receiver.step([resolved(at=22 * HOUR)], 22 * HOUR)
    receiver.step([firing(since=23 * HOUR)], 23 * HOUR)
    assert receiver.heard([firing(since=23 * HOUR)], 30 * HOUR) == ["firing: X+"]  # the repetition
    assert receiver.heard([resolved(since=23 * HOUR, at=31 * HOUR)], 32 * HOUR) == ["resolved: X-"]


def test_a_lower_threshold_is_muted_by_a_higher_one() -> None:
    """80 %, 90 %, 100 % of one budget one after the other, and the end of the window."""
    receiver, heard = Listener(), []
    fires = {80: 0, 90: 10, 100: 20}
    for minute in range(60):
        now = minute * MINUTE
        over = minute >= 30
        alerts = [
            threshold(percent, since * MINUTE, at=30 * MINUTE if over else None)
            for percent, since in fires.items()
            if minute >= since
        ]
        heard += [(minute, text) for text in receiver.heard(alerts, now)]
    assert heard == [
        (0, "firing: LLMBudget80+"),
        (10, "firing: LLMBudget90+"),
        (20, "firing: LLMBudget100+"),
        (35, "resolved: LLMBudget100-"),
        (35, "resolved: LLMBudget80-"),
        (35, "resolved: LLMBudget90-"),
    ]


def test_a_budget_that_jumps_over_two_thresholds_is_told_of_once() -> None:
    receiver = Listener()
    alerts = [threshold(80), threshold(90)]
    assert receiver.heard(alerts, 0) == ["firing: LLMBudget90+"]
    ended = [threshold(80, at=MINUTE), threshold(90, at=MINUTE)]
    assert receiver.heard(ended, 6 * MINUTE) == ["resolved: LLMBudget90-"]


def test_a_lower_threshold_is_told_when_the_higher_one_has_ended() -> None:
    receiver = Listener()
    receiver.step([threshold(80), threshold(90)], 0)
    alerts = [threshold(80), threshold(90, at=MINUTE)]
    assert receiver.heard(alerts, MINUTE) == []
    assert receiver.heard(alerts, 6 * MINUTE) == ["firing: LLMBudget80+", "resolved: LLMBudget90-"]


def test_a_muted_threshold_is_not_repeated_and_not_in_its_group() -> None:
    receiver = Listener(replace(ONE, group_by=("llm_budget_name",), repeat_interval_ms=HOUR))
    assert receiver.heard([threshold(80)], 0) == ["firing: LLMBudget80+"]
    both = [threshold(80), threshold(90)]
    assert receiver.heard(both, MINUTE) == ["firing: LLMBudget90+"]
    assert receiver.heard(both, 61 * MINUTE) == ["firing: LLMBudget90+"]


@pytest.mark.parametrize(
    "other",
    [
        threshold(90, child="user=anna"),
        threshold(90, budget="other"),
        firing("Free", llm_budget_threshold="90"),
        firing("Word", llm_budget_name="prod", llm_budget_threshold="much"),
        firing("NaN", llm_budget_name="prod", llm_budget_threshold="nan"),
        firing("Infinite", llm_budget_name="prod", llm_budget_threshold="inf"),
    ],
)
def test_other_budgets_and_children_mute_nothing(other: Alert) -> None:
    receiver = Listener(replace(ONE, group_by=("...",)))
    assert len(receiver.step([threshold(80), other], 0)) == 2


def test_thresholds_are_compared_as_numbers() -> None:
    assert Listener().heard([threshold(90), threshold(100)], 0) == ["firing: LLMBudget100+"]


def test_alerts_are_in_the_order_of_alertmanager() -> None:
    receiver = Listener(replace(ONE, group_by=()))
    alerts = [
        firing("A", z="1"),
        firing("B"),
        firing("A", b="1"),
        firing("Z", job="b"),
        firing("Y", job="a", instance="2"),
        firing("X", job="a", instance="1"),
        firing("W", job="a"),
        firing("A", b="0", c="0"),
    ]
    (notification,) = receiver.step(alerts, 0)
    shown = [" ".join(f"{n}={v}" for n, v in alert.labels) for alert in notification.alerts]
    assert shown == [
        "alertname=X instance=1 job=a",
        "alertname=Y instance=2 job=a",
        "alertname=W job=a",
        "alertname=Z job=b",
        "alertname=B",
        "alertname=A z=1",
        "alertname=A b=1",
        "alertname=A b=0 c=0",
    ]


def test_a_group_key_quotes_as_go_does() -> None:
    labels = (("a", 'say "hi"\\\n\t\x01\x7f'), ("b", "é\u00a0€\u200b𝄞\U000e0001"))
    assert group_key(labels) == (
        '{}:{a="say \\"hi\\"\\\\\\n\\t\\x01\\x7f", b="é\\u00a0€\\u200b𝄞\\U000e0001"}'
    )


@given(
    st.lists(st.tuples(st.integers(1, 20), st.sets(st.sampled_from("ABC"))), max_size=40),
    st.sampled_from([("alertname",), (), ("...",)]),
    st.booleans(),
)
def test_every_incident_is_told_once_and_ended_once(steps, group_by, muted) -> None:
    """For whatever goes up and down: firing and end alternate, and in the end everything has ended."""
    mute = (TimeInterval(times=((5, 60),)),) if muted else ()
    receiver = Listener(replace(ONE, group_by=group_by, mute=mute, repeat_interval_ms=1_000 * HOUR))
    known: set[str] = set()
    since: dict[str, int] = {}
    now = 0
    for minutes, names in [*steps, (90, set()), (90, set())]:
        now += minutes * MINUTE
        since = {name: since.get(name, now) for name in names}
        alerts = [firing(name, since[name]) for name in sorted(names)]
        for notification in receiver.step(alerts, now):
            for alert in notification.alerts:
                name = label_value(alert.labels, "alertname")
                if alert.state == "firing":
                    known.add(name)
                else:
                    assert name in known
                    known.remove(name)
        if not mute:
            assert names <= known
    assert known == set()
    assert receiver.log == {}
