from spanbudget.rules.anomalies.calibration import LEVEL_MIN, PEAKS_MAX, WEEK_MS, AlertLevel
from spanbudget.rules.anomalies.episodes import SIGNALS
from spanbudget.rules.anomalies.packing import Packer, Unpacker

HOUR_MS = 3_600_000
NOW_MS = 1_767_571_200_000


def seen(per_week: float, evidence: list[float], every_ms: int = 24 * HOUR_MS) -> AlertLevel:
    level = AlertLevel(per_week, SIGNALS)
    for number, one in enumerate(evidence):
        level.see(NOW_MS + number * every_ms, one)
    level.settle(NOW_MS + len(evidence) * every_ms)
    return level


def test_a_budget_is_a_bound_and_no_quota() -> None:
    assert AlertLevel(1.0, SIGNALS).level == LEVEL_MIN
    assert AlertLevel(100.0, SIGNALS).level == LEVEL_MIN


def test_a_smaller_budget_needs_more_evidence() -> None:
    levels = [AlertLevel(budget, SIGNALS).level for budget in (1.0, 0.25, 0.1, 0.01)]
    assert levels == sorted(set(levels))


def test_what_is_not_looked_at_takes_no_share() -> None:
    assert AlertLevel(0.25, ["spend"]).level < AlertLevel(0.25, SIGNALS).level


def test_a_calm_series_keeps_its_level() -> None:
    assert seen(1.0, [0.1] * 28).level == LEVEL_MIN


def test_a_restless_series_gets_a_level_that_it_seldom_passes() -> None:
    level = seen(1.0, [2.0 + number / 100 for number in range(28)])
    assert sum(2.0 + number / 100 > level.level for number in range(28)) <= 4
    assert level.level > 2


def test_evidence_within_six_hours_is_one_peak() -> None:
    assert seen(1.0, [3.0] * 100, every_ms=HOUR_MS).level == LEVEL_MIN


def test_peaks_are_forgotten_after_four_weeks() -> None:
    level = seen(1.0, [3.0] * 28)
    assert level.level > LEVEL_MIN
    level.see(NOW_MS + 9 * WEEK_MS, 0.6)
    level.settle(NOW_MS + 9 * WEEK_MS)
    assert level.level == LEVEL_MIN


def test_confirmed_incidents_are_no_false_alerts() -> None:
    level = seen(1.0, [3.0] * 28)
    level.leave_out(NOW_MS, NOW_MS + 28 * 24 * HOUR_MS)
    level.settle(NOW_MS + 4 * WEEK_MS)
    assert level.level == LEVEL_MIN


def test_it_goes_on_from_its_bytes_which_are_few() -> None:
    level = seen(0.5, [1 + number % 7 for number in range(500)], every_ms=7 * HOUR_MS)
    packer = Packer()
    level.pack(packer)
    state = packer.packed()
    assert len(state) < 32 * PEAKS_MAX
    again = AlertLevel(0.5, SIGNALS)
    again.unpack(Unpacker(state))
    assert again.level == level.level
    for one in (level, again):
        one.see(NOW_MS + 600 * 7 * HOUR_MS, 9.0)
        one.settle(NOW_MS + 601 * 7 * HOUR_MS)
    assert again.level == level.level
