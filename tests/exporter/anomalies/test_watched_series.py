"""Which series there are: routes of tallies, bounds, states as bytes, what is configured."""

import random

import pytest
from slot_ledger import CONFIG, DAY_MS, START_MS, kept_of, read, settle

from spanbudget.exporter.anomalies.fields import alerts_per_week
from spanbudget.exporter.anomalies.plan import PART_SHARE, plan_of
from spanbudget.exporter.anomalies.roster import Roster
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.anomalies.states import Learnt, packed, unpacked
from spanbudget.exporter.anomalies.watch import GRACE_MS
from spanbudget.exporter.config import parse_config
from spanbudget.processors import names_out as names
from spanbudget.processors.errors import AlertStoreError, ConfigurationError
from spanbudget.rules.anomalies.slots import SLOT_MS

SIGNALS = CONFIG.replace("1d}", "1d, signals: [spend, latency, error_rate, tokens]}")

BOTH = ("prod", "other")
ON = "{anomaly: true}"
OWN = "{anomaly: {min_excess_usd: 2, alert_budget: 2/week, learning: 1d}}"


def names_of(count: int, budget: str = "prod") -> list[SeriesName]:
    return [SeriesName(budget, "", "user", f"u{number:04}") for number in range(count)]


def never(_: SeriesName) -> bool:
    return False


def always(_: SeriesName) -> bool:
    return True


def test_the_heaviest_series_are_watched_and_the_others_are_counted():
    roster, rnd, users = Roster(10, {}), random.Random(1), names_of(200)
    total = SeriesName("prod")
    for _ in range(300):
        spend = {user: (10.0 if number < 9 else 0.1) * rnd.random() for number, user in enumerate(users)}
        some = dict(rnd.sample(sorted(spend.items()), 100))
        roster.take({**some, total: 0.0}, never, always)
        assert len(roster.weights) <= 10
    assert set(roster.weights) == {total, *users[:9]}
    assert 80 <= roster.left_out <= 100


def test_a_newcomer_that_spends_much_more_takes_the_place_of_the_lightest_but_of_no_open_episode():
    roster, users = Roster(3, {}), names_of(4)
    roster.take({users[0]: 5.0, users[1]: 1.0, users[2]: 2.0}, never, always)
    assert roster.take({users[3]: 1.2}, never, always) == ([], [])
    assert roster.take({users[3]: 1.5}, users[1].__eq__, always) == ([], [])
    assert roster.take({users[3]: 0.0}, never, always) == ([users[3]], [users[1]])


def test_totals_go_before_parts():
    roster, users = Roster(2, {}), names_of(2)
    roster.take(dict.fromkeys(users, 100.0), never, always)
    came, left = roster.take({SeriesName("b"): 0.0, SeriesName("a"): 0.1}, never, always)
    assert (set(came), set(left)) == ({SeriesName("a"), SeriesName("b")}, set(users))


def test_a_thousand_users_are_bounded_and_told(ledger):
    for number in range(3_000):
        at_ms = START_MS + number % 6 * SLOT_MS
        ledger.call(at_ms, 1 + number % 1_000, user=f"u{number % 1_000}")
    ledger.flush()
    now_ms = START_MS + 6 * SLOT_MS + GRACE_MS
    watch = ledger.watch(now_ms, text=CONFIG.replace("1d}", "1d, max_series: 50}"))
    settle(watch, now_ms)
    assert len(watch.lines) == 50
    assert SeriesName("prod") in watch.lines
    users = [int(name.value[1:]) for name in watch.lines if name.dimension == "user"]
    assert min(users) > 500
    assert watch.health()[names.ANOMALIES_LEFT_OUT.name, ""] >= 400
    change = watch.change(ends=True)
    assert len(change.states) == 51
    fewer = ledger.watch(now_ms, kept_of(change), CONFIG.replace("1d}", "1d, max_series: 5}"))
    assert set(fewer.lines) <= set(watch.lines)
    assert len(fewer.lines) == 5
    assert len(fewer.change(ends=True).gone) == 45


def test_children_of_a_budget_are_series_and_calls_outside_of_it_are_none(ledger):
    text = """
anomalies: {enabled: true, dimensions: [model, feature]}
budgets:
  - {name: each, per: [user], match: {service: api}, max_cost: 1}
  - {name: left, max_cost: 1}
"""
    ledger.call(START_MS, 1, user="ann", labels={"feature": "chat"})
    ledger.call(START_MS, 1, user="ann", service="batch")
    ledger.flush()
    watch = ledger.watch(START_MS, text=text.replace("[model, feature]}", "[model, feature], exclude: left}"))
    settle(watch, START_MS + SLOT_MS + GRACE_MS)
    assert {name.text for name in watch.lines} == {
        "each · user=ann", "each · user=ann · model=gpt-5", "each · user=ann · feature=chat"
    }  # fmt: skip


def test_a_state_comes_back_whole_or_is_refused():
    learnt = Learnt("ab", 1.5, {"expected-1": 7}, {"money": b"\x00\x01", "latency": b""})
    data = packed(learnt)
    assert unpacked(data) == learnt
    for cut in range(len(data)):
        with pytest.raises(AlertStoreError):
            unpacked(data[:cut])
    rnd = random.Random(3)
    for _ in range(300):
        at = rnd.randrange(len(data) - 2)
        wrong = data[:at] + bytes([data[at] ^ rnd.randrange(1, 256)]) + data[at + 1 :]
        try:
            unpacked(wrong)
        except AlertStoreError as error:
            assert "learns anew" in str(error)  # noqa: PT017 - most damage is seen, none raises anything else


@pytest.mark.parametrize(
    ("section", "alerts", "watched"),
    [
        ("", "", {}),
        ("", ", alerts: {anomaly: true}", {"prod": (1.0, 5.0, 3)}),
        ("", f", alerts: {OWN}", {"prod": (2.0, 2.0, 1)}),
        ("anomalies: {alert_budget: 7/week, learning: 7d}", f", alerts: {ON}", {"prod": (7.0, 5.0, 7)}),
        ("anomalies: {enabled: true, min_excess_usd: 3}", "", dict.fromkeys(BOTH, (1.0, 3.0, 3))),
        ("anomalies: {enabled: true, exclude: [other]}", "", {"prod": (1.0, 1.0, 3)}),
        ("anomalies: {enabled: false}", ", alerts: {anomaly: true}", {}),
    ],
)  # fmt: skip
def test_what_is_watched_and_how_closely(section, alerts, watched):
    config = read(
        f"{section}\nbudgets:\n- {{name: prod, max_cost: 5{alerts}}}\n- {{name: other, max_cost: 5}}\n"
    )
    assert config.watches is bool(watched)
    plan = plan_of(config, config.budgets)
    found = {
        name: (one.alerts_per_week, one.min_excess_usd, one.learning_ms // DAY_MS)
        for name, one in plan.totals.items()
    }
    assert found == watched
    for name in watched:
        part = plan.closeness(SeriesName(name, "", "model", "x"))
        assert part.alerts_per_week == plan.totals[name].alerts_per_week * PART_SHARE


@pytest.mark.parametrize(
    ("text", "per_week"),
    [("1/week", 1), ("7/week", 7), ("1/day", 7), ("1 / month", 7 / 30.4375), ("0.25/week", 0.25)],
)  # fmt: skip
def test_an_alert_budget_is_a_number_a_week(text, per_week):
    assert alerts_per_week(text) == pytest.approx(per_week)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ("alert_budget: often", "anomalies.alert_budget: must be a number of alerts per day, week or month"),
        ("alert_budget: 0/week", "anomalies.alert_budget: must be 0.01/week to 100/week"),
        ("learning: 5m", "anomalies.learning: must be 1h to 14d"),
        ("signals: [spnd]", "did you mean spend?"),
        ("signals: []", "anomalies.signals: must have a value"),
        ("dimension: [model]", "anomalies.dimension: unknown key; did you mean dimensions?"),
        ("max_series: 0", "anomalies.max_series: must be at least 1"),
        ("enabled: sometimes", "anomalies.enabled: "),
    ],
)
def test_what_is_wrong_is_told_with_its_place(section, problem):
    with pytest.raises(ConfigurationError) as caught:
        parse_config(f"anomalies: {{{section}}}\n", "b.yaml", {})
    assert problem in str(caught.value)
    assert str(caught.value).startswith("b.yaml:1:")


def test_labels_that_are_watched_are_collected():
    config = read(
        "anomalies: {enabled: true, dimensions: [model, agent, user.id]}\nbudgets: [{name: a, max_cost: 1}]\n"
    )
    assert config.extra_labels == ("agent",)
    assert read("anomalies: {dimensions: [agent]}\n").extra_labels == ()


def test_other_signals_than_money_are_watched_in_totals_only(ledger):
    ledger.days(0, 2, calls=30)
    now_ms = START_MS + 2 * DAY_MS + GRACE_MS
    watch = ledger.watch(now_ms, text=SIGNALS)
    settle(watch, now_ms)
    total = watch.lines[SeriesName("prod")]
    assert set(total.seen) == {"money", "latency", "error_rate", "tokens"}
    assert set(watch.lines[SeriesName("prod", "", "user", "ann")].seen) == {"money"}
    for minute in range(60):
        for _ in range(5):
            ledger.call(
                START_MS + 2 * DAY_MS + minute * 60_000, 0.1, user="ann", seconds=30, failed=minute % 2 == 0
            )
    ledger.flush()
    settle(watch, now_ms + 6 * SLOT_MS)
    found = {one.signal: one for one in watch.change().episodes}
    assert {"latency", "error_rate"} <= found.keys()
    assert found["latency"].observed == pytest.approx(30, rel=0.1)
    assert found["latency"].expected == pytest.approx(1, rel=0.2)
    assert found["error_rate"].excess_usd is None
    again = ledger.watch(now_ms, kept_of(watch.change(ends=True)), SIGNALS)
    settle(again, now_ms + 6 * SLOT_MS)
    assert again.change(ends=True).states == watch.change(ends=True).states
    assert max(len(one.state) for one in watch.change(ends=True).states.values()) < 3 * 200_000 + 12_000
