"""One alert at a time: what each evaluation makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.alerts import RESOLVED_KEEP_MS, Alert, Held, Holding, advance
from spanbudget.rules.labels import Labels

LABELS: Labels = (("alertname", "A"),)
MINUTE = 60_000


def steps(holding: Holding, results: str, *, step_ms: int = MINUTE) -> tuple[str, str]:
    """The states, and the changes, of one alert: `x` where its result holds, `.` where not.

    `p`ending, `f`iring, `i`nactive (resolved), `-` none.
    """
    alerts: dict[Labels, Alert] = {}
    states = changes = ""
    for index, mark in enumerate(results):
        held = {LABELS: Held(float(index))} if mark == "x" else {}
        alerts, changed = advance(holding, alerts, held, index * step_ms)
        states += alerts[LABELS].state[0] if alerts else "-"
        changes += changed[0].state[0] if changed else " "
    return states, changes


@pytest.mark.parametrize(
    ("minutes", "keep_minutes", "results", "states", "changes"),
    [
        (0, 0, "x.", "fi", "fi"),
        (2, 0, "xxxx.", "ppffi", "  f i"),
        (2, 0, "xx.xxx", "pp-ppf", "     f"),  # vanished while pending: silence, and from the start again
        (0, 2, "x...", "fffi", "f  i"),
        (0, 2, "x.x...", "fffffi", "f    i"),  # back in time: it never ended
        (1, 2, "xx.x....", "pffffffi"[:6] + "ii", " f    i "),
        (0, 0, "x.x.", "fifi", "fifi"),  # a resolved one fires anew
        (2, 0, "xxx.xxx", "ppfippf", "  fi  f"),
    ],
)
def test_an_alert_goes_through_its_states(
    minutes: int, keep_minutes: int, results: str, states: str, changes: str
) -> None:
    holding = Holding(minutes * MINUTE, keep_minutes * MINUTE)
    assert steps(holding, results) == (states, changes)


def test_a_resolved_alert_is_kept_for_fifteen_minutes() -> None:
    states, _ = steps(Holding(), "x" + "." * 18)
    assert states == "f" + "i" * 16 + "--"
    assert RESOLVED_KEEP_MS == 15 * MINUTE


def test_times_are_those_of_the_evaluations() -> None:
    holding = Holding(MINUTE, MINUTE)
    alerts: dict[Labels, Alert] = {}
    for index, value in enumerate([1.0, 2.0, None, None]):
        held = {LABELS: Held(value, (("v", str(value)),))} if value is not None else {}
        alerts = advance(holding, alerts, held, index * MINUTE).alerts
    assert alerts[LABELS] == Alert(
        labels=LABELS,
        annotations=(("v", "2.0"),),
        value=2.0,
        state="inactive",
        active_at_ms=0,
        fired_at_ms=MINUTE,
        resolved_at_ms=3 * MINUTE,
        keep_firing_since_ms=2 * MINUTE,
    )


def test_value_and_annotations_follow_while_it_fires() -> None:
    first = advance(Holding(), {}, {LABELS: Held(1.0, (("v", "1"),))}, 0).alerts
    second = advance(Holding(), first, {LABELS: Held(2.0, (("v", "2"),))}, MINUTE)
    assert (second.alerts[LABELS].value, second.alerts[LABELS].annotations) == (2.0, (("v", "2"),))
    assert second.alerts[LABELS].active_at_ms == 0
    assert second.changed == ()


def test_nothing_new_is_the_same_record() -> None:
    first = advance(Holding(), {}, {LABELS: Held(1.0)}, 0).alerts
    assert advance(Holding(), first, {LABELS: Held(1.0)}, MINUTE).alerts[LABELS] is first[LABELS]


def test_a_longer_for_makes_a_firing_alert_pending_again() -> None:
    firing = advance(Holding(), {}, {LABELS: Held(1.0)}, 0).alerts
    pending = advance(Holding(2 * MINUTE), firing, {LABELS: Held(1.0)}, MINUTE)
    assert (pending.alerts[LABELS].state, pending.alerts[LABELS].fired_at_ms) == ("pending", None)
    assert pending.changed == ()


@given(st.text("x.", max_size=40), st.integers(0, 4), st.integers(0, 4))
def test_firing_and_resolving_take_turns(results: str, minutes: int, keep_minutes: int) -> None:
    _, changes = steps(Holding(minutes * MINUTE, keep_minutes * MINUTE), results)
    told = changes.replace(" ", "")
    assert told == ("fi" * len(told))[: len(told)]


def test_flapping_around_a_threshold_is_one_alert_with_keep_firing_for() -> None:
    """An hour of every other minute above: one beginning, one end."""
    _, changes = steps(Holding(0, 5 * MINUTE), "x." * 30 + "." * 10)
    assert changes.replace(" ", "") == "fi"
