"""Burn rates of money: which pairs can tell something about which period."""

from decimal import Decimal

import pytest

from spanbudget.processors.periods import Period
from spanbudget.rules.burn import MONEY_PAIRS, BurnPair, period_seconds, rate_of_percent

DAY = 86_400


def told(length_seconds: int) -> list[str]:
    return [pair.long for pair in MONEY_PAIRS if pair.tells_in_time(length_seconds)]


def test_the_measured_pairs_are_those_of_money():
    assert [(pair.rate, pair.long, pair.short, pair.severity) for pair in MONEY_PAIRS] == [
        (10, "1h", "10m", "page"),
        (4, "6h", "30m", "page"),
        (2, "1d", "2h", "ticket"),
        (Decimal("1.5"), "3d", "6h", "ticket"),
    ]


def test_a_pair_is_left_out_where_the_limit_is_gone_before_it_tells():
    """4 times over 6 h of a day is 4 x 6/24 = 100 % of the limit; 10 times over 1 h is 41.7 %."""
    assert told(30 * DAY) == ["1h", "6h", "1d", "3d"]
    assert told(7 * DAY) == ["1h", "6h", "1d", "3d"]
    assert told(3 * DAY) == ["1h", "6h", "1d"]
    assert told(DAY) == ["1h"]
    assert told(DAY + 1) == ["1h", "6h"]
    assert told(3_600) == []


def test_a_share_of_the_limit_is_a_rate():
    """20 % of a day's limit in 2 h: 0.20 x 24 / 2 = 2.4; and back: 2.4 x 2 / 24 = 20 %."""
    rate = rate_of_percent(Decimal(20), "2h", DAY)
    assert rate == Decimal("2.4")
    assert BurnPair(rate, "2h", "10m", "page").spent_percent(DAY) == 20


@pytest.mark.parametrize(("long", "short"), [("1h", "1h"), ("10m", "1h"), ("5h", "10m"), ("1h", "1m")])
def test_a_pair_of_times_that_are_not_measured_is_refused(long, short):
    with pytest.raises(ValueError, match=r"measured over|must be shorter"):
        BurnPair(Decimal(1), long, short, "page")


def test_a_period_has_a_nominal_length_unless_it_never_ends():
    assert period_seconds(Period("monthly")) == 30 * DAY
    assert period_seconds(Period("rolling", rolling_seconds=600)) == 600
    assert period_seconds(Period("total")) is None
