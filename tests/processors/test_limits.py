"""Admission as pure decisions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.processors.limits import (
    MINUTE_NS,
    NOTHING,
    UNLIMITED,
    Amount,
    Demand,
    Grant,
    Limits,
    Pot,
    RateState,
    Refusal,
    Standing,
    TokenRates,
    admit,
    affordable_output,
    rates_for,
)

POT = Pot("a")
NOW_NS = 1_790_000_000 * 10**9
amounts = st.integers(0, 10**18)


def demand(need: int, want: int = 0, *, limit: int | None = 1_000, rate: int | None = None, **more) -> Demand:
    return Demand(
        POT, "total", 0, 0, Limits(limit), Amount(need), Amount(max(need, want)), Limits(rate), **more
    )


def granted(asked: Demand, known: Standing) -> Grant:
    decision = admit(asked, known, NOW_NS)
    assert isinstance(decision, Grant)
    return decision


def refused(asked: Demand, known: Standing) -> Refusal:
    decision = admit(asked, known, NOW_NS)
    assert isinstance(decision, Refusal)
    return decision


def standing(spent: int = 0, held: int = 0, holders: int = 0, busy_ns: int = 0) -> Standing:
    return Standing(Amount(spent), Amount(held), holders, (busy_ns, 0, 0))


@pytest.mark.parametrize(("need", "fits"), [(300, True), (301, False)])
def test_what_is_left_can_be_held_and_no_more(need, fits):
    """1000 less 500 spent less 200 held are 300."""
    if fits:
        assert granted(demand(need), standing(500, 200)).amount.cost == need
    else:
        decision = refused(demand(need), standing(500, 200))
        assert (decision.reason, decision.available, decision.limit) == ("limit", 300, 1_000)


@pytest.mark.parametrize(("need", "reason"), [(1_000, "limit"), (1_001, "too_large")])
def test_more_than_the_limit_never_fits(need, reason):
    decision = admit(demand(need), standing(held=1), NOW_NS)
    assert isinstance(decision, Refusal)
    assert decision.reason == reason


@pytest.mark.parametrize(
    ("holders", "amount"),
    [(0, 250), (1, 250), (2, 125), (5, 100)],
)
def test_a_lease_takes_its_share_of_a_quarter(holders, amount):
    """1000 are left: a quarter of it shared by the holders, and 100 are needed."""
    assert granted(demand(100, 900), standing(holders=holders)).amount.cost == amount


@pytest.mark.parametrize(("spent", "amount", "tight"), [(850, 100, False), (851, 100, True)])
def test_near_its_limit_a_budget_leases_nothing(spent, amount, tight):
    """After 100 of 150 are held, 50 are left, 5 % of 1000; of 149, 49 are: less than 5 %."""
    decision = granted(demand(100, 900), standing(spent))
    assert (decision.amount.cost, decision.tight) == (amount, tight)


def test_what_is_not_limited_is_granted_as_wanted():
    assert granted(demand(5, 50, limit=None), standing(10**15)).amount == Amount(50)


@pytest.mark.parametrize("spent", [999, 1_000])
def test_a_budget_that_suspends_refuses_what_costs_nothing(spent):
    decision = admit(demand(0, limit=None, suspends=Limits(1_000)), standing(spent), NOW_NS)
    assert isinstance(decision, Refusal) is (spent == 1_000)


def test_a_closed_budget_refuses():
    decision = admit(demand(0, closed=True), standing(), NOW_NS)
    assert isinstance(decision, Refusal)
    assert decision.reason == "suspended"


@given(limit=amounts, spent=amounts, held=amounts, need=amounts, want=amounts, holders=st.integers(0, 300))
def test_no_grant_ever_passes_the_limit(limit, spent, held, need, want, holders):
    decision = admit(demand(need, want, limit=limit), standing(spent, held, holders), NOW_NS)
    if isinstance(decision, Grant):
        assert need <= decision.amount.cost <= max(need, want)
        assert spent + held + decision.amount.cost <= limit
    else:
        assert spent + held + need > limit


# Rates.


def test_a_rate_is_a_bucket_of_one_minute():
    """60 a minute: 60 at once, then one a second."""
    state = RateState(60, 0)
    assert state.available(NOW_NS) == 60
    used = RateState(60, state.taken(60, NOW_NS))
    assert used.available(NOW_NS) == 0
    assert used.available(NOW_NS + 999_999_999) == 0
    assert used.available(NOW_NS + 1_000_000_000) == 1
    assert used.wait_ns(1, NOW_NS) == 1_000_000_000
    assert used.available(NOW_NS + MINUTE_NS) == 60


def test_what_is_given_back_to_a_rate_is_free_at_once():
    used = RateState(60, RateState(60, 0).taken(60, NOW_NS))
    assert RateState(60, used.taken(-20, NOW_NS)).available(NOW_NS) == 20


def test_a_clock_that_is_set_back_blocks_for_a_minute_at_most():
    used = RateState(60, RateState(60, 0).taken(60, NOW_NS))
    back_ns = NOW_NS - 3_600 * 10**9
    assert used.wait_ns(60, back_ns) <= MINUTE_NS
    assert RateState(60, used.begin_ns(back_ns)).available(back_ns + MINUTE_NS) == 60


@given(
    rate=st.integers(1, 10**15), uses=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, MINUTE_NS)))
)
def test_no_minute_ever_takes_more_than_twice_the_rate(rate, uses):
    """A full bucket at its beginning, and what flows in while it lasts."""
    state, now_ns = RateState(rate, 0), NOW_NS
    taken = []
    for units, pause_ns in uses:
        now_ns += pause_ns
        if units <= state.available(now_ns):
            state = RateState(rate, state.taken(units, now_ns))
            taken.append((now_ns, units))
    for begin_ns, _ in taken:
        assert sum(units for at, units in taken if begin_ns <= at < begin_ns + MINUTE_NS) <= 2 * rate


def test_a_rate_refuses_with_the_time_to_wait():
    busy_ns = RateState(60, 0).taken(55, NOW_NS)
    decision = admit(demand(10, limit=None, rate=60), standing(busy_ns=busy_ns), NOW_NS)
    assert isinstance(decision, Refusal)
    assert (decision.reason, decision.available, decision.retry_after_ns) == ("rate", 5, 5_000_000_000)
    assert refused(demand(61, limit=None, rate=60), standing()).reason == "too_large"


# Worst cases.


def test_the_dearest_rates_that_a_prompt_may_have_are_taken():
    """Up to 200,000 tokens 3 and 15; above 6 and 22: a prompt of at most 200,000 is never the dearer one."""
    steps = (TokenRates(3, 15), TokenRates(6, 22, prompt_above=200_000))
    assert rates_for(steps, 200_000) == TokenRates(3, 15)
    assert rates_for(steps, 200_001) == TokenRates(6, 22)
    falling = (TokenRates(9, 9), TokenRates(6, 12, prompt_above=100))
    assert rates_for(falling, 500) == TokenRates(9, 12)


@pytest.mark.parametrize(
    ("available", "tokens"), [(999, None), (1_000, 0), (1_009, 0), (1_010, 1), (1_095, 9)]
)
def test_an_amount_pays_for_so_many_tokens(available, tokens):
    """A fee of 100 and 300 tokens of 3 are 1,000; each token of the answer is 10."""
    assert affordable_output(TokenRates(3, 10, 100), 300, available) == tokens


def test_amounts_add_up():
    assert Amount(1, 2, 3).plus(Amount(1, 1, 1)).minus(Amount(5, 0, 0)).at_least(0) == Amount(0, 3, 4)
    assert Amount() == NOTHING
    assert Limits(None, None, None) == UNLIMITED
