"""What budgets say should happen to calls before they are made."""

import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from spanbudget import BudgetExceeded, Usage
from spanbudget.processors import names_out as names
from spanbudget.processors.booking import Observed
from spanbudget.processors.call import LLMCall
from spanbudget.processors.money import PICO_PER_USD, pico_to_usd

ASK = {"model": "m", "provider": "openai", "input_tokens": 1000}
"""A prompt of 1,000 tokens: 0.001 USD. A token of the answer is 0.00001 USD."""


def hard(more: str) -> str:
    return f"[{{name: a, max_cost: 1, period: total, hard_limit: true, {more}}}]"


def test_clamp_shortens_the_answer_to_what_is_left(opened):
    """0.5 USD are left: less 0.001 for the prompt they pay for 49,900 tokens."""
    manager = opened(hard("on_exceed: clamp"))
    manager.reserve(cost="0.5")
    reservation = manager.reserve(**ASK, max_tokens=100_000)
    assert reservation.max_tokens == 49_900
    assert reservation.cost == Decimal("0.5")
    with pytest.raises(BudgetExceeded):
        manager.reserve(**ASK, max_tokens=100_000)


@pytest.mark.parametrize(("left", "fits"), [("0.00115", False), ("0.00116", True)])
def test_clamp_stops_at_its_least_answer(opened, left, fits):
    """The prompt is 0.001 USD and 16 tokens are 0.00016: 0.00116 USD pay for that, 0.00115 do not."""
    manager = opened(hard("on_exceed: clamp"))
    manager.reserve(cost=1 - Decimal(left))
    if fits:
        assert manager.reserve(**ASK, max_tokens=100).max_tokens == 16
    else:
        with pytest.raises(BudgetExceeded):
            manager.reserve(**ASK, max_tokens=100)


def test_downgrade_takes_the_cheaper_model(opened):
    manager = opened(
        hard("on_exceed: {downgrade: {m: gpt-4o-mini}}"),
    )
    manager.reserve(cost="0.95")
    reservation = manager.reserve(**ASK, max_tokens=10_000)  # 0.101 USD at m
    assert reservation.model == "gpt-4o-mini"
    assert reservation.cost < Decimal("0.05")
    assert manager.health()[names.RESERVATIONS_DOWNGRADED.name, "gpt-4o-mini"] == 1


def test_a_call_waits_for_others_to_settle(opened):
    manager = opened(hard("wait_ms: 60000"))
    first = manager.reserve(cost=1)
    timer = threading.Timer(0.1, first.settle, kwargs={"cost": "0.2"})
    timer.start()
    manager.reserve(cost="0.8").release()
    timer.join()


def test_a_call_does_not_wait_for_money_that_is_spent(opened):
    """Nothing is held by anybody, so waiting a minute would be for nothing."""
    manager = opened(hard("wait_ms: 60000"))
    manager.reserve(cost=1).settle(cost=1)
    manager.flush()
    with pytest.raises(BudgetExceeded):
        manager.reserve(cost="0.1")


def test_a_call_may_not_cost_more_than_a_call_may(opened):
    """Up to 0.1 USD a call: 9,900 tokens after a prompt of 0.001 USD."""
    manager = opened(hard("max_cost_per_call: 0.1"))
    manager.reserve(**ASK, max_tokens=9_900).release()
    with pytest.raises(BudgetExceeded) as refused:
        manager.reserve(**ASK, max_tokens=9_901)
    assert refused.value.reason == "per_call"


def test_the_most_that_a_call_may_cost_clamps_it(opened):
    manager = opened(hard("max_cost_per_call: 0.1, on_exceed: clamp"))
    assert manager.reserve(**ASK, max_tokens=50_000).max_tokens == 9_900


def test_an_unbounded_call_is_refused_or_let_pass(opened, tmp_path):
    ask = {"model": "m", "provider": "openai", "input_tokens": 10}
    with pytest.raises(BudgetExceeded) as refused:
        opened(hard("")).reserve(**ask)
    assert refused.value.reason == "unbounded"
    manager = opened("[{name: b, max_cost: 1, period: total, hard_limit: true, on_unbounded: allow}]")
    manager.reserve(**ask).settle(usage=Usage(input=10, cache_read=0, output=1))
    assert manager.health()[names.RESERVATIONS_UNHELD.name, "unbounded"] == 1


def test_a_limit_of_the_configuration_bounds_a_call(opened):
    """`models.output_limits` says 50 tokens: 10 and 50 tokens are 0.00051 USD."""
    manager = opened(hard(""), more="models: {output_limits: {m: 50}}")
    assert manager.reserve(model="m", provider="openai", input_tokens=10).cost == Decimal("0.00051")


@pytest.mark.parametrize("policy", ["reject", "charge_max", "warn"])
def test_a_call_without_a_price_is_refused_charged_or_let_pass(opened, policy):
    manager = opened(hard(f"on_unpriced: {policy}"))
    ask = {"model": "nobody-knows-me", "provider": "openai", "input_tokens": 100, "max_tokens": 100}
    if policy == "reject":
        with pytest.raises(BudgetExceeded) as refused:
            manager.reserve(**ask)
        assert refused.value.reason == "unpriced"
        return
    reservation = manager.reserve(**ask)
    reservation.settle(usage=Usage(input=100, cache_read=0, output=100))
    state = manager.state("a")
    if policy == "charge_max":
        assert state.spent.cost == state.spent.estimated == int(reservation.cost * PICO_PER_USD) > 0
    else:
        assert (state.spent.cost, state.spent.unpriced) == (0, 1)


def test_a_rate_limit_refuses_with_the_time_to_wait(opened):
    """Three calls a minute: the fourth is worth trying after 20 s."""
    manager = opened(hard("rates: {requests_per_minute: 3}"))
    for _ in range(3):
        manager.reserve(cost="0.01").settle(cost="0.01")
    with pytest.raises(BudgetExceeded) as refused:
        manager.reserve(cost="0.01")
    error = refused.value
    assert (error.reason, error.measure, error.limit) == ("rate", "requests", 3)
    assert 15 < (error.retry_after_seconds or 0) <= 20


def test_what_a_call_did_not_use_of_a_rate_is_free_again(opened):
    """10,000 tokens a minute: two calls of 9,000 at most that use 100 fit one after the other."""
    manager = opened("[{name: a, max_cost: 100, period: total, rates: {tokens_per_minute: 10000}}]")
    for _ in range(3):
        manager.reserve(**ASK, max_tokens=8_000).settle(usage=Usage(input=50, cache_read=0, output=50))
    with pytest.raises(BudgetExceeded) as refused:
        manager.reserve(**ASK, max_tokens=9_500)
    assert refused.value.measure == "tokens"


def test_a_share_is_kept_for_some(opened):
    """10 % of 1 USD are for the team `ops`: others stop at 0.9."""
    manager = opened(hard("priority: {percent: 10, match: {team: ops}}"))
    manager.reserve(cost="0.9").settle(cost="0.9")
    with pytest.raises(BudgetExceeded):
        manager.reserve(cost="0.05")
    manager.reserve(cost="0.1", labels={"team": "ops"}).settle(cost="0.1")


def test_a_suspended_budget_refuses_until_it_is_resumed(opened):
    manager = opened(hard(""))
    manager.reserve(cost="0.1").settle(cost="0.1")
    manager.suspend("a", reason="leak")
    assert manager.state("a").status == "suspended"
    with pytest.raises(BudgetExceeded) as refused:
        manager.reserve(cost="0.1")
    assert refused.value.reason == "suspended"
    manager.resume("a")
    manager.reserve(cost="0.1").release()


def test_auto_suspend_stops_a_soft_budget_until_it_is_resumed(opened):
    """The call that passes 1 USD is made; the next one is refused, whatever it costs."""
    manager = opened("[{name: a, max_cost: 1, period: total, auto_suspend: true}]")
    manager.reserve(cost=2).settle(cost=2)
    assert manager.state("a").status == "suspended"
    with pytest.raises(BudgetExceeded) as refused:
        manager.reserve(cost=0)
    assert refused.value.reason == "suspended"
    manager.resume("a")
    manager.reserve(cost=2).settle(cost=2)
    assert manager.state("a").status == "exceeded"


def test_what_was_not_spent_is_carried_over(opened):
    """Yesterday 0.3 of 1 USD: 0.7 are carried, but at most 0.5; today has 1.5 USD."""
    manager = opened("[{name: a, max_cost: 1, period: daily, hard_limit: true, rollover: 0.5}]")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    book(manager, int(yesterday.timestamp() * 1e9), 3 * PICO_PER_USD // 10)
    assert pico_to_usd(manager.state("a").limit_cost) == Decimal("1.5")
    manager.reserve(cost="1.5").release()
    with pytest.raises(BudgetExceeded):
        manager.reserve(cost="1.51")


def book(manager, end_ns: int, cost: int) -> None:
    """Books a call that ended in the past, as a late span would."""
    call = LLMCall(
        *(77, 78, 0, "scope", "openai", "m", "m", None, "chat", False, None, Usage(1, 0, 0, output=1)),
        *("exact", (), end_ns - 1, end_ns, False, None, (), cost),
    )
    manager._opened.book([Observed(call, False)], time.time_ns())


def test_expected_holds_what_such_calls_have_cost(opened):
    """After 20 calls of 0.001 USD, one that may cost 0.101 holds 0.001, and tells the other 0.1."""
    manager = opened(hard("guarantee: expected"))
    for _ in range(20):
        manager.reserve(**ASK, max_tokens=10_000).settle(usage=Usage(input=1000, cache_read=0, output=0))
    manager.flush()
    flying = [manager.reserve(**ASK, max_tokens=10_000) for _ in range(20)]  # 2.02 USD at worst
    assert flying[0].overshoot == Decimal("0.1")
    health = manager.health()
    assert health[names.RESERVATIONS_OVERSHOOT_USD.name, ""] == 2 * PICO_PER_USD
    flying[0].settle(usage=Usage(input=1000, cache_read=0, output=10_000))
    assert manager.state("a").spent.cost == (20_000_000_000 + 101_000_000_000)


def test_a_cost_above_what_was_reserved_is_recorded_and_counted(opened):
    manager = opened(hard(""))
    manager.reserve(cost="0.1").settle(cost="0.3")
    assert manager.state("a").spent.cost == 3 * PICO_PER_USD // 10
    assert manager.health()[names.RESERVATIONS_OVERSHOT_USD.name, ""] == 2 * PICO_PER_USD // 10
