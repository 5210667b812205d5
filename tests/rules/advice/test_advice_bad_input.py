"""Odd tables get defined advice: no exception, no warning (warnings are errors here), no wild figure."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_calls import MINUTE, SECOND, SINCE, UNTIL, Caller, PlantedPrices, healthy, table
from planted_waste import plant_cache_off, plant_duplicates, plant_failures, plant_flex

from spanbudget.processors.errors import AmountError
from spanbudget.rules.advice.advise import advise
from spanbudget.rules.advice.calls import COLUMNS, read_calls
from spanbudget.rules.advice.efficiency import efficiency
from spanbudget.rules.advice.settings import Settings
from spanbudget.rules.advice.suggestion import Advice


def advised(frame: pd.DataFrame, **chosen: Any) -> Advice:
    return advise(frame, PlantedPrices(), Settings(**chosen), since_ns=SINCE, until_ns=UNTIL)


@pytest.mark.parametrize("frame", [pd.DataFrame(columns=list(COLUMNS)), table(healthy(1)).iloc[:0]])
def test_no_calls_are_no_advice(frame: pd.DataFrame) -> None:
    advice = advised(frame)
    assert (advice.suggestions, advice.spent_pico, advice.calls, advice.unexamined) == ((), 0, 0, ())
    score = efficiency(frame, advice.avoidable)[0]
    assert (score.score, score.has_data, score.success_rate) == (100.0, False, 1.0)
    assert efficiency(frame, advice.avoidable, ["model"]) == ()


def test_one_call_is_no_advice() -> None:
    advice = advised(table(plant_failures(1).rows[:1]))
    assert advice.suggestions == ()
    assert advice.below == 1


def test_all_failed_is_all_wasted() -> None:
    planted = plant_failures(1)
    frame = table(planted.rows)
    advice = advised(frame)
    assert advice.counted_pico["exact"] == advice.spent_pico == planted.pico
    score = efficiency(frame, advice.avoidable)[0]
    assert (score.score, score.avoidable_share, score.success_rate) == (0.0, 1.0, 0.0)


def test_calls_without_a_price_are_said_and_not_free() -> None:
    frame = table(plant_duplicates(1).rows)
    unpriced = frame.assign(cost=pd.array([pd.NA] * len(frame), dtype="Int64"))
    advice = advised(unpriced)
    assert (advice.suggestions, advice.spent_pico) == ((), 0)
    assert [(one.kind, one.calls) for one in advice.unexamined if "price" in one.why] == [("*", len(frame))]
    score = efficiency(unpriced, advice.avoidable)[0]
    assert (score.unpriced, score.calls, score.spent_pico) == (len(frame), len(frame), 0)


def test_unknown_models_with_a_reported_cost_keep_their_exact_advice() -> None:
    planted = plant_duplicates(1)
    advice = advised(table(planted.rows).assign(model="house-7b", interactive=False))
    assert [(one.kind, one.saving_pico) for one in advice.suggestions] == [("duplicates", planted.pico)]
    assert any(one.kind == "batch" and one.calls == 200 for one in advice.unexamined)


def test_what_is_missing_is_named() -> None:
    make = Caller(1, "silent")
    calls = [make.call(at, input=2_000, output=400) | {"prompt_hash": None} for at in make.anywhere(30)]
    for call in calls[:20]:
        call |= {"cache_read": None, "interactive": None}
    found = {(one.kind, one.calls) for one in advised(table(calls)).unexamined}
    assert found == {
        ("batch", 20),
        ("duplicates", 30),
        ("prompt_cache_on", 20),
        ("prompt_cache_on", 10),
        ("cache_misses", 10),
        ("context_growth", 30),
    }


def test_the_same_span_twice_counts_once() -> None:
    planted = plant_flex(1)
    frame = table(planted.rows)
    twice = pd.concat([frame.assign(cost=1), frame])
    advice = advised(twice)
    assert advice.suggestions[0].saving_pico == planted.pico
    assert advice.calls == len(frame)
    assert ("*", len(frame)) in [(one.kind, one.calls) for one in advice.unexamined]
    assert not advice.avoidable[: len(frame)].any()
    assert advice.avoidable[len(frame) :].sum() == planted.pico
    assert efficiency(twice, advice.avoidable)[0].spent_pico == advice.spent_pico


def test_clocks_that_jump_end_calls_when_they_start() -> None:
    frame = table(healthy(1))
    back = frame.assign(end_ns=frame["start_ns"] - 10 * MINUTE)
    calls = read_calls(back)
    assert (calls.end_ns == calls.start_ns).all()
    assert advised(back).suggestions == ()
    wild = [2**80, -(2**80), 0, 2**63 - 1] * (len(frame) // 4 + 1)
    column = pd.Series(wild[: len(frame)], index=frame.index, dtype=object)
    assert advised(frame.assign(start_ns=column, end_ns=column)).calls == len(frame)


@pytest.mark.parametrize("odd", [10**30, -5, float("nan"), float("inf"), 1e300, Decimal(10**20), None])
def test_counts_that_nobody_believes_are_unknown(odd: Any) -> None:
    rows = healthy(2)
    frame = table(rows)
    for name in ("input", "output", "cache_read", "reasoning", "prefix_tokens"):
        column = pd.Series([odd] * len(frame), dtype=object)
        assert (read_calls(frame.assign(**{name: column.to_numpy()})).tokens[name] <= 0).all()
        assert advised(frame.assign(**{name: column.to_numpy()})).spent_pico == sum(
            row["cost"] for row in rows
        )


def test_a_cost_beyond_belief_is_no_price() -> None:
    frame = table(healthy(1))
    odd = frame.assign(cost=pd.Series([10**25] * len(frame), dtype=object))
    advice = advised(odd)
    assert (advice.spent_pico, advice.suggestions) == (0, ())


def test_sums_beyond_64_bits_are_exact() -> None:
    rows = [{**row, "cost": 10**18, "cost_input": 10**18} for row in plant_failures(1).rows]
    advice = advised(table(rows))
    assert advice.spent_pico == advice.counted_pico["exact"] == 60 * 10**18 > 2**63
    assert advice.suggestions[0].saving_pico == 60 * 10**18


def test_floats_with_nan_are_counts_too() -> None:
    frame = table(plant_cache_off(1).rows)
    floats = frame.astype(dict.fromkeys(("input", "cache_read", "output", "reasoning"), "float64"))
    floats.loc[floats.index[:3], "reasoning"] = np.nan
    assert advised(floats).suggestions == advised(frame).suggestions


@pytest.mark.parametrize("name", [name for name, column in COLUMNS.items() if not column.optional])
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(AmountError, match=f"no column {name};"):
        read_calls(table(healthy(1)).drop(columns=name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start_ns", "noon"),
        ("end_ns", None),
        ("input", "many"),
        ("cost", [1]),
        ("failed", "maybe"),
        ("model", [1]),
    ],
)
def test_a_column_of_something_else_is_named_without_its_value(name: str, value: Any) -> None:
    frame = table(healthy(1)[:4])
    with pytest.raises(AmountError, match=f"column {name} of the table of calls must hold") as error:
        read_calls(frame.assign(**{name: pd.Series([value] * 4, dtype=object)}))
    assert str(value) not in str(error.value).removeprefix(f"column {name}") or value is None


def test_optional_columns_may_be_missing() -> None:
    planted = plant_flex(1)
    optional = [name for name, column in COLUMNS.items() if column.optional and name != "interactive"]
    advice = advised(
        table(planted.rows).drop(columns=[*optional, "label.service", "label.user", "label.session"])
    )
    assert [one.kind for one in advice.suggestions] == ["batch"]
    assert advice.suggestions[0].group == {"provider": "openai", "model": "gpt", "variant": "flex"}


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(AmountError, match="the window must end after it starts"):
        advise(table(healthy(1)), PlantedPrices(), Settings(), since_ns=UNTIL, until_ns=SINCE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_usd": Decimal("NaN")},
        {"min_usd": Decimal(-1)},
        {"min_share": 1.1},
        {"min_calls": 0},
        {"evidence": 0},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(AmountError, match=next(iter(wrong))):
        Settings(**wrong)


TOKENS = [name for name, column in COLUMNS.items() if column.kind == "tokens"]
MAYBE = st.one_of(st.none(), st.integers(-1, 3), st.sampled_from([1_500, 250_000, 10**9, 10**12]))


@settings(max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "start_ns": st.integers(0, 400).map(lambda at: SINCE + at * SECOND),
                "end_ns": st.integers(-400, 400).map(lambda at: SINCE + at * SECOND),
                "provider": st.sampled_from([None, "anthropic", "openai", "nobody"]),
                "model": st.sampled_from([None, "big", "gpt", "embed", "ghost"]),
                "operation": st.sampled_from(["chat", "embeddings"]),
                "tier": st.sampled_from([None, "batch", "priority"]),
                "failed": st.booleans(),
                "finish_reason": st.sampled_from([None, "stop", "length"]),
                "interactive": st.sampled_from([None, True, False]),
                "deterministic": st.booleans(),
                "prompt_hash": st.sampled_from([None, b"a", b"b"]),
                "prefix_hash": st.sampled_from([None, b"a"]),
                "parent_id": st.sampled_from([None, "p"]),
                "trace_id": st.sampled_from(["t", "u"]),
                "label.session": st.sampled_from([None, "s"]),
                "cost": st.one_of(st.none(), st.integers(0, 10**6), st.just(10**18)),
                "cost_output": st.sampled_from([0, 5, 10**18]),
                **dict.fromkeys(TOKENS, MAYBE),
            }
        ),
        max_size=30,
    )
)
def test_whatever_the_calls_are_the_money_adds_up(rows: list[dict[str, Any]]) -> None:
    base = {"error_type": None, "cost_input": 0, "cost_cache_read": 0, "cost_cache_write": 0}
    given_rows = [{**base, **row, "span_id": f"{number % 25}"} for number, row in enumerate(rows)]
    frame = pd.DataFrame(given_rows, columns=[*COLUMNS, "label.session"], dtype=object)
    advice = advised(frame, min_calls=1, min_usd=Decimal(0), min_share=0)
    standing = {(row["trace_id"], row["span_id"]): row for row in given_rows}.values()
    assert advice.spent_pico == sum(row["cost"] or 0 for row in standing)
    counted = sum(one.counted_pico for one in advice.suggestions)
    assert counted == sum(advice.counted_pico.values()) <= advice.spent_pico
    costs = np.array([row["cost"] or 0 for row in given_rows], dtype=np.int64)
    assert ((advice.avoidable >= 0) & (advice.avoidable <= costs)).all()
    assert all(0 <= score.score <= 100 for score in efficiency(frame, advice.avoidable, ["model"]))
