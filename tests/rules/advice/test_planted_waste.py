"""Waste of known USD among healthy traffic is found, and in healthy traffic nothing is."""

from collections.abc import Callable

import pandas as pd
import pytest
from planted_calls import HEALTHY, SINCE, UNTIL, PlantedPrices, Row, healthy, table
from planted_waste import PLANTS, Plant, plant_cache_on, plant_duplicates, plant_failures, plant_flex

from spanbudget.rules.advice.advise import KINDS, advise
from spanbudget.rules.advice.settings import Settings
from spanbudget.rules.advice.suggestion import Advice

SEEDS = (1, 2, 3)
WITHOUT_GATES = Settings(min_share=0)


def advised(frame: pd.DataFrame, settings: Settings = WITHOUT_GATES) -> Advice:
    return advise(frame, PlantedPrices(), settings, since_ns=SINCE, until_ns=UNTIL)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("plant", PLANTS)
def test_planted_waste_is_found_within_five_percent_and_nothing_else(
    plant: Callable[[int], Plant], seed: int
) -> None:
    planted = plant(seed)
    advice = advised(table(healthy(seed) + planted.rows, seed))
    found = [one for one in advice.suggestions if one.kind == planted.kind]
    assert len(found) == 1
    assert found[0].group.get("variant") == planted.variant
    assert found[0].saving_pico == pytest.approx(planted.pico, rel=0.05)
    ids = {(row["trace_id"], row["span_id"]) for row in planted.rows}
    assert found[0].evidence
    assert ids.issuperset(found[0].evidence)
    # Nothing else; but a failed attempt that was tried again is failed spend too, which is counted once.
    others = [one for one in advice.suggestions if one.kind != planted.kind]
    assert all(one.kind == "failed_spend" and planted.kind == "retry_waste" for one in others)
    assert sum(one.counted_pico for one in others) == 0


@pytest.mark.parametrize("seed", range(6))
def test_healthy_traffic_gets_no_advice(seed: int) -> None:
    advice = advised(table(healthy(seed), seed))
    assert advice.suggestions == ()
    assert sum(advice.counted_pico.values()) == 0
    assert not advice.avoidable.any()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", HEALTHY)
def test_each_healthy_traffic_alone_gets_no_advice(shape: Callable[[int], list[Row]], seed: int) -> None:
    assert advised(table(shape(seed), seed)).suggestions == ()


def test_every_kind_is_planted() -> None:
    assert {plant(0).kind for plant in PLANTS} == {kind.name for kind in KINDS}


def test_all_waste_together_is_counted_once() -> None:
    plants = [plant(7) for plant in PLANTS]
    rows = healthy(7) + [row for planted in plants for row in planted.rows]
    advice = advised(table(rows))
    assert {one.kind for one in advice.suggestions} == {kind.name for kind in KINDS}
    counted = sum(one.counted_pico for one in advice.suggestions)
    assert counted == sum(advice.counted_pico.values())
    assert counted <= advice.spent_pico == sum(row["cost"] for row in rows)
    assert all(0 <= one.counted_pico <= one.saving_pico for one in advice.suggestions)
    surer = advice.counted_pico["exact"] + advice.counted_pico["counterfactual"]
    assert advice.avoidable.sum() == surer


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = healthy(1) + plant_cache_on(1).rows + plant_duplicates(1).rows
    one, other = advised(table(rows, 1)), advised(table(rows, 2))
    assert [(sug.kind, sug.saving_pico, sug.counted_pico) for sug in one.suggestions] == [
        (sug.kind, sug.saving_pico, sug.counted_pico) for sug in other.suggestions
    ]


def test_a_month_is_the_window_scaled() -> None:
    planted = plant_flex(1)
    frame = table(planted.rows)
    prices, settings = PlantedPrices(), Settings()
    week = advise(frame, prices, settings, since_ns=SINCE, until_ns=UNTIL).suggestions[0]
    assert week.monthly_usd is not None
    assert float(week.monthly_usd) == pytest.approx(week.saving_pico / 1e12 * 30.4375 / 7)
    hours = advise(
        frame, prices, settings, since_ns=SINCE, until_ns=SINCE + (UNTIL - SINCE) // 8
    ).suggestions[0]
    assert hours.monthly_usd is None
    assert "shorter than a day" in hours.explanation


def test_much_waste_in_many_places_is_put_together() -> None:
    rows = plant_failures(1).rows
    scattered = [row | {"label.service": f"s{place}"} for place, row in enumerate(rows)]
    (one,) = advised(table(scattered)).suggestions
    assert one.saving_pico == sum(row["cost"] for row in rows)
    assert one.group == {"provider": "openai", "model": "gpt", "variant": "Cancelled"}
    mixed = [row | {"model": f"m{place}"} for place, row in enumerate(scattered)]
    (one,) = advised(table(mixed)).suggestions
    assert one.saving_pico == sum(row["cost"] for row in rows)
    assert one.group == {"variant": "Cancelled"}


def test_a_discount_that_the_price_list_does_not_know_stays() -> None:
    planted = plant_flex(1)
    parts = ("cost", "cost_input", "cost_cache_read", "cost_cache_write", "cost_output")
    rows = [row | {part: row[part] * 4 // 5 for part in parts} for row in planted.rows]
    (one,) = advised(table(rows)).suggestions
    assert one.saving_pico == pytest.approx(planted.pico * 0.8)


def test_small_savings_are_not_told_but_counted_as_such() -> None:
    planted = plant_cache_on(1)
    whole = advised(table(planted.rows))
    assert [one.kind for one in whole.suggestions] == ["prompt_cache_on"]
    share = advised(table(planted.rows), Settings(min_share=0.9))
    assert share.suggestions == ()
    assert (share.below, share.below_pico) == (1, whole.suggestions[0].saving_pico)
    assert not share.avoidable.any()
