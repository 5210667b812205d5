from made_alerts import firing, resolved

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import labels_of
from spanbudget.rules.notifications.notification import Notification
from spanbudget.rules.notifications.webhook_payload import rfc3339, webhook_body, webhook_payload

AT = 1_750_000_000_120


def notification(*alerts: Alert) -> Notification:
    return Notification("msg_1", "team.a", '{}:{alertname="X"}', (("alertname", "X"),), alerts, AT)


def test_a_body_is_that_of_alertmanager_byte_for_byte() -> None:
    alerts = (firing(since=AT, model="<gpt & co>"), resolved(since=AT, at=AT + 1_880, model="é"))
    payload = webhook_payload(notification(*alerts), "team.a", "http://am:9093")
    assert webhook_body(payload).decode() == (
        '{"receiver":"team\\\\.a","status":"firing","alerts":['
        '{"status":"firing","labels":{"alertname":"X","model":"\\u003cgpt \\u0026 co\\u003e"},'
        '"annotations":{"summary":"X fires"},"startsAt":"2025-06-15T15:06:40.12Z",'
        '"endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://am:9093","fingerprint":"e1ca243732c151cc"},'
        '{"status":"resolved","labels":{"alertname":"X","model":"é"},'
        '"annotations":{"summary":"X fires"},"startsAt":"2025-06-15T15:06:40.12Z",'
        '"endsAt":"2025-06-15T15:06:42Z","generatorURL":"http://am:9093","fingerprint":"02436ea0fa953461"}],'
        '"groupLabels":{"alertname":"X"},"commonLabels":{"alertname":"X"},'
        '"commonAnnotations":{"summary":"X fires"},"externalURL":"http://am:9093","version":"4",'
        '"groupKey":"{}:{alertname=\\"X\\"}","truncatedAlerts":0}\n'
    )


def test_alerts_beyond_the_most_are_counted() -> None:
    alerts = [firing(model=str(number)) for number in range(5)]
    payload = webhook_payload(notification(*alerts), "team", "", alerts_max=2)
    assert (len(payload["alerts"]), payload["truncatedAlerts"]) == (2, 3)


def test_only_what_all_alerts_share_is_common() -> None:
    one = Alert(labels_of({"a": "1", "b": "2"}), (("s", "x"), ("t", "y")), 1.0, "firing", 0, 0)
    other = Alert(labels_of({"a": "1", "c": "2"}), (("s", "x"), ("t", "z")), 1.0, "firing", 0, 0)
    payload = webhook_payload(notification(one, other), "team", "")
    assert (payload["commonLabels"], payload["commonAnnotations"]) == ({"a": "1"}, {"s": "x"})


def test_a_line_separator_is_escaped_as_go_does() -> None:
    assert webhook_body({"a": "\u2028\u2029\x7f\ud800"}) == b'{"a":"\\u2028\\u2029\x7f?"}\n'


def test_times_have_no_needless_digits() -> None:
    assert [rfc3339(ms) for ms in (0, 1, 10, 100)] == [
        "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00.01Z",
        "1970-01-01T00:00:00.1Z",
    ]  # fmt: skip
