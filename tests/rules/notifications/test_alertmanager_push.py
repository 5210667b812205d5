from dataclasses import replace

from made_alerts import MINUTE, firing, resolved

from spanbudget.rules.notifications.alertmanager_push import (
    alertmanager_alerts,
    due_for_alertmanager,
    push_notification,
)


def test_an_alert_is_pushed_every_minute_while_it_fires_and_for_15_minutes_after() -> None:
    """Evaluated every 15 s; fires from 0:00 to 2:30, so it is pushed until 17:30."""
    sent: dict[tuple, int] = {}
    pushed: list[int] = []
    for now in range(0, 30 * MINUTE, 15_000):
        alert = firing() if now < 150_000 else resolved(at=150_000)
        due = due_for_alertmanager([alert], sent, now)
        sent = dict(due.sent)
        pushed += [now // 1000 for _ in due.alerts]
        assert due.next_due_ms is None or due.next_due_ms > now
    assert pushed == [0, 60, 120, *range(150, 1051, 60)]
    assert sent == {}


def test_an_alert_that_fires_again_is_pushed_at_once() -> None:
    sent = due_for_alertmanager([resolved(at=1_000)], {}, 1_000).sent
    due = due_for_alertmanager([firing(since=2_000)], sent, 2_000)
    assert due == ((firing(since=2_000),), {firing().labels: 2_000}, 2_000 + MINUTE)


def test_pending_alerts_are_not_pushed() -> None:
    assert due_for_alertmanager([replace(firing(), state="pending", fired_at_ms=None)], {}, 0).alerts == ()


def test_the_body_is_that_of_prometheus() -> None:
    alerts = [firing("A", since=1_000), resolved("B", since=1_000, at=61_500)]
    body = alertmanager_alerts(push_notification("team", alerts, 62_000), 62_000, "http://here")
    assert body == [
        {
            "annotations": {"summary": "A fires"},
            "endsAt": "1970-01-01T00:05:02.000Z",
            "startsAt": "1970-01-01T00:00:01.000Z",
            "generatorURL": "http://here",
            "labels": {"alertname": "A"},
        },
        {
            "annotations": {"summary": "B fires"},
            "endsAt": "1970-01-01T00:01:01.500Z",
            "startsAt": "1970-01-01T00:00:01.000Z",
            "generatorURL": "http://here",
            "labels": {"alertname": "B"},
        },
    ]


def test_a_longer_evaluation_interval_makes_an_alert_valid_for_longer() -> None:
    push = push_notification("team", [firing()], 0)
    (alert,) = alertmanager_alerts(push, 0, interval_ms=5 * MINUTE)
    assert alert["endsAt"] == "1970-01-01T00:20:00.000Z"
    assert "generatorURL" not in alert


def test_a_push_that_comes_too_late_holds_only_ends() -> None:
    push = push_notification("team", [firing("A"), resolved("B", at=1)], 0)
    assert [alert["labels"]["alertname"] for alert in alertmanager_alerts(push, 4 * MINUTE - 1)] == ["A", "B"]
    assert [alert["labels"]["alertname"] for alert in alertmanager_alerts(push, 4 * MINUTE)] == ["B"]


def test_each_push_has_an_id_of_its_own() -> None:
    ids = {push_notification("team", [firing()], now).id for now in (0, 1, 1)}
    assert len(ids) == 2
