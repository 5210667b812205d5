import pytest
from hypothesis import given
from hypothesis import strategies as st
from kept_alerts import DAY, NOW_NS, SECOND, a_row

from spanbudget.exporter.outbox.retrying import RetryPolicy, due_again_ns, rest_seconds

POLICY = RetryPolicy()


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 1), (1, 2), (2, 4), (7, 128), (8, 256), (9, 300), (10_000, 300)]
)
def test_the_wait_doubles_from_one_second_to_five_minutes_and_half_of_it_is_chance(attempts, seconds):
    row = a_row(attempts=attempts)
    assert due_again_ns(POLICY, row, NOW_NS, jitter=1.0) == NOW_NS + seconds * SECOND
    assert due_again_ns(POLICY, row, NOW_NS, jitter=0.0) == NOW_NS + seconds * SECOND // 2


def test_a_receiver_gets_the_time_it_asks_for_up_to_an_hour():
    row = a_row(attempts=3)
    assert due_again_ns(POLICY, row, NOW_NS, 90.0, jitter=0.0) == NOW_NS + 90 * SECOND
    assert due_again_ns(POLICY, row, NOW_NS, 1.0, jitter=0.0) == NOW_NS + 4 * SECOND
    assert due_again_ns(POLICY, row, NOW_NS, 1e18, jitter=0.0) == NOW_NS + 3_600 * SECOND
    assert due_again_ns(POLICY, row, NOW_NS, -5.0, jitter=0.0) == NOW_NS + 4 * SECOND


def test_a_row_is_given_up_when_an_attempt_fails_after_a_day():
    assert due_again_ns(POLICY, a_row(), NOW_NS + DAY - 1, jitter=0.0) is not None
    assert due_again_ns(POLICY, a_row(), NOW_NS + DAY, jitter=0.0) is None


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 10**6))
def test_a_wait_is_never_nothing_and_never_more_than_an_hour(attempts, jitter, asked):
    due_ns = due_again_ns(POLICY, a_row(attempts=attempts), NOW_NS, asked, jitter=jitter)
    assert due_ns is not None
    assert SECOND // 2 <= due_ns - NOW_NS <= 3_600 * SECOND


def test_a_receiver_rests_once_three_groups_in_a_row_have_failed():
    assert [rest_seconds(groups) for groups in range(10)] == [0, 0, 0, 1, 2, 4, 8, 16, 30, 30]
