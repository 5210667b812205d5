import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import labels_of
from spanbudget.rules.notifications.notification import Notification, Sent, Told
from spanbudget.rules.notifications.written import (
    read_notification,
    read_sent,
    write_notification,
    write_sent,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LABELS = st.dictionaries(TEXT, TEXT.filter(bool), max_size=4).map(labels_of)
TIMES = st.none() | st.integers(0, 2**62)
ALERTS = st.builds(
    Alert,
    LABELS,
    LABELS,
    st.floats(allow_nan=False),
    st.sampled_from(["firing", "inactive"]),
    st.integers(0, 2**62),
    TIMES,
    TIMES,
    TIMES,
)


def stored(record: dict[str, Any]) -> Any:
    """The record as a database gives it back."""
    return json.loads(json.dumps(record, sort_keys=True, allow_nan=False))


@given(
    st.builds(Notification, TEXT, TEXT, TEXT, LABELS, st.lists(ALERTS, max_size=3).map(tuple), st.integers())
)
def test_a_notification_is_read_as_it_was_written(notification: Notification) -> None:
    assert read_notification(stored(write_notification(notification))) == notification


@given(st.builds(Sent, st.integers(), st.lists(st.builds(Told, ALERTS, TIMES), max_size=3).map(tuple)))
def test_an_entry_of_the_log_is_read_as_it_was_written(sent: Sent) -> None:
    assert read_sent(stored(write_sent(sent))) == sent


def test_a_value_that_is_no_number_is_kept() -> None:
    sent = Sent(1, (Told(Alert((("a", "b"),), (), math.nan, "firing", 1)),))
    assert math.isnan(read_sent(stored(write_sent(sent))).alerts[0].alert.value)


@pytest.mark.parametrize("record", ["", {}, [], None, {"at_ms": 1, "alerts": [{}]}, {"at_ms": 1}])
def test_another_record_is_refused(record: Any) -> None:
    with pytest.raises(ValueError, match="not an entry of the log"):
        read_sent(record)
    with pytest.raises(ValueError, match="not a notification"):
        read_notification(record)
