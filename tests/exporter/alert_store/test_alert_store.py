import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kept_alerts import DAY, ME, NOW_NS, ODD, OTHER, RULE, SECOND, a_row, an_alert, leading, putting

from spanbudget.exporter.alert_store import open_alert_store, outbox
from spanbudget.exporter.alert_store.records import Change, Kept, LogKey, NotLeadingError, RuleKey
from spanbudget.processors.errors import AlertStoreError

LOG = LogKey("team", '{}:{budget="production"}')


@pytest.fixture
def fence(store) -> int:
    return store.lead(ME, NOW_NS, NOW_NS + 10 * SECOND)


def test_a_new_store_is_empty(store):
    assert store.load() == Kept()
    assert store.due(NOW_NS, 10) == store.letters() == []
    assert store.waiting() == {}


def test_a_lease_is_held_until_it_expires(store, other):
    first = store.lead(ME, NOW_NS, NOW_NS + 10)
    assert other.lead(OTHER, NOW_NS + 9, NOW_NS + 99) is None
    assert store.lead(ME, NOW_NS + 9, NOW_NS + 20) == first
    assert other.lead(OTHER, NOW_NS + 19, NOW_NS + 99) is None
    second = other.lead(OTHER, NOW_NS + 20, NOW_NS + 99)
    assert second > first
    assert store.lead(ME, NOW_NS + 21, NOW_NS + 30) is None


def test_an_expired_lease_that_nobody_took_is_renewed_under_its_number(store):
    first = store.lead(ME, NOW_NS, NOW_NS + 10)
    assert store.lead(ME, NOW_NS + 500, NOW_NS + 510) == first


def test_a_lease_that_is_given_back_is_free(store, other):
    store.lead(ME, NOW_NS, NOW_NS + 10 * SECOND)
    store.lead(ME, NOW_NS, NOW_NS)
    assert other.lead(OTHER, NOW_NS, NOW_NS + 10) is not None


def test_what_is_committed_is_loaded(store, other, fence):
    alerts = [
        (RULE, an_alert()),
        (RULE, an_alert("staging", state="pending", fired_at_ms=None)),
        (RuleKey(ODD, ODD), an_alert(ODD, state="inactive", resolved_at_ms=5, keep_firing_since_ms=4)),
    ]
    log = {LOG: {"at_ms": 5, "alerts": [["a", None]]}, LogKey(ODD, ODD): ODD}
    store.commit(fence, Change(alerts=alerts, log=log, notes={"last_seq": "7", "odd": ODD}))
    kept = other.load()
    assert {rule: set(some) for rule, some in kept.alerts.items()} == {
        RULE: {alerts[0][1], alerts[1][1]},
        RuleKey(ODD, ODD): {alerts[2][1]},
    }
    assert (kept.log, kept.notes) == (log, {"last_seq": "7", "odd": ODD})


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308, -0.0])
def test_a_value_of_any_kind_is_kept(store, fence, value):
    store.commit(fence, Change(alerts=[(RULE, an_alert(value=value))]))
    assert repr(store.load().alerts[RULE][0].value) == repr(value)


def test_a_change_replaces_and_forgets_what_it_names(store, fence):
    mine, others = an_alert("a"), an_alert("b")
    store.commit(
        fence, Change(alerts=[(RULE, mine), (RULE, others)], log={LOG: 1}, notes={"a": "1", "b": "2"})
    )
    newer = an_alert("b", value=9.0, state="inactive", resolved_at_ms=9)
    change = Change(
        alerts=[(RULE, newer)], gone=[(RULE, mine.labels)], log={LOG: None}, notes={"a": None, "b": "3"}
    )
    store.commit(fence, change)
    assert store.load() == Kept({RULE: (newer,)}, {}, {"b": "3"})


def test_one_label_set_under_two_rules_is_two_alerts(store, fence):
    second = RULE._replace(rule="1 BudgetWarning")
    store.commit(fence, Change(alerts=[(RULE, an_alert()), (second, an_alert(value=2.0))]))
    assert len(store.load().alerts) == 2
    store.commit(fence, Change(gone=[(RULE, an_alert().labels)]))
    assert list(store.load().alerts) == [second]


def test_who_does_not_lead_any_more_keeps_nothing(store, other, fence):
    store.commit(fence, putting(a_row(1)))
    newer = other.lead(OTHER, NOW_NS + 11 * SECOND, NOW_NS + 21 * SECOND)
    change = Change(alerts=[(RULE, an_alert())], log={LOG: 1}, outbox=[a_row(2)], notes={"a": "1"})
    with pytest.raises(NotLeadingError, match=r"another process.*nothing was kept"):
        store.commit(fence, change)
    assert store.load() == Kept()
    assert [row.id for row in store.letters()] == ["msg_1"]
    other.commit(newer, change)
    assert store.load().notes == {"a": "1"}


def test_a_commit_before_anybody_led_is_refused(store):
    with pytest.raises(NotLeadingError):
        store.commit(1, putting(a_row()))


def test_a_row_whose_id_is_known_changes_nothing(store, fence):
    store.commit(fence, putting(a_row(1)))
    store.sent("msg_1", NOW_NS)
    store.commit(fence, Change(outbox=[a_row(1, receiver="else"), a_row(2)], notes={"a": "1"}))
    assert [(row.id, row.receiver, row.state) for row in store.letters()] == [
        ("msg_2", "team", "waiting"),
        ("msg_1", "team", "sent"),
    ]
    assert store.load().notes == {"a": "1"}


def test_a_row_comes_back_as_it_was(store, fence):
    row = a_row(1, receiver=ODD, group=ODD, payload={ODD: [1, None, 0.1, {"deep": ODD}]})
    store.commit(fence, putting(row))
    assert store.due(NOW_NS, 1) == store.due(NOW_NS, 1, ODD) == [row]


def test_of_a_group_only_the_first_waiting_row_is_due(store, fence):
    store.commit(fence, putting(a_row(1), a_row(2), a_row(3, group="h"), a_row(4, receiver="else")))
    assert [row.id for row in store.due(NOW_NS, 9)] == ["msg_1", "msg_3", "msg_4"]
    assert [row.id for row in store.due(NOW_NS, 9, "team")] == ["msg_1", "msg_3"]
    store.failed("msg_1", "down", NOW_NS + SECOND, NOW_NS)
    assert [row.id for row in store.due(NOW_NS, 9, "team")] == ["msg_3"]
    store.sent("msg_3", NOW_NS)
    assert [row.id for row in store.due(NOW_NS + SECOND, 9, "team")] == ["msg_1"]
    store.sent("msg_1", NOW_NS)
    assert [row.id for row in store.due(NOW_NS, 9, "team")] == ["msg_2"]


def test_what_is_longest_due_comes_first_and_no_more_than_asked_for(store, fence):
    rows = [a_row(number, group=f"g{number}", due_ns=NOW_NS - number) for number in range(5)]
    store.commit(fence, putting(*rows, a_row(9, group="later", due_ns=NOW_NS + 1)))
    assert [row.id for row in store.due(NOW_NS, 2)] == ["msg_4", "msg_3"]
    assert len(store.due(NOW_NS, 99)) == 5


def test_a_failure_is_noted_and_the_last_one_makes_a_dead_letter(store, fence):
    store.commit(fence, putting(a_row(1)))
    store.failed("msg_1", ODD + "x" * 9_999, NOW_NS + 5, NOW_NS)
    (row,) = store.letters("waiting")
    assert (row.attempts, row.due_ns, len(row.last_error)) == (1, NOW_NS + 5, 500)
    store.failed("msg_1", "HTTP 410", None, NOW_NS + 9)
    (row,) = store.letters("dead")
    assert (row.attempts, row.last_error, row.ended_ns) == (2, "HTTP 410", NOW_NS + 9)
    assert store.due(NOW_NS + DAY, 9) == []


def test_what_has_ended_does_not_change_any_more(store, fence):
    store.commit(fence, putting(a_row(1)))
    store.sent("msg_1", NOW_NS)
    store.failed("msg_1", "too late", None, NOW_NS)
    store.sent("msg_1", NOW_NS + 1)
    (row,) = store.letters()
    assert (row.state, row.attempts, row.ended_ns) == ("sent", 0, NOW_NS)


def test_a_dead_letter_can_be_sent_again_before_what_waits_behind_it(store, fence):
    store.commit(fence, putting(a_row(1), a_row(2)))
    assert not store.retry("msg_1", NOW_NS)
    store.failed("msg_1", "HTTP 410", None, NOW_NS)
    assert [row.id for row in store.due(NOW_NS, 9)] == ["msg_2"]
    assert store.retry("msg_1", NOW_NS + 5)
    (row,) = store.due(NOW_NS + 5, 9)
    assert (row.id, row.attempts, row.created_ns, row.ended_ns) == ("msg_1", 0, NOW_NS + 5, None)
    assert not store.retry("no such letter", NOW_NS)


def test_waiting_rows_are_counted_by_receiver(store, fence):
    store.commit(fence, putting(a_row(1), a_row(2), a_row(3, receiver="else")))
    store.sent("msg_1", NOW_NS)
    assert store.waiting() == {"team": 1, "else": 1}


def test_old_rows_of_receivers_that_are_gone_are_given_up(store, fence):
    rows = [a_row(1), a_row(2, receiver="gone"), a_row(3, receiver="gone", created_ns=NOW_NS + 9)]
    store.commit(fence, putting(*rows))
    assert store.abandon(["team"], NOW_NS + 5, NOW_NS + 6) == {"gone": 1}
    assert store.abandon(["team"], NOW_NS + 5, NOW_NS + 6) == {}
    (row,) = store.letters("dead")
    assert (row.id, row.ended_ns) == ("msg_2", NOW_NS + 6)


def test_a_purge_deletes_what_ended_long_ago_and_nothing_that_waits(store, fence):
    """Sent rows stay for 7 days, dead ones for 30."""
    store.commit(fence, putting(*(a_row(number, group=str(number)) for number in range(6))))
    store.sent("msg_0", NOW_NS)
    store.sent("msg_1", NOW_NS + 1)
    store.failed("msg_2", "", None, NOW_NS - 23 * DAY)
    store.failed("msg_3", "", None, NOW_NS + 1 - 23 * DAY)
    assert store.purge(NOW_NS + 7 * DAY + 1) == 2
    assert [row.id for row in store.letters()] == ["msg_5", "msg_4", "msg_3", "msg_1"]


def test_no_more_than_so_many_ended_rows_are_kept(store, fence, monkeypatch):
    monkeypatch.setattr(outbox, "KEPT_MAX", 2)
    store.commit(fence, putting(*(a_row(number, group=str(number)) for number in range(6))))
    for number in range(4):
        store.sent(f"msg_{number}", NOW_NS)
    assert store.purge(NOW_NS) == 2
    assert [row.id for row in store.letters("sent")] == ["msg_3", "msg_2"]


def test_numbers_go_on_after_a_purge(store, fence):
    store.commit(fence, putting(a_row(1), a_row(2)))
    store.sent("msg_1", NOW_NS)
    store.purge(NOW_NS + 8 * DAY)
    store.commit(fence, putting(a_row(3)))
    assert [row.id for row in store.due(NOW_NS, 9)] == ["msg_2"]


def test_a_store_in_memory_is_one_of_its_own():
    store, another = open_alert_store("sqlite://"), open_alert_store("sqlite://")
    store.commit(leading(store), putting(a_row(1)))
    assert (len(store.letters()), len(another.letters())) == (1, 0)
    store.close()
    another.close()


def test_a_closed_store_says_so(store):
    store.close()
    store.close()
    with pytest.raises(AlertStoreError, match="closed"):
        store.load()


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec=None), max_size=8), st.floats(), st.booleans()), max_size=6
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_any_states_survive(changes):
    """The last change of a label set is what is loaded."""
    store = open_alert_store("sqlite://")
    fence = leading(store)
    expected: dict[object, object] = {}
    for text, value, goes in changes:
        alert = an_alert(text, value=value)
        if goes:
            store.commit(fence, Change(gone=[(RULE, alert.labels)]))
            expected.pop(alert.labels, None)
        else:
            store.commit(fence, Change(alerts=[(RULE, alert)]))
            expected[alert.labels] = alert
    found = {alert.labels: alert for alert in store.load().alerts.get(RULE, ())}
    assert {labels: repr(alert) for labels, alert in found.items()} == {
        labels: repr(alert) for labels, alert in expected.items()
    }
    store.close()
