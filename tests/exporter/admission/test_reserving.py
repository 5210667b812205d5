"""Reserve → call → settle, on one budget and on several."""

import asyncio
import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from spanbudget import (
    AmountError,
    BudgetConfig,
    BudgetExceeded,
    BudgetExistsError,
    BudgetManager,
    BudgetNotFoundError,
    ConfigurationError,
    ReservationError,
    Usage,
    budget_context,
)
from spanbudget.processors import names_out as names
from spanbudget.processors.money import PICO_PER_USD, pico_to_usd

HARD = "{name: a, max_cost: 1, period: total, hard_limit: true}"


def spent(manager: BudgetManager, name: str = "a", child: str = "") -> Decimal:
    return pico_to_usd(manager.state(name, child).spent.cost)


def test_what_is_held_cannot_be_spent_twice(opened):
    """1 USD; 0.6 are held, so 0.6 do not fit and 0.4 do."""
    manager = opened(f"[{HARD}]")
    manager.reserve(cost="0.6")
    with pytest.raises(BudgetExceeded) as refused:
        manager.reserve(cost="0.6")
    error = refused.value
    assert (error.budget, error.reason, error.measure) == ("a", "limit", "cost")
    assert (error.requested, error.limit, error.spent, error.reserved) == (
        6 * PICO_PER_USD // 10, PICO_PER_USD, 0, 6 * PICO_PER_USD // 10,
    )  # fmt: skip
    assert "$0.60" in str(error)
    manager.reserve(cost="0.4")


def test_settling_books_the_cost_and_gives_the_rest_back(opened):
    """0.9 are held, 0.25 are spent: 0.75 are left."""
    manager = opened(f"[{HARD}]")
    manager.reserve(cost="0.9").settle(cost="0.25")
    assert spent(manager) == Decimal("0.25")
    manager.reserve(cost="0.75")


def test_usage_is_priced(opened):
    """1,000 tokens at 1e6 pico and 200 at 1e7 are 3e9 pico: 0.003 USD."""
    manager = opened(f"[{HARD}]")
    reservation = manager.reserve(model="m", provider="openai", input_tokens=1000, max_tokens=500)
    assert reservation.cost == Decimal("0.006")
    reservation.settle(usage=Usage(input=1000, cache_read=0, output=200))
    state = manager.state("a")
    assert (state.spent.cost, state.spent.tokens, state.spent.estimated) == (3_000_000_000, 1200, 0)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"input_tokens": 10, "output_tokens": 5}, 15),
        ({"input_tokens": 10, "output_tokens": 5, "cache_read_tokens": 7}, 22),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, 15),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, 15),
        ({"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 7}, 22),
    ],
)
def test_usage_is_read_as_providers_write_it(opened, usage, tokens):
    manager = opened(f"[{HARD}]")
    manager.reserve(model="m", provider="openai", input_tokens=100, max_tokens=5).settle(usage=usage)
    assert manager.state("a").spent.tokens == tokens


def test_a_call_is_asked_of_every_budget_that_matches_or_of_none(opened):
    """The second budget has 0.5 USD: 0.6 are refused, and nothing of the first is held."""
    manager = opened(
        "[{name: a, max_cost: 1, period: total, hard_limit: true},"
        " {name: b, match: {team: search}, max_cost: 0.5, period: total, hard_limit: true}]"
    )
    with pytest.raises(BudgetExceeded) as refused:
        manager.reserve(cost="0.6", labels={"team": "search"})
    assert refused.value.budget == "b"
    manager.reserve(cost=1, labels={"team": "ads"}).settle(cost=1)
    assert (spent(manager, "a"), spent(manager, "b")) == (1, 0)


def test_children_of_a_template_have_their_own_money(opened):
    manager = opened("[{name: a, per: [user], max_cost: 1, period: total, hard_limit: true}]")
    for user in ("alice", "bob"):
        manager.reserve(cost=1, labels={"user": user}).settle(cost=1)
    with pytest.raises(BudgetExceeded) as refused:
        manager.reserve(cost="0.1", labels={"user": "bob"})
    assert refused.value.child == "user=bob"


def test_a_call_directed_at_a_budget_leaves_the_others_alone(opened):
    manager = opened()
    for name in ("development", "production"):
        manager.create_budget(BudgetConfig(name=name, max_cost=Decimal(1), hard_limit=True))
    manager.reserve("development", cost=1).settle(cost=1)
    assert (spent(manager, "development"), spent(manager, "production")) == (1, 0)
    manager.reserve("production", cost=1).settle(cost=1)
    with pytest.raises(BudgetExceeded):
        manager.reserve("development", cost="0.01")


def test_tokens_and_calls_are_limited_like_money(opened):
    """Ten tokens, two calls: 6 + 4 tokens fit, 6 + 5 do not, and neither does a third call."""
    manager = opened("[{name: a, max_tokens: 10, max_requests: 2, period: total, hard_limit: true}]")
    reserve = lambda tokens: manager.reserve(model="m", provider="openai", input_tokens=tokens, max_tokens=0)  # noqa: E731
    reserve(6)
    with pytest.raises(BudgetExceeded) as refused:
        reserve(5)
    assert refused.value.measure == "tokens"
    reserve(4)
    with pytest.raises(BudgetExceeded) as refused:
        reserve(0)
    assert refused.value.measure == "requests"


def test_a_soft_budget_refuses_nothing(opened):
    manager = opened("[{name: a, max_cost: 1, period: total}]")
    for _ in range(3):
        manager.reserve(cost=1).settle(cost=1)
    assert manager.state("a").status == "exceeded"


# Bad input.


@pytest.mark.parametrize("cost", [-1, "-0.000000000001", float("nan"), float("inf"), "1e9", "much", None, []])
def test_no_absurd_amount_is_reserved_or_settled(opened, cost):
    manager = opened(f"[{HARD}]")
    reservation = manager.reserve(cost="0.5")
    with pytest.raises(AmountError):
        manager.reserve(cost=[] if cost is None else cost)
    if cost is not None:
        with pytest.raises(AmountError):
            reservation.settle(cost=cost)
    assert reservation.state == "open"
    assert spent(manager) == 0


@pytest.mark.parametrize("usage", [{}, {"tokens": 5}, {"input_tokens": -1}, {"input_tokens": 10**12}, 5, "x"])
def test_no_absurd_usage_is_settled(opened, usage):
    manager = opened(f"[{HARD}]")
    reservation = manager.reserve(model="m", provider="openai", input_tokens=10, max_tokens=5)
    with pytest.raises(AmountError):
        reservation.settle(usage=usage)
    assert reservation.state == "open"


def test_a_reservation_ends_once(opened):
    manager = opened(f"[{HARD}]")
    settled, released = manager.reserve(cost="0.2"), manager.reserve(cost="0.2")
    settled.settle(cost="0.1")
    released.release()
    for end in (
        settled.release,
        released.release,
        lambda: settled.settle(cost=1),
        lambda: released.settle(cost=1),
    ):
        with pytest.raises(ReservationError):
            end()
    assert spent(manager) == Decimal("0.1")


def test_an_unknown_budget_is_told(opened):
    manager = opened(f"[{HARD}]")
    with pytest.raises(BudgetNotFoundError, match=r"no budget 'b'.*use one of: a"):
        manager.reserve("b", cost=1)


def test_budgets_have_one_definition(opened):
    manager = opened(f"[{HARD}]")
    manager.create_budget(BudgetConfig(name="b", max_cost=Decimal(1)))
    for name in ("a", "b"):
        with pytest.raises(BudgetExistsError):
            manager.create_budget(BudgetConfig(name=name, max_cost=Decimal(2)))
    assert [budget.name for budget in manager.list_budgets()] == ["a", "b"]
    assert manager.get_budget("b") == BudgetConfig(name="b", max_cost=Decimal(1))
    assert manager.delete_budget("b")
    assert manager.get_budget("b") is None
    assert not manager.delete_budget("b")
    with pytest.raises(ConfigurationError):
        manager.delete_budget("a")
    with pytest.raises(ConfigurationError):
        BudgetManager("x.db", url="sqlite:///y.db")


def test_an_expired_reservation_is_charged_unless_it_was_not_sent(opened):
    """Of two holds of 0.2 USD that nobody settles, the one whose request was not sent is given back."""
    manager = opened(f"[{HARD}]")
    sent = manager.reserve(cost="0.2", ttl_seconds=0.01)
    unsent = manager.reserve(cost="0.3", ttl_seconds=0.01, sent=False)
    marked = manager.reserve(cost="0.1", ttl_seconds=0.01, sent=False)
    marked.mark_sent()
    assert reached(lambda: (sent.state, unsent.state, marked.state) == ("orphaned",) * 3)
    state = manager.state("a")
    assert (state.spent.cost, state.spent.estimated) == (3 * PICO_PER_USD // 10,) * 2
    with pytest.raises(ReservationError, match="expired"):
        sent.settle(cost=1)
    manager.reserve(cost="0.7")


def reached(condition, seconds: float = 20) -> bool:
    """Waits until something holds; whether it ever does, not how long it takes."""
    done = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return True
        done.wait(0.02)
    return False


def test_what_nobody_told_is_charged_as_held_and_said_to_be_an_estimate(opened):
    manager = opened(f"[{HARD}]")
    with manager.guard(cost="0.2"):
        pass
    state = manager.state("a")
    assert (state.spent.cost, state.spent.estimated) == (2 * PICO_PER_USD // 10,) * 2


def test_guards_reserve_for_blocks_coroutines_and_functions(opened):
    manager = opened(f"[{HARD}]")

    @manager.guard(cost="0.4")
    def call(number: int) -> int:
        return number + 1

    @manager.guard(cost="0.4")
    async def call_async(number: int) -> int:
        async with manager.guard(cost="0.1") as reservation:
            reservation.settle(cost="0.05")
        return number + 1

    assert call(1) == 2
    assert asyncio.run(call_async(2)) == 3
    assert spent(manager) == Decimal("0.85")
    with pytest.raises(BudgetExceeded):
        call(1)
    with pytest.raises(BudgetExceeded):
        asyncio.run(call_async(1))
    with pytest.raises(ZeroDivisionError):
        fail(manager)
    assert spent(manager) == Decimal("0.85")


def fail(manager: BudgetManager) -> None:
    with manager.guard(cost="0.1") as reservation:
        reservation.release()
        raise ZeroDivisionError


def test_a_context_caps_its_block_and_labels_it(opened):
    manager = opened("[{name: a, per: [user], max_cost: 1, period: total, hard_limit: true}]")
    with budget_context(max_cost="0.5", user="alice") as budget:
        manager.reserve(cost="0.3").settle(cost="0.2")
        with budget_context(max_cost="0.2", name="inner"):
            with pytest.raises(BudgetExceeded, match="inner"):
                manager.reserve(cost="0.25")
            manager.reserve(cost="0.2").settle(cost="0.2")
        with pytest.raises(BudgetExceeded, match="context"):
            manager.reserve(cost="0.2")
    assert budget is not None
    assert pico_to_usd(budget.spent) == Decimal("0.4")
    assert budget.reserved == 0
    assert spent(manager, "a", "user=alice") == Decimal("0.4")


# Many at once.


def test_thirty_two_threads_spend_exactly_the_limit(opened):
    """100 calls of 0.01 USD fit into 1 USD: 416 are tried, 100 succeed, and nothing is left."""
    manager = opened("[{name: a, max_cost: 1, period: total, hard_limit: true, wait_ms: 60000}]")
    admitted = []

    def work() -> None:
        for _ in range(13):
            try:
                reservation = manager.reserve(cost="0.01")
            except BudgetExceeded:
                continue
            reservation.settle(cost="0.01")
            admitted.append(1)

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 100
    assert spent(manager) == 1
    assert manager.health()[names.LEDGER_DRIFT_USD.name, ""] == 0


def test_a_grant_raises_the_limit_for_a_time(opened):
    manager = opened(f"[{HARD}]")
    manager.reserve(cost=1).settle(cost=1)
    manager.grant("a", "0.5", expires=timedelta(hours=1), reason="launch")
    manager.reserve(cost="0.5").settle(cost="0.5")
    with pytest.raises(BudgetExceeded):
        manager.reserve(cost="0.1")
    for amount, expires in ((-1, timedelta(hours=1)), (1, timedelta(seconds=-1))):
        with pytest.raises(AmountError):
            manager.grant("a", amount, expires=expires, reason="")
    with pytest.raises(BudgetNotFoundError):
        manager.grant("b", 1, expires=timedelta(hours=1), reason="")
