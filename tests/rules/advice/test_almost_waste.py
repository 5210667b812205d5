"""What looks like waste and is none, or too little to be sure: no advice."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from planted_calls import DAY, HOUR, MINUTE, SECOND, SINCE, UNTIL, Caller, PlantedPrices, Row, table
from planted_waste import plant_cache_on, plant_failures

from spanbudget.rules.advice.advise import advise
from spanbudget.rules.advice.settings import Settings
from spanbudget.rules.advice.suggestion import Advice

CUT = {"finish_reason": "length"}
BILLED = {"failed": True, "billed": True, "error_type": "TimeoutError"}


def advised(rows: list[Row]) -> Advice:
    settings = Settings(min_usd=Decimal(0), min_share=0)
    return advise(table(rows), PlantedPrices(), settings, since_ns=SINCE, until_ns=UNTIL)


def twice(make: Caller, wait_ns: int, first: Row, second: Row) -> list[Row]:
    """40 requests, each sent again."""
    rows = []
    for number in range(40):
        request = {"prompt_hash": b"again %d" % number, "input": 900}
        rows.append(make.call(SINCE + number * 3 * HOUR, seconds=20, **request, **first))
        rows.append(make.call(SINCE + number * 3 * HOUR + wait_ns, **request, **second))
    return rows


def retried_too_late(make: Caller) -> list[Row]:
    return twice(make, 90 * SECOND, {"output": 400, **CUT}, {"output": 900})


def retried_for_less(make: Caller) -> list[Row]:
    return twice(make, 30 * SECOND, {"output": 400, **CUT}, {"output": 400})


def hedged(make: Caller) -> list[Row]:
    return twice(make, 10 * SECOND, {"output": 400, **CUT}, {"output": 900})


def repeated_too_late(make: Caller) -> list[Row]:
    same = {"output": 400, "deterministic": True}
    return twice(make, 2 * HOUR, same, same)


def repeated_at_once(make: Caller) -> list[Row]:
    same = {"output": 400, "deterministic": True}
    return twice(make, 10 * SECOND, same, same)


def long_answers_after_long_thought(make: Caller) -> list[Row]:
    sizes = [make.rng.randrange(2_000, 9_000) for _ in range(100)]
    return [
        make.call(SINCE + n * HOUR, model="thinker", output=n_t + 300, reasoning=n_t)
        for n, n_t in enumerate(sizes)
    ]


def thought_as_long_as_answers(make: Caller) -> list[Row]:
    sizes = [make.rng.randrange(280, 500) for _ in range(100)]
    return [
        make.call(SINCE + n * HOUR, model="thinker", output=n_t + 190, reasoning=n_t)
        for n, n_t in enumerate(sizes)
    ]


def few_hard_questions(make: Caller) -> list[Row]:
    rows = []
    for number in range(100):
        thought = 6_000 + number if number % 10 == 0 else 100
        rows.append(
            make.call(SINCE + number * HOUR, model="thinker", output=thought + 150, reasoning=thought)
        )
    return rows


def some_long_answers(make: Caller) -> list[Row]:
    return [
        make.call(SINCE + n * HOUR, "anthropic", "big", output=600 if n % 10 == 0 else 20) for n in range(100)
    ]


def few_short_answers(make: Caller) -> list[Row]:
    return [make.call(SINCE + n * HOUR, "anthropic", "big", output=20) for n in range(19)]


def short_answers_of_a_model_without_a_cheap_sibling(make: Caller) -> list[Row]:
    return [make.call(SINCE + n * HOUR, input=500, output=20) for n in range(100)]


def growing(make: Caller, sizes: list[int]) -> list[Row]:
    rows = []
    for number in range(20):
        for turn, size in enumerate(sizes):
            session = {"label.session": f"{number}"}
            rows.append(
                make.call(SINCE + number * 3 * HOUR + turn * MINUTE, input=size, output=400, **session)
            )
    return rows


def slow_growth(make: Caller) -> list[Row]:
    return growing(make, [1_000 + turn * 300 for turn in range(12)])


def short_growth(make: Caller) -> list[Row]:
    return growing(make, [300 + turn * 900 for turn in range(7)])


def ups_and_downs(make: Caller) -> list[Row]:
    return growing(make, [500, 5_000, 900, 6_000, 800, 7_000, 900, 8_000, 700, 9_000])


def few_misses(make: Caller) -> list[Row]:
    common = {"prefix_hash": b"few", "prefix_tokens": 3_000, "output": 400}
    sizes = [{"input": 3_200} if n % 2 else {"input": 200, "cache_read": 3_000} for n in range(10)]
    return [make.call(SINCE + n * MINUTE, **size, **common) for n, size in enumerate(sizes)]


def few_uncached(make: Caller) -> list[Row]:
    return plant_cache_on(1).rows[:9]


def bursts_of_uncached(make: Caller) -> list[Row]:
    common = {"prefix_hash": b"burst", "prefix_tokens": 4_000, "input": 4_100, "output": 400, "seconds": 60}
    moments = [SINCE + number // 10 * 2 * HOUR + number % 10 * SECOND for number in range(200)]
    return [make.call(at, "anthropic", "big", **common) for at in moments]


def writes_that_almost_pay(make: Caller) -> list[Row]:
    sizes = {"cache_write_5m": 5_000, "cache_read": 1_000, "output": 400}
    return [make.call(SINCE + n * 2 * HOUR, "anthropic", "big", **sizes) for n in range(60)]


def few_failures(make: Caller) -> list[Row]:
    return plant_failures(1).rows[:4]


ALMOST: tuple[Callable[[Caller], list[Row]], ...] = (
    retried_too_late, retried_for_less, hedged, repeated_too_late, repeated_at_once,
    long_answers_after_long_thought, thought_as_long_as_answers, few_hard_questions, some_long_answers,
    few_short_answers, short_answers_of_a_model_without_a_cheap_sibling, slow_growth, short_growth,
    ups_and_downs, few_misses, few_uncached, bursts_of_uncached, writes_that_almost_pay, few_failures,
)  # fmt: skip


@pytest.mark.parametrize("almost", ALMOST)
def test_what_is_almost_waste_gets_no_advice(almost: Callable[[Caller], list[Row]]) -> None:
    advice = advised(almost(Caller(1, "almost")))
    assert [(one.kind, one.group) for one in advice.suggestions] == []


def test_a_cut_off_answer_whose_retry_failed_was_not_replaced() -> None:
    rows = twice(Caller(1, "almost"), 30 * SECOND, {"output": 400, **CUT}, {"output": 900, **BILLED})
    assert [one.kind for one in advised(rows).suggestions] == ["failed_spend"]


def test_failed_calls_are_not_waste_of_the_wrong_tier() -> None:
    rows = [row | {"interactive": False} for row in plant_failures(1).rows]
    assert [one.kind for one in advised(rows).suggestions] == ["failed_spend"]


def test_a_tier_without_a_price_is_said_and_not_advised() -> None:
    make = Caller(1, "almost")
    rows = [
        make.call(SINCE + n * DAY // 50, model="thinker", output=600, interactive=False) for n in range(40)
    ]
    advice = advised(rows)
    assert advice.suggestions == ()
    assert ("batch", 40) in [(one.kind, one.calls) for one in advice.unexamined]
